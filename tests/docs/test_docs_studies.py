"""Every command that the page on studies shows begins a study that could be."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rlvit.catalog import build_catalog
from rlvit.cli.main import invoke
from rlvit.manager import create_plugin_manager

PAGE = Path(__file__).resolve().parents[2] / "docs" / "studies.md"
BEGIN = re.findall(r"^    rlvit (tune --plugin .+)$", PAGE.read_text(), flags=re.M)


def test_the_page_shows_how_to_begin() -> None:
    assert len(BEGIN) >= 5


@pytest.mark.parametrize("line", BEGIN)
def test_a_command_of_the_page_could_begin(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*shlex.split(line), "--device", "cpu", "--threads", "1", "--dry-run"]
    code = invoke(["--home", str(tmp_path / "home"), *words])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert "optimises " in shown.out
    assert "expected cost of " in shown.out
    assert not (tmp_path / "home").exists()


def test_tuning_on_the_evaluated_images_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("tune", "--plugin", "agentvit", "--dataset", "digits", "--device", "cpu", "--dry-run")
    assert invoke(words) == 0
    assert "of its test images" in (said := capsys.readouterr().out)
    assert "--objective val/top1_masked leaves these images alone" in said
    assert invoke([*words, "--objective", "val/top1_masked"]) == 0
    assert "test images" not in capsys.readouterr().out


def test_other_methods_metrics_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("tune", "--plugin", "agentvit", "--dataset", "digits", "--device", "cpu", "--dry-run")
    for metric in ("eval/return", "rl/accuracy", "train/loss"):
        assert invoke([*words, "--objective", metric]) == 2
        assert f"{metric}: runs of agentvit on digits do not make this" in capsys.readouterr().err


def test_settings_of_a_part_that_is_not_there_are_not_searched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("tune", "--plugin", "agentvit", "--dataset", "digits", "--device", "cpu", "--dry-run")
    assert invoke([*words, "--selector", "random"]) == 0
    shown = capsys.readouterr().out
    assert "  lr = " in shown
    assert "agent_lr" not in shown
    assert "alpha" not in shown
    assert invoke([*words, "--preset", "paper", "--space", "entropy=0.01..0.1"]) == 2
    assert "it matters with credit=bernoulli only" in capsys.readouterr().err


def test_evaluators_measure_what_tables_show_of_them() -> None:
    catalog = build_catalog(create_plugin_manager())
    for entry in catalog.entries["evaluator"].values():
        known = set(entry.spec.measures)
        assert {*entry.spec.headline, *entry.spec.items} <= known
        assert known <= set(catalog.metrics)
