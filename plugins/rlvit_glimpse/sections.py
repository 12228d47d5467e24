"""What reports add about PPO glimpse: what looking brings, against controls, and where it looks."""

from __future__ import annotations

from pathlib import Path

from rlvit.sections import (
    SectionArm,
    SectionCell,
    SectionColumn,
    SectionContent,
    SectionPicture,
    SectionRequest,
    SectionTable,
)

METHOD = "glimpse"
WAYS = {
    "greedy": "the agent, nothing left to chance",
    "sampled": "the agent, actions drawn",
    "after_half": "the agent, after half its glimpses",
    "random": "places drawn at random, the agent's class",
    "central": "one glimpse in the middle",
    "whole": "one glimpse of the whole image",
}
COLUMNS = (
    SectionColumn("arm"),
    SectionColumn("how it looks"),
    SectionColumn("right", "%", "max"),
    SectionColumn("glimpses"),
    SectionColumn("pixels seen", "%"),
)
PICTURES = {
    "accuracy.png": "Accuracy after each glimpse, with the controls as lines",
    "gaze.png": "Where it looks, by class",
    "episode.gif": "One game",
    "episode.mp4": "One game",
}


def looking(request: SectionRequest) -> SectionContent | None:
    """Show the accuracy of the agent and of its controls, and pictures of a run of each arm."""
    arms = [arm for arm in request.arms if arm.method == METHOD]
    rows = [row for arm in arms for name in WAYS if (row := _row(request, arm, name)) is not None]
    figures = [figure for arm in arms for figure in _pictures(request, arm)]
    if not rows and not figures:
        return None
    note = "The same images for all ways to look; controls answer with the agent's own class head."
    tables = [SectionTable("What looking brings", COLUMNS, rows, note)] if rows else []
    return SectionContent(tables=tables, figures=figures)


def _row(request: SectionRequest, arm: SectionArm, name: str) -> list[SectionCell] | None:
    right = request.estimate(arm, f"look/{name}")
    if right is None:
        return None
    glimpses = request.estimate(arm, f"look/{name}_glimpses")
    return [arm.label, WAYS[name], right, glimpses, request.estimate(arm, f"look/{name}_seen")]


def _pictures(request: SectionRequest, arm: SectionArm) -> list[SectionPicture]:
    """Return the pictures of the arm's last seed that has any."""
    for trial in reversed(arm.trials):
        files: dict[str, Path] = {path.name: path for path in request.files(trial, "figures", "*")}
        found = [
            SectionPicture(f"{meaning} · {arm.label}", f"{meaning}: {arm.label}, run {trial.id}.",
                           files[name])
            for name, meaning in PICTURES.items()
            if name in files
        ]  # fmt: skip
        if found:
            return found
    return []
