"""What an epoch amounts to, summed on the device and read once at its end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NAN = math.nan


class Tally:
    """Sums over the iterations of an epoch; nothing waits for the device before `row`."""

    def __init__(self, patches: int, device: torch.device) -> None:
        self.images = self.scored = self.paid = 0
        self.seconds = 0.0
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, right, macs
        self.terms = torch.zeros(2, dtype=torch.float64, device=device)  # loss, patch term
        self.kept = torch.zeros(patches, dtype=torch.float64, device=device)  # by position
        self.scores = torch.zeros(patches, dtype=torch.float64, device=device)

    def trained(
        self, loss: Tensor, right: Tensor, macs: Tensor, alive: Tensor, scores: Tensor | None
    ) -> None:
        """Take an iteration.

        Args:
            loss: mean of the batch, a scalar.
            right: bool [B], answers.
            macs: [B], of the forward and the backward pass and of what decides.
            alive: bool [B, N], patches kept.
            scores: [B, N] of the agent, None if it did not decide.
        """
        self.images += len(right)
        new = (len(right) * loss, right.sum(), macs.sum())
        self.sums += torch.stack([value.double() for value in new])
        self.kept += alive.sum(0)
        if scores is not None:
            self.scored += len(scores)
            self.scores += scores.sum(0)

    def learnt(self, loss_term: Tensor, patch_term: Tensor, macs: Tensor) -> None:
        """Take both terms of a reward, and the multiply-adds of learning from it."""
        self.paid += 1
        self.terms += torch.stack([loss_term.double(), patch_term.double()])
        self.sums[2] += macs

    def row(self) -> dict[str, Any]:
        """Return the epoch's means; NaN of what did not occur."""
        loss, right, macs = (self.sums / self.images).tolist()
        terms = (self.terms / self.paid).tolist() if self.paid else [NAN, NAN]
        scores = self.scores / self.scored if self.scored else torch.full_like(self.scores, NAN)
        return {
            "train_loss": loss,
            "train_accuracy": 100 * right,
            "gmacs": macs * self.images / 1e9,
            "loss_term": terms[0],
            "patch_term": terms[1],
            "kept": (self.kept / self.images).tolist(),
            "score": scores.tolist(),
            "seconds": self.seconds,
        }

    def state(self) -> dict[str, Any]:
        """Return all sums."""
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        for name, value in state.items():
            own = getattr(self, name)
            setattr(self, name, value.to(own.device) if isinstance(own, Tensor) else value)


def as_arrays(rows: list[dict[str, Any]], grid: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Return the epochs' rows by column, as figures and files have them; kept and score [E, N]."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**columns, "grid": np.array(grid)}
