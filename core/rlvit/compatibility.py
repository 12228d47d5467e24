"""The version of the plugin API, what changed in each, and which versions a plugin is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt

Version = tuple[int, int]

API_VERSION: Version = (1, 1)  # (major, minor): minor ones add, major ones change or take away

# What each version changed, oldest first; docs/plugins/api.md has the same table.
API_CHANGES: Mapping[Version, str] = {
    (1, 0): (
        "The first numbered version: ten registration hooks, three run events, and `RLVIT_API`."
    ),
    (1, 1): "New: `EvaluatorSpec.items`, `EvaluatorSpec.measures`, `Search.only_if`, the hook "
    "`rlvit_doctor` and `Diagnosis`, `Registry.views`, `Registry.view` and `Registry.hold`, "
    "`Registry.revive` and `FinishedRun`, "
    "`VectorPolicy` and `OwnView`, `SelectorSpec.fit_cost`, `make_selector`, `decide` and "
    "`checked` of `rlvit.nn.selection`, `some_of` of `rlvit.nn.training_images`, "
    "`PrunedVit(name=)`, `BrokenPart`, `setting(run=)` with `RunOf` and `RunContext.finished`, "
    "`setting(only_with=)` and `setting(omit_default=)`, "
    "`Experiment` and `MethodSpec.experiments`, "
    "`CapturedStep`, `upload` and `restore_optimiser` of `rlvit.nn.graphs`, "
    "`SequenceReplay(device=)` and `DeviceFrames`, `begin`, `end` and `rewrite` of "
    "`SequenceReplay`, `NoisyLinear.draw` and `NoisyLinear.place`.",
}

COMPARISONS: Mapping[str, Callable[[Version, Version], bool]] = {
    ">=": ge,
    "<=": le,
    "==": eq,
    ">": gt,
    "<": lt,
}


def written(version: Version) -> str:
    """Return a version as people write it: `1.0`."""
    return f"{version[0]}.{version[1]}"


def parse_range(text: object) -> list[tuple[str, Version]]:
    """Return the conditions of a range such as `>=1,<2`; a version without minor ends in .0.

    Raises:
        ValueError: it is no range.
    """
    conditions = []
    for part in text.split(",") if isinstance(text, str) else [""]:
        found = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*(\d+)(?:\.(\d+))?\s*", part)
        if found is None:
            raise ValueError(f"RLVIT_API is {text!r}; expected a range such as '>=1,<2'")
        conditions.append((found[1], (int(found[2]), int(found[3] or 0))))
    return conditions


def refusal(
    text: object,
    current: Version = API_VERSION,
    changes: Mapping[Version, str] = API_CHANGES,
) -> str | None:
    """Say why a plugin that was written for a range of API versions cannot be used, if it cannot.

    Args:
        text: the plugin's range.
        current: the version that is there.
        changes: what each version changed.

    Returns:
        The reason with what changed, or None if the current version is in the range.

    Raises:
        ValueError: it is no range.
    """
    broken = [one for one in parse_range(text) if not COMPARISONS[one[0]](current, one[1])]
    if not broken:
        return None
    reason = f"it was written for the plugin API {text}, and this rlvit has {written(current)}"
    if any(sign in (">=", ">") or limit > current for sign, limit in broken):
        return f"{reason}: a newer rlvit is needed"
    limit = min(version for _, version in broken)
    since = [f"{written(v)}: {what}" for v, what in sorted(changes.items()) if v >= limit]
    return f"{reason}; changed since: {' '.join(since)}"
