"""Frames that the policy of another run shows: `--frames-from RUN`, on real games."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rlvit import Registry
from rlvit.catalog import Catalog, Entry
from rlvit.code import code_digest
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs import execute
from rlvit.runs.named import settled
from rlvit.runs.plan import Request, make_plan
from rlvit_spirl.frames import load_frames
from rlvit_spirl.loading import load
from rlvit_spirl.recording import frames as random_play
from rlvit_spirl.recording.trained_play import RecordedGame, policy_of, record
from rlvit_tasks.atari import AtariGame, make_game

GREY = {"size": 84, "grey": True}
FAST = {"frame_skip": 16, "terminal_on_life_loss": False}
# Of what there was before frames could come from another run: of the module that records random
# play, which is in the keys of all frames, and of two experiments.
MODULE = "144de15b8e848fdb9ba21d7f3ff4b18bec805b4386d443f6d2e4699c189e69f5"
FINGERPRINTS = {
    "Frostbite": "be222a339cd0961f60563018968800a3c1e30675f71947c3696d3dd923e2a3ac",
    "Seaquest": "1988504b8b44a5399d6bcc8d73afefdec32abee97d0fe699fb3e6d9fa007827d",
}


@dataclass(frozen=True)
class Lab:
    """A home with finished runs of the game that tiny runs play.

    `salient`, and `whole` and `again`, which differ in their names alone, learnt to play;
    `from salient` and `from whole` saw their frames.
    """

    tiny: ModuleType
    home: Path
    ids: Mapping[str, str]  # by name
    story: Mapping[str, Any]  # of `from salient`

    def run(self, catalog: Catalog | None = None, **more: Any) -> execute.RunOutcome:
        """Make a tiny SPIRL run."""
        outcome = self.tiny.start(self.home, catalog=catalog, **more)
        assert outcome.state == "completed", outcome.error
        return outcome

    def artifacts(self, run_id: str) -> dict[tuple[str, str], Any]:
        """Return what a run made and used, by kind and role."""
        found = queries.artifacts(open_database(Home.locate(self.home).registry_url), run_id)
        return {(one.kind, one.role): one for one in found}


def whole_frames(tiny: ModuleType, home: Path, catalog: Catalog, **more: Any) -> str:
    """Make a tiny run of de-rainbow and return its id."""
    fields = catalog.method("de-rainbow").config.model_fields
    values = {name: value for name, value in tiny.VALUES.items() if name in fields}
    asked: dict[str, Any] = {"protocol": "tiny", "preset": "paper", "device": "cpu", "threads": 1}
    plan = make_plan(catalog, Request("de-rainbow", tiny.GAME, values=values, **{**asked, **more}))
    outcome = execute.start(catalog, Home.locate(home), plan, tiny.Rehearsal())
    assert outcome.state == "completed", outcome.error
    return outcome.id


@pytest.fixture(scope="module")
def made(tiny: ModuleType, unbroken: Any, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that must not be written to."""
    home = tmp_path_factory.mktemp("policies") / "home"
    shutil.copytree(unbroken.home, home)
    catalog = tiny.make_catalog()
    whole = whole_frames(tiny, home, catalog, name="whole")
    again = whole_frames(tiny, home, catalog, name="again")
    ids = {"salient": unbroken.id, "whole": whole, "again": again}
    lab, threads = Lab(tiny, home, ids, {}), torch.get_num_threads()
    ids = {f"from {name}": lab.run(frames_from=ids[name]).id for name in ("whole", "salient")} | ids
    assert torch.get_num_threads() == threads
    return replace(lab, ids=ids, story=tiny.outcome_of(home, ids["from salient"]))


@pytest.fixture
def lab(made: Lab, tmp_path: Path) -> Lab:
    """A lab of one's own."""
    shutil.copytree(made.home, tmp_path / "lab")
    return replace(made, home=tmp_path / "lab")


def test_what_there_was_keeps_its_keys(tiny: ModuleType, unbroken: Any) -> None:
    catalog = tiny.make_catalog()
    for game, fingerprint in FINGERPRINTS.items():
        plan = make_plan(catalog, Request("spirl", game, preset="paper", device="cpu", threads=1))
        assert plan.fingerprint == fingerprint
    assert random_play.__file__ is not None
    assert hashlib.sha256(Path(random_play.__file__).read_bytes()).hexdigest() == MODULE
    (folder,) = (unbroken.home / "runs" / "shared").glob("frames-*")
    assert json.loads((folder / "artifact.json").read_text())["inputs"] == {
        "game": "Breakout",
        "frames": 64,
        "first_lives_only": True,
        "wrapper": {
            "frame_skip": 16,
            "max_noops": 30,
            "sticky_probability": 0.0,
            "horizon": 27_000,
            "size": 96,
        },
        "seed": 0,
        "code": code_digest(random_play.record, AtariGame),
    }
    config = Registry(unbroken.home).view(unbroken.id).config
    assert not {"frames_from", "frames_epsilon"} & set(config)


def breakout(settings: Mapping[str, Any], seed: int) -> AtariGame:
    """Return Breakout fast-forwarded, so that lives are lost soon."""
    return make_game("breakout", settings, seed)


@pytest.mark.parametrize("lives_end", [True, False])
def test_what_is_seen_and_what_is_recorded_stay_in_step(lives_end: bool) -> None:
    rules = {**FAST, "terminal_on_life_loss": lives_end, "sticky_probability": 0.25}
    game, draws = RecordedGame(breakout, rules, GREY, 7), np.random.default_rng(0)
    shown, seen = breakout(rules, 7), breakout({**rules, **GREY}, 7)
    game.reset(full=True)
    ended, scored = 0, 0.0
    frames = [(game.frame, shown.reset(True)), (game.view, seen.reset(True))]
    for _ in range(120):
        action = int(draws.integers(4))
        done = game.step(action)
        steps = [shown.step(action), seen.step(action)]
        assert [step[1:] for step in steps] == [steps[0][1:]] * 2
        assert done == steps[0].done
        scored, ended = scored + steps[0].reward, ended + done
        found = [step.frame for step in steps]
        if done:
            game.reset(full=False)
            found = [shown.reset(False), seen.reset(False)]
        frames += [(game.frame, found[0]), (game.view, found[1])]
    assert ended > 1
    assert scored > 0
    assert {one.shape for one, _ in frames} == {(3, 96, 96), (1, 84, 84)}
    for one, expected in frames:
        np.testing.assert_array_equal(one, expected)


def test_games_that_part_are_noticed() -> None:
    game = RecordedGame(breakout, FAST, GREY, 7)
    game.seen = breakout({**FAST, **GREY, "max_noops": 0}, 8)
    game.reset(full=True)

    def play() -> None:
        for action in np.random.default_rng(0).integers(4, size=200):
            if game.step(int(action)):
                game.reset(full=True)

    with pytest.raises(RlvitError, match="went another way"):
        play()


def player(lab: Lab, name: str) -> Any:
    """Return the policy of a finished run, for two games at once."""
    registry = Registry(lab.home)
    found = registry.revive(lab.ids[name])
    registry.close()
    return load(found).policy


@pytest.mark.parametrize(("name", "epsilon"), [("salient", 0.4), ("whole", 0.0), ("whole", 1.0)])
def test_each_game_fills_its_part(made: Lab, name: str, epsilon: float) -> None:
    policy, count = player(made, name), 21
    view = GREY if name == "whole" else {}

    def games() -> list[RecordedGame]:
        return [RecordedGame(breakout, FAST, view, seed) for seed in (3, 4)]

    def streams() -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in (5, 6)]

    told: list[int] = []
    rules = {"epsilon": epsilon, "first_lives_only": False}
    frames = record(policy, games(), streams(), count, **rules, update=told.append)
    assert told == [*range(2, 21, 2), 21]
    expected = []
    for place, share in ((0, 10), (1, 11)):
        game, stream = games()[place], streams()[place]
        game.reset(full=True)
        policy.begin_game(place)
        for _ in range(share):
            expected.append(game.frame)
            (action,) = policy.act_in_games([place], game.view[None])
            if stream.random() < epsilon:
                action = int(stream.integers(4))
            if game.step(action):
                game.reset(full=False)
                policy.begin_game(place)
    np.testing.assert_array_equal(frames, np.stack(expected))


@pytest.mark.parametrize("name", ["salient", "whole"])
def test_a_run_is_pretrained_on_frames_of_another_s_policy(made: Lab, name: str) -> None:
    used, run = made.ids[name], made.ids[f"from {name}"]
    found, random = made.artifacts(run), made.artifacts(made.ids["salient"])
    frames, agent = found["frames", "made"], found["agent", "used"]
    assert (agent.made_by, found["agent", "made"].made_by) == (used, run)
    folder = made.home / "runs" / used / "artifacts" / "agent"
    kept = json.loads((folder / "artifact.json").read_text())
    assert frames.inputs["policy"]["agent"] == agent.sha256 == kept["sha256"]
    assert (frames.inputs["epsilon"], frames.inputs["places"]) == (0.05, 1)
    assert not [run for run in made.ids.values() if run in json.dumps(frames.inputs)]
    recorded = load_frames(frames_of(made, run))
    assert (recorded.shape, recorded.dtype) == ((64, 3, 96, 96), np.uint8)
    assert frames.sha256 != random["frames", "made"].sha256
    assert found["mae", "made"].sha256 != random["mae", "made"].sha256
    registry = Registry(made.home)
    assert registry.view(run).config["frames_from"] == used
    policy = policy_of(registry.revive(used))
    registry.close()
    assert policy == frames.inputs["policy"]
    assert ("mae" in policy["made_from"]) == (name == "salient")


def test_the_same_policy_under_another_name_has_the_same_frames(lab: Lab) -> None:
    other = lab.run(frames_from=lab.ids["again"], seed=1)
    found = lab.artifacts(other.id)
    assert found["frames", "used"].made_by == lab.ids["from whole"]
    assert found["agent", "used"].made_by in (lab.ids["whole"], lab.ids["again"])


def frames_of(lab: Lab, run_id: str) -> Any:
    """Return the frames that a run made, as an artifact that can be read."""
    view = Registry(lab.home).view(run_id)
    (found,) = (one for one in view.artifacts if one.kind == "frames")
    return found


def test_a_policy_with_all_actions_is_recorded_under_other_rules(
    tiny: ModuleType, lab: Lab
) -> None:
    catalog = tiny.make_catalog()
    tasks: Any = catalog.entries["task"]
    entry = tasks[tiny.GAME]
    short = entry.spec.protocol("tiny")
    every = replace(short, name="every", settings={**short.settings, "full_actions": True})
    spec = replace(entry.spec, protocols=(*entry.spec.protocols, every))
    tasks[tiny.GAME] = Entry(spec, entry.owner)
    used = whole_frames(tiny, lab.home, catalog, protocol="every")
    outcome = lab.run(catalog, frames_from=used)
    frames = lab.artifacts(outcome.id)["frames", "made"]
    assert frames.inputs["wrapper"]["full_actions"] is True


def test_a_run_killed_while_frames_are_recorded_ends_as_if_it_had_not_been(
    tiny: ModuleType, lab: Lab
) -> None:
    shutil.rmtree(lab.home / "runs" / "shared")
    given = {"frames_from": lab.ids["salient"], "stop": ["shown", "frames", 40, "SIGKILL"]}
    assert tiny.attempts(lab.home, [("start", given), ("resume", {})]) == [-9, 0]
    killed = tiny.runs_of(lab.home)[0].id
    assert tiny.outcome_of(lab.home, killed) == lab.story
    frames = lab.artifacts(lab.ids["from salient"])["frames", "made"]
    assert lab.artifacts(killed)["frames", "made"].sha256 == frames.sha256


def test_what_cannot_be_is_refused_before_anything_is_written(tiny: ModuleType, made: Lab) -> None:
    catalog, home = tiny.make_catalog(), Home.locate(made.home)
    known = sorted((made.home / "runs").iterdir())

    def refused(text: str, game: str = tiny.GAME, **more: Any) -> str:
        request = Request("spirl", game, preset="quick", values={"frames_from": text, **more})
        with pytest.raises(UsageProblem) as problem:
            make_plan(catalog, settled(catalog, home, request))
        return str(problem.value)

    assert refused("whole", "Pong").startswith("--frames-from whole: run de-rainbow-breakout-s0-")
    assert "is of game Breakout; expected one of Pong" in refused("whole", "Pong")
    assert "unknown run 'whoel'" in refused("whoel")
    assert "--frames-epsilon 2" in refused("whole", frames_epsilon=2.0)
    request = Request("spirl", tiny.GAME, preset="quick", values={"frames_epsilon": 0.1})
    with pytest.raises(UsageProblem, match="means nothing without --frames-from"):
        make_plan(catalog, request)
    assert sorted((made.home / "runs").iterdir()) == known


def test_a_plan_says_what_recording_costs(tiny: ModuleType) -> None:
    random, trained = (
        tiny.make(tiny.make_catalog(), **more).costs()[0] for more in ({}, {"frames_from": "a-run"})
    )
    assert (random.flops, random.amount) == (0.0, "64 frames")
    assert trained.amount == "64 frames of a trained policy"
    assert trained.flops > 0
    assert trained.host_seconds > 10 * random.host_seconds
