"""Memory of what the agent saw and was paid, a whole batch at a time (nb 27)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Transitions(NamedTuple):
    """Rows to learn from; there is no action among them, as in nb 27."""

    state: Tensor  # [R, N]
    next_state: Tensor  # [R, N], of the same images after a step of the classifier
    reward: Tensor  # [R]


class TransitionReplay:
    """The transitions of some batches; when it is full, each new one replaces a random old one.

    Every transition holds all rows of one batch, and batches may differ in how many they have.
    Tensors stay on the device they came from. Random numbers come from a generator on the CPU that
    the caller makes anew for each iteration, so no position of a stream belongs to the state.
    """

    def __init__(self, capacity: int) -> None:
        """Begin empty.

        Args:
            capacity: batches; 64 in nb 36. The readme's `buffer_size`.

        Raises:
            ValueError: if the capacity is not positive.
        """
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, but must be at least 1")
        self.capacity = capacity
        self._transitions: list[Transitions] = []

    def __len__(self) -> int:
        """The number of batches held."""
        return len(self._transitions)

    def push(
        self, state: Tensor, next_state: Tensor, reward: Tensor, generator: torch.Generator
    ) -> None:
        """Keep a copy of a batch's transition, without its gradients.

        Args:
            state: what the agent saw [R, N].
            next_state: what it sees after the classifier's step [R, N].
            reward: what each row is paid [R].
            generator: on the CPU; draws which old transition goes, and only if one must.

        Raises:
            ValueError: the shapes do not belong together.
        """
        shapes = [tuple(tensor.shape) for tensor in (state, next_state, reward)]
        if state.ndim != 2 or shapes[1:] != [shapes[0], shapes[0][:1]]:
            raise ValueError(f"expected shapes [R, N], [R, N] and [R], got {shapes}")
        # Copies, because a caller may use the memory of a batch again for the next one.
        new = Transitions(*(tensor.detach().clone() for tensor in (state, next_state, reward)))
        if len(self) < self.capacity:
            self._transitions.append(new)
        else:
            old = torch.randint(self.capacity, (), generator=generator)
            self._transitions[int(old)] = new

    def sample(self, count: int, generator: torch.Generator) -> Transitions:
        """Return the rows of `count` different batches, drawn uniformly, laid end to end.

        Args:
            count: batches; 8 in nb 36. The readme's `buffer_batch_size`.
            generator: on the CPU.

        Raises:
            ValueError: if `count` is not positive, or fewer batches are held.
        """
        if not 1 <= count <= len(self):
            raise ValueError(f"cannot draw {count} different batches of the {len(self)} held")
        drawn = torch.randperm(len(self), generator=generator)[:count].tolist()
        columns = zip(*(self._transitions[index] for index in drawn), strict=True)
        return Transitions(*(torch.cat(column) for column in columns))

    def state(self) -> dict[str, Any]:
        """Return everything that it holds, in the order of its places."""
        return {"transitions": [transition._asdict() for transition in self._transitions]}

    def restore(self, state: Mapping[str, Any], device: torch.device | str | None = None) -> None:
        """Return to a saved state.

        Args:
            state: what `state` returned.
            device: where the tensors belong, as a checkpoint comes back on the CPU; None: where
                they are.

        Raises:
            ValueError: if it holds more batches than the capacity.
        """
        saved = state["transitions"]
        if len(saved) > self.capacity:
            raise ValueError(f"state has {len(saved)} batches, capacity is {self.capacity}")
        self._transitions = [
            Transitions(**{name: tensor.to(device) for name, tensor in transition.items()})
            for transition in saved
        ]
