"""Queries choose runs, and can do nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rlvit
from rlvit.cli.main import invoke
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry.expression import LONGEST, parse
from rlvit.registry.store import Store

FIELDS = {
    "preset": "paper",
    "seed": 2,
    "archived": False,
    "git_dirty": None,
    "config.lr": 3e-4,
    "config.wide": True,
    "tag.sweep": "a",
    "tag.good": True,
    "tag.a b": "c",
    "result.eval/return": -20.5,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("preset == 'paper' and seed < 3 and config.lr <= 1e-3 and tag.sweep == 'a'", True),
        ("seed >= 3 or preset in ('quick', 'paper')", True),
        ("seed not in [1, 2]", False),
        ("1 < seed <= 2", True),
        ("not seed == 2", False),
        ("tag.good", True),
        ("tag.bad", False),
        ("tag.good == True", True),
        ("tag['a b'] == 'c'", True),
        ("result['eval/return'] < -20", True),
        ("result['eval/return'] == -20.5", True),
        ("'ape' in preset", True),
        ("config.wide != False", True),
        ("archived == False", True),
        ("archived in (True, False)", True),
        ("tag.good == 'a'", False),  # a tag without a value is unlike every text
        ("tag.good in ('a', 'b')", False),
        ("tag.good < 'b'", False),
        ("'a' in tag.good", False),
        ("tag.sweep", True),
        ("(seed == 2) == True", True),
        ("config.depth == None", True),
        ("config.depth != 3", True),
        ("config.depth < 3", False),  # a run without the field
        ("config.depth in (1, 2)", False),
        ("'a' not in git_dirty", True),
        ("archived", False),
        ("preset == 'a' or preset == 'b' or seed == 2 and not archived", True),
    ],
)
def test_what_is_true_of_a_run(text: str, holds: bool) -> None:
    assert parse(text).matches(FIELDS) is holds


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os').system('id')", "__import__('os').system('id')"),
        ("seed.__class__ == 1", "seed.__class__"),
        ("config.lr.real > 1", "config.lr.real"),
        ("tag[seed] == 1", "tag[seed]"),
        ("seed + 1 == 2", "seed + 1"),
        ("9**9**9 == seed", "9 ** 9 ** 9"),
        ("(lambda: 1)", "lambda: 1"),
        ("[x for x in tag]", "[x for x in tag]"),
        ("f'{seed}' == '1'", "f'{seed}'"),
        ("seed is 2", "seed is 2"),
        ("(seed := 2)", "(seed := 2)"),
        ("b'x' == preset", "b'x'"),
        ("seed if seed else 1", "seed if seed else 1"),
    ],
)
def test_more_of_python_is_refused(text: str, part: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse(text)
    assert f"cannot use {part!r}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "seed =", "seed = 2", "((", "seed == 1; seed", "\0", "(" * 500]
)
def test_what_cannot_be_read_is_said_in_a_line(text: str) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        parse(text)


def test_a_long_query_is_refused_unread() -> None:
    with pytest.raises(UsageProblem, match="2,001 characters"):
        parse("a" * (LONGEST + 1))


@pytest.mark.parametrize(
    "text",
    [
        *("seed == '2'", "preset < 3", "config.lr in ('a',)", "'a' in seed"),
        *("archived == 'true'", "config.wide == 1", "archived != 0", "config.wide in (0, 1)"),
        *("seed == True", "archived < 1"),
    ],
)
def test_numbers_texts_and_truth_values_do_not_compare(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse(text).matches(FIELDS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["seed", "preset and seed < 3", "not config.lr", "archived or seed"]
)
def test_a_field_that_is_not_true_or_false_needs_a_comparison(text: str) -> None:
    with pytest.raises(
        UsageProblem, match=r"expected a comparison, such as (seed|preset|config\.lr) =="
    ):
        parse(text).matches(FIELDS)


@pytest.mark.parametrize("text", ["1", "'a' or seed == 1", "not -1", "(seed, 1)", "True"])
def test_a_value_alone_is_no_query(text: str) -> None:
    with pytest.raises(UsageProblem, match="alone: expected comparisons"):
        parse(text)


def test_fields_and_the_nearest_name() -> None:
    found = parse("seed == 1 and (config.lr < 2 or tag['a b'] == 'x') and seed < 4")
    assert found.names() == ["seed", "config.lr", "tag.a b"]
    found.check(FIELDS)
    with pytest.raises(UnknownName, match=r"unknown field 'config\.lrr'.*'config\.lr'"):
        parse("config.lrr < 1").check(FIELDS)


@pytest.fixture
def home(tmp_path: Path, toy_alone: None) -> Path:
    """Return a home with three runs of the toy, one of them tagged."""
    home = tmp_path / "home"
    for seed in (0, 1, 2):
        known = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
        outcome = rlvit.run("toy", home=home, seed=seed, **known)
    store = Store(f"sqlite:///{home / 'registry.db'}")
    store.tag(outcome.id, {"good": ""}, ())
    store.close()
    return home


def test_runs_and_reports_are_chosen(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = ["runs", "list", "--home", str(home), "--format", "json", "--query"]
    assert invoke([*words, "seed < 2 and not tag.good"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [("-s0-" in one["run"], "-s1-" in one["run"]) for one in listed] == [
        (False, True),
        (True, False),
    ]
    assert invoke([*words, "name == None"]) == 0  # `runs list` shows no name for them
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert invoke([*words, "tag.good", "--limit", "1"]) == 0
    assert "-s2-" in json.loads(capsys.readouterr().out)[0]["run"]
    query = "seed >= 1 and state == 'completed'"
    report = ["report", "--home", str(home), "--format", "csv", "--query", query]
    assert invoke(report) == 0
    folder = home / "reports" / "report"
    assert "1-2" in (folder / "tables" / "provenance.csv").read_text()
    assert json.loads((folder / "report.json").read_text())["order"]["filters"] == {"query": query}
    assert invoke(["report", "--home", str(home), "--check"]) == 0
    capsys.readouterr()
    assert invoke([*report[:-1], "seeds == 1"]) == 2
    assert "unknown field 'seeds'. Did you mean 'seed'?" in capsys.readouterr().err
    # An option of a plugin is known although no run has it; a metric that nobody measured, too.
    assert invoke([*words, "result['toy/weight'] == None and slot.reward != 'x'"]) == 0
