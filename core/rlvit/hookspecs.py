"""The whole plugin contract: what a plugin may offer and which moments of a run it may watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from rlvit.contracts import Diagnosis, LoggedRow, RunView
    from rlvit.sections import ReportSection
    from rlvit.specs import (
        BackboneSpec,
        EvaluatorSpec,
        MethodSpec,
        MetricDef,
        PublishedResult,
        RewardSpec,
        SelectorSpec,
        TaskSpec,
    )

PROJECT = "rlvit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def rlvit_methods() -> Sequence[MethodSpec]:  # type: ignore[empty-body]
    """Offer methods: `rlvit run --plugin NAME`."""


@hookspec
def rlvit_tasks() -> Sequence[TaskSpec]:  # type: ignore[empty-body]
    """Offer tasks, with the protocols under which they may be measured."""


@hookspec
def rlvit_backbones() -> Sequence[BackboneSpec]:  # type: ignore[empty-body]
    """Offer networks for a method's `backbone` slot."""


@hookspec
def rlvit_selectors() -> Sequence[SelectorSpec]:  # type: ignore[empty-body]
    """Offer rules for a method's `selector` slot."""


@hookspec
def rlvit_rewards() -> Sequence[RewardSpec]:  # type: ignore[empty-body]
    """Offer reward shapings for a method's `reward` slot."""


@hookspec
def rlvit_evaluators() -> Sequence[EvaluatorSpec]:  # type: ignore[empty-body]
    """Offer evaluators, which tasks name."""


@hookspec
def rlvit_metrics() -> Sequence[MetricDef]:  # type: ignore[empty-body]
    """Declare the metrics that this plugin's methods and evaluators log."""


@hookspec
def rlvit_published() -> Sequence[PublishedResult]:  # type: ignore[empty-body]
    """Offer numbers printed in papers, which reports set beside measured ones."""


@hookspec
def rlvit_report_sections() -> Sequence[ReportSection]:  # type: ignore[empty-body]
    """Offer sections of `rlvit report`."""


@hookspec
def rlvit_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Offer further commands of the `rlvit` program."""


@hookspec
def rlvit_doctor(home: Path, data_root: Path) -> Sequence[Diagnosis]:  # type: ignore[empty-body]
    """Look after what this plugin needs or keeps, for `rlvit doctor`; change nothing."""


@hookspec
def rlvit_run_started(run: RunView) -> None:
    """Watch an attempt of a run begin; an exception stops it before it costs anything."""


@hookspec
def rlvit_run_logged(run: RunView, rows: Sequence[LoggedRow]) -> None:
    """Watch rows being flushed, every few seconds, never once a step."""


@hookspec
def rlvit_run_ended(run: RunView) -> None:
    """Watch a run end: `run.state` is completed, failed or interrupted."""
