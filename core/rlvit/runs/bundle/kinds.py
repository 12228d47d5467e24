"""Which kinds of files a bundle carries, and whether a file is what its name says.

Nothing that could run when it is opened is among them: arrays without objects, pictures, text and
weights. A checkpoint is torch's own format; the list of what it is made of is read here without
carrying it out, and may name tensors and nothing else.
"""

from __future__ import annotations

import ast
import codecs
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from rlvit.runs.bundle import plain
from rlvit.runs.bundle.names import LIMITS, Limits, Refused

PICTURES: Mapping[str, tuple[bytes, ...]] = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
}
TEXTS = (".txt", ".csv", ".tsv", ".md", ".toml", ".diff", ".jsonl")
ARRAYS = (".npz", ".npy")
KINDS = (*TEXTS, ".json", *PICTURES, ".mp4", *ARRAYS, ".safetensors")  # in artifacts
RAW = (".f32", ".u8")  # numbers of a replay, which may be anything
# Deflate gains little, or, of the zeros at the end of a sparse replay, more than importing allows.
PACKED = (*PICTURES, ".mp4", *ARRAYS, ".safetensors", ".pt", *RAW)
TENSORS = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_tensor_v3",
        "torch._utils _rebuild_parameter",
        "torch Size",
        "torch device",
    }
)
# Instructions that look a thing up in another way than by a name that can be read beforehand.
HIDDEN = frozenset(
    {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BUILD"}
)
HEADER = 2**16  # bytes of an array's description at most


def is_carried(path: PurePosixPath) -> bool:
    """Say whether a bundle may hold a file, by its place in a run or an artifact."""
    suffix = path.suffix.lower()
    if path.parts[0] == "checkpoint":
        return suffix in (".pt", ".json")
    if path.parts[0] == "replay":
        return suffix in (*RAW, *KINDS)
    return suffix in KINDS


def check_file(path: Path, place: PurePosixPath, what: str, limits: Limits = LIMITS) -> None:
    """Look whether a file is what its name says.

    Args:
        path: the file.
        place: in the run's folder, or the name alone.
        what: it is called in messages.
        limits: of sizes.

    Raises:
        Refused: it is not, or of a kind that bundles do not carry.
    """
    if not is_carried(place):
        raise Refused(f"{what} is of a kind that bundles do not carry ({', '.join(KINDS)})")
    suffix = place.suffix.lower()
    if suffix in PICTURES:
        _check_start(path, PICTURES[suffix], what)
    elif suffix not in RAW:
        _CHECKS[suffix](path, what, limits)


def _check_start(path: Path, starts: tuple[bytes, ...], what: str) -> None:
    with open(path, "rb") as file:
        if not file.read(16).startswith(starts):
            raise Refused(f"{what} is not what its name says")


def _check_film(path: Path, what: str, limits: Limits) -> None:
    with open(path, "rb") as file:
        if file.read(12)[4:8] != b"ftyp":
            raise Refused(f"{what} is not what its name says")


def _check_text(path: Path, what: str, limits: Limits) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        try:
            while chunk := file.read(2**20):
                if b"\0" in chunk:
                    raise Refused(f"{what} is no text")
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise Refused(f"{what} is no UTF-8 text") from None


def _check_json(path: Path, what: str, limits: Limits) -> None:
    plain.parse_file(path, what, limits)


def _check_weights(path: Path, what: str, limits: Limits) -> None:
    """Check the description of a safetensors file: its length in 8 bytes, then JSON."""
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 2**64
        if length > min(limits.document, path.stat().st_size):
            raise Refused(f"{what} is not what its name says")
        if not isinstance(plain.parse(file.read(length), what, limits), dict):
            raise Refused(f"{what} is not what its name says")


def _check_array(path: Path, what: str, limits: Limits) -> None:
    with open(path, "rb") as file:
        _check_array_header(file, what)


def _check_arrays(path: Path, what: str, limits: Limits) -> None:
    """Check the arrays in an NPZ file; they are a ZIP of NPY files."""
    with _opened(path, what) as arrays:
        total = 0
        for info in arrays.infolist():
            total += info.file_size
            if info.flag_bits & 0x2041 or not info.filename.endswith(".npy"):
                raise Refused(f"{what} holds {info.filename!a}, which is no array")
            if total > limits.member:
                raise Refused(f"{what} would unpack to more than {limits.member:,} bytes")
            with arrays.open(info) as file:
                _check_array_header(file, what)


def _check_array_header(file: IO[bytes], what: str) -> None:
    """Refuse an array of objects, which would be unpickled; raises Refused."""
    import numpy as np

    start = file.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise Refused(f"{what} holds no array")
    length = int.from_bytes(file.read(2 if start[6] == 1 else 4), "little")
    if length > HEADER:
        raise Refused(f"{what} has a description of {length:,} bytes")
    try:
        described = ast.literal_eval(file.read(length).decode("latin-1"))
        kind = np.lib.format.descr_to_dtype(described["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as problem:
        raise Refused(f"{what} holds no array ({type(problem).__name__})") from None
    if kind.hasobject:
        raise Refused(f"{what} holds an array of Python objects, which would be unpickled")


def _check_checkpoint(path: Path, what: str, limits: Limits) -> None:
    """Read the list of a checkpoint's parts without carrying it out; raises Refused."""
    with _opened(path, what) as parts:
        lists = [info for info in parts.infolist() if info.filename.endswith(".pkl")]
        if len(lists) != 1 or lists[0].file_size > limits.document:
            raise Refused(f"{what} is no checkpoint")
        if any(info.compress_type != zipfile.ZIP_STORED for info in parts.infolist()):
            raise Refused(f"{what} is packed, which no checkpoint is")
        _check_instructions(parts.read(lists[0]), what)


def _check_instructions(data: bytes, what: str) -> None:
    """Refuse a list that names anything but tensors and their storages; raises Refused."""
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name in HIDDEN or (code.name == "GLOBAL" and not _is_tensor(str(argument))):
                named = repr(argument) if code.name == "GLOBAL" else code.name
                raise Refused(f"{what} asks for {named} when it is read, and tensors need no such")
    except ValueError:  # of UnicodeDecodeError as well
        raise Refused(f"{what} is no checkpoint") from None


def _is_tensor(name: str) -> bool:
    module, _, kind = name.partition(" ")
    storage = module == "torch" and kind.isalnum() and kind.endswith("Storage")
    return name in TENSORS or storage


@contextmanager
def _opened(path: Path, what: str) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP inside the bundle; its damage is refused."""
    try:
        with zipfile.ZipFile(path) as parts:
            yield parts
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
        raise Refused(f"{what} is damaged: {problem}") from None
    except (ValueError, struct.error):
        raise Refused(f"{what} is damaged") from None


_CHECKS: Mapping[str, Callable[[Path, str, Limits], None]] = {
    **dict.fromkeys(TEXTS, _check_text),
    ".json": _check_json,
    ".mp4": _check_film,
    ".npy": _check_array,
    ".npz": _check_arrays,
    ".safetensors": _check_weights,
    ".pt": _check_checkpoint,
}
