"""Writes down rlvit's public names with their signatures, one a line.

python tests/core/support/public_api.py > tests/core/public_api.txt
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pydantic

import rlvit
from rlvit.testing.plugins import PUBLIC


def modules() -> Iterator[ModuleType]:
    """Yield the public modules, packages with all that is in them."""
    for name in PUBLIC:
        module = importlib.import_module(f"rlvit.{name}")
        yield module
        if name != "testing":  # which has its public names in __all__
            for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
                yield importlib.import_module(f"{module.__name__}.{found.name}")


def lines() -> list[str]:
    """Return the snapshot."""
    found = [_line(f"rlvit.{name}", getattr(rlvit, name)) for name in rlvit.__all__]
    for module in modules():
        exported = getattr(module, "__all__", None)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", module.__name__) == module.__name__
            public = name in exported if exported else own and not name.startswith("_")
            if public and not isinstance(value, ModuleType) and name != "annotations":
                found += _entries(f"{module.__name__}.{name}", value)
    return sorted({re.sub(r" at 0x[0-9a-f]+", "", line) for line in found})


def _entries(name: str, value: Any) -> Iterator[str]:
    yield _line(name, value)
    if not inspect.isclass(value):
        return
    for part, member in vars(value).items():
        plain = getattr(member, "__func__", member)
        if inspect.isfunction(plain) and not part.startswith("_"):
            yield f"{name}.{part}{inspect.signature(plain)}"
        elif isinstance(member, property) and not part.startswith("_"):
            yield f"{name}.{part}: property"


def _line(name: str, value: Any) -> str:
    if inspect.isclass(value):
        if issubclass(value, pydantic.BaseModel):
            return f"{name}: configuration({', '.join(value.model_fields)})"
        own = "__init__" in vars(value) and not getattr(value, "_is_protocol", False)
        arguments = str(inspect.signature(vars(value)["__init__"])) if own else ""
        return f"{name}: class{_hints(value)}{arguments}"
    if inspect.isfunction(value):
        return f"{name}{inspect.signature(value)}"
    return f"{name}: {type(value).__name__}"


def _hints(value: type) -> str:
    """Return a Protocol's attributes, which have no signature."""
    if not getattr(value, "_is_protocol", False):
        return ""
    hints = vars(value).get("__annotations__", {})
    return "(" + ", ".join(f"{name}: {hint}" for name, hint in hints.items()) + ")"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
