"""Settings that name a completed run: its id is all that identity, studies and resumption know."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_lab import wanted
from toy_program import Program

import rlvit
from rlvit.catalog import Catalog, build_catalog
from rlvit.config import MethodConfig, RunOf, identity, options, resolve, run_fields, setting
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.runs import execute
from rlvit.runs.context import StopFlag
from rlvit.runs.display import Silent
from rlvit.runs.matrix import make_cells
from rlvit.runs.named import settled
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import digest
from rlvit.tune.study import describe, request_of

POLICY = RunOf(what="policy", methods=("one", "two"), artifacts=("weights",))
WORK = {"help": "Help.", "unit": "-", "source": "none", "group": "Work"}


class Before(MethodConfig):
    """A configuration of which there are runs."""

    steps: int = setting(3, **WORK)
    ratio: float | None = setting(None, **WORK)


class After(Before):
    """The same with further fields."""

    source: str | None = setting(None, run=POLICY, aliases=("origin",), **WORK)
    noise: float = setting(0.5, only_with="source", **WORK)
    form: str = setting("round", omit_default=True, **WORK)


def test_new_fields_change_an_identity_only_where_they_are_given() -> None:
    old = {"steps": 3, "ratio": None}
    assert identity(Before()) == identity(After()) == old
    assert identity(After(source="a-run")) == {**old, "source": "a-run", "noise": 0.5}
    assert identity(After(source="a-run", noise=0.1))["noise"] == 0.1
    assert identity(After(form="square")) == {**old, "form": "square"}
    assert identity(After(noise=0.1)) == old  # it means nothing alone
    assert After.model_validate(identity(After(source="a-run"))) == After(source="a-run")


def test_a_value_that_means_nothing_is_refused_where_the_user_gave_it() -> None:
    with pytest.raises(UsageProblem, match=r"^--noise means nothing without --source: give both"):
        resolve(After, {}, {"noise": 0.1})
    assert resolve(After, {"noise": 0.1}, {}) == After(noise=0.1)  # a preset may have it
    assert resolve(After, {}, {"noise": 0.1, "origin": "a-run"}).model_dump()["source"] == "a-run"


def test_a_declaration_is_read_back_and_a_wrong_one_is_refused() -> None:
    info = {one.field: one for one in options(After)}
    assert (info["source"].run, info["noise"].only_with) == (POLICY, "source")
    assert info["steps"].run is None
    assert run_fields(After) == {"source": POLICY}
    with pytest.raises(ValueError, match="default is None"):
        setting("latest", run=POLICY, **WORK)

    class Wrong(Before):
        noise: float = setting(0.5, only_with="steps", **WORK)

    with pytest.raises(UsageProblem, match=r"Wrong.noise: only_with='steps' is no field that is"):
        options(Wrong)


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path
) -> tuple[Path, dict[str, str]]:
    """Return a home, to be copied, and its runs' ids by name: `good`, `beta` and `stopped`."""
    home = Home.locate(tmp_path_factory.mktemp("named") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_site)
        patch.syspath_prepend(bare_site)
        catalog = build_catalog(create_plugin_manager())
        ids = {}
        for name, task in (("good", "Alpha"), ("beta", "Beta"), ("stopped", "Alpha")):
            stop = StopFlag()
            if name == "stopped":
                stop.set()
            plan = make_plan(catalog, asked(task=task, name=name, seed=len(ids)))
            ids[name] = execute.start(catalog, home, plan, Silent(), stop=stop).id
    return home.root, ids


def asked(**more: Any) -> Request:
    """Return what is asked for; unknown names are the method's."""
    own = {name: more.pop(name) for name in list(more) if name in Request.__dataclass_fields__}
    known = {"task": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
    return Request("toy", **{**known, **own}, values={"steps": 6, **more})


@pytest.fixture
def ids(first: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """Return the ids of the runs by name."""
    return first[1]


@pytest.fixture
def home(first: tuple[Path, dict[str, str]], tmp_path: Path) -> Home:
    """Return a home with the runs."""
    shutil.copytree(first[0], tmp_path / "home")
    return Home.locate(tmp_path / "home")


@pytest.fixture
def planned(toy: Catalog, home: Home) -> Callable[..., Plan]:
    """Return what plans a run as every command does."""
    return lambda **more: make_plan(toy, settled(toy, home, asked(**more)))


def test_whatever_finds_a_run_is_replaced_by_its_id(
    planned: Callable[..., Plan], home: Home, ids: dict[str, str]
) -> None:
    good, plain = ids["good"], planned()
    for text in (good, good[:-1], good[-8:], "good"):
        plan = planned(start_from=text)
        assert identity(plan.config) == {**identity(plain.config), "start_from": good, "share": 0.5}
        assert planned(begin_with=text).fingerprint == plan.fingerprint  # an alias
    assert plan.fingerprint != plain.fingerprint
    assert planned(start_from="good", share=0.25).fingerprint != plan.fingerprint
    config = {
        n: v for n, v in plain.config.model_dump().items() if n not in ("start_from", "share")
    }
    as_ever = {"method": "toy", "task": "Alpha", "config": config, "slots": plain.slots}
    as_ever["protocol"] = [plain.protocol.name, dict(plain.protocol.settings)]
    assert plain.fingerprint == digest(as_ever)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"start_from": "goood"}, r"^--start-from goood: unknown run 'goood'\. Did you mean|Known"),
        ({"begin_with": "nobody"}, "^--begin-with nobody: unknown run 'nobody'"),
        ({"start_from": "toy-alpha"}, r"^--start-from toy-alpha: 'toy-alpha' fits 2 runs"),
        ({"start_from": ""}, "^--start-from : unknown run ''"),
        ({"start_from": "\udcff"}, "it is not UTF-8 text"),
        ({"start_from": 3}, "^--start-from 3: should be a valid string"),
        ({"start_from": "stopped"}, "is interrupted; only a completed run has a table to take"),
        ({"start_from": "latest"}, "^--start-from latest: run .* is interrupted"),
        ({"start_from": "beta"}, "^--start-from beta: run .* is of puzzle Beta; expected .* Alpha"),
        ({"start_from": "good", "begin_with": "good"}, "not both: they are one option"),
    ],
)
def test_what_cannot_be_named_is_refused(
    planned: Callable[..., Plan], given: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageProblem, match=expected):
        planned(**given)


def test_a_run_without_what_is_taken_is_refused(
    planned: Callable[..., Plan], home: Home, ids: dict[str, str]
) -> None:
    with sqlite3.connect(home.root / "registry.db") as database:
        number = database.execute(
            "SELECT experiment_id FROM run WHERE id = ?", [ids["good"]]
        ).fetchone()
        database.execute("UPDATE experiment SET method = 'other' WHERE id = ?", number)
    with pytest.raises(UsageProblem, match=r"is of other, which has no table .* run of toy\.$"):
        planned(start_from="good")
    with sqlite3.connect(home.root / "registry.db") as database:
        database.execute("UPDATE experiment SET method = 'toy' WHERE id = ?", number)
    table = home.runs / ids["good"] / "artifacts" / "table" / "table.json"
    table.write_text(table.read_text() + " ")
    with pytest.raises(UsageProblem, match=r"--start-from good: run .* has no sound 'table' in /"):
        planned(start_from="good")


def test_a_home_without_a_registry_is_refused(toy: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"^--start-from good: there is no registry at"):
        settled(toy, Home.locate(tmp_path / "none"), asked(start_from="good"))
    assert not (tmp_path / "none").exists()


def test_the_run_is_opened_used_and_recorded(toy: Catalog, home: Home, ids: dict[str, str]) -> None:
    options = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1, "steps": 1}
    outcome = rlvit.run("toy", home=home.root, start_from="good", share=1.0, rate=1e-9, **options)
    before = np.load(home.runs / ids["good"] / "weights.npy")[:4]
    after = np.load(outcome.folder / "weights.npy")[:4]
    np.testing.assert_allclose(after, before, rtol=1e-5)
    registry = rlvit.Registry(home.root)
    view = registry.view(outcome.id)
    assert (view.config["start_from"], view.config["share"]) == (ids["good"], 1.0)
    assert registry.revive(outcome.id).config.model_dump()["start_from"] == ids["good"]
    assert "share" not in registry.view("good").config
    registry.close()
    with pytest.raises(UsageProblem, match="--start-from nobody: unknown run"):
        rlvit.run("toy", home=home.root, start_from="nobody", **options)


def test_a_resumed_run_knows_the_id(toy: Catalog, home: Home, ids: dict[str, str]) -> None:
    stop = StopFlag()
    stop.set()
    plan = make_plan(toy, settled(toy, home, asked(start_from="good", share=0.25, seed=5)))
    begun = execute.start(toy, home, plan, Silent(), stop=stop)
    assert begun.state == "interrupted"
    whole = execute.start(toy, home, plan, Silent())
    resumed = execute.resume(toy, home, begun.id, Silent())
    assert resumed.state == "completed", resumed.error
    weights = [np.load(one.folder / "weights.npy") for one in (whole, resumed)]
    np.testing.assert_array_equal(*weights)


def test_only_a_run_that_a_setting_names_is_opened(
    planned: Callable[..., Plan], ids: dict[str, str], toy: Catalog, home: Home
) -> None:
    plan = planned(start_from="good")
    assert plan.taken(ids["good"]) == ("table",)
    with pytest.raises(RlvitError, match="no setting of its configuration names"):
        plan.taken(ids["beta"])
    shutil.rmtree(home.runs / ids["good"] / "artifacts")
    outcome = execute.start(toy, home, plan, Silent())
    assert outcome.state == "failed"
    assert f"run {ids['good']} has no sound 'table' in its folder any more" in str(outcome.error)
    gone = replace(plan, config=plan.config.model_copy(update={"start_from": "toy-gone"}))
    outcome = execute.start(toy, home, gone, Silent())
    assert "run toy-gone is not in the registry any more" in str(outcome.error)


def test_studies_keep_the_id(toy: Catalog, home: Home, ids: dict[str, str]) -> None:
    plain, _ = describe(toy, home, wanted())
    for study in (
        wanted(values={"start_from": "good"}),
        wanted(fixed=("start_from=good",)),
        wanted(fixed=(f"begin-with={ids['good']}",)),
    ):
        record, base = describe(toy, home, study)
        assert base.values["start_from"] == ids["good"]
        assert make_plan(toy, request_of(record, {}, 0)).config.model_dump()["share"] == 0.5
        assert record.name != plain.name
    with pytest.raises(UsageProblem, match=r"--start-from beta: run .* is of puzzle Beta"):
        describe(toy, home, wanted(fixed=("start_from=beta",)))
    with pytest.raises(UsageProblem, match="start_from names a run; --fix names one for all"):
        describe(toy, home, wanted(space=("start_from=good,beta",)))


def test_a_matrix_leaves_out_the_tasks_that_the_run_is_not_of(toy: Catalog, home: Home) -> None:
    request = settled(toy, home, replace(asked(start_from="good"), task=None))
    alpha, beta = make_cells(toy, request, ["Alpha", "Beta"], {}, [0])
    assert alpha.plan is not None
    assert beta.plan is None
    assert "is of puzzle Alpha; expected one of Beta" in beta.problem


def test_the_command_shows_the_id_and_seeds_share_it(
    program: Program, home: Home, ids: dict[str, str]
) -> None:
    assert program.home == home.root
    toy = ("run", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "quick", "--device", "cpu")
    toy = (*toy, "--threads", "2", "--steps", "6")
    dry = program(*toy, "--start-from", "good", "--dry-run")
    assert f'start_from = "{ids["good"]}"' in dry.out
    assert "--start-from RUN" in program(*toy, "--help").out
    refused = program(*toy, "--start-from", "stopped", "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    assert refused.errors[-1].startswith("Error: --start-from stopped: run toy-alpha-s2-")
    done = program(*toy, "--start-from", "good", "--seeds", "3-4")
    assert done.code == 0, done.err
    listed = program("runs", "list", "--query", f"config.start_from == '{ids['good']}'")
    assert listed.out.count("toy-alpha-s") == 2
