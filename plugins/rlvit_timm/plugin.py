"""What the timm plugin offers; nothing here imports torch or timm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import BackboneSpec, Need
from rlvit_timm.names import ARCHITECTURES, GRID_MODELS, source

if TYPE_CHECKING:
    from rlvit.contracts import Diagnosis

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
PROVIDES: frozenset[Need] = frozenset(
    {"images", "tokens", "cls", "attention", "attended", "received"}
)


@hookimpl
def rlvit_backbones() -> Sequence[BackboneSpec]:
    """Offer timm's plain Vision Transformers, and three small ones for small images."""
    return [_small(name) for name in GRID_MODELS] + [_architecture(name) for name in ARCHITECTURES]


@hookimpl
def rlvit_doctor() -> Sequence[Diagnosis]:
    """Say whether pretrained weights may be fetched."""
    from rlvit.contracts import Diagnosis

    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        text = "HF_HUB_OFFLINE is set: of pretrained weights, only those fetched before"
        return [Diagnosis("weights", "note", text, "unset HF_HUB_OFFLINE where there is a network")]
    return [Diagnosis("weights", "ok", "pretrained weights (hub, hub:TAG) may be fetched")]


def _architecture(name: str) -> BackboneSpec:
    summary = f"timm's {name}; random weights, a file's, or pretrained ones (hub, hub:TAG)"
    return _spec(name, summary, source(name))


def _small(name: str) -> BackboneSpec:
    model = GRID_MODELS[name]
    summary = (
        f"{model.depth} blocks of {model.dim} over a grid of {model.grid}x{model.grid} patches, "
        f"for {model.meant_for}; random weights or a file's"
    )
    return _spec(name, summary, source(name))


def _spec(name: str, summary: str, cite: str) -> BackboneSpec:
    def make(generator: Any, shape: Any, weights: str | None) -> Any:
        from rlvit_timm.models import make

        return make(name, generator, shape, weights)

    def shape_of(shape: Any) -> Any:
        from rlvit_timm.models import shape_of

        return shape_of(name, shape)

    return BackboneSpec(
        name=name, summary=summary, cite=cite, provides=PROVIDES, make=make, shape=shape_of
    )
