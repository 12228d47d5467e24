"""Holds the loop in which Rainbow learns to steps, rewards and betas that are written by hand.

The replay and the random streams are real. The game, what sees it and the agent are scripted, so
that every number that passes between them is known beforehand.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rlvit.contracts import Examined, Measurement, Transition
from rlvit.rl.replay import Batch, SequenceReplay
from rlvit.runs.context import TrainingContext, stream_seed
from rlvit_spirl import learning
from rlvit_spirl.cost import count_updates
from rlvit_spirl.learning import Between, Learnt, learn, nothing
from rlvit_spirl.rainbow_config import REGIME_400K, RainbowConfig

SEED, ACTIONS = 5, 3
SCORES = {2: 4.0, 5: -8.0, 10: 12.0, 13: 20.0, 16: 4.0, 19: 7.0}  # by step; elsewhere nothing
LOST_LIVES, GAMES_OVER = {5, 15}, {10, 22}
SMALL = RainbowConfig(
    steps=24,
    random_steps=6,
    learn_start=8,
    steps_per_update=3,
    n_step=3,
    batch_size=4,
    log_every=5,
    checkpoint_every=10,
)
UPDATES = [9, 12, 15, 18, 21, 24]
MEDIANS = {7: 30.0, 14: 10.0, 21: 20.0}  # of the evaluations after these steps


@dataclass
class Heard:
    """What happened, in this order, and with which values."""

    events: list[str] = field(default_factory=list)
    played: list[int] = field(default_factory=list)  # actions that the game was given
    stacks: list[list[int]] = field(default_factory=list)  # grey levels that the agent acted on
    betas: list[float] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)  # steps during which the agent was updated
    priorities: list[tuple[list[int], list[float]]] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    shown: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)  # checkpoints
    saved: dict[int, Any] = field(default_factory=dict)  # step -> state, where one was due


class Script:
    """A game whose scores and ends are known by step; frames bear the number of the step.

    The first frame of the n-th episode bears 100 + n.
    """

    action_count = ACTIONS

    def __init__(self, heard: Heard) -> None:
        self.heard, self.steps, self.episodes = heard, 0, 0

    def reset(self, full: bool = False) -> NDArray[np.uint8]:
        self.heard.events.append("reset")
        self.episodes += 1
        return frame_of(100 + self.episodes)

    def step(self, action: int) -> Transition:
        self.heard.events.append("step")
        self.heard.played.append(action)
        self.steps += 1
        at = self.steps
        lost, over = at in LOST_LIVES, at in GAMES_OVER
        frame = frame_of(at % 100)
        return Transition(frame, SCORES.get(at, 0.0), lost or over, lost, over, False)

    def state(self) -> dict[str, int]:
        return {"steps": self.steps, "episodes": self.episodes}

    def restore(self, state: Mapping[str, int]) -> None:
        self.steps, self.episodes = state["steps"], state["episodes"]


def frame_of(level: int) -> NDArray[np.uint8]:
    return np.full((1, 2, 2), level, dtype=np.uint8)


class Eyes:
    """Sees frames as they are and counts them."""

    dtype, shape = np.uint8, (1, 2, 2)

    def __init__(self, heard: Heard) -> None:
        self.heard, self.frames = heard, 0

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.heard.events.append("observe")
        self.frames += 1
        return frame

    def newest(self) -> Mapping[str, float]:
        return {"select/kept": self.frames}

    def report(self) -> Mapping[str, float]:
        return {"select/saturated": self.frames}

    def state(self) -> dict[str, int]:
        return {"frames": self.frames}

    def restore(self, state: Mapping[str, int]) -> None:
        self.frames = state["frames"]


class Student:
    """Acts by the newest grey level; its n-th update gives the priorities n, 2 n, 3 n, .."""

    def __init__(self, heard: Heard, environment: Script) -> None:
        self.heard, self.environment, self.updates = heard, environment, 0

    def act(self, stack: NDArray[np.uint8]) -> int:
        self.heard.events.append("act")
        levels = [int(frame.max()) for frame in stack]
        self.heard.stacks.append(levels)
        return levels[-1] % ACTIONS

    def update(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.heard.events.append("update")
        self.heard.updated.append(self.environment.steps + 1)
        self.heard.batches.append(batch)
        self.updates += 1
        priorities = self.updates * torch.arange(1.0, len(batch.indices) + 1)
        return priorities, {"train/loss": torch.tensor(float(self.updates))}

    def state(self) -> dict[str, int]:
        return {"updates": self.updates}


class Watched(SequenceReplay):
    """The replay, which tells what is asked of it."""

    def __init__(self, heard: Heard, *rest: Any) -> None:
        super().__init__(*rest)
        self.heard = heard

    def begin(self, observation: Any, action: int) -> None:
        self.heard.events.append("begin")
        super().begin(observation, action)

    def end(self, reward: float, done: bool) -> None:
        self.heard.events.append("end")
        super().end(reward, done)

    def sample(self, uniforms: NDArray[np.float64], importance_exponent: float) -> Batch:
        self.heard.events.append("sample")
        self.heard.betas.append(importance_exponent)
        return super().sample(uniforms, importance_exponent)

    def update_priorities(self, indices: NDArray[np.int64], priorities: torch.Tensor) -> None:
        self.heard.events.append("priorities")
        self.heard.priorities.append((indices.tolist(), priorities.tolist()))
        super().update_priorities(indices, priorities)


class Context:
    """A run's context without a run: its random streams, and what it was told."""

    _stream = TrainingContext._stream
    generator = TrainingContext.generator

    def __init__(self, heard: Heard, folder: Path, settings: Mapping[str, int]) -> None:
        self.heard, self.folder, self.seed = heard, folder, SEED
        self.device = torch.device("cpu")
        self.protocol = SimpleNamespace(settings=settings)

    def part(self, slot: str) -> Any:
        assert slot == "reward"
        return SimpleNamespace(shape=lambda reward: reward / 4)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.heard.rows.append((step, dict(values)))

    def checkpoint(self, stage: str, step: int, state: Callable[[], Any], every: int) -> None:
        self.heard.events.append("checkpoint")
        self.heard.asked.append((stage, step, every))
        if step % every == 0:
            self.heard.saved[step] = copy.deepcopy(state())

    def stage(self, name: str, total: int, unit: str) -> Any:
        def update(done: int, **shown: float) -> None:
            self.heard.shown.append((done, shown))

        return SimpleNamespace(update=update)


def play(
    folder: Path,
    config: RainbowConfig = SMALL,
    *,
    evaluate_every: int | None = None,
    saved: Any = None,
    between: Between = nothing,
) -> tuple[Heard, Learnt]:
    """Learn, or go on from a saved state."""
    heard = Heard()
    settings = {} if evaluate_every is None else {"evaluate_every": evaluate_every}
    environment, observe = Script(heard), Eyes(heard)
    agent: Any = Student(heard, environment)
    context: Any = Context(heard, folder, settings)
    if saved is not None:  # as the experiments do before they learn
        observe.restore(saved["features"])
        agent.updates = saved["agent"]["updates"]

    def evaluate(step: int) -> Examined:
        heard.events.append("evaluate")
        heard.evaluated.append(step)
        values = {"eval/return": 99.0, "eval/return_median": MEDIANS[step]}
        return Examined([Measurement(name, value, 2) for name, value in values.items()])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(learning, "SequenceReplay", lambda *given: Watched(heard, *given))
        learnt = learn(
            context, config, environment, observe, agent, evaluate, copy.deepcopy(saved), between
        )
    return heard, learnt


def stream(name: str) -> np.random.Generator:
    """The run's random stream of a name."""
    return np.random.default_rng(stream_seed(SEED, name))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Heard, Any]:
    """24 steps without evaluations, and the replay's state after the last."""
    last = SMALL.model_copy(update={"checkpoint_every": 24})
    heard, _ = play(tmp_path_factory.mktemp("whole"), last)
    return heard, heard.saved[24]["replay"]


def test_what_happens_in_each_step_and_in_which_order(tmp_path: Path) -> None:
    """The game takes its step while an update is under way: before its priorities are read."""

    def between(step: int, replay: SequenceReplay, state: Callable[[], Any]) -> bool:
        heard_between.append((step, len(replay), state()["step"]))
        return False

    heard_between = list[tuple[int, int, int]]()
    heard, _ = play(tmp_path, evaluate_every=7, between=between)
    expected = ["reset"]
    for step in range(1, 25):
        expected += ["evaluate"] if step in (8, 15, 22) else []
        expected += ["observe"]
        expected += ["act"] if step > 6 else []
        expected += ["begin"]
        expected += ["sample", "update"] if step in UPDATES else []
        expected += ["step", "end"]
        expected += ["reset"] if step in (5, 10, 15, 22) else []
        expected += ["priorities"] if step in UPDATES else []
        expected += ["checkpoint"]
    assert heard.events == expected
    assert heard_between == [(done, done, done) for done in range(24)]


def test_the_first_steps_are_random_and_the_others_greedy(whole: tuple[Heard, Any]) -> None:
    heard, replay = whole
    drawn = stream("actions")
    random = [int(drawn.integers(ACTIONS)) for _ in range(6)]
    assert len(set(random)) > 1  # else the test would show little
    # The newest grey level is the last step's, or 100 + n where the n-th episode begins.
    levels = [6, 7, 8, 9, 103, 11, 12, 13, 14, 104, 16, 17, 18, 19, 20, 21, 105, 23]
    assert [stack[-1] for stack in heard.stacks] == levels
    assert heard.stacks[:6] == [
        [0, 0, 102, 6],
        [0, 102, 6, 7],
        [102, 6, 7, 8],
        [6, 7, 8, 9],
        [0, 0, 0, 103],
        [0, 0, 103, 11],
    ]
    assert heard.played == random + [level % ACTIONS for level in levels]
    assert replay["actions"].tolist() == heard.played


def test_the_replay_holds_shaped_rewards_and_the_ends_of_lives(whole: tuple[Heard, Any]) -> None:
    _, replay = whole
    rewards = {2: 1.0, 5: -2.0, 10: 3.0, 13: 5.0, 16: 1.0, 19: 1.75}  # a fourth of the scores
    assert replay["rewards"].tolist() == [rewards.get(step, 0.0) for step in range(1, 25)]
    assert [step for step, done in enumerate(replay["dones"], 1) if done] == [5, 10, 15, 22]
    assert replay["size"] == 24


def test_updates_come_at_their_steps_with_a_rising_beta(whole: tuple[Heard, Any]) -> None:
    heard, _ = whole
    assert heard.updated == UPDATES
    assert count_updates(SMALL) == len(UPDATES)  # what is estimated is what is done
    # 0.4 + 0.6 * (step - 8) / 16
    assert heard.betas == pytest.approx([0.4375, 0.55, 0.6625, 0.775, 0.8875, 1.0], abs=1e-12)


@pytest.mark.parametrize(
    ("values", "updates", "betas"),
    [
        ({}, range(1_601, 1_611), (0.46, 0.52, 1.0)),  # 0.4 + 0.6 * (1, 2, 10) / 10
        (REGIME_400K, (1_604, 1_608), (0.64, 0.88, 0.88)),  # 0.4 + 0.6 * (4, 8, 8) / 10
        ({"steps_per_update": 7}, (1_603, 1_610), (0.58, 1.0, 1.0)),
    ],
)
def test_the_paper_s_first_update_comes_after_1600_random_steps(
    tmp_path: Path, values: dict[str, Any], updates: Any, betas: tuple[float, float, float]
) -> None:
    config = RainbowConfig(**{**values, "steps": 1_610})
    heard, _ = play(tmp_path, config)
    assert heard.updated == list(updates)
    assert count_updates(config) == len(updates)
    assert (heard.betas[0], heard.betas[1], heard.betas[-1]) == pytest.approx(betas, abs=1e-12)
    assert len(heard.stacks) == 10
    assert heard.events[: 1_600 * 5].count("act") == 0
    drawn = stream("actions")
    assert heard.played[:1_600] == [int(drawn.integers(ACTIONS)) for _ in range(1_600)]


def test_a_batch_is_drawn_by_priority_from_what_was_stored(whole: tuple[Heard, Any]) -> None:
    heard, _ = whole
    drawn, priorities = stream("samples"), np.zeros(24)
    rewards = [0, 1, 0, 0, -2, 0, 0, 0, 0, 3, 0, 0, 5, 0, 0, 1, 0, 0, 1.75, 0, 0, 0, 0, 0]
    dones = {4, 9, 14, 21}  # counted from 0, as the replay does
    for number, (step, batch) in enumerate(zip(UPDATES, heard.batches, strict=True), 1):
        sampleable = step - 3  # this step has begun, and returns have 3 steps
        priorities[:sampleable][priorities[:sampleable] == 0] = 1.0
        shares = priorities.cumsum() / priorities.sum()
        indices = np.searchsorted(shares, drawn.random(4), side="right")
        assert batch.indices.tolist() == indices.tolist()
        for row, index in enumerate(indices):
            total, live = 0.0, 1.0
            for ahead in range(3):
                total += live * 0.99**ahead * rewards[index + ahead]
                live *= index + ahead not in dones
            assert float(batch.returns[row]) == pytest.approx(total, rel=1e-6)
            assert float(batch.bootstrap_discounts[row]) == pytest.approx(live * 0.99**3, rel=1e-6)
            assert int(batch.actions[row]) == heard.played[index]
            priorities[index] = (number * (row + 1)) ** 0.5
    assert len({float(value) for batch in heard.batches for value in batch.returns}) > 3


def test_the_priorities_of_an_update_go_to_the_steps_that_it_saw(whole: tuple[Heard, Any]) -> None:
    heard, replay = whole
    assert heard.priorities == [
        (batch.indices.tolist(), [1.0 * number, 2.0 * number, 3.0 * number, 4.0 * number])
        for number, batch in enumerate(heard.batches, 1)
    ]
    expected = [1.0] * 21 + [0.0] * 3  # those of the last 3 steps cannot be sampled yet
    for number, batch in enumerate(heard.batches, 1):
        for row, index in enumerate(batch.indices, 1):
            expected[index] = (number * row) ** 0.5
    assert replay["priorities"].tolist() == pytest.approx(expected)
    assert len(set(expected)) > 4


def test_means_are_logged_and_raw_scores_of_whole_games(whole: tuple[Heard, Any]) -> None:
    heard, _ = whole
    rows = [
        (step, {name: value for name, value in row.items() if name != "speed/steps"})
        for step, row in heard.rows
    ]
    assert rows == [
        (5, {"select/kept": 3.0, "select/saturated": 5}),
        (10, {"train/return": 8.0}),  # 4 - 8 + 12: a lost life ends no game
        (10, {"select/kept": 8.0, "train/loss": 1.0, "select/saturated": 10}),
        (15, {"select/kept": 13.0, "train/loss": 2.5, "select/saturated": 15}),  # 2 and 3
        (20, {"select/kept": 18.0, "train/loss": 4.0, "select/saturated": 20}),
        (22, {"train/return": 31.0}),  # 20 + 4 + 7
    ]
    assert ["speed/steps" in row for _, row in heard.rows] == [1, 0, 1, 1, 1, 0]
    shown = [{}] * 9 + [{"return": 8.0}] * 12 + [{"return": 31.0}] * 3
    assert heard.shown == list(zip(range(1, 25), shown, strict=True))


def test_without_a_word_of_the_protocol_nothing_is_evaluated_on_the_way(tmp_path: Path) -> None:
    heard, learnt = play(tmp_path)
    assert (heard.evaluated, learnt.medians) == ([], [])
    assert heard.asked == [("learn", step, 10) for step in range(1, 25)]
    assert list(heard.saved) == [10, 20]
    assert learnt.speed > 0


@pytest.mark.parametrize(("steps", "evaluated"), [(24, [7, 14, 21]), (21, [7, 14])])
def test_evaluations_come_every_so_many_steps_but_after_the_last(
    tmp_path: Path, steps: int, evaluated: list[int]
) -> None:
    config = SMALL.model_copy(update={"steps": steps})
    heard, learnt = play(tmp_path, config, evaluate_every=7)
    assert heard.evaluated == evaluated
    assert learnt.medians == [MEDIANS[step] for step in evaluated]


def test_checkpoints_come_before_and_after_what_is_costly(tmp_path: Path) -> None:
    """A stop within an evaluation would lose steps else, a kill after it the evaluation."""

    def between(step: int, replay: SequenceReplay, state: Callable[[], Any]) -> bool:
        return step == 16  # how frames are seen has changed

    heard, _ = play(tmp_path, evaluate_every=7, between=between)
    assert list(heard.saved) == [7, 8, 10, 14, 15, 17, 20, 21, 22]
    lived = {step: state["medians"] for step, state in heard.saved.items()}
    assert (lived[7], lived[8], lived[14], lived[15]) == ([], [30.0], [30.0], [30.0, 10.0])
    assert lived[22] == [30.0, 10.0, 20.0]
    assert {stage for stage, _, _ in heard.asked} == {"learn"}


@pytest.mark.parametrize("step", [7, 8, 10, 14, 15, 21, 22])
def test_a_run_goes_on_from_any_checkpoint_as_if_it_had_not_stopped(
    tmp_path: Path, step: int
) -> None:
    folder, again = tmp_path / "unbroken", tmp_path / "again"
    folder.mkdir()
    unbroken, learnt = play(folder, evaluate_every=7)
    shutil.copytree(folder, again)
    resumed, relearnt = play(again, evaluate_every=7, saved=unbroken.saved[step])
    # An evaluation that was due has not been made yet, one that was made is not made again.
    assert resumed.evaluated == [at for at in (7, 14, 21) if at >= step]
    assert resumed.events[0] == ("evaluate" if step in MEDIANS else "observe")
    assert relearnt.medians == learnt.medians
    assert len(resumed.played) == 24 - step
    for name in ("events", "played", "stacks", "updated", "betas", "priorities", "asked"):
        rest = getattr(resumed, name)
        assert rest == getattr(unbroken, name)[-len(rest) :], name
    assert returns_of(resumed) == [row for row in returns_of(unbroken) if row[0] > step]


def returns_of(heard: Heard) -> list[tuple[int, dict[str, float]]]:
    return [row for row in heard.rows if "train/return" in row[1]]
