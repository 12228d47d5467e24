"""Evidence made by hand, for the figures and the page of a report."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from rlvit.report.model import Arm, Evidence, Reference, Trial, Value
from rlvit.specs import MetricDef

METRICS = (
    MetricDef("eval/return", "points", "max", "mean raw score of the evaluation games"),
    MetricDef("eval/human_normalised", "human - random = 1", "max", "score between the two"),
    MetricDef("eval/top1", "%", "max", "right answers", "updates"),
    MetricDef("eval/gmacs", "10^9 multiply-adds", "min", "of an image", "updates"),
    MetricDef("dense/top1", "%", "max", "of all patches", "updates"),
    MetricDef("dense/gmacs", "10^9 multiply-adds", "min", "of all patches", "updates"),
    MetricDef("train/return", "points", "max", "raw score of the game that just ended"),
    MetricDef("train/loss", "nats", "min", "of a batch"),
    MetricDef("train/lr", "-", "none", "step size"),
    MetricDef("speed/steps", "steps/s", "max", "speed", timing=True),
)


def trial(seed: int, name: str, results: Mapping[str, float | Value], **more: object) -> Trial:
    """Return a completed run."""
    known = {
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "version": "0.1.0",
        "seconds": 3600.0,
        "device": "cpu",
        "note": "",
        "artifacts": {},
    }
    values = {
        metric: found if isinstance(found, Value) else Value(found, 100, 5.0, 1000)
        for metric, found in results.items()
    }
    identity = f"{name}-s{seed}"
    return Trial(id=identity, name=identity, seed=seed, results=values, **{**known, **more})


def arm(label: str, task: str, trials: Sequence[Trial], **more: str) -> Arm:
    """Return an arm of these runs."""
    method = more.get("method", label.partition(" ")[0])
    return Arm(
        fingerprint=f"{zlib.crc32(f'{label} {task}'.encode()):08x}" * 8,
        label=label,
        method=method,
        task=task,
        protocol=more.get("protocol", "full-games"),
        preset=more.get("preset", "recommended"),
        config={},
        slots={},
        trials=tuple(trials),
    )


def game_arm(label: str, task: str, scores: Sequence[float]) -> Arm:
    """Return an arm with one run for each score; a human's is 100 and random play's 0."""
    trials = [
        trial(seed, f"{label.replace(' ', '-')}-{task}", {
            "eval/return": score, "eval/human_normalised": score / 100,
        })
        for seed, score in enumerate(scores)
    ]  # fmt: skip
    return arm(label, task, trials)


def evidence(
    arms: Sequence[Arm] = (),
    references: Sequence[Reference] = (),
    unfinished: Mapping[str, int] | None = None,
) -> Evidence:
    """Return evidence with headlines for games and images."""
    images = {a.task for a in arms if any("eval/top1" in t.results for t in a.trials)}
    return Evidence(
        arms=tuple(arms),
        references=tuple(references),
        metrics={metric.name: metric for metric in METRICS},
        headlines={
            a.task: ("eval/top1", "eval/gmacs") if a.task in images else ("eval/return",)
            for a in arms
        },
        facts={a.task: {"random_score": 0.0, "human_score": 100.0} for a in arms},
        unfinished=dict(unfinished or {}),
    )


def curve_of(engine: object, run_id: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve made from the run's id: 300 steps of the return, 5 of the loss."""
    generator = np.random.default_rng(zlib.crc32(run_id.encode()))
    if metric == "train/return":
        steps = np.sort(generator.integers(0, 100_000, 300))
        return steps, steps / 1000 + generator.normal(0, 12, 300)
    if metric == "train/loss":
        return np.arange(0, 50, 10), np.array([5.0, 4.0, np.nan, 2.0, 1.0])
    return np.array([]), np.array([])
