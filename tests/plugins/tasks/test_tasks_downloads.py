"""Holds downloads to their checksums, and archives to what was expected of them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rlvit.errors import RlvitError
from rlvit_tasks.downloads import Published, download, extract

CONTENT = b"what was published"


def published(path: Path, content: bytes = CONTENT) -> Published:
    """A file that has been published, at a file:// address."""
    path.write_bytes(content)
    return Published("thing.bin", path.as_uri(), hashlib.md5(CONTENT).hexdigest())


def archive(path: Path, members: dict[str, bytes | None], link: str | None = None) -> Path:
    """A tar archive; a member of None is a symbolic link."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, link or "/etc/passwd"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_a_download_is_whole_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    file = published(tmp_path / "source")
    found = download(file, tmp_path / "new" / "folder", said.append, "")
    assert found == tmp_path / "new" / "folder" / "thing.bin"
    assert found.read_bytes() == CONTENT
    assert [path.name for path in found.parent.iterdir()] == ["thing.bin"]
    assert said == [f"downloading {file.url} to {found.parent}"]


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    file = published(tmp_path / "source", CONTENT + b"!")
    with pytest.raises(RlvitError) as problem:
        download(file, tmp_path / "out", lambda text: None, "Fetch it by hand.")
    text = str(problem.value)
    assert file.md5 in text
    assert hashlib.md5(CONTENT + b"!").hexdigest() in text
    assert text.endswith("Fetch it by hand.")
    assert not list((tmp_path / "out").iterdir())


def test_no_network_is_one_line_with_advice(tmp_path: Path, no_network: Callable[[], int]) -> None:
    file = Published("thing.bin", "https://data.example/thing.bin", "0" * 32)
    with pytest.raises(RlvitError) as problem:
        download(file, tmp_path / "out", lambda text: None, "Put thing.bin there.")
    assert "\n" not in str(problem.value)
    assert "https://data.example/thing.bin" in str(problem.value)
    assert str(problem.value).endswith("Put thing.bin there.")
    assert not (tmp_path / "out").exists()
    assert no_network() == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(RlvitError, match="cannot download"):
        download(published(tmp_path / "source"), tmp_path / "out", lambda text: None, "")


def test_only_the_named_files_are_unpacked(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"d/one": b"1", "d/two": b"22", "d/readme.html": b"x"})
    extract(tar, ["d/one", "d/two"], tmp_path / "target")
    files = {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()}
    assert files == {"one": b"1", "two": b"22"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "target"}


def test_a_folder_made_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "one").write_bytes(b"old")
    extract(archive(tmp_path / "a.tar.gz", {"d/one": b"1"}), ["d/one"], tmp_path / "target")
    assert (tmp_path / "target" / "one").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../escaped", "/tmp/rlvit-escaped", "d/../../escaped"])
def test_an_archive_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"d/one": b"1", name: b"x"})
    with pytest.raises(RlvitError, match="is refused"):
        extract(tar, ["d/one"], tmp_path / "target")
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz"}
    assert not (tmp_path.parent / "escaped").exists()
    assert not Path("/tmp/rlvit-escaped").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"d/one": None})
    with pytest.raises(RlvitError, match="'d/one', which is a link"):
        extract(tar, ["d/one"], tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_missing_member_or_a_damaged_archive_is_said(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"d/one": b"1" * 5000})
    with pytest.raises(RlvitError, match="lacks d/two"):
        extract(tar, ["d/one", "d/two"], tmp_path / "target")
    tar.write_bytes(tar.read_bytes()[:-20])
    with pytest.raises(RlvitError, match="cannot unpack"):
        extract(tar, ["d/one"], tmp_path / "target")
    tar.write_bytes(b"no archive")
    with pytest.raises(RlvitError, match="cannot unpack"):
        extract(tar, ["d/one"], tmp_path / "target")
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz"}
