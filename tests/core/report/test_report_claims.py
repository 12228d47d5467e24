"""Claims: the sentence, the verdict, and the seeds that would settle it."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from toy_writers import new_run

from rlvit.cli.main import invoke
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.registry.store import Store
from rlvit.report import claims, stats
from rlvit.report.claims import Claim, judge, parse, plan, plan_seeds, read
from rlvit.report.model import Arm, Evidence, Reference, Trial, Value
from rlvit.specs import MetricDef

SENTENCE = "a > b on Pong under full by eval/score"
METRICS = {
    "eval/score": MetricDef("eval/score", "points", "max", "how good"),
    "eval/loss": MetricDef("eval/loss", "nats", "min", "how bad"),
    "eval/length": MetricDef("eval/length", "steps", "none", "how long"),
}


def _arm(method: str, scores: list[float], **more: Any) -> Arm:
    label = more.pop("label", method)
    metric = more.pop("metric", "eval/score")
    known = {"name": "", "commit": None, "dirty": None, "version": "1", "seconds": 0.0}
    trials = tuple(
        Trial(
            **known,
            id=f"{label}-{seed}",
            seed=seed,
            device="cpu",
            note="",
            results={metric: Value(score, 1, None, 0)},
            artifacts={},
        )
        for seed, score in enumerate(scores)
    )
    arm = Arm(f"f-{label}", label, method, "Pong", "full", "paper", {}, {}, trials)
    return replace(arm, **more)


def _reference(name: str, scores: list[float], **more: Any) -> Reference:
    mean = float(np.mean(scores)) if scores else 1.0
    known = Reference(
        *(name, "Pong", "full", "eval/score", mean, None, len(scores) or None),
        where="file",
        cite="",
        status="imported",
        scores=tuple(scores),
    )
    return replace(known, **more)


def _evidence(*arms: Arm, references: tuple[Reference, ...] = ()) -> Evidence:
    return Evidence(arms, references, METRICS, {}, {})


def _judged(evidence: Evidence, sentence: str = SENTENCE) -> claims.Verdict:
    (verdict,) = judge([parse(sentence)], evidence)
    return verdict


def _normal_arm() -> Any:
    """Return 40 scores that are spread as a normal distribution, of mean 0 and variance 1."""
    scores = np.array([NormalDist().inv_cdf((i + 0.5) / 40) for i in range(40)])
    return scores / scores.std(ddof=1)


HIGH, LOW = [10.0, 11.0, 12.0, 13.0, 14.0], [1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_sentence_is_read_and_written_back() -> None:
    text = "spirl > der on Seaquest under atari100k-spirl by eval/return"
    claim = parse(f"  {text}\n")
    assert claim == Claim("spirl", "der", "Seaquest", "atari100k-spirl", "eval/return")
    assert str(claim) == text


def test_labels_of_several_words_are_sides() -> None:
    claim = parse("spirl (K = 4) > spirl on random data on Pong under full by eval/score")
    assert (claim.left, claim.right, claim.task) == (
        "spirl (K = 4)",
        "spirl on random data",
        "Pong",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a < b on Pong under full by eval/score",
        "a > b on Pong under full",
        "a>b on Pong under full by eval/score",
        "a > b on Pong under full by eval/score today",
        "> b on Pong under full by eval/score",
        "a > a on Pong under full by eval/score",
    ],
)
def test_another_sentence_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^claim .*(expected 'A > B|are the same)"):
        parse(text)


def test_a_file_holds_several_claims(tmp_path: Path) -> None:
    file = tmp_path / "claims.toml"
    file.write_text(f'claims = [\n  "{SENTENCE}",  # the first\n  "c > d on X under y by z",\n]\n')
    assert [str(claim) for claim in read(file)] == [SENTENCE, "c > d on X under y by z"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("claims = [", "is no TOML file"),
        ("claims = []", "expected claims ="),
        ("", "expected claims ="),
        ("claims = [1]", "a claim is text, not 1"),
        ('claim = ["x"]', "unknown key of c.toml 'claim'. Did you mean 'claims'"),
        ('claims = ["x"]', "claim 'x': expected"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageProblem, match=problem) as caught:
        read(tmp_path / "c.toml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"none\.toml cannot be read: No such file"):
        read(tmp_path / "none.toml")


def test_a_clear_difference_supports_the_claim_and_refutes_its_opposite() -> None:
    evidence = _evidence(_arm("a", HIGH), _arm("b", LOW))
    verdict = _judged(evidence)
    assert (verdict.outcome, verdict.n, verdict.unit) == ("SUPPORTED", (5, 5), "points")
    assert verdict.effect.value == 9.0
    # Welch's t interval by hand: both variances 2.5, standard error 1, 8 degrees of freedom
    assert verdict.effect.low == pytest.approx(9.0 - 2.306, abs=1e-3)
    assert verdict.effect.high == pytest.approx(9.0 + 2.306, abs=1e-3)
    assert verdict.improvement.value == 1.0
    assert verdict.p == pytest.approx(2 / 252)  # two of C(10, 5) splits are as far apart
    opposite = _judged(evidence, "b > a on Pong under full by eval/score")
    assert (opposite.outcome, opposite.effect.value) == ("REFUTED", -9.0)
    assert opposite.p == verdict.p


def test_lower_is_better_where_the_metric_says_so() -> None:
    arms = [_arm(n, s, metric="eval/loss") for n, s in (("a", LOW), ("b", HIGH))]
    verdict = _judged(_evidence(*arms), "a > b on Pong under full by eval/loss")
    assert (verdict.outcome, verdict.effect.value) == ("SUPPORTED", 9.0)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([10.0], [1.0]),  # one seed says nothing, however far apart
        ([10.0, 11.0, 12.0], [1.0, 2.0, 3.0]),  # the least p of 3 and 3 runs is 0.1
        ([1.0, 5.0, 3.0, 9.0, 2.0], [2.0, 4.0, 3.0, 8.0, 1.0]),
        ([3.0] * 5, [3.0] * 5),
        ([*HIGH, nan], LOW),
    ],
)
def test_too_little_to_say_is_underpowered(left: list[float], right: list[float]) -> None:
    verdict = _judged(_evidence(_arm("a", left), _arm("b", right)))
    assert verdict.outcome == "UNDERPOWERED"
    assert verdict.n == (len(left), len(right))


def test_a_run_without_a_number_is_counted_and_settles_nothing() -> None:
    verdict = _judged(_evidence(_arm("a", [*HIGH, nan]), _arm("b", LOW)))
    assert verdict.note == "1 of 6 runs of a have no number"
    row = claims.as_row(verdict)
    assert (row["effect"], row["p"], row["n"]) == (None, None, 6)


def test_a_difference_of_percentages_is_in_points() -> None:
    metrics = {"eval/score": replace(METRICS["eval/score"], unit="%")}
    found = replace(_evidence(_arm("a", HIGH), _arm("b", LOW)), metrics=metrics)
    verdict = _judged(found)
    assert claims.sentence(verdict).startswith("better by 9 points [6.694, 11.31], ")
    assert claims.as_row(verdict)["unit"] == "points"


def test_several_claims_are_corrected_for_their_number() -> None:
    scores = {"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0, 2.0, 3.0, 4.0], "c": [1.5, 2.5, 3.5, 4.5]}
    evidence = _evidence(*(_arm(name, values) for name, values in scores.items()))
    alone = _judged(evidence)
    assert (alone.outcome, alone.p) == ("SUPPORTED", pytest.approx(2 / 70))
    sentences = [SENTENCE, "a > c on Pong under full by eval/score"]
    together = judge([parse(text) for text in sentences], evidence)
    assert [verdict.outcome for verdict in together] == ["UNDERPOWERED"] * 2
    assert together[0].p == pytest.approx(4 / 70)


def test_equal_arms_are_rarely_called_different() -> None:
    generator, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        scores = generator.lognormal(size=(2, 6)).tolist()
        verdict = _judged(_evidence(_arm("a", scores[0]), _arm("b", scores[1])))
        wrong += verdict.outcome != "UNDERPOWERED"
    assert wrong <= 20  # 5 % of 200, and 3 standard errors more


def test_a_label_means_one_arm_and_a_method_with_several_is_ambiguous() -> None:
    arms = [_arm("a", HIGH, label="a K=1"), _arm("a", LOW, label="a K=2"), _arm("b", LOW)]
    evidence = _evidence(*arms)
    assert _judged(evidence, "a K=1 > b on pong under full by eval/score").outcome == "SUPPORTED"
    with pytest.raises(UsageProblem, match="'a' fits 2 arms: 'a K=1', 'a K=2'"):
        _judged(evidence)
    evidence = _evidence(_arm("a", HIGH, label="x"), _arm("b", LOW))
    with pytest.raises(UsageProblem, match="both sides are the same runs"):
        _judged(evidence, "x > a on Pong under full by eval/score")


def test_a_side_may_be_called_by_its_parts_and_settings_whatever_its_label() -> None:
    arms = [
        _arm("a", HIGH, label="a K=1 deep", slots={"selector": "random"}, config={"depth": 3}),
        _arm("a", LOW, label="a K=2", slots={"selector": "learnt"}, config={"depth": 1}),
    ]
    for name in ("a random", "selector=random a", "a depth=3", "a deep"):
        sentence = f"{name} > a selector=learnt on Pong under full by eval/score"
        assert _judged(_evidence(*arms), sentence).outcome == "SUPPORTED"
    with pytest.raises(UsageProblem, match="'a paper' fits 2 arms"):
        _judged(_evidence(*arms), "a paper > a learnt on Pong under full by eval/score")


def test_imported_runs_are_a_side_and_a_printed_mean_settles_nothing() -> None:
    evidence = _evidence(_arm("a", HIGH), references=(_reference("b", LOW),))
    assert _judged(evidence).outcome == "SUPPORTED"
    verdict = _judged(_evidence(_arm("a", HIGH), references=(_reference("b", []),)))
    assert (verdict.outcome, verdict.n) == ("UNDERPOWERED", (5, 0))
    assert verdict.effect.value == 11.0
    assert isnan(verdict.effect.low)
    assert verdict.note == "the single runs of b are not known"


@pytest.mark.parametrize("protocol", ["", "other"])
def test_results_under_different_protocols_are_not_compared(protocol: str) -> None:
    foreign = _reference("b", LOW, protocol=protocol)
    with pytest.raises(UsageProblem, match="results under different protocols are not compared"):
        _judged(_evidence(_arm("a", HIGH), references=(foreign,)))


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("a > bb on Pong under full by eval/score", "unknown side of claim.*Did you mean 'b'"),
        ("a > b on Pang under full by eval/score", "unknown task 'Pang'. Did you mean 'Pong'"),
        ("a > b on Pong under ful by eval/score", "Did you mean 'full'"),
        ("a > b on Pong under full by eval/scores", "unknown metric.*Did you mean 'eval/score'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(sentence: str, problem: str) -> None:
    with pytest.raises(UnknownName, match=problem):
        _judged(_evidence(_arm("a", HIGH), _arm("b", LOW)), sentence)


def test_a_metric_without_a_better_direction_is_refused() -> None:
    with pytest.raises(UsageProblem, match="neither better nor worse"):
        _judged(_evidence(_arm("a", HIGH)), "a > b on Pong under full by eval/length")


@pytest.mark.parametrize(("n", "m"), [(2, 3), (4, 4), (5, 3), (1, 4)])
def test_the_simulated_test_is_the_one_that_judges(n: int, m: int) -> None:
    generator = np.random.default_rng(1)
    left, right = generator.normal(size=(20, n)), generator.normal(size=(20, m))
    splits = claims._splits(n, m, 1_000, generator)
    assert splits.exact
    expected = [stats.permutation_test(x, y) for x, y in zip(left, right, strict=True)]
    assert claims._p_values(left, right, splits).tolist() == pytest.approx(expected)


def test_drawn_splits_approximate_all_of_them() -> None:
    generator = np.random.default_rng(2)
    left, right = generator.normal(0.5, size=(50, 8)), generator.normal(size=(50, 8))
    drawn = claims._splits(8, 8, 5_000, generator)
    every = claims._splits(8, 8, 20_000, generator)
    assert (drawn.exact, every.exact) == (False, True)
    gap = claims._p_values(left, right, drawn) - claims._p_values(left, right, every)
    assert np.abs(gap).max() < 0.035  # 5 standard errors of the largest: 0.5 / sqrt(5,000)


def test_the_planned_seeds_are_those_of_the_textbook() -> None:
    # Two normal arms one standard deviation apart: 17 a side for a power of 0.8 (Cohen 1988,
    # table 2.4.1: n = 17 for d = 1, two-sided alpha 0.05).
    spread = _normal_arm()
    evidence = _evidence(_arm("a", (spread + 1.0).tolist()), _arm("b", spread.tolist()))
    assert 15 <= plan_seeds(parse(SENTENCE), evidence) <= 19
    assert plan_seeds(parse(SENTENCE), evidence, 0.5) < plan_seeds(parse(SENTENCE), evidence, 0.9)


def test_a_plan_is_repeatable_and_does_not_depend_on_the_direction() -> None:
    evidence = _evidence(_arm("a", HIGH), _arm("b", LOW))
    first = plan(parse(SENTENCE), evidence)
    assert first == plan(parse(SENTENCE), evidence)
    # far apart: 4 runs each are the fewest that a two-sided test at 5 % can tell apart
    assert (first.seeds, first.n) == (4, (5, 5))
    assert plan(parse("b > a on Pong under full by eval/score"), evidence).seeds == 4


def test_a_difference_that_is_none_is_given_up() -> None:
    evidence = _evidence(_arm("a", LOW), _arm("b", LOW))
    found = plan(parse(SENTENCE), evidence)
    assert found.seeds is None
    assert found.power < 0.1
    with pytest.raises(RlvitError, match="more than 200 seeds a side"):
        plan_seeds(parse(SENTENCE), evidence)


def test_imported_runs_are_planned_as_many_as_they_are() -> None:
    close = [score + 7.0 for score in LOW]
    free = plan(parse(SENTENCE), _evidence(_arm("a", HIGH), _arm("b", close)))
    fixed = _evidence(_arm("a", HIGH), references=(_reference("b", close),))
    bound = plan(parse(SENTENCE), fixed)
    assert free.seeds is not None
    assert bound.seeds is None or bound.seeds > free.seeds
    both = _evidence(references=(_reference("a", HIGH), _reference("b", LOW)))
    with pytest.raises(UsageProblem, match="both sides are imported"):
        plan(parse(SENTENCE), both)


@pytest.mark.parametrize(
    ("scores", "power", "problem"),
    [
        ([1.0], 0.8, "1 and 5 runs: at least 2"),
        ([1.0, nan, 2.0], 0.8, "1 of 3 runs of a have no number"),
        (HIGH, 1.0, "power 1: should be"),
    ],
)
def test_what_cannot_be_planned_is_refused(scores: list[float], power: float, problem: str) -> None:
    with pytest.raises(UsageProblem, match=problem):
        plan(parse(SENTENCE), _evidence(_arm("a", scores), _arm("b", LOW)), power)


@pytest.fixture
def home(tmp_path: Path, toy_alone: None) -> list[str]:
    """Make a registry with two arms of 5 runs, and return the program's first arguments."""
    store = Store(f"sqlite:///{tmp_path / 'registry.db'}")
    store.declare_metrics([METRICS["eval/score"]])
    for method, scores in (("a", HIGH), ("b", LOW)):
        for seed, score in enumerate(scores):
            known = {"method": method, "task": "Pong", "protocol": "full", "seed": seed}
            store.create_run(new_run(f"{method}{seed}", fingerprint=method * 64, **known))
            store.move(f"{method}{seed}", "running")
            row = {"metric": "eval/score", "attempt": 1, "row": 0, "step": 9, "spread": None}
            store.add_results(f"{method}{seed}", [{**row, "value": score, "samples": 3}])
            store.move(f"{method}{seed}", "completed")
    store.close()
    return ["--home", str(tmp_path)]


def test_the_program_judges_a_file(
    home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'claims = ["{SENTENCE}"]')
    assert invoke([*home, "claims", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"SUPPORTED     {SENTENCE}"
    assert lines[1].strip() == (
        "better by 9 points [6.694, 11.31], a run beats one of the other with probability 1, "
        "p = 0.007937, n = 5 and 5"
    )
    file.write_text(f'claims = ["{SENTENCE}", "b > a on Pong under full by eval/score"]')
    assert invoke([*home, "claims", str(file)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "p = 0.01587 adjusted (Holm)," in lines[1]
    assert lines[3].strip().startswith("worse by 9 points [6.694, 11.31], ")
    file.write_text(f'claims = ["{SENTENCE}", "b > a on Pong under full by eval/score"]')
    assert invoke([*home, "claims", str(file), "--format", "csv"]) == 3
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[1] for row in rows] == ["verdict", "SUPPORTED", "REFUTED"]


def test_the_program_plans_seeds(home: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([*home, "plan", "seeds", SENTENCE]) == 0
    out = capsys.readouterr().out
    assert out == "4 seeds a side (5 and 5 runs are there): simulated power 1.00\n"
    assert invoke([*home, "plan", "seeds", "nonsense"]) == 2
