"""`rlvit export-model`: which runs it takes, where it writes, and what it leaves when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_program import Done, Program, add_plugin

EXPORTER = """
from dataclasses import replace

from rlvit.errors import RlvitError, UnknownName
from rlvit.hookspecs import hookimpl
from rlvit_toy import plugin as toy


def export(request):
    (request.out / "half.bin").write_bytes(b"12345")
    if request.form != "python":
        raise UnknownName("form", request.form, ["python"])
    if request.config.rate == 0.5:
        raise RlvitError("the rate is too fast to export.")
    if request.config.rate == 0.25:
        raise OSError(28, "No space left on device")
    run = (request.folder / "run.json").is_file()
    seen = [request.task.name, request.slots["selector"], str(request.config.rate), str(run)]
    (request.out / "seen.txt").write_text(" ".join(seen))
    request.say("written as plain files")


@hookimpl
def rlvit_methods():
    (method,) = toy.rlvit_methods()
    return [replace(method, name="toy-exporter", export=export)]
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Program:
    """A home with a run of a method that has no model, and four of one that has."""
    folder = tmp_path_factory.mktemp("lived")
    add_plugin(folder / "site", "exporter", EXPORTER)
    program = Program(folder, [bare_site, toy_site, folder / "site"])
    assert program.run("--name", "plain").code == 0
    for name, rate in (("good", "0.125"), ("fast", "0.5"), ("full", "0.25")):
        done = export_run(program, "--name", name, "--rate", rate)
        assert done.code == 0, done.err
    assert export_run(program, "--name", "stopped", TOY_AT="9:SIGTERM").code == 130
    return program


def export_run(program: Program, *options: str, **environment: str) -> Done:
    """Run the method that can export."""
    command = ["toy-exporter" if word == "toy" else word for word in program.command(*options)]
    return program(*command, **environment)


def id_of(program: Program, name: str) -> str:
    return str(json.loads(program("runs", "show", name, "--format", "json").out)[0]["id"])


def refusal(done: Done, code: int) -> str:
    """Return the one line of a command that failed as expected."""
    assert done.code == code
    assert done.out == ""
    (line,) = done.errors
    return line.removeprefix("Error: ")


def test_a_model_is_written_into_a_new_folder(lived: Program, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    done = lived("export-model", "good", "--out", str(out))
    assert (done.code, done.err) == (0, "")
    assert (out / "seen.txt").read_text() == "Alpha toy-pick 0.125 True"
    assert [path.name for path in out.parent.iterdir()] == ["model"]  # nothing is left beside it
    assert done.out.splitlines() == [
        "written as plain files",
        f"{out}/half.bin  5 bytes",
        f"{out}/seen.txt  25 bytes",
    ]


def test_by_default_the_folder_is_named_after_the_run(lived: Program) -> None:
    done = lived("export-model", "good")
    assert done.code == 0, done.err
    assert (lived.folder / f"{id_of(lived, 'good')}-model" / "seen.txt").is_file()


def test_an_existing_folder_is_refused_and_left_alone(lived: Program, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    line = refusal(lived("export-model", "good", "--out", str(out)), 2)
    assert line == f"--out {out}: it exists already; name a new folder."
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_method_without_export_says_so(lived: Program, tmp_path: Path) -> None:
    done = lived("export-model", "plain", "--out", str(tmp_path / "model"))
    assert refusal(done, 2) == "toy has no model to export."
    assert not list(tmp_path.iterdir())


def test_an_incomplete_run_is_refused(lived: Program, tmp_path: Path) -> None:
    line = refusal(lived("export-model", "stopped", "--out", str(tmp_path / "model")), 1)
    run = id_of(lived, "stopped")
    assert line == f"run {run} is interrupted: only a completed run has a model."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nobody",), 2, "nobody"),
        (("good", "--form", "pyton"), 2, "unknown form 'pyton'. Did you mean 'python'?"),
        (("fast",), 1, "the rate is too fast to export."),
        (("full",), 1, "No space left on device"),
    ],
)
def test_what_fails_ends_in_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], code: int, message: str, lived: Program, tmp_path: Path
) -> None:
    done = lived("export-model", *arguments, "--out", str(tmp_path / "model"))
    assert message in refusal(done, code)
    assert not list(tmp_path.iterdir())


def test_without_a_run_or_a_registry_the_command_is_refused(lived: Program, tmp_path: Path) -> None:
    assert "Missing argument 'RUN'" in refusal(lived("export-model"), 2)
    done = lived("export-model", "latest", home=tmp_path / "nowhere")
    assert "there is no registry" in refusal(done, 2)
    assert not list(tmp_path.iterdir())
