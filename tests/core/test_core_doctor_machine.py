"""What `rlvit doctor` makes of a machine: Python, packages, torch, GPU, disks, variables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlvit.doctor import machine, place
from rlvit.doctor.machine import Cards
from rlvit.doctor.patient import without_password


def test_torch_that_cannot_be_imported_is_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (one,) = [*machine.torch(), *machine.gpu(), *machine.vision()]
    assert (one.about, one.state, one.advice) == ("torch", "problem", "pip install 'torch>=2.6'")


def test_the_machine_is_told() -> None:
    torch, *more = machine.torch()
    assert torch.state == "ok"
    assert all(one.state == "note" for one in more)
    (gpu,) = machine.gpu()
    assert gpu.about == "GPU"


@pytest.mark.parametrize(
    ("built", "seen", "cards", "state", "text"),
    [
        (None, (), None, "ok", "none here"),
        ("13.0", ("H200",), Cards(("H200",), "580.1"), "ok", "H200, driver 580.1"),
        (None, (), Cards(("H200",), "580.1"), "problem", "built without CUDA"),
        (
            "13.0",
            (),
            Cards(("H200",), "470.1"),
            "problem",
            "torch for CUDA 13.0 cannot use it (old)",
        ),
        ("13.0", (), Cards(trouble="no devices"), "problem", "driver does not answer: no devices"),
    ],
)
def test_what_torch_sees_is_compared_with_the_driver(
    built: str | None, seen: tuple[str, ...], cards: Cards | None, state: str, text: str
) -> None:
    one = machine.judge_gpu(built, seen, "old" if state == "problem" else "", cards)
    assert one.state == state
    assert text in one.text


def test_pythons_and_packages_that_do_not_fit_are_told() -> None:
    assert [one.state for one in machine.python((3, 12, 1))] == ["ok"]
    assert [one.state for one in machine.python((3, 13, 0))] == ["problem"]
    requires = ["click>=1", "torch>=2.6", "nothing-of-this-name", "timm; extra == 'vision'"]

    def version(name: str) -> str:
        if name == "nothing-of-this-name":
            raise machine.importlib.metadata.PackageNotFoundError(name)
        return {"click": "8.5", "torch": "2.5.1+cpu"}.get(name, "1.0")

    texts = [one.text for one in machine.packages(requires, version)]
    assert texts[:2] == [
        "torch is 2.5.1+cpu; wanted torch>=2.6",
        "nothing-of-this-name is not installed",
    ]


@pytest.mark.parametrize(
    ("mounts", "state"),
    [
        ("/dev/a / ext4 rw 0 0\n", None),
        ("/dev/a / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\n", "problem"),
        ("/dev/a / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n", "note"),
        ("s:/x /data nfs rw 0 0\n/dev/b /data/my\\040home xfs rw 0 0\n", None),
        ("server:/x /dat nfs4 rw 0 0\n/dev/a / ext4 rw 0 0\n", None),
    ],
)
def test_file_systems_that_do_not_keep_a_registry_are_told(mounts: str, state: str | None) -> None:
    one = place.judge_mount(Path("/data/my home/x"), mounts)
    assert (None if one is None else one.state) == state


@pytest.mark.parametrize(("gib", "state"), [(0.5, "problem"), (5, "note"), (50, "ok")])
def test_little_space_is_told(gib: float, state: str) -> None:
    assert place.judge_space(int(gib * 2**30), "").state == state


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://me:secret@db/x") == "postgresql://me:***@db/x"
    (one,) = machine.environment({"RLVIT_REGISTRY": "postgresql://me:secret@db/x"})
    assert "secret" not in one.text
