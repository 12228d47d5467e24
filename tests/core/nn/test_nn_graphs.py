"""Steps as CUDA graphs: on the CPU they are calls; on a GPU they do what calls do."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import weakref

import pytest
import torch
from torch import Tensor, nn

from rlvit.errors import UsageProblem
from rlvit.nn.graphs import (
    EAGER_CALLS,
    VARIABLE,
    CapturedStep,
    _alone,
    _refusal,
    restore_optimiser,
    upload,
)

CPU = torch.device("cpu")
needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


class Regression:
    """A small network that learns: each call changes its weights and its optimiser's state."""

    def __init__(self, device: torch.device, lr: float | Tensor = 0.05) -> None:
        self.device = device
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).to(device)
        capturable = device.type == "cuda"
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=lr, fused=True, capturable=capturable
        )

    def __call__(self, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        errors = (self.network(inputs)[:, 0] - inputs.sum(1)).square()
        loss = (errors * weights).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach(), errors.detach()


def some_inputs(count: int, size: int = 6) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 3, generator=generator), torch.rand(size, generator=generator))
        for _ in range(count)
    ]


def test_on_the_cpu_a_step_is_a_call_of_the_function() -> None:
    plain, wrapped = Regression(CPU), Regression(CPU)
    step = CapturedStep(wrapped, CPU, name="regression")
    for given in (*some_inputs(6), *some_inputs(3, size=2)):
        expected, found = plain(*given), step(*given)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    for ours, theirs in zip(plain.network.parameters(), wrapped.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    step.forget()
    assert torch.equal(plain(*given)[0], step(*given)[0])


def test_outputs_that_need_a_gradient_are_refused() -> None:
    weight = torch.ones(2, requires_grad=True)
    step = CapturedStep(lambda x: (x * weight,), CPU, name="the product")
    with pytest.raises(ValueError, match="the product: an output needs a gradient"):
        step(torch.ones(2))


def test_nothing_is_uploaded_to_the_cpu() -> None:
    tensor = torch.ones(3)
    assert upload(tensor, CPU) is tensor


@pytest.mark.parametrize("given", ["false", "off", "2", " 0"])
def test_the_variable_is_0_or_1(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UsageProblem, match=f"{VARIABLE} is {given!r}; expected 1"):
        CapturedStep(lambda x: (x,), CPU, name="nothing")


@pytest.mark.parametrize(("given", "captured"), [("", True), ("1", True), ("0", False)])
def test_the_variable_switches_captures(
    given: str, captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, given)
    gpu = torch.device("cuda")  # named, not used
    assert CapturedStep(lambda x: (x,), gpu, name="nothing").captures == captured
    assert not CapturedStep(lambda x: (x,), CPU, name="nothing").captures


def failure(first: RuntimeError, then: RuntimeError | None) -> RuntimeError:
    """Return what a capture raises: its own error, or that of its end after it."""
    if then is not None:
        then.__context__ = first
    return then or first


@pytest.mark.parametrize("then", [None, RuntimeError("capture_end: invalidated")])
def test_a_capture_that_fails_is_told_by_its_cause(then: RuntimeError | None) -> None:
    full = failure(torch.OutOfMemoryError("Tried to allocate 2 GiB.\nMore"), then)
    told = str(_refusal("update", full))
    assert told.startswith("update: the GPU has too little memory for its CUDA graph (Tried to")
    assert "2 GiB.)" in told
    other = failure(RuntimeError("operation not permitted\nMore"), then)
    told = str(_refusal("update", other))
    assert "could not be captured as a CUDA graph (operation not permitted)" in told


def after_steps(lr: float | Tensor) -> Regression:
    made = Regression(CPU, lr)
    for given in some_inputs(4):
        made(*given)
    return made


def test_a_restored_optimiser_goes_on_with_its_moments_and_the_saved_step_size() -> None:
    source = after_steps(0.03)
    other = Regression(CPU, lr=0.5)
    other.network.load_state_dict(source.network.state_dict())
    restore_optimiser(other.optimiser, copy.deepcopy(source.optimiser.state_dict()))
    (given,) = some_inputs(1)
    assert torch.equal(source(*given)[0], other(*given)[0])
    assert torch.equal(source(*given)[0], other(*given)[0])  # the first step was the same
    assert other.optimiser.param_groups[0]["lr"] == 0.03


def test_where_a_step_size_lives_and_what_can_be_captured_is_not_taken_from_a_state() -> None:
    state = after_steps(0.03).optimiser.state_dict()
    own = torch.tensor(0.5)
    kept = Regression(CPU, lr=own)
    state["param_groups"][0]["capturable"] = True  # as a GPU saves it
    restore_optimiser(kept.optimiser, state)
    (group,) = kept.optimiser.param_groups
    assert group["lr"] is own
    assert own.item() == pytest.approx(0.03)
    assert group["capturable"] is False

    state["param_groups"][0]["lr"] = torch.tensor(0.25)
    plain = Regression(CPU, lr=0.5)
    restore_optimiser(plain.optimiser, state)
    assert plain.optimiser.param_groups[0]["lr"] == 0.25
    assert isinstance(plain.optimiser.param_groups[0]["lr"], float)


def test_nothing_is_collected_within_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[bool] = []
    monkeypatch.setattr(
        torch._C,
        "_cuda_clearCublasWorkspaces",
        lambda: cleared.append(gc.isenabled()),
        raising=False,  # builds for the CPU have none
    )
    cycle = Regression(CPU)
    cycle.itself = cycle
    gone = weakref.ref(cycle)
    del cycle
    with _alone():
        assert gone() is None  # an older graph is not left to go within the capture
        assert not gc.isenabled()
    assert cleared == [False, False]
    assert gc.isenabled()
    with pytest.raises(KeyError), _alone():
        raise KeyError
    assert gc.isenabled()
    gc.disable()  # who collects by himself goes on doing so
    try:
        with _alone():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


class TestOnAGpu:
    """What no CPU can show."""

    pytestmark = needs_gpu

    def test_a_captured_step_learns_like_calls_and_its_results_are_the_callers(self) -> None:
        device = torch.device("cuda")
        plain, wrapped = Regression(device), Regression(device)
        step = CapturedStep(wrapped, device, name="regression")
        found, expected = [], []
        for given in some_inputs(20):
            found.append(step(*given))  # from the CPU
            expected.append(plain(*(one.cuda() for one in given)))
        assert EAGER_CALLS + 1 < 20
        for ours, theirs in zip(found, expected, strict=True):  # none was overwritten later
            for one, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        for one, other in zip(
            plain.network.parameters(), wrapped.network.parameters(), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)

    def test_captures_in_and_out_of_inference_mode_live_together(self) -> None:
        device = torch.device("cuda")
        plain, wrapped = Regression(device), Regression(device)
        learn = CapturedStep(wrapped, device, name="regression")
        act = CapturedStep(lambda x: (wrapped.network(x),), device, name="prediction")
        for given in some_inputs(EAGER_CALLS + 4):
            with torch.inference_mode():  # captured first
                (found,) = act(given[0])
                expected = plain.network(given[0].cuda())
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            loss = plain(*(one.cuda() for one in given))[0]
            torch.testing.assert_close(learn(*given)[0], loss, rtol=1e-5, atol=1e-6)

    def test_each_shape_has_its_graph_and_those_used_last_are_kept(self) -> None:
        device = torch.device("cuda")
        step = CapturedStep(lambda x: (x * 2,), device, name="the double", most_shapes=2)
        for _ in range(EAGER_CALLS + 2):
            for size in (1, 2, 3):
                (found,) = step(torch.full((size,), float(size)))
                assert found.tolist() == [2.0 * size] * size
        assert len(step._recordings) == 2
        for _ in range(EAGER_CALLS + 2):
            assert step(torch.ones(3))[0].tolist() == [2.0] * 3

    def test_a_graph_keeps_its_workspace_when_others_go(self) -> None:
        device = torch.device("cuda")
        wide, tall = torch.randn(64, 65_536, device=device), torch.randn(65_536, 64, device=device)
        expected = wide @ tall  # in parts, whose sums go through cuBLAS's workspace
        step = CapturedStep(lambda x: (x @ tall,), device, name="the product")
        for _ in range(EAGER_CALLS + 1):
            step(wide)
        for _ in range(40):  # more than PyTorch has streams
            other = CapturedStep(lambda x: (x @ tall,), device, name="another product")
            for _ in range(EAGER_CALLS + 1):
                other(wide)
            other.forget()
        torch.cuda.empty_cache()
        torch.testing.assert_close(step(wide)[0], expected, rtol=1e-3, atol=1e-2)

    def test_after_a_restore_the_step_goes_on_from_the_restored_state(self) -> None:
        device = torch.device("cuda")
        plain, wrapped = Regression(device), Regression(device)
        step = CapturedStep(wrapped, device, name="regression")
        inputs = [tuple(one.cuda() for one in given) for given in some_inputs(16)]
        for given in inputs[:8]:
            plain(*given), step(*given)
        saved = copy.deepcopy([wrapped.network.state_dict(), wrapped.optimiser.state_dict()])
        step(*inputs[0])  # lost work
        wrapped.network.load_state_dict(saved[0])
        restore_optimiser(wrapped.optimiser, saved[1])
        step.forget()
        for given in inputs[8:]:
            torch.testing.assert_close(step(*given)[0], plain(*given)[0], rtol=1e-4, atol=1e-6)

    def test_without_graphs_it_is_the_same_kernel_by_kernel(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, "0")
        device = torch.device("cuda")
        plain, wrapped = Regression(device), Regression(device)
        step = CapturedStep(wrapped, device, name="regression")
        for given in some_inputs(EAGER_CALLS + 3):
            expected = plain(*(one.cuda() for one in given))
            torch.testing.assert_close(step(*given)[0], expected[0])
        assert not step._recordings

    def test_what_was_page_locked_before_may_be_changed_at_once(self) -> None:
        given = torch.ones(2**26).pin_memory()
        found = upload(given, torch.device("cuda"))
        given.zero_()
        assert bool((found == 1).all())

    def test_what_cannot_be_captured_is_said_in_a_line(self) -> None:
        code = """
import torch
from rlvit.nn.graphs import CapturedStep
step = CapturedStep(lambda x: (x * x.sum().item(),), torch.device("cuda"), name="the reader")
for _ in range(9):
    step(torch.ones(2))
"""
        # In a process of its own: a failed capture leaves the allocator in disorder.
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        # Something may be printed after it, when the process ends.
        last = next(line for line in ended.stderr.splitlines()[::-1] if "RlvitError" in line)
        assert "RlvitError: the reader could not be captured as a CUDA graph (" in last
        assert f"With {VARIABLE}=0 it runs kernel by kernel" in last
