"""`rlvit runs gc` removes what was archived and what nothing needs, and nothing else."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from kept_home import age, change, found, ids
from toy_program import FORK, Program, until

from rlvit.cli.main import invoke
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_to_read
from rlvit.registry.store import Store
from rlvit.runs import gc
from rlvit.runs.audit.check import Audit
from rlvit.runs.views import mirror


@pytest.fixture
def home(kept: Path, tmp_path: Path) -> Home:
    shutil.copytree(kept, tmp_path / "home")
    return Home.locate(tmp_path / "home")


def archive(home: Home, *names: str) -> None:
    store = Store(home.registry_url)
    for name in names:
        _mark(store, home, ids(home)[name], True)
    store.close()


def _mark(store: Store, home: Home, run_id: str, archived: bool) -> None:
    store.annotate(run_id, archived=archived)
    mirror(store, home, run_id)


def propose(home: Home, older_than: float = 0.0) -> gc.Proposal:
    store = Store(home.registry_url)
    try:
        return gc.propose(home, store.engine, older_than)
    finally:
        store.close()


def collect(home: Home) -> list[tuple[str, str]]:
    """Remove everything that can go; return what was left, and why."""
    store = Store(home.registry_url)
    try:
        items = gc.propose(home, store.engine).items
        return [(i.name, why) for i, why in gc.carry_out(home, store, items) if why]
    finally:
        store.close()


def listed(home: Home) -> set[str]:
    return {path.name for path in home.runs.iterdir() if path.is_dir()}


def shared(home: Home) -> list[str]:
    return sorted(path.name for path in home.shared.iterdir())


def test_a_healthy_home_has_nothing_to_remove(home: Home) -> None:
    assert propose(home) == gc.Proposal([], {})


def test_an_archived_run_goes_with_what_was_its_alone(home: Home) -> None:
    runs, before = ids(home), shared(home)
    archive(home, "alone")
    proposal = propose(home)
    kinds = [(item.what, item.name) for item in proposal.items]
    (own,) = (name for what, name in kinds if what == "shared artifact")
    assert kinds == [("run", runs["alone"]), ("shared artifact", own)]
    files = [path for path in (home.runs / runs["alone"]).rglob("*") if path.is_file()]
    assert proposal.items[0].size == sum(path.stat().st_size for path in files) > 1000
    assert collect(home) == []
    assert runs["alone"] not in listed(home) | set(ids(home).values())
    assert shared(home) == [name for name in before if f"shared/{name}" != own]
    assert propose(home).items == []
    assert found(home) == []


def test_what_others_used_is_kept_and_said(home: Home) -> None:
    runs = ids(home)
    archive(home, "first", *[name for name in runs if name.startswith("toy-")])
    proposal = propose(home)
    assert proposal.items == []
    assert "used what it made (table)" in proposal.kept[runs["first"]]
    of_trials = [why for run, why in proposal.kept.items() if run != runs["first"]]
    assert len(of_trials) == 2
    assert all("belongs to trial" in why for why in of_trials)


def test_a_run_goes_once_all_who_used_it_go(home: Home) -> None:
    runs = ids(home)
    change(home, "DELETE FROM trial_run")
    archive(home, *(name for name in runs if name != "alone"))
    assert {item.name for item in propose(home).items if item.what == "run"} == {
        run for name, run in runs.items() if name != "alone"
    }
    assert collect(home) == []
    assert ids(home) == {"alone": runs["alone"]}
    assert len(shared(home)) == 1


def test_young_runs_and_unfinished_business_stay(home: Home) -> None:
    archive(home, "alone", "stopped")
    kept = propose(home, older_than=1.0).kept
    assert set(kept) == {ids(home)["alone"], ids(home)["stopped"]}
    assert all("less than 1 days ago" in why for why in kept.values())
    change(home, "UPDATE run SET state = 'running' WHERE name = 'stopped'")
    assert propose(home).kept == {ids(home)["stopped"]: "it is running"}
    change(home, f"UPDATE run SET ended_at = {time.time() - 2 * gc.DAY} WHERE name = 'alone'")
    first, *_ = propose(home, older_than=1.0).items
    assert first.name == ids(home)["alone"]


def test_an_artifact_of_two_runs_is_found_in_the_one_that_stays(home: Home) -> None:
    """Both built the same: the registry has it once, with the path of one of them."""
    runs = ids(home)
    row = f"'kept', 'k', 's', '{home.runs / runs['alone'] / 'artifacts' / 'kept'}', 1, '{{}}', 'r'"
    columns = "id, kind, key, sha256, path, size, inputs, made_by"
    change(
        home,
        f"INSERT INTO artifact ({columns}) VALUES (99, {row})",
        f"INSERT INTO lineage VALUES ('{runs['alone']}', 99, 'made')",
        f"INSERT INTO lineage VALUES ('{runs['second']}', 99, 'made')",
    )
    archive(home, "alone")
    assert collect(home) == []
    store = Store(home.registry_url)
    paths = {a.kind: Path(a.path) for a in queries.artifacts(store.engine, runs["second"])}
    store.close()
    assert paths["kept"].parts[-3:] == (runs["second"], "artifacts", "kept")


def test_a_link_goes_and_what_it_leads_to_stays(home: Home, tmp_path: Path) -> None:
    run = ids(home)["alone"]
    shutil.move(home.runs / run, tmp_path / "big disk")
    (home.runs / run).symlink_to(tmp_path / "big disk")
    archive(home, "alone")
    assert collect(home) == []
    assert not [path for path in home.runs.iterdir() if run in path.name]
    assert (tmp_path / "big disk" / "run.json").exists()


def test_leftovers_go(home: Home) -> None:
    runs = ids(home)
    half, damaged = home.shared / ".mae-0123456789abcdef", home.shared / "mae-01.damaged-5"
    begun = home.runs / runs["first"] / "artifacts" / ".model"
    for folder in (half, damaged, begun):
        folder.mkdir()
        (folder / "weights").write_bytes(b"x" * 1000)
    age(half)
    age(damaged)
    replay = home.runs / runs["first"] / "replay"
    replay.mkdir()
    (replay / "rows").write_bytes(b"x" * 5000)
    young = home.shared / ".mae-ffffffffffffffff"
    young.mkdir()
    items = {item.path: item.size for item in propose(home).items}
    assert items == {half: 1000, damaged: 1000, begun: 1000, replay: 5000}
    assert collect(home) == []
    assert not any(path.exists() for path in items)
    assert young.exists()
    kept = home.runs / runs["stopped"] / "checkpoint"
    assert list(kept.glob("*.pt"))


def test_what_is_locked_is_left(home: Home) -> None:
    runs = ids(home)
    archive(home, "alone")
    (own,) = (i.path.name for i in propose(home).items if i.what == "shared artifact")
    with FileLock(home.locks / f"run-{runs['alone']}.lock"):
        left = dict(collect(home))
    assert left[runs["alone"]] == "another process works on it"
    assert left[f"shared/{own}"] == "a run uses it"
    assert found(home) == []
    with FileLock(home.locks / f"{own}.lock"):
        left = dict(collect(home))
    assert left == {f"shared/{own}": "another process is building or reading it"}
    assert own in shared(home)
    assert collect(home) == []
    assert own not in shared(home)


def test_a_run_that_was_taken_back_meanwhile_stays(home: Home) -> None:
    archive(home, "alone")
    store = Store(home.registry_url)
    items = gc.propose(home, store.engine).items
    _mark(store, home, ids(home)["alone"], False)
    why = [problem for _, problem in gc.carry_out(home, store, items)]
    store.close()
    assert why == ["it is no longer archived, or was begun again", "a run uses it"]
    assert found(home) == []


def test_shared_artifacts_stay_while_a_run_is_under_way(program: Program, kept: Path) -> None:
    shutil.copytree(kept, program.home)
    home = Home.locate(program.home)
    archive(home, "alone")
    ready, go = program.folder / "ready", program.folder / "go"
    waiting = {"TOY_AT": "5:wait", "TOY_READY": str(ready), "TOY_GO": str(go)}
    running = program.start(*program.command("--seed", "7"), **waiting)
    until(ready.exists, "the run to be under way")
    before = shared(home)
    proposal = propose(home)
    assert [item.what for item in proposal.items] == ["run"]
    assert "under way" in proposal.kept["shared/"]
    assert collect(home) == []
    assert shared(home) == before
    engine = open_to_read(home.registry_url)
    audit = Audit(home, engine)
    assert (list(audit.findings()), audit.alive) == ([], 1)
    engine.dispose()
    go.touch()
    assert running.wait().code == 0
    assert [item.what for item in propose(home).items] == ["shared artifact"]


def test_shared_artifacts_stay_while_the_registry_lacks_runs(home: Home) -> None:
    change(home, f"DELETE FROM run WHERE id = '{ids(home)['alone']}'")
    proposal = propose(home)
    assert proposal.items == []
    assert "rlvit registry rebuild" in proposal.kept["shared/"]


def test_shared_artifacts_stay_while_runs_are_imported(home: Home) -> None:
    archive(home, "alone")
    (home.runs / ".importing-1-a").mkdir()
    proposal = propose(home)
    assert [item.what for item in proposal.items] == ["run"]
    assert "import" in proposal.kept["shared/"]
    assert collect(home) == []
    assert (home.runs / ".importing-1-a").exists()
    (home.runs / ".importing-1-a").rmdir()
    assert [item.what for item in propose(home).items] == ["shared artifact"]


def test_delete_hands_over_in_the_same_order(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ids(home)["alone"]
    assert invoke(["--home", str(home.root), "runs", "delete", run, "--yes"]) == 0
    assert capsys.readouterr().out == f"{run}: deleted\n"
    assert run not in listed(home) | set(ids(home).values())
    assert [kind for kind, _ in found(home)] == ["unused"]


def _killed_at(root: Path, event: int) -> None:
    """Collect, and kill this process in front of something that changes the disk."""
    seen = 0

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        inside = str(root / "runs") in str(arguments[:1]) and ".locks" not in str(arguments[:1])
        if name in ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree") and inside:
            seen += 1
            if seen == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    collect(Home.locate(root))


@pytest.mark.parametrize("event", [1, 2, 3, 5, 8])
def test_a_kill_leaves_nothing_half_that_is_not_found_and_ended(event: int, home: Home) -> None:
    run = ids(home)["alone"]
    archive(home, "alone")
    process = FORK.Process(target=_killed_at, args=(home.root, event))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    there = (home.runs / run).is_dir() and run in ids(home).values()
    assert there or found(home), "half of it is gone, and no check says so"
    assert collect(home) == []
    assert run not in ids(home).values()
    assert not [name for name in listed(home) if run in name]
    assert found(home) == []
    assert collect(home) == []


def test_the_command_shows_asks_and_removes(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    archive(home, "alone", "first")
    runs = ids(home)

    def called(*words: str) -> tuple[int, str, str]:
        code = invoke(["--home", str(home.root), "runs", "gc", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    code, out, _ = called("--dry-run")
    assert code == 0
    assert f"kept: {runs['first']}: run " in out
    assert runs["alone"] in out
    assert "kB" in out
    assert "Nothing was changed." in out
    code, _, err = called()  # there is nobody to answer
    said = "Error: nobody was there to answer: --yes does not ask."
    assert (code, err.splitlines()[-1]) == (2, said)
    assert runs["alone"] in ids(home).values()
    code, out, err = called("--yes")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("freed")
    assert runs["alone"] not in ids(home).values()
    code, out, _ = called("--yes")
    assert (code, out.splitlines()[-1]) == (0, "There is nothing to remove.")
