"""What a run shows while it works; the command line has richer ones."""

from __future__ import annotations

from typing import Protocol

from rlvit.contracts import StageProgress


class Display(Protocol):
    """Shows stages and messages to a person."""

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin to show a stage."""

    def say(self, text: str) -> None:
        """Show a message."""

    def close(self) -> None:
        """Show nothing more."""


class Silent:
    """Shows nothing: the run's log has it all."""

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin a stage that is not shown."""
        return self

    def update(self, done: int, **shown: float) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing more."""
