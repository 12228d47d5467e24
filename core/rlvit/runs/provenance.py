"""Where a run came from: code, command, packages, machine; and whether its process still lives."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import shlex
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from rlvit.registry.records import RunRecord

BOOT_TOLERANCE = 2.0  # seconds: the clock that the boot time comes from is corrected now and then
REMOTE_SILENCE = 600.0  # seconds without a heartbeat: a run on another host counts as dead
ABOUT_TO_START = 60.0  # seconds that a new run may take to have a process on record
ACTIVE = ("created", "running")  # states of runs that are under way, if their process lives
NEW_FILE = 2**20  # bytes of an untracked file that are kept
NEW_FILES = 2**23  # characters of all of them
NAMED = 10_000  # untracked files in the difference


def source_tree(file: str | None) -> Path | None:
    """Return the top of the git work tree that tracks `file`, or None."""
    if file is None:
        return None
    folder = Path(file).resolve().parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top or _git(folder, "ls-files", "--error-unmatch", Path(file).name) is None:
        return None
    return Path(os.fsdecode(top.removesuffix(b"\n")))


def code_state(tree: Path | None) -> tuple[dict[str, Any], str]:
    """Return the commit and dirty flag of a work tree, and its difference from the commit as text.

    New files that git does not track yet are part of the difference; those that are binary or too
    large are named in it. The flag is None, unknown, if git failed.
    """
    if tree is None:
        return {"git_commit": None, "git_dirty": None, "git_tree": None}, ""
    commit = _git(tree, "rev-parse", "HEAD")
    changes = _git(tree, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
    listed = _git(tree, "ls-files", "--others", "--exclude-standard", "-z")
    names = [name for name in (listed or b"").split(b"\0") if name]
    known = not (commit is None or changes is None or listed is None)
    return {
        "git_commit": commit.decode().strip() if commit else None,
        "git_dirty": bool(changes or names) if known else None,
        "git_tree": str(tree),
    }, (changes or b"").decode(errors="replace") + _new_files(tree, names)


def _new_files(tree: Path, names: Sequence[bytes]) -> str:
    """Return untracked files as a patch that makes them; what is left out is named."""
    pieces: list[str] = []
    left, unnamed = NEW_FILES, 0
    for name in names:
        piece = _new_file(tree, name) if left > 0 else None
        if piece is None or len(piece) > left:
            piece = f"# untracked, not copied: {_quoted(b'', name)}{_size(tree, name)}\n"
            if len(pieces) >= NAMED:
                unnamed += 1
                continue
        else:
            left -= len(piece)
        pieces.append(piece)
    return "".join(pieces) + (f"# and {unnamed} more untracked files\n" if unnamed else "")


def _new_file(tree: Path, name: bytes) -> str | None:
    """Return a new file as git would show it, or None: it is large, no text or cannot be read."""
    path = tree / os.fsdecode(name)
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            mode, text = "120000", os.fsencode(os.readlink(path)).decode()
        elif not stat.S_ISREG(found.st_mode) or found.st_size > NEW_FILE:
            return None
        else:
            mode = "100755" if found.st_mode & 0o100 else "100644"
            text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    if "\0" in text:
        return None
    old, new = _quoted(b"a/", name), _quoted(b"b/", name)
    head = f"diff --git {old} {new}\nnew file mode {mode}\n"
    if not text:
        return head
    lines = text.removesuffix("\n").split("\n")
    body = "".join(f"+{line}\n" for line in lines)
    end = "" if text.endswith("\n") else "\\ No newline at end of file\n"
    tab = "\t" if " " in new else ""  # else the name would end at the space
    return f"{head}--- /dev/null\n+++ {new}{tab}\n@@ -0,0 +1,{len(lines)} @@\n{body}{end}"


def _size(tree: Path, name: bytes) -> str:
    try:
        return f" ({(tree / os.fsdecode(name)).lstat().st_size:,} bytes)"
    except OSError:
        return ""


def _quoted(prefix: bytes, name: bytes) -> str:
    """Return a name as git writes it in a patch."""
    plain = [chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in prefix + name]
    text = "".join(plain)
    return f'"{text}"' if any(len(part) > 1 for part in plain) else text


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git writes, or None if it failed."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def without_passwords(text: str) -> str:
    """Return a text in which `***` stands for the password of every URL."""
    text = re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s'\"]*", r"\1***", text)


def machine(device: str, threads: int) -> dict[str, Any]:
    """Describe the command, the versions and the machine of this process."""
    import torch

    from rlvit.runs.precision import FULL

    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "command": without_passwords(shlex.join(sys.argv)),
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": dict(_packages()),
        "user": psutil.Process().username(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "device": device,
        "gpu": gpu,
        "float32": None if gpu is None else FULL,  # that its method begins with
        "threads": threads,
    }


@functools.cache
def _packages() -> Mapping[str, str]:
    """Return the versions of what is installed.

    Read once a process: that takes 0.2 s, and a process goes on with what it has imported.
    """
    installed = importlib.metadata.distributions()
    return {one.name: one.version for one in installed if one.name is not None}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def process_identity() -> dict[str, Any]:
    """Name this process so that another can tell whether it still lives."""
    own = psutil.Process()
    return {
        "host": socket.gethostname(),
        "boot": psutil.boot_time(),
        "boot_id": _boot_id(),
        "pid": own.pid,
        "started": own.create_time(),
        "age_of_boot": _age_of_boot(own),
    }


def _boot_id() -> str | None:
    """Return what Linux calls this start of the machine; None on other systems."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _age_of_boot(process: psutil.Process) -> float:
    """Return how long the machine had run, in seconds, when a process began."""
    return float(process.create_time() - psutil.boot_time())


def is_under_way(
    state: str,
    identity: Mapping[str, Any],
    heartbeat_at: float | None,
    created_at: float,
    now: float,
) -> bool:
    """Return whether a run of that state has a process, or is about to have one.

    A run that seems to begin in the future is judged by how far off that is: clocks are set.
    """
    if state == "created" and abs(now - created_at) < ABOUT_TO_START:
        return True
    return state in ACTIVE and is_alive(identity, heartbeat_at, now)


def run_is_under_way(run: RunRecord) -> bool:
    """Return whether a run has a process now, or is about to have one."""
    return is_under_way(run.state, run.process, run.heartbeat_at, run.created_at, time.time())


def is_alive(identity: Mapping[str, Any], heartbeat_at: float | None, now: float) -> bool:
    """Return whether the process lives; on another host, whether its heart beat lately.

    After a restart of the machine the same number is another process. A clock that is set moves
    the times of boot and start alike, which is no restart. A heartbeat in the future is a sign of
    life: clocks differ, and a run must never be taken for dead while it works.
    """
    if identity.get("host") != socket.gethostname():
        return heartbeat_at is not None and now - heartbeat_at < REMOTE_SILENCE
    try:
        process = psutil.Process(identity["pid"])
        if identity.get("boot_id"):
            later = abs(_age_of_boot(process) - identity["age_of_boot"])
            same = identity["boot_id"] == _boot_id() and later < BOOT_TOLERANCE
        else:
            same = abs(psutil.boot_time() - identity["boot"]) <= BOOT_TOLERANCE
            same = same and abs(process.create_time() - identity["started"]) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, KeyError):
        return False
