"""Steps of fixed shapes, on a GPU as CUDA graphs: one launch, where each kernel would cost one.

Small networks leave a GPU waiting for launches. All that only a GPU can run is in `_Recording`; on
the CPU a step is the function that it wraps. Sources: PyTorch's notes "CUDA semantics", section
"CUDA Graphs" (whole-network capture), and the documentation of `torch.cuda.graph`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rlvit.errors import RlvitError, UsageProblem

VARIABLE = "RLVIT_CUDA_GRAPHS"  # 0: launch kernel by kernel, as a check and where capture fails
EAGER_CALLS = 3  # before a capture: libraries and optimisers allocate in their first calls

Outputs = tuple[Tensor, ...]


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on the device; the host does not wait for a GPU.

    The copy goes through page-locked memory, which PyTorch keeps until the copy is done, so that
    the tensor given may be changed or dropped at once.
    """
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return _locked(tensor).to(device, non_blocking=True)


def _locked(tensor: Tensor) -> Tensor:
    """Return a copy in page-locked memory of a tensor of the CPU, even of one that is there."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)


def _captures() -> bool:
    """Say whether steps are captured on a GPU; raises UsageProblem if the variable is neither."""
    given = os.environ.get(VARIABLE, "")
    if given not in ("", "0", "1"):
        raise UsageProblem(f"{VARIABLE} is {given!r}; expected 1 (captured) or 0 (not)")
    return given != "0"


def restore_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state, but keep where step sizes live and whether steps can be captured.

    `load_state_dict` takes over both from the state, which may come from another device. A step
    size that is a tensor keeps its memory and gets the state's value.
    """
    own = [(group["lr"], group.get("capturable", False)) for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(state))
    for group, (lr, capturable) in zip(optimiser.param_groups, own, strict=True):
        saved = float(group["lr"])
        group["lr"] = lr.fill_(saved) if isinstance(lr, Tensor) else saved
        group["capturable"] = capturable


class CapturedStep:
    """A function of tensors that a GPU runs as one CUDA graph for each combination of shapes.

    On a GPU the first calls with new shapes run kernel by kernel: they do all that a call does, so
    nothing has to be undone. The next one is captured, and from then on a call copies its inputs
    into the memory that the graph reads, launches the graph and returns copies of what it wrote.
    The host waits for none of it. Elsewhere a call is a call of the function.

    Of the function is asked that

    - it takes tensors and returns a tuple of tensors that need no gradient;
    - what it does depends on its inputs' shapes, never on their values, and the host reads none;
    - what it changes, it changes in place: parameters, buffers, the state of a capturable
      optimiser. All of that keeps its memory for as long as the capture lives; `forget` ends it,
      and is called after the last step: a method's step and its object hold each other, and with
      them the GPU's memory, until Python looks for such cycles;
    - before a backward pass it drops old gradients (`zero_grad(set_to_none=True)`);
    - counters and random draws on the host stay outside: they would happen at the capture only.
    """

    def __init__(
        self,
        function: Callable[..., Outputs],
        device: torch.device,
        *,
        name: str,
        most_shapes: int = 8,
    ) -> None:
        """Wrap a function.

        Args:
            function: what a call does.
            device: where it computes.
            name: of the step, for errors.
            most_shapes: combinations of shapes whose graphs are kept, those used last.

        Raises:
            UsageProblem: RLVIT_CUDA_GRAPHS is neither 0 nor 1.
        """
        self.function, self.device = function, device
        self.name, self.most_shapes = name, most_shapes
        self.captures = _captures() and device.type == "cuda"
        self._recordings: dict[Any, _Recording] = {}

    def __call__(self, *inputs: Tensor) -> Outputs:
        """Take the step; the inputs [any shapes] may be on the CPU.

        Raises:
            ValueError: an output needs a gradient.
            RlvitError: the GPU refuses the capture, or has too little memory for it.
        """
        if not self.captures:
            return self._sound(self.function(*(upload(one, self.device) for one in inputs)))
        key = tuple((one.shape, one.dtype) for one in inputs)
        recording = self._recordings.pop(key, None) or _Recording(self.name, self.device, inputs)
        self._recordings[key] = recording  # the last used is the last
        if len(self._recordings) > self.most_shapes:
            del self._recordings[next(iter(self._recordings))]
        return recording(lambda *held: self._sound(self.function(*held)), inputs)

    def forget(self) -> None:
        """Drop all captures, since something that they write to or read has moved."""
        self._recordings = {}

    def _sound(self, outputs: Outputs) -> Outputs:
        """Refuse outputs that keep a backward graph, and with it a stream, alive."""
        if any(one.requires_grad for one in outputs):
            raise ValueError(f"{self.name}: an output needs a gradient; return it detached")
        return outputs


class _Recording:
    """One function at one combination of shapes on a GPU."""

    def __init__(self, name: str, device: torch.device, inputs: Outputs) -> None:
        self.name, self.device = name, device
        with torch.inference_mode(False):  # so that calls may come from in and out of that mode
            self.inputs = tuple(torch.empty(x.shape, dtype=x.dtype, device=device) for x in inputs)
        # Kernel by kernel and captured on the same stream: backward nodes and libraries' handles
        # remember theirs, and the default stream cannot be captured.
        make: Callable[..., torch.cuda.Stream] = torch.cuda.Stream
        self.stream = make(device)
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.outputs: Outputs = ()

    def __call__(self, function: Callable[..., Outputs], inputs: Outputs) -> Outputs:
        with torch.cuda.device(self.device):
            for held, given in zip(self.inputs, inputs, strict=True):
                held.copy_(given if given.is_cuda else _locked(given), non_blocking=True)
            if self.graph is None and self.calls < EAGER_CALLS:
                self.calls += 1
                return self._eagerly(function)
            if self.graph is None:
                self.graph = self._capture(function)
            self.graph.replay()
            return tuple(one.clone() for one in self.outputs)

    def _eagerly(self, function: Callable[..., Outputs]) -> Outputs:
        """Run the function on the stream of the capture, in turn with the caller's stream."""
        outer = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outer)
        with torch.cuda.stream(self.stream):
            outputs = function(*self.inputs)
        outer.wait_stream(self.stream)
        for one in outputs:
            one.record_stream(outer)  # its memory is not reused before the caller's stream is done
        return outputs

    def _capture(self, function: Callable[..., Outputs]) -> torch.cuda.CUDAGraph:
        """Record the function's kernels; nothing is computed yet.

        Raises:
            RlvitError: something in it cannot be captured, or the memory is full.
        """
        graph = torch.cuda.CUDAGraph()
        inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        torch.cuda.synchronize(self.device)  # an error of an earlier kernel is not the capture's
        try:
            # A capture that begins in inference mode makes tensors of the random generator that
            # later captures out of it may not write (PyTorch's issue 166792): the function alone is
            # in that mode. The outer stream context gives the stream back after an error, too.
            with (
                _alone(),
                torch.inference_mode(False),
                torch.cuda.stream(self.stream),
                torch.cuda.graph(graph, stream=self.stream),
                torch.inference_mode(inference),
                torch.set_grad_enabled(gradients),  # leaving inference mode turns gradients on
            ):
                self.outputs = function(*self.inputs)
        except RuntimeError as problem:
            raise _refusal(self.name, problem) from problem
        return graph


@contextmanager
def _alone() -> Iterator[None]:
    """Keep older graphs out of a capture, and the capture's workspaces out of later ones.

    Destroying a graph within a capture breaks it (PyTorch's pull request 161037), and Python's
    collector may do so at any time. Destroying one also frees the cuBLAS workspaces of its stream,
    of which PyTorch has only 32 that are handed out in turn (its issue 193402): a graph therefore
    gets workspaces in its own memory, as those of `torch.compile` do.
    """
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()
        if collecting:
            gc.enable()


def _refusal(name: str, problem: RuntimeError) -> RlvitError:
    """Return what is told of a capture that failed."""
    cause = problem.__context__ or problem  # the end of a failed capture raises once more
    if isinstance(problem, torch.OutOfMemoryError):
        cause = problem
    reason = str(cause).partition("\n")[0]
    if isinstance(cause, torch.OutOfMemoryError):
        return RlvitError(
            f"{name}: the GPU has too little memory for its CUDA graph ({reason}). Smaller batches "
            f"need less; with {VARIABLE}=0 it needs no graph and is slower."
        )
    return RlvitError(
        f"{name} could not be captured as a CUDA graph ({reason}). With {VARIABLE}=0 "
        "it runs kernel by kernel, which is slower."
    )
