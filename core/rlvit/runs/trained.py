"""Trained selectors of completed runs: found, checked against a backbone, and frozen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.catalog import Catalog
from rlvit.contracts import Artifact, ImageShape
from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries
from rlvit.registry.records import RunRecord
from rlvit.runs.artifacts import own_copy
from rlvit.specs import SelectorSpec, TaskSpec, TrainedForm

if TYPE_CHECKING:
    from rlvit.config import MethodConfig
    from rlvit.home import Home
    from rlvit.nn.compute import VitShape
    from rlvit.registry.store import Store

SLOT = "selector"
COPY = "trained-selector"  # the folder, among a run's artifacts, of what it was given
MARK = "@"  # in a slot: which selector, and the start of the hash of its files
DIGITS = 12  # of that hash: by chance two of a million are alike once in 500 registries


@dataclass(frozen=True)
class TrainedSelector:
    """A selector as a completed run left it."""

    spec: SelectorSpec
    artifact: Artifact

    @property
    def form(self) -> TrainedForm:
        """How it is loaded."""
        assert self.spec.trained is not None
        return self.spec.trained

    @property
    def frozen(self) -> SelectorSpec:
        """The part for a slot. Its name tells one training from another, in every fingerprint."""
        form, folder = self.form, self.artifact.folder

        def make(backbone: Any, config: MethodConfig, task: TaskSpec) -> Any:
            return form.load(folder, backbone, task)

        name = f"{self.spec.name}{MARK}{self.artifact.sha256[:DIGITS]}"
        return replace(self.spec, name=name, make=make, fit=None, trained=None)

    def check(self, backbone: Any, config: MethodConfig, task: TaskSpec) -> None:
        """Refuse a backbone on which it cannot decide.

        Raises:
            UsageProblem: the message says why.
        """
        if backbone.shape is None:
            raise UsageProblem(
                f"backbone {backbone.name!r} has no blocks that could be walked: the selector of "
                f"run {self.artifact.made_by} cannot decide in it."
            )
        try:
            self.form.check(self.artifact.folder, shape_of(backbone, config, task))
        except UsageProblem as problem:
            raise UsageProblem(
                f"the selector of run {self.artifact.made_by} does not fit backbone "
                f"{backbone.name!r}: {problem}"
            ) from None

    def copied(self, folder: Path) -> TrainedSelector:
        """Copy its files into a run's folder, and return it as it is there.

        Raises:
            RlvitError: the files are no longer what they were.
        """
        target = folder / "artifacts" / COPY
        temporary = target.with_name(f".{COPY}")
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
        try:
            shutil.copytree(self.artifact.folder, temporary)
        except OSError as problem:
            raise RlvitError(f"the selector of run {self.artifact.made_by}: {problem}") from None
        os.replace(temporary, target)
        return replace(self, artifact=_sound(target, self.artifact.sha256))


def shape_of(backbone: Any, config: MethodConfig, task: TaskSpec) -> VitShape:
    """Return the sizes that a backbone will have in a run, without making it."""
    asked = {name: getattr(config, name, None) for name in backbone.sizes}
    sizes = {name: value for name, value in asked.items() if value is not None}
    classes = int(task.facts.get("classes") or 1000)
    found: VitShape = backbone.shape(ImageShape(task.image_size, classes, sizes))
    return found


def find_trained(catalog: Catalog, store: Store, home: Home, text: str) -> TrainedSelector:
    """Return the trained selector of the run that `text` means.

    Raises:
        UnknownName: there is no such run.
        UsageProblem: it is not completed, or its selector has no weights that could be taken.
    """
    record = queries.find_run(store.engine, text)
    spec = _spec_of(catalog, record)
    if record.state != queries.COMPLETED:
        raise UsageProblem(
            f"--selector-from {text}: run {record.id} is {record.state}; only a completed run has "
            "a trained selector."
        )
    assert spec.trained is not None
    folder = home.runs / record.id / "artifacts" / spec.trained.artifact
    found = own_copy(folder)
    if found is None:
        raise UsageProblem(
            f"--selector-from {text}: run {record.id} has no sound {spec.trained.artifact!r} in "
            f"{folder.parent}."
        )
    return TrainedSelector(spec, found)


def open_trained(catalog: Catalog, home: Home, text: str) -> TrainedSelector:
    """Return the trained selector of a run of this home; raises UsageProblem."""
    from rlvit.registry.store import Store

    home.require_registry()
    store = Store(home.registry_url)
    try:
        return find_trained(catalog, store, home, text)
    finally:
        store.close()


def _spec_of(catalog: Catalog, record: RunRecord) -> SelectorSpec:
    """Return the specification of the selector that a run trained; raises UsageProblem."""
    name = record.slots.get(SLOT)
    if name is None:
        raise UsageProblem(f"--selector-from: run {record.id} of {record.method} has no selector.")
    kind, mark, _ = name.partition(MARK)
    spec = catalog.entry("selector", kind).spec
    assert isinstance(spec, SelectorSpec)
    if spec.trained is None or mark or spec.trained.method != record.method:
        trains = (
            "was itself taken from another run" if mark else "learns nothing that could be kept"
        )
        raise UsageProblem(
            f"--selector-from: the selector {name!r} of run {record.id} {trains}; expected one of "
            f"{_known(catalog)}."
        )
    return spec


def _known(catalog: Catalog) -> str:
    """Name the selectors that can be taken from runs."""
    specs = [entry.spec for entry in catalog.entries["selector"].values()]
    return ", ".join(f"{s.name} ({s.trained.method})" for s in specs if s.trained) or "none"


def of_run(
    catalog: Catalog, slots: Mapping[str, str], folder: Path
) -> tuple[TrainedSelector | None, dict[str, str]]:
    """Return the trained selector that a run began with, if any, and its other slots.

    Raises:
        RlvitError: the run's own copy of it is gone or damaged.
    """
    kind, mark, start = slots.get(SLOT, "").partition(MARK)
    if not mark:
        return None, dict(slots)
    spec = catalog.entry("selector", kind).spec
    own = _sound(folder / "artifacts" / COPY, start)
    return TrainedSelector(spec, own), {n: part for n, part in slots.items() if n != SLOT}


def _sound(folder: Path, start: str) -> Artifact:
    """Return the artifact in a folder if its hash begins so; raises RlvitError."""
    found = own_copy(folder)
    if found is None or not found.sha256.startswith(start):
        raise RlvitError(f"{folder}: the trained selector that was put there is not whole.")
    return found
