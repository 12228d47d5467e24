"""timm and torchvision are imported late, once, and with a clear message where they cannot be."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from rlvit.errors import RlvitError
from rlvit.nn import vision


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, rlvit.nn.vision\n"
        "print(sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    assert run(code) == "[]"


def test_timm_imports_beside_any_torch_and_builds_a_model() -> None:
    code = (
        "from rlvit.nn.vision import import_timm, import_torchvision\n"
        "timm = import_timm()\n"
        "assert import_timm() is timm\n"
        "import gc, torch; gc.collect()\n"
        "vision = import_torchvision()\n"
        "model = timm.create_model('vit_tiny_patch16_224', depth=1, num_classes=3)\n"
        "print(tuple(model(torch.zeros(1, 3, 224, 224)).shape))\n"
        "print(torch.ops.torchvision.nms is not None)\n"
        "print(type(vision.transforms.Resize(4)).__name__)"
    )
    assert run(code).splitlines() == ["(1, 3)", "True", "Resize"]


def test_operators_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    vision.import_torchvision()
    monkeypatch.setattr(vision, "_libraries", [])  # as if somebody else had declared them
    vision.import_torchvision()
    assert vision._libraries == []


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_missing_package_is_one_line(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    with pytest.raises(RlvitError) as caught:
        vision.import_timm()
    expected = f"this needs {package}, which is not installed: pip install 'rlvit[vision]'"
    assert str(caught.value) == expected


def test_a_torchvision_of_another_torch_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def broken(name: str) -> ModuleType:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nand more lines")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(RlvitError, match=r"^torchvision cannot be imported beside torch [^\n]+$"):
        vision.import_torchvision()
