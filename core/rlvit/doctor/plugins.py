"""Plugins: which are left out and why, and what the others say of the things that they keep."""

from __future__ import annotations

from collections.abc import Iterator

from rlvit.catalog import build_catalog
from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import Patient
from rlvit.errors import RlvitError
from rlvit.manager import Plugins, create_plugin_manager

HOOK = "rlvit_doctor"


def look(patient: Patient) -> Iterator[Diagnosis]:
    """Load the plugins, and ask each that has the hook."""
    try:
        catalog = build_catalog(create_plugin_manager())
    except RlvitError as problem:
        advice = "see RLVIT_BLOCK and RLVIT_STRICT_PLUGINS"
        yield Diagnosis("plugins", "problem", str(problem), advice)
        return
    for name, reason in catalog.problems.items():
        text = f"{name} is quarantined: {reason}"
        advice = f"mend or upgrade it, or leave it out: export RLVIT_BLOCK={name}"
        yield Diagnosis("plugins", "problem", text, advice)
    blocked = [info.name for info in catalog.plugins.found if info.blocked]
    if blocked:
        yield Diagnosis("plugins", "note", f"left out by RLVIT_BLOCK: {', '.join(blocked)}")
    usable = [i for i in catalog.plugins.active if i.name not in catalog.problems]
    if not usable:
        advice = "pip install --force-reinstall --no-deps rlvit"
        yield Diagnosis("plugins", "problem", "none is installed: there is nothing to run", advice)
        return
    yield Diagnosis("plugins", "ok", ", ".join(info.name for info in usable))
    for info in usable:
        if HOOK in info.hooks:
            yield from _asked(catalog.plugins, info.name, patient)


def _asked(plugins: Plugins, name: str, patient: Patient) -> Iterator[Diagnosis]:
    """Yield what a plugin finds; one that fails is named."""
    try:
        given = {"home": patient.home.root, "data_root": patient.data_root}
        answers = plugins.caller(name, HOOK)(**given)
        found = [one for answer in answers for one in answer]
        wrong = next((one for one in found if not isinstance(one, Diagnosis)), None)
        if wrong is not None:
            raise TypeError(f"{HOOK} returned {wrong!r}, which is no Diagnosis")
    except (Exception, SystemExit) as problem:
        reason = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        yield Diagnosis("plugins", "problem", f"{name} could not look after its things: {reason}")
        return
    yield from found
