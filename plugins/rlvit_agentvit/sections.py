"""What reports add about AgentViT: the trained network under other masks with as many patches."""

from __future__ import annotations

from rlvit.sections import (
    Estimate,
    SectionArm,
    SectionCell,
    SectionColumn,
    SectionContent,
    SectionRequest,
    SectionTable,
)

METHOD = "agentvit"
RANDOM = "masks/random"
MASKS = {
    "all": "all patches",
    "agent_image": "its agent's, one an image",
    "agent_batch": "its agent's, one a batch",
    "random": "random",
    "uniform": "evenly spaced",
    "received": "most attention received",
}
COLUMNS = (
    SectionColumn("arm"),
    SectionColumn("masks"),
    SectionColumn("kept", "patches"),
    SectionColumn("top-1", "%", "max"),
    SectionColumn("minus random", "points", "max"),
)
NOTE = (
    "The trained network of each run on the images it is measured on, under masks that it did not"
    " train with, too; the fixed rules keep as many patches as the run's own masks do on average,"
    " rounded. Differences from random masks are paired by run."
)


def masks(request: SectionRequest) -> SectionContent | None:
    """Show the accuracy under each kind of mask, and its gain over random ones."""
    rows = [
        row
        for arm in request.arms
        if arm.method == METHOD
        for name in MASKS
        if (row := _row(request, arm, name)) is not None
    ]
    if not rows:
        return None
    return SectionContent(tables=[SectionTable("Accuracy by masks", COLUMNS, rows, NOTE)])


def _row(request: SectionRequest, arm: SectionArm, name: str) -> list[SectionCell] | None:
    metric = f"masks/{name}"
    accuracy = request.estimate(arm, metric)
    if accuracy is None:
        return None
    kept = request.estimate(arm, f"{metric}_kept")
    return [arm.label, MASKS[name], kept, accuracy, _gain(request, arm, metric)]


def _gain(request: SectionRequest, arm: SectionArm, metric: str) -> Estimate | None:
    """Return the mean over runs of what a mask has more than random ones; None for these."""
    both = [
        (trial.results[metric].value, trial.results[RANDOM].value)
        for trial in arm.trials
        if metric in trial.results and RANDOM in trial.results
    ]
    if metric == RANDOM or not both:
        return None
    return request.interval([mine - random for mine, random in both])
