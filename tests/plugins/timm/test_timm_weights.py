"""Weights that are not there, not safe or do not fit are refused in one line that says why."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rlvit.contracts import ImageShape
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.nn.vision import import_timm
from rlvit_timm.backbone import TimmBackbone
from rlvit_timm.models import make

NAME = "vit_pico_grid8"
SHAPE = ImageShape(16, 10)


def build(weights: Path | str | None, name: str = NAME, shape: ImageShape = SHAPE) -> TimmBackbone:
    text = None if weights is None else str(weights)
    return make(name, torch.Generator().manual_seed(0), shape, text)


def refusal(weights: Path | str, **more: Any) -> str:
    with pytest.raises(UsageProblem) as caught:
        build(weights, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights of the small model with a head of 4 classes."""
    return build(None, shape=ImageShape(16, 4)).module.state_dict()


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_a_file_gives_its_weights_and_decides_the_classes(
    suffix: str, wrapper: str | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    backbone = build(path)
    assert backbone.shape.classes == 4
    assert backbone.class_names == ()
    assert backbone.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = backbone.module.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert all(parameter.requires_grad for parameter in backbone.module.parameters())


def test_a_head_of_1000_is_imagenets(state: dict[str, Tensor], tmp_path: Path) -> None:
    head = {"head.weight": torch.zeros(1000, 64), "head.bias": torch.zeros(1000)}
    save_file({**state, **head}, tmp_path / "w.safetensors")
    assert build(tmp_path / "w.safetensors").class_names[0] == "n01440764"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no.pth"
    assert refusal(path) == f"weights: there is no file {path}; give a file, none, hub or hub:TAG"
    assert "there is no file" in refusal(tmp_path)  # a folder


def test_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"PK")
    assert "unknown format; expected one of .safetensors, .pth" in refusal(tmp_path / "w.npz")


class Harmful:
    """A pickle of this would create a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_objects_in_a_pickle_are_refused_and_not_run(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path, touched = tmp_path / "w.pth", tmp_path / "touched"
    torch.save({"model": state, "args": Harmful(touched)}, path)
    message = refusal(path)
    assert "holds more than tensors, and loading objects can run code" in message
    assert not touched.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut"])
def test_garbage(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert refusal(path).startswith(f"weights: {path} ")


@pytest.mark.parametrize("value", [[1, 2], {"model": 3}, {}, {"a": torch.zeros(1), "b": "text"}])
def test_a_file_without_a_state_dict(value: Any, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "w.pth")
    assert "holds no state dict" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize("bad", [torch.full((4, 64), float("nan")), torch.zeros(4, 64).int()])
def test_numbers_that_are_no_weights(bad: Tensor, state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({**state, "head.weight": bad}, tmp_path / "w.safetensors")
    message = refusal(tmp_path / "w.safetensors")
    assert "'head.weight'" in message
    assert "finite real numbers" in message


def test_the_first_tensor_that_does_not_fit_is_named(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"

    def message(changes: dict[str, Tensor | None]) -> str:
        changed = {**state, **changes}
        save_file({name: value for name, value in changed.items() if value is not None}, path)
        return refusal(path)

    fits = f"weights: {path} does not fit {NAME}: "
    assert message({"norm.bias": None}) == f"{fits}'norm.bias' is missing, expected [64]"
    extra = message({"dist_token": torch.zeros(1, 1, 64)})
    assert extra == f"{fits}'dist_token' is [1, 1, 64], expected nothing of that name"
    positions = message({"pos_embed": torch.zeros(1, 50, 64), "norm.bias": torch.zeros(3)})
    expected = "'pos_embed' is [1, 50, 64], expected [1, 65, 64] (another number of patches)"
    assert positions == fits + expected
    assert "has no classification head" in message({"head.weight": None})


def test_weights_of_another_architecture(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    expected = "'cls_token' is [1, 1, 64], expected [1, 1, 192]"
    assert refusal(path, name="vit_tiny_grid8").endswith(f"does not fit vit_tiny_grid8: {expected}")
    # The same model for larger images has larger patches.
    patches = refusal(path, shape=ImageShape(224, 4))
    assert "'patch_embed.proj.weight' is [64, 3, 2, 2], expected [64, 3, 28, 28]" in patches


def test_the_hub_has_nothing_for_the_small_models() -> None:
    assert "vit_pico_grid8 has no pretrained weights on the hub" in refusal("hub")


def test_an_unknown_tag_suggests_one() -> None:
    with pytest.raises(UnknownName, match=r"'augreg_in21'\. Did you mean 'augreg_in21k'\?"):
        build("hub:augreg_in21", "vit_tiny_patch16_224")


def test_weights_on_the_hub_without_a_head() -> None:
    message = refusal("hub", name="vit_small_patch14_dinov2")
    assert "vit_small_patch14_dinov2 on the hub name no ImageNet classes" in message


def test_no_network_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(RlvitError) as caught:
        build("hub", "vit_tiny_patch16_224")
    message = str(caught.value)
    assert message.startswith("the pretrained weights of vit_tiny_patch16_224 cannot be had (http:")
    assert message.endswith("or set HF_HUB_OFFLINE=1 to use what was fetched before")
    assert "\n" not in message


def test_offline_without_a_copy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def fetch(name: str, pretrained: bool) -> None:
        raise FileNotFoundError(f"no copy of {name}\nand more")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(import_timm(), "create_model", fetch)
    with pytest.raises(RlvitError, match=r"^the pretrained [^\n]*\(no copy of deit_tiny[^\n]*$"):
        build("hub:fb_in1k", "deit_tiny_patch16_224")


def test_pretrained_weights_name_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With timm's download replaced: the tag reaches it, and the classes follow from the tag."""
    from huggingface_hub import constants

    timm = import_timm()
    create, asked = timm.create_model, []

    def fetch(name: str, pretrained: bool) -> Any:
        asked.append((name, pretrained))
        return create(name, depth=1)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(timm, "create_model", fetch)
    tagged = build("hub:augreg_in21k", "vit_tiny_patch16_224")
    plain = build("hub", "vit_tiny_patch16_224")
    assert asked == [("vit_tiny_patch16_224.augreg_in21k", True), ("vit_tiny_patch16_224", True)]
    assert (tagged.shape.classes, len(tagged.class_names)) == (21843, 21843)
    assert (plain.shape.classes, len(plain.class_names)) == (1000, 1000)
    assert plain.class_names[0] in tagged.class_names
