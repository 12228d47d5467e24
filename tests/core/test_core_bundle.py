"""Bundles: what goes out comes in, in any order, and what is here is never lost."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
from bundle_lab import Origin, export, forge, take, tree
from toy_program import Program, add_plugin
from whole_registry import Maker, rows_of

from rlvit.catalog import Catalog
from rlvit.cli.main import invoke
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.restore import RestoreStore
from rlvit.registry.store import Store
from rlvit.runs.bundle.archive import open_bundle
from rlvit.runs.bundle.names import Refused
from rlvit.runs.folder import RunFolder


def _without_place(url: str, root: Path) -> dict[str, object]:
    text = {name: [(row, n) for row, n in rows.items()] for name, rows in rows_of(url).items()}
    plain = json.dumps(str(root))[1:-1]
    return {
        name: sorted((row.replace(plain, "HOME"), n) for row, n in rows)
        for name, rows in text.items()
    }


def test_what_goes_out_comes_in(toy: Catalog, origin: Origin, home: Home) -> None:
    source, bundles, runs = origin
    for name in ("two", "late"):
        done = take(toy, home, bundles[name])
        assert (done.same, done.later, done.earlier, done.remarks) == ([], [], [], [])
    assert _without_place(home.registry_url, home.root) == _without_place(
        source.registry_url, source.root
    )
    for run_id in runs.values():
        mine, theirs = tree(home.runs / run_id), tree(source.runs / run_id)
        assert mine.keys() - {"import.json"} == theirs.keys()
        assert {k for k in theirs if mine[k] != theirs[k]} == {"run.json"}
    assert tree(home.shared) == tree(source.shared)
    assert not list(home.runs.glob(".importing-*"))
    for run_id in runs.values():
        written = json.loads((home.runs / run_id / "run.json").read_text())
        places = [written["folder"], *(one["path"] for one in written["artifacts"])]
        assert all(place.startswith(str(home.runs)) for place in places)


def test_the_same_bundle_twice_changes_nothing(toy: Catalog, origin: Origin, home: Home) -> None:
    _, bundles, runs = origin
    take(toy, home, bundles["two"])
    rows, files = rows_of(home.registry_url), tree(home.root)
    done = take(toy, home, bundles["two"])
    assert sorted(done.same) == sorted((runs["first"], runs["second"]))
    assert (done.new, done.completed, done.shared) == ([], [], [])
    assert rows_of(home.registry_url) == rows
    assert tree(home.root) == files


ORDERS = (
    ("two", "early", "middle", "late"),
    ("early", "late", "middle", "two"),
    ("middle", "early", "two", "late"),
    ("middle", "late", "early", "two"),
    ("late", "middle", "two", "early"),
    ("late", "two", "early", "middle"),
)


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_gives_the_same_registry(
    toy: Catalog, origin: Origin, home: Home, order: tuple[str, ...]
) -> None:
    source, bundles, runs = origin
    done = {name: take(toy, home, bundles[name]) for name in order}
    assert _without_place(home.registry_url, home.root) == _without_place(
        source.registry_url, source.root
    )
    states = [name for name in order if name != "two"]
    behind = states[states.index("late") + 1 :]
    assert all(done[name].earlier == [runs["third"]] for name in behind)
    assert list((home.runs / runs["third"] / "checkpoint").iterdir()) == []
    assert list(RunFolder(home.runs / runs["third"]).read("metrics")) == list(
        RunFolder(source.runs / runs["third"]).read("metrics")
    )


def test_an_interrupted_run_goes_on_in_another_home(
    toy: Catalog, origin: Origin, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, bundles, runs = origin
    take(toy, home, bundles["early"])
    ended = Maker(toy, home, monkeypatch).resume(runs["third"])
    assert (ended.state, ended.attempt) == ("completed", 2)
    rows = []
    for where in (home, source):
        found = RunFolder(where.runs / runs["third"]).read_live("metrics")
        rows.append([(r["step"], r["toy/weight"], r["toy/noise"]) for _, r in found])
    assert rows[0] == rows[1]
    assert "going on from learn 13" in (home.runs / runs["third"] / "log.txt").read_text()


def test_a_run_that_went_on_in_two_ways_is_refused(
    toy: Catalog, origin: Origin, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundles, runs = origin
    take(toy, home, bundles["early"])
    Maker(toy, home, monkeypatch).resume(runs["third"])
    rows, files = rows_of(home.registry_url), tree(home.root)
    with pytest.raises(Refused, match="went on in two ways: here attempt 2 is running") as refusal:
        take(toy, home, bundles["late"])
    assert refusal.value.exit_code == 2
    assert take(toy, home, bundles["early"]).earlier == [runs["third"]]
    assert rows_of(home.registry_url) == rows
    assert tree(home.root) == files


def test_a_later_bundle_does_not_take_away_what_is_here_alone(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    _, bundles, runs = origin
    bare = tmp_path / "bare.rlvit"

    def without_checkpoint(found: dict[str, bytes]) -> None:
        for name in [one for one in found if "/checkpoint/" in one]:
            del found[name]

    forge(bundles["middle"], bare, without_checkpoint)
    take(toy, home, bundles["early"])
    folder = home.runs / runs["third"]
    (folder / "thoughts.odt").write_bytes(b"\0mine")
    before = tree(folder / "checkpoint")
    assert before
    done = take(toy, home, bare)
    assert (done.later, done.new) == ([runs["third"]], [runs["second"]])
    assert tree(folder / "checkpoint") == before
    assert (folder / "thoughts.odt").read_bytes() == b"\0mine"
    done = take(toy, home, bundles["middle"])  # whose checkpoints are newer
    assert (done.completed, done.same) == ([runs["third"]], [runs["second"]])
    after = tree(folder / "checkpoint")
    assert after != before
    assert {Path(name).suffix for name in after} == {".pt", ".json"}
    assert (folder / "thoughts.odt").exists()
    assert take(toy, home, bundles["middle"]).completed == []


def test_a_lost_folder_comes_back(toy: Catalog, origin: Origin, home: Home) -> None:
    source, bundles, runs = origin
    take(toy, home, bundles["two"])
    shutil.rmtree(home.runs / runs["first"])
    rows = rows_of(home.registry_url)
    assert take(toy, home, bundles["two"]).completed == [runs["first"]]
    assert rows_of(home.registry_url) == rows
    assert (home.runs / runs["first"] / "metrics.jsonl").read_bytes() == (
        source.runs / runs["first"] / "metrics.jsonl"
    ).read_bytes()


def _annotations(home: Home, run_id: str) -> tuple[str, dict[str, str], bool]:
    store = Store(home.registry_url)
    try:
        found = queries.find_run(store.engine, run_id)
        written = json.loads((home.runs / run_id / "run.json").read_text())
        assert (written["note"], written["tags"]) == (found.note, dict(found.tags))
        return found.note, dict(found.tags), found.archived
    finally:
        store.close()


def test_what_was_written_to_a_run_here_stays(toy: Catalog, origin: Origin, home: Home) -> None:
    _, bundles, runs = origin
    take(toy, home, bundles["two"])
    assert _annotations(home, runs["first"]) == ("ü", {"sweep": "a"}, False)
    words = ("runs", "tag", runs["first"], "best", "--remove", "sweep")
    assert invoke(["--home", str(home.root), *words]) == 0
    assert take(toy, home, bundles["two"]).same
    assert _annotations(home, runs["first"]) == ("ü", {"best": ""}, False)


def test_the_last_written_bundle_brings_the_annotations_in_any_order(
    toy: Catalog, origin: Origin, tmp_path: Path
) -> None:
    source, bundles, runs = origin
    tagged = tmp_path / "source"
    shutil.copytree(source.root, tagged)
    elsewhere = Home.locate(tagged)
    change = [["runs", "tag", runs["third"], "seen=2"], ["runs", "archive", runs["third"]]]
    assert [invoke(["--home", str(tagged), *words]) for words in change] == [0, 0]
    last = tmp_path / "last.rlvit"
    export(elsewhere, last, runs["third"])
    found = []
    for number, order in enumerate(
        itertools.permutations((bundles["early"], bundles["late"], last))
    ):
        home = Home.locate(tmp_path / f"home{number}")
        for path in order:
            take(toy, home, path)
        found.append(
            (_annotations(home, runs["third"]), _without_place(home.registry_url, home.root))
        )
    assert all(one == found[0] for one in found)
    assert found[0][0] == ("", {"seen": "2"}, True)


def _study(trials: int) -> StudyRecord:
    return StudyRecord(
        name="toy-alpha-0123abcd",
        stem="toy-alpha",
        space_hash="0" * 64,
        method="toy",
        task="Alpha",
        protocol="brief",
        preset="quick",
        request={"plugin": "toy", "values": {}, "slots": {}},
        space={"rate": {"low": 0.1, "high": 1, "log": True, "choices": []}},
        objectives={"toy/score": "max"},
        sampler={"name": "tpe", "startup": None},
        pruner={"name": "none"},
        seed=0,
        seeds=(0, 1),
        trials=trials,
        stop="",
        storage="runs/optuna.db",
        created_at=5.0,
    )


def _trial(number: int, state: str, runs: dict[int, str], beat: float = 6.0) -> TrialRecord:
    ended = state in ("completed", "failed")
    return TrialRecord(
        study="toy-alpha-0123abcd",
        number=number,
        state=state,
        params={"rate": 0.5, "mode": "sum", "steps": 3},
        values={"toy/score": 2} if state == "completed" else None,
        reason="it broke" if state == "failed" else "",
        source="",
        process={"host": "there", "pid": 7},
        heartbeat_at=beat,
        started_at=5.5,
        ended_at=7.0 if ended else None,
        runs=runs,
    )


def test_a_study_travels_with_its_trials_in_any_order(
    toy: Catalog, origin: Origin, tmp_path: Path
) -> None:
    source, _, runs = origin
    first, second = runs["first"], runs["second"]
    states = {
        "early": [_trial(0, "completed", {0: first}), _trial(1, "running", {0: second})],
        "late": [
            _trial(0, "completed", {0: first}),
            _trial(1, "failed", {0: second, 1: "toy-alpha-s1-notthere"}, 6.5),
            _trial(2, "interrupted", {}),
        ],
    }
    paths, found = [], []
    for name, trials in states.items():
        shutil.copytree(source.root, tmp_path / name)
        home = Home.locate(tmp_path / name)
        store = Store(home.registry_url)
        RestoreStore(store).add_whole_study(_study(len(trials)), trials)
        store.close()
        paths.append(tmp_path / f"{name}.rlvit")
        assert export(home, paths[-1], first).studies == ["toy-alpha-0123abcd"]
    for number, order in enumerate(itertools.permutations(paths)):
        home = Home.locate(tmp_path / f"home{number}")
        assert [take(toy, home, path).same for path in order] == [[], [first]]
        found.append((home, rows_of(home.registry_url)))
    truth = rows_of(Home.locate(tmp_path / "late").registry_url)
    for home, rows in found:
        assert {t: rows[t] for t in ("study", "trial", "trial_run")} == {
            t: truth[t] for t in ("study", "trial", "trial_run")
        }
        whole = json.loads((home.runs / "studies" / "toy-alpha-0123abcd.json").read_text())
        assert [trial["state"] for trial in whole["of"]] == ["completed", "failed", "interrupted"]
    assert export(source, tmp_path / "none.rlvit", first).studies == []


def test_the_commands(
    toy_alone: None,
    origin: Origin,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, bundles, runs = origin
    monkeypatch.chdir(tmp_path)

    def rlvit(where: Home, *words: str) -> tuple[int, str, str]:
        code = invoke(["--home", str(where.root), *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    code, out, _ = rlvit(source, "export", "--tag", "sweep")
    assert (code, out.startswith(f"{runs['first']}.rlvit: 1 run, ")) == (0, True)
    assert rlvit(source, "export", runs["first"])[0] == 2
    code, _, err = rlvit(source, "export", "--query", "seed < 2", "--plugin", "toy")
    assert (code, err) == (2, "Error: --out FILE: say where the 2 runs are to be written.\n")
    code, _, err = rlvit(source, "export", "latest", "--plugin", "toy")
    assert (code, "one of the" in err) == (2, True)
    assert rlvit(source, "export", "--state", "failed")[0] == 2
    assert "no run fits" in rlvit(source, "export", "--state", "failed")[2]
    assert rlvit(source, "export", "--query", "seed < 2", "-o", "two")[0] == 0
    with open_bundle(tmp_path / "two") as archive:
        assert {run.id for run in archive.manifest.runs} == {runs["first"], runs["second"]}

    (tmp_path / "bad").write_text("not a bundle")
    code, out, err = rlvit(home, "import", "bad", "two", str(bundles["late"]), "--no-tell")
    assert code == 2
    assert err.startswith("Error: bad: it is not a bundle: it does not begin as a ZIP file does.")
    assert [line.partition(" (")[0] for line in out.splitlines()] == [
        "two: 2 runs new, 1 shared artifact"
        if "1 shared" in out
        else "two: 2 runs new, 2 shared artifacts",
        f"{bundles['late']}: 1 run new",
    ]
    code, out, _ = rlvit(home, "import", "two")
    assert (code, "two: 2 runs already here" in out) == (0, True)
    listed = [rlvit(one, "runs", "list", "--format", "csv")[1] for one in (home, source)]
    assert listed[0] == listed[1]
    assert listed[0].count("\n") == 4


def test_a_locked_run_and_a_newer_one_are_left_alone(
    toy: Catalog, origin: Origin, home: Home
) -> None:
    from rlvit.runs.ending import claim

    _, bundles, runs = origin
    take(toy, home, bundles["early"])
    before = rows_of(home.registry_url)
    with (
        claim(home, runs["third"]),
        pytest.raises(RlvitError, match="is in the hands of another process"),
    ):
        take(toy, home, bundles["late"])
    assert {k: v for k, v in rows_of(home.registry_url).items() if k != "metric"} == {
        k: v for k, v in before.items() if k != "metric"
    }
    assert take(toy, home, bundles["late"]).later == [runs["third"]]


def test_a_full_disk_takes_nothing_in(
    toy: Catalog, origin: Origin, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundles, _ = origin
    take(toy, home, bundles["early"])
    rows, files = rows_of(home.registry_url), tree(home.root)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            take(toy, home, bundles["late"])
    assert (rows_of(home.registry_url), tree(home.root)) == (rows, files)


EARS = """
import os
from rlvit.hookspecs import hookimpl

@hookimpl
def rlvit_run_ended(run):
    rows = list(run.history())
    with open(os.environ["EARS"], "a") as file:
        file.write(f"{run.id} {run.state} {len(rows)} {rows[-1].step} {run.folder.parent}\\n")
    if "DEAF" in os.environ:
        raise OSError("nobody answers")
"""


def test_plugins_are_told_of_runs_that_come_in(
    origin: Origin, tmp_path: Path, bare_site: Path, toy_site: Path
) -> None:
    _, bundles, runs = origin
    heard = tmp_path / "heard"
    add_plugin(tmp_path / "site", "ears", EARS)
    program = Program(tmp_path, [bare_site, toy_site, tmp_path / "site"], {"EARS": str(heard)})
    assert program("import", str(bundles["early"])).code == 0
    place = program.home / "runs"
    assert heard.read_text() == f"{runs['third']} interrupted 13 13 {place}\n"
    assert program("import", str(bundles["early"])).code == 0
    assert program("import", str(bundles["late"]), "--no-tell").code == 0
    assert heard.read_text().count("\n") == 1
    deaf = program("import", str(bundles["two"]), DEAF="1")
    assert deaf.code == 0
    assert deaf.errors[-2:] == [
        "plugin 'ears' failed in rlvit_run_ended: nobody answers",
        "plugins were told of 1 of 2 runs",
    ]
    assert heard.read_text().count("\n") == 2
