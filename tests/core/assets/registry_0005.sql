BEGIN TRANSACTION;
CREATE TABLE artifact (
	id INTEGER NOT NULL, 
	kind VARCHAR(60) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	size INTEGER NOT NULL, 
	inputs JSON NOT NULL, 
	made_by VARCHAR(120) NOT NULL, 
	CONSTRAINT pk_artifact PRIMARY KEY (id), 
	CONSTRAINT uq_artifact_kind_key_sha256 UNIQUE (kind, "key", sha256)
);
INSERT INTO "artifact" VALUES(1,'table','bdb9098dd9a01d802d8ccd00d7adb8927976d01d9b84cefd932940a46118a3b8','e4afb983941790960ce692f65eb8c882e1c093107d14db4eeec82f405a0cf783','/home/me/lab/runs/shared/table-bdb9098dd9a01d80',14,'{"mode": "mean"}','toy-alpha-s0-wk3tdmt3');
CREATE TABLE baseline (
	id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	task VARCHAR(60) NOT NULL, 
	protocol VARCHAR(60) NOT NULL, 
	metric VARCHAR(120) NOT NULL, 
	run_index INTEGER, 
	value DOUBLE NOT NULL, 
	spread DOUBLE, 
	n INTEGER, 
	source TEXT NOT NULL, 
	cite TEXT NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	note TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	added_at DOUBLE NOT NULL, 
	CONSTRAINT pk_baseline PRIMARY KEY (id), 
	CONSTRAINT fk_baseline_metric_metric FOREIGN KEY(metric) REFERENCES metric (name), 
	CONSTRAINT uq_baseline_name_task_protocol_metric_run_index UNIQUE (name, task, protocol, metric, run_index)
);
INSERT INTO "baseline" VALUES(1,'DER','Alpha','brief','toy/score',0,2.5,NULL,1,'s.csv','Me et al. 2025','imported','','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1.7953014939390561581e+09);
INSERT INTO "baseline" VALUES(2,'DER','Alpha','brief','toy/score',1,1.25,NULL,1,'s.csv','Me et al. 2025','imported','','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1.7953014939390561581e+09);
INSERT INTO "baseline" VALUES(3,'SPR','Beta','brief','toy/score',NULL,3.0,NULL,NULL,'s.csv','Me et al. 2025','imported','one value a task: a run or a mean of some, the file does not say','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1.7953014939390561581e+09);
CREATE TABLE episode (
	run_id VARCHAR(120) NOT NULL, 
	attempt INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	"index" INTEGER NOT NULL, 
	score DOUBLE, 
	length INTEGER NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	CONSTRAINT pk_episode PRIMARY KEY (run_id, attempt, "row"), 
	CONSTRAINT fk_episode_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "episode" VALUES('toy-alpha-s0-wk3tdmt3',1,0,24,0,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-wk3tdmt3',1,1,24,1,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s1-r8qybabp',1,0,24,0,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s1-r8qybabp',1,1,24,1,3.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s2-5asjnhwx',2,0,24,0,3.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s2-5asjnhwx',2,1,24,1,0.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s4-5vk14n0r',1,0,24,0,2.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s4-5vk14n0r',1,1,24,1,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-ysfshr85',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-ysfshr85',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-ysfshr85',1,2,12,2,1.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-ysfshr85',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-ysfshr85',1,4,12,4,2.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-snaej6ck',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-snaej6ck',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-snaej6ck',1,2,12,2,3.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-snaej6ck',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-snaej6ck',1,4,12,4,2.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-20y64kgf',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-20y64kgf',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-20y64kgf',1,2,12,2,3.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-20y64kgf',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-20y64kgf',1,4,12,4,2.0,6,0);
CREATE TABLE experiment (
	id INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	method VARCHAR(60) NOT NULL, 
	task VARCHAR(60) NOT NULL, 
	protocol VARCHAR(60) NOT NULL, 
	protocol_settings JSON NOT NULL, 
	config JSON NOT NULL, 
	slots JSON NOT NULL, 
	CONSTRAINT pk_experiment PRIMARY KEY (id), 
	CONSTRAINT uq_experiment_fingerprint UNIQUE (fingerprint)
);
INSERT INTO "experiment" VALUES(1,'4c7968e49436c5488d83c7cfe65e60e36d61a56b145943de8359d7a4b41b9b8a','toy','Alpha','brief','{"episodes": 2, "size": 3}','{"steps": 24, "rate": 0.05, "noisy": true, "mode": "mean", "bound": null, "log_every": 1, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
INSERT INTO "experiment" VALUES(2,'6aa89a09e4b2ff92501d452e4339d0f3db7a2f06f2e45d9b4b416c1a1816d88f','toy','Alpha','brief','{"episodes": 2, "size": 3}','{"steps": 24, "rate": 0.1, "noisy": true, "mode": "mean", "bound": null, "log_every": 1, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
INSERT INTO "experiment" VALUES(3,'d6beaf4d2ec037580ab912b28fad1e009919cda32aff5fb0d43c023c63750d51','toy','Beta','brief','{"episodes": 2, "size": 3}','{"steps": 24, "rate": 0.1, "noisy": true, "mode": "mean", "bound": null, "log_every": 1, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
INSERT INTO "experiment" VALUES(4,'e21647abe970ac145b6771fa668a776fed9606e58563174320a5f400fb983cf1','toy','Alpha','official','{"episodes": 5, "size": 6}','{"steps": 12, "rate": 0.4679212806267253, "noisy": false, "mode": "mean", "bound": null, "log_every": 4, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
INSERT INTO "experiment" VALUES(5,'48ed3607788cb15b338b0f4c0dbe19aec22d221868ce7bb3b810b73dde814b49','toy','Alpha','official','{"episodes": 5, "size": 6}','{"steps": 12, "rate": 0.15040921476262212, "noisy": false, "mode": "mean", "bound": null, "log_every": 4, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
INSERT INTO "experiment" VALUES(6,'240f71823263b5a0795e745a9137e5dc9d4214278c7afdc34e8df7c574082b71','toy','Alpha','official','{"episodes": 5, "size": 6}','{"steps": 12, "rate": 0.06544010276102334, "noisy": false, "mode": "mean", "bound": null, "log_every": 4, "checkpoint_every": 10}','{"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}');
CREATE TABLE lineage (
	run_id VARCHAR(120) NOT NULL, 
	artifact_id INTEGER NOT NULL, 
	role VARCHAR(10) NOT NULL, 
	CONSTRAINT pk_lineage PRIMARY KEY (run_id, artifact_id), 
	CONSTRAINT fk_lineage_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_lineage_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "lineage" VALUES('toy-alpha-s0-wk3tdmt3',1,'made');
INSERT INTO "lineage" VALUES('toy-alpha-s1-r8qybabp',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s2-5asjnhwx',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s3-wv4jhw8h',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s4-5vk14n0r',1,'used');
INSERT INTO "lineage" VALUES('toy-beta-s5-g8e5aew5',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-ysfshr85',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-snaej6ck',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-20y64kgf',1,'used');
CREATE TABLE metric (
	name VARCHAR(120) NOT NULL, 
	unit VARCHAR(60) NOT NULL, 
	direction VARCHAR(4) NOT NULL, 
	meaning TEXT NOT NULL, 
	axis VARCHAR(60) NOT NULL, 
	timing BOOLEAN NOT NULL, 
	CONSTRAINT pk_metric PRIMARY KEY (name)
);
INSERT INTO "metric" VALUES('toy/weight','weights','none','sum of the weights','steps',0);
INSERT INTO "metric" VALUES('toy/noise','weights','none','the newest noise','steps',0);
INSERT INTO "metric" VALUES('toy/speed','steps/s','max','how fast','steps',1);
INSERT INTO "metric" VALUES('toy/score','points','max','mean score of the puzzles','agent steps',0);
INSERT INTO "metric" VALUES('toy/length','moves','none','mean length of the puzzles','agent steps',0);
CREATE TABLE point (
	run_id VARCHAR(120) NOT NULL, 
	metric VARCHAR(120) NOT NULL, 
	attempt INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	value DOUBLE, 
	at DOUBLE NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	CONSTRAINT pk_point PRIMARY KEY (run_id, metric, attempt, "row"), 
	CONSTRAINT fk_point_metric_metric FOREIGN KEY(metric) REFERENCES metric (name), 
	CONSTRAINT fk_point_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,0,1,-0.0869063287973404,1.79530141186612629891e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,0,1,-5.5285300689757344017e-01,1.79530141186612629891e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,0,1,1.79530141186610817907e+09,1.79530141186612629891e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,1,2,-9.1036275029182434082e-02,1.79530141186642861359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,1,2,3.51385740349262273851e-02,1.79530141186642861359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,1,2,1.7953014118664269447e+09,1.79530141186642861359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,2,3,-7.24659562110900878906e-02,1.79530141186647868153e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,2,3,1.57603995795756068876e-01,1.79530141186647868153e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,2,3,1.79530141186647748943e+09,1.79530141186647868153e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,3,4,-1.35022073984146118164e-01,1.79530141186651444437e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,3,4,-7.66064909992026921159e-02,1.79530141186651444437e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,3,4,1.7953014118665137291e+09,1.79530141186651444437e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,4,5,-1.1441141366958618164e-02,1.79530141186654734614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,4,5,3.63302226813872253252e-01,1.79530141186654734614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,4,5,1.79530141186654663087e+09,1.79530141186654734614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,5,6,6.4584255218505859375e-02,1.7953014118665778637e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,5,6,3.49561123535087447944e-01,1.7953014118665778637e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,5,6,1.79530141186657738686e+09,1.7953014118665778637e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,6,7,2.68728472292423248291e-02,1.79530141186660838125e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,6,7,1.13268302626200675908e-01,1.79530141186660838125e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,6,7,1.79530141186660790447e+09,1.79530141186660838125e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,7,8,9.30298119783401489257e-03,1.79530141186664986613e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,7,8,1.02916842869990698972e-01,1.79530141186664986613e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,7,8,1.79530141186664676669e+09,1.79530141186664986613e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,8,9,2.267589569091796875e-01,1.7953014118666942119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,8,9,9.41621263502863459216e-01,1.7953014118666942119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,8,9,1.79530141186669325824e+09,1.7953014118666942119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,9,10,2.96636939048767089843e-01,1.79530141186672711367e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,9,10,5.73484607669791146555e-01,1.79530141186672711367e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,9,10,1.7953014118667263984e+09,1.79530141186672711367e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,10,11,4.36484992504119873046e-01,1.79530141187947773931e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,10,11,1.20401089721214948902e+00,1.79530141187947773931e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,10,11,1.79530141187947082526e+09,1.79530141187947773931e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,11,12,4.26541864871978759765e-01,1.79530141187958526614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,11,12,1.03376898417651442996e-02,1.79530141187958526614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,11,12,1.79530141187958431248e+09,1.79530141187958526614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,12,13,0.353519082069397,1.79530141187962484364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,12,13,-0.602663300698126,1.79530141187962484364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,12,13,1.79530141187962412828e+09,1.79530141187962484364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,13,14,2.85602718591690063476e-01,1.79530141187965750697e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,13,14,-0.57778780103104,1.79530141187965750697e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,13,14,1.79530141187965703013e+09,1.79530141187965750697e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,14,15,3.34850996732711791992e-01,1.7953014118796885014e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,14,15,1.95682049098640838818e-03,1.7953014118796885014e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,14,15,1.79530141187968802453e+09,1.7953014118796885014e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,15,16,5.5039882659912109375e-01,1.79530141187971925735e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,15,16,1.34020314709728771696e+00,1.79530141187971925735e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,15,16,1.79530141187971854213e+09,1.79530141187971925735e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,16,17,3.90244007110595703125e-01,1.79530141187975358961e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,16,17,-7.32156188673511731934e-01,1.79530141187975358961e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,16,17,1.79530141187975311278e+09,1.79530141187975358961e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,17,18,2.84992218017578125e-01,1.79530141187978267668e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,17,18,-2.52400878276375528752e-01,1.79530141187978267668e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,17,18,1.79530141187978219989e+09,1.79530141187978267668e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,18,19,3.42267423868179321289e-01,1.79530141187981319428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,18,19,4.3983318576711538661e-01,1.79530141187981319428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,18,19,1.79530141187981271745e+09,1.79530141187981319428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,19,20,2.91685819625854492187e-01,1.79530141187984251978e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,19,20,1.18902235943420336861e-01,1.79530141187984251978e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,19,20,1.79530141187984204295e+09,1.79530141187984251978e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,20,21,3.0459880828857421875e-01,1.79530141189054584507e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,20,21,1.57339630549483855403e-01,1.79530141189054584507e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,20,21,1.79530141189053916929e+09,1.79530141189054584507e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,21,22,0.158086895942688,1.79530141189065051078e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,21,22,-4.29832184920983906284e-01,1.79530141189065051078e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,21,22,1.79530141189064955712e+09,1.79530141189065051078e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,22,23,2.53681719303131103515e-01,1795301411.89069,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,22,23,3.94812540784610865873e-01,1795301411.89069,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,22,23,1.79530141189068961145e+09,1795301411.89069,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/weight',1,23,24,3.36440920829772949218e-01,1.79530141189072227477e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/noise',1,23,24,5.77065967113845723623e-01,1.79530141189072227477e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-wk3tdmt3','toy/speed',1,23,24,1.79530141189072179794e+09,1.79530141189072227477e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,0,1,2.18077182769775390625e-01,1.79530141942322039603e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,0,1,4.88086058888935692134e-01,1.79530141942322039603e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,0,1,1.79530141942320847509e+09,1.79530141942322039603e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,1,2,3.08299481868743896484e-01,1.79530141942344188691e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,1,2,5.49587439598009930286e-01,1.79530141942344188691e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,1,2,1.79530141942344021802e+09,1.79530141942344188691e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,2,3,-4.25799787044525146484e-01,1795301419.42349,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,2,3,-1.48650513865496,1795301419.42349,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,2,3,1.79530141942348933224e+09,1795301419.42349,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,3,4,-1.3684920966625213623e-02,1.79530141942352461812e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,3,4,9.42121396837427793613e-01,1.79530141942352461812e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,3,4,1.7953014194235239029e+09,1.79530141942352461812e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,4,5,3.79531145095825195312e-01,1.79530141942355585095e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,4,5,1.13192287187466189557e+00,1.79530141942355585095e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,4,5,1.79530141942355513573e+09,1.79530141942355585095e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,5,6,-8.84560048580169677734e-02,1.79530141942358517645e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,5,6,-7.95020901044244610034e-01,1.79530141942358517645e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,5,6,1.79530141942358446123e+09,1.79530141942358517645e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,6,7,-4.23483639955520629882e-01,1.79530141942361450195e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,6,7,-6.4946756829377783049e-01,1.79530141942361450195e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,6,7,1.79530141942361378673e+09,1.79530141942361450195e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,7,8,-6.83567881584167480468e-01,1.79530141942365431789e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,7,8,-4.87707923362160844504e-01,1.79530141942365431789e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,7,8,1.79530141942365169521e+09,1.79530141942365431789e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,8,9,-0.771440863609314,1.79530141942369771005e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,8,9,-7.98960642367331219659e-01,1.79530141942369771005e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,8,9,1.79530141942369699482e+09,1.79530141942369771005e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,9,10,-0.815779983997345,1795301419.42373,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,9,10,-6.21730411989472764311e-01,1795301419.42373,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,9,10,1.79530141942372941971e+09,1795301419.42373,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,10,11,-1.47725749015808105468e+00,1.79530141943749022483e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,10,11,-2.08130847738453228501e+00,1.79530141943749022483e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,10,11,1.79530141943748116489e+09,1.79530141943749022483e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,11,12,-9.02820825576782226562e-01,1.79530141943776392937e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,11,12,1.28517875879956799956e+00,1.79530141943776392937e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,11,12,1.79530141943776202204e+09,1.79530141943776392937e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,12,13,-5.27911663055419921875e-01,1.7953014194379239083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,12,13,1.06164622480909209834e+00,1.7953014194379239083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,12,13,1.79530141943792271612e+09,1.7953014194379239083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,13,14,-4.17179405689239501953e-01,1.79530141943797588353e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,13,14,4.20753193197010655346e-01,1.79530141943797588353e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,13,14,1.79530141943797492973e+09,1.79530141943797588353e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,14,15,-7.47738033533096313476e-03,1.79530141943802094457e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,14,15,7.77079322253035109646e-01,1.79530141943802094457e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,14,15,1795301419.43802,1.79530141943802094457e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,15,16,-4.38331633806228637695e-01,1.7953014194380636215e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,15,16,-8.59625465026828128323e-01,1.7953014194380636215e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,15,16,1.79530141943806314467e+09,1.7953014194380636215e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,16,17,-5.66467642784118652343e-01,1.79530141943811631199e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,16,17,-4.74143794721567868322e-01,1.79530141943811631199e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,16,17,1.79530141943811559672e+09,1.79530141943811631199e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,17,18,2.97691941261291503906e-01,1.79530141943816137317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,17,18,1.60781261825075150184e+00,1.79530141943816137317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,17,18,1.79530141943816089634e+09,1.79530141943816137317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,18,19,1.03381961584091186523e-01,1.79530141943820452689e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,18,19,-2.37789381879677019782e-01,1.79530141943820452689e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,18,19,1.79530141943820357322e+09,1.79530141943820452689e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,19,20,1.95919215679168701171e-01,1.7953014194382450581e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,19,20,2.24408003411447953823e-01,1.7953014194382450581e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,19,20,1.79530141943824458122e+09,1.7953014194382450581e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,20,21,1.6947104036808013916e-01,1.79530141946107649805e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,20,21,4.81188772550539378691e-01,1.79530141946107649805e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,20,21,1.79530141946106600765e+09,1.79530141946107649805e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,21,22,4.57254886627197265625e-01,1.79530141946121859553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,21,22,0.608179451428931,1.79530141946121859553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,21,22,1.79530141946121716504e+09,1.79530141946121859553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,22,23,1.19688296318054199218e+00,1.79530141946127271652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,22,23,1.68180188297930421903e+00,1.79530141946127271652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,22,23,1.79530141946127176286e+09,1.79530141946127271652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/weight',1,23,24,1.401485443115234375e+00,1.79530141946131944659e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/noise',1,23,24,0.955547086786644,1.79530141946131944659e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-r8qybabp','toy/speed',1,23,24,1.79530141946131873128e+09,1.79530141946131944659e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,0,1,3.07851552963256835937e-01,1.79530142751736593244e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,0,1,0.558507421118354,1.79530142751736593244e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,0,1,1.79530142751735496521e+09,1.79530142751736593244e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,1,2,1.82607799768447875976e-01,1.79530142752204418185e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,1,2,-2.23696120727711611486e-01,1.79530142752204418185e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,1,2,1.79530142752203726768e+09,1.79530142752204418185e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,2,3,6.29208087921142578125e-01,1.79530142752212810517e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,2,3,1.10490089495042376199e+00,1.79530142752212810517e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,2,3,1.79530142752212715151e+09,1.79530142752212810517e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,3,4,1.00039280951023101806e-01,1.79530142752216744428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,3,4,-9.32340948762461763088e-01,1.79530142752216744428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,3,4,1.79530142752216696731e+09,1.79530142752216744428e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,4,5,-1.10347427427768707275e-01,1.79530142752220129966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,4,5,-6.38198816352146813812e-01,1.79530142752220129966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,4,5,1.79530142752220058443e+09,1.79530142752220129966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,5,6,5.85752367973327636718e-01,1.79530142752223324776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,5,6,1.57164389730250020349e+00,1.79530142752223324776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,5,6,1.79530142752223253249e+09,1.79530142752223324776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,6,7,3.38369697332382202148e-01,1.79530142752226400375e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,6,7,-3.53077170441152221602e-01,1.79530142752226400375e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,6,7,1.79530142752226328853e+09,1.79530142752226400375e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,7,8,1.01278498768806457519e-02,1.79530142752230620385e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,7,8,-4.52194537566591669985e-01,1.79530142752230620385e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,7,8,1.79530142752230286598e+09,1.79530142752230620385e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,8,9,5.17104744911193847656e-01,1.7953014275223498344e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,8,9,8.48990544099852750825e-01,1.7953014275223498344e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,8,9,1.79530142752234911918e+09,1.7953014275223498344e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,9,10,0.0838237926363945,1.79530142752238368992e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,9,10,-1.28158525861442584847e+00,1.79530142752238368992e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,9,10,1.79530142752238321308e+09,1.79530142752238368992e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,10,11,1.34420782327651977539e-01,1.79530142754235172266e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,10,11,-2.6852216830642979678e-02,1.79530142754235172266e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,10,11,1.79530142754234361655e+09,1.79530142754235172266e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,11,12,3.18730115890502929687e-01,1.79530142754254508014e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,11,12,4.74086638158745354854e-01,1.79530142754254508014e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,11,12,1.79530142754254102709e+09,1.79530142754254508014e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,12,13,-5.089626312255859375e-01,1.79530142754261803623e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,12,13,-1.92854880303611664338e+00,1.79530142754261803623e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,12,13,1.79530142754261732096e+09,1.79530142754261803623e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,13,14,-2.2131067514419555664e-01,1.79530142754265594484e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,13,14,5.88413857322261479865e-01,1.79530142754265594484e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,13,14,1.79530142754265546797e+09,1.79530142754265594484e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',1,14,15,7.76413828134536743164e-03,1.79530142754268717767e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',1,14,15,7.49844839866925738647e-01,1.79530142754268717767e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',1,14,15,1.7953014275426867008e+09,1.79530142754268717767e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,15,11,1.34420782327651977539e-01,1.79530144314178895952e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,15,11,-2.6852216830642979678e-02,1.79530144314178895952e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,15,11,1.79530144314176845553e+09,1.79530144314178895952e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,16,12,3.18730115890502929687e-01,1.79530144314232635496e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,16,12,4.74086638158745354854e-01,1.79530144314232635496e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,16,12,1.79530144314232182507e+09,1.79530144314232635496e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,17,13,-5.089626312255859375e-01,1.7953014431424520015e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,17,13,-1.92854880303611664338e+00,1.7953014431424520015e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,17,13,1795301443.14245,1.7953014431424520015e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,18,14,-2.2131067514419555664e-01,1.79530144314252734184e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,18,14,5.88413857322261479865e-01,1.79530144314252734184e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,18,14,1.79530144314252567295e+09,1.79530144314252734184e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,19,15,7.76413828134536743164e-03,1.7953014431425909996e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,19,15,7.49844839866925738647e-01,1.7953014431425909996e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,19,15,1.7953014431425898075e+09,1.7953014431425909996e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,20,16,5.20312860608100891113e-02,1.79530144314265155793e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,20,16,1.40386524749069402373e-01,1.79530144314265155793e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,20,16,1.79530144314265060426e+09,1.79530144314265155793e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,21,17,1.6671714186668395996e-01,1.79530144314271044737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,21,17,6.46552642364040419664e-01,1.79530144314271044737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,21,17,1.79530144314270925526e+09,1.79530144314271044737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,22,18,2.60449051856994628906e-02,1.79530144314278268819e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,22,18,-4.8431566493255756578e-01,1.79530144314278268819e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,22,18,1.79530144314277863501e+09,1.79530144314278268819e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,23,19,-1.65416091680526733398e-01,1.79530144314286255833e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,23,19,-0.612283524887667,1.79530144314286255833e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,23,19,1.79530144314286112779e+09,1.79530144314286255833e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,24,20,-2.80605733394622802734e-01,1.79530144314292454724e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,24,20,-3.69926324374637072178e-01,1.79530144314292454724e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,24,20,1.79530144314292335505e+09,1.79530144314292454724e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,25,21,-3.60795170068740844726e-01,1.79530144317903566364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,25,21,7.45665394292389649422e-02,1.79530144317903566364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,25,21,1.79530144317902755736e+09,1.79530144317903566364e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,26,22,1.88897550106048583984e-01,1.79530144317915701869e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,26,22,1.25606993607210437602e+00,1.79530144317915701869e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,26,22,1.79530144317915582663e+09,1.79530144317915701869e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,27,23,5.43046966195106506347e-02,1.79530144317919874196e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,27,23,-1.74650859128549745813e-01,1.79530144317919874196e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,27,23,1.79530144317919802669e+09,1.79530144317919874196e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/weight',2,28,24,-3.62266123294830322265e-01,1.79530144317923092845e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/noise',2,28,24,-1.04328893370288922071e+00,1.79530144317923092845e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-5asjnhwx','toy/speed',2,28,24,1.79530144317923045158e+09,1.79530144317923092845e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/weight',1,0,1,1.54138267040252685546e-01,1.79530145537857174871e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/noise',1,0,1,5.86665666324198809e-01,1.79530145537857174871e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/speed',1,0,1,1.79530145537855982782e+09,1.79530145537857174871e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/weight',1,1,2,4.8494720458984375e-01,1.79530145537886571885e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/noise',1,1,2,8.91894617558649738242e-01,1.79530145537886571885e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/speed',1,1,2,1.79530145537886095044e+09,1.79530145537886571885e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/weight',1,2,3,1.18820559978485107421e+00,1.79530145537897419926e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/noise',1,2,3,2.26302394249092486688e+00,1.79530145537897419926e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/speed',1,2,3,1.79530145537897109983e+09,1.79530145537897419926e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/weight',1,3,4,1.26046633720397949218e+00,1.7953014553790318966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/noise',1,3,4,3.18425781803162333272e-01,1.7953014553790318966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/speed',1,3,4,1.79530145537903094293e+09,1.7953014553790318966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/weight',1,4,5,8.44647347927093505859e-01,1.79530145537906551359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/noise',1,4,5,-1.35807280729724810797e+00,1.79530145537906551359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-wv4jhw8h','toy/speed',1,4,5,1.79530145537906503675e+09,1.79530145537906551359e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,0,1,4.06208038330078125e-01,1795301467.50761,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,0,1,7.02700625637146858437e-01,1795301467.50761,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,0,1,1.7953014675075933933e+09,1795301467.50761,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,1,2,8.43444466590881347656e-02,1.79530146750799441332e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,1,2,-4.9932880618572778042e-01,1.79530146750799441332e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,1,2,1.79530146750799107554e+09,1.79530146750799441332e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,2,3,-3.42348009347915649414e-01,1.79530146750805807108e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,2,3,-1.3772428827632423598e+00,1.79530146750805807108e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,2,3,1.79530146750805735585e+09,1.79530146750805807108e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,3,4,-4.89346235990524291992e-01,1.79530146750809359553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,3,4,-2.48331049547527743515e-01,1.79530146750809359553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,3,4,1.79530146750809288026e+09,1.79530146750809359553e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,4,5,-7.09742903709411621093e-02,1.79530146750812506675e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,4,5,1.24604142338610257567e+00,1.79530146750812506675e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,4,5,1.79530146750812458992e+09,1.79530146750812506675e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,5,6,3.19024384021759033203e-01,1.79530146750815629958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,5,6,1.84216785033318675157e-01,1.79530146750815629958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,5,6,1.79530146750815558431e+09,1.79530146750815629958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,6,7,7.16072171926498413085e-02,1.79530146750818681714e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,6,7,-5.21420682564314508233e-01,1.79530146750818681714e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,6,7,1.79530146750818610191e+09,1.79530146750818681714e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,7,8,-4.5820623636245727539e-03,1.79530146750822782513e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,7,8,1.71844153331870752587e-01,1.79530146750822782513e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,7,8,1.79530146750822472575e+09,1.79530146750822782513e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,8,9,-4.0092760324478149414e-01,1.79530146750827169412e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,8,9,-1.13508520291571302074e+00,1.79530146750827169412e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,8,9,1.79530146750827050206e+09,1.79530146750827169412e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,9,10,-3.29534232616424560546e-01,1.79530146750830340383e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,9,10,-1.32180319622008018987e-01,1.79530146750830340383e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,9,10,1.79530146750830268856e+09,1.79530146750830340383e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,10,11,-2.32807993888854980468e-01,1.79530146756212592119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,10,11,1.31095991756349478096e-01,1.79530146756212592119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,10,11,1.79530146756211686129e+09,1.79530146756212592119e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,11,12,1.56416147947311401367e-01,1.79530146756225657462e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,11,12,1.19281320144542712924e+00,1.79530146756225657462e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,11,12,1.79530146756225562096e+09,1.79530146756225657462e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,12,13,4.96299445629119873046e-01,1.79530146756229782101e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,12,13,1.11728061232317332773e+00,1.79530146756229782101e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,12,13,1.79530146756229734422e+09,1.79530146756229782101e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,13,14,3.66729557514190673828e-01,1.79530146756232953072e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,13,14,-5.04380831347245525697e-02,1.79530146756232953072e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,13,14,1.79530146756232905384e+09,1.79530146756232953072e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,14,15,5.61811685562133789062e-01,1.79530146756236052511e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,14,15,8.99647364904254565054e-01,1.79530146756236052511e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,14,15,1795301467.56236,1.79530146756236052511e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,15,16,-1.76513686776161193847e-01,1795301467.56239,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,15,16,-1.63147277006106050656e+00,1795301467.56239,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,15,16,1.79530146756238961217e+09,1795301467.56239,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,16,17,-2.78432756662368774414e-01,1795301467.56242,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,16,17,-3.74849503715242671209e-01,1795301467.56242,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,16,17,1.79530146756241965294e+09,1795301467.56242,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,17,18,3.46694201231002807617e-01,1.7953014675624501705e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,17,18,1.0617999175439984949e+00,1.7953014675624501705e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,17,18,1.79530146756244969371e+09,1.7953014675624501705e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,18,19,1.09521210193634033203e+00,1.79530146756248044966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,18,19,2.05739655654434727694e+00,1.79530146756248044966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,18,19,1795301467.56248,1.79530146756248044966e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,19,20,1.03806853294372558593e+00,1.79530146756251239776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,19,20,1.03473551044023309719e-01,1.79530146756251239776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,19,20,1.79530146756251192093e+09,1.79530146756251239776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,20,21,1.5483480691909790039e+00,1.79530146760054254524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,20,21,1.29241612033573738393e+00,1.79530146760054254524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,20,21,1.79530146760053396226e+09,1.79530146760054254524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,21,22,1.72651767730712890625e+00,1.79530146760067987445e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,21,22,0.825991440269147,1.79530146760067987445e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,21,22,1.79530146760067868235e+09,1.79530146760067987445e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,22,23,1.49237811565399169921e+00,1.79530146760072302817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,22,23,-3.12438113016863749926e-01,1.79530146760072302817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,22,23,1.7953014676007223129e+09,1.79530146760072302817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/weight',1,23,24,9.91240143775939941406e-01,1.79530146760076427456e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/noise',1,23,24,-1.23411625243611022817e+00,1.79530146760076427456e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-5vk14n0r','toy/speed',1,23,24,1.79530146760076355933e+09,1.79530146760076427456e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,0,1,-3.32710087299346923828e-01,1.79530148827572178836e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,0,1,-5.7688494496313280635e-01,1.79530148827572178836e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,0,1,1.79530148827570605282e+09,1.79530148827572178836e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,1,2,-8.01308095455169677734e-01,1.79530148827602624894e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,1,2,-1.41735876384461900734e+00,1.79530148827602624894e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,1,2,1.79530148827602314956e+09,1.79530148827602624894e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,2,3,-1.12701928615570068359e+00,1.79530148827609562878e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,2,3,-9.01803090800417428418e-01,1.79530148827609562878e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,2,3,1.79530148827609443659e+09,1.79530148827609562878e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,3,4,-1.13216388225555419921e+00,1.79530148827614235876e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,3,4,-2.06993198107269571472e-01,1.79530148827614235876e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,3,4,1.79530148827614140509e+09,1.79530148827614235876e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,4,5,-8.07529032230377197265e-01,1.79530148827618741993e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,4,5,7.5016723604061730235e-01,1.79530148827618741993e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,4,5,1.79530148827618670458e+09,1.79530148827618741993e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,5,6,-9.52981829643249511718e-01,1795301488.27623,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,5,6,-1.07738013762611983814e+00,1795301488.27623,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,5,6,1.7953014882762291432e+09,1795301488.27623,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,6,7,-1.32855141162872314453e+00,1.79530148827627468108e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,6,7,-1.03150303279773214448e+00,1.79530148827627468108e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,6,7,1.79530148827627396585e+09,1.79530148827627468108e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,7,8,-1.09094452857971191406e+00,1.7953014882763292789e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,7,8,0.610563145075741,1.7953014882763292789e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,7,8,1.79530148827632570268e+09,1.7953014882763292789e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,8,9,-1.21900105476379394531e+00,1.79530148827638578413e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,8,9,-5.09267888214914199451e-01,1.79530148827638578413e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,8,9,1.79530148827638483047e+09,1.79530148827638578413e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,9,10,-7.57186293601989746093e-01,1.79530148827642941473e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,9,10,7.68124612177011778513e-01,1.79530148827642941473e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,9,10,1.79530148827642846106e+09,1.79530148827642941473e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,10,11,1.56705647706985473632e-01,1.79530148833023619654e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,10,11,1.68695975829994848638e+00,1.79530148833023619654e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,10,11,1.79530148833022546762e+09,1.79530148833023619654e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,11,12,0.583763837814331,1.79530148833041763301e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,11,12,1.01725641195908722558e+00,1.79530148833041763301e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,11,12,1.79530148833041572568e+09,1.79530148833041763301e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,12,13,2.60502934455871582031e-01,1.79530148833047604561e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,12,13,-3.91311908229483362831e-01,1.79530148833047604561e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,12,13,1.79530148833047509195e+09,1.79530148833047604561e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,13,14,-1.06724940240383148193e-01,1.79530148833051919933e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,13,14,-7.765674935411287505e-01,1.79530148833051919933e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,13,14,1.79530148833051872254e+09,1.79530148833051919933e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/weight',1,14,15,0.409079372882843,1.79530148833056592944e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/noise',1,14,15,1.74270791990312678976e+00,1.79530148833056592944e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-g8e5aew5','toy/speed',1,14,15,1.79530148833056449894e+09,1.79530148833056592944e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/weight',1,0,4,-5.70817470550537109375e-01,1.7953015076363494396e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/noise',1,0,4,0.0,1.7953015076363494396e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/speed',1,0,4,1.795301507636339426e+09,1.7953015076363494396e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/weight',1,1,8,-5.97787320613861083984e-01,1.79530150763655734066e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/noise',1,1,8,0.0,1.79530150763655734066e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/speed',1,1,8,1.79530150763655519481e+09,1.79530150763655734066e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/weight',1,2,12,-4.31894421577453613281e-01,1.79530150770615148543e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/noise',1,2,12,0.0,1.79530150770615148543e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-ysfshr85','toy/speed',1,2,12,1.79530150770614099504e+09,1.79530150770615148543e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/weight',1,0,4,-1.87729299068450927734e-01,1.79530150887952613834e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/noise',1,0,4,0.0,1.79530150887952613834e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/speed',1,0,4,1.79530150887951469424e+09,1.79530150887952613834e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/weight',1,1,8,-2.61048644781112670898e-01,1.79530150887978577614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/noise',1,1,8,0.0,1.79530150887978577614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/speed',1,1,8,1795301508.87978,1.79530150887978577614e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/weight',1,2,12,-3.44690144062042236328e-01,1.7953015089185328484e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/noise',1,2,12,0.0,1.7953015089185328484e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-snaej6ck','toy/speed',1,2,12,1.79530150891852235796e+09,1.7953015089185328484e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/weight',1,0,4,-8.04121494293212890625e-02,1.79530151116821360584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/noise',1,0,4,0.0,1.79530151116821360584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/speed',1,0,4,1.79530151116819906235e+09,1.79530151116821360584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/weight',1,1,8,-1.25882863998413085937e-01,1.79530151116847205166e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/noise',1,1,8,0.0,1.79530151116847205166e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/speed',1,1,8,1.79530151116846466066e+09,1.79530151116847205166e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/weight',1,2,12,-1.95178106427192687988e-01,1.79530151122247147565e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/noise',1,2,12,0.0,1.79530151122247147565e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-20y64kgf','toy/speed',1,2,12,1.79530151122246336937e+09,1.79530151122247147565e+09,0);
CREATE TABLE result (
	run_id VARCHAR(120) NOT NULL, 
	metric VARCHAR(120) NOT NULL, 
	attempt INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	value DOUBLE, 
	samples INTEGER NOT NULL, 
	spread DOUBLE, 
	superseded BOOLEAN NOT NULL, 
	CONSTRAINT pk_result PRIMARY KEY (run_id, metric, attempt, "row"), 
	CONSTRAINT fk_result_metric_metric FOREIGN KEY(metric) REFERENCES metric (name), 
	CONSTRAINT fk_result_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "result" VALUES('toy-alpha-s0-wk3tdmt3','toy/score',1,0,24,1.0,2,0.0,0);
INSERT INTO "result" VALUES('toy-alpha-s0-wk3tdmt3','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s1-r8qybabp','toy/score',1,0,24,2.0,2,1.41421356237309514547e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s1-r8qybabp','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s2-5asjnhwx','toy/score',2,0,24,1.5,2,2.12132034355964238514e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s2-5asjnhwx','toy/length',2,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s4-5vk14n0r','toy/score',1,0,24,1.5,2,7.07106781186547572737e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s4-5vk14n0r','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-ysfshr85','toy/score',1,0,12,3.0,5,1.41421356237309514547e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s0-ysfshr85','toy/length',1,1,12,6.0,5,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-snaej6ck','toy/score',1,0,12,3.4,5,8.94427190999915855407e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s0-snaej6ck','toy/length',1,1,12,6.0,5,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-20y64kgf','toy/score',1,0,12,3.4,5,8.94427190999915855407e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s0-20y64kgf','toy/length',1,1,12,6.0,5,NULL,0);
CREATE TABLE rlvit_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT rlvit_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "rlvit_version" VALUES('0005');
CREATE TABLE run (
	id VARCHAR(120) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	seed INTEGER NOT NULL, 
	preset VARCHAR(60) NOT NULL, 
	plugin VARCHAR(60) NOT NULL, 
	plugin_version VARCHAR(60) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	attempt INTEGER NOT NULL, 
	note TEXT NOT NULL, 
	archived BOOLEAN NOT NULL, 
	folder TEXT NOT NULL, 
	git_commit VARCHAR(64), 
	git_dirty BOOLEAN, 
	provenance JSON NOT NULL, 
	bookkeeping JSON NOT NULL, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	ended_at DOUBLE, 
	seconds DOUBLE NOT NULL, 
	heartbeat_at DOUBLE, 
	process JSON NOT NULL, 
	error TEXT, 
	CONSTRAINT pk_run PRIMARY KEY (id), 
	CONSTRAINT fk_run_experiment_id_experiment FOREIGN KEY(experiment_id) REFERENCES experiment (id)
);
INSERT INTO "run" VALUES('toy-alpha-s0-wk3tdmt3',1,'first',0,'quick','toy','rlvit-toy 1.0','completed',1,'noted: it''s ''quoted''',0,'/home/me/lab/runs/toy-alpha-s0-wk3tdmt3',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 0 --name first --tag kind=a --note ''the first, with \u00fc'' --rate 0.05", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530141160499835013e+09,1.79530141171047282217e+09,1.79530141195114779474e+09,1.90939403000811580568e-01,1.79530141197891736034e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12160, "started": 1795301400.21}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s1-r8qybabp',2,'toy-alpha-s1-r8qybabp',1,'quick','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s1-r8qybabp',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530141927887845038e+09,1.79530141934029507638e+09,1.7953014195082139969e+09,1.32482433997211046516e-01,1.79530141953532600398e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12265, "started": 1795301414.58}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s2-5asjnhwx',2,'toy-alpha-s2-5asjnhwx',2,'quick','toy','rlvit-toy 1.0','completed',2,'',0,'/home/me/lab/runs/toy-alpha-s2-5asjnhwx',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 2 --log-every 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530142737543392181e+09,1.79530142742442297932e+09,1.79530144326759767527e+09,3.86971143998380284756e-01,1.79530144331876420973e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12397, "started": 1795301431.4}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s3-wv4jhw8h',2,'toy-alpha-s3-wv4jhw8h',3,'quick','toy','rlvit-toy 1.0','failed',1,'',0,'/home/me/lab/runs/toy-alpha-s3-wv4jhw8h',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 3 --selector toy-pick", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530145505261611938e+09,1.79530145517842769625e+09,1.79530145538347268106e+09,1.07430809002835303544e-01,1.7953014554160554409e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12544, "started": 1795301446.37}','ValueError: the toy broke');
INSERT INTO "run" VALUES('toy-alpha-s4-5vk14n0r',2,'gone',4,'quick','toy','rlvit-toy 1.0','completed',1,'',1,'/home/me/lab/runs/toy-alpha-s4-5vk14n0r',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 4 --name gone", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530146718506956101e+09,1.79530146729554438596e+09,1.79530146762235116959e+09,2.55338376999134197831e-01,1.79530146764291739466e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12646, "started": 1795301457.48}',NULL);
INSERT INTO "run" VALUES('toy-beta-s5-g8e5aew5',3,'toy-beta-s5-g8e5aew5',5,'quick','toy','rlvit-toy 1.0','interrupted',1,'',0,'/home/me/lab/runs/toy-beta-s5-g8e5aew5',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 5 --puzzle Beta", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530148798855233188e+09,1.79530148810061621665e+09,1.79530148837150931354e+09,1.99593807999917771667e-01,1.79530148839835810656e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12766, "started": 1795301481.31}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-ysfshr85',4,'toy-alpha-s0-ysfshr85',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-ysfshr85',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.7953015072011568546e+09,1.79530150738071775438e+09,1.79530150777713656427e+09,2.65961452998453751206e-01,1.79530150784381890296e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-snaej6ck',5,'toy-alpha-s0-snaej6ck',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-snaej6ck',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530150857150769226e+09,1.79530150870600247381e+09,1.79530150900069141381e+09,1.92812838999088853597e-01,1.79530150906292605399e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-20y64kgf',6,'toy-alpha-s0-20y64kgf',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-20y64kgf',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530151092975020403e+09,1.79530151099446630478e+09,1.79530151128431367875e+09,1.89535653000348247587e-01,1.79530151132423925397e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',NULL);
CREATE TABLE study (
	name VARCHAR(120) NOT NULL, 
	stem VARCHAR(100) NOT NULL, 
	space_hash VARCHAR(64) NOT NULL, 
	method VARCHAR(60) NOT NULL, 
	task VARCHAR(60) NOT NULL, 
	protocol VARCHAR(60) NOT NULL, 
	preset VARCHAR(60) NOT NULL, 
	request JSON NOT NULL, 
	space JSON NOT NULL, 
	objectives JSON NOT NULL, 
	sampler JSON NOT NULL, 
	pruner JSON NOT NULL, 
	seed INTEGER NOT NULL, 
	seeds JSON NOT NULL, 
	trials INTEGER NOT NULL, 
	stop VARCHAR(10) NOT NULL, 
	storage TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_study PRIMARY KEY (name)
);
INSERT INTO "study" VALUES('toy-alpha-5270b436','toy-alpha','5270b43637e334c372618f540d3c14395d1102e717818e47f308ea62d9712a87','toy','Alpha','official','official-code','{"plugin": "toy", "task": "Alpha", "preset": "official-code", "protocol": "official", "slots": {}, "values": {"steps": 12, "log_every": 4}, "seed": 0, "name": null, "note": "", "tags": {}, "device": "cpu", "threads": 1, "data_root": null, "skip_bad_images": false, "trained": null}','{"rate": {"whole": false, "low": 0.01, "high": 0.5, "log": true, "step": null, "choices": []}}','{"toy/score": "max"}','{"name": "tpe", "startup": null, "population": null}','{"name": "none"}',0,'{"runs": [0]}',3,'','runs/optuna.db',1.7953015035008482933e+09);
CREATE TABLE tag (
	run_id VARCHAR(120) NOT NULL, 
	"key" VARCHAR(120) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_tag PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_tag_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "tag" VALUES('toy-alpha-s0-wk3tdmt3','kind','b');
INSERT INTO "tag" VALUES('toy-alpha-s0-wk3tdmt3','good','');
INSERT INTO "tag" VALUES('toy-alpha-s0-ysfshr85','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-ysfshr85','trial','0');
INSERT INTO "tag" VALUES('toy-alpha-s0-snaej6ck','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-snaej6ck','trial','1');
INSERT INTO "tag" VALUES('toy-alpha-s0-20y64kgf','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-20y64kgf','trial','2');
CREATE TABLE transition (
	id INTEGER NOT NULL, 
	run_id VARCHAR(120) NOT NULL, 
	attempt INTEGER NOT NULL, 
	from_state VARCHAR(20), 
	to_state VARCHAR(20) NOT NULL, 
	at DOUBLE NOT NULL, 
	reason TEXT NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_transition PRIMARY KEY (id), 
	CONSTRAINT fk_transition_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "transition" VALUES(1,'toy-alpha-s0-wk3tdmt3',0,NULL,'created',1.79530141160499835013e+09,'','{}');
INSERT INTO "transition" VALUES(2,'toy-alpha-s0-wk3tdmt3',1,'created','running',1.79530141171047282217e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 0 --name first --tag kind=a --note ''the first, with \u00fc'' --rate 0.05", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(3,'toy-alpha-s0-wk3tdmt3',1,'running','completed',1.79530141195114779474e+09,'','{}');
INSERT INTO "transition" VALUES(4,'toy-alpha-s1-r8qybabp',0,NULL,'created',1.79530141927887845038e+09,'','{}');
INSERT INTO "transition" VALUES(5,'toy-alpha-s1-r8qybabp',1,'created','running',1.79530141934029507638e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(6,'toy-alpha-s1-r8qybabp',1,'running','completed',1.7953014195082139969e+09,'','{}');
INSERT INTO "transition" VALUES(7,'toy-alpha-s2-5asjnhwx',0,NULL,'created',1.79530142737543392181e+09,'','{}');
INSERT INTO "transition" VALUES(8,'toy-alpha-s2-5asjnhwx',1,'created','running',1.79530142742442297932e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 2 --log-every 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(9,'toy-alpha-s2-5asjnhwx',1,'running','interrupted',1.79530143005081820484e+09,'its process is gone','{}');
INSERT INTO "transition" VALUES(10,'toy-alpha-s2-5asjnhwx',2,'interrupted','running',1.79530144276634478573e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126", "command": "rlvit --home /home/me/lab resume latest", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}');
INSERT INTO "transition" VALUES(11,'toy-alpha-s2-5asjnhwx',2,'running','completed',1.79530144326759767527e+09,'','{}');
INSERT INTO "transition" VALUES(12,'toy-alpha-s3-wv4jhw8h',0,NULL,'created',1.79530145505261611938e+09,'','{}');
INSERT INTO "transition" VALUES(13,'toy-alpha-s3-wv4jhw8h',1,'created','running',1.79530145517842769625e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 3 --selector toy-pick", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(14,'toy-alpha-s3-wv4jhw8h',1,'running','failed',1.79530145538347268106e+09,'ValueError: the toy broke','{}');
INSERT INTO "transition" VALUES(15,'toy-alpha-s4-5vk14n0r',0,NULL,'created',1.79530146718506956101e+09,'','{}');
INSERT INTO "transition" VALUES(16,'toy-alpha-s4-5vk14n0r',1,'created','running',1.79530146729554438596e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 4 --name gone", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(17,'toy-alpha-s4-5vk14n0r',1,'running','completed',1.79530146762235116959e+09,'','{}');
INSERT INTO "transition" VALUES(18,'toy-beta-s5-g8e5aew5',0,NULL,'created',1.79530148798855233188e+09,'','{}');
INSERT INTO "transition" VALUES(19,'toy-beta-s5-g8e5aew5',1,'created','running',1.79530148810061621665e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 5 --puzzle Beta", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(20,'toy-beta-s5-g8e5aew5',1,'running','interrupted',1.79530148837150931354e+09,'stopped as asked','{}');
INSERT INTO "transition" VALUES(21,'toy-alpha-s0-ysfshr85',0,NULL,'created',1.7953015072011568546e+09,'','{}');
INSERT INTO "transition" VALUES(22,'toy-alpha-s0-ysfshr85',1,'created','running',1.79530150738071775438e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(23,'toy-alpha-s0-ysfshr85',1,'running','completed',1.79530150777713656427e+09,'','{}');
INSERT INTO "transition" VALUES(24,'toy-alpha-s0-snaej6ck',0,NULL,'created',1.79530150857150769226e+09,'','{}');
INSERT INTO "transition" VALUES(25,'toy-alpha-s0-snaej6ck',1,'created','running',1.79530150870600247381e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(26,'toy-alpha-s0-snaej6ck',1,'running','completed',1.79530150900069141381e+09,'','{}');
INSERT INTO "transition" VALUES(27,'toy-alpha-s0-20y64kgf',0,NULL,'created',1.79530151092975020403e+09,'','{}');
INSERT INTO "transition" VALUES(28,'toy-alpha-s0-20y64kgf',1,'created','running',1.79530151099446630478e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(29,'toy-alpha-s0-20y64kgf',1,'running','completed',1.79530151128431367875e+09,'','{}');
CREATE TABLE trial (
	study VARCHAR(120) NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	params JSON NOT NULL, 
	"values" JSON, 
	reason TEXT NOT NULL, 
	source VARCHAR(140) NOT NULL, 
	process JSON NOT NULL, 
	heartbeat_at DOUBLE NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	CONSTRAINT pk_trial PRIMARY KEY (study, number), 
	CONSTRAINT fk_trial_study_study FOREIGN KEY(study) REFERENCES study (name) ON DELETE CASCADE
);
INSERT INTO "trial" VALUES('toy-alpha-5270b436',0,'completed','{"rate": 0.4679212806267253}','{"toy/score": 3.0}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',1.7953015077579352856e+09,1.7953015062491123676e+09,1.79530150806508374209e+09);
INSERT INTO "trial" VALUES('toy-alpha-5270b436',1,'completed','{"rate": 0.15040921476262212}','{"toy/score": 3.4}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',1.79530150898598265651e+09,1.79530150834573912622e+09,1.79530150919935464854e+09);
INSERT INTO "trial" VALUES('toy-alpha-5270b436',2,'completed','{"rate": 0.06544010276102334}','{"toy/score": 3.4}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 12993, "started": 1795301494.56}',1.79530151126592612265e+09,1.79530150943784880639e+09,1.79530151146072840693e+09);
CREATE TABLE trial_run (
	study VARCHAR(120) NOT NULL, 
	number INTEGER NOT NULL, 
	seed INTEGER NOT NULL, 
	run_id VARCHAR(120) NOT NULL, 
	CONSTRAINT pk_trial_run PRIMARY KEY (study, number, seed), 
	CONSTRAINT fk_trial_run_study_trial FOREIGN KEY(study, number) REFERENCES trial (study, number) ON DELETE CASCADE
);
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',0,0,'toy-alpha-s0-ysfshr85');
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',1,0,'toy-alpha-s0-snaej6ck');
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',2,0,'toy-alpha-s0-20y64kgf');
CREATE INDEX ix_experiment_method_task_protocol ON experiment (method, task, protocol);
CREATE INDEX ix_run_created_at ON run (created_at);
CREATE INDEX ix_transition_run_id ON transition (run_id);
CREATE INDEX ix_trial_run_run_id ON trial_run (run_id);
CREATE INDEX ix_run_name ON run (name);
CREATE INDEX ix_run_state_archived_created_at ON run (state, archived, created_at);
CREATE INDEX ix_run_experiment_id_archived_state_created_at_id ON run (experiment_id, archived, state, created_at, id);
CREATE VIEW runs_all AS SELECT run.id AS run, CASE WHEN run.name = run.id THEN NULL ELSE run.name END AS name,
            e.method, e.task, e.protocol, run.preset, run.seed, run.state, run.attempt,
            run.archived, run.note, e.config, run.bookkeeping, e.slots, e.protocol_settings,
            e.fingerprint, run.plugin, run.plugin_version, run.git_commit, run.git_dirty,
            json_extract(run.provenance, '$.device') AS device, json_extract(run.provenance, '$.gpu') AS gpu, json_extract(run.provenance, '$.host') AS host, run.provenance, run.created_at,
            run.started_at, run.ended_at, run.seconds, run.error, run.folder
        FROM run JOIN experiment e ON e.id = run.experiment_id;
CREATE VIEW results_live AS SELECT r.run_id AS run, e.method, e.task, e.protocol, run.preset, run.seed, run.state,
            run.archived, r.metric, m.unit, m.direction, r.step, r.value, r.spread, r.samples,
            r.attempt, NOT EXISTS (
                SELECT 1 FROM result o
                WHERE o.run_id = r.run_id AND o.metric = r.metric AND NOT o.superseded
                    AND (o.step > r.step OR (o.step = r.step AND (o.attempt > r.attempt
                        OR (o.attempt = r.attempt AND o."row" > r."row"))))
            ) AS latest
        FROM result r JOIN run ON run.id = r.run_id JOIN experiment e ON e.id = run.experiment_id
            JOIN metric m ON m.name = r.metric
        WHERE NOT r.superseded;
CREATE VIEW points_live AS SELECT run_id AS run, metric, step, value, at, attempt FROM point WHERE NOT superseded;
CREATE VIEW episodes_live AS SELECT run_id AS run, step, "index" AS episode, score, length, attempt
        FROM episode WHERE NOT superseded;
CREATE VIEW artifacts_of_runs AS SELECT l.run_id AS run, a.kind, l.role, a.made_by, a.sha256, a.size, a.path, a.inputs
        FROM lineage l JOIN artifact a ON a.id = l.artifact_id;
CREATE VIEW moves_of_runs AS SELECT run_id AS run, attempt, from_state, to_state, at, reason, detail FROM transition;
CREATE VIEW tags_of_runs AS SELECT run_id AS run, key AS tag, value FROM tag;
CREATE VIEW metrics_all AS SELECT name AS metric, unit, direction, meaning, axis, timing FROM metric;
CREATE VIEW baselines_all AS SELECT name AS method, task, protocol, metric, run_index, value, spread, n, status, source,
            cite, note, added_at
        FROM baseline;
CREATE VIEW studies_all AS SELECT s.name AS study, s.method, s.task, s.protocol, s.preset, s.objectives, s.space,
            s.sampler, s.pruner, s.seed, s.seeds, s.request, s.trials AS wanted,
            (SELECT count(*) FROM trial t WHERE t.study = s.name) AS trials,
            s.storage, s.created_at
        FROM study s;
CREATE VIEW trials_all AS SELECT study, number AS trial, state, params, "values" AS scores, reason, source,
            started_at, ended_at
        FROM trial;
CREATE VIEW runs_of_trials AS SELECT study, number AS trial, seed, run_id AS run FROM trial_run;
COMMIT;
