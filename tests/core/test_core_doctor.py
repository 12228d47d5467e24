"""`rlvit doctor` against damage made by hand: it tells each, mends what it may, falls over none."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from toy_program import Program, add_plugin

from rlvit.cli.doctor import _called
from rlvit.cli.main import invoke
from rlvit.contracts import Diagnosis
from rlvit.doctor import examine, registry
from rlvit.doctor.patient import Patient
from rlvit.home import Home
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.studies import StudyStore

QUICK = [check for check in examine.CHECKS if check[0] not in ("torch", "GPU", "vision")]
HOUR_AGO = 3700.0
NOBODY = 2**22 + 1  # no process: numbers end at 2**22


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Path:
    """Return a home with one completed run; tests copy it."""
    program = Program(tmp_path_factory.mktemp("doctor"), [bare_site, toy_site])
    done = program.run("--steps", "5")
    assert done.code == 0, done.err
    return program.home


@pytest.fixture
def ill(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_alone: None) -> Home:
    """Return a copy of that home, to be damaged; importing torch is left out."""
    monkeypatch.setattr(examine, "CHECKS", QUICK)
    monkeypatch.chdir(tmp_path)
    return Home.locate(shutil.copytree(finished, tmp_path / "home"))


def found(home: Home) -> list[Diagnosis]:
    """Return what is told of a home, beside what is fine."""
    every = examine.examine(Patient(home, home.root / "data"))
    return [one for one in every if one.state != "ok"]


def told(home: Home) -> list[tuple[str, str]]:
    """Return what is wrong, by thing and state."""
    return [(one.about, one.state) for one in found(home)]


def only_run(home: Home) -> str:
    (folder,) = home.runs.glob("toy-*")
    return folder.name


def execute(home: Home, sql: str) -> None:
    with closing(sqlite3.connect(home.root / "registry.db")) as connection:
        connection.execute(sql)
        connection.commit()


def mended(home: Home) -> list[str]:
    """Do what may be done, and return what was told of it."""
    done = list(examine.mend(list(examine.examine(Patient(home, home.root / "data")))))
    assert all(one.state == "ok" for one in done), done
    return [one.text for one in done]


def age(path: Path) -> None:
    os.utime(path, (time.time() - HOUR_AGO,) * 2)


def everything(home: Home) -> dict[str, bytes]:
    """Return the files of a home with their content; SQLite's index of its log comes and goes."""
    return {
        str(path.relative_to(home.root)): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_a_sound_home_has_nothing_to_tell_and_is_not_changed(ill: Home) -> None:
    before = everything(ill)
    assert told(ill) == []
    assert everything(ill) == before


def test_a_home_that_is_not_there_is_not_made(ill: Home, tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "none")
    assert told(home) == [("home", "note"), ("registry", "note")]
    assert not home.root.exists()


def test_a_home_that_cannot_be_written_is_a_problem(ill: Home) -> None:
    (only,) = [one for one in found(Home.locate("/proc")) if one.about == "home"]
    assert only.state == "problem"
    assert only.text.startswith("/proc cannot be written: ")


@pytest.mark.parametrize("garbage", [b"not a database at all " * 400, os.urandom(9000)])
def test_a_registry_that_is_garbage_is_told_in_a_line(ill: Home, garbage: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        (ill.root / f"registry.db{suffix}").unlink(missing_ok=True)
    (ill.root / "registry.db").write_bytes(garbage)
    (one,) = found(ill)
    assert (one.about, one.state) == ("registry", "problem")
    assert "file is not a database" in one.text
    assert one.advice.endswith("rlvit registry rebuild")


def test_a_registry_with_a_damaged_page_is_a_problem(ill: Home) -> None:
    file = ill.root / "registry.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = bytearray(file.read_bytes())
    whole[4096 * 3 : 4096 * 20] = bytes(4096 * 17)
    file.write_bytes(whole)
    assert ("registry", "problem") in told(ill)


def test_a_registry_of_another_schema_is_told(ill: Home) -> None:
    execute(ill, "UPDATE rlvit_version SET version_num = '0003'")
    (one,) = found(ill)
    assert (one.about, one.state, one.advice) == ("registry", "note", "rlvit registry upgrade")
    execute(ill, "UPDATE rlvit_version SET version_num = '0999'")
    (one,) = found(ill)
    assert (one.about, one.state) == ("registry", "problem")
    assert "schema 0999, which this rlvit does not know" in one.text


def test_another_programs_database_is_no_registry(ill: Home, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE cats (name)")
    home = Home.locate(ill.root, tmp_path / "other.db")
    assert [one.text for one in found(home)] == [
        f"{tmp_path}/other.db is another program's database"
    ]


def test_a_lost_registry_can_be_rebuilt(ill: Home) -> None:
    for file in ill.root.glob("registry.db*"):
        file.unlink()
    (one,) = found(ill)
    assert (one.state, one.advice) == ("problem", "rlvit registry rebuild")


def test_a_run_folder_that_is_gone_or_unknown_is_a_problem(ill: Home) -> None:
    run = only_run(ill)
    shutil.move(ill.runs / run, ill.runs / "toy-alpha-s9-moved000")
    texts = [one.text for one in found(ill)]
    assert texts[0] == f"gone: 1 run folder, {run}"
    assert texts[1] == "not in the registry: 1 run folder, toy-alpha-s9-moved000"
    assert "the registry knows no such run: toy-alpha-s9-moved000" in texts[2]  # id and name differ


@pytest.mark.parametrize("damage", ["", "{", '{"id": "other"}', "[]", None])
def test_a_damaged_run_json_is_written_again_and_the_old_one_kept(
    ill: Home, damage: str | None
) -> None:
    record = ill.runs / only_run(ill) / "run.json"
    whole = json.loads(record.read_text())
    record.unlink()
    if damage is not None:
        record.write_text(damage)
    age(record.parent)
    assert told(ill) == [("runs", "problem")]
    (text,) = mended(ill)
    assert text.startswith(f"wrote run.json of {record.parent.name} from the registry")
    assert told(ill) == []
    again = json.loads(record.read_text())
    assert {key: again[key] for key in ("id", "state", "config", "results")} == {
        key: whole[key] for key in ("id", "state", "config", "results")
    }
    kept = record.with_name("run.json.damaged")
    assert (kept.read_text() if kept.exists() else None) == damage


def test_runs_whose_process_is_gone_are_marked(ill: Home) -> None:
    run = only_run(ill)
    gone = json.dumps({"host": "elsewhere", "pid": 1})
    execute(ill, f"UPDATE run SET state = 'running', process = '{gone}', heartbeat_at = 1.0")
    (one,) = found(ill)
    assert (one.about, one.state, one.advice) == ("runs", "note", "rlvit doctor --fix")
    assert run in one.text
    assert mended(ill) == [f"marked as interrupted: {run}"]
    assert told(ill) == []
    assert json.loads((ill.runs / run / "run.json").read_text())["state"] == "interrupted"


def test_half_written_files_are_removed_unless_somebody_may_still_write_them(ill: Home) -> None:
    folder = ill.runs / only_run(ill)
    old = [
        folder / f".run.json.{NOBODY}",
        folder / "checkpoint" / ".000007.pt",
        ill.runs / ".optuna.db.making",
    ]
    kept = [
        folder / f".run.json.{os.getpid()}",  # its writer lives
        folder / ".notes",  # nothing of ours
        ill.root / ".gitignore",
    ]
    young = folder / f".log.txt.{NOBODY}"
    for path in (*old, *kept, young):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
        if path is not young:
            age(path)
    assert told(ill) == [("leftovers", "note")]
    assert mended(ill) == ["removed 3 half written files"]
    assert told(ill) == []
    assert [path.exists() for path in (*old, *kept, young)] == [False] * 3 + [True] * 4


def test_what_a_killed_import_set_aside_is_put_back(ill: Home) -> None:
    run = only_run(ill)
    killed = ill.runs / f".importing-{NOBODY}-0badcafe"
    alive = ill.runs / f".importing-{os.getpid()}-0badcafe"
    for folder in (killed, alive):
        (folder / "aside").mkdir(parents=True)
    os.rename(ill.runs / run, killed / "aside" / run)
    age(killed)
    assert told(ill) == [("leftovers", "note"), ("runs", "problem")]
    shutil.rmtree(alive)  # else the import would be under way
    assert mended(ill) == [
        "removed what killed imports left; runs that they had set aside are back"
    ]
    assert told(ill) == []
    assert not killed.exists()


def test_locks_of_runs_that_are_gone_are_removed_but_for_held_ones(ill: Home) -> None:
    stray, held = (ill.locks / f"run-{name}.lock" for name in ("gone", "held"))
    own = ill.locks / f"run-{only_run(ill)}.lock"
    for path in (stray, held, own):
        path.touch()
    lock = FileLock(held, timeout=0)
    with lock:
        for path in (stray, held, own):
            age(path)
        assert told(ill) == [("locks", "note")]
        assert mended(ill) == ["removed 1 lock file"]
    assert [path.exists() for path in (stray, held, own)] == [False, True, True]


def test_a_grown_log_is_moved_into_the_registry(ill: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LARGE_WAL", 1000)
    with closing(sqlite3.connect(ill.root / "registry.db")) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("UPDATE run SET note = 'longer'")
        other.commit()
        (one,) = found(ill)
        assert (one.about, one.state) == ("registry", "note")
        assert mended(ill) == ["moved the write-ahead log into the registry"]
        assert told(ill) == []
        assert other.execute("SELECT note FROM run").fetchone() == ("longer",)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise SystemExit(3)", "p is quarantined: SystemExit: 3"),
        ("from rlvit.nowhere import x", "p is quarantined: ModuleNotFoundError"),
        (
            "from rlvit.hookspecs import hookimpl\n@hookimpl\ndef rlvit_doctor():\n    1 / 0",
            "p could not look after its things: ZeroDivisionError: division by zero",
        ),
        (
            "from rlvit.hookspecs import hookimpl\n@hookimpl\ndef rlvit_doctor(home):\n"
            "    return [str(home)]",
            "which is no Diagnosis",
        ),
    ],
)
def test_a_broken_plugin_is_told_and_the_rest_goes_on(
    ill: Home, source: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plugin(tmp_path / "site", "p", source, module=f"p_{abs(hash(source))}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (one,) = found(ill)
    assert (one.about, one.state) == ("plugins", "problem")
    assert text in one.text


def test_what_a_plugin_finds_is_told_and_mended(
    ill: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from rlvit.contracts import Diagnosis\nfrom rlvit.hookspecs import hookimpl\n@hookimpl\n"
        "def rlvit_doctor(home, data_root):\n    dirt = home / 'dirt'\n    def wipe():\n"
        "        dirt.unlink()\n        return f'wiped beside {data_root.name}'\n"
        "    return [Diagnosis('dirt', 'note', 'dirty', 'wipe', wipe)] if dirt.exists() else []\n"
    )
    add_plugin(tmp_path / "site", "cleaner", source)
    monkeypatch.syspath_prepend(tmp_path / "site")
    (ill.root / "dirt").touch()
    assert told(ill) == [("dirt", "note")]
    assert mended(ill) == ["wiped beside data"]
    assert told(ill) == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("RLVIT_BLOCK", "nobody", "unknown plugin in RLVIT_BLOCK 'nobody'"),
        ("RLVIT_HOMES", "x", "RLVIT_HOMES is set, and rlvit reads no such variable. Did you mean"),
    ],
)
def test_variables_of_the_environment_are_looked_at(
    ill: Home, name: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert any(text in one.text for one in found(ill))


def add_study(home: Home) -> None:
    """Add a study with a trial under way on a machine that fell silent long ago."""
    study = StudyRecord(
        "toy-alpha-1234", "toy-alpha", "1234", "toy", "Alpha", "brief", "quick", {}, {},
        {"toy/score": "max"}, {}, {}, 0, (0,), 20, "", "runs/optuna.db", 1.0,
    )  # fmt: skip
    gone = {"host": "elsewhere", "pid": 1}
    trial = TrialRecord(study.name, 0, "running", {}, None, "", "", gone, 1.0, 1.0, None, {})
    with closing(StudyStore(home.registry_url)) as store:
        store.add_study(study)
        store.add_trial(trial)


def test_trials_that_nobody_works_on_and_a_lost_storage_are_told(ill: Home) -> None:
    add_study(ill)
    waiting, storage = found(ill)
    assert (waiting.about, waiting.state) == ("studies", "note")
    assert waiting.advice == "rlvit tune resume toy-alpha-1234"
    assert storage.state == "problem"
    assert storage.text.startswith(
        f"{ill.root}/runs/optuna.db is gone: toy-alpha-1234 cannot go on"
    )
    with closing(sqlite3.connect(ill.runs / "optuna.db")) as optuna:
        optuna.execute("CREATE TABLE studies (study_id)")
    assert told(ill) == [("studies", "note")]
    (ill.runs / "optuna.db").write_bytes(b"garbage" * 100)
    assert told(ill) == [("studies", "note"), ("studies", "problem")]


def test_a_study_that_came_by_import_is_a_note(ill: Home) -> None:
    add_study(ill)
    with closing(StudyStore(ill.registry_url)) as store:
        store.set_trial_run("toy-alpha-1234", 0, 0, only_run(ill))
    assert told(ill) == [("studies", "note"), ("studies", "problem")]
    (ill.runs / only_run(ill) / "import.json").write_text("{}")
    (one,) = found(ill)
    assert (one.about, one.state) == ("studies", "note")
    assert one.text.startswith("toy-alpha-1234 came by import")


def test_a_check_that_fails_is_a_problem_and_the_next_one_is_made(ill: Home) -> None:
    def broken(patient: Patient) -> list[Diagnosis]:
        raise KeyError("lost\nsecond line")

    (one,) = examine.guarded("thing", broken, Patient(ill, ill.root))
    assert one == Diagnosis(
        "thing", "problem", "this could not be looked at (KeyError: 'lost\\nsecond line')"
    )


def test_advice_names_the_home(ill: Home) -> None:
    assert _called(ill, "rlvit registry rebuild") == f"rlvit --home {ill.root} registry rebuild"
    assert _called(ill, "do it: rlvit runs gc") == f"do it: rlvit --home {ill.root} runs gc"
    assert _called(ill, "pip install --upgrade rlvit") == "pip install --upgrade rlvit"


def test_the_command_tells_fixes_and_counts(
    ill: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    record = ill.runs / only_run(ill) / "run.json"
    record.write_text("{")
    command = ["--home", str(ill.root), "doctor"]
    assert invoke(command) == 1
    out = capsys.readouterr().out
    assert f"-> rlvit --home {ill.root} doctor --fix" in out
    assert out.endswith(" 1 problem\n")
    assert invoke([*command, "--fix"]) == 0
    assert capsys.readouterr().out.startswith("fixed    runs         wrote run.json of ")
    assert invoke([*command, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} == {"ok"}
    assert [set(row) for row in rows] == [{"about", "state", "text", "advice", "fixable"}] * len(
        rows
    )
    assert invoke([*command, "--fix"]) == 0
    assert capsys.readouterr().out.startswith("there is nothing that can safely be mended")
