"""A run computes in float32 as it is, whatever torch's default and the process before it.

The settings are of the whole process and can be read without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import rlvit
from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.runs import execute, provenance
from rlvit.runs.display import Silent
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.runs.precision import full_float32

NEWER = hasattr(torch.backends.cudnn, "conv")  # torch 2.9
Rounds = dict[str, Any]


def rounds() -> Rounds:
    """What torch says may be rounded, by both interfaces; raises RuntimeError if they disagree."""
    backends: Any = torch.backends
    found = {
        "matmul": torch.get_float32_matmul_precision(),
        "matmul tf32": backends.cuda.matmul.allow_tf32,
        "cudnn tf32": backends.cudnn.allow_tf32,
    }
    if NEWER:
        newer = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        found["newer"] = [one.fp32_precision for one in newer]
    return found


FULL = {
    "matmul": "highest",
    "matmul tf32": False,
    "cudnn tf32": False,
    **({"newer": ["ieee"] * 3} if NEWER else {}),
}


@pytest.fixture(autouse=True)
def as_torch_begins() -> Iterator[Rounds]:
    """Set torch to its defaults, of which TF32 in cuDNN is one, and set it back afterwards."""
    with full_float32():
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True
        found = rounds()
        assert found["cudnn tf32"] is True
        yield found


def planned(toy: Catalog, train: Any) -> Plan:
    """A plan whose training is the toy's with something before it."""
    request = Request(plugin="toy", task="Alpha", preset="quick", device="cpu", threads=1)
    plan = make_plan(toy, request)
    usual = plan.method.train

    def both(context: Any, config: Any) -> None:
        train()
        usual(context, config)

    return replace(plan, method=replace(plan.method, train=both))


def test_a_run_computes_in_full_float32_and_leaves_the_process_as_it_was(
    toy: Catalog, home: Home, as_torch_begins: Rounds
) -> None:
    seen: list[Rounds] = []
    outcome = execute.start(toy, home, planned(toy, lambda: seen.append(rounds())), Silent())
    assert outcome.state == "completed", outcome.error
    assert seen == [FULL]
    assert rounds() == as_torch_begins


def test_a_method_may_ask_for_less_until_its_run_ends(
    toy: Catalog, home: Home, as_torch_begins: Rounds
) -> None:
    seen: list[Rounds] = []

    def train() -> None:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        seen.append(rounds())
        raise ValueError("it fails")

    outcome = execute.start(toy, home, planned(toy, train), Silent())
    assert outcome.state == "failed"
    assert [(one["matmul"], one["cudnn tf32"]) for one in seen] == [("medium", True)]
    assert rounds() == as_torch_begins


def test_a_run_that_is_revived_is_computed_with_as_it_was(toy: Catalog, home: Home) -> None:
    rlvit.run(
        "toy", seed=1, puzzle="Alpha", preset="quick", device="cpu", threads=1, home=home.root
    )
    assert rounds() != FULL
    registry = rlvit.Registry(home.root)
    registry.revive("latest")
    assert rounds() == FULL
    registry.close()


@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
def test_whatever_was_set_before_is_set_again(matmul: str) -> None:
    torch.set_float32_matmul_precision(matmul)
    before = rounds()
    with full_float32():
        assert rounds() == FULL
    assert rounds() == before


@pytest.mark.skipif(not NEWER, reason="torch before 2.9 has one interface")
def test_settings_that_the_older_interface_cannot_say_are_set_again() -> None:
    backends: Any = torch.backends
    convolution = backends.cudnn.conv
    convolution.fp32_precision = "ieee"
    with pytest.raises(RuntimeError, match="mix"):
        assert torch.backends.cudnn.allow_tf32
    with full_float32():
        assert rounds() == FULL
    assert convolution.fp32_precision == "ieee"
    torch.backends.cudnn.allow_tf32 = True


def test_provenance_names_the_precision_of_a_gpu_alone() -> None:
    assert provenance.machine("cpu", 1)["float32"] is None
    if torch.cuda.is_available():
        assert provenance.machine("cuda", 1)["float32"] == "ieee"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_convolutions_and_products_on_a_gpu_are_those_of_float32() -> None:
    draws = torch.Generator().manual_seed(0)
    images, kernels = (torch.randn(s, generator=draws) for s in ((8, 64, 16, 16), (64, 64, 3, 3)))
    rows, columns = images.flatten(1).chunk(2)  # [4, 16384] each
    with full_float32():
        convolved = torch.nn.functional.conv2d(images.cuda(), kernels.cuda()).cpu()
        product = (rows.cuda() @ columns.cuda().t()).cpu()
    exact = torch.nn.functional.conv2d(images.double(), kernels.double())
    assert float((convolved - exact).abs().max() / exact.abs().max()) < 2e-5  # TF32: 3e-4
    exact = rows.double() @ columns.double().t()
    assert float((product - exact).abs().max() / exact.abs().max()) < 2e-5  # TF32: 2e-4
