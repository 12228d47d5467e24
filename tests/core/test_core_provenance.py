"""What is recorded of the code that a run used: nothing is called clean that is not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rlvit.runs import provenance

ODD = [
    "plain.py",
    "a b.py",
    "grün.py",
    'quo"te.py',
    "back\\slash.py",
    "tab\there.py",
    "new\nline.py",
]


def _git(tree: Path, *arguments: str, text: str | None = None) -> str:
    known = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *known, *arguments],
        cwd=tree,
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a work tree with one commit."""
    tree = tmp_path / "tree"
    tree.mkdir()
    _git(tree, "init", "-q")
    (tree / "method.py").write_text("one\n")
    (tree / ".gitignore").write_text("*.log\n")
    _git(tree, "add", ".")
    _git(tree, "commit", "-q", "-m", "first")
    return tree


def test_without_a_work_tree_nothing_is_known() -> None:
    code, diff = provenance.code_state(None)
    assert set(code.values()) == {None}
    assert diff == ""


def test_a_clean_tree_is_clean(tree: Path) -> None:
    (tree / "ignored.log").touch()
    code, diff = provenance.code_state(provenance.source_tree(str(tree / "method.py")))
    assert code["git_commit"] == _git(tree, "rev-parse", "HEAD").strip()
    assert (code["git_dirty"], code["git_tree"], diff) == (False, str(tree), "")


def test_a_changed_file_is_dirty_and_in_the_difference(tree: Path) -> None:
    (tree / "method.py").write_bytes(b"one\r\ntwo\n")
    code, diff = provenance.code_state(tree)
    assert code["git_dirty"] is True
    _git(tree, "checkout", "-q", ".")
    (tree.parent / "source.diff").write_bytes(diff.encode())
    _git(tree, "apply", "../source.diff")
    assert (tree / "method.py").read_bytes() == b"one\r\ntwo\n"


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("text", ["", "a\n", "a\nb", "\n\n", "ä\x0c\r\nb\n"])
def test_a_new_file_can_be_made_again_from_the_difference(tree: Path, name: str, text: str) -> None:
    path = tree / "folder" / name
    path.parent.mkdir()
    path.write_bytes(text.encode())
    path.chmod(0o755)
    code, diff = provenance.code_state(tree)
    assert code["git_dirty"] is True
    path.unlink()
    (tree.parent / "source.diff").write_bytes(diff.encode())
    _git(tree, "apply", "../source.diff")
    assert path.read_bytes() == text.encode()
    assert os.access(path, os.X_OK)


def test_a_new_link_can_be_made_again_from_the_difference(tree: Path) -> None:
    (tree / "link").symlink_to("method.py")
    _, diff = provenance.code_state(tree)
    (tree / "link").unlink()
    _git(tree, "apply", "-", text=diff)
    assert os.readlink(tree / "link") == "method.py"


def test_large_and_binary_files_are_named_only(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "large.txt").write_text("x" * (provenance.NEW_FILE + 1))
    (tree / "zero.bin").write_bytes(b"a\0b")
    (tree / "latin.txt").write_bytes(b"caf\xe9")
    (tree / os.fsdecode(b"caf\xe9.py")).write_text("small\n")
    os.mkfifo(tree / "pipe")
    (tree / "nested").mkdir()
    _git(tree / "nested", "init", "-q")
    code, diff = provenance.code_state(tree)
    assert code["git_dirty"] is True
    assert f"# untracked, not copied: large.txt ({provenance.NEW_FILE + 1:,} bytes)\n" in diff
    assert "# untracked, not copied: zero.bin (3 bytes)\n" in diff
    assert "# untracked, not copied: latin.txt (4 bytes)\n" in diff
    assert '+++ "b/caf\\351.py"\n' in diff
    assert len(diff) < 2000


def test_new_files_are_copied_up_to_a_limit_of_all(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "NEW_FILES", 3000)
    monkeypatch.setattr(provenance, "NAMED", 8)
    for number in range(20):
        (tree / f"{number:02d}.txt").write_text("x" * 1000)
    _, diff = provenance.code_state(tree)
    assert diff.count("diff --git") == 2
    assert diff.count("# untracked, not copied: ") == 6
    assert diff.endswith("# and 12 more untracked files\n")


@pytest.mark.parametrize("command", ["rev-parse", "diff", "ls-files"])
@pytest.mark.parametrize("way", ["fails", "hangs", "is missing"])
def test_where_git_fails_it_is_unknown_whether_the_tree_is_dirty(
    tree: Path, command: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "new.py").touch()
    run = subprocess.run

    def broken(words: list[str], **more: object) -> object:
        if command not in words:
            return run(words, **more)  # type: ignore[call-overload]
        if way == "hangs":
            raise subprocess.TimeoutExpired(words, 30)
        if way == "is missing":
            raise FileNotFoundError
        return subprocess.CompletedProcess(words, 128, b"", b"fatal")

    monkeypatch.setattr(subprocess, "run", broken)
    code, _ = provenance.code_state(tree)
    assert code["git_dirty"] is None
    assert code["git_tree"] == str(tree)


def test_git_is_called_a_few_times_however_many_files_are_new(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (tree / f"{number}.txt").write_text("x\n")
    calls, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: calls.append(a) or run(*a, **k))
    _, diff = provenance.code_state(tree)
    assert diff.count("new file") == 50
    assert len(calls) == 3
