"""Ways to forge a bundle: `(good, bad, run_id)` writes a bad one like a good one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_lab import Members, forge, members, npz

Forge = Callable[[Path, Path, str], None]


def change_members(edit: Callable[[Members, str], None]) -> Forge:
    """Return what forges a bundle whose members are changed, with a manifest that fits."""
    return lambda good, bad, run_id: forge(good, bad, lambda found: edit(found, run_id))


def saying(edit: Callable[[dict[str, Any]], None]) -> Forge:
    return lambda good, bad, run_id: forge(good, bad, manifest=edit)


def change_info(edit: Callable[[zipfile.ZipInfo], None]) -> Forge:
    return lambda good, bad, run_id: forge(good, bad, infos=edit)


def rewrite(edit: Callable[[bytes], bytes]) -> Forge:
    return lambda good, bad, run_id: (bad.write_bytes(edit(good.read_bytes())), None)[1]


def adding(name: str, data: bytes = b"{}") -> Forge:
    """Return what adds a member, {run} standing for the run's id."""
    return change_members(lambda found, run_id: found.update({name.replace("{run}", run_id): data}))


def change_run(edit: Callable[[dict[str, Any]], object]) -> Forge:
    def change(found: Members, run_id: str) -> None:
        name = f"runs/{run_id}/run.json"
        document = json.loads(found[name])
        edit(document)
        found[name] = json.dumps(document).encode()

    return change_members(change)


def change_line(stream: str, edit: Callable[[dict[str, Any]], object]) -> Forge:
    """Return what changes the first row of a stream, or adds the row that `edit` makes of {}."""

    def change(found: Members, run_id: str) -> None:
        name = f"runs/{run_id}/{stream}.jsonl"
        lines = found[name].splitlines()
        row = json.loads(lines[0]) if lines else {}
        edit(row)
        found[name] = b"\n".join([json.dumps(row).encode(), *lines[1:]]) + b"\n"

    return change_members(change)


def add_line(text: bytes) -> Forge:
    def change(found: Members, run_id: str) -> None:
        found[f"runs/{run_id}/metrics.jsonl"] += text + b"\n"

    return change_members(change)


def keeping(files: Callable[[], Members]) -> Forge:
    """Return what puts an artifact into the run whose hash is right."""

    def change(found: Members, run_id: str) -> None:
        made, total = files(), hashlib.sha256()
        for name in sorted(made):
            total.update(f"{name} {hashlib.sha256(made[name]).hexdigest()}\n".encode())
        record = {"kind": "evil", "key": "0" * 64, "sha256": total.hexdigest(), "size": 1}
        record |= {"made_by": run_id, "made_at": 1.0, "inputs": {}}
        start = f"runs/{run_id}/artifacts/evil/"
        found.update({f"{start}{name}": data for name, data in made.items()})
        found[f"{start}artifact.json"] = json.dumps(record).encode()

    return change_members(change)


class Evil:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


def pickled_array() -> bytes:
    import numpy as np

    return npz(values=np.array([Evil()], dtype=object))


def checkpoint(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


def as_symlink(info: zipfile.ZipInfo) -> None:
    if info.filename.endswith("log.txt"):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16


def as_device(info: zipfile.ZipInfo) -> None:
    if info.filename.endswith("log.txt"):
        info.external_attr = (stat.S_IFCHR | 0o666) << 16


def as_bzip2(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_BZIP2


def twice(good: Path, bad: Path, run_id: str) -> None:
    bad.write_bytes(good.read_bytes())
    with zipfile.ZipFile(bad, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"runs/{run_id}/log.txt", "again")


def unlisted(good: Path, bad: Path, run_id: str) -> None:
    bad.write_bytes(good.read_bytes())
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(f"runs/{run_id}/more.txt", "more")


def folder_member(good: Path, bad: Path, run_id: str) -> None:
    bad.write_bytes(good.read_bytes())
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(f"runs/{run_id}/artifacts/", "")


def encrypted(good: Path, bad: Path, run_id: str) -> None:
    data = bytearray(good.read_bytes())
    for start in _places(bytes(data), b"PK\x01\x02"):
        data[start + 8] |= 1
    bad.write_bytes(bytes(data))


def _places(data: bytes, what: bytes) -> Iterator[int]:
    at = data.find(what)
    while at >= 0:
        yield at
        at = data.find(what, at + 1)


def not_utf8(good: Path, bad: Path, run_id: str) -> None:
    """Write a name that says it is UTF-8, and is not, into both headers of a member."""
    forge(good, bad, lambda found: found.update({f"runs/{run_id}/ä.txt": b"x"}))
    bad.write_bytes(bad.read_bytes().replace("ä.txt".encode(), b"\xff\xfe.txt"))


def same_with_bytes(said: dict[str, Any]) -> None:
    """Say that a member with bytes of its own has those of another."""
    first, other = said["members"][:2]
    first.update(size=other["size"], sha256=other["sha256"], same_as=other["name"])


def wrong_size(said: dict[str, Any]) -> None:
    said["members"][0]["size"] += 1


def wrong_hash(said: dict[str, Any]) -> None:
    said["members"][0]["sha256"] = "0" * 64


def flip_content(good: Path, bad: Path, run_id: str) -> None:
    data = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        info = archive.getinfo(f"runs/{run_id}/metrics.jsonl")
    data[info.header_offset + 30 + len(info.filename) + 40] ^= 0xFF
    bad.write_bytes(bytes(data))


def lying_size(good: Path, bad: Path, run_id: str) -> None:
    """Say in ZIP and manifest that a member of 8 MB has 10 bytes."""
    name = f"runs/{run_id}/log.txt"

    def manifest(said: dict[str, Any]) -> None:
        (entry,) = [one for one in said["members"] if one["name"] == name]
        entry["size"] = 10

    forge(good, bad, lambda found: found.update({name: b"a" * 2**23}), manifest)
    wrong, right = struct.pack("<I", 2**23), struct.pack("<I", 10)
    bad.write_bytes(bad.read_bytes().replace(wrong, right))


def overlapping(good: Path, bad: Path, run_id: str) -> None:
    """Let two entries of the list of members share the bytes of one."""
    data = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        starts = [p for p in _places(bytes(data), b"PK\x01\x02") if p >= archive.start_dir]
    data[starts[1] + 42 : starts[1] + 46] = data[starts[0] + 42 : starts[0] + 46]
    bad.write_bytes(bytes(data))


def deep_manifest(good: Path, bad: Path, run_id: str) -> None:
    forge(good, bad)
    with zipfile.ZipFile(bad, "w") as archive:
        for name, data in members(good).items():
            text = b"[" * 100_000 + b"]" * 100_000 if name == "manifest.json" else data
            archive.writestr(name, text)


def other_manifest(text: bytes) -> Forge:
    def write(good: Path, bad: Path, run_id: str) -> None:
        with zipfile.ZipFile(bad, "w") as archive:
            for name, data in members(good).items():
                archive.writestr(name, text if name == "manifest.json" else data)

    return write


def other_id(text: str) -> Forge:
    """Return what gives the run another id everywhere."""

    def write(good: Path, bad: Path, run_id: str) -> None:
        def change(found: Members) -> None:
            for name in list(found):
                data = found.pop(name).replace(run_id.encode(), text.encode())
                found[name.replace(run_id, text)] = data

        def manifest(said: dict[str, Any]) -> None:
            said["runs"][0]["id"] = text

        forge(good, bad, change, manifest)

    return write
