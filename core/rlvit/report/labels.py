"""Short names for arms, that say in what they differ and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rlvit.catalog import Catalog
from rlvit.report.model import Arm

Setting = tuple[str, str]  # ("slot" or "config", name)
ABSENT = object()  # of a setting that an older version of the method did not have
FEW = 3  # settings that a label spells out; where more differ it names presets if that helps
LONGEST = 24  # characters of a value
DIGITS = 4  # significant ones of a number


def labels(arms: Sequence[Arm], catalog: Catalog) -> list[Arm]:
    """Return the arms with their labels.

    An arm is called by its method and the settings in which arms of the same method, protocol and
    task differ: on all tasks those that differ on any, so that an arm has one name throughout. If
    none differ, it is called by its preset and the parts that this does not have; if many differ,
    by those that depart from its preset, which is named where there are several. No two arms of a
    method, protocol and task have the same label.
    """
    named = []
    ordered = sorted(arms, key=lambda arm: (arm.method, arm.protocol, arm.task))
    for _, group in groupby(ordered, key=lambda arm: (arm.method, arm.protocol)):
        same = list(group)
        by_task = [list(g) for _, g in groupby(same, key=lambda arm: arm.task)]
        differing = sorted(
            {s for peers in by_task for s in _differing(peers)},
            key=lambda setting: (setting[0] != "slot", setting[1]),
        )
        bases = _bases(same, catalog) if len(differing) > FEW else None
        for peers in by_task:
            found = _found(peers, differing, bases, catalog)
            count = Counter(found)
            named += [
                replace(arm, label=label if count[label] == 1 else _unlike(arm, label))
                for arm, label in zip(peers, found, strict=True)
            ]
    return named


def _found(
    peers: Sequence[Arm],
    differing: Sequence[Setting],
    bases: Mapping[str, Mapping[Setting, Any]] | None,
    catalog: Catalog,
) -> list[str]:
    """Return the label of each arm of a task; what presets leave open only where it is needed."""
    if not differing:
        return [_alone(arm, catalog) for arm in peers]
    brief = [_label(arm, differing, bases, unset=False) for arm in peers]
    if len(set(brief)) == len(brief):
        return brief
    return [_label(arm, differing, bases, unset=True) for arm in peers]


def _settings(arm: Arm) -> dict[Setting, Any]:
    slots = {("slot", name): part for name, part in arm.slots.items()}
    return {**slots, **{("config", name): value for name, value in arm.config.items()}}


def _differing(arms: Sequence[Arm]) -> set[Setting]:
    """Return the settings that are not the same in all arms."""
    found = [_settings(arm) for arm in arms]
    names = {name for settings in found for name in settings}
    return {n for n in names if any(s.get(n, ABSENT) != found[0].get(n, ABSENT) for s in found)}


def _bases(arms: Sequence[Arm], catalog: Catalog) -> Mapping[str, Mapping[Setting, Any]] | None:
    """Return the settings of each preset; None if one is unknown."""
    presets = sorted({arm.preset for arm in arms})
    entry = catalog.entries["method"].get(arms[0].method)
    known = {preset.name: preset for preset in entry.spec.presets} if entry else {}
    if not set(presets) <= set(known):
        return None
    assert entry is not None
    fields = entry.spec.config.model_fields
    return {
        name: {
            **{("config", n): f.default for n, f in fields.items()},
            **{("config", n): value for n, value in known[name].values.items()},
            **{("slot", n): part for n, part in entry.spec.slots.items()},
            **{("slot", n): part for n, part in known[name].slots.items()},
        }
        for name in presets
    }


def _label(
    arm: Arm,
    differing: Sequence[Setting],
    bases: Mapping[str, Mapping[Setting, Any]] | None,
    *,
    unset: bool,
) -> str:
    """Name an arm by what differs; `unset`: also by what its preset leaves to task and method."""
    settings = {name: _settings(arm).get(name, ABSENT) for name in differing}
    if bases is not None:
        base = bases[arm.preset]
        several = len(bases) > 1
        departs = {
            name: value
            for name, value in settings.items()
            if (name[0] == "slot" and not several) or _departs(value, base.get(name, ABSENT), unset)
        }
        return " ".join([arm.method, *([arm.preset] if several else []), *_spelt(departs)])
    return " ".join([arm.method, *_spelt(settings)])


def _departs(value: Any, usual: Any, unset: bool) -> bool:
    """Whether a value is another than the preset's; `unset`: also where either is left open."""
    return bool(value != usual and (unset or (value is not None and usual is not None)))


def _alone(arm: Arm, catalog: Catalog) -> str:
    """Return the label of an arm that is like its peers, which is no standard one for that."""
    entry = catalog.entries["method"].get(arm.method)
    preset = entry and next((p for p in entry.spec.presets if p.name == arm.preset), None)
    usual = {**entry.spec.slots, **preset.slots} if entry and preset else arm.slots
    parts = [part for slot, part in sorted(arm.slots.items()) if usual.get(slot) != part]
    return " ".join([arm.method, arm.preset, *parts])


def _spelt(settings: Mapping[Setting, Any]) -> list[str]:
    """Return parts by their names alone, other settings as name=value."""
    return [
        _value(value) if kind == "slot" else f"{name}={_value(value)}"
        for (kind, name), value in settings.items()
    ]


def _unlike(arm: Arm, label: str) -> str:
    """Tell an arm apart whose differences do not show in a short label."""
    return f"{label} #{arm.fingerprint[:8]}"


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
