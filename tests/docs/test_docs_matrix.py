"""The page on what fits with what is the catalogue's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvit.catalog import Catalog, build_catalog
from rlvit.errors import UsageProblem
from rlvit.manager import create_plugin_manager

PAGE = Path(__file__).resolve().parents[2] / "docs" / "matrix.md"
METHODS = ("agentvit", "rl4dvit", "spirl")
BACKBONES = ("simple-vit", "vit_tiny_patch16_224", "mae-96")


def in_method(catalog: Catalog, selector: Any, name: str) -> str:
    """How a selector gets into a method, on any backbone of the kind that the method has."""
    method = catalog.method(name)
    blocks = catalog.entry("backbone", method.slots["backbone"]).spec.shape is not None
    known = [e.spec for e in catalog.entries["backbone"].values()]
    own = selector.trained is not None and selector.trained.method == name
    for backbone in (b.name for b in known if (b.shape is not None) == blocks):
        try:
            catalog.parts(
                method, {"selector": selector.name, "backbone": backbone}, untrained=False
            )
        except UsageProblem:
            continue
        return "own" if own else "from a run" if selector.trained else "yes"
    return "no"


def table(catalog: Catalog) -> list[str]:
    rows = []
    for entry in sorted(catalog.entries["selector"].values(), key=lambda e: e.spec.name):
        spec = entry.spec
        fits = [spec.needs <= catalog.entry("backbone", b).spec.provides for b in BACKBONES]
        cells = [
            f"`{spec.name}`",
            ", ".join(sorted(spec.needs)) or "-",
            *(in_method(catalog, spec, name) for name in METHODS),
            *("yes" if fit else "no" for fit in fits),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def test_the_table_is_the_catalogues() -> None:
    plugins = create_plugin_manager()
    for info in plugins.active:
        if info.distribution != "rlvit":
            plugins.manager.unregister(name=info.name)
    found = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert found == table(build_catalog(plugins))


if __name__ == "__main__":
    import sys

    sys.stdout.write("\n".join(table(build_catalog(create_plugin_manager()))) + "\n")
