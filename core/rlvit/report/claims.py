"""Claims: statements about results, judged by the runs, and the seeds that would settle them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb, isfinite, nan
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlvit.catalog import match
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.report import stats
from rlvit.report.cells import difference_unit
from rlvit.report.model import Arm, Evidence, Reference
from rlvit.report.stats import Interval

Array = NDArray[np.float64]
Outcome = Literal["SUPPORTED", "REFUTED", "UNDERPOWERED"]

FORM = "A > B on TASK under PROTOCOL by METRIC"
SENTENCE = re.compile(r"(\S.*?) > (\S.*?) on (\S+) under (\S+) by (\S+)")
LEVEL, ALPHA = 0.95, 0.05
MOST_SEEDS = 200  # a side, beyond which a plan gives up
EXPERIMENTS = 1_000  # simulated for each number of seeds: standard error of a power of 0.8: 0.013
SIMULATED_SPLITS = 1_000  # for each of these
DIRECTIONS = {"max": 1.0, "min": -1.0}


@dataclass(frozen=True)
class Claim:
    """That one method is better than another: higher, or lower where the metric says so."""

    left: str  # label or method of an arm, or name of an imported baseline
    right: str
    task: str
    protocol: str
    metric: str

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.left} > {self.right} on {self.task} under {self.protocol} by {self.metric}"


@dataclass(frozen=True)
class Verdict:
    """What the runs say to a claim."""

    claim: Claim
    outcome: Outcome
    effect: Interval  # by how much the left side is better, in the metric's unit
    improvement: Interval  # probability that a run of the left side is better than one of the right
    p: float  # of the exact test, corrected for the number of claims; NaN: cannot be had
    n: tuple[int, int]  # runs of each side
    unit: str  # of the metric
    note: str = ""
    tests: int = 1  # that p is corrected for


class Plan(NamedTuple):
    """How many seeds would settle a claim."""

    seeds: int | None  # of each side that is not imported; None: more than MOST_SEEDS
    power: float  # simulated, with so many (with MOST_SEEDS where they are not enough)
    n: tuple[int, int]  # runs there are


class _Side(NamedTuple):
    """The runs of one side of a claim; higher is better."""

    key: str  # of the arm or baseline
    mean: float
    scores: Array  # [runs], none where only their mean is known
    fixed: bool  # no runs can be added: imported
    note: str


def parse(text: str) -> Claim:
    """Return the claim of a sentence `A > B on TASK under PROTOCOL by METRIC`.

    Raises:
        UsageProblem: it has another form.
    """
    found = SENTENCE.fullmatch(text.strip())
    if found is None:
        raise UsageProblem(
            f"claim {text!r}: expected {FORM!r}, as in 'mine > theirs on Seaquest "
            "under full by eval/return'."
        )
    claim = Claim(*found.groups())
    if claim.left == claim.right:
        raise UsageProblem(f"claim {text!r}: both sides are the same.")
    return claim


def read(path: str | Path) -> list[Claim]:
    """Return the claims of a TOML file: `claims = ["A > B on …", …]`.

    Raises:
        UsageProblem: the file cannot be read, or has another form.
    """
    path = Path(path).expanduser()
    try:
        found = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise UsageProblem(f"{path.name} is no TOML file: {error}.") from None
    for key in found:
        if key != "claims":
            raise UnknownName(f"key of {path.name}", key, ["claims"])
    sentences = found.get("claims")
    if not isinstance(sentences, list) or not sentences:
        raise UsageProblem(f'{path.name}: expected claims = ["{FORM}", …].')
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise UsageProblem(f"{path.name}: a claim is text, not {sentence!r}.")
    return [parse(sentence) for sentence in sentences]


def judge(claims: Iterable[Claim], evidence: Evidence, *, seed: int = 0) -> list[Verdict]:
    """Judge claims together.

    A claim is SUPPORTED where the left side's mean is better, its interval of the difference lies
    above 0, and a permutation test of the same runs has p <= 0.05 after Holm's correction for the
    number of claims; REFUTED where the same holds the other way round; and else UNDERPOWERED.
    Every run counts: a claim with one that is not a number cannot be settled.

    Raises:
        UnknownName: there is no such task, protocol, metric or side.
        UsageProblem: a name fits several arms, or the metric has no better direction.
    """
    several = list(claims)
    sides = [_sides(claim, evidence) for claim in several]
    tests = [
        stats.permutation_test(left.scores, right.scores, seed=seed)
        if len(left.scores) and len(right.scores)
        else nan
        for left, right in sides
    ]
    made = sum(isfinite(p) for p in tests)
    verdicts = [
        _verdict(claim, *both, float(p), evidence.metrics[claim.metric].unit, seed)
        for claim, both, p in zip(several, sides, stats.holm(tests), strict=True)
    ]
    return [replace(verdict, tests=made) for verdict in verdicts]


def _verdict(claim: Claim, left: _Side, right: _Side, p: float, unit: str, seed: int) -> Verdict:
    x, y = left.scores, right.scores
    effect, improvement = Interval(left.mean - right.mean, nan, nan), Interval(nan, nan, nan)
    notes = [side.note for side in (left, right) if side.note]
    if len(x) and len(y):
        effect = stats.difference(x, y, level=LEVEL, seed=seed)
        improvement = stats.probability_of_improvement(x, y, level=LEVEL, seed=seed)
    outcome: Outcome = "UNDERPOWERED"
    if p <= ALPHA:
        outcome = "SUPPORTED" if effect.low > 0 else "REFUTED" if effect.high < 0 else outcome
    return Verdict(claim, outcome, effect, improvement, p, (len(x), len(y)), unit, "; ".join(notes))


def plan_seeds(claim: Claim, evidence: Evidence, power: float = 0.8) -> int:
    """Return how many seeds of each side would settle a claim with that probability.

    Raises:
        RlvitError: more than MOST_SEEDS.
        UnknownName, UsageProblem: as `plan`.
    """
    found = plan(claim, evidence, power)
    if found.seeds is None:
        raise RlvitError(
            f"more than {MOST_SEEDS} seeds a side: with {MOST_SEEDS} the simulated power is "
            f"{found.power:.2f}."
        )
    return found.seeds


def plan(claim: Claim, evidence: Evidence, power: float = 0.8, *, seed: int = 0) -> Plan:
    """Find how many seeds would settle a claim, from simulated experiments.

    Scores are drawn from the runs there are, spread out around their mean by sqrt(n / (n - 1)),
    since n runs show too little of the spread of all; each simulated experiment is then judged as
    `judge` would, by its test alone (with 4 or 5 seeds a side that settles 3 % more than the test
    and the interval together, with 10 as many: 400 simulated pairs each). As the runs there are
    may be few, so is what they tell of the number: plan again when there are more.

    Raises:
        UnknownName, UsageProblem: as `judge`; or a side has fewer than 2 runs, or both sides are
            imported, or the power is not between 0 and 1.
    """
    if not 0 < power < 1:
        raise UsageProblem(f"power {power:g}: should be more than 0 and less than 1.")
    sides = _sides(claim, evidence)
    n = (len(sides[0].scores), len(sides[1].scores))
    if min(n) < 2:
        raise UsageProblem(
            f"claim '{claim}' has {n[0]} and {n[1]} runs: at least 2 of each side are needed, "
            "to see how much they vary."
        )
    for side in sides:
        if not np.isfinite(side.scores).all():
            raise UsageProblem(f"claim '{claim}': {side.note}, so no seeds would settle it.")
    if all(side.fixed for side in sides):
        raise UsageProblem(f"claim '{claim}': both sides are imported, no seeds can be added.")
    known: dict[int, float] = {}

    def enough(seeds: int) -> bool:
        known[seeds] = _power(sides, seeds, seed)
        return known[seeds] >= power

    low, high = 1, 2
    while not enough(high):
        if high == MOST_SEEDS:
            return Plan(None, known[high], n)
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return Plan(high, known[high], n)


def _power(sides: tuple[_Side, _Side], seeds: int, seed: int) -> float:
    """Return the share of simulated experiments with so many seeds that would be settled."""
    generator = np.random.default_rng([seed, seeds])
    drawn = []
    for side in sides:
        count = len(side.scores) if side.fixed else seeds
        drawn.append(generator.choice(_spread_out(side.scores), (EXPERIMENTS, count)))
    splits = _splits(drawn[0].shape[1], drawn[1].shape[1], SIMULATED_SPLITS, generator)
    return float((_p_values(drawn[0], drawn[1], splits) <= ALPHA).mean())


def _spread_out(scores: Array) -> Array:
    """Return scores whose variance is the sample variance of the given ones."""
    mean = scores.mean()
    return np.asarray(mean + (scores - mean) * np.sqrt(len(scores) / (len(scores) - 1)))


class _Splits(NamedTuple):
    """Ways to deal runs out to two sides."""

    lefts: Array  # [splits, runs]: 1 for those of the left side
    exact: bool  # all there are; else drawn at random


def _splits(n: int, m: int, most: int, generator: np.random.Generator) -> _Splits:
    """Return every split of n + m runs into n and m, or `most` random ones."""
    runs, exact = n + m, comb(n + m, n) <= most
    if exact:
        chosen = np.array(list(combinations(range(runs), n)))
    else:
        chosen = generator.random((most, runs)).argsort(-1)[:, :n]
    lefts = np.zeros((len(chosen), runs))
    np.put_along_axis(lefts, chosen, 1.0, axis=1)
    return _Splits(lefts, exact)


def _p_values(left: Array, right: Array, splits: _Splits) -> Array:
    """Return `stats.permutation_test` of each row of [rows, n] and [rows, m], all by one product.

    Where the splits are drawn, all rows share them, and the real one counts among them.
    """
    runs = np.concatenate([left, right], axis=1)
    runs = runs - runs.mean(1, keepdims=True)  # a side's sum is then proportional to the difference
    sums = np.abs(runs @ splits.lefts.T)  # [rows, splits]
    actual = np.abs(runs[:, : left.shape[1]].sum(1))
    rounding = 1e-12 * np.abs(runs).sum(1)
    reached = (sums >= (actual - rounding)[:, None]).sum(1)
    if splits.exact:
        return np.asarray(reached / len(splits.lefts))
    return np.asarray((1 + reached) / (1 + len(splits.lefts)))


def _sides(claim: Claim, evidence: Evidence) -> tuple[_Side, _Side]:
    """Find the runs of both sides; raises UnknownName and UsageProblem."""
    if claim.metric not in evidence.metrics:
        raise UnknownName("metric", claim.metric, evidence.metrics)
    sign = DIRECTIONS.get(evidence.metrics[claim.metric].direction)
    if sign is None:
        raise UsageProblem(f"claim '{claim}': more of {claim.metric} is neither better nor worse.")
    tasks = {arm.task for arm in evidence.arms} | {one.task for one in evidence.references}
    task = match(claim.task, sorted(tasks))
    if task is None:
        raise UnknownName("task", claim.task, tasks)
    arms = [arm for arm in evidence.arms if arm.task == task]
    references = [
        one for one in evidence.references if (one.task, one.metric) == (task, claim.metric)
    ]
    protocols = {arm.protocol for arm in arms} | {one.protocol for one in references} - {""}
    if claim.protocol not in protocols:
        raise UnknownName(f"protocol of results on {task}", claim.protocol, protocols)
    left, right = (_side(name, claim, arms, references, sign) for name in (claim.left, claim.right))
    if left.key == right.key:
        raise UsageProblem(f"claim '{claim}': both sides are the same runs.")
    return left, right


def _side(
    name: str, claim: Claim, arms: Sequence[Arm], references: Sequence[Reference], sign: float
) -> _Side:
    """Find the runs that a name means: those of an arm, or imported ones."""
    here = [arm for arm in arms if arm.protocol == claim.protocol]
    meanings = (
        [arm for arm in here if arm.label == name],
        [arm for arm in here if arm.method == name],
        [arm for arm in here if set(name.split()) <= _words(arm)],
    )
    fitting = next((found for found in meanings if found), [])
    if len(fitting) > 1:
        labels = ", ".join(repr(arm.label) for arm in fitting)
        raise UsageProblem(f"claim '{claim}': {name!r} fits {len(fitting)} arms: {labels}.")
    if fitting:
        return _measured(fitting[0], claim.metric, sign)
    named = [one for one in references if one.name == name]
    comparable = [one for one in named if one.protocol == claim.protocol]
    if comparable:
        return _imported(max(comparable, key=lambda one: len(one.scores)), sign)
    if named:
        other = named[0].protocol or "none"
        raise UsageProblem(
            f"claim '{claim}': {name!r} is comparable under protocol {other}, and results under "
            "different protocols are not compared."
        )
    known = {arm.label for arm in here} | {arm.method for arm in here}
    known |= {one.name for one in references if one.protocol == claim.protocol}
    raise UnknownName(f"side of claim '{claim}'", name, known)


def _words(arm: Arm) -> set[str]:
    """Return what an arm may be called by, whatever other arms there are: labels name only what
    differs from those.
    """
    settings = {**arm.config, **arm.slots}
    pairs = {f"{name}={value}" for name, value in settings.items()}
    return {arm.method, arm.preset, *arm.label.split(), *map(str, arm.slots.values()), *pairs}


def _measured(arm: Arm, metric: str, sign: float) -> _Side:
    """Return the runs of an arm; one that measured no such number counts as NaN."""
    found = [trial.results.get(metric) for trial in arm.trials]
    values = sign * np.array([nan if one is None else one.value for one in found], dtype=float)
    lost = int((~np.isfinite(values)).sum())
    note = f"{lost} of {len(values)} runs of {arm.label} have no number" if lost else ""
    scores = np.where(np.isfinite(values), values, nan)
    return _Side(arm.fingerprint, float(scores.mean()), scores, False, note)


def _imported(reference: Reference, sign: float) -> _Side:
    """Return the runs behind an imported number, or none where only a mean is known."""
    note = "" if reference.scores else f"the single runs of {reference.name} are not known"
    scores = sign * np.array(reference.scores, dtype=float)
    return _Side(reference.name, sign * reference.value, scores, True, note)


def sentence(verdict: Verdict) -> str:
    """Return how much better or worse the left side is, and what speaks for it, in words."""

    def written(value: float) -> str:
        return f"{value:.4g}" if isfinite(value) else "-"

    value, low, high = verdict.effect
    unit = difference_unit(verdict.unit)
    if value < 0:
        value, low, high = -value, -high, -low
    side = "worse" if verdict.effect.value < 0 else "better"
    adjusted = " adjusted (Holm)" if verdict.tests > 1 else ""
    size = written(value) if unit in ("", "-") else f"{written(value)} {unit}"
    return (
        f"{side} by {size} [{written(low)}, {written(high)}], a run beats one of the other with"
        f" probability {written(verdict.improvement.value)}, p = {written(verdict.p)}{adjusted},"
        f" n = {verdict.n[0]} and {verdict.n[1]}"
    )


def as_row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as flat values for a table, a CSV or JSON file; NaN becomes None."""

    def known(value: float) -> float | None:
        return value if isfinite(value) else None

    return {
        "claim": str(verdict.claim),
        "verdict": verdict.outcome,
        "effect": known(verdict.effect.value),
        "low": known(verdict.effect.low),
        "high": known(verdict.effect.high),
        "unit": difference_unit(verdict.unit),
        "improvement": known(verdict.improvement.value),
        "p": known(verdict.p),
        "n": verdict.n[0],
        "n_right": verdict.n[1],
        "note": verdict.note,
    }
