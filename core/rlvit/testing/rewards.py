"""What every reward shaping must do."""

from __future__ import annotations

import math

from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, require

SCORES = (-1e6, -400.0, -1.0, -0.5, 0.0, 0.5, 1.0, 7.0, 400.0, 1e6)


class RewardSuite(Suite):
    """Rules for a reward: `name` is what `--reward` calls it."""

    kind = "reward"

    def test_finite(self) -> None:
        """Every score becomes a finite number."""
        for score in SCORES:
            shaped = self.spec().shape(score)
            is_number = isinstance(shaped, float | int) and math.isfinite(shaped)
            require(is_number, f"a score of {score:g} becomes {shaped!r}")

    def test_determinism(self) -> None:
        """The same score becomes the same reward, whatever came before."""
        first = [self.spec().shape(score) for score in SCORES]
        again = [self.spec().shape(score) for score in reversed(SCORES)]
        for score, one, other in zip(SCORES, first, reversed(again), strict=True):
            same = one == other or (math.isnan(one) and math.isnan(other))
            require(same, f"a score of {score:g} becomes {one:g}, and {other:g} later")

    def test_no_network(self) -> None:
        """It asks no other machine for anything."""
        with no_network() as asked:
            self.spec().shape(1.0)
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")
