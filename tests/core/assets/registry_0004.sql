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
INSERT INTO "artifact" VALUES(1,'table','bdb9098dd9a01d802d8ccd00d7adb8927976d01d9b84cefd932940a46118a3b8','e4afb983941790960ce692f65eb8c882e1c093107d14db4eeec82f405a0cf783','/home/me/lab/runs/shared/table-bdb9098dd9a01d80',14,'{"mode": "mean"}','toy-alpha-s0-kswn7pq6');
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
INSERT INTO "baseline" VALUES(1,'DER','Alpha','brief','toy/score',0,2.5,NULL,1,'s.csv','Me et al. 2025','imported','','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1795301239.88925);
INSERT INTO "baseline" VALUES(2,'DER','Alpha','brief','toy/score',1,1.25,NULL,1,'s.csv','Me et al. 2025','imported','','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1795301239.88925);
INSERT INTO "baseline" VALUES(3,'SPR','Beta','brief','toy/score',NULL,3.0,NULL,NULL,'s.csv','Me et al. 2025','imported','one value a task: a run or a mean of some, the file does not say','b21fb2a0cd016205cdafd79819b7ca8837819f5fa78f6d05b24cf1d8f6049e9c',1795301239.88925);
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
INSERT INTO "episode" VALUES('toy-alpha-s0-kswn7pq6',1,0,24,0,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-kswn7pq6',1,1,24,1,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s1-g10xjpjb',1,0,24,0,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s1-g10xjpjb',1,1,24,1,3.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s2-zxvvnr1b',2,0,24,0,3.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s2-zxvvnr1b',2,1,24,1,0.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s4-mmzsg1wx',1,0,24,0,2.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s4-mmzsg1wx',1,1,24,1,1.0,3,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-rx1jrkkc',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-rx1jrkkc',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-rx1jrkkc',1,2,12,2,1.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-rx1jrkkc',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-rx1jrkkc',1,4,12,4,2.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-jdba8zq9',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-jdba8zq9',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-jdba8zq9',1,2,12,2,3.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-jdba8zq9',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-jdba8zq9',1,4,12,4,2.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-9kpzaj29',1,0,12,0,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-9kpzaj29',1,1,12,1,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-9kpzaj29',1,2,12,2,3.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-9kpzaj29',1,3,12,3,4.0,6,0);
INSERT INTO "episode" VALUES('toy-alpha-s0-9kpzaj29',1,4,12,4,2.0,6,0);
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
INSERT INTO "lineage" VALUES('toy-alpha-s0-kswn7pq6',1,'made');
INSERT INTO "lineage" VALUES('toy-alpha-s1-g10xjpjb',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s2-zxvvnr1b',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s3-57wazng3',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s4-mmzsg1wx',1,'used');
INSERT INTO "lineage" VALUES('toy-beta-s5-mqhbyqts',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-rx1jrkkc',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-jdba8zq9',1,'used');
INSERT INTO "lineage" VALUES('toy-alpha-s0-9kpzaj29',1,'used');
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
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,0,1,-0.0869063287973404,1.79530117861081647875e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,0,1,-5.5285300689757344017e-01,1.79530117861081647875e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,0,1,1.79530117861080026628e+09,1.79530117861081647875e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,1,2,-9.1036275029182434082e-02,1795301178.61112,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,1,2,3.51385740349262273851e-02,1795301178.61112,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,1,2,1.79530117861111664775e+09,1795301178.61112,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,2,3,-7.24659562110900878906e-02,1.79530117861118149753e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,2,3,1.57603995795756068876e-01,1.79530117861118149753e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,2,3,1.7953011786111807823e+09,1.79530117861118149753e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,3,4,-1.35022073984146118164e-01,1.79530117861121845247e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,3,4,-7.66064909992026921159e-02,1.79530117861121845247e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,3,4,1.7953011786112177372e+09,1.79530117861121845247e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,4,5,-1.1441141366958618164e-02,1.79530117861125564568e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,4,5,3.63302226813872253252e-01,1.79530117861125564568e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,4,5,1.79530117861125469201e+09,1.79530117861125564568e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,5,6,6.4584255218505859375e-02,1.7953011786112880707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,5,6,3.49561123535087447944e-01,1.7953011786112880707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,5,6,1.79530117861128735547e+09,1.7953011786112880707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,6,7,2.68728472292423248291e-02,1.79530117861132192612e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,6,7,1.13268302626200675908e-01,1.79530117861132192612e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,6,7,1.79530117861132144929e+09,1.79530117861132192612e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,7,8,9.30298119783401489257e-03,1.79530117861136794083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,7,8,1.02916842869990698972e-01,1.79530117861136794083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,7,8,1.79530117861136484145e+09,1.79530117861136794083e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,8,9,2.267589569091796875e-01,1.79530117861141443255e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,8,9,9.41621263502863459216e-01,1.79530117861141443255e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,8,9,1.79530117861141371728e+09,1.79530117861141443255e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,9,10,2.96636939048767089843e-01,1.79530117861145114893e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,9,10,5.73484607669791146555e-01,1.79530117861145114893e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,9,10,1.7953011786114506721e+09,1.79530117861145114893e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,10,11,4.36484992504119873046e-01,1.79530117864226698874e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,10,11,1.20401089721214948902e+00,1.79530117864226698874e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,10,11,1.79530117864225554464e+09,1.79530117864226698874e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,11,12,4.26541864871978759765e-01,1.79530117864243650436e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,11,12,1.03376898417651442996e-02,1.79530117864243650436e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,11,12,1.7953011786424350739e+09,1.79530117864243650436e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,12,13,0.353519082069397,1.79530117864248180388e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,12,13,-0.602663300698126,1.79530117864248180388e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,12,13,1.79530117864248108861e+09,1.79530117864248180388e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,13,14,2.85602718591690063476e-01,1.79530117864251804356e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,13,14,-0.57778780103104,1.79530117864251804356e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,13,14,1.79530117864251756668e+09,1.79530117864251804356e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,14,15,3.34850996732711791992e-01,1.79530117864255070684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,14,15,1.95682049098640838818e-03,1.79530117864255070684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,14,15,1.79530117864255023005e+09,1.79530117864255070684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,15,16,5.5039882659912109375e-01,1.79530117864258313177e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,15,16,1.34020314709728771696e+00,1.79530117864258313177e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,15,16,1.79530117864258241654e+09,1.79530117864258313177e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,16,17,3.90244007110595703125e-01,1.79530117864261460304e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,16,17,-7.32156188673511731934e-01,1.79530117864261460304e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,16,17,1.7953011786426143646e+09,1.79530117864261460304e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,17,18,2.84992218017578125e-01,1.79530117864264702792e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,17,18,-2.52400878276375528752e-01,1.79530117864264702792e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,17,18,1.79530117864264655109e+09,1.79530117864264702792e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,18,19,3.42267423868179321289e-01,1.79530117864268016821e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,18,19,4.3983318576711538661e-01,1.79530117864268016821e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,18,19,1.79530117864267921455e+09,1.79530117864268016821e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,19,20,2.91685819625854492187e-01,1.79530117864271163943e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,19,20,1.18902235943420336861e-01,1.79530117864271163943e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,19,20,1.79530117864271092417e+09,1.79530117864271163943e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,20,21,3.0459880828857421875e-01,1.79530117867416977878e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,20,21,1.57339630549483855403e-01,1.79530117867416977878e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,20,21,1.79530117867416167255e+09,1.79530117867416977878e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,21,22,0.158086895942688,1.79530117867430496214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,21,22,-4.29832184920983906284e-01,1.79530117867430496214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,21,22,1.79530117867430424687e+09,1.79530117867430496214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,22,23,2.53681719303131103515e-01,1.7953011786743471622e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,22,23,3.94812540784610865873e-01,1.7953011786743471622e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,22,23,1.79530117867434668536e+09,1.7953011786743471622e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/weight',1,23,24,3.36440920829772949218e-01,1.79530117867438125615e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/noise',1,23,24,5.77065967113845723623e-01,1.79530117867438125615e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-kswn7pq6','toy/speed',1,23,24,1.79530117867438077927e+09,1.79530117867438125615e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,0,1,2.18077182769775390625e-01,1.79530119062627243993e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,0,1,4.88086058888935692134e-01,1.79530119062627243993e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,0,1,1.7953011906262476444e+09,1.79530119062627243993e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,1,2,3.08299481868743896484e-01,1.7953011906268045902e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,1,2,5.49587439598009930286e-01,1.7953011906268045902e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,1,2,1.79530119062680149077e+09,1.7953011906268045902e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,2,3,-4.25799787044525146484e-01,1.79530119062687158583e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,2,3,-1.48650513865496,1.79530119062687158583e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,2,3,1.79530119062687063217e+09,1.79530119062687158583e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,3,4,-1.3684920966625213623e-02,1.79530119062690734859e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,3,4,9.42121396837427793613e-01,1.79530119062690734859e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,3,4,1.79530119062690663332e+09,1.79530119062690734859e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,4,5,3.79531145095825195312e-01,1795301190.62694,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,4,5,1.13192287187466189557e+00,1795301190.62694,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,4,5,1.79530119062693905825e+09,1795301190.62694,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,5,6,-8.84560048580169677734e-02,1.79530119062697029116e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,5,6,-7.95020901044244610034e-01,1.79530119062697029116e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,5,6,1.79530119062696957585e+09,1.79530119062697029116e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,6,7,-4.23483639955520629882e-01,1.79530119062700057024e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,6,7,-6.4946756829377783049e-01,1.79530119062700057024e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,6,7,1.79530119062699985502e+09,1.79530119062700057024e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,7,8,-6.83567881584167480468e-01,1.79530119062704110141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,7,8,-4.87707923362160844504e-01,1.79530119062704110141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,7,8,1.79530119062703824041e+09,1.79530119062704110141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,8,9,-0.771440863609314,1.79530119062708377842e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,8,9,-7.98960642367331219659e-01,1.79530119062708377842e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,8,9,1.7953011906270830632e+09,1.79530119062708377842e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,9,10,-0.815779983997345,1.79530119062711524969e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,9,10,-6.21730411989472764311e-01,1.79530119062711524969e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,9,10,1.79530119062711453442e+09,1.79530119062711524969e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,10,11,-1.47725749015808105468e+00,1.79530119065000820163e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,10,11,-2.08130847738453228501e+00,1.79530119065000820163e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,10,11,1.79530119065000104902e+09,1.79530119065000820163e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,11,12,-9.02820825576782226562e-01,1.79530119065013384817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,11,12,1.28517875879956799956e+00,1.79530119065013384817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,11,12,1.79530119065013265612e+09,1.79530119065013384817e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,12,13,-5.27911663055419921875e-01,1.79530119065017271045e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,12,13,1.06164622480909209834e+00,1.79530119065017271045e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,12,13,1.79530119065017199518e+09,1.79530119065017271045e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,13,14,-4.17179405689239501953e-01,1.79530119065020394328e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,13,14,4.20753193197010655346e-01,1.79530119065020394328e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,13,14,1.79530119065020346644e+09,1.79530119065020394328e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,14,15,-7.47738033533096313476e-03,1.79530119065023374561e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,14,15,7.77079322253035109646e-01,1.79530119065023374561e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,14,15,1.79530119065023326878e+09,1.79530119065023374561e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,15,16,-4.38331633806228637695e-01,1.79530119065026283258e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,15,16,-8.59625465026828128323e-01,1.79530119065026283258e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,15,16,1.79530119065026211736e+09,1.79530119065026283258e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,16,17,-5.66467642784118652343e-01,1.79530119065028929709e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,16,17,-4.74143794721567868322e-01,1.79530119065028929709e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,16,17,1.79530119065028882026e+09,1.79530119065028929709e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,17,18,2.97691941261291503906e-01,1.79530119065031790737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,17,18,1.60781261825075150184e+00,1.79530119065031790737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,17,18,1.79530119065031743049e+09,1.79530119065031790737e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,18,19,1.03381961584091186523e-01,1.79530119065034723287e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,18,19,-2.37789381879677019782e-01,1.79530119065034723287e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,18,19,1.7953011906503465176e+09,1.79530119065034723287e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,19,20,1.95919215679168701171e-01,1.79530119065037465091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,19,20,2.24408003411447953823e-01,1.79530119065037465091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,19,20,1.79530119065037441251e+09,1.79530119065037465091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,20,21,1.6947104036808013916e-01,1.79530119066998052599e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,20,21,4.81188772550539378691e-01,1.79530119066998052599e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,20,21,1.79530119066997313499e+09,1.79530119066998052599e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,21,22,4.57254886627197265625e-01,1.79530119067009568214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,21,22,0.608179451428931,1.79530119067009568214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,21,22,1.79530119067009449008e+09,1.79530119067009568214e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,22,23,1.19688296318054199218e+00,1.79530119067013263708e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,22,23,1.68180188297930421903e+00,1.79530119067013263708e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,22,23,1.79530119067013216021e+09,1.79530119067013263708e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/weight',1,23,24,1.401485443115234375e+00,1.79530119067016291625e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/noise',1,23,24,0.955547086786644,1.79530119067016291625e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s1-g10xjpjb','toy/speed',1,23,24,1.79530119067016243937e+09,1.79530119067016291625e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,0,1,3.07851552963256835937e-01,1.79530119680532121656e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,0,1,0.558507421118354,1.79530119680532121656e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,0,1,1795301196.80531,1.79530119680532121656e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,1,2,1.82607799768447875976e-01,1.79530119680590796466e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,1,2,-2.23696120727711611486e-01,1.79530119680590796466e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,1,2,1.79530119680590391157e+09,1.79530119680590796466e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,2,3,6.29208087921142578125e-01,1.79530119680597352984e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,2,3,1.10490089495042376199e+00,1.79530119680597352984e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,2,3,1.79530119680597281461e+09,1.79530119680597352984e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,3,4,1.00039280951023101806e-01,1.79530119680600881576e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,3,4,-9.32340948762461763088e-01,1.79530119680600881576e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,3,4,1.79530119680600810049e+09,1.79530119680600881576e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,4,5,-1.10347427427768707275e-01,1.79530119680604052538e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,4,5,-6.38198816352146813812e-01,1.79530119680604052538e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,4,5,1.79530119680603981015e+09,1.79530119680604052538e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,5,6,5.85752367973327636718e-01,1.79530119680609560016e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,5,6,1.57164389730250020349e+00,1.79530119680609560016e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,5,6,1.79530119680609273908e+09,1.79530119680609560016e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,6,7,3.38369697332382202148e-01,1.79530119680615901948e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,6,7,-3.53077170441152221602e-01,1.79530119680615901948e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,6,7,1.79530119680615806582e+09,1.79530119680615901948e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,7,8,1.01278498768806457519e-02,1.79530119680621838571e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,7,8,-4.52194537566591669985e-01,1.79530119680621838571e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,7,8,1.79530119680621457096e+09,1.79530119680621838571e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,8,9,5.17104744911193847656e-01,1.7953011968062851429e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,8,9,8.48990544099852750825e-01,1.7953011968062851429e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,8,9,1.7953011968062839508e+09,1.7953011968062851429e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,9,10,0.0838237926363945,1.79530119680632114414e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,9,10,-1.28158525861442584847e+00,1.79530119680632114414e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,9,10,1.79530119680632042891e+09,1.79530119680632114414e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,10,11,1.34420782327651977539e-01,1.7953011968181321621e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,10,11,-2.6852216830642979678e-02,1.7953011968181321621e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,10,11,1.79530119681812477113e+09,1.7953011968181321621e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,11,12,3.18730115890502929687e-01,1.79530119681828880312e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,11,12,4.74086638158745354854e-01,1.79530119681828880312e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,11,12,1.79530119681828713418e+09,1.79530119681828880312e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,12,13,-5.089626312255859375e-01,1.79530119681834959984e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,12,13,-1.92854880303611664338e+00,1.79530119681834959984e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,12,13,1.79530119681834864618e+09,1.79530119681834959984e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,13,14,-2.2131067514419555664e-01,1.79530119681839895251e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,13,14,5.88413857322261479865e-01,1.79530119681839895251e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,13,14,1.79530119681839823728e+09,1.79530119681839895251e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',1,14,15,7.76413828134536743164e-03,1.79530119681844568249e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',1,14,15,7.49844839866925738647e-01,1.79530119681844568249e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',1,14,15,1.79530119681844449039e+09,1.79530119681844568249e+09,1);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,15,11,1.34420782327651977539e-01,1.79530120280619382854e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,15,11,-2.6852216830642979678e-02,1.79530120280619382854e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,15,11,1795301202.80618,1.79530120280619382854e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,16,12,3.18730115890502929687e-01,1.79530120280643677712e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,16,12,4.74086638158745354854e-01,1.79530120280643677712e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,16,12,1.79530120280643415453e+09,1.79530120280643677712e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,17,13,-5.089626312255859375e-01,1.79530120280649566652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,17,13,-1.92854880303611664338e+00,1.79530120280649566652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,17,13,1.79530120280649471285e+09,1.79530120280649566652e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,18,14,-2.2131067514419555664e-01,1.79530120280653476719e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,18,14,5.88413857322261479865e-01,1.79530120280653476719e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,18,14,1.79530120280653357513e+09,1.79530120280653476719e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,19,15,7.76413828134536743164e-03,1.79530120280656671528e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,19,15,7.49844839866925738647e-01,1.79530120280656671528e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,19,15,1.79530120280656623841e+09,1.79530120280656671528e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,20,16,5.20312860608100891113e-02,1.79530120280659818651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,20,16,1.40386524749069402373e-01,1.79530120280659818651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,20,16,1.79530120280659770968e+09,1.79530120280659818651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,21,17,1.6671714186668395996e-01,1.79530120280662846567e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,21,17,6.46552642364040419664e-01,1.79530120280662846567e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,21,17,1.7953012028066277504e+09,1.79530120280662846567e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,22,18,2.60449051856994628906e-02,1.79530120280666899684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,22,18,-4.8431566493255756578e-01,1.79530120280666899684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,22,18,1.79530120280666613576e+09,1.79530120280666899684e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,23,19,-1.65416091680526733398e-01,1.79530120280671429632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,23,19,-0.612283524887667,1.79530120280671429632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,23,19,1.79530120280671334266e+09,1.79530120280671429632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,24,20,-2.80605733394622802734e-01,1.79530120280674791331e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,24,20,-3.69926324374637072178e-01,1.79530120280674791331e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,24,20,1.79530120280674743648e+09,1.79530120280674791331e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,25,21,-3.60795170068740844726e-01,1.79530120281667733193e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,25,21,7.45665394292389649422e-02,1.79530120281667733193e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,25,21,1.79530120281667041775e+09,1.79530120281667733193e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,26,22,1.88897550106048583984e-01,1.79530120281679320334e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,26,22,1.25606993607210437602e+00,1.79530120281679320334e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,26,22,1.79530120281679153441e+09,1.79530120281679320334e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,27,23,5.43046966195106506347e-02,1.79530120281682968141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,27,23,-1.74650859128549745813e-01,1.79530120281682968141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,27,23,1.79530120281682920458e+09,1.79530120281682968141e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/weight',2,28,24,-3.62266123294830322265e-01,1.79530120281686115264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/noise',2,28,24,-1.04328893370288922071e+00,1.79530120281686115264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s2-zxvvnr1b','toy/speed',2,28,24,1.79530120281686067585e+09,1.79530120281686115264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/weight',1,0,1,1.54138267040252685546e-01,1.79530121213830852512e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/noise',1,0,1,5.86665666324198809e-01,1.79530121213830852512e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/speed',1,0,1,1.79530121213828873635e+09,1.79530121213830852512e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/weight',1,1,2,4.8494720458984375e-01,1.79530121213874912264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/noise',1,1,2,8.91894617558649738242e-01,1.79530121213874912264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/speed',1,1,2,1.79530121213874268529e+09,1.79530121213874912264e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/weight',1,2,3,1.18820559978485107421e+00,1.79530121213885951046e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/noise',1,2,3,2.26302394249092486688e+00,1.79530121213885951046e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/speed',1,2,3,1.79530121213885712622e+09,1.79530121213885951046e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/weight',1,3,4,1.26046633720397949218e+00,1.79530121213891482355e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/noise',1,3,4,3.18425781803162333272e-01,1.79530121213891482355e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/speed',1,3,4,1.79530121213891386989e+09,1.79530121213891482355e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/weight',1,4,5,8.44647347927093505859e-01,1.7953012121389584541e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/noise',1,4,5,-1.35807280729724810797e+00,1.7953012121389584541e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s3-57wazng3','toy/speed',1,4,5,1.795301212138957262e+09,1.7953012121389584541e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,0,1,4.06208038330078125e-01,1.79530122151511955259e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,0,1,7.02700625637146858437e-01,1.79530122151511955259e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,0,1,1.79530122151510787009e+09,1.79530122151511955259e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,1,2,8.43444466590881347656e-02,1.79530122151541852949e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,1,2,-4.9932880618572778042e-01,1.79530122151541852949e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,1,2,1.795301221515414238e+09,1.79530122151541852949e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,2,3,-3.42348009347915649414e-01,1.79530122151548814776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,2,3,-1.3772428827632423598e+00,1.79530122151548814776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,2,3,1.79530122151548719409e+09,1.79530122151548814776e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,3,4,-4.89346235990524291992e-01,1.79530122151552486422e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,3,4,-2.48331049547527743515e-01,1.79530122151552486422e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,3,4,1.79530122151552414891e+09,1.79530122151552486422e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,4,5,-7.09742903709411621093e-02,1.79530122151555800438e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,4,5,1.24604142338610257567e+00,1.79530122151555800438e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,4,5,1.79530122151555705072e+09,1.79530122151555800438e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,5,6,3.19024384021759033203e-01,1.79530122151558828354e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,5,6,1.84216785033318675157e-01,1.79530122151558828354e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,5,6,1.79530122151558756832e+09,1.79530122151558828354e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,6,7,7.16072171926498413085e-02,1.79530122151561903958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,6,7,-5.21420682564314508233e-01,1.79530122151561903958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,6,7,1.79530122151561856271e+09,1.79530122151561903958e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,7,8,-4.5820623636245727539e-03,1.7953012215156595707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,7,8,1.71844153331870752587e-01,1.7953012215156595707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,7,8,1.79530122151565647119e+09,1.7953012215156595707e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,8,9,-4.0092760324478149414e-01,1.7953012215214886665e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,8,9,-1.13508520291571302074e+00,1.7953012215214886665e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,8,9,1.79530122152148246769e+09,1.7953012215214886665e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,9,10,-3.29534232616424560546e-01,1.79530122152163481704e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,9,10,-1.32180319622008018987e-01,1.79530122152163481704e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,9,10,1.79530122152163386338e+09,1.79530122152163481704e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,10,11,-2.32807993888854980468e-01,1.7953012215581336022e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,10,11,1.31095991756349478096e-01,1.7953012215581336022e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,10,11,1.7953012215581247807e+09,1.7953012215581336022e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,11,12,1.56416147947311401367e-01,1.79530122155829906464e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,11,12,1.19281320144542712924e+00,1.79530122155829906464e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,11,12,1.79530122155829763418e+09,1.79530122155829906464e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,12,13,4.96299445629119873046e-01,1.79530122155834531783e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,12,13,1.11728061232317332773e+00,1.79530122155834531783e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,12,13,1.79530122155834436416e+09,1.79530122155834531783e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,13,14,3.66729557514190673828e-01,1.79530122155837869651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,13,14,-5.04380831347245525697e-02,1.79530122155837869651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,13,14,1.79530122155837821955e+09,1.79530122155837869651e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,14,15,5.61811685562133789062e-01,1.79530122155840873715e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,14,15,8.99647364904254565054e-01,1.79530122155840873715e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,14,15,1.79530122155840826028e+09,1.79530122155840873715e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,15,16,-1.76513686776161193847e-01,1.79530122155843901632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,15,16,-1.63147277006106050656e+00,1.79530122155843901632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,15,16,1.79530122155843830105e+09,1.79530122155843901632e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,16,17,-2.78432756662368774414e-01,1.79530122155846762655e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,16,17,-3.74849503715242671209e-01,1.79530122155846762655e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,16,17,1.79530122155846714971e+09,1.79530122155846762655e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,17,18,3.46694201231002807617e-01,1.79530122155849599838e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,17,18,1.0617999175439984949e+00,1.79530122155849599838e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,17,18,1.79530122155849575999e+09,1.79530122155849599838e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,18,19,1.09521210193634033203e+00,1.79530122155852603915e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,18,19,2.05739655654434727694e+00,1.79530122155852603915e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,18,19,1.79530122155852532388e+09,1.79530122155852603915e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,19,20,1.03806853294372558593e+00,1.79530122155855655671e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,19,20,1.03473551044023309719e-01,1.79530122155855655671e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,19,20,1.79530122155855631832e+09,1.79530122155855655671e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,20,21,1.5483480691909790039e+00,1.7953012215860440731e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,20,21,1.29241612033573738393e+00,1.7953012215860440731e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,20,21,1.79530122158603405949e+09,1.7953012215860440731e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,21,22,1.72651767730712890625e+00,1.79530122158622217174e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,21,22,0.825991440269147,1.79530122158622217174e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,21,22,1.79530122158621954914e+09,1.79530122158622217174e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,22,23,1.49237811565399169921e+00,1.79530122158629131317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,22,23,-3.12438113016863749926e-01,1.79530122158629131317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,22,23,1.79530122158629012107e+09,1.79530122158629131317e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/weight',1,23,24,9.91240143775939941406e-01,1.79530122158634400366e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/noise',1,23,24,-1.23411625243611022817e+00,1.79530122158634400366e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s4-mmzsg1wx','toy/speed',1,23,24,1.79530122158634281156e+09,1.79530122158634400366e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,0,1,-3.32710087299346923828e-01,1.7953012368971998691e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,0,1,-5.7688494496313280635e-01,1.7953012368971998691e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,0,1,1.79530123689718818661e+09,1.7953012368971998691e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,1,2,-8.01308095455169677734e-01,1.79530123689988946921e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,1,2,-1.41735876384461900734e+00,1.79530123689988946921e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,1,2,1.79530123689988374709e+09,1.79530123689988946921e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,2,3,-1.12701928615570068359e+00,1.7953012368999795913e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,2,3,-9.01803090800417428418e-01,1.7953012368999795913e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,2,3,1.79530123689997863764e+09,1.7953012368999795913e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,3,4,-1.13216388225555419921e+00,1.79530123690001511575e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,3,4,-2.06993198107269571472e-01,1.79530123690001511575e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,3,4,1.79530123690001440052e+09,1.79530123690001511575e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,4,5,-8.07529032230377197265e-01,1.79530123690004658702e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,4,5,7.5016723604061730235e-01,1.79530123690004658702e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,4,5,1.79530123690004587175e+09,1.79530123690004658702e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,5,6,-9.52981829643249511718e-01,1.79530123690007662774e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,5,6,-1.07738013762611983814e+00,1.79530123690007662774e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,5,6,1.79530123690007615091e+09,1.79530123690007662774e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,6,7,-1.32855141162872314453e+00,1.79530123690010666847e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,6,7,-1.03150303279773214448e+00,1.79530123690010666847e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,6,7,1.79530123690010595324e+09,1.79530123690010666847e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,7,8,-1.09094452857971191406e+00,1.79530123690014767647e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,7,8,0.610563145075741,1.79530123690014767647e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,7,8,1.79530123690014433855e+09,1.79530123690014767647e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,8,9,-1.21900105476379394531e+00,1.79530123690019297599e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,8,9,-5.09267888214914199451e-01,1.79530123690019297599e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,8,9,1.79530123690019226072e+09,1.79530123690019297599e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,9,10,-7.57186293601989746093e-01,1.79530123690022659294e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,9,10,7.68124612177011778513e-01,1.79530123690022659294e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,9,10,1.79530123690022611615e+09,1.79530123690022659294e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,10,11,1.56705647706985473632e-01,1.79530123692204475406e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,10,11,1.68695975829994848638e+00,1.79530123692204475406e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,10,11,1.79530123692203760149e+09,1.79530123692204475406e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,11,12,0.583763837814331,1.79530123692216825488e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,11,12,1.01725641195908722558e+00,1.79530123692216825488e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,11,12,1.79530123692216730122e+09,1.79530123692216825488e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,12,13,2.60502934455871582031e-01,1.79530123692220807078e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,12,13,-3.91311908229483362831e-01,1.79530123692220807078e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,12,13,1.79530123692220759399e+09,1.79530123692220807078e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,13,14,-1.06724940240383148193e-01,1795301236.9223,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,13,14,-7.765674935411287505e-01,1795301236.9223,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,13,14,1.79530123692229914662e+09,1795301236.9223,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/weight',1,14,15,0.409079372882843,1.79530123692233514786e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/noise',1,14,15,1.74270791990312678976e+00,1.79530123692233514786e+09,0);
INSERT INTO "point" VALUES('toy-beta-s5-mqhbyqts','toy/speed',1,14,15,1.79530123692233467102e+09,1.79530123692233514786e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/weight',1,0,4,-5.70817470550537109375e-01,1.79530124608836841584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/noise',1,0,4,0.0,1.79530124608836841584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/speed',1,0,4,1.79530124608835840228e+09,1.79530124608836841584e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/weight',1,1,8,-5.97787320613861083984e-01,1.7953012460885703563e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/noise',1,1,8,0.0,1.7953012460885703563e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/speed',1,1,8,1.79530124608856868741e+09,1.7953012460885703563e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/weight',1,2,12,-4.31894421577453613281e-01,1.79530124611404323575e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/noise',1,2,12,0.0,1.79530124611404323575e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-rx1jrkkc','toy/speed',1,2,12,1.79530124611403369902e+09,1.79530124611404323575e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/weight',1,0,4,-1.87729299068450927734e-01,1.79530124641116380686e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/noise',1,0,4,0.0,1.79530124641116380686e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/speed',1,0,4,1.7953012464111540317e+09,1.79530124641116380686e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/weight',1,1,8,-2.61048644781112670898e-01,1.79530124641133332252e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/noise',1,1,8,0.0,1.79530124641133332252e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/speed',1,1,8,1.79530124641133165359e+09,1.79530124641133332252e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/weight',1,2,12,-3.44690144062042236328e-01,1.79530124643409800524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/noise',1,2,12,0.0,1.79530124643409800524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-jdba8zq9','toy/speed',1,2,12,1.7953012464340884686e+09,1.79530124643409800524e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/weight',1,0,4,-8.04121494293212890625e-02,1.79530124716721630091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/noise',1,0,4,0.0,1.79530124716721630091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/speed',1,0,4,1.79530124716720557208e+09,1.79530124716721630091e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/weight',1,1,8,-1.25882863998413085937e-01,1.79530124716740155212e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/noise',1,1,8,0.0,1.79530124716740155212e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/speed',1,1,8,1.79530124716739773746e+09,1.79530124716740155212e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/weight',1,2,12,-1.95178106427192687988e-01,1.79530124719516563421e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/noise',1,2,12,0.0,1.79530124719516563421e+09,0);
INSERT INTO "point" VALUES('toy-alpha-s0-9kpzaj29','toy/speed',1,2,12,1.79530124719515800477e+09,1.79530124719516563421e+09,0);
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
INSERT INTO "result" VALUES('toy-alpha-s0-kswn7pq6','toy/score',1,0,24,1.0,2,0.0,0);
INSERT INTO "result" VALUES('toy-alpha-s0-kswn7pq6','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s1-g10xjpjb','toy/score',1,0,24,2.0,2,1.41421356237309514547e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s1-g10xjpjb','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s2-zxvvnr1b','toy/score',2,0,24,1.5,2,2.12132034355964238514e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s2-zxvvnr1b','toy/length',2,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s4-mmzsg1wx','toy/score',1,0,24,1.5,2,7.07106781186547572737e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s4-mmzsg1wx','toy/length',1,1,24,3.0,2,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-rx1jrkkc','toy/score',1,0,12,3.0,5,1.41421356237309514547e+00,0);
INSERT INTO "result" VALUES('toy-alpha-s0-rx1jrkkc','toy/length',1,1,12,6.0,5,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-jdba8zq9','toy/score',1,0,12,3.4,5,8.94427190999915855407e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s0-jdba8zq9','toy/length',1,1,12,6.0,5,NULL,0);
INSERT INTO "result" VALUES('toy-alpha-s0-9kpzaj29','toy/score',1,0,12,3.4,5,8.94427190999915855407e-01,0);
INSERT INTO "result" VALUES('toy-alpha-s0-9kpzaj29','toy/length',1,1,12,6.0,5,NULL,0);
CREATE TABLE rlvit_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT rlvit_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "rlvit_version" VALUES('0004');
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
INSERT INTO "run" VALUES('toy-alpha-s0-kswn7pq6',1,'first',0,'quick','toy','rlvit-toy 1.0','completed',1,'noted: it''s ''quoted''',0,'/home/me/lab/runs/toy-alpha-s0-kswn7pq6',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 0 --name first --tag kind=a --note ''the first, with \u00fc'' --rate 0.05", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530117841720247267e+09,1.79530117849790740009e+09,1795301178.71314,1.61171891995763871818e-01,1795301178.71114,'{"host": "laptop", "boot": 1795265609.0, "pid": 10016, "started": 1795301170.06}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s1-g10xjpjb',2,'toy-alpha-s1-g10xjpjb',1,'quick','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s1-g10xjpjb',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530119039944648746e+09,1.79530119047791266438e+09,1.7953011907351658344e+09,1.83972470993467140942e-01,1.79530119072450518608e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10092, "started": 1795301181.49}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s2-zxvvnr1b',2,'toy-alpha-s2-zxvvnr1b',2,'quick','toy','rlvit-toy 1.0','completed',2,'',0,'/home/me/lab/runs/toy-alpha-s2-zxvvnr1b',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 2 --log-every 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530119669329714772e+09,1.79530119674589276309e+09,1.79530120284860110284e+09,6.89956330024870112538e-02,1.79530120284725117681e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10165, "started": 1795301198.02}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s3-57wazng3',2,'toy-alpha-s3-57wazng3',3,'quick','toy','rlvit-toy 1.0','failed',1,'',0,'/home/me/lab/runs/toy-alpha-s3-57wazng3',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 3 --selector toy-pick", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530121186331796646e+09,1.79530121198611259465e+09,1.7953012121592555046e+09,9.7074269993754569441e-02,1.79530121214883184432e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10263, "started": 1795301205.19}','ValueError: the toy broke');
INSERT INTO "run" VALUES('toy-alpha-s4-mmzsg1wx',2,'gone',4,'quick','toy','rlvit-toy 1.0','completed',1,'',1,'/home/me/lab/runs/toy-alpha-s4-mmzsg1wx',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 4 --name gone", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530122128700399394e+09,1.79530122138599562645e+09,1.79530122165201902386e+09,1.99053022006410174071e-01,1.79530122164960980412e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10324, "started": 1795301213.92}',NULL);
INSERT INTO "run" VALUES('toy-beta-s5-mqhbyqts',3,'toy-beta-s5-mqhbyqts',5,'quick','toy','rlvit-toy 1.0','interrupted',1,'',0,'/home/me/lab/runs/toy-beta-s5-mqhbyqts',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 5 --puzzle Beta", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530123677099323273e+09,1.79530123681579709049e+09,1.79530123694633913034e+09,9.0899185001035220921e-02,1.79530123694044399258e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10476, "started": 1795301232.09}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-rx1jrkkc',4,'toy-alpha-s0-rx1jrkkc',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-rx1jrkkc',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530124598629426953e+09,1.79530124602580356597e+09,1.79530124615086793902e+09,9.17119060031836852431e-02,1.79530124614516830442e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-jdba8zq9',5,'toy-alpha-s0-jdba8zq9',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-jdba8zq9',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530124632480764385e+09,1.79530124635782599449e+09,1.79530124646130394934e+09,7.54637950012693181633e-02,1.79530124646020936961e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',NULL);
INSERT INTO "run" VALUES('toy-alpha-s0-9kpzaj29',6,'toy-alpha-s0-9kpzaj29',0,'official-code','toy','rlvit-toy 1.0','completed',1,'',0,'/home/me/lab/runs/toy-alpha-s0-9kpzaj29',NULL,NULL,'{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}','{}',1.79530124663126897815e+09,1.79530124667787909509e+09,1.79530124724753594399e+09,0.534181342998636,1.79530124724617171291e+09,'{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',NULL);
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
INSERT INTO "study" VALUES('toy-alpha-5270b436','toy-alpha','5270b43637e334c372618f540d3c14395d1102e717818e47f308ea62d9712a87','toy','Alpha','official','official-code','{"plugin": "toy", "task": "Alpha", "preset": "official-code", "protocol": "official", "slots": {}, "values": {"steps": 12, "log_every": 4}, "seed": 0, "name": null, "note": "", "tags": {}, "device": "cpu", "threads": 1, "data_root": null, "skip_bad_images": false, "trained": null}','{"rate": {"whole": false, "low": 0.01, "high": 0.5, "log": true, "step": null, "choices": []}}','{"toy/score": "max"}','{"name": "tpe", "startup": null, "population": null}','{"name": "none"}',0,'{"runs": [0]}',3,'','runs/optuna.db',1.79530124455976271627e+09);
CREATE TABLE tag (
	run_id VARCHAR(120) NOT NULL, 
	"key" VARCHAR(120) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_tag PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_tag_run_id_run FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "tag" VALUES('toy-alpha-s0-kswn7pq6','kind','b');
INSERT INTO "tag" VALUES('toy-alpha-s0-kswn7pq6','good','');
INSERT INTO "tag" VALUES('toy-alpha-s0-rx1jrkkc','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-rx1jrkkc','trial','0');
INSERT INTO "tag" VALUES('toy-alpha-s0-jdba8zq9','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-jdba8zq9','trial','1');
INSERT INTO "tag" VALUES('toy-alpha-s0-9kpzaj29','study','toy-alpha-5270b436');
INSERT INTO "tag" VALUES('toy-alpha-s0-9kpzaj29','trial','2');
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
INSERT INTO "transition" VALUES(1,'toy-alpha-s0-kswn7pq6',0,NULL,'created',1.79530117841720247267e+09,'','{}');
INSERT INTO "transition" VALUES(2,'toy-alpha-s0-kswn7pq6',1,'created','running',1.79530117849790740009e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 0 --name first --tag kind=a --note ''the first, with \u00fc'' --rate 0.05", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(3,'toy-alpha-s0-kswn7pq6',1,'running','completed',1795301178.71314,'','{}');
INSERT INTO "transition" VALUES(4,'toy-alpha-s1-g10xjpjb',0,NULL,'created',1.79530119039944648746e+09,'','{}');
INSERT INTO "transition" VALUES(5,'toy-alpha-s1-g10xjpjb',1,'created','running',1.79530119047791266438e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(6,'toy-alpha-s1-g10xjpjb',1,'running','completed',1.7953011907351658344e+09,'','{}');
INSERT INTO "transition" VALUES(7,'toy-alpha-s2-zxvvnr1b',0,NULL,'created',1.79530119669329714772e+09,'','{}');
INSERT INTO "transition" VALUES(8,'toy-alpha-s2-zxvvnr1b',1,'created','running',1.79530119674589276309e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 2 --log-every 1", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(9,'toy-alpha-s2-zxvvnr1b',1,'running','interrupted',1.79530119793689346315e+09,'its process is gone','{}');
INSERT INTO "transition" VALUES(10,'toy-alpha-s2-zxvvnr1b',2,'interrupted','running',1.79530120273417353625e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126", "command": "rlvit --home /home/me/lab resume latest", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1}');
INSERT INTO "transition" VALUES(11,'toy-alpha-s2-zxvvnr1b',2,'running','completed',1.79530120284860110284e+09,'','{}');
INSERT INTO "transition" VALUES(12,'toy-alpha-s3-57wazng3',0,NULL,'created',1.79530121186331796646e+09,'','{}');
INSERT INTO "transition" VALUES(13,'toy-alpha-s3-57wazng3',1,'created','running',1.79530121198611259465e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 3 --selector toy-pick", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(14,'toy-alpha-s3-57wazng3',1,'running','failed',1.7953012121592555046e+09,'ValueError: the toy broke','{}');
INSERT INTO "transition" VALUES(15,'toy-alpha-s4-mmzsg1wx',0,NULL,'created',1.79530122128700399394e+09,'','{}');
INSERT INTO "transition" VALUES(16,'toy-alpha-s4-mmzsg1wx',1,'created','running',1.79530122138599562645e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 4 --name gone", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(17,'toy-alpha-s4-mmzsg1wx',1,'running','completed',1.79530122165201902386e+09,'','{}');
INSERT INTO "transition" VALUES(18,'toy-beta-s5-mqhbyqts',0,NULL,'created',1.79530123677099323273e+09,'','{}');
INSERT INTO "transition" VALUES(19,'toy-beta-s5-mqhbyqts',1,'created','running',1.79530123681579709049e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab run --plugin toy --puzzle Alpha --preset quick --threads 1 --device cpu --seed 5 --puzzle Beta", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(20,'toy-beta-s5-mqhbyqts',1,'running','interrupted',1.79530123694633913034e+09,'stopped as asked','{}');
INSERT INTO "transition" VALUES(21,'toy-alpha-s0-rx1jrkkc',0,NULL,'created',1.79530124598629426953e+09,'','{}');
INSERT INTO "transition" VALUES(22,'toy-alpha-s0-rx1jrkkc',1,'created','running',1.79530124602580356597e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(23,'toy-alpha-s0-rx1jrkkc',1,'running','completed',1.79530124615086793902e+09,'','{}');
INSERT INTO "transition" VALUES(24,'toy-alpha-s0-jdba8zq9',0,NULL,'created',1.79530124632480764385e+09,'','{}');
INSERT INTO "transition" VALUES(25,'toy-alpha-s0-jdba8zq9',1,'created','running',1.79530124635782599449e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(26,'toy-alpha-s0-jdba8zq9',1,'running','completed',1.79530124646130394934e+09,'','{}');
INSERT INTO "transition" VALUES(27,'toy-alpha-s0-9kpzaj29',0,NULL,'created',1.79530124663126897815e+09,'','{}');
INSERT INTO "transition" VALUES(28,'toy-alpha-s0-9kpzaj29',1,'created','running',1.79530124667787909509e+09,'','{"git_commit": null, "git_dirty": null, "git_tree": null, "command": "rlvit --home /home/me/lab tune --plugin toy --puzzle Alpha --preset official-code --device cpu --objective score --space rate=0.01..0.5:log --fix steps=12 --fix log_every=4 --trials 3 --threads 1 --print-every 0", "folder": "/home/me/lab", "python": "3.11.7", "packages": {"rlvit": "0.1.0", "rlvit-toy": "1.0", "alembic": "1.20.1", "numpy": "2.4.6", "torch": "2.13.0+cpu", "pydantic": "2.14.3", "SQLAlchemy": "2.1.9", "click": "8.5.1"}, "user": "me", "host": "laptop", "platform": "Linux-6.1-x86_64", "cpu": "a CPU", "cpus": 2, "memory_bytes": 25276510208, "device": "cpu", "gpu": null, "threads": 1, "git_diff": "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"}');
INSERT INTO "transition" VALUES(29,'toy-alpha-s0-9kpzaj29',1,'running','completed',1.79530124724753594399e+09,'','{}');
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
INSERT INTO "trial" VALUES('toy-alpha-5270b436',0,'completed','{"rate": 0.4679212806267253}','{"toy/score": 3.0}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',1.79530124613581776619e+09,1.79530124573773384091e+09,1.79530124621972012521e+09);
INSERT INTO "trial" VALUES('toy-alpha-5270b436',1,'completed','{"rate": 0.15040921476262212}','{"toy/score": 3.4}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',1.79530124645182824136e+09,1.79530124627366399767e+09,1.79530124651962685582e+09);
INSERT INTO "trial" VALUES('toy-alpha-5270b436',2,'completed','{"rate": 0.06544010276102334}','{"toy/score": 3.4}','','','{"host": "laptop", "boot": 1795265609.0, "pid": 10580, "started": 1795301240.1}',1.79530124723383235929e+09,1.7953012465736291408e+09,1.7953012473382132054e+09);
CREATE TABLE trial_run (
	study VARCHAR(120) NOT NULL, 
	number INTEGER NOT NULL, 
	seed INTEGER NOT NULL, 
	run_id VARCHAR(120) NOT NULL, 
	CONSTRAINT pk_trial_run PRIMARY KEY (study, number, seed), 
	CONSTRAINT fk_trial_run_study_trial FOREIGN KEY(study, number) REFERENCES trial (study, number) ON DELETE CASCADE
);
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',0,0,'toy-alpha-s0-rx1jrkkc');
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',1,0,'toy-alpha-s0-jdba8zq9');
INSERT INTO "trial_run" VALUES('toy-alpha-5270b436',2,0,'toy-alpha-s0-9kpzaj29');
CREATE INDEX ix_experiment_method_task_protocol ON experiment (method, task, protocol);
CREATE INDEX ix_run_created_at ON run (created_at);
CREATE INDEX ix_transition_run_id ON transition (run_id);
CREATE INDEX ix_trial_run_run_id ON trial_run (run_id);
CREATE INDEX ix_run_name ON run (name);
CREATE INDEX ix_run_state_archived_created_at ON run (state, archived, created_at);
CREATE INDEX ix_run_experiment_id_archived_state_created_at_id ON run (experiment_id, archived, state, created_at, id);
COMMIT;
