"""The policy of a finished run, made again from the run's folder as it was evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.status import Status
from safetensors import SafetensorError
from safetensors.torch import load_file

from rlvit.contracts import Episode, Examination, FinishedRun, Selector
from rlvit.errors import RlvitError
from rlvit.specs import TaskSpec
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent, patch_network
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.learning import GAMES_AT_ONCE
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.selection import cap
from rlvit_spirl.selector import SalientPatches
from rlvit_spirl.whole_config import WholeFrameConfig
from rlvit_spirl.whole_frames import GreedyFrames, WholeFrames, frame_network


@dataclass(frozen=True)
class Player:
    """What plays, and what it looks with."""

    policy: GreedyPolicy | GreedyFrames
    agent: RainbowAgent
    features: PatchFeatures | None  # None: it sees whole frames

    def has_drawn(self) -> bool:
        """Tell whether its selector drew at random, so that a game is never the same again."""
        return self.features is not None and self.features.has_drawn()


def load(found: FinishedRun, places: int | None = None) -> Player:
    """Return the policy of a completed run of `spirl` or `de-rainbow`.

    It computes on the run's device, or where that is not there on the nearest to it, with as many
    threads.

    Args:
        found: the run.
        places: games at once; by default as many as when the run was scored. Results of one number
            may differ from those of another by float32 rounding.

    Raises:
        RlvitError: an artifact is missing or damaged, or made by code whose networks differed.
    """
    torch.set_num_threads(int(found.view.provenance.get("threads") or torch.get_num_threads()))
    device = _device(torch.device(found.view.provenance.get("device") or "cpu"))
    if places is None:
        places = min(GAMES_AT_ONCE, int(found.protocol.settings["episodes"]))
    if found.view.method == "de-rainbow":
        assert isinstance(found.config, WholeFrameConfig)
        config = found.config.filled(found.task.name)
        observe = WholeFrames(config.size)
        agent = _agent(found, config, device, frame_network, observe.view)
        return Player(GreedyFrames(agent, observe, places), agent, None)
    mae = _autoencoder(found, device)
    features = _features(found, mae, device)
    patches = features.prime()
    agent = _agent(found, found.config, device, patch_network, {})
    policy = GreedyPolicy(agent, features, patches, places)
    return Player(policy, agent, features)


def _device(recorded: torch.device) -> torch.device:
    """Return a run's device, or another GPU, or the CPU."""
    if recorded.type != "cuda" or (recorded.index or 0) < torch.cuda.device_count():
        return recorded
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _agent(
    found: FinishedRun,
    config: Any,
    device: torch.device,
    make_network: Callable[..., Any],
    view: Any,
) -> RainbowAgent:
    """Return the agent with the run's weights."""
    weights = _tensors(found, "agent")
    actions = action_count(found, found.task, view)
    agent = RainbowAgent(actions, config, device, torch.Generator(), make_network)
    _fill(agent.online, weights, found, "agent")
    return agent


def action_count(found: FinishedRun, task: TaskSpec, view: Any) -> int:
    """Return the number of actions of a game under the run's protocol."""
    assert task.make is not None
    return int(task.make({**found.protocol.settings, **view}, 0).action_count)


def _autoencoder(found: FinishedRun, device: torch.device) -> MaskedAutoencoder:
    """Return the run's autoencoder, as it was at the end if it went on learning."""
    assert isinstance(found.config, SpirlConfig)
    kind = "mae" if found.config.refine_every is None else "mae-refined"
    mae: MaskedAutoencoder = found.parts["backbone"].make(torch.Generator())
    _fill(mae, _tensors(found, kind), found, kind)
    return mae.to(device).eval().requires_grad_(False)


def _features(found: FinishedRun, mae: MaskedAutoencoder, device: torch.device) -> PatchFeatures:
    """Return what selects and embeds, with the cap that the run found or was given."""
    config = found.config
    assert isinstance(config, SpirlConfig)
    selector: Selector = found.parts["selector"].make(mae, config, found.task)
    ratio = config.ratio_of(found.task.name)
    if isinstance(selector, SalientPatches) and selector.max_keep is None:
        selector.max_keep = _kept_cap(found)
    draws = torch.Generator().manual_seed(found.stream("selector", None))
    rate = cap(ratio or 1.0) / PATCHES
    return PatchFeatures(selector, mae, PATCHES, device, rate=rate, generator=draws)


def _kept_cap(found: FinishedRun) -> int:
    """Return the cap that the run found for a game without a published ratio."""
    path = artifact(found, "kept", "kept.npz")
    with np.load(path, allow_pickle=False) as table:
        return int(table["cap"])


def artifact(found: FinishedRun, kind: str, name: str) -> Path:
    """Return a file of one of the run's artifacts; raises RlvitError if it is not there."""
    path = found.view.folder / "artifacts" / kind / name
    if not path.is_file():
        raise RlvitError(
            f"run {found.view.id} has no {kind!r}: {path} is missing. It was made by an older "
            "rlvit, or imported without weights, or its folder is not whole."
        )
    return path


def _tensors(found: FinishedRun, kind: str) -> dict[str, torch.Tensor]:
    path = artifact(found, kind, f"{kind}.safetensors")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as problem:
        raise RlvitError(f"{path} cannot be read: {problem}") from None


def _fill(
    module: torch.nn.Module, weights: dict[str, torch.Tensor], found: FinishedRun, kind: str
) -> None:
    """Give a network its weights; raises RlvitError if they are another network's."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())[:160]
        raise RlvitError(
            f"run {found.view.id} was made by {found.view.plugin_version}, whose {kind} differs "
            f"from today's: {reason}"
        ) from None


def games(
    found: FinishedRun,
    policy: Any,
    stream: tuple[str, int | None],
    count: int,
    ended: Callable[[Episode], None],
    task: TaskSpec | None = None,
) -> None:
    """Play games as the run's evaluator plays them, and pass each on when it has ended.

    Those of the stream ("evaluate", None) are the very games that the run was scored on. A terminal
    shows how far they are.
    """
    settings = {**found.protocol.settings, "episodes": count}
    status = Console(stderr=True).status("")
    told = 0

    def tell(episode: Episode) -> None:
        nonlocal told
        status.stop()  # else it would take what is printed to itself
        ended(episode)
        told += 1
        status.update("")
        if told < count:
            status.start()

    with status:
        found.evaluator.measure(
            Examination(
                subject=policy,
                task=task or found.task,
                protocol=replace(found.protocol, settings=settings),
                seed=found.stream(*stream),
                episode=tell,
                table=lambda table: None,
                progress=lambda unit, total: _Shown(status, total),
                check_stop=lambda: None,
                data=_no_images,
            )
        )


class _Shown:
    """One line at the foot of a terminal; elsewhere nothing is printed."""

    def __init__(self, status: Status, total: int) -> None:
        self._status, self._total = status, total

    def update(self, done: int, **shown: float) -> None:
        """Say how many games have ended, and how long the longest of those that go on is."""
        if "step" in shown:
            step = int(shown["step"])
            self._status.update(f"{done:,} of {self._total:,} games ended, step {step:,}")


def _no_images() -> Any:
    raise RlvitError("a game has no images.")
