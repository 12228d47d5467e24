"""Sampling in proportion to priority, in time logarithmic in the number of priorities.

A hot kernel, kept apart and batched: level by level, all indices of a batch at once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class SumTree:
    """A binary tree whose every node is exactly the floating-point sum of its two children.

    Because of that the tree is a function of its leaves alone, whatever the order in which they
    were set. The root is node 1, the children of node i are 2i and 2i + 1, leaf i is node
    width + i with width the power of two that holds the capacity.
    """

    def __init__(self, capacity: int) -> None:
        """Make a tree of `capacity` zero priorities.

        Raises:
            ValueError: if the capacity is not positive.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be positive, got {capacity}")
        self._capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._width = 1 << self._depth
        self._nodes = np.zeros(2 * self._width)

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._nodes[1])

    def get(self, indices: Sequence[int] | Indices) -> Floats:
        """Return the priorities [B] of the leaves [B].

        Raises:
            ValueError: if an index is outside the capacity.
        """
        return self._nodes[self._leaves(indices)]

    def set(self, indices: Sequence[int] | Indices, values: Sequence[float] | Floats) -> None:
        """Set the priorities [B] of the leaves [B]; of equal indices the last wins.

        Raises:
            ValueError: if an index is outside the capacity or a value is negative or not finite.
        """
        priorities = np.asarray(values, dtype=np.float64)
        _check_priorities(priorities)
        nodes = self._leaves(indices)
        self._nodes[nodes] = priorities
        sums = self._nodes[nodes]  # read back: equal indices now agree
        for _ in range(self._depth):
            sums = sums + self._nodes[nodes ^ 1]  # the sibling; equal parents get equal sums
            nodes = nodes >> 1
            self._nodes[nodes] = sums

    def sample(self, uniforms: Floats) -> Indices:
        """Return leaves [B], each with probability priority / total, for uniforms [B] in [0, 1).

        Rounding may carry a target past the last positive leaf below a node; the leaf taken is then
        that last positive one, so that a leaf of zero priority is never returned.

        Raises:
            ValueError: if all priorities are zero.
        """
        if not self._nodes[1] > 0:
            raise ValueError("cannot sample: all priorities are zero")
        targets = np.asarray(uniforms, dtype=np.float64) * self._nodes[1]
        nodes = np.ones(targets.shape, dtype=np.int64)
        for _ in range(self._depth):
            nodes = nodes + nodes  # the left child
            left = self._nodes[nodes]
            rightwards = targets >= left
            targets -= left * rightwards
            nodes += rightwards
        if not self._nodes[nodes].all():
            self._step_back(nodes)
        return nodes - self._width

    def state(self, n: int | None = None) -> Floats:
        """Return a copy of the first n priorities, by default all of them."""
        end = self._capacity if n is None else n
        return self._nodes[self._width : self._width + end].copy()

    def load(self, leaves: Floats) -> None:
        """Set the first priorities to `leaves` and the others to zero, and rebuild every sum.

        Raises:
            ValueError: if the leaves exceed the capacity, or one is negative or not finite.
        """
        if len(leaves) > self._capacity:
            raise ValueError(f"{len(leaves)} leaves exceed the capacity {self._capacity}")
        _check_priorities(leaves)
        self._nodes[:] = 0
        self._nodes[self._width : self._width + len(leaves)] = leaves
        for level in reversed(range(self._depth)):
            parents = slice(1 << level, 2 << level)
            children = self._nodes[2 << level : 4 << level]
            self._nodes[parents] = children[0::2] + children[1::2]

    def _step_back(self, nodes: Indices) -> None:
        """Move nodes of zero priority, in place, to the last positive leaf before them."""
        lost = self._nodes[nodes] == 0
        positive = self._width + np.flatnonzero(self._nodes[self._width :])
        nodes[lost] = positive[np.searchsorted(positive, nodes[lost]) - 1]

    def _leaves(self, indices: Sequence[int] | Indices) -> Indices:
        """Return the nodes [B] of the leaves [B], refusing indices outside the capacity."""
        leaves = np.asarray(indices, dtype=np.int64)
        if not ((leaves >= 0) & (leaves < self._capacity)).all():
            raise ValueError(f"index outside 0..{self._capacity - 1}")
        return leaves + self._width


def _check_priorities(values: Floats) -> None:
    """Refuse priorities that would poison every sum above them."""
    if not ((values >= 0) & (values < np.inf)).all():
        raise ValueError("priorities must be finite and not negative")
