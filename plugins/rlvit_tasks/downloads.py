"""Fetches published files, checks them, and unpacks what was expected and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rlvit.errors import RlvitError

TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Published:
    """A file as its publisher describes it."""

    name: str
    url: str
    md5: str


def download(file: Published, folder: Path, say: Callable[[str], None], advice: str) -> Path:
    """Put a published file into a folder, whole and checked or not at all.

    Args:
        file: what to fetch.
        folder: where it goes; made if need be.
        say: tells the user.
        advice: what the user can do where this fails.

    Raises:
        RlvitError: it cannot be fetched or written, or is not what was published.
    """
    say(f"downloading {file.url} to {folder}")
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as answer:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".part-", delete=False) as part:
                try:
                    shutil.copyfileobj(answer, part, CHUNK)
                    part.close()
                    check_md5(Path(part.name), file, advice)
                    os.replace(part.name, folder / file.name)
                finally:
                    Path(part.name).unlink(missing_ok=True)
    except OSError as problem:  # urllib's errors and time-outs are OSErrors too
        raise RlvitError(f"cannot download {file.url} ({problem}). {advice}") from None
    return folder / file.name


def check_md5(path: Path, file: Published, advice: str) -> None:
    """Compare a file with its published checksum.

    Raises:
        RlvitError: it differs.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if found != file.md5:
        raise RlvitError(
            f"{file.name} is not the published file: its MD5 is {found}, published is {file.md5}. "
            f"{advice}"
        )


def extract(archive: Path, members: Sequence[str], target: Path) -> None:
    """Unpack the named plain files of a tar archive as a new folder, which appears at once.

    The archive's own paths are never written to: each file gets the last part of its name.

    Args:
        archive: the tar file, compressed or not.
        members: names in the archive.
        target: the folder to make; one that another process made meanwhile is kept.

    Raises:
        RlvitError: the archive is damaged, lacks a file, or holds links or paths that lead out.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpack-") as name:
            fresh = Path(name) / target.name
            fresh.mkdir()
            with tarfile.open(archive) as tar:
                found = {member.name: member for member in tar.getmembers()}
                _refuse_strange(archive, list(found.values()))
                for wanted in members:
                    _copy_member(tar, found.get(wanted), wanted, archive, fresh)
            if not target.exists():
                fresh.rename(target)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as problem:
        raise RlvitError(f"cannot unpack {archive}: {problem}.") from None


def _refuse_strange(archive: Path, members: Sequence[tarfile.TarInfo]) -> None:
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise RlvitError(
                f"{archive} holds {member.name!r}, which is a link or leads out of the archive: "
                "it is refused."
            )


def _copy_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo | None, wanted: str, archive: Path, folder: Path
) -> None:
    source = None if member is None else tar.extractfile(member)
    if source is None:
        raise RlvitError(f"{archive} lacks {wanted}.")
    with source, (folder / PurePosixPath(wanted).name).open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)
