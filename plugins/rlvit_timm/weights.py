"""Weights from a file or from the hub, checked before anything uses them."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.nn.vision import import_timm

PICKLED = (".pth", ".pt", ".bin")
WRAPPERS = ("model", "state_dict")  # under these keys DeiT's and many other checkpoints keep it
HEAD = "head.weight"
CONNECT_SECONDS = 10
IMAGENET = 1000  # classes


def read(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file.

    Raises:
        UsageProblem: there is no such file, or it is not a state dict of finite numbers.
    """
    if not path.is_file():
        raise UsageProblem(f"weights: there is no file {path}; give a file, none, hub or hub:TAG")
    if path.suffix not in (".safetensors", *PICKLED):
        wanted = ", ".join((".safetensors", *PICKLED))
        raise UsageProblem(f"weights: {path} has an unknown format; expected one of {wanted}")
    state = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    for name, tensor in state.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            kind = f"{tensor.dtype}".removeprefix("torch.")
            raise UsageProblem(
                f"weights: {name!r} in {path} ({kind}) is not made of finite real numbers"
            )
    return state


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageProblem(f"weights: {path} cannot be read: {error}") from None


def _pickled(path: Path) -> dict[str, Tensor]:
    """Read what torch.save wrote; only tensors and plain containers, since pickles can run code."""
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageProblem(
            f"weights: {path} is refused, for it is no file of torch.save or holds more than "
            "tensors, and loading objects can run code; save its state dict alone"
        ) from None
    except Exception as error:  # a damaged file makes the unpickler raise almost anything
        kind = type(error).__name__
        raise UsageProblem(f"weights: {path} cannot be read, it is damaged ({kind})") from error
    for key in WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
            break
    tensors = isinstance(value, dict) and all(isinstance(item, Tensor) for item in value.values())
    if not tensors or not value:
        raise UsageProblem(
            f"weights: {path} holds no state dict, that is names and tensors, neither alone nor "
            f"under {' or '.join(map(repr, WRAPPERS))}"
        )
    return dict(value)


def head_size(state: Mapping[str, Tensor], path: Path) -> int:
    """Return how many classes the head of a state dict has.

    Raises:
        UsageProblem: it has no head.
    """
    if HEAD not in state or state[HEAD].dim() != 2:
        raise UsageProblem(
            f"weights: {path} has no classification head: {HEAD!r} [classes, width] is expected"
        )
    return len(state[HEAD])


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str, path: Path) -> None:
    """Load a state dict that has to fit exactly; nothing is interpolated or left out.

    Raises:
        UsageProblem: it does not fit; the message names the first tensor that differs.
    """
    wanted = {key: list(value.shape) for key, value in model.state_dict().items()}
    given = {key: list(value.shape) for key, value in state.items()}
    found = next((key for key in [*wanted, *given] if wanted.get(key) != given.get(key)), None)
    if found is not None:
        has, needs = given.get(found, "missing"), wanted.get(found, "nothing of that name")
        hint = " (another number of patches)" if found == "pos_embed" and found in given else ""
        raise UsageProblem(
            f"weights: {path} does not fit {name}: {found!r} is {has}, expected {needs}{hint}"
        )
    model.load_state_dict(state)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of the names, shapes, types and bytes of a model's tensors."""
    known = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu().contiguous()
        known.update(f"{name} {list(value.shape)} {value.dtype};".encode())
        known.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return known.hexdigest()


def imagenet_names(subset: str = "imagenet-1k") -> tuple[str, ...]:
    """Return the WordNet ids of a subset's classes, in the order of a head's outputs."""
    import_timm()
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo(subset).label_names())


def pretrained(name: str, tag: str) -> tuple[nn.Module, tuple[str, ...]]:
    """Fetch a timm model with pretrained weights; return it and the names of its classes.

    Args:
        name: of the architecture.
        tag: which of its weights; "" for timm's choice.

    Raises:
        UnknownName: timm knows no such weights.
        UsageProblem: they have no head that names classes of ImageNet.
        RlvitError: they cannot be fetched.
    """
    timm = import_timm()
    from timm.data import infer_imagenet_subset

    tags = {full.partition(".")[2]: full for full in timm.list_pretrained(f"{name}.*")}
    if tag and tag not in tags:
        raise UnknownName(f"tag of {name}'s pretrained weights", tag, tags)
    full = tags[tag] if tag else name
    config = timm.get_pretrained_cfg(full)
    subset = infer_imagenet_subset(config.to_dict()) if config else None
    if subset is None:
        raise UsageProblem(
            f"weights: those of {full} on the hub name no ImageNet classes; choose others with "
            f"hub:TAG (there are {', '.join(sorted(tags)) or 'none'}) or give a file"
        )
    _check_connection(full)
    try:
        return timm.create_model(full, pretrained=True), imagenet_names(subset)
    except (OSError, RuntimeError) as error:
        raise RlvitError(_unreachable(full, str(error).splitlines()[0])) from error


def _check_connection(full: str) -> None:
    """Fail at once where there is no network, since the hub's client would retry for a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answered
    except OSError as error:
        reason = f"{constants.ENDPOINT} cannot be reached: {getattr(error, 'reason', error)}"
        raise RlvitError(_unreachable(full, reason)) from error


def _unreachable(full: str, reason: str) -> str:
    return (
        f"the pretrained weights of {full} cannot be had ({reason}); give a file of weights, or "
        "set HF_HUB_OFFLINE=1 to use what was fetched before"
    )
