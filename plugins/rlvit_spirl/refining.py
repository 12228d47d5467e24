"""An autoencoder that goes on learning from frames of play, in rounds between the agent's steps.

The paper's is fixed after pre-training; "online trained with RL" is what it expects to be better
(appendix A.2). A round trains the autoencoder, forgets all remembered errors, and then embeds every
frame of the replay anew, so that the agent never learns from embeddings of two encoders.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.contracts import Artifact, RunContext, Selector, State
from rlvit.errors import RlvitError
from rlvit.rl.replay import SequenceReplay
from rlvit_spirl.agent import PatchFeatures
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.cost import FRAME_BYTES
from rlvit_spirl.learning import replay_bytes, require_space
from rlvit_spirl.mae import CHANNELS, FRAME, PATCHES, MaskedAutoencoder
from rlvit_spirl.pretrain import Training
from rlvit_spirl.selector import SalientPatches
from rlvit_spirl.weights import save_weights

SHAPE = (CHANNELS, FRAME, FRAME)
ALONE, AT_ONCE = 1, 32  # frames embedded at a time: on a CPU as in play, bit for bit; elsewhere


class FramesOfPlay:
    """Frames in the order in which they were played, in a file that only grows: [N, 3, 96, 96].

    A checkpoint holds no more of it than N. Rows of the file beyond N are overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0

    def __len__(self) -> int:
        return self._count

    def append(self, frame: NDArray[np.uint8]) -> None:
        """Write a frame behind the others.

        Raises:
            OSError: the disk does not take it.
            RlvitError: the file lacks frames that were there.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        self._require_whole()
        with open(self._path, "r+b") as file:
            file.seek(self._count * FRAME_BYTES)
            file.write(frame.tobytes())
        self._count += 1

    def rows(self) -> NDArray[np.uint8]:
        """Return all frames [N, 3, 96, 96], read from the disk as they are looked at.

        Raises:
            RlvitError: the file lacks frames that were there.
        """
        self._require_whole()
        shape = (self._count, *SHAPE)
        return np.memmap(self._path, dtype=np.uint8, mode="c", shape=shape)  # "c": torch wants it

    def state(self) -> int:
        """See that the frames are on the disk itself, and return N."""
        if self._path.exists():
            with open(self._path, "r+b") as file:
                os.fsync(file.fileno())
        return self._count

    def restore(self, count: int) -> None:
        """Go back to the first `count` frames."""
        self._count = count

    def _require_whole(self) -> None:
        found = self._path.stat().st_size // FRAME_BYTES if self._path.exists() else 0
        if found < self._count:
            raise RlvitError(
                f"{self._path} holds {found:,} frames of play, the run needs {self._count:,}."
            )


class Refining:
    """What an agent sees through an autoencoder that goes on learning: an `Observer`.

    A round is done again from its beginning if it was interrupted: until its end, checkpoints are
    of the time before it.
    """

    dtype = np.float32  # of what the replay keeps

    def __init__(self, context: RunContext, config: SpirlConfig, features: PatchFeatures) -> None:
        """Keep frames for the rounds to come, in the folder of the replay.

        Raises:
            RlvitError: the disk has less room than they and the replay need.
        """
        self.context, self.config, self.features = context, config, features
        assert config.refine_every is not None
        self.every = config.refine_every
        self.rounds = 0  # that have been held
        self.frames = FramesOfPlay(context.folder / "replay" / "frames.u8")
        self.wanted = config.rounds * self.every  # frames up to the last round
        if context.restored("evaluate") is None:  # else nothing is written any more
            size = replay_bytes(config, features) + self.wanted * FRAME_BYTES
            require_space(context, size, "replay with the frames of play", files="*")
        # The round that was the last to write into the replay's file; a checkpoint may be older.
        self._mark = context.folder / "replay" / "embedded.txt"
        self._marked = self._read_mark()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is seen."""
        return self.features.shape

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | torch.Tensor:
        """Keep a frame, select and embed."""
        if len(self.frames) < self.wanted:
            self.frames.append(frame)
        return self.features(frame)

    def newest(self) -> Mapping[str, float]:
        """Return metrics of the frame looked at last."""
        return self.features.newest()

    def report(self) -> Mapping[str, float]:
        """Return metrics of all frames so far; errors remembered, of those since the last round."""
        return self.features.report()

    def state(self) -> State:
        """Return the features' state and, once a round has been held, the weights."""
        refining = {"rounds": self.rounds, "frames": self.frames.state()}
        weights = {"mae": self.features.backbone.state_dict()} if self.rounds else {}
        return {**self.features.state(), "refining": {**refining, **weights}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state, whose weights `take_weights` has brought back before."""
        self.features.restore(state)
        self.rounds = state["refining"]["rounds"]
        self.frames.restore(state["refining"]["frames"])

    def between(self, step: int, replay: SequenceReplay, state: Callable[[], State]) -> bool:
        """Hold a round if one is due after this step; tell whether it was held.

        A run that resumes from before a round that wrote into the replay, and not just before it,
        finds later embeddings there: then they are made again as they were, but for a selector that
        draws, whose draws between rounds were those of play.
        """
        if step == (self.rounds + 1) * self.every:
            self.context.checkpoint("learn", step, state, every=1)
            self._hold_round(step, replay)
            return True
        if self._marked > self.rounds:
            draws = ", but by other draws" if self.features.has_drawn() else ""
            self.context.say(f"the replay is embedded as it was after {step:,} steps{draws}")
            self._embed(replay, self._fresh_selector())
            self._write_mark()
        return False

    def _hold_round(self, step: int, replay: SequenceReplay) -> None:
        self.rounds += 1
        self.context.log(step, {"refine/loss": self._train()})
        self.features.selector = self._fresh_selector()
        self._write_mark()
        self._embed(replay, self.features.selector)
        if isinstance(self.features.selector, SalientPatches):
            self.features.selector.saliency.count_anew()

    def _train(self) -> float:
        """Take the round's steps on frames drawn evenly from all so far; return the mean loss.

        AdamW begins each round without moments: it forgets all but the last 20 steps anyway.
        """
        mae, context, config = self.features.backbone, self.context, self.config
        frames, advice = self.frames.rows(), "fewer --steps need less"
        training = Training(mae.requires_grad_(True), config, frames, context.device, advice)
        draws = context.generator(f"refine-{self.rounds}/frames")
        noise = context.torch_generator(f"refine-{self.rounds}/masks")
        total = torch.zeros((), device=context.device)
        progress = context.stage("refine", config.round_iterations, "iterations")
        for iteration in range(config.round_iterations):
            context.check_stop()
            chosen = torch.from_numpy(draws.integers(len(self.frames), size=config.mae_batch_size))
            masks = torch.rand(len(chosen), PATCHES, generator=noise)
            total += training.step(chosen, masks, config.refine_lr)
            progress.update(iteration + 1)
        mae.requires_grad_(False).zero_grad(set_to_none=True)
        return float(total) / config.round_iterations

    def _fresh_selector(self) -> Selector:
        """Return the selector made anew for the present weights: it remembers no errors."""
        context, before = self.context, self.features.selector
        part = context.part("selector")
        selector: Selector = part.make(self.features.backbone, self.config, context.task)
        if isinstance(selector, SalientPatches) and isinstance(before, SalientPatches):
            selector.max_keep = before.max_keep  # found from frames where no paper says it
        else:
            selector.restore(before.state())
        return selector

    def _embed(self, replay: SequenceReplay, selector: Selector) -> None:
        """Write what the present autoencoder says of every frame over the replay's observations.

        The agent does not look at these frames, so they are not among those counted. A selector
        that draws has a random stream for it.
        """
        again, context = copy.copy(self.features), self.context
        again.selector = selector
        again.forget()
        if again.generator is not None:
            again.generator = context.torch_generator(f"refine-{self.rounds}/selector")
        at_once = ALONE if context.device.type == "cpu" else AT_ONCE
        played = self.frames.rows()[: len(replay)]
        progress = context.stage("embed", len(played), "frames")
        for start in range(0, len(played), at_once):
            context.check_stop()
            some = np.array(played[start : start + at_once])
            seen = again.look(some, range(len(some))).cpu().numpy()  # [B, L, 64]
            for step, observation in enumerate(seen, start):
                replay.rewrite(step, observation)
            progress.update(start + len(some))

    def _read_mark(self) -> int:
        """Return the round that was noted; later than any where what is there is no number."""
        try:
            return int(self._mark.read_text()) if self._mark.exists() else 0
        except ValueError:
            return self.config.rounds + 1

    def _write_mark(self) -> None:
        """Note the round whose embeddings are about to be in the replay's file, or are again."""
        temporary = self._mark.with_suffix(".tmp")
        with open(temporary, "w") as file:
            file.write(f"{self.rounds}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._mark)
        self._marked = self.rounds


def take_weights(mae: MaskedAutoencoder, features: Mapping[str, Any]) -> None:
    """Give an autoencoder the weights in a saved state of `Refining`, if a round was held."""
    weights = features.get("refining", {}).get("mae")
    if weights is not None:
        mae.load_state_dict(weights)


def keep_refined(
    context: RunContext, config: SpirlConfig, mae: MaskedAutoencoder, pretrained: str
) -> Artifact:
    """Keep the autoencoder as it is at the end.

    Args:
        context: of the run.
        config: its configuration.
        mae: the autoencoder.
        pretrained: SHA-256 of the one that it was before the first round.
    """

    def build(folder: Path) -> None:
        save_weights(mae, folder / "mae-refined.safetensors")

    inputs = {"mae": pretrained, "seed": context.seed, "rounds": config.rounds}
    return context.keep("mae-refined", inputs, build)
