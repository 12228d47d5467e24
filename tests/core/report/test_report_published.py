"""Numbers from papers: read from a plugin's file, refused with a reason, kept with their owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_program import add_plugin

from rlvit.catalog import build_catalog
from rlvit.manager import create_plugin_manager
from rlvit.published import load_published
from rlvit.report.published import references
from rlvit.specs import PublishedResult

WHOLE = """
notes = ["for people"]

[published]
task = "Alpha"
protocol = "official"
cite = "A. Author"
status = "verified"
n = 5
also = ["family"]

[published.metrics]
score = "toy/score"
moves = "toy/length"

[[point]]
model = "Theirs"
source = "Table 1"
score = 4
score_sd = 0.5

[[point]]
model = "Théirs"
variant = "small"
task = "Beta"
protocol = ""
source = "Table 2"
family = "x"
score = 3.5
moves = 6
n = 3
cite = "B. Author"
status = "superseded"
note = "misquoted as 5.3"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "published.toml"
    path.write_text(WHOLE, encoding="utf-8")
    return path


def test_a_point_is_a_result_for_each_of_its_columns(file: Path) -> None:
    shared = ("Théirs, small", "Beta", "")
    ends = (None, 3, "Table 2", "B. Author", "superseded")
    assert load_published(file) == (
        PublishedResult(
            *("Theirs", "Alpha", "official", "toy/score", 4, 0.5, 5, "Table 1", "A. Author"),
            "verified",
        ),
        PublishedResult(
            *(*shared, "toy/score", 3.5, *ends), note="with toy/length 6; misquoted as 5.3"
        ),
        PublishedResult(
            *(*shared, "toy/length", 6, *ends), note="with toy/score 3.5; misquoted as 5.3"
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[published]", "[publisht]", "point 1 (Theirs): task is missing"),
        ("score = 4\n", "score = \n", "Invalid value"),
        ('score = "toy/score"\nmoves = "toy/length"\n', "", "[published.metrics]: expected lines"),
        ('"toy/length"', "3", "[published.metrics]: expected names of metrics, as text"),
        ('also = ["family"]', 'also = "family"', "[published] also: expected a list of keys"),
        ('cite = "A', 'sight = "A', "[published]: unknown key 'sight'"),
        ("score_sd", "score_std", "point 1 (Theirs): unknown key 'score_std'. Did you mean 'sc"),
        ('family = "x"', 'famly = "x"', "point 2 (Théirs): unknown key 'famly'. Did you mean 'fam"),
        ('model = "Theirs"\n', "", "point 1 (without a model): model is missing"),
        ('source = "Table 1"\n', "", "point 1 (Theirs): source is missing"),
        ('cite = "A. Author"\n', "", "point 1 (Theirs): cite is missing"),
        (
            "score = 4\nscore_sd = 0.5\n",
            "",
            "point 1 (Theirs): it has none of the columns score, m",
        ),
        ("score = 4\n", "score = true\n", "point 1 (Theirs): score: value: expected a finite num"),
        ("score = 4\n", "score = nan\n", "point 1 (Theirs): score: value: expected a finite num"),
        ("= 0.5", "= -0.5", "point 1 (Theirs): score: spread: expected a number that is not"),
        ("n = 3", "n = 0", "point 2 (Théirs): score: n: expected a whole number above 0, got 0"),
        ("n = 3", "n = 3.0", "point 2 (Théirs): score: n: expected a whole number above 0, got 3."),
        ("superseded", "outdated", "status: expected one of verified, secondary, superseded, got"),
        (
            'source = "Table 1"',
            "source = 1",
            "point 1 (Theirs): score: where: expected text, got 1",
        ),
        ('task = "Beta"', 'task = ""', "point 2 (Théirs): score: task: expected text, got ''"),
        (
            *(
                'model = "Théirs"\nvariant = "small"\ntask = "Beta"\nprotocol = ""',
                'model="Theirs"',
            ),
            "'Theirs' has two values of toy/score on Alpha: give each a variant",
        ),
    ],
)
def test_a_mistake_is_named(file: Path, old: str, new: str, message: str) -> None:
    assert old in WHOLE
    file.write_text(WHOLE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^published\.toml: ") as caught:
        load_published(file)
    assert message in str(caught.value)


def test_a_file_that_is_no_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^published\.toml: 'utf-8' codec"):
        load_published(file)


def test_a_file_that_shares_nothing_is_refused(file: Path) -> None:
    file.write_text("[[point]]\nmodel = 'Theirs'\n")
    with pytest.raises(ValueError, match=r"^published\.toml: there is no table \[published\]$"):
        load_published(file)


def test_a_file_without_points_is_empty(file: Path) -> None:
    file.write_text(WHOLE.partition("[[point]]")[0])
    assert load_published(file) == ()


PLUGIN = """
from pathlib import Path
from rlvit import hookimpl
from rlvit.published import load_published
from rlvit.specs import MetricDef

@hookimpl
def rlvit_published():
    return {answer}

@hookimpl
def rlvit_metrics():
    return [MetricDef("quoted", "-", "max", "-")]
"""


@pytest.mark.usefixtures("toy_alone")
def test_the_catalogue_keeps_them_with_their_owner(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plugin(
        tmp_path / "site", "quotes", PLUGIN.format(answer=f"load_published(Path({str(file)!r}))")
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    catalog = build_catalog(create_plugin_manager())
    assert [(e.owner.name, e.spec.name) for e in catalog.published] == [
        ("quotes", "Theirs"),
        ("quotes", "Théirs, small"),
        ("quotes", "Théirs, small"),
    ]
    first = references(catalog)[0]
    assert (first.name, first.value, first.scores) == ("Theirs", 4, ())


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("load_published(Path('nowhere.toml'))", "FileNotFoundError"),
        ("['Theirs']", "TypeError: rlvit_published returned 'Theirs', which is no PublishedResult"),
        ("3", "TypeError"),
    ],
)
def test_a_plugin_whose_numbers_cannot_be_read_is_set_aside_whole(
    answer: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"{tmp_path.name}_broken"
    add_plugin(tmp_path / "site", "broken", PLUGIN.format(answer=answer), module=module)
    monkeypatch.syspath_prepend(tmp_path / "site")
    catalog = build_catalog(create_plugin_manager())
    assert reason in catalog.problems["broken"]
    assert catalog.published == ()
    assert "quoted" not in catalog.metrics
    assert list(catalog.entries["method"]) == ["toy"]


def test_a_number_that_is_made_in_python_is_checked_alike() -> None:
    good: dict[str, Any] = {"name": "x", "task": "t", "protocol": "", "metric": "m", "value": 1}
    good |= {"spread": None, "n": None, "where": "w", "cite": "c", "status": "secondary"}
    assert PublishedResult(**good).note == ""
    for wrong in ({"value": float("inf")}, {"n": True}, {"name": ""}, {"status": "imported"}):
        with pytest.raises(ValueError, match="expected"):
            PublishedResult(**{**good, **wrong})
