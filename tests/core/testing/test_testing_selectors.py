"""A selector that breaks one rule fails that rule and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_parts import broken_rules, call_home, with_part
from torch import Tensor, nn
from toy_program import Program, add_plugin

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.contracts import Selection, SelectorView
from rlvit.manager import create_plugin_manager
from rlvit.nn.selection import FixedRule, keep_largest, kept_counts, largest
from rlvit.rl.ppo import bernoulli_log_prob
from rlvit.specs import SelectorSpec
from rlvit.testing import SelectorSuite, findings
from rlvit.testing.suite import checked


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


class Good(FixedRule):
    """A learnt selector that keeps all rules: a linear score of each token."""

    def create(self, generator: torch.Generator) -> nn.Module:
        self.scorer = nn.Linear(self.backbone.shape.dim, 1)
        weight = torch.randn(self.scorer.weight.shape, generator=generator)
        self.scorer.load_state_dict({"weight": weight, "bias": torch.zeros(1)})
        return self.scorer

    def score(self, view: SelectorView) -> Tensor:
        return self.scorer(view.data["tokens"])[:, 0]  # [T]

    def counts(self, view: SelectorView) -> Tensor:
        return kept_counts(view)

    def select(self, view: SelectorView) -> Selection:
        score = self.score(view)
        whole = score.new_zeros(view.alive.shape).masked_scatter(view.alive, score)
        keep = largest(whole.detach(), view.alive, self.counts(view))
        return Selection(keep, log_prob=bernoulli_log_prob(score, keep[view.alive]))

    def state(self) -> dict[str, Any]:
        return self.scorer.state_dict()

    def restore(self, state: Any) -> None:
        self.scorer.load_state_dict(state)


class Shapes(Good):
    """Gives probabilities' opposite as log-probabilities."""

    def select(self, view: SelectorView) -> Selection:
        found = super().select(view)
        return Selection(found.keep, log_prob=-found.log_prob)


class Unseeded(Good):
    """Draws from a seed that is nobody's."""

    def score(self, view: SelectorView) -> Tensor:
        noise = torch.Generator().manual_seed(torch.initial_seed())
        score = super().score(view)
        return score + 9 * torch.randn(score.shape, generator=noise)


class Reviving(Good):
    """Forgets what is alive, unless it dropped it itself."""

    asked: Any = None

    def select(self, view: SelectorView) -> Selection:
        found = super().select(view)
        if view.layer == 0:
            self.asked = view.generator
        elif self.asked is not view.generator:
            return Selection(found.keep | ~view.alive)
        return found


class Generous(Good):
    """Keeps two patches more than it is asked for."""

    def counts(self, view: SelectorView) -> Tensor:
        return (kept_counts(view) + 2).minimum(view.alive.sum(1))


class Mixing(Good):
    """Lets all tokens of a batch meet, dropped ones or not."""

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        for block in backbone.blocks:
            block.attn.qkv.register_forward_hook(lambda m, i, o: o + o.mean(-2, keepdim=True))


class Severed(Good):
    """Cuts its log-probabilities off from its weights."""

    def select(self, view: SelectorView) -> Selection:
        found = super().select(view)
        return Selection(found.keep, log_prob=found.log_prob.detach())


class Forgetful(Good):
    """Saves nothing of what it learnt."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        pass


class Undeclared(Good):
    """Reports what nobody declared."""

    def report(self) -> dict[str, float]:
        return {"nobody/knows": 1.0}


class CallsHome(Good):
    """Tells somebody of every decision."""

    def select(self, view: SelectorView) -> Selection:
        call_home()
        return super().select(view)


class Scribbling(Good):
    """Works in the network's own tokens."""

    def score(self, view: SelectorView) -> Tensor:
        tokens = view.data["tokens"]
        found = self.scorer(tokens.clone())[:, 0]
        tokens.add_(1.0)
        return found


def spec_of(rule: type[Good]) -> SelectorSpec:
    def make(backbone: Any, config: Any, task: Any) -> Good:
        return rule(backbone)

    return SelectorSpec("tried", "-", "-", frozenset({"tokens"}), make)


def test_a_good_one_breaks_none(catalog: Catalog) -> None:
    assert broken_rules(SelectorSuite, catalog, spec_of(Good)) == {}


@pytest.mark.parametrize(
    ("rule", "bad", "reason"),
    [
        ("shapes", Shapes, "log_prob has values above 0"),
        ("determinism under a seed", Unseeded, "kept different patches"),
        ("leaves what it sees", Scribbling, "it writes into view.data['tokens']"),
        ("mask within alive", Reviving, "it keeps 48 patches that were dropped before"),
        ("budget obeyed", Generous, "asked for 4 of 16 patches, it keeps 6 to 6"),
        ("masked equals gathered", Mixing, "the logits differ by"),
        ("gradient reaches log probabilities", Severed, "log_prob carries no gradient"),
        ("state is complete", Forgetful, "keeps other patches than the one that returned it"),
        ("metrics are declared", Undeclared, "no plugin declares the metric 'nobody/knows'"),
        ("no network", CallsHome, "it asked for rlvit.invalid"),
    ],
)
def test_a_bad_one_breaks_its_rule_alone(
    catalog: Catalog, rule: str, bad: type[Good], reason: str
) -> None:
    broken = broken_rules(SelectorSuite, catalog, spec_of(bad))
    assert list(broken) == [rule], broken
    assert reason in broken[rule]


class Unfinished(FixedRule):
    """Returns what it is told to."""

    def __init__(self, answer: Callable[[SelectorView], Any]) -> None:
        super().__init__()
        self.answer = answer

    def select(self, view: SelectorView) -> Any:
        return self.answer(view)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda view: None, "select returned NoneType, expected a Selection"),
        (lambda view: view.alive, "select returned Tensor, expected a Selection"),
        (lambda view: Selection(view.alive.float()), "keep is float32 [6, 16], expected bool"),
        (lambda view: Selection(view.alive[:, 1:]), "keep is bool [6, 15], expected bool [6, 16]"),
        (lambda view: Selection(None), "keep is NoneType, expected bool [6, 16]"),
        (lambda view: view.data["images"], "add 'images' to SelectorSpec.needs"),
        (
            lambda view: keep_largest(view, view.alive.float().log() / 0),
            "96 scores of 96 patches are not finite",
        ),
        (lambda view: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_one_that_cannot_select_is_told_once(
    catalog: Catalog, answer: Callable[[SelectorView], Any], reason: str
) -> None:
    def make(backbone: Any, config: Any, task: Any) -> Any:
        return Unfinished(answer)

    spec = SelectorSpec("tried", "-", "-", frozenset(), make)
    made = checked(SelectorSuite, "tried", with_part(catalog, "selector", spec), None)
    first, *others = findings(made)
    assert (first.rule, first.state) == ("shapes", "failed")
    assert reason in first.why
    assert {(one.state, one.why) for one in others if one.rule != "gpu"} == {
        ("skipped", "select fails")
    }


MISTAKEN = """
from rlvit import hookimpl
from rlvit.specs import SelectorSpec

def make(backbone, config, task):
    from rlvit.nn.selection import FixedRule

    class Mistaken(FixedRule):
        def select(self, view):
            view.data["images"]

    return Mistaken(backbone)

@hookimpl
def rlvit_selectors():
    return [SelectorSpec("mistaken", "-", "-", frozenset({needs}), make)]
"""


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ('{"images"}', ": select returned NoneType, expected a Selection"),
        ("", " looks at view.data['images'] undeclared: add 'images' to SelectorSpec.needs"),
    ],
)
def test_in_a_run_a_mistake_is_one_line_too(needs: str, reason: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    add_plugin(site, "mistaken", MISTAKEN.replace("{needs}", needs))
    program = Program(tmp_path, [site], {"RLVIT_BLOCK": "mlflow"})
    usual = ("--dataset", "digits", "--preset", "quick", "--device", "cpu", "--threads", "1")
    ran = program("run", "--plugin", "agentvit", "--selector", "mistaken", *usual)
    assert ran.code == 1
    assert ran.errors[-1] == f"Error: selector 'mistaken'{reason}"
    assert "(once what is wrong is mended)" in ran.out
    (record,) = json.loads(program("runs", "list", "--format", "json").out)
    assert record["parts"] == "mistaken simple-vit-small"
    assert record["state"] == "failed"


def test_a_method_without_the_slot_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--plugin", "glimpse", "--dataset", "digits", "--selector", "random"]
    assert invoke(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "Error: --selector: glimpse has no slot for a selector; it has no slots."


def test_one_that_ignores_the_rate_is_told_loudly(catalog: Catalog) -> None:
    made = checked(SelectorSuite, "all", catalog, None)
    (why,) = [one.why for one in findings(made) if one.rule == "budget obeyed"]
    assert why.startswith("note: the rate changes nothing")


def test_one_that_fits_no_method_is_told_why(catalog: Catalog) -> None:
    spec = SelectorSpec("tried", "-", "-", frozenset({"reconstruction"}), print)
    made = checked(SelectorSuite, "tried", with_part(catalog, "selector", spec), None)
    first = next(findings(made))
    assert (first.rule, first.state) == ("shapes", "failed")
    assert "refuses it: selector 'tried' needs reconstruction, which backbone" in first.why
