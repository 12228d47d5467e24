"""The home as a folder: can it be written, on what disk it is, what killed processes left in it."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import Patient, counted, some
from rlvit.home import Home, sqlite_path

# SQLite's write-ahead log needs memory that all its users share: none of these has it.
NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "9p", "lustre", "gpfs"),
    *("beegfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs"),
)
MEMORY = ("tmpfs", "ramfs")
GIB = 2**30
LOW, LITTLE = GIB, 10 * GIB  # bytes left: a problem, worth a note
OLD = 3600.0  # seconds: what is younger may belong to a process that is at it
# What is written aside and renamed when it is whole: with the writer's process, of SQLite's files
# that are being made, and checkpoints.
ASIDE = (
    re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)"),
    re.compile(r"\..+\.making(-journal|-wal|-shm)?"),
    re.compile(r"\.\d{6}\.pt"),
)


def folder(patient: Patient) -> Iterator[Diagnosis]:
    """Look whether the home is there and can be written."""
    root = patient.home.root
    if not root.exists():
        advice = "rlvit run --help"
        yield Diagnosis("home", "note", f"{root} is not there yet; the first run makes it", advice)
        return
    problem = _unwritable(root) or _unwritable(patient.home.runs)
    if problem is not None:
        advice = "choose another with --home, or make this one writable"
        yield Diagnosis("home", "problem", f"{root} cannot be written: {problem}", advice)
        return
    yield Diagnosis("home", "ok", f"{root} can be written")


def _unwritable(path: Path) -> str | None:
    """Try to make a file without a name in a folder; return why that fails."""
    if not path.exists():
        return None
    try:
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def disk(patient: Patient) -> Iterator[Diagnosis]:
    """Look at the space that is left, and at the file system under the registry."""
    place = _existing(patient.home.root)
    left = shutil.disk_usage(place).free
    text = f"{left / GIB:,.1f} GiB are left at {place}"
    yield judge_space(left, text)
    file = sqlite_path(patient.home.registry_url)
    try:
        mounts = Path("/proc/self/mounts").read_text()
    except OSError:
        return  # another system than Linux
    found = None if file is None else judge_mount(_existing(file).resolve(), mounts)
    if found is not None:
        yield found


def judge_space(left: int, text: str) -> Diagnosis:
    """Return what to make of so many bytes."""
    if left >= LITTLE:
        return Diagnosis("disk", "ok", text)
    return Diagnosis("disk", "problem" if left < LOW else "note", text, "rlvit runs gc")


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def judge_mount(path: Path, mounts: str) -> Diagnosis | None:
    """Return what is wrong with a place for an SQLite file, by the system's table of mounts."""
    kind, best = "", -1
    for line in mounts.splitlines():
        fields = line.split()
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[1])
        if path.is_relative_to(point) and len(point) >= best:
            kind, best = fields[2], len(point)
    if kind in NETWORK:
        text = f"{path} is on a network file system ({kind}), where SQLite may lose data"
        advice = "keep the registry on a disk of this machine (--registry FILE), or in PostgreSQL"
        return Diagnosis("disk", "problem", text, advice)
    if kind in MEMORY:
        text = f"{path} is kept in memory ({kind}): a restart forgets it"
        return Diagnosis("disk", "note", text, "choose another home with --home")
    return None


def leftovers(patient: Patient) -> Iterator[Diagnosis]:
    """Look for files that were being written when their process was killed."""
    home = patient.home
    found = [path for path in _hidden(home) if _abandoned(path)]
    if not found:
        yield Diagnosis("leftovers", "ok", "nothing half written is left")
        return
    names = some([str(path.relative_to(home.root)) for path in found])
    text = f"half written files of killed processes: {names}"
    yield Diagnosis("leftovers", "note", text, "rlvit doctor --fix", partial(_remove, home))


def _hidden(home: Home) -> Iterator[Path]:
    """Yield the hidden files of the home, of its runs and of their checkpoints."""
    yield from home.root.glob(".*")
    yield from home.runs.glob(".*")
    yield from home.runs.glob("*/.*")
    yield from home.runs.glob("*/checkpoint/.*")


def _abandoned(path: Path) -> bool:
    """Return whether a file was written aside by a process that is gone, and lately by none."""
    match = next((m for shape in ASIDE if (m := shape.fullmatch(path.name))), None)
    try:
        if match is None or not path.is_file() or path.is_symlink():
            return False
        if time.time() - path.stat().st_mtime < OLD:
            return False
    except OSError:
        return False
    pid = match.groupdict().get("pid")
    return pid is None or not _runs(int(pid))


def _runs(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def _remove(home: Home) -> str:
    removed = [path for path in _hidden(home) if _abandoned(path)]
    for path in removed:
        path.unlink(missing_ok=True)
    return f"removed {counted(len(removed), 'half written file')}"


def imports(patient: Patient) -> Iterator[Diagnosis]:
    """Look for imports that were killed; a run that one was replacing may lie in its folder."""
    home = patient.home
    left = [path for path in home.runs.glob(".importing-*") if _killed(path)]
    if left:
        text = f"killed imports left {some([path.name for path in left])}"
        yield Diagnosis("leftovers", "note", text, "rlvit doctor --fix", partial(_clean_up, home))


def _killed(path: Path) -> bool:
    """Return whether the process of an import, whose number is in the name, is gone."""
    pid = path.name.split("-")[1]
    try:
        old = time.time() - path.stat().st_mtime > OLD
    except OSError:
        return False
    return old and path.is_dir() and not (pid.isdecimal() and _runs(int(pid)))


def _clean_up(home: Home) -> str:
    """Do what the next import would do first."""
    from filelock import FileLock, Timeout

    from rlvit.runs.bundle.staging import LOCK, clean_up

    try:
        with FileLock(home.locks / LOCK, timeout=0):
            clean_up(home)
    except Timeout:
        return "an import is under way: it cleans up itself"
    return "removed what killed imports left; runs that they had set aside are back"


def locks(patient: Patient) -> Iterator[Diagnosis]:
    """Look for locks of runs that nobody will work on any more; held ones are left alone."""
    home = patient.home
    stray = [path for path in home.locks.glob("run-*.lock") if _stray(home, path)]
    if not stray:
        yield Diagnosis("locks", "ok", "no stray locks")
        return
    text = f"{counted(len(stray), 'lock file')} of runs that are gone (no harm in that)"
    yield Diagnosis("locks", "note", text, "rlvit doctor --fix", partial(_unlock, home))


def _stray(home: Home, path: Path) -> bool:
    """Return whether a lock is old and its run has no folder."""
    run = home.runs / path.name.removeprefix("run-").removesuffix(".lock")
    try:
        return not run.exists() and time.time() - path.stat().st_mtime > OLD
    except OSError:
        return False


def _unlock(home: Home) -> str:
    from filelock import FileLock, Timeout

    removed = 0
    for path in home.locks.glob("run-*.lock"):
        if not _stray(home, path):
            continue
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
                removed += 1
        except Timeout:
            continue  # somebody has it after all
    return f"removed {counted(removed, 'lock file')}"
