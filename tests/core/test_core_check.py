"""`rlvit registry check`: a healthy home gives no finding, and every damage is found and named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kept_home import age, change, found, ids
from postgresql_server import postgresql_url
from toy_program import Program

from rlvit.cli.main import invoke
from rlvit.home import Home
from rlvit.registry.database import open_to_read
from rlvit.runs.audit.check import Audit
from rlvit.runs.audit.findings import HARMLESS, KINDS, Finding

server = pytest.fixture(scope="module")(postgresql_url)
Damage = Callable[[Home, dict[str, str]], None]


@pytest.fixture
def home(kept: Path, tmp_path: Path) -> Home:
    shutil.copytree(kept, tmp_path / "home")
    return Home.locate(tmp_path / "home")


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def _flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def _shared(home: Home) -> Path:
    """Return the shared artifact that three runs have."""
    with closing(sqlite3.connect(home.root / "registry.db")) as connection:
        (path,) = connection.execute(
            "SELECT path FROM artifact JOIN lineage ON artifact.id = artifact_id "
            "WHERE kind = 'table' GROUP BY artifact.id HAVING count(*) >= 3"
        ).fetchone()
    return home.located(path)


def _damage_page(home: Home, runs: dict[str, str]) -> None:
    path = home.root / "registry.db"
    with closing(sqlite3.connect(path)) as connection:
        root, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master "
            "WHERE name = 'point'"
        ).fetchone()
    with open(path, "r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


def _forget(run: str) -> Damage:
    def damage(home: Home, runs: dict[str, str]) -> None:
        change(home, f"DELETE FROM run WHERE id = '{runs[run]}'")

    return damage


def _sql(statement: str, *, foreign_keys: bool = True) -> Damage:
    def damage(home: Home, runs: dict[str, str]) -> None:
        change(home, statement.format(**runs), foreign_keys=foreign_keys)

    return damage


def _in(run: str, name: str, act: Callable[[Path], object]) -> Damage:
    def damage(home: Home, runs: dict[str, str]) -> None:
        act(home.runs / runs[run] / name)

    return damage


def _old_folder(name: str) -> Damage:
    def damage(home: Home, runs: dict[str, str]) -> None:
        path = home.runs / name.format(**runs)
        path.mkdir(parents=True)
        age(path)

    return damage


def _never_began(home: Home, runs: dict[str, str]) -> None:
    for part in ("artifacts", "checkpoint"):
        (home.runs / "toy-alpha-s9-abcdefgh" / part).mkdir(parents=True)
    age(home.runs / "toy-alpha-s9-abcdefgh")


def _touch(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).write_text("half") for name in names]


def _unused(home: Home, runs: dict[str, str]) -> None:
    shutil.copytree(_shared(home), home.shared / "table-0123456789abcdef")


def _damage_shared(home: Home, runs: dict[str, str]) -> None:
    _append(_shared(home) / "table.json", b" ")


def _half_removed(home: Home, runs: dict[str, str]) -> None:
    os.replace(home.runs / runs["first"], home.runs / f".removing-{runs['first']}")


RUN_OF_TRIAL = "(SELECT run_id FROM trial_run WHERE number = 1)"


def _imported(home: Home, runs: dict[str, str]) -> None:
    """Make it a home whose study came in a bundle, which has nothing of Optuna's."""
    with closing(sqlite3.connect(home.root / "registry.db")) as connection:
        tried = [run for (run,) in connection.execute("SELECT run_id FROM trial_run")]
    for run in tried:
        if (home.runs / run).is_dir():
            (home.runs / run / "import.json").write_text("{}")
    (home.runs / "optuna.db").unlink()


def _imported_without_one(home: Home, runs: dict[str, str]) -> None:
    _imported(home, runs)
    change(home, f"DELETE FROM run WHERE id = {RUN_OF_TRIAL}")


DAMAGES: dict[str, tuple[Damage, list[tuple[str, str]]]] = {
    "page": (_damage_page, [("database", "registry.db")]),
    "reference": (
        _sql("INSERT INTO tag VALUES ('nobody', 'a', 'b')", foreign_keys=False),
        [("reference", "tag")],
    ),
    "folder gone": (_in("first", ".", shutil.rmtree), [("no-folder", "{first}")]),
    "half removed": (_half_removed, [("no-folder", "{first}")]),
    "row gone": (_forget("first"), [("no-row", "{first}")]),
    "run of an imported trial not there": (
        _imported_without_one,
        [("no-row", "{trial}"), ("imported", "{study}")],
    ),
    "row of a trial gone": (
        _sql(f"DELETE FROM run WHERE id = {RUN_OF_TRIAL}"),
        [("no-row", "{trial}"), ("study", "{study}")],
    ),
    "run.json cut": (
        _in("first", "run.json", lambda p: os.truncate(p, 100)),
        [("folder", "{first}")],
    ),
    "run.json gone": (_in("first", "run.json", Path.unlink), [("folder", "{first}")]),
    "run.json of another": (
        _in("first", "run.json", lambda p: p.write_text(p.read_text().replace("-s0-", "-s8-"))),
        [("folder", "{first}")],
    ),
    "line damaged": (
        _in("first", "metrics.jsonl", lambda p: _append(p, b"{torn\n")),
        [("folder", "{first}")],
    ),
    "note": (_sql("UPDATE run SET note = 'x' WHERE name = 'first'"), [("record", "{first}")]),
    "tag": (_sql("DELETE FROM tag WHERE run_id = '{first}'"), [("record", "{first}")]),
    "archived": (_sql("UPDATE run SET archived = 1 WHERE name = 'first'"), [("record", "{first}")]),
    "state": (
        _sql("UPDATE run SET state = 'failed' WHERE name = 'first'"),
        [("record", "{first}")],
    ),
    "transition": (
        _sql("DELETE FROM transition WHERE run_id = '{first}' AND to_state = 'completed'"),
        [("record", "{first}")],
    ),
    "point gone": (
        _sql("DELETE FROM point WHERE run_id = '{first}' AND row = 3"),
        [("rows", "{first}")],
    ),
    "point too many": (
        _sql(
            "INSERT INTO point SELECT run_id, metric, attempt, 999, step, value, at, 0 "
            "FROM point WHERE run_id = '{first}' AND row = 3"
        ),
        [("rows", "{first}")],
    ),
    "result changed": (
        _sql("UPDATE result SET value = value + 1 WHERE run_id = '{first}'"),
        [("rows", "{first}")],
    ),
    "episode gone": (
        _sql("DELETE FROM episode WHERE run_id = '{first}' AND row = 0"),
        [("rows", "{first}")],
    ),
    "results cut": (
        _in("first", "results.jsonl", lambda p: os.truncate(p, 0)),
        [("rows", "{first}")],
    ),
    "own artifact changed": (
        _in("first", "artifacts/table/table.json", _flip),
        [("artifact", "{first}")],
    ),
    "own artifact without description": (
        _in("first", "artifacts/table/artifact.json", Path.unlink),
        [("artifact", "{first}")],
    ),
    "shared artifact changed": (_damage_shared, [("artifact", "{shared}")]),
    "checkpoint changed": (
        _in("stopped", "checkpoint/000002.pt", _flip),
        [("checkpoint", "{stopped}")],
    ),
    "checkpoints gone": (
        _in("stopped", "checkpoint", shutil.rmtree),
        [("checkpoint", "{stopped}")],
    ),
    "process gone": (
        _sql("UPDATE run SET state = 'running' WHERE name = 'stopped'"),
        [("process", "{stopped}")],
    ),
    "file of studies gone": (
        lambda home, runs: (home.runs / "optuna.db").unlink(),
        [("study", "runs/optuna.db")],
    ),
    "file of studies damaged": (
        lambda home, runs: [
            path.write_text("no database" * 500) if path.name == "optuna.db" else path.unlink()
            for path in home.runs.glob("optuna.db*")
        ],
        [("study", "runs/optuna.db")],
    ),
    "copy of a study gone": (
        lambda home, runs: [path.unlink() for path in home.runs.glob("studies/*.json")],
        [("mirror", "studies/{study}.json")],
    ),
    "copy of a study cut": (
        lambda home, runs: [os.truncate(path, 50) for path in home.runs.glob("studies/*.json")],
        [("mirror", "studies/{study}.json")],
    ),
    "trial of a study gone": (
        _sql("DELETE FROM trial WHERE number = 1"),
        [("mirror", "studies/{study}.json")],
    ),
    "scores gone": (_sql("DELETE FROM baseline"), [("mirror", "baselines.json")]),
    "unused": (_unused, [("unused", "shared/table-0123456789abcdef")]),
    "half built": (
        _old_folder("shared/.mae-0123456789abcdef"),
        [("leftover", "shared/.mae-0123456789abcdef")],
    ),
    "damaged and put aside": (
        _old_folder("shared/mae-0123456789abcdef.damaged-12"),
        [("leftover", "shared/mae-0123456789abcdef.damaged-12")],
    ),
    "removed without a row": (_old_folder(".removing-r"), [("leftover", ".removing-r")]),
    "never began": (_never_began, [("leftover", "toy-alpha-s9-abcdefgh")]),
    "checkpoint of a completed run": (
        _in("first", "checkpoint", _touch("000002.pt", "000002.json")),
        [
            ("leftover", "{first}/checkpoint/000002.json"),
            ("leftover", "{first}/checkpoint/000002.pt"),
        ],
    ),
    "half a checkpoint": (
        _in("stopped", "checkpoint", _touch(".000009.pt", "000008.pt")),
        [
            ("leftover", "{stopped}/checkpoint/.000009.pt"),
            ("leftover", "{stopped}/checkpoint/000008.pt"),
        ],
    ),
    "half a run.json": (
        _in("first", ".", _touch(".run.json.1234")),
        [("leftover", "{first}/.run.json.1234")],
    ),
}


def named(home: Home) -> dict[str, str]:
    """Return what stands for what in the expected findings."""
    with closing(sqlite3.connect(home.root / "registry.db")) as connection:
        (study,) = connection.execute("SELECT name FROM study").fetchone()
        (trial,) = connection.execute(RUN_OF_TRIAL[1:-1]).fetchone()
    return {**ids(home), "study": study, "trial": trial, "shared": f"shared/{_shared(home).name}"}


def test_a_healthy_home_gives_none(home: Home) -> None:
    engine = open_to_read(home.registry_url)
    audit = Audit(home, engine)
    assert list(audit.findings()) == []
    assert (audit.runs, audit.alive, audit.elsewhere) == (6, 0, 0)
    engine.dispose()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_found_and_named(name: str, home: Home) -> None:
    damage, expected = DAMAGES[name]
    names = named(home)
    damage(home, ids(home))
    assert found(home) == [(kind, subject.format(**names)) for kind, subject in expected]


def test_a_study_that_was_imported_needs_no_file_of_optunas(home: Home) -> None:
    _imported(home, ids(home))
    assert found(home) == []


def test_every_kind_of_finding_is_tried() -> None:
    assert {kind for _, expected in DAMAGES.values() for kind, _ in expected} == set(KINDS)
    assert set(HARMLESS) < set(KINDS)


def test_one_run_alone_is_looked_at(home: Home) -> None:
    runs = ids(home)
    for name in ("first", "second"):
        _flip(home.runs / runs[name] / "artifacts" / "table" / "table.json")
    assert found(home, only={runs["second"]}) == [("artifact", runs["second"])]


def test_fix_writes_copies_of_studies_and_scores_again(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = home.runs.glob("studies/*.json")
    os.truncate(study, 50)
    (home.runs / "baselines.json").unlink()
    code, lines = check(home, "--fix", capsys=capsys)
    assert (code, lines[-1]) == (1, "2 mended; check once more.")
    assert found(home) == []
    assert [p.stat().st_size for p in study.parent.glob("*.damaged-*")] == [50]


def _remedies(home: Home) -> dict[tuple[str, str], str]:
    engine = open_to_read(home.registry_url)
    try:
        return {(one.kind, one.subject): one.remedy for one in Audit(home, engine).findings()}
    finally:
        engine.dispose()


def test_nothing_is_written_from_a_registry_that_lacks_scores_or_trials(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = home.runs.glob("studies/*.json")
    change(home, "DELETE FROM baseline WHERE run_index = 0", "DELETE FROM trial WHERE number = 1")
    scores = home.runs / "baselines.json"
    before = {path: path.read_bytes() for path in (study, scores)}
    found = _remedies(home)
    for name in (f"studies/{study.name}", "baselines.json"):
        assert found["mirror", name] == "`rlvit registry rebuild` adds them"
    code, lines = check(home, "--fix", capsys=capsys)
    assert (code, lines[-1]) == (1, "Nothing could be mended.")
    assert {path: path.read_bytes() for path in before} == before


def test_nothing_is_written_from_a_registry_that_lacks_runs(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    _forget("first")(home, ids(home))
    (home.runs / "baselines.json").unlink()
    remedy = _remedies(home)["mirror", "baselines.json"]
    assert remedy == "the registry lacks runs, see above: first `rlvit registry rebuild`"
    assert check(home, "--fix", capsys=capsys)[1][-1] == "Nothing could be mended."
    assert not (home.runs / "baselines.json").exists()


def test_a_file_that_is_missing_cannot_be_put_aside(home: Home) -> None:
    (home.runs / "baselines.json").unlink()
    written = "`rlvit registry check --fix` writes it from the registry"
    assert _remedies(home) == {("mirror", "baselines.json"): written}


def test_scores_in_another_order_are_the_same(home: Home) -> None:
    file = home.runs / "baselines.json"
    whole = json.loads(file.read_text())
    assert len(whole["baselines"]) == 2
    whole["baselines"].reverse()
    file.write_text(json.dumps(whole))
    assert found(home) == []


def _garble(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"x" * (len(first) - 1) + b"\n", *others]))


def _drop_last_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _falsify(path: Path) -> None:
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "value": 1e6}), *others, ""]))


@pytest.mark.parametrize("damage", [_garble, _drop_last_line, _falsify])
def test_no_rebuild_is_advised_where_it_would_lose_or_falsify(
    damage: Callable[[Path], None], home: Home
) -> None:
    run = ids(home)["first"]
    damage(home.runs / run / "results.jsonl")
    found = _remedies(home)
    assert ("rows", run) in found
    for remedy in found.values():
        assert "bring the folder back from a copy" in remedy
        assert "registry rebuild" not in remedy


def test_quick_reads_no_files_to_the_end(home: Home) -> None:
    runs = ids(home)
    _flip(home.runs / runs["first"] / "artifacts" / "table" / "table.json")
    _flip(home.runs / runs["stopped"] / "checkpoint" / "000002.pt")
    assert found(home, quick=True) == []
    assert {kind for kind, _ in found(home)} == {"artifact", "checkpoint"}


def check(home: Home, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = invoke(["--home", str(home.root), "registry", "check", *words])
    return code, capsys.readouterr().out.splitlines()


def test_the_command_ends_with_1_where_something_is_wrong(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = check(home, capsys=capsys)
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("6 runs, ")
    assert lines[0].endswith(": nothing wrong, 0 that could go.")
    _unused(home, {})
    code, lines = check(home, capsys=capsys)
    assert (code, len(lines)) == (0, 2)
    assert f"`rlvit --home {home.root} runs gc` removes it" in lines[0]
    run = ids(home)["first"]
    shutil.rmtree(home.runs / run)
    code, lines = check(home, "first", capsys=capsys)
    assert code == 1
    assert lines == [
        f"no-folder  {run}: there is no folder {home.runs / run}; bring it back from a copy, or "
        f"`rlvit --home {home.root} runs delete {run}`",
        "1 run: 1 wrong, 0 that could go.",
    ]


def test_nothing_is_changed_without_fix(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run = ids(home)["first"]
    change(home, f"DELETE FROM point WHERE run_id = '{run}' AND row = 3")
    (home.runs / run / "run.json").write_text("{")
    before = _files(home)
    assert check(home, capsys=capsys)[0] == 1
    assert _files(home) == before


def _files(home: Home) -> dict[Path, bytes]:
    """Return all files, but for those in which SQLite notes who is reading."""
    paths = (path for path in home.root.rglob("*") if path.is_file())
    return {p: p.read_bytes() for p in paths if not p.name.endswith(("-shm", "-wal"))}


def test_fix_stores_what_the_folder_has_and_writes_run_json_again(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ids(home)["first"]
    change(
        home,
        f"DELETE FROM point WHERE run_id = '{run}' AND row IN (3, 9)",
        f"DELETE FROM result WHERE run_id = '{run}'",
    )
    file = home.runs / run / "run.json"
    whole = file.read_text()
    file.write_text(whole[:100])
    code, lines = check(home, "--fix", capsys=capsys)
    assert code == 1
    assert lines[-2:] == [f"{run}: mended", "1 mended; check once more."]
    assert [path.read_text() for path in file.parent.glob("run.json.damaged-*")] == [whole[:100]]
    assert {kind for kind, _ in found(home)} == {"leftover"}


@pytest.mark.parametrize("name", ["note", "transition", "result changed", "point too many"])
def test_fix_leaves_alone_what_only_the_user_can_decide(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name][0](home, ids(home))
    before = found(home)
    code, lines = check(home, "--fix", capsys=capsys)
    assert (code, lines[-1]) == (1, "Nothing could be mended.")
    assert found(home) == before


def test_a_finding_is_one_line_with_what_to_do() -> None:
    finding = Finding("rows", "r", "points of the registry: 1 missing", "do this")
    assert str(finding) == "rows       r: points of the registry: 1 missing; do this"
    assert finding.wrong
    assert not Finding("unused", "shared/x", "no run made or used it", "do this").wrong


@pytest.mark.postgresql
def test_runs_of_other_homes_are_not_looked_into(
    server: str, program: Program, tmp_path: Path
) -> None:
    for place in ("home", "other"):
        done = program.run("--registry", server, home=tmp_path / place)
        assert done.code == 0, done.err
    home = Home.locate(tmp_path / "home", server)
    engine = open_to_read(server)
    audit = Audit(home, engine)
    assert list(audit.findings()) == []
    assert (audit.runs, audit.elsewhere) == (2, 1)
    run = next(path.parent for path in home.runs.glob("*/run.json"))
    _flip(run / "artifacts" / "table" / "table.json")
    assert [(one.kind, one.subject) for one in Audit(home, engine).findings()] == [
        ("artifact", run.name)
    ]
    engine.dispose()


def test_the_page_lists_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
    for kind, meaning in KINDS.items():
        assert f"| `{kind}` | {meaning} |" in page
