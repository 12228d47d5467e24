"""Holds folders of images to their splits, their pixels and their one-line complaints."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rlvit.errors import RlvitError, UsageProblem
from rlvit_tasks.folders import (
    decode,
    hash_listing,
    load_imagefolder,
    load_imagenet,
    load_imagenette,
)

WNIDS = [f"n{number:08d}" for number in range(10)]


def picture(path: Path, value: int = 0, size: tuple[int, int] = (10, 8)) -> Path:
    """Save an image of one colour, without loss where the format allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def tree(root: Path, layout: dict[str, int]) -> Path:
    """Make images: folder -> how many; their colours count on."""
    value = 0
    for folder, count in layout.items():
        for number in range(count):
            picture(root / folder / f"{number:02d}.png", value)
            value += 1
    return root


def imagenette(root: Path) -> Path:
    """A tiny Imagenette: a class has 3 own and 1 foreign training file, 2 own and 1 foreign val."""
    for wnid in WNIDS:
        for number in range(3):
            picture(root / "train" / wnid / f"{wnid}_{number}.png")
        picture(root / "train" / wnid / f"ILSVRC2012_val_0000{wnid[-1]}1.png")
        for number in range(5, 7):
            picture(root / "val" / wnid / f"{wnid}_{number}.png")
        picture(root / "val" / wnid / f"ILSVRC2012_val_0000{wnid[-1]}2.png")
    return root


def test_an_image_of_the_wanted_size_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png", 24), pixels)


def test_other_images_are_resized_and_their_centre_is_cut_out(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    # The shorter side, 40, becomes 28 / 0.875 = 32; the other 48; 28 of each are kept.
    expected = image.resize((48, 32), Image.Resampling.BICUBIC).crop((10, 2, 38, 30))
    assert np.array_equal(decode(tmp_path / "a.png", 28), np.asarray(expected))
    upright = image.transpose(Image.Transpose.ROTATE_90)
    upright.save(tmp_path / "b.png")
    expected = upright.resize((32, 48), Image.Resampling.BICUBIC).crop((2, 10, 30, 38))
    assert np.array_equal(decode(tmp_path / "b.png", 28), np.asarray(expected))
    picture(tmp_path / "small.png", 77, (5, 3))
    assert (decode(tmp_path / "small.png", 28) == 77).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (16, 16), (255, 255, 255)).convert(mode).save(path)
    found = decode(path, 8)
    assert found.shape == (8, 8, 3)
    assert (found == 255).all()


def test_a_bad_image_is_named_with_what_to_do(tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png", 3, (64, 64)).read_bytes()
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16)).save(tmp_path / "deep.png")
    for name, content in (
        ("empty.jpg", b""),
        ("text.jpg", b"no image"),
        ("cut.png", good[: len(good) // 2]),
        ("deep.png", (tmp_path / "deep.png").read_bytes()),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RlvitError, match=r"cannot decode .*--skip-bad-images") as problem:
            decode(tmp_path / name, 8)
        assert str(tmp_path / name) in str(problem.value)
    with pytest.raises(RlvitError, match=r"cannot decode .*gone\.png"):
        decode(tmp_path / "gone.png", 8)


@pytest.mark.parametrize("place", ["imagenette", "imagenette2-160", "."])
def test_imagenettes_foreign_files_are_measured_and_never_trained_on(
    tmp_path: Path, requests: Any, place: str
) -> None:
    folder = imagenette(tmp_path / place)
    data = load_imagenette(requests(tmp_path))
    assert list(data.classes) == WNIDS
    train, val, both = (data.split(name) for name in ("train", "val", "val+unseen"))
    assert (len(train.names), len(val.names), len(both.names)) == (30, 30, 40)
    assert not any("ILSVRC2012_val" in name for name in train.names)
    assert not set(train.names) & set(both.names)
    assert list(both.names[:30]) == list(val.names)
    assert all(name.startswith("train/n") and "ILSVRC2012_val" in name for name in both.names[30:])
    assert both.subsets["official"].tolist() == [True] * 30 + [False] * 10
    assert (both.subsets["unseen"].sum(), val.subsets["unseen"].sum()) == (20, 10)
    assert both.subsets["unseen"].tolist() == ["ILSVRC2012_val" in name for name in both.names]
    for split in (train, both):
        assert [WNIDS[label] for label in split.labels] == [n.split("/")[1] for n in split.names]
    assert str(folder) in requests.said[-1]


def test_batches_of_a_folder_are_its_images(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 4, "train/b": 3, "val/a": 1, "val/b": 2})
    data = load_imagefolder(requests(tmp_path, threads=3))
    assert data.classes == ("a", "b")
    split = data.split("train")
    assert split.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    found = list(split.batches([np.array([6, 0]), np.array([3, 3, 5])], 8))
    assert [batch[:, 0, 0, 0].tolist() for batch in found] == [[6, 0], [3, 3, 5]]
    assert found[0].shape == (2, 3, 8, 8)
    (batch,) = data.split("val").batches([np.array([0, 1, 2])], 8)
    assert batch[:, 2, 7, 7].tolist() == [7, 8, 9]


def test_what_is_no_image_is_ignored(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    for name in (".DS_Store", "notes.txt", "._00.png", "list.csv"):
        (tmp_path / "train" / "a" / name).write_bytes(b"x")
    (tmp_path / "train" / ".hidden").mkdir()
    (tmp_path / "train" / "a" / "more.png").mkdir()
    (tmp_path / "train" / "readme.md").write_text("x")
    picture(tmp_path / "train" / "a" / "upper.JPEG")
    data = load_imagefolder(requests(tmp_path))
    names = ["train/a/00.png", "train/a/01.png", "train/a/upper.JPEG"]
    assert list(data.split("train").names[:3]) == names
    assert data.classes == ("a", "b")


def test_without_a_val_folder_a_tenth_is_held_out_by_hash(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 30, "train/b": 2})
    data = load_imagefolder(requests(tmp_path))
    train, val = data.split("train"), data.split("val")
    assert (len(train.names), len(val.names)) == (28, 4)
    assert not set(train.names) & set(val.names)
    assert np.bincount(val.labels).tolist() == [3, 1]
    names = sorted(
        (f"a/{number:02d}.png" for number in range(30)),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    assert sorted(f"train/{name}" for name in names[:3]) == list(val.names[:3])
    assert any("a tenth of each class is held out" in text for text in requests.said)
    assert list(load_imagefolder(requests(tmp_path)).split("val").names) == list(val.names)
    tree(tmp_path, {"train/c": 1})
    with pytest.raises(UsageProblem, match="'c' has one image"):
        load_imagefolder(requests(tmp_path))


def test_a_test_folder_stands_in_for_val_and_beside_it(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 2, "test/a": 1})
    data = load_imagefolder(requests(tmp_path))
    assert list(data.split("val").names) == list(data.split("test").names) == ["test/a/00.png"]
    assert any("its test folder is what is measured" in text for text in requests.said)
    tree(tmp_path, {"val/a": 1})
    data = load_imagefolder(requests(tmp_path))
    assert list(data.split("val").names) == ["val/a/00.png"]
    assert list(data.split("test").names) == ["test/a/00.png"]


def test_bad_images_are_left_out_on_request_only(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 3, "train/b": 2, "val/a": 2, "val/b": 1})
    for name in ("train/a/01.png", "val/a/00.png"):
        (tmp_path / name).write_bytes(b"bad")
    (tmp_path / "train" / "b" / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(RlvitError, match=r"cannot read .*link\.png: No such file"):
        load_imagefolder(requests(tmp_path))
    (tmp_path / "train" / "b" / "link.png").unlink()
    split = load_imagefolder(requests(tmp_path)).split("train")
    with pytest.raises(RlvitError, match=r"cannot decode .*01\.png"):
        list(split.batches([np.arange(5)], 8))
    data = load_imagefolder(requests(tmp_path, skip_bad_images=True))
    assert list(data.skipped) == ["train/a/01.png", "val/a/00.png"]
    assert list(data.split("train").names) == [
        *("train/a/00.png", "train/a/02.png", "train/b/00.png", "train/b/01.png")
    ]
    assert list(data.split("val").names) == ["val/a/01.png", "val/b/00.png"]
    assert requests.said[-1].endswith("; 2 bad ones left out")
    for name in ("train/b/00.png", "train/b/01.png"):
        (tmp_path / name).write_bytes(b"bad")
    with pytest.raises(RlvitError, match=r"all images in .*train/b are bad"):
        load_imagefolder(requests(tmp_path, skip_bad_images=True))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({}, r"imagefolder is not in .*expected class folders in .*/train"),
        ({"train": 1}, "train has no class folders"),
        ({"train/a": 1, "val": 1}, "val has no class folders"),
        ({"train/a": 1, "val/b": 1}, "has a class 'b' that the train folder lacks"),
    ],
)
def test_a_wrong_layout_is_one_line(
    tmp_path: Path, requests: Any, layout: dict[str, int], expected: str
) -> None:
    tree(tmp_path, layout)
    with pytest.raises(UsageProblem, match=expected) as problem:
        load_imagefolder(requests(tmp_path))
    assert "\n" not in str(problem.value)


def test_missing_and_empty_folders_are_said(tmp_path: Path, requests: Any) -> None:
    for load in (load_imagefolder, load_imagenette, load_imagenet):
        with pytest.raises(UsageProblem, match=r"no folder .*gone"):
            load(requests(tmp_path / "gone"))
    with pytest.raises(UsageProblem, match=r"imagenette/train or .*imagenette2/train or"):
        load_imagenette(requests(tmp_path))
    tree(tmp_path, {"train/a": 1})
    (tmp_path / "train" / "b").mkdir()
    with pytest.raises(UsageProblem, match=r"train/b has no images"):
        load_imagefolder(requests(tmp_path))
    with pytest.raises(UsageProblem, match="has 2 class folders; Imagenette, 10"):
        load_imagenette(requests(tmp_path))
    with pytest.raises(UsageProblem, match="has 2 class folders; ImageNet-1k, 1,000"):
        load_imagenet(requests(tmp_path))


def test_imagenet_has_a_thousand_classes(tmp_path: Path, requests: Any) -> None:
    content = picture(tmp_path / "one.png", 9, (8, 8)).read_bytes()
    for number in range(1000):
        for part in ("train", "val"):
            folder = tmp_path / "imagenet" / part / f"n{number:08d}"
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(content)
    data = load_imagenet(requests(tmp_path))
    assert len(data.classes) == 1000
    assert data.split("val").labels.tolist() == list(range(1000))
    assert data.split("train").names[999] == "train/n00000999/a.png"


def test_the_hash_is_of_names_and_sizes(tmp_path: Path, requests: Any) -> None:
    tree(tmp_path, {"train/a": 2, "val/a": 1})
    before = load_imagefolder(requests(tmp_path)).sha256
    (tmp_path / "train" / "a" / "00.png").rename(tmp_path / "train" / "a" / "x.png")
    assert load_imagefolder(requests(tmp_path)).sha256 != before
    (tmp_path / "train" / "a" / "x.png").rename(tmp_path / "train" / "a" / "00.png")
    assert load_imagefolder(requests(tmp_path)).sha256 == before
    expected = hashlib.sha256(b"a\t1\nb\t20\n").hexdigest()
    assert hash_listing({"b": 20, "a": 1}) == expected


def test_the_real_imagenette(real_data: Path, requests: Any) -> None:
    data = load_imagenette(requests(real_data))
    train, val, both = (data.split(name) for name in ("train", "val", "val+unseen"))
    assert (len(train.names), len(val.names), len(both.names)) == (3634, 3925, 4291)
    assert both.subsets["official"].sum() == 3925
    assert both.subsets["unseen"].sum() == 500
    assert (both.subsets["unseen"] & both.subsets["official"]).sum() == 134
    assert val.subsets["unseen"].sum() == 134
    assert not any("ILSVRC2012_val" in name for name in train.names)
    assert not set(train.names) & set(both.names)
    (batch,) = val.batches([np.arange(0, 3925, 400)], 224)
    first = Image.open(real_data / "imagenette" / val.names[400]).convert("RGB")
    assert np.array_equal(batch[1].permute(1, 2, 0).numpy(), np.asarray(first))
