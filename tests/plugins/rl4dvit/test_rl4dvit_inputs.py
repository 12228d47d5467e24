"""What a user can get wrong about an RL4DViT run ends in one clear line, through the real program.

Where it can be seen beforehand, the exit code is 2 and nothing is written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rlvit.cli import session
from rlvit.cli.main import invoke
from rlvit.contracts import ImageShape
from rlvit.errors import UsageProblem
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit_timm.models import make

GRID4 = "vit_pico_grid4"
Program = Callable[..., tuple[int, str]]


def weights(path: Path, size: int = 8, classes: int = 10, name: str = GRID4) -> str:
    """Write random weights."""
    backbone = make(name, torch.Generator().manual_seed(0), ImageShape(size, classes), None)
    save_file(backbone.module.state_dict(), path)
    return str(path)


def tree(root: Path) -> Path:
    """A tree of 2 x 2 x 4 small photographs, JPEG."""
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("ant", "bee"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return root


def truncate(path: Path) -> None:
    """Cut a file's second half off."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and trees of images, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    weights(folder / "ten.safetensors")
    weights(folder / "four.safetensors", classes=4)
    weights(folder / "imagenet.safetensors", classes=1000)
    weights(folder / "photo.safetensors", size=224, classes=2)
    weights(folder / "grid8.safetensors", name="vit_pico_grid8")
    (folder / "text.safetensors").write_text("these are no weights")
    (folder / "notes.txt").write_text("these are no weights")
    (folder / "empty").mkdir()
    (folder / "classless" / "train").mkdir(parents=True)
    (folder / "imageless" / "train" / "ant").mkdir(parents=True)
    tree(folder / "good")
    truncate(tree(folder / "damaged") / "train" / "ant" / "2.jpg")
    truncate(folder / "damaged" / "val" / "bee" / "0.jpg")
    return folder


@pytest.fixture
def program(
    tiny_vit: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Program:
    """`rlvit run` of a tiny run with further options; it returns exit code and standard error."""
    monkeypatch.setattr(session, "load_catalog", tiny_vit.make_catalog)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLVIT_DATA", raising=False)
    usual = ["run", "--plugin", "rl4dvit", "--preset", "quick", "--backbone", GRID4]
    usual += ["--device", "cpu", "--threads", "1", "--rollouts", "1", "--rollout-images", "4"]
    usual += ["--minibatch-images", "2", "--finetune-epochs", "0", "--no-figures"]

    def run(*options: str, command: list[str] = usual) -> tuple[int, str]:
        code = invoke(["--home", str(tmp_path / "home"), *command, *options])
        return code, capsys.readouterr().err

    return run


def line_of(written: str) -> str:
    """The only line that begins with `Error: `, which is the last; there is no traceback."""
    lines = written.splitlines()
    assert sum(line.startswith("Error: ") for line in lines) == 1, written
    assert lines[-1].startswith("Error: "), written
    assert "Traceback" not in written
    assert "traceback" not in written
    return lines[-1]


DIGITS = ("--dataset", "digits", "--protocol", "tiny")
FOLDER = ("--dataset", "imagefolder", "--weights", "{files}/photo.safetensors")
TEN = (*DIGITS, "--weights", "{files}/ten.safetensors")

REFUSED = [
    ((*DIGITS, "--backbone", "vit_pico_grid5"), "unknown backbone", "Did you mean 'vit_pico_"),
    ((*DIGITS, "--selector", "cls-atention"), "unknown selector", "'cls-attention'?"),
    ((*DIGITS, "--weights", "{files}/none.pth"), "none.pth: there is no such file", "hub:TAG"),
    ((*DIGITS, "--weights", "{files}"), "there is no such file", "hub, hub:TAG or a file"),
    ((*TEN, "--weights-id", "0123"), "ten.safetensors: these are", "not 0123"),
    ((*TEN, "--decision-blocks", "3,99"), "--decision-blocks 3,99", "blocks 0 to 11"),
    ((*TEN, "--decision-blocks", "9,3"), "--decision-blocks 9,3", "rising block numbers"),
    ((*TEN, "--decision-blocks", "a"), "--decision-blocks a", "rising block numbers"),
    ((*TEN, "--decision-blocks", "-1"), "--decision-blocks -1", "rising block numbers"),
    ((*TEN, "--decision-blocks", ""), "--decision-blocks", "rising block numbers"),
    (
        (*TEN, "--selector", "mae-salient", "--backbone", "vit_pico_grid8"),
        "--selector mae-salient",
        "single pixels; expected 2 or more a side",
    ),
    ((*TEN, "--selector", "patch-agent"), "is trained by agentvit", "--selector-from RUN"),
    ((*TEN, "--samples-per-image", "1"), "--credit team", "give --samples-per-image 2 or more"),
    ((*TEN, "--samples-per-image", "0"), "--samples-per-image 0", "greater than or equal to 1"),
    ((*TEN, "--minibatch-images", "17"), "--minibatch-images 17", "a rollout has: 16"),
    ((*TEN, "--backbone", "mae-96"), "'token-agents' needs cls, tokens", "'mae-96' does not"),
    (
        (*TEN, "--target-gmacs", "0.006", "--target-keep", "0.5"),
        "--target-keep or --target-gmacs",
        "not both",
    ),
    ((*TEN, "--alpha", "0.1"), "--decide calibrated", "needs --target-keep or --target-gmacs"),
    ((*TEN, "--target-keep", "1.5"), "--target-keep 1.5", "less than or equal to 1"),
    ((*TEN, "--alpha", "nan"), "--alpha nan", "finite number"),
    (("--protocol", "tiny"), "rl4dvit needs a dataset", "give --dataset"),
    (("--dataset", "Breakout"), "unknown dataset 'Breakout'", "Known: cifar10, digits"),
    ((*FOLDER, "--data-root", "{files}/nowhere"), "--data-root", "there is no such folder"),
]


def words(value: Any) -> str | None:
    """Name a case by its last option."""
    return " ".join(value[-2:]) if isinstance(value, tuple) else "-"


@pytest.mark.parametrize(("options", "what", "expected"), REFUSED, ids=words)
def test_what_can_be_seen_beforehand_is_refused_and_nothing_is_written(
    program: Program,
    files: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    what: str,
    expected: str,
) -> None:
    code, written = program(*(option.format(files=files) for option in options))
    line = line_of(written)
    assert what in line
    assert expected in line
    assert code == 2
    assert not list(tmp_path.iterdir()), "something was written"


FAILED = [
    ((*DIGITS, "--weights", "{files}/notes.txt"), "notes.txt", "expected one of .safetensors"),
    ((*DIGITS, "--weights", "{files}/text.safetensors"), "text.safetensors", "cannot be read"),
    ((*DIGITS, "--weights", "{files}/grid8.safetensors"), f"does not fit {GRID4}", "'pos_embed'"),
    ((*DIGITS, "--weights", "{files}/four.safetensors"), "head has 4 classes", "digits has 10"),
    (
        (*DIGITS, "--weights", "{files}/imagenet.safetensors"),
        "digits has 10 classes, of which '0' is none of the 1000",
        "--train-backbone",
    ),
    ((*DIGITS, "--no-train-backbone"), GRID4, "no pretrained weights on the hub"),
    (FOLDER, "/data: name the folder of your data", "--data-root"),
    ((*FOLDER, "--data-root", "{files}/empty"), "imagefolder is not in", "/empty/train"),
    ((*FOLDER, "--data-root", "{files}/classless"), "no class folders", "<class>/<images>"),
    ((*FOLDER, "--data-root", "{files}/imageless"), "imageless", "ant"),
    ((*FOLDER, "--data-root", "{files}/damaged"), ".jpg", "--skip-bad-images"),
]


@pytest.mark.parametrize(("options", "what", "expected"), FAILED, ids=words)
def test_what_images_and_weights_show_fails_the_run_in_one_line(
    program: Program,
    tiny_vit: Any,
    files: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    what: str,
    expected: str,
) -> None:
    code, written = program(*(option.format(files=files) for option in options))
    line = line_of(written)
    assert what in line
    assert expected in line
    assert code == 1
    (run,) = tiny_vit.runs_of(tmp_path / "home")
    assert run.state == "failed"
    last = queries.transitions(open_database(Home.locate(tmp_path / "home").registry_url), run.id)
    assert line == f"Error: {last[-1].reason}"


@pytest.mark.parametrize("selector", ["token-agents", "uniform"])
@pytest.mark.parametrize("target", [5.0, 1e-7])
def test_a_cost_that_cannot_be_reached_is_refused_with_those_that_can(
    tiny_vit: Any, files: Path, tmp_path: Path, selector: str, target: float
) -> None:
    with pytest.raises(UsageProblem) as refused:
        tiny_vit.start(
            tmp_path / "home",
            preset="recommended",
            weights=str(files / "ten.safetensors"),
            selector=selector,
            target_gmacs=target,
        )
    start = f"--target-gmacs {target:g}: with these decision blocks an image costs between "
    message = str(refused.value)
    assert message.startswith(start)
    least, most = map(float, message.removeprefix(start).rstrip(".").split(" and "))
    # Of 12 blocks on 17 tokens of width 64, a quarter is computed whatever is dropped.
    assert 0.002 < least < 0.004
    assert 0.0104 < most < 0.0106


def test_damaged_images_are_left_out_and_counted_if_that_is_wanted(
    program: Program, tiny_vit: Any, files: Path, tmp_path: Path
) -> None:
    options = [option.format(files=files) for option in FOLDER]
    options += ["--protocol", "quick", "--data-root", str(files / "damaged")]
    code, written = program(*options, "--skip-bad-images")
    assert code == 0, written
    (run,) = tiny_vit.runs_of(tmp_path / "home")
    data = tmp_path / "home" / "runs" / run.id / "artifacts" / "data" / "data.json"
    assert json.loads(data.read_text())["skipped"] == ["train/ant/2.jpg", "val/bee/0.jpg"]
    assert "2 bad ones left out" in written
    table = np.load(data.parents[1] / "predictions-1" / "predictions.npz")
    assert len(table["name"]) == 7
    assert "val/bee/0.jpg" not in table["name"]


def test_a_run_is_not_resumed_with_other_images(
    program: Program, tiny_vit: Any, files: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(files / "good", moved)
    options = {
        "task": "imagefolder",
        "protocol": "quick",
        "weights": str(files / "photo.safetensors"),
        "data_root": str(moved),
        "figures": False,
    }
    stop = {"stop": ("after", "rollouts", 2, "SIGKILL")}
    home = tmp_path / "home"
    assert tiny_vit.attempts(home, [("start", {**options, **stop})]) == [-9]
    # One training image is another one of another size.
    Image.new("RGB", (99, 77)).save(moved / "train" / "ant" / "0.jpg")
    code, written = program("latest", command=["resume"])
    line = line_of(written)
    assert code == 1
    assert f"the images in {moved} are not those that this run began with" in line
    # The same images in another place are the same.
    code, written = program("latest", "--data-root", str(files / "good"), command=["resume"])
    assert code == 0, written
