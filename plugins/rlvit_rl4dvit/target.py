"""Finds the price alpha under which a wanted number of patches survives.

The gated reward settles at n = beta R p / alpha survivors, so alpha = beta R p / k keeps k of them.
What the formula leaves out (the entropy bonus, policies that have not settled) is corrected by an
integral of the relative error, in the logarithm of alpha, because prices are ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CORRECTION_LIMIT = math.log(10)  # the correction stays within a factor of 10 of the formula


class TargetKeep:
    """Steers alpha by what the last rollouts kept."""

    def __init__(
        self,
        target: float,
        beta: float,
        bonus: float,
        *,
        accuracy: float,
        gain: float = 0.02,
        memory: float = 0.9,
    ) -> None:
        """Begin at the formula's alpha.

        Args:
            target: k, mean number of patches alive after a decision.
            beta: weight of the shared bonus.
            bonus: R.
            accuracy: share of correct images to begin with, such as the dense model's.
            gain: what one rollout that keeps e times the target adds to log alpha.
            memory: of the running accuracy; the rest is the share of the newest rollout.

        Raises:
            ValueError: if the target or the accuracy is not positive.
        """
        if target <= 0 or not 0 < accuracy <= 1:
            raise ValueError(f"need target > 0 and 0 < accuracy <= 1, got {target} and {accuracy}")
        self.target, self.beta, self.bonus = target, beta, bonus
        self.gain, self.memory = gain, memory
        self.accuracy, self.correction = accuracy, 0.0

    @property
    def alpha(self) -> float:
        """The price that the next rollout should be paid with."""
        settled = self.beta * self.bonus * self.accuracy / self.target
        return settled * math.exp(self.correction)

    def observe(self, accuracy: float, kept: float) -> float:
        """Take in a rollout and return the next alpha.

        Args:
            accuracy: share of its images that were classified correctly.
            kept: mean number of patches alive after a decision, as the target counts them.
        """
        self.accuracy += (1 - self.memory) * (accuracy - self.accuracy)
        error = math.log(max(kept, 1.0) / self.target)  # below one patch it says no more
        moved = self.correction + self.gain * error
        self.correction = min(CORRECTION_LIMIT, max(-CORRECTION_LIMIT, moved))
        return self.alpha

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"accuracy": self.accuracy, "correction": self.correction}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        self.accuracy = float(state["accuracy"])
        self.correction = float(state["correction"])
