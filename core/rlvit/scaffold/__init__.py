"""Writes the first version of somebody's plugin: small, installable, and green at once."""

from __future__ import annotations

import keyword
import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from rlvit.compatibility import API_VERSION
from rlvit.errors import UsageProblem
from rlvit.specs import DATASET

if TYPE_CHECKING:
    from rlvit.catalog import Catalog

# Files of each kind, template -> path in the package.
COMMON = {
    "common/pyproject.toml.txt": "pyproject.toml",
    "common/README.md.txt": "README.md",
    "common/init.py.txt": "src/$module/__init__.py",
}
FILES: dict[str, dict[str, str]] = {
    kind: {
        f"{kind}/plugin.py.txt": "src/$module/plugin.py",
        f"{kind}/test.py.txt": "tests/test_$module.py",
    }
    for kind in ("selector", "method", "reward", "backbone", "evaluator", "task")
}
FILES["selector"]["selector/selector.py.txt"] = "src/$module/selector.py"
FILES["method"]["method/config.py.txt"] = "src/$module/config.py"
FILES["method"]["method/training.py.txt"] = "src/$module/training.py"
FILES["backbone"]["backbone/network.py.txt"] = "src/$module/network.py"
FILES["evaluator"]["evaluator/measure.py.txt"] = "src/$module/measure.py"
FILES["evaluator"]["task/images.py.txt"] = "src/$module/images.py"
FILES["task"]["task/images.py.txt"] = "src/$module/images.py"
# What else is written.
ALSO = {"evaluator": ", with a task that is measured by it, for tasks name their evaluator"}
SLOTS = ("selector", "backbone", "reward")  # kinds that are parts of a method
SUITES = {
    "selector": "SelectorSuite",
    "method": "MethodSuite",
    "reward": "RewardSuite",
    "backbone": "BackboneSuite",
    "evaluator": "EvaluatorSuite",
    "task": "TaskSuite",
}


def write_plugin(catalog: Catalog, name: str, kind: str, out: Path | None = None) -> Path:
    """Write a plugin and return its folder.

    Args:
        catalog: of the installed plugins, whose names are taken.
        name: of the plugin, and of what it offers.
        kind: what it offers, a key of `FILES`.
        out: the folder to make; by default `rlvit-NAME` in the current one.

    Raises:
        UsageProblem: the name cannot be or is taken, the folder exists or cannot be made.
    """
    _refuse_name(catalog, name, kind)
    folder = out or Path(f"rlvit-{name}")
    module = "rlvit_" + name.replace("-", "_")
    values = {
        "name": name,
        "module": module,
        "title": "".join(word.capitalize() for word in name.split("-")),
        "kind": kind,
        "also": ALSO.get(kind, ""),
        "article": "An" if kind[0] in "aeiou" else "A",
        "suite": SUITES[kind],
        "api": f">={API_VERSION[0]}.{API_VERSION[1]},<{API_VERSION[0] + 1}",
        "run": _first_run(catalog, kind, name),
    }
    try:
        folder.mkdir(parents=True)
        for template, path in {**COMMON, **FILES[kind]}.items():
            text = files(__name__).joinpath("templates", template).read_text(encoding="utf-8")
            target = folder / Template(path).substitute(values)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(text).substitute(values), encoding="utf-8")
    except FileExistsError:
        raise UsageProblem(f"{folder} exists already; choose another folder with --out.") from None
    except OSError as problem:
        raise UsageProblem(f"{folder} cannot be written: {problem.strerror}.") from None
    return folder


def _first_run(catalog: Catalog, kind: str, name: str) -> str:
    """Return the command that tries a new part in an installed method, or a new method."""
    methods = [entry.spec for entry in catalog.entries["method"].values()]
    fits = [m for m in methods if kind in m.slots or (kind not in SLOTS and m.task_kind == DATASET)]
    method = None if kind == "method" else min(fits, key=lambda m: m.name, default=None)
    task_kind = method.task_kind if method else DATASET
    tasks = [e.spec.name for e in catalog.entries["task"].values() if e.spec.kind == task_kind]
    own = {"task": name, "evaluator": f"{name}-digits"}.get(kind)
    words = ["rlvit", "run", "--plugin", method.name if method else name]
    words += [f"--{task_kind}", own or (tasks[0] if tasks else "NAME"), "--preset", "quick"]
    return shlex.join([*words, f"--{kind}", name] if kind in SLOTS else words)


def _refuse_name(catalog: Catalog, name: str, kind: str) -> None:
    """Raise UsageProblem for a name that is none, or somebody's."""
    bare = name.removeprefix("rlvit-")
    if bare != name:
        raise UsageProblem(f"{name}: leave 'rlvit-' out, it is put in front: {bare}.")
    fine = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and len(name) <= 40
    if not fine or keyword.iskeyword(name):
        raise UsageProblem(
            f"{name!r} is no name for a plugin; expected up to 40 small letters, digits and single "
            "dashes, beginning with a letter, and no Python keyword: such as 'highest-variance'."
        )
    if any(info.name == name for info in catalog.plugins.found):
        raise UsageProblem(f"{name} is the name of an installed plugin; choose another.")
    if name in catalog.entries[kind]:
        owner = catalog.entry(kind, name).owner.name
        raise UsageProblem(f"the {kind} {name} is one of plugin {owner!r}; choose another name.")
