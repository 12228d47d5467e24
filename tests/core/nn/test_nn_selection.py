"""What a selector returns is looked at once, and a mistake is one line that names the selector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rlvit.contracts import Selection, SelectorView
from rlvit.errors import BrokenPart
from rlvit.nn.pruning import LOOKS, PrunedVit
from rlvit.nn.selection import FixedRule, checked, decide, keep_largest, make_selector

ALIVE = torch.tensor([[True, True, False], [True, False, False]])
VIEW = SelectorView({"images": torch.zeros(2, 3, 3, 1)}, ALIVE, grid=(3, 1), rate=0.5)


class Answers(FixedRule):
    """Returns what it is told to."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def select(self, view: SelectorView) -> Any:
        return self.answer(view) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "select returned NoneType, expected a Selection"),
        (ALIVE, "select returned Tensor, expected a Selection"),
        (Selection(None), r"keep is NoneType, expected bool \[2, 3\], a mark for each patch"),
        (Selection(ALIVE.float()), r"keep is float32 \[2, 3\], expected bool \[2, 3\]"),
        (Selection(ALIVE[0]), r"keep is bool \[3\], expected bool \[2, 3\]"),
        (Selection(ALIVE.to("meta")), "keep is on meta, alive on cpu"),
        (Selection(~ALIVE), "it keeps 3 patches that were dropped before"),
        (lambda view: view.data["tokens"], "undeclared: add 'tokens' to SelectorSpec.needs"),
    ],
)
def test_a_mistake_is_one_line(answer: Any, reason: str) -> None:
    with pytest.raises(BrokenPart, match=f"^selector 'tried'.*{reason}") as caught:
        decide(Answers(answer), VIEW, "tried")
    assert "\n" not in str(caught.value)


def test_a_good_selection_is_handed_on_and_may_be_looked_at_less() -> None:
    good, reviving = Selection(ALIVE), Selection(~ALIVE)
    assert decide(Answers(good), VIEW) is good
    assert checked(reviving, VIEW, "tried", within=False) is reviving
    with pytest.raises(BrokenPart, match="selector 'Answers'"):
        decide(Answers(reviving), VIEW)


@pytest.mark.parametrize("key", ["colour", "images"])
def test_a_key_error_of_its_own_is_left_alone(key: str) -> None:
    def broken(view: SelectorView) -> Any:
        raise KeyError(key)

    with pytest.raises(KeyError, match=key):
        decide(Answers(broken), VIEW, "tried")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_scores_are_finite_where_a_patch_lives(bad: float) -> None:
    scores = torch.tensor([[1.0, 2.0, bad], [3.0, bad, bad]])
    assert keep_largest(VIEW, scores).keep.tolist() == [[False, True, False], [False] * 3]
    scores[0, 1] = bad
    with pytest.raises(BrokenPart, match=r"^1 scores of 3 patches are not finite$"):
        keep_largest(VIEW, scores)
    with pytest.raises(BrokenPart, match=r"^selector 'tried': 1 scores of 3"):
        decide(Answers(lambda view: keep_largest(view, scores)), VIEW, "tried")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_a_gpu_only_the_first_decisions_are_asked_whether_they_revive() -> None:
    view = SelectorView({}, ALIVE.cuda(), grid=(3, 1))
    vit = PrunedVit.__new__(PrunedVit)
    vit.selector, vit.name, vit._looks = Answers(Selection(ALIVE.cuda())), "", LOOKS
    for _ in range(LOOKS - 1):
        vit._decided(view)
    vit.selector = Answers(Selection(~ALIVE.cuda()))
    with pytest.raises(BrokenPart, match="it keeps 3 patches that were dropped before"):
        vit._decided(view)
    assert vit._decided(view).tolist() == (~ALIVE).tolist()


def test_a_selector_is_made_and_then_fitted() -> None:
    told: list[Any] = []

    def make(*given: Any) -> FixedRule:
        told.append(given)
        return FixedRule()

    def context_with(fit: Any) -> Any:
        spec = SimpleNamespace(make=make, fit=fit)
        return SimpleNamespace(task="a task", part={"selector": spec}.__getitem__)

    bare = make_selector(context_with(None), "a backbone", "a config")
    assert (type(bare), told) == (FixedRule, [("a backbone", "a config", "a task")])
    context = context_with(lambda *given: told.append(given))
    assert told[-1] != (context, bare)
    fitted = make_selector(context, "a backbone", "a config")
    assert told[-1] == (context, fitted)
