"""Where a run came from: code, command, packages, machine; and whether its process still lives."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

REMOTE_SILENCE = 600.0  # seconds without a heartbeat: a run on another host counts as dead


def source_tree(file: str | None) -> Path | None:
    """Return the top of the git work tree that tracks `file`, or None."""
    if file is None:
        return None
    folder = Path(file).resolve().parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top or _git(folder, "ls-files", "--error-unmatch", Path(file).name) is None:
        return None
    return Path(top.strip())


def code_state(tree: Path | None) -> tuple[dict[str, Any], str]:
    """Return the commit and dirty flag of a work tree, and its difference from the commit as text.

    New files that git does not track yet are part of the difference.
    """
    if tree is None:
        return {"git_commit": None, "git_dirty": None, "git_tree": None}, ""
    commit = _git(tree, "rev-parse", "HEAD")
    diff = _git(tree, "diff", "HEAD", "--binary") or ""
    for name in (_git(tree, "ls-files", "--others", "--exclude-standard") or "").splitlines():
        diff += _git(tree, "diff", "--no-index", "--", os.devnull, name, accept=(0, 1)) or ""
    return {
        "git_commit": commit.strip() if commit else None,
        "git_dirty": bool(diff),
        "git_tree": str(tree),
    }, diff


def _git(folder: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode in accept else None


def machine(device: str, threads: int) -> dict[str, Any]:
    """Describe the command, the versions and the machine of this process."""
    import torch

    return {
        "command": shlex.join(sys.argv),
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {
            d.name: d.version for d in importlib.metadata.distributions() if d.name is not None
        },
        "user": psutil.Process().username(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "device": device,
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "threads": threads,
    }


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
        "pid": own.pid,
        "started": own.create_time(),
    }


def is_alive(identity: Mapping[str, Any], heartbeat_at: float | None, now: float) -> bool:
    """Return whether the process lives; on another host, whether its heart beat lately."""
    if identity.get("host") != socket.gethostname():
        return heartbeat_at is not None and now - heartbeat_at < REMOTE_SILENCE
    try:
        process = psutil.Process(identity["pid"])
        same = abs(process.create_time() - identity["started"]) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, KeyError):
        return False
