"""Prioritised n-step replay whose observations live in an append-only file.

Frames are by far the largest part of a run's state; in a file that only grows, a checkpoint needs
no copy of them, only a watermark.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.rl.device_frames import DeviceFrames
from rlvit.rl.returns import n_step_returns
from rlvit.rl.sum_tree import SumTree

Array = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Sampled transitions from t to t + n; B transitions, stacks of S frames.

    On the CPU, or on the device where the replay keeps its observations.
    """

    observations: Tensor  # [B, S, *shape] as stored, oldest frame first, zeros before the episode
    next_observations: Tensor  # [B, S, *shape] the same at t + n
    actions: Tensor  # [B] int64
    returns: Tensor  # [B] float32, n-step, clipped rewards
    bootstrap_discounts: Tensor  # [B] float32, gamma^n or 0
    importance_weights: Tensor  # [B] float32, at most 1
    indices: NDArray[np.int64]  # [B] steps t, for `update_priorities`


class SequenceReplay:
    """All steps of one run of one environment, sampled in proportion to priority.

    Step t becomes sampleable once the observation at t + n has been appended. Nothing is evicted:
    the capacity is the run's total number of environment steps. The file
    `path/observations.f32` (`.u8` of bytes) is created sparse at its full size with the first
    append or restore, and an existing one is never truncated; the space should be checked
    beforehand. On a GPU all observations are kept in its memory, too: samples are gathered there,
    and the file is what a restored replay reads back.

    Sources: Schaul et al. 2016, "Prioritized Experience Replay", eq. 1 and section 3.4; n-step as
    in Hessel et al. 2018. A new step gets priority 1 (data-efficient Rainbow), not the maximum.
    """

    def __init__(
        self,
        path: Path,
        capacity: int,
        observation_shape: tuple[int, ...],
        stack: int,
        n_step: int,
        gamma: float,
        priority_exponent: float,
        dtype: type[np.float32] | type[np.uint8] = np.float32,
        device: torch.device | None = None,
    ) -> None:
        """Make an empty replay; `restore` brings back the rows of an existing file.

        Args:
            path: folder of the observation file, made if missing.
            capacity: total number of environment steps of the run.
            observation_shape: shape of a single observation, without the stack.
            stack: number of frames the network sees.
            n_step: n, the distance in steps to the bootstrap observation.
            gamma: discount of one step.
            priority_exponent: alpha of Schaul 2016.
            dtype: of the observations.
            device: whose memory keeps them, too, for samples and stacks; None: they are read from
                the file and are arrays or tensors on the CPU.

        Raises:
            ValueError: if capacity, stack or n_step is not positive.
            RlvitError: the device has not enough memory.
        """
        if min(capacity, stack, n_step) < 1:
            raise ValueError(f"capacity {capacity}, stack {stack}, n_step {n_step}: need >= 1")
        path.mkdir(parents=True, exist_ok=True)
        self._dtype = np.dtype(dtype)
        self._file = path / f"observations.{self._dtype.kind}{8 * self._dtype.itemsize}"
        self._capacity = capacity
        self._shape = tuple(observation_shape)
        self._stack = stack
        self._n_step = n_step
        self._gamma = gamma
        self._alpha = priority_exponent
        self._size = 0  # steps that have ended
        self._begun = 0  # and with the one that has only begun, if there is one
        self._actions = np.zeros(capacity, dtype=np.int64)
        self._rewards = np.zeros(capacity, dtype=np.float32)
        self._dones = np.zeros(capacity, dtype=np.bool_)
        self._episode_steps = np.zeros(capacity, dtype=np.int64)
        self._priorities = SumTree(capacity)
        self._resident = (
            None if device is None else DeviceFrames(capacity, self._shape, self._dtype, device)
        )

    def __len__(self) -> int:
        """The number of steps that have ended, sampleable or not."""
        return self._size

    @property
    def sampleable(self) -> int:
        """The number of steps that `sample` can return."""
        return max(0, self._begun - self._n_step)

    def append(self, observation: Array | Tensor, action: int, reward: float, done: bool) -> None:
        """Store one step: `begin` and `end` in one.

        Raises:
            ValueError: if the replay is full or the observation has another shape.
            OSError: if the disk does not take it; the replay stays as it was.
        """
        self.begin(observation, action)
        self.end(reward, done)

    def begin(self, observation: Array | Tensor, action: int) -> None:
        """Store what is known of a step before the environment takes it.

        The step n before it can be sampled from now on: its return needs no later reward. So an
        update may be under way while the environment steps.

        Args:
            observation: newest frame at t [*shape]; a tensor may be on the replay's device.
            action: action taken at t.

        Raises:
            ValueError: if the replay is full or the observation has another shape, or the step
                before has not ended.
            OSError: if the disk does not take it; the replay stays as it was.
        """
        step = self._size
        self._require_ended()
        if step >= self._capacity:
            raise ValueError(f"replay is full: capacity {self._capacity} steps")
        self._check_shape(observation)
        self._write(step, observation)
        self._episode_steps[step] = self._next_episode_step()
        self._actions[step] = action
        self._begun = step + 1
        if step >= self._n_step:
            self._priorities.set([step - self._n_step], [1.0**self._alpha])

    def end(self, reward: float, done: bool) -> None:
        """Store what became of the step that has begun.

        Args:
            reward: clipped reward received for it.
            done: whether the episode (or the life) ended after it.

        Raises:
            ValueError: if none has begun.
        """
        if self._begun == self._size:
            raise ValueError("no step has begun")
        self._rewards[self._size] = reward
        self._dones[self._size] = done
        self._size = self._begun

    def rewrite(self, step: int, observation: Array) -> None:
        """Store another observation of a step that has ended: what sees has changed.

        Args:
            step: which.
            observation: in place of the one that was stored [*shape].

        Raises:
            ValueError: if the step has not ended or the observation has another shape.
            OSError: if the disk does not take it.
        """
        if not 0 <= step < self._size:
            raise ValueError(f"step {step} is not one of the {self._size} that have ended")
        self._check_shape(observation)
        self._write(step, observation)

    def sample(self, uniforms: NDArray[np.float64], importance_exponent: float) -> Batch:
        """Draw transitions with replacement, in proportion to their priority.

        Args:
            uniforms: one number in [0, 1) for each transition [B].
            importance_exponent: beta of Schaul 2016; the weights are (p + 1e-5)^-beta divided by
                the batch's largest, with p the stored priority^alpha.

        Raises:
            ValueError: if no step is sampleable yet.
        """
        steps = self._priorities.sample(uniforms)  # [B]
        window = steps[:, None] + np.arange(self._n_step)  # [B, n]
        returns, bootstrap_discounts = n_step_returns(
            torch.from_numpy(self._rewards[window]),
            torch.from_numpy(self._dones[window]),
            self._gamma,
        )
        weights = self._importance_weights(steps, importance_exponent)
        columns = (returns, bootstrap_discounts, weights)
        ends = np.stack([steps, steps + self._n_step])  # [2, B]
        if self._resident is not None:
            return self._on_device(self._resident, steps, ends, torch.stack(columns))
        stacks = torch.from_numpy(self._stacks(ends))
        return Batch(
            stacks[0], stacks[1], torch.from_numpy(self._actions[steps]), *columns, indices=steps
        )

    def update_priorities(self, indices: NDArray[np.int64], priorities: Tensor) -> None:
        """Store priority^alpha for the steps [B]; of equal steps the last wins.

        Args:
            indices: steps as sampled [B].
            priorities: positive, already clamped [B], any float type and device.

        Raises:
            ValueError: if a step is not sampleable or a priority is negative or not finite.
        """
        if ((indices < 0) | (indices >= self.sampleable)).any():
            raise ValueError(f"only steps 0..{self.sampleable - 1} are sampleable")
        values = priorities.detach().to("cpu", torch.float64).numpy()
        self._priorities.set(indices, values**self._alpha)

    def latest_stack(self, current_observation: Array | Tensor) -> Array | Tensor:
        """Return the frames to act on [stack, *shape], the last one being current_observation.

        The current observation is that of the step to be appended next; frames before its episode
        are zeros. A replay on a device returns a tensor there, others return an array.

        Raises:
            ValueError: if the observation has another shape.
        """
        self._check_shape(current_observation)
        earlier = min(self._stack - 1, self._next_episode_step())
        if self._resident is not None:
            rows, current = self._resident.rows, self._resident.taken(current_observation)
            blank = rows[self._resident.blank :].expand(self._stack - 1 - earlier, *self._shape)
            return torch.cat([blank, rows[self._size - earlier : self._size], current[None]])
        stack = np.zeros((self._stack, *self._shape), dtype=self._dtype)
        if earlier:
            stack[-1 - earlier : -1] = self._frames[self._size - earlier : self._size]
        stack[-1] = current_observation
        return stack

    def state(self) -> dict[str, Tensor | int]:
        """Flush the observations to their file and return everything else, as tensors and ints.

        Raises:
            ValueError: if a step has begun and not ended.
        """
        self._require_ended()
        size = self._size
        if size:
            self._mapped.flush()
        saved = {name: column[:size].copy() for name, column in self._columns().items()}
        saved["priorities"] = self._priorities.state(size)
        return {"size": size} | {name: torch.from_numpy(array) for name, array in saved.items()}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Return to a saved state; rows of the file beyond its size are overwritten by appends.

        Raises:
            ValueError: if the state exceeds the capacity, or the file has fewer rows than the
                state (an incomplete copy, or another observation shape).
        """
        size = int(state["size"])
        self._check_rows(size)
        self._size = self._begun = size
        for name, column in self._columns().items():
            column[:size] = _array(state[name])
        self._priorities.load(_array(state["priorities"]))
        if self._resident is not None and size:
            self._resident.fill(self._frames[:size])

    @cached_property
    def _mapped(self) -> "np.memmap[Any, np.dtype[Any]]":
        """The file, extended with a hole to its full size: [capacity, *shape]."""
        self._file.touch()
        full = self._capacity * self._row_bytes
        if self._file.stat().st_size < full:
            os.truncate(self._file, full)
        shape = (self._capacity, *self._shape)
        return np.memmap(self._file, dtype=self._dtype, mode="r+", shape=shape)

    @cached_property
    def _frames(self) -> Array:
        """The same memory as a plain array: [capacity, *shape]."""
        return np.asarray(self._mapped)

    @property
    def _row_bytes(self) -> int:
        """Bytes of one observation in the file."""
        return self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64))

    def _write(self, step: int, observation: Array | Tensor) -> None:
        """Write an observation by the file, not by its mapped memory, and to the device.

        There a full disk would end the process (SIGBUS); here it is an OSError.
        """
        _ = self._mapped  # the file has its full size
        data = np.ascontiguousarray(_array(observation), dtype=self._dtype).tobytes()
        descriptor, offset = os.open(self._file, os.O_WRONLY), step * self._row_bytes
        try:
            while data:
                taken = os.pwrite(descriptor, data, offset)
                data, offset = data[taken:], offset + taken
        finally:
            os.close(descriptor)
        if self._resident is not None:
            self._resident.write(step, observation)

    def _columns(self) -> dict[str, Array]:
        """The per-step arrays [capacity] under the names they have in a state."""
        return {
            "actions": self._actions,
            "rewards": self._rewards,
            "dones": self._dones,
            "episode_steps": self._episode_steps,
        }

    def _next_episode_step(self) -> int:
        """How many steps of its episode precede the step to be appended next."""
        last = self._size - 1
        if last < 0 or self._dones[last]:
            return 0
        return int(self._episode_steps[last]) + 1

    def _stacks(self, steps: NDArray[np.int64]) -> Array:
        """Gather the stacks [..., stack, *shape] that end in the given steps [...]."""
        back = np.arange(self._stack - 1, -1, -1)  # [S] oldest first
        frames: Array = self._frames[np.maximum(steps[..., None] - back, 0)]  # [..., S, *shape]
        frames[back > self._episode_steps[steps][..., None]] = 0
        return frames

    def _on_device(
        self,
        frames: DeviceFrames,
        steps: NDArray[np.int64],
        ends: NDArray[np.int64],
        columns: Tensor,
    ) -> Batch:
        """Gather a batch on the device, to which two tensors are uploaded.

        Args:
            frames: where the observations are.
            steps: sampled [B].
            ends: steps in which the two stacks end [2, B].
            columns: returns, discounts of the bootstrap value and weights [3, B].
        """
        back = np.arange(self._stack - 1, -1, -1)  # [S] oldest first
        missing = back > self._episode_steps[ends][..., None]  # [2, B, S]
        index = np.where(missing, frames.blank, ends[..., None] - back)
        whole = frames.taken(np.concatenate([index.ravel(), self._actions[steps]]))
        stacks = frames.gather(whole[: index.size], index.shape)
        returns, bootstrap_discounts, weights = frames.taken(columns).unbind()
        actions = whole[index.size :]
        return Batch(
            stacks[0], stacks[1], actions, returns, bootstrap_discounts, weights, indices=steps
        )

    def _importance_weights(self, steps: NDArray[np.int64], exponent: float) -> Tensor:
        """Schaul 2016, section 3.4, relative to the batch's largest weight: [B]."""
        weights = (1.0 / (self._priorities.get(steps) + 1e-5)) ** exponent
        return torch.from_numpy((weights / weights.max()).astype(np.float32))

    def _require_ended(self) -> None:
        if self._begun != self._size:
            raise ValueError(f"step {self._size} has begun and not ended")

    def _check_shape(self, observation: Array | Tensor) -> None:
        shape = tuple(observation.shape)
        if shape != self._shape:
            raise ValueError(f"observation has shape {shape}, not {self._shape}")

    def _check_rows(self, size: int) -> None:
        """Refuse a watermark that the capacity or the file cannot hold."""
        if size > self._capacity:
            raise ValueError(f"state has {size} steps, capacity is {self._capacity}")
        found = self._file.stat().st_size if self._file.exists() else 0
        if found < size * self._row_bytes:
            rows = found // self._row_bytes
            raise ValueError(f"{self._file} holds {rows} rows, the state needs {size}")


def _array(value: Array | Tensor | int) -> Array:
    """Return a tensor or a number as an array on the CPU; an array stays as it is."""
    return value if isinstance(value, np.ndarray) else torch.as_tensor(value).cpu().numpy()
