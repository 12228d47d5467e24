"""What a method is given while it trains: a few verbs, behind which is all the bookkeeping."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.contracts import (
    Artifact,
    Classifier,
    Episode,
    Examination,
    Examined,
    FinishedRun,
    ImageData,
    Measurement,
    Policy,
    StageProgress,
    State,
)
from rlvit.errors import Interrupted, RlvitError
from rlvit.runs.artifacts import ArtifactShelf, build_artifact, copy_artifact, own_copy
from rlvit.runs.checkpoint import Checkpoints
from rlvit.runs.display import Display
from rlvit.runs.folder import RunFolder, write_json
from rlvit.runs.plan import Plan
from rlvit.runs.recorder import Recorder

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


def stream_seed(seed: int, name: str) -> int:
    """Return a 63-bit seed: streams of other names or seeds are independent of it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


class StopFlag:
    """Set by Ctrl-C, SIGTERM or who watches a run; the run looks at it between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason = "stopped as asked"

    def set(self, reason: str | None = None) -> None:
        """Ask for a stop; the first reason is kept."""
        if reason is not None and not self:
            self._reason = reason
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted if a stop was asked for."""
        if self:
            raise Interrupted(self._reason)


class TrainingContext:
    """The `RunContext` of `rlvit.contracts`."""

    def __init__(
        self,
        *,
        run_id: str,
        plan: Plan,
        folder: RunFolder,
        recorder: Recorder,
        checkpoints: Checkpoints,
        shelf: ArtifactShelf,
        display: Display,
        stop: StopFlag,
        found: tuple[str, State] | None,
        used: Callable[[Artifact], None],
        revive: Callable[[str], FinishedRun],
    ) -> None:
        import torch

        self.task, self.protocol, self.seed = plan.task, plan.protocol, plan.seed
        self.device = torch.device(plan.device)
        self.folder: Path = folder.path
        self._run_id, self._plan = run_id, plan
        self._files, self._recorder, self._checkpoints = folder, recorder, checkpoints
        self._shelf, self._display, self._stop = shelf, display, stop
        self._found, self._used, self._revive = found, used, revive
        self._finished: dict[str, FinishedRun] = {}
        self._saved_at: tuple[str, int] | None = None
        self._data: ImageData | None = None

    def part(self, slot: str) -> Any:
        """Return the specification of the part chosen for a slot."""
        return self._plan.parts[slot]

    def generator(self, name: str, seed: int | None = None) -> np.random.Generator:
        """Return the named random stream of this run (or of `seed`)."""
        import numpy as np

        return np.random.default_rng(self._stream(name, seed))

    def torch_generator(self, name: str, seed: int | None = None) -> torch.Generator:
        """Return the named random stream of this run (or of `seed`) for torch, on the CPU."""
        import torch

        return torch.Generator().manual_seed(self._stream(name, seed))

    def _stream(self, name: str, seed: int | None) -> int:
        return stream_seed(self.seed if seed is None else seed, name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record declared metrics; a logged row survives a kill of the process."""
        self._recorder.log(step, values)

    def checkpoint(self, stage: str, step: int, state: Callable[[], State], every: int) -> None:
        """At every `every` steps, and when the run is asked to stop, save what `state` returns.

        Raises:
            Interrupted: after saving, if the run was asked to stop.
        """
        if (step % every == 0 or self._stop) and self._saved_at != (stage, step):
            self._files.sync()
            self._checkpoints.save(stage, step, self._files.rows, state())
            self._saved_at = (stage, step)
        self._stop.check()

    def check_stop(self) -> None:
        """Raise Interrupted if a stop was asked for: in work that is cheap to do again."""
        self._stop.check()

    def restored(self, stage: str) -> State | None:
        """Return the state saved in this stage if the run resumes from there, else None."""
        if self._found is not None and self._found[0] == stage:
            return self._found[1]
        return None

    def artifact(
        self,
        kind: str,
        inputs: Callable[[], Mapping[str, Any]],
        build: Callable[[Path], None],
        *,
        copy: bool = False,
    ) -> Artifact:
        """Find the artifact with these inputs, or build it once under a lock.

        With `copy` a copy goes into the run's own folder, and a resumed run uses that: it goes on
        with what it began with, even if the code that builds it has changed since.
        """
        own = own_copy(self.folder / "artifacts" / kind) if copy else None
        found = own or self._shelf.get(
            kind, inputs(), build, run_id=self._run_id, say=self.say, check_stop=self._stop.check
        )
        if own is None:  # else it was recorded when the copy was made
            self._used(found)
        if copy and own is None:
            copy_artifact(found, self.folder / "artifacts")
        return found

    def keep(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Artifact:
        """Build an artifact that is this run's alone, in its own folder."""
        folder = self.folder / "artifacts" / kind
        kept = build_artifact(folder, kind, inputs, build, self._run_id)
        self._used(kept)
        return kept

    def finished(self, run_id: str) -> FinishedRun:
        """Return the completed run that a setting names; that it is used is put on record.

        Raises:
            RlvitError: no setting names it, it is gone, or what is taken from it is not sound.
        """
        if run_id not in self._finished:
            kinds, found = self._plan.taken(run_id), self._revive(run_id)
            for kind in kinds:
                own = own_copy(found.view.folder / "artifacts" / kind)
                if own is None:
                    raise RlvitError(f"run {run_id} has no sound {kind!r} in its folder any more.")
                self._used(own)
            self._finished[run_id] = found
        return self._finished[run_id]

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin a stage of the run."""
        self._files.log(f"stage {name}: {total} {unit}")
        return self._display.stage(name, total, unit)

    def data(self) -> ImageData:
        """Return the images of a dataset task, read once; what was read is kept on record.

        Raises:
            RlvitError: the task has none, or a resumed run finds other images than it began with.
        """
        if self._data is None:
            if self.task.load is None:
                raise RlvitError(f"the {self.task.kind} {self.task.name} has no images.")
            self._data = self.task.load(self.protocol.settings, self._plan.data_request(self.say))
            self._keep_data(self._data)
        return self._data

    def _keep_data(self, data: ImageData) -> None:
        own = own_copy(self.folder / "artifacts" / "data")
        if own is not None and own.inputs["sha256"] != data.sha256:
            raise RlvitError(
                f"the images in {self._plan.data_root} are not those that this run began with: "
                f"{data.sha256[:12]} now, {str(own.inputs['sha256'])[:12]} before."
            )
        if own is None:
            inputs = {"task": self.task.name, "sha256": data.sha256}
            facts = {**inputs, "classes": list(data.classes), "skipped": list(data.skipped)}
            self.keep("data", inputs, lambda folder: write_json(folder / "data.json", facts))

    def examine(self, subject: Policy | Classifier) -> Examined:
        """Measure it under the run's protocol and record nothing: for baselines."""
        return self._examine(subject, lambda episode: None)

    def evaluate(self, subject: Policy | Classifier, step: int) -> Examined:
        """Measure it under the run's protocol; record the results, episodes and the table.

        An interrupted evaluation begins again from its first item.
        """
        found = self._examine(subject, lambda episode: self._recorder.episode(step, episode))
        if found.table:
            self._keep_table(step, found.table)
        self.record(step, found.measurements)
        return found

    def _examine(
        self, subject: Policy | Classifier, episode: Callable[[Episode], None]
    ) -> Examined:
        table: dict[str, NDArray[Any]] = {}
        examination = Examination(
            subject=subject,
            task=self.task,
            protocol=self.protocol,
            seed=self._stream("evaluate", None),
            episode=episode,
            table=table.update,
            progress=lambda unit, total: self.stage("evaluate", total, unit),
            check_stop=self._stop.check,
            data=self.data,
        )
        return Examined(self._plan.evaluator.measure(examination), table)

    def _keep_table(self, step: int, table: Mapping[str, NDArray[Any]]) -> None:
        """Keep one row for each evaluated item, so that runs can be compared item by item."""
        import numpy as np

        def build(folder: Path) -> None:
            np.savez_compressed(folder / "predictions.npz", allow_pickle=False, **table)

        inputs = {"step": step, "protocol": self.protocol.name, "columns": sorted(table)}
        self.keep(f"predictions-{step}", inputs, build)

    def record(self, step: int, measurements: Sequence[Measurement]) -> None:
        """Record further results."""
        for measurement in measurements:
            self._recorder.result(step, measurement)

    def say(self, text: str) -> None:
        """Tell the user something, and keep it in the run's log."""
        self._files.log(text)
        self._display.say(text)
