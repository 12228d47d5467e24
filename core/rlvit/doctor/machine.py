"""This machine: Python, packages, variables of the environment, torch and its GPU."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import without_password
from rlvit.errors import RlvitError, suggestion

PYTHONS = ((3, 11), (3, 12))
VARIABLES = (
    *("RLVIT_BLOCK", "RLVIT_CUDA_GRAPHS", "RLVIT_DATA", "RLVIT_HOME", "RLVIT_REGISTRY"),
    "RLVIT_STRICT_PLUGINS",
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
PINNED = ("torchvision",)  # compiled for one version of torch, which they name
SMI_SECONDS = 10


def python(version: Sequence[int] = sys.version_info[:3]) -> Iterator[Diagnosis]:
    """Look at Python's version."""
    here = ".".join(str(part) for part in version)
    if tuple(version[:2]) in PYTHONS:
        yield Diagnosis("python", "ok", f"{here}, {sys.executable}")
        return
    known = " and ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    advice = "make an environment with one of them and install rlvit there"
    yield Diagnosis("python", "problem", f"{here}; rlvit is for {known}", advice)


def packages(
    requires: Sequence[str] | None = None,
    version: Callable[[str], str] = importlib.metadata.version,
) -> Iterator[Diagnosis]:
    """Compare what is installed with what rlvit requires, and torchvision with torch."""
    from packaging.requirements import Requirement

    stated = importlib.metadata.requires("rlvit") if requires is None else requires
    wanted = [Requirement(text) for text in stated or ()]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [found for one in wanted if (found := _misfit(one, version)) is not None]
    yield from wrong
    pins = [Requirement(text) for name in PINNED for text in _pins(name)]
    apart = [found for one in pins if (found := _pinned_apart(one, version)) is not None]
    yield from apart
    if not wrong and not apart:
        yield Diagnosis("packages", "ok", f"all {len(wanted)} requirements are met")


def _misfit(requirement: Any, version: Callable[[str], str]) -> Diagnosis | None:
    """Return what is wrong with a required package, if anything is."""
    asked = f"{requirement.name}{requirement.specifier}"
    advice = f"pip install '{asked}'"
    try:
        here = version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis("packages", "problem", f"{requirement.name} is not installed", advice)
    if requirement.specifier.contains(here, prereleases=True):
        return None
    return Diagnosis("packages", "problem", f"{requirement.name} is {here}; wanted {asked}", advice)


def _pins(name: str) -> list[str]:
    """Return the version of torch that a package was compiled for, as it states it."""
    try:
        stated = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [text for text in stated if text.partition(";")[0].strip().startswith("torch==")]


def _pinned_apart(requirement: Any, version: Callable[[str], str]) -> Diagnosis | None:
    """Return what is wrong where torch is not the one that torchvision was compiled for."""
    try:
        here, vision = version("torch"), version(PINNED[0])
    except importlib.metadata.PackageNotFoundError:
        return None
    if requirement.specifier.contains(here, prereleases=True):
        return None
    text = f"torchvision {vision} is compiled for torch {requirement.specifier}, here is {here}"
    advice = f"pip install --no-deps the torchvision that was compiled for torch {here}"
    return Diagnosis("packages", "problem", text, advice)


def environment(variables: Mapping[str, str] | None = None) -> Iterator[Diagnosis]:
    """Name the variables that rlvit heeds, and those that look as if it did."""
    known = dict(os.environ if variables is None else variables)
    own = {name: value for name, value in sorted(known.items()) if name.startswith("RLVIT_")}
    for name in own.keys() - set(VARIABLES):
        meant = suggestion(name, list(VARIABLES))
        text = f"{name} is set, and rlvit reads no such variable.{meant}"
        yield Diagnosis("environment", "note", text, f"unset {name}")
    heeded = [f"{n}={without_password(v)}" for n, v in own.items() if n in VARIABLES]
    yield Diagnosis("environment", "ok", ", ".join(heeded) or "no RLVIT_ variable is set")


def torch() -> Iterator[Diagnosis]:
    """Import torch, and look at its build and its threads."""
    library, reason = _torch()
    if library is None:
        text = f"torch cannot be imported: {reason}"
        yield Diagnosis("torch", "problem", text, "pip install 'torch>=2.6'")
        return
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    threads = library.get_num_threads()
    built = f"CUDA {library.version.cuda}" if library.version.cuda else "no CUDA"
    text = f"{library.__version__} ({built}), {threads} threads on {processors} processors"
    said = ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ)
    if said:
        text += f" ({said}; `--threads` decides for a run)"
    yield Diagnosis("torch", "ok", text)
    if threads > processors:
        yield Diagnosis(
            "torch",
            "note",
            f"{threads} threads share {processors} processors, which is slower than one each",
            f"export OMP_NUM_THREADS={processors}",
        )


def _torch() -> tuple[Any, str]:
    """Return torch, or None and why it cannot be imported."""
    try:
        return importlib.import_module("torch"), ""
    except (ImportError, OSError, RuntimeError) as problem:
        return None, str(problem).partition("\n")[0]


@dataclass(frozen=True)
class Cards:
    """What NVIDIA's driver says: its cards, or why it says nothing."""

    names: tuple[str, ...] = ()
    driver: str = ""
    trouble: str = ""


def gpu() -> Iterator[Diagnosis]:
    """Compare what torch sees with what NVIDIA's driver sees; nothing without torch."""
    library, _ = _torch()
    if library is None:
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        count = library.cuda.device_count() if library.cuda.is_available() else 0
    seen = tuple(library.cuda.get_device_name(number) for number in range(count))
    warned = str(said[0].message).partition("\n")[0] if said else ""
    yield judge_gpu(library.version.cuda, seen, warned, driver_cards())


def driver_cards() -> Cards | None:
    """Return what `nvidia-smi` says, or None where there is no such program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    asked = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, timeout=SMI_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Cards(trouble=str(problem).partition("\n")[0])
    if done.returncode:
        return Cards(trouble=(done.stdout + done.stderr).strip().partition("\n")[0])
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    return Cards(tuple(row[0] for row in rows), rows[0][-1] if rows else "")


def judge_gpu(
    built: str | None, seen: Sequence[str], warned: str, cards: Cards | None
) -> Diagnosis:
    """Return what to make of the cards.

    Args:
        built: the CUDA version that torch was built for, or None.
        seen: the cards that torch can use.
        warned: what torch said while it looked for them.
        cards: what the driver says.
    """
    if seen:
        driver = f", driver {cards.driver}" if cards and cards.driver else ""
        return Diagnosis("GPU", "ok", f"{', '.join(seen)}{driver}")
    if cards is None or not (cards.names or cards.trouble):
        return Diagnosis("GPU", "ok", "none here: runs use the CPU, with the preset quick")
    if cards.trouble:
        text = f"NVIDIA's driver does not answer: {cards.trouble}"
        return Diagnosis("GPU", "problem", text, "restart the machine, or install the driver anew")
    there = f"{', '.join(cards.names)}, driver {cards.driver}"
    if built is None:
        text = f"{there}, but this torch is built without CUDA"
        return Diagnosis("GPU", "problem", text, "install a build of the same torch with CUDA")
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        text = f"{there}, hidden by CUDA_VISIBLE_DEVICES"
        return Diagnosis("GPU", "note", text, "unset CUDA_VISIBLE_DEVICES")
    why = f" ({warned})" if warned else ""
    text = f"{there}, but torch for CUDA {built} cannot use it{why}"
    advice = f"install a driver for CUDA {built} or newer, or a torch for this driver"
    return Diagnosis("GPU", "problem", text, advice)


def vision() -> Iterator[Diagnosis]:
    """Try the extra `vision`, which timm's networks need; nothing without torch."""
    from rlvit.nn.vision import INSTALL, import_timm

    if _torch()[0] is None:
        return
    try:
        timm = import_timm()
    except RlvitError as problem:
        missing = "is not installed" in str(problem)
        text = "timm and torchvision are not both installed: no networks of timm"
        yield Diagnosis(
            "vision", "note" if missing else "problem", text if missing else str(problem), INSTALL
        )
        return
    torchvision = importlib.import_module("torchvision")
    text = f"timm {timm.__version__}, torchvision {torchvision.__version__}"
    yield Diagnosis("vision", "ok", text)
