"""The only place that imports torchvision and timm, because both need care beside some torches."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from rlvit.errors import RlvitError

INSTALL = "pip install 'rlvit[vision]'"
# Operators that torchvision gives fake kernels while it is imported: they must be known by then.
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
COMPILED = (".so", ".pyd", ".dylib")
_libraries: list[Any] = []  # a declared operator lives as long as its library object


def import_timm() -> ModuleType:
    """Import and return timm.

    Raises:
        RlvitError: it is not installed, or it cannot be used beside this torch.
    """
    import_torchvision()
    return _import("timm")


def import_torchvision() -> ModuleType:
    """Import and return torchvision.

    Its wheel is compiled for a torch with CUDA. Beside a torch without, its compiled part does not
    load, and the import fails because nobody declared the operators in it. Declared here without a
    kernel, they let models, transforms and datasets work; calling the operators fails, as it must.

    Raises:
        RlvitError: it is not installed, or it cannot be used beside this torch.
    """
    _declare_operators()
    return _import("torchvision")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"this needs {error.name or name}, which is not installed: {INSTALL}"
        raise RlvitError(message) from None
    except (ImportError, OSError, RuntimeError) as error:
        torch = _torch()
        reason = str(error).splitlines()[0]
        message = f"{name} cannot be imported beside torch {torch.__version__}: {reason}"
        raise RlvitError(message) from error


def _torch() -> Any:
    """Return torch, imported when it is needed; what is called of it here has no type hints."""
    return importlib.import_module("torch")


def _declare_operators() -> None:
    """Declare torchvision's operators if torch has no CUDA and nothing else declares them."""
    torch = _torch()
    if torch.version.cuda or torch.version.hip or _libraries or _has_operators():
        return
    if _load_compiled():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    _libraries.append(library)


def _has_operators() -> bool:
    return hasattr(_torch().ops.torchvision, "nms")


def _load_compiled() -> bool:
    """Load torchvision's compiled part, and say whether its operators are there now."""
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(folder).glob("_C*"):
            if path.suffix in COMPILED:
                with contextlib.suppress(OSError):  # it was linked against CUDA's libraries
                    _torch().ops.load_library(str(path))
    return _has_operators()
