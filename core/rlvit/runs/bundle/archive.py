"""Reads a ZIP from a stranger: no number in it is believed before it was measured."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from rlvit.errors import UsageProblem
from rlvit.runs.bundle.manifest import Manifest, MemberEntry, check_sizes, read_manifest
from rlvit.runs.bundle.names import LIMITS, MANIFEST, Limits, Refused, shown

CHUNK = 2**20  # bytes read at a time
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError)
END, END_SIZE = b"PK\x05\x06", 22
LOCATOR, LOCATOR_SIZE, END64, END64_SIZE = b"PK\x06\x07", 20, b"PK\x06\x06", 56
LAST = 2**20  # bytes in which an end with something behind it is looked for
HEADER_SIZE = 30  # of a member, its name apart


class Archive:
    """An open bundle whose structure is sound; its members are checked as they are read."""

    def __init__(self, path: Path, file: zipfile.ZipFile, limits: Limits) -> None:
        self.path, self._file, self._limits = path, file, limits
        self._infos = {info.filename: info for info in file.infolist()}
        self.manifest: Manifest = read_manifest(self._manifest(), limits)
        self._compare()

    def _manifest(self) -> bytes:
        info = self._infos.get(MANIFEST)
        if info is None:
            raise Refused(f"it has no {MANIFEST}: it is not a bundle of rlvit's")
        if info.file_size > self._limits.manifest:
            raise Refused(f"its {MANIFEST} has {info.file_size:,} bytes")
        with self._file.open(info) as source:
            return source.read(self._limits.manifest + 1)

    def _compare(self) -> None:
        """Refuse members that the manifest does not name, and names that are no members."""
        listed = {MANIFEST, *self.manifest.stored}
        if extra := sorted(self._infos.keys() - listed):
            raise Refused(f"its {MANIFEST} does not name the member {extra[0]!a}")
        if missing := sorted(listed - self._infos.keys()):
            raise Refused(f"its member {missing[0]!a} is missing")
        for member in self.manifest.members:
            size = self._infos[member.same_as or member.name].file_size
            if size != member.size:
                raise Refused(
                    f"its member {member.name!a} has {size:,} bytes; its {MANIFEST} says "
                    f"{member.size:,}"
                )

    def unpack(
        self,
        into: Path,
        place: Callable[[PurePosixPath], PurePosixPath],
        progress: Callable[[int], object],
    ) -> None:
        """Write all members below a folder.

        Args:
            into: the folder.
            place: says where in it a member is put, by its name.
            progress: hears the bytes of each part written.

        Raises:
            Refused: a member is not what the manifest says; what was written stays.
            OSError: the disk did not take it.
        """
        for member in self.manifest.members:
            target = into.joinpath(place(PurePosixPath(member.name)))
            target.parent.mkdir(parents=True, exist_ok=True)
            with _damage_is_refused(member.name):
                self._unpack_one(member, target, progress)

    def _unpack_one(
        self, member: MemberEntry, target: Path, progress: Callable[[int], object]
    ) -> None:
        total, left = hashlib.sha256(), member.size
        info = self._infos[member.same_as or member.name]
        with self._file.open(info) as source, open(target, "xb") as file:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    break
                total.update(chunk)
                file.write(chunk)
                progress(len(chunk))
            file.flush()
            os.fsync(file.fileno())
        if left:
            raise Refused(f"its member {member.name!a} has not the size that it should have")
        if total.hexdigest() != member.sha256:
            raise Refused(f"its member {member.name!a} has not the SHA-256 that it should have")


@contextmanager
def open_bundle(path: Path, limits: Limits = LIMITS) -> Iterator[Archive]:
    """Open a bundle after checking all that can be checked without unpacking it.

    Raises:
        UsageProblem: there is no such file.
        Refused: it is no bundle, or not a sound one.
    """
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise Refused("it is no file")
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open(path, "rb"))
        except OSError as problem:
            raise UsageProblem(f"{shown(path)}: {problem.strerror}.") from None
        with _damage_is_refused(None):
            _check_ends(opened, limits)
            archive = stack.enter_context(zipfile.ZipFile(opened))
        _check_members(archive.infolist(), archive.start_dir, limits)
        with _damage_is_refused(MANIFEST):
            bundle = Archive(path, archive, limits)
        yield bundle


@contextmanager
def _damage_is_refused(member: str | None) -> Iterator[None]:
    """Turn what the ZIP reader meets in a damaged file into Refused."""
    try:
        yield
    except Refused:
        raise
    except UnicodeDecodeError:
        raise Refused("the name of a member is not UTF-8") from None
    except (*DAMAGE, ValueError) as problem:
        what = "it is not a whole ZIP file" if member is None else f"its member {member!a}"
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        raise Refused(f"{what} is damaged: {reason}" if member else f"{what}: {reason}") from None


def _check_ends(file: IO[bytes], limits: Limits) -> None:
    """Look at the first and last bytes before the list of members is read into memory.

    Raises:
        Refused: they are not those of a ZIP without anything before, behind or beside it.
    """
    if file.read(4) != b"PK\x03\x04":
        raise Refused("it is not a bundle: it does not begin as a ZIP file does")
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END_SIZE - LOCATOR_SIZE - END64_SIZE))
    tail = file.read()
    end = tail[-END_SIZE:]
    if len(end) < END_SIZE or end[:4] != END or end[-2:] != b"\0\0":
        raise Refused(f"it is not a whole ZIP file: {_about_end(file, size)}")
    count, directory, offset = struct.unpack("<HII", end[10:20])
    behind = size - END_SIZE
    if tail[-END_SIZE - LOCATOR_SIZE : -END_SIZE].startswith(LOCATOR):
        end64 = tail[:END64_SIZE]
        if not end64.startswith(END64):
            raise Refused("it is not a whole ZIP file: its end is damaged")
        count, directory, offset = struct.unpack("<QQQ", end64[32:56])
        behind = size - END_SIZE - LOCATOR_SIZE - END64_SIZE
    if count > limits.members + 1 or directory > limits.directory:
        raise Refused(f"it has {count:,} members in a list of {directory:,} bytes: too many")
    if offset + directory != behind:
        raise Refused("it is not a whole ZIP file: bytes were put into it or taken out")
    file.seek(0)


def _about_end(file: IO[bytes], size: int) -> str:
    """Say what is wrong with the end of a file: bytes behind it, or it is not there."""
    start = max(0, size - LAST)
    file.seek(start)
    data = file.read(LAST)
    place = data.rfind(END)
    while place >= 0:  # it may be that of a ZIP inside, such as a checkpoint
        directory, offset = struct.unpack("<II", data[place + 12 : place + 20].ljust(8, b"\0"))
        found = offset + directory
        locator = data[max(0, place - LOCATOR_SIZE) : place]
        if locator.startswith(LOCATOR):
            found = struct.unpack("<Q", locator[8:16])[0] + END64_SIZE + LOCATOR_SIZE
        behind = size - start - place - END_SIZE
        if behind > 0 and found == start + place:
            return f"{behind:,} bytes were added behind its end"
        place = data.rfind(END, 0, place)
    return "its end is missing, it was cut off"


def _check_members(infos: list[zipfile.ZipInfo], directory: int, limits: Limits) -> None:
    """Refuse members that no bundle has, before one of them is read.

    Raises:
        Refused: one is encrypted, no plain file, packed in another way or far too well, or shares
            its bytes with another; or all of them together are too many or too large.
    """
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"it has two members called {twice!a}")
    check_sizes([info.file_size for info in infos], limits)
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        _check_member(info, limits)
        if info.header_offset < end:
            raise Refused(f"its member {info.filename!a} shares its bytes with another")
        end = info.header_offset + HEADER_SIZE + len(info.orig_filename) + info.compress_size
    if end > directory:
        raise Refused("its last member reaches into the list of members")


def _check_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.orig_filename != name or name.endswith("/"):
        raise Refused(f"it has a member called {info.orig_filename!a}")
    if kind not in (0, stat.S_IFREG) or info.external_attr & 0x10:
        raise Refused(f"its member {name!a} is a link, a folder or a device")
    if info.flag_bits & 0x2041:
        raise Refused(f"its member {name!a} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"its member {name!a} is packed in a way that bundles are not")
    if info.file_size > limits.small and info.file_size > limits.ratio * info.compress_size:
        raise Refused(
            f"its member {name!a} would unpack from {info.compress_size:,} to "
            f"{info.file_size:,} bytes: more than {limits.ratio} times"
        )
