"""Data-efficient Rainbow on whole frames: what it sees, its network, its runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs import execute
from rlvit.runs.plan import Request, make_plan
from rlvit_spirl import whole_config
from rlvit_spirl.agent import RainbowAgent
from rlvit_spirl.whole_config import PRESETS, WholeFrameConfig
from rlvit_spirl.whole_frames import FrameNetwork, GreedyFrames, WholeFrames, frame_network
from rlvit_tasks.atari import make_game
from rlvit_tasks.evaluation import play_games

CPU = torch.device("cpu")
TINY = {
    "steps": 40,
    "random_steps": 12,
    "learn_start": 12,
    "n_step": 3,
    "batch_size": 8,
    "target_every": 7,
    "checkpoint_every": 9,
    "log_every": 5,
    "figures": False,
}


def network(actions: int = 18, size: int = 84) -> FrameNetwork:
    return FrameNetwork(
        actions,
        size=size,
        hidden=256,
        atoms=51,
        noise=0.5,
        generator=torch.Generator().manual_seed(0),
    )


def test_grey_frames_are_the_emulators_own_grey_scaled_down() -> None:
    settings = {"size": 84, "grey": True, "max_noops": 0}
    game = make_game("seaquest", settings, 3)
    coloured = make_game("seaquest", {**settings, "grey": False}, 3)
    frame = game.reset(full=True)
    assert frame.shape == (1, 84, 84)
    assert frame.dtype == np.uint8
    assert coloured.reset(full=True).shape == (3, 84, 84)
    for action in (1, 2, 3):
        frame = game.step(action).frame
        coloured.step(action)
    # The emulators are in the same state, so their screens are the same; two greys of each of the
    # last two frames went into the maximum, of which the second is the present one.
    assert np.array_equal(game._ale.getScreenRGB(), coloured._ale.getScreenRGB())
    brightest = np.maximum(game._screens[0], game._ale.getScreenGrayscale())
    scaled = cv2.resize(brightest, (84, 84), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(frame[0], scaled)
    state = game.state()
    with pytest.raises(ValueError, match="settings"):
        coloured.restore(state)


def test_the_network_has_the_layers_of_the_published_code() -> None:
    # Places: (84 + 6 - 5) // 5 + 1 = 18, then (18 + 2 - 5) // 5 + 1 = 4, so 64 * 4 * 4 features.
    convolutions = 4 * 32 * 25 + 32 + 32 * 64 * 25 + 64
    hidden = 2 * 2 * (1024 * 256 + 256)  # two noisy layers, each with means and deviations
    out = 2 * (256 * 51 * (18 + 1) + 51 * (18 + 1))
    count = sum(parameter.numel() for parameter in network().parameters())
    assert count == convolutions + hidden + out + 51


def test_grey_levels_become_distributions() -> None:
    model = network(actions=5)
    stacks = torch.randint(0, 256, (3, 4, 1, 84, 84), dtype=torch.uint8)
    found = model(stacks, noisy=False)
    assert found.shape == (3, 5, 51)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 5))
    x = stacks[:, :, 0].float() / 255
    for layer, padding in ((model.conv1, 3), (model.conv2, 1)):
        unfolded = torch.nn.functional.unfold(x, 5, padding=padding, stride=5)  # [B, C * 25, P]
        side = int(unfolded.shape[-1] ** 0.5)
        x = (layer.weight.flatten(1) @ unfolded + layer.bias[:, None]).relu()
        x = x.unflatten(-1, (side, side))
    torch.testing.assert_close(found, model.head(x.flatten(1), noisy=False), rtol=1e-4, atol=1e-5)


def test_the_gradient_into_the_convolutions_is_scaled() -> None:
    model = network(actions=2)
    stacks = torch.randint(0, 256, (2, 4, 1, 84, 84), dtype=torch.uint8)
    model(stacks, noisy=False)[..., :10].sum().backward()
    scaled = model.conv1.weight.grad
    assert scaled is not None
    again = network(actions=2)
    x = torch.relu(again.conv1(stacks[:, :, 0].float() / 255))
    x = torch.relu(again.conv2(x)).flatten(1)
    again.head(x, noisy=False)[..., :10].sum().backward()
    assert again.conv1.weight.grad is not None
    torch.testing.assert_close(scaled, again.conv1.weight.grad * 2**-0.5)


@pytest.mark.parametrize(("game", "steps"), [("Seaquest", 148_400), ("Frostbite", 103_400)])
def test_a_prefilled_replay_begins_with_random_play(game: str, steps: int) -> None:
    """Table 12: 148.4K and 103.4K steps, as many updates as without."""
    paper = WholeFrameConfig(prefill=True).filled(game)
    assert paper.steps == steps
    assert paper.learn_start == paper.random_steps == steps - 98_400
    assert WholeFrameConfig().filled(game) == WholeFrameConfig()
    (preset,) = [one for one in PRESETS if one.name == "prefilled"]
    assert preset.values == {"prefill": True}


def test_the_evaluated_policy_sees_the_last_four_frames_of_its_game() -> None:
    config = WholeFrameConfig()
    agent = RainbowAgent(4, config, CPU, torch.Generator().manual_seed(0), frame_network)
    policy = GreedyFrames(agent, WholeFrames(84))
    frames = np.random.default_rng(0).integers(0, 256, (6, 1, 84, 84), dtype=np.uint8)
    for played in (frames, frames[:1]):
        policy.begin_game(0)
        for frame in played:
            chosen = policy.act_in_games([0], frame[None])[0]
        before = np.zeros((max(0, 4 - len(played)), 1, 84, 84), dtype=np.uint8)
        stacks = torch.from_numpy(np.concatenate([before, played[-4:]])[None])  # [1, 4, 1, 84, 84]
        with torch.no_grad():
            values = (agent.online(stacks, noisy=False).exp() * agent.support).sum(-1)
        assert chosen == int(values.argmax())


def test_a_policy_may_not_change_the_rules_of_its_games() -> None:
    subject = SimpleNamespace(
        begin=lambda: None, act=lambda frame: 0, view={"size": 84, "sticky_probability": 0.5}
    )
    protocol: Any = SimpleNamespace(settings={"evaluation_horizon": 5, "epsilon": 0, "episodes": 1})
    examination: Any = SimpleNamespace(task=None, protocol=protocol, subject=subject)
    with pytest.raises(RlvitError, match="grey, size of its games, not sticky_probability"):
        play_games(examination)


class Stopping:
    """A display that stops a run at a step of learning."""

    def __init__(self, tiny: ModuleType, at: int) -> None:
        def heard(stage: str, done: int) -> None:
            if (stage, done) == ("learn", at):
                raise KeyboardInterrupt

        self.display = tiny.Rehearsal(heard)


def plan_of(catalog: Catalog, preset: str = "paper", **values: Any) -> Any:
    return make_plan(
        catalog,
        Request(
            plugin="de-rainbow",
            task="Breakout",
            preset=preset,
            protocol="tiny",
            values={**TINY, **values},
            device="cpu",
            threads=1,
        ),
    )


def story(home: Path, run_id: str) -> dict[str, Any]:
    """Return what a run measured and logged, times left out."""
    engine = open_database(Home.locate(home).registry_url)
    try:
        return {
            "results": [
                (r.metric, r.value)
                for r in queries.results(engine, run_id)
                if not r.superseded and r.metric != "speed/steps"
            ],
            "episodes": [
                (e.index, e.score, e.length)
                for e in queries.episodes(engine, run_id)
                if not e.superseded
            ],
            "points": sorted(
                (p.metric, p.step, p.value)
                for p in queries.points(engine, run_id)
                if not p.superseded and p.metric != "speed/steps"
            ),
            "agent": (home / "runs" / run_id / "artifacts/agent/agent.safetensors").read_bytes(),
        }
    finally:
        engine.dispose()


def test_a_run_that_was_stopped_and_resumed_equals_an_unbroken_one(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the preset `prefilled`, with 30 random steps instead of 50,000."""
    monkeypatch.setattr(whole_config, "FRAMES_ELSEWHERE", 30)
    catalog, homes = tiny.make_catalog(), [Home.locate(tmp_path / name) for name in ("one", "two")]
    plan = plan_of(catalog, "prefilled")
    whole = execute.start(catalog, homes[0], plan, tiny.Rehearsal())
    assert whole.state == "completed", whole.error
    assert {m.metric for m in whole.results} >= {"eval/return", "eval/human_normalised"}
    assert {m.step for m in whole.results} == {58}  # 30 + 40 - 12
    points = story(homes[0].root, whole.id)["points"]
    assert [step for name, step, _ in points if name == "train/loss"] == [35, 40, 45, 50, 55]
    made = json.loads((whole.folder / "artifacts" / "agent" / "artifact.json").read_text())
    assert made["inputs"]["updates"] == 28  # as many as without

    stopped = execute.start(catalog, homes[1], plan, Stopping(tiny, 41).display)
    assert stopped.state == "interrupted"
    newest = max((stopped.folder / "checkpoint").glob("*.pt"))
    assert torch.load(newest, weights_only=True)["replay"]["dones"].any()
    assert "train/return" not in {name for name, _, _ in points}  # so these were lives, not games
    resumed = execute.resume(catalog, homes[1], stopped.id, tiny.Rehearsal())
    assert resumed.state == "completed", resumed.error
    assert resumed.attempt == 2
    assert story(homes[0].root, whole.id) == story(homes[1].root, stopped.id)
    assert not (whole.folder / "replay").exists()


def test_the_agent_learns_from_what_it_sees(tiny: ModuleType, tmp_path: Path) -> None:
    catalog, home = tiny.make_catalog(), Home.locate(tmp_path)
    plans = [plan_of(catalog), replace(plan_of(catalog), seed=1), plan_of(catalog, size=42)]
    runs = [execute.start(catalog, home, plan, tiny.Rehearsal()) for plan in plans]
    agents = {story(tmp_path, run.id)["agent"] for run in runs}
    assert len(agents) == 3
    losses = [v for m, _, v in story(tmp_path, runs[0].id)["points"] if m == "train/loss"]
    assert losses
    assert all(np.isfinite(losses))


def test_frames_of_any_size_fit(tmp_path: Path) -> None:
    for size in (40, 84, 210):
        stacks: NDArray[np.uint8] = np.zeros((1, 4, 1, size, size), dtype=np.uint8)
        assert network(3, size)(torch.from_numpy(stacks), noisy=True).shape == (1, 3, 51)


def with_evaluations(catalog: Catalog) -> Catalog:
    """Give the protocol `tiny` evaluations on the way."""
    tasks: Any = catalog.entries["task"]
    entry = tasks["Breakout"]
    tiny = entry.spec.protocol("tiny")
    settings = {**tiny.settings, "evaluate_every": 11, "evaluation_horizon": 20}
    others = tuple(how for how in entry.spec.protocols if how.name != "tiny")
    often = replace(entry.spec, protocols=(*others, replace(tiny, settings=settings)))
    tasks["Breakout"] = replace(entry, spec=often)
    return catalog


def test_the_best_median_is_that_of_all_evaluations(tiny: ModuleType, tmp_path: Path) -> None:
    """Also where the run failed between them and went on."""
    catalog = with_evaluations(tiny.make_catalog())
    homes = [Home.locate(tmp_path / name) for name in ("one", "two")]
    whole = execute.start(catalog, homes[0], plan_of(catalog), tiny.Rehearsal())
    assert whole.state == "completed", whole.error
    engine = open_database(homes[0].registry_url)
    results = [r for r in queries.results(engine, whole.id) if not r.superseded]
    engine.dispose()
    medians = {r.step: r.value for r in results if r.metric == "eval/return_median"}
    assert sorted(medians) == [11, 22, 33, 40]
    (best,) = [r for r in results if r.metric == "eval/best_median"]
    assert best.value == max(v for v in medians.values() if v is not None)
    assert (best.step, best.samples) == (40, 2)

    broken = with_evaluations(tiny.make_catalog(fail_at=30))
    failed = execute.start(broken, homes[1], plan_of(broken), tiny.Rehearsal())
    assert failed.state == "failed"
    resumed = execute.resume(catalog, homes[1], failed.id, tiny.Rehearsal())
    assert resumed.state == "completed", resumed.error
    assert story(homes[0].root, whole.id) == story(homes[1].root, failed.id)


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("atari100k", {"episodes": 100, "epsilon": 0.001, "sticky_probability": 0.0}),
        ("atari400k-best-median", {"episodes": 50, "evaluate_every": 50_000}),
        ("machado18", {"sticky_probability": 0.25, "full_actions": True, "max_noops": 0}),
    ],
)
def test_protocols_are_data(tiny: ModuleType, protocol: str, expected: dict[str, Any]) -> None:
    task = tiny.make_catalog().task("Pong", "game")
    settings = task.protocol(protocol).settings
    assert expected.items() <= settings.items()
    game = make_game("pong", settings, 0)
    assert game.action_count == (18 if protocol == "machado18" else 6)


@pytest.mark.parametrize("method", ["spirl", "de-rainbow"])
@pytest.mark.parametrize(
    ("preset", "learn", "evaluate"),
    [
        ("paper", "100,000 steps, 98,400 updates", "50 games of about 500 steps"),
        # Every 4th of the steps 1,601 to 400,000; evaluations after 50,000, 100,000, .. 400,000.
        ("paper-400k", "400,000 steps, 99,600 updates", "8 x 50 games of about 500 steps"),
    ],
)
def test_the_regimes_have_nearly_as_many_updates(
    tiny: ModuleType, method: str, preset: str, learn: str, evaluate: str
) -> None:
    catalog = tiny.make_catalog()
    request = Request(plugin=method, task="Seaquest", preset=preset, device="cpu")
    plan = make_plan(catalog, request)
    amounts = {cost.stage: cost.amount for cost in plan.costs()}
    assert (amounts["learn"], amounts["evaluate"]) == (learn, evaluate)
    protocols = {"paper": "atari100k-spirl", "paper-400k": "atari400k-best-median"}
    assert plan.protocol.name == protocols[preset]


@pytest.mark.parametrize("method", ["spirl", "de-rainbow"])
@pytest.mark.parametrize(
    ("steps", "evaluations"), [(50_000, 1), (50_001, 2), (100_000, 2), (399_999, 8), (400_000, 8)]
)
def test_every_evaluation_on_the_way_is_paid_for(
    tiny: ModuleType, method: str, steps: int, evaluations: int
) -> None:
    def evaluating(protocol: str) -> Any:
        request = Request(
            plugin=method,
            task="Seaquest",
            preset="paper",
            protocol=protocol,
            values={"steps": steps},
            device="cpu",
        )
        return make_plan(tiny.make_catalog(), request).costs()[-1]

    once, often = evaluating("atari100k-spirl"), evaluating("atari400k-best-median")
    assert (once.stage, often.stage) == ("evaluate", "evaluate")
    assert once.host_seconds > 0
    assert often.host_seconds == pytest.approx(evaluations * once.host_seconds)
    assert often.flops == pytest.approx(evaluations * once.flops)
    assert (once.flops > 0) == (method == "spirl")  # a frame's error map is what costs


def test_a_prefilled_replay_is_paid_for(tiny: ModuleType) -> None:
    request = Request(plugin="de-rainbow", task="Seaquest", preset="prefilled", device="cpu")
    learn, _ = make_plan(tiny.make_catalog(), request).costs()
    assert learn.amount == "148,400 steps, 98,400 updates"
