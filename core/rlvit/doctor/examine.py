"""Looks at one thing after another; whatever is broken, the rest is still looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from rlvit.contracts import Diagnosis
from rlvit.doctor import machine, place, plugins, registry, runs, studies
from rlvit.doctor.patient import Patient

Check = Callable[[Patient], Iterable[Diagnosis]]

# The quick ones first: torch takes a second or more to import.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", lambda patient: machine.python()),
    ("packages", lambda patient: machine.packages()),
    ("environment", lambda patient: machine.environment()),
    ("home", place.folder),
    ("disk", place.disk),
    ("leftovers", place.leftovers),
    ("leftovers", place.imports),
    ("locks", place.locks),
    ("registry", registry.look),
    ("runs", runs.look),
    ("studies", studies.look),
    ("plugins", plugins.look),
    ("torch", lambda patient: machine.torch()),
    ("GPU", lambda patient: machine.gpu()),
    ("vision", lambda patient: machine.vision()),
)


def examine(patient: Patient) -> Iterator[Diagnosis]:
    """Yield what was found, in order; nothing is changed."""
    for about, check in CHECKS:
        yield from guarded(about, check, patient)


def guarded(about: str, check: Check, patient: Patient) -> Iterator[Diagnosis]:
    """Yield what a check finds; should it fail, that is a problem it found."""
    try:
        yield from check(patient)
    except (Exception, SystemExit) as problem:
        reason = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        yield Diagnosis(about, "problem", f"this could not be looked at ({reason[:300]})")


def mend(found: Iterable[Diagnosis]) -> Iterator[Diagnosis]:
    """Do what can be done about what was found, and yield in `text` what was done."""
    for one in found:
        if one.mend is None:
            continue
        try:
            yield replace(one, state="ok", text=one.mend())
        except (Exception, SystemExit) as problem:
            reason = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            yield replace(one, state="problem", text=f"could not be mended: {reason[:300]}")
