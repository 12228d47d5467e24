"""rlvit: an experiment registry for methods that teach a policy where a ViT should look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlvit.api import Registry as Registry
    from rlvit.api import resume as resume
    from rlvit.api import run as run
    from rlvit.compatibility import API_VERSION as API_VERSION
    from rlvit.hookspecs import hookimpl as hookimpl

__all__ = ["API_VERSION", "Registry", "hookimpl", "resume", "run"]

_HOMES = {
    "API_VERSION": "compatibility",
    "Registry": "api",
    "resume": "api",
    "run": "api",
    "hookimpl": "hookspecs",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is used, so that `import rlvit` stays light."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'rlvit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"rlvit.{_HOMES[name]}"), name)
