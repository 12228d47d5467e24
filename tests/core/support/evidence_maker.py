"""Evidence for tests of reports, made by hand."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlvit.report.model import Arm, Evidence, Reference, Trial, Value
from rlvit.specs import MetricDef

METRICS = {
    metric.name: metric
    for metric in (
        MetricDef("eval/return", "points", "max", "mean raw score"),
        MetricDef("eval/human_normalised", "human - random = 1", "max", "normalised score"),
        MetricDef("eval/top1", "%", "max", "images named rightly", "updates"),
        MetricDef("eval/nll", "nats", "min", "mean cross-entropy", "updates"),
        MetricDef("eval/gain", "points", "max", "paired by image", "updates"),
        MetricDef("eval/gmacs", "10^9 multiply-adds", "min", "mean of an image", "updates"),
        MetricDef("eval/kept", "patches", "none", "alive at the end", "updates"),
        MetricDef("dense/top1", "%", "max", "of all patches", "updates"),
        MetricDef("dense/gmacs", "10^9 multiply-adds", "min", "of all patches", "updates"),
        MetricDef("select/kept", "patches a frame", "none", "kept"),
        MetricDef("train/return", "points", "max", "raw score of the game that just ended"),
        MetricDef("train/loss", "nats", "min", "of a batch"),
        MetricDef("train/lr", "-", "none", "step size"),
        MetricDef("speed/steps", "steps/s", "max", "speed", timing=True),
    )
}
FACTS = {
    "Pong": {"random_score": -20.0, "human_score": 20.0, "frame_skip": 4},
    "Seaquest": {"random_score": 0.0, "human_score": 1000.0},
}


def trial(
    seed: int, results: Mapping[str, Value | float], name: str = "run", **changed: Any
) -> Trial:
    """Return a run; a bare number is a measurement of 50 episodes."""
    values = {
        name: value if isinstance(value, Value) else Value(value, 50, None, 1000)
        for name, value in results.items()
    }
    given: dict[str, Any] = {
        "id": f"{name}-{seed}",
        "name": f"{name}-{seed}",
        "seed": seed,
        "commit": "0123456789abcdef",
        "dirty": False,
        "version": "0.1.0",
        "seconds": 5400.0,
        "device": "NVIDIA H200",
        "note": "",
        "artifacts": {},
    }
    return Trial(results=values, **(given | changed))


def arm(label: str, trials: Sequence[Trial], **changed: Any) -> Arm:
    """Return an arm of the method m on Pong."""
    given: dict[str, Any] = {
        "fingerprint": label,
        "method": "m",
        "task": "Pong",
        "protocol": "full",
        "preset": "paper",
        "config": {},
        "slots": {},
    }
    return Arm(label=label, trials=tuple(trials), **(given | changed))


def scored(label: str, scores: Sequence[float], metric: str = "eval/return", **changed: Any) -> Arm:
    """Return an arm with a run for each score, seeds 0, 1, ..."""
    return arm(
        label, [trial(seed, {metric: score}) for seed, score in enumerate(scores)], **changed
    )


def game_arm(label: str, task: str, scores: Sequence[float], **changed: Any) -> Arm:
    """Return an arm with a run for each score, and curves; a human's is 100 and random play's 0."""
    known = {"method": label.partition(" ")[0], "fingerprint": f"{zlib.crc32(label.encode()):064x}"}
    trials = [
        trial(
            seed,
            {
                "eval/return": Value(score, 100, 5.0, 1000),
                "eval/human_normalised": Value(score / 100, 100, 5.0, 1000),
            },
            f"{label.replace(' ', '-')}-{task}",
        )
        for seed, score in enumerate(scores)
    ]
    return arm(label, trials, task=task, **(known | changed))


def curve_of(engine: object, run_id: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve made from the run's id: 300 steps of the return, 5 of the loss."""
    generator = np.random.default_rng(zlib.crc32(run_id.encode()))
    if metric == "train/return":
        steps = np.sort(generator.integers(0, 100_000, 300))
        return steps, steps / 1000 + generator.normal(0, 12, 300)
    if metric == "train/loss":
        return np.arange(0, 50, 10), np.array([5.0, 4.0, np.nan, 2.0, 1.0])
    return np.array([]), np.array([])


def reference(name: str, value: float, **changed: Any) -> Reference:
    """Return a published return on Pong."""
    given: dict[str, Any] = {
        "task": "Pong",
        "protocol": "full",
        "metric": "eval/return",
        "spread": None,
        "n": None,
        "where": "Table 2",
        "cite": "Somebody 2020",
        "status": "verified",
    }
    return Reference(name=name, value=value, **(given | changed))


def evidence(
    arms: Sequence[Arm] = (), references: Sequence[Reference] = (), **changed: Any
) -> Evidence:
    """Return evidence whose tables show the return, on images the accuracy."""
    tasks = {one.task for one in [*arms, *references]}
    headlines = {task: ("eval/return", "eval/top1", "eval/nll", "eval/gain") for task in tasks}
    given: dict[str, Any] = {"metrics": METRICS, "headlines": headlines, "facts": FACTS}
    return Evidence(arms=tuple(arms), references=tuple(references), **(given | changed))
