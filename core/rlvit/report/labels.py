"""Short names for arms: method, preset and what departs from it, whatever other arms there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rlvit.catalog import Catalog
from rlvit.report.model import Arm

Setting = tuple[str, str]  # ("slot" or "config", name)
Rename = Callable[[Arm, Sequence[Setting]], Arm]
ABSENT = object()  # of a setting that an older version of the method did not have
LONGEST = 24  # characters of a value
DIGITS = 4  # significant ones of a number


def labels(arms: Sequence[Arm], catalog: Catalog) -> list[Arm]:
    """Return the arms with their labels.

    An arm is called by its method, its preset and every part and option in which it departs from
    that preset, so that its name depends on no other arm. Only where two arms of a task would be
    called alike, under whatever protocols, their names also say in which other settings they
    differ: what a preset leaves open to the task, or all of them where the preset is unknown. No
    two configurations have the same label on a task; one configuration has the same on all tasks
    and under all protocols.
    """
    named = []
    ordered = sorted(arms, key=lambda arm: (arm.method, arm.task, arm.protocol))
    for _, group in groupby(ordered, key=lambda arm: arm.method):
        named += _told_apart(_told_apart([_brief(arm, catalog) for arm in group], _longer), _unlike)
    return named


def _brief(arm: Arm, catalog: Catalog) -> Arm:
    """Return the arm called by its preset and what departs from it."""
    base = _base(arm, catalog)
    departs = {
        name: value
        for name, value in _settings(arm).items()
        # None: left to the task, or of no use beside the other settings
        if value is not None and base.get(name) is not None and value != base[name]
    }
    return replace(arm, label=" ".join([arm.method, arm.preset, *_spelt(departs)]))


def _told_apart(arms: Sequence[Arm], rename: Rename) -> list[Arm]:
    """Return the arms, those that share a label with another configuration on a task renamed.

    An arm is renamed on every task if it must be on one.
    """
    by_label: dict[str, list[Arm]] = {}
    for arm in arms:
        by_label.setdefault(arm.label, []).append(arm)
    differing = {label: sorted(_differing(by_label[label]), key=_order) for label in by_label}
    places = Counter((arm.label, arm.task, arm.protocol) for arm in arms)
    shared = {label for label, names in differing.items() if names}
    shared |= {label for (label, *_), count in places.items() if count > 1}
    return [rename(arm, differing[arm.label]) if arm.label in shared else arm for arm in arms]


def _longer(arm: Arm, differing: Sequence[Setting]) -> Arm:
    """Return the arm with the settings in its label that tell it from those called alike."""
    settings = _settings(arm)
    spelt = _spelt({name: settings.get(name, ABSENT) for name in differing})
    more = [text for text in spelt if f" {text} " not in f"{arm.label} "]
    return replace(arm, label=" ".join([arm.label, *more]))


def _unlike(arm: Arm, differing: Sequence[Setting]) -> Arm:
    """Return an arm with a mark whose differences do not show in a short label."""
    return replace(arm, label=f"{arm.label} #{arm.fingerprint[:8]}")


def _order(setting: Setting) -> tuple[bool, str]:
    return setting[0] != "slot", setting[1]


def _settings(arm: Arm) -> dict[Setting, Any]:
    """Return parts, then options, by name."""
    found = {("slot", name): part for name, part in arm.slots.items()}
    found |= {("config", name): value for name, value in arm.config.items()}
    return {name: found[name] for name in sorted(found, key=_order)}


def _differing(arms: Iterable[Arm]) -> set[Setting]:
    """Return the settings that are not the same in all arms of a task."""
    by_task: dict[str, list[dict[Setting, Any]]] = {}
    for arm in arms:
        by_task.setdefault(arm.task, []).append(_settings(arm))
    return {
        name
        for found in by_task.values()
        for name in {name for settings in found for name in settings}
        if any(s.get(name, ABSENT) != found[0].get(name, ABSENT) for s in found)
    }


def _base(arm: Arm, catalog: Catalog) -> Mapping[Setting, Any]:
    """Return the settings of an arm's preset; none if it is unknown."""
    entry = catalog.entries["method"].get(arm.method)
    known = {preset.name: preset for preset in entry.spec.presets} if entry else {}
    if entry is None or arm.preset not in known:
        return {}
    preset = known[arm.preset]
    fields = entry.spec.config.model_fields
    return {
        **{("config", name): field.default for name, field in fields.items()},
        **{("config", name): value for name, value in preset.values.items()},
        **{("slot", name): part for name, part in entry.spec.slots.items()},
        **{("slot", name): part for name, part in preset.slots.items()},
    }


def _spelt(settings: Mapping[Setting, Any]) -> list[str]:
    """Return parts by their names alone, other settings as name=value."""
    return [
        _value(value) if kind == "slot" else f"{name}={_value(value)}"
        for (kind, name), value in settings.items()
    ]


def _value(value: Any) -> str:
    """Return a value in short: 3e-4, true, none, the beginning of a hash."""
    if value is ABSENT:
        return "unset"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    text = str(value)
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text[:8]  # of a SHA-256
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _number(value: float) -> str:
    """Return the shorter of 0.0003 and 3e-4, to a few digits."""
    plain = f"{value:.{DIGITS}g}"
    mantissa, _, exponent = f"{value:.{DIGITS - 1}e}".partition("e")
    if not exponent:  # infinite, or none
        return plain
    scientific = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"  # [1, 10) has its point
    return scientific if "e" in plain or len(scientific) < len(plain) else plain
