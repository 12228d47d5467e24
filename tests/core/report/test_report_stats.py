"""Statistics of runs, against numbers worked out by hand, scipy, and what papers print."""

import json
import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvit.report import stats
from rlvit.rl.scores import human_normalised

DATA = Path(__file__).parents[4] / "shared" / "data" / "atari100k"
AGGREGATES = [stats.iqm, stats.mean, stats.median, stats.optimality_gap]
FEW = {"replicates": 200}  # enough where only equality is asked for


def near(*expected: float, abs: float = 1e-9) -> object:
    return pytest.approx(expected, abs=abs, nan_ok=True)


# Point values


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    assert stats.iqm([8, 1, 7, 2, 6, 3, 5, 4]) == 4.5  # of 3, 4, 5, 6
    assert stats.iqm([100, 1, 2, 3, -100]) == 2.0  # one run of five is cut at each end
    assert stats.iqm([5.0, 1.0, 3.0]) == 3.0  # three are too few to cut


@pytest.mark.parametrize("shape", [(3, 1), (5, 7), (10, 26), (101, 3)])
def test_iqm_of_tasks_is_the_trimmed_mean_of_all_runs(shape: tuple[int, int]) -> None:
    scores = np.random.default_rng(0).gamma(1.0, size=shape)  # [runs, tasks]
    expected = scipy.stats.trim_mean(scores, 0.25, axis=None)
    assert stats.iqm(list(scores.T)) == pytest.approx(expected, abs=1e-12)
    along = scipy.stats.trim_mean(scores, 0.25, axis=0)
    assert stats.iqm(scores, axis=0) == pytest.approx(along, abs=1e-12)


def test_iqm_weighs_tasks_equally_when_runs_are_unequal() -> None:
    # Weights 1/8 and 1/4: the middle half is all of 5 and half a quarter each of 3 and 4.
    tasks = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.0])]
    assert stats.iqm(tasks) == pytest.approx((3 / 8 + 4 / 8 + 5 / 4) / 0.5)
    repeated = [np.repeat([1.0, 7.0, 3.0, 4.0], 3), np.array([5.0, 6.0, 0.0, 9.0])]
    assert stats.iqm(repeated) == pytest.approx(stats.iqm([repeated[0][::3], repeated[1]]))


def test_mean_and_median_over_tasks_are_of_the_tasks_means() -> None:
    tasks = [np.array([0.0, 1.0]), np.array([2.0, 4.0, 6.0]), np.array([10.0])]
    assert stats.mean(tasks) == pytest.approx((0.5 + 4 + 10) / 3)
    assert stats.median(tasks) == 4.0
    assert stats.median([9.0, 1.0, 2.0]) == 2.0
    assert stats.mean([9.0, 1.0, 2.0]) == 4.0


def test_optimality_gap_does_not_reward_going_beyond_the_target() -> None:
    assert stats.optimality_gap([0.5, 3.0, 1.0, -0.5]) == pytest.approx((0.5 + 0 + 0 + 1.5) / 4)
    assert stats.optimality_gap([0.5, 3.0], target=2.0) == 0.75


@pytest.mark.parametrize("statistic", AGGREGATES)
def test_nan_is_not_dropped(statistic: stats.Statistic) -> None:
    runs = [1.0, 2.0, math.nan, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert math.isnan(statistic(runs))
    assert stats.bootstrap(runs, statistic) == near(math.nan, math.nan, math.nan)
    assert stats.bootstrap([[1.0, 2.0], runs], statistic) == near(math.nan, math.nan, math.nan)


def test_infinite_scores_have_no_interval() -> None:
    runs = [1.0, 2.0, 3.0, math.inf]
    assert stats.bootstrap(runs, stats.iqm) == near(2.5, math.nan, math.nan)
    assert stats.mean_interval(runs) == near(math.inf, math.nan, math.nan)


# Intervals


def test_one_run_of_any_task_means_no_interval() -> None:
    assert stats.mean_interval([3.0]) == near(3.0, math.nan, math.nan)
    assert stats.mean_interval([]) == near(math.nan, math.nan, math.nan)
    assert stats.bootstrap([[1.0, 2.0], [4.0]], stats.mean) == near(2.75, math.nan, math.nan)
    poi = stats.probability_of_improvement([2.0], [1.0, 3.0])
    assert poi == near(0.5, math.nan, math.nan)
    band = stats.performance_profile([[1.0], [2.0]], [0.0, 1.0])
    assert band.value.tolist() == [1.0, 0.5]
    assert np.isnan([band.low, band.high]).all()


def test_bootstrap_percentiles_are_those_of_all_resamples() -> None:
    runs = np.array([0.0, 1.0, 5.0, 6.0])
    every = np.array(np.meshgrid(*[runs] * 4)).reshape(4, -1).mean(0)  # all 256 resamples
    interval = stats.bootstrap(runs, stats.mean, level=0.8, replicates=100_000)
    assert interval == near(3.0, *np.quantile(every, (0.1, 0.9)), abs=1e-12)


def test_runs_are_resampled_within_their_task() -> None:
    tasks = [np.zeros(5), np.full(5, 100.0)]
    assert stats.bootstrap(tasks, stats.mean) == (50.0, 50.0, 50.0)


def test_a_matrix_is_runs_by_tasks() -> None:
    scores = np.random.default_rng(1).normal(size=(6, 3))
    for statistic in AGGREGATES:
        as_matrix = stats.bootstrap(scores, statistic, **FEW)
        assert as_matrix == stats.bootstrap(list(scores.T), statistic, **FEW)


def test_the_seed_decides() -> None:
    runs = np.random.default_rng(2).normal(size=20)
    assert stats.mean_interval(runs, seed=1) == stats.mean_interval(runs, seed=1)
    assert stats.mean_interval(runs, seed=1) != stats.mean_interval(runs, seed=2)


def test_few_runs_get_students_interval() -> None:
    reach = 4.302652730 / math.sqrt(3)  # t of 2 degrees of freedom
    assert stats.mean_interval([1.0, 2.0, 3.0]) == near(2.0, 2 - reach, 2 + reach, abs=1e-8)


def test_many_ties_are_drawn_as_counts_with_the_same_result() -> None:
    right = np.array([1.0] * 700 + [0.0] * 300)
    jitter = right + 1e-9 * np.arange(1000)  # no ties: drawn run by run
    fast, slow = stats.mean_interval(right), stats.mean_interval(jitter)
    assert fast == near(*slow, abs=1.5e-3)  # Monte-Carlo error of a percentile
    reach = 1.96 * math.sqrt(0.21 / 1000)
    assert fast == near(0.7, 0.7 - reach, 0.7 + reach, abs=2e-3)


def test_paired_differences_do_not_see_what_items_share() -> None:
    hardness = np.random.default_rng(3).normal(0, 100, size=5000)
    gain = np.random.default_rng(4).choice([-1.0, 0.0, 2.0], size=5000)
    interval = stats.paired(hardness + gain, hardness)
    reach = 1.96 * gain.std() / math.sqrt(5000)
    mean = gain.mean()
    assert interval == near(mean, mean - reach, mean + reach, abs=3e-3)
    with pytest.raises(ValueError, match="same items"):
        stats.paired([1.0, 2.0], [1.0])


def test_difference_of_few_runs_is_welchs() -> None:
    x, y = [4.0, 6.0, 5.5], [1.0, 2.5, 9.0, 3.0]
    welch = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    expected = near(np.mean(x) - np.mean(y), welch.low, welch.high)
    assert stats.difference(x, y) == expected
    assert stats.difference([1.0, 1.0], [3.0, 3.0]) == (-2.0, -2.0, -2.0)


def test_samples_interval_is_normal() -> None:
    assert stats.samples_interval(10.0, 2.0, 100) == near(10, 9.608007, 10.391993, abs=1e-6)
    assert stats.samples_interval(10.0, None, 100) == near(10, math.nan, math.nan)
    assert stats.samples_interval(10.0, 0.0, 1) == near(10, math.nan, math.nan)


def test_wilson() -> None:
    assert stats.wilson(8, 10) == near(0.8, 0.490162, 0.943318, abs=1e-6)
    assert stats.wilson(0, 10) == near(0.0, 0.0, 0.277533, abs=1e-6)
    assert stats.wilson(10, 10).high == 1.0
    assert stats.wilson(0, 0) == near(math.nan, math.nan, math.nan)
    with pytest.raises(ValueError, match="11 successes in 10"):
        stats.wilson(11, 10)


def test_probability_of_improvement_counts_wins_and_half_of_ties() -> None:
    x, y = [1.0, 2.0, 2.0, 5.0], [2.0, 3.0]
    # 1: none; 2: half of one, twice; 5: both
    assert stats.probability_of_improvement(x, y).value == 3 / 8
    tasks = stats.probability_of_improvement([x, [1.0, 1.0]], [y, [0.0, 0.0]])
    assert tasks.value == (3 / 8 + 1) / 2
    with pytest.raises(ValueError, match="1 and 2 tasks"):
        stats.probability_of_improvement(x, [x, y])


def test_probability_of_improvement_is_resampled_on_both_sides() -> None:
    # The arm x has 0, 1 or 2 winning runs of 2 in 1/4, 1/2, 1/4 of the resamples.
    x, y = [0.0, 2.0], [1.0, 1.0]
    assert stats.probability_of_improvement(x, y, level=0.6) == (0.5, 0.0, 1.0)
    assert stats.probability_of_improvement(x, y, level=0.4) == (0.5, 0.5, 0.5)
    assert stats.probability_of_improvement(y, [2.0, 0.0], level=0.6) == (0.5, 0.0, 1.0)


def test_performance_profile_is_the_share_of_runs_above() -> None:
    scores = [[0.5, 1.5], [1.0, 2.0, 3.0, 4.0]]
    band = stats.performance_profile(scores, [0.0, 1.0, 1.5, 4.0])
    assert band.value.tolist() == [1.0, (0.5 + 0.75) / 2, (0.0 + 0.75) / 2, 0.0]
    assert band.low[0] == band.high[0] == 1.0
    assert (band.low <= band.value).all()
    assert (band.value <= band.high).all()
    # At most 1/8 in 1.3 % of resamples, at most 1/4 in 6.7 %; all of them in 7.9 %.
    assert (band.low[1], band.high[1]) == (0.25, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.bootstrap([], stats.iqm), "without runs"),
        (lambda: stats.bootstrap([[1.0], []], stats.iqm), "without runs"),
        (lambda: stats.bootstrap(np.zeros((2, 2, 2)), stats.iqm), r"expected \[runs, tasks\]"),
        (lambda: stats.bootstrap([1.0, 2.0], lambda x: np.mean(x)), "has the shape"),
        (lambda: stats.bootstrap([1.0, 2.0], stats.iqm, replicates=0), "expected 1 or more"),
        (lambda: stats.bootstrap([1.0, 2.0], stats.iqm, level=95), "between 0 and 1"),
        (lambda: stats.mean_interval(np.zeros((2, 2))), "one dimension"),
    ],
)
def test_what_cannot_be_computed_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# Tests of hypotheses


def test_permutation_test_tries_every_exchange() -> None:
    assert stats.permutation_test([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]) == 2 / 20
    assert stats.permutation_test([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert math.isnan(stats.permutation_test([1.0, math.nan], [1.0, 2.0]))


def test_sign_flip_test_tries_every_sign() -> None:
    y = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    assert stats.sign_flip_test(y + np.array([1, 2, 3, 4, 5]), y) == 2 / 32
    assert stats.sign_flip_test(y + np.array([1, 2, 3, 4, -1]), y) == 6 / 32
    assert stats.sign_flip_test(y, y) == 1.0


def test_drawn_permutations_come_near_to_all_of_them() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.normal(0.9, size=7), generator.normal(size=8)
    exact = stats.permutation_test(x, y)  # 6,435 ways
    assert stats.permutation_test(x, y, replicates=6000) == pytest.approx(exact, abs=0.01)
    exact = stats.sign_flip_test(x, y[:7], replicates=128)
    assert stats.sign_flip_test(x, y[:7], replicates=127) == pytest.approx(exact, abs=0.1)


def test_holm() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert stats.holm([0.02, math.nan, 0.01]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert stats.holm([]).tolist() == []


# Properties

number = st.integers(-800, 800).map(lambda eighths: eighths / 8)
runs = st.lists(number, min_size=2, max_size=12)
arms = st.lists(runs, min_size=2, max_size=4)
quickly = settings(max_examples=40, deadline=None)


def everything(x: list[list[float]], y: list[list[float]]) -> list[object]:
    """Return all that the module says about two arms."""
    said: list[object] = [stats.bootstrap(x, statistic, **FEW) for statistic in AGGREGATES]
    said += [stats.bootstrap(x[0], statistic, **FEW) for statistic in AGGREGATES]
    said += [stats.mean_interval(x[0], **FEW), stats.difference(x[0], y[0], **FEW)]
    said += [stats.probability_of_improvement(x, y, **FEW)]
    said += [stats.permutation_test(x[0], y[0], **FEW)]
    return said + [band.tolist() for band in stats.performance_profile(x, [-1.0, 0.0, 9.0], **FEW)]


@quickly
@given(arms, arms, st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_nothing(
    x: list[list[float]], y: list[list[float]], random: object
) -> None:
    x, y = x[: len(y)], y[: len(x)]
    shuffled = [[random.sample(task, len(task)) for task in arm] for arm in (x, y)]
    assert everything(*shuffled) == everything(x, y)


@quickly
@given(st.lists(st.tuples(number, number), min_size=2, max_size=14), st.randoms())
def test_the_order_of_pairs_changes_nothing(
    pairs: list[tuple[float, float]], random: object
) -> None:
    shuffled = random.sample(pairs, len(pairs))
    for function in (stats.paired, stats.sign_flip_test):
        assert function(*zip(*shuffled, strict=True), **FEW) == function(
            *zip(*pairs, strict=True), **FEW
        )


@quickly
@given(arms, number)
def test_adding_a_constant_shifts(x: list[list[float]], constant: float) -> None:
    moved = [[score + constant for score in task] for task in x]
    for statistic in (stats.iqm, stats.mean, stats.median):
        before, after = (stats.bootstrap(of, statistic, **FEW) for of in (x, moved))
        assert after == near(*(end + constant for end in before))
    before, after = (stats.mean_interval(of[0], **FEW) for of in (x, moved))
    assert after == near(*(end + constant for end in before))
    assert stats.difference(moved[0], moved[1], **FEW) == near(*stats.difference(x[0], x[1], **FEW))


@quickly
@given(arms, st.integers(1, 50))
def test_a_unit_scales(x: list[list[float]], factor: int) -> None:
    scaled = [[score * factor for score in task] for task in x]
    before, after = (stats.bootstrap(of, stats.iqm, **FEW) for of in (x, scaled))
    assert after == near(*(end * factor for end in before), abs=1e-7)


@quickly
@given(arms)
def test_identical_arms_improve_with_probability_one_half(x: list[list[float]]) -> None:
    value, low, high = stats.probability_of_improvement(x, x, **FEW)
    assert value == 0.5
    assert low <= 0.5 <= high


@quickly
@given(arms, arms)
def test_improvement_of_either_arm_adds_up_to_one(
    x: list[list[float]], y: list[list[float]]
) -> None:
    x, y = x[: len(y)], y[: len(x)]
    forth = stats.probability_of_improvement(x, y, **FEW).value
    assert forth + stats.probability_of_improvement(y, x, **FEW).value == pytest.approx(1.0)


@quickly
@given(arms, st.sampled_from(AGGREGATES))
def test_a_higher_level_is_wider(x: list[list[float]], statistic: stats.Statistic) -> None:
    inner = stats.bootstrap(x, statistic, level=0.5, **FEW)
    outer = stats.bootstrap(x, statistic, level=0.95, **FEW)
    assert outer.low <= inner.low <= inner.high <= outer.high


# Against what others computed


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")
@pytest.mark.parametrize(
    ("file", "mean", "median", "iqm"),
    [
        ("iris/IRIS.json", 1.046, 0.289, 0.501),
        ("iris/SPR.json", 0.616, 0.396, 0.337),
        ("iris/DrQ(eps).json", 0.465, 0.313, 0.280),
        ("iris/SimPLe.json", 0.332, 0.134, 0.130),
        ("diamond/DIAMOND.json", 1.459, 0.373, 0.641),
        ("storm/storm.json", 1.222, 0.425, 0.561),
    ],
)
def test_aggregates_of_published_runs(file: str, mean: float, median: float, iqm: float) -> None:
    scores, random, human = (
        json.loads((DATA / name).read_text())
        for name in (file, "iris/RANDOM.json", "iris/HUMAN.json")
    )
    assert len(human) == 26
    tasks = [
        np.array(
            [human_normalised(score, random[game][0], human[game][0]) for score in scores[game]]
        )
        for game in human
    ]
    found = [stats.bootstrap(tasks, of, **FEW) for of in (stats.mean, stats.median, stats.iqm)]
    assert [interval.value for interval in found] == pytest.approx([mean, median, iqm], abs=5.1e-4)
    assert all(interval.low < interval.value < interval.high for interval in found)


RLIABLE = """
import json, sys
import numpy as np
from rliable import library, metrics
x, y, taus = map(np.array, json.load(sys.stdin))
np.random.seed(0)
aggregates = lambda s: np.array([metrics.aggregate_iqm(s), metrics.aggregate_mean(s),
    metrics.aggregate_median(s), metrics.aggregate_optimality_gap(s)])
points, ends = library.get_interval_estimates({"x": x}, aggregates, reps=4000)
poi, poi_ends = library.get_interval_estimates(
    {"p": (x, y)}, metrics.probability_of_improvement, reps=1000)
profile, band = library.create_performance_profile({"x": x}, taus, reps=2000)
print(json.dumps([points["x"].tolist(), ends["x"].tolist(), float(poi["p"]),
    poi_ends["p"].ravel().tolist(), profile["x"].tolist(), band["x"].tolist()]))
"""


@pytest.mark.skipif(
    "RLVIT_RLIABLE_PYTHON" not in os.environ,
    reason="RLVIT_RLIABLE_PYTHON names no Python that has rliable and pandas<3",
)
def test_agrees_with_rliable() -> None:
    generator, taus = np.random.default_rng(6), np.linspace(0, 3, 16)
    x, y = (scale * generator.gamma(1.0, size=(10, 26)) for scale in (1.1, 1.0))
    ran = subprocess.run(
        [os.environ["RLVIT_RLIABLE_PYTHON"], "-c", RLIABLE],
        input=json.dumps([x.tolist(), y.tolist(), taus.tolist()]),
        capture_output=True,
        text=True,
        check=True,
    )
    points, (lows, highs), poi, poi_ends, profile, band = json.loads(ran.stdout)
    kinds = [stats.iqm, stats.mean, stats.median, stats.optimality_gap]
    for statistic, *theirs in zip(kinds, points, lows, highs, strict=True):
        ours = stats.bootstrap(x, statistic)
        assert ours.value == pytest.approx(theirs[0], abs=1e-12)
        assert ours == near(*theirs, abs=0.05 * (theirs[2] - theirs[1]))
    ours = stats.probability_of_improvement(x, y)
    assert ours == near(poi, *poi_ends, abs=0.08 * (poi_ends[1] - poi_ends[0]))
    found, lattice = stats.performance_profile(x, taus), 2.5 / x.size  # shares are k / 260
    assert found.value == pytest.approx(profile, abs=1e-12)
    assert np.stack([found.low, found.high]) == pytest.approx(np.array(band), abs=lattice)
