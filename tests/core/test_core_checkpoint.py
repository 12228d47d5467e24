"""Checkpoints come back as they were, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvit.errors import RlvitError
from rlvit.runs.checkpoint import Checkpoints

WATERMARKS = {"metrics": 3, "episodes": 0, "results": 1}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Return the checkpoints of a run that has none yet."""
    return Checkpoints(tmp_path)


def _silent(text: str) -> None:
    raise AssertionError(text)


def _round_trip(checkpoints: Checkpoints, state: Any) -> Any:
    checkpoints.save("learn", 1, WATERMARKS, state)
    found = checkpoints.load(_silent)
    assert found is not None
    return found[1]


def test_what_is_known_of_a_checkpoint_comes_back(checkpoints: Checkpoints) -> None:
    assert checkpoints.load(_silent) is None
    checkpoints.save("learn", 7, WATERMARKS, {"a": 1})
    checkpoints.save("evaluate", 9, WATERMARKS | {"metrics": 5}, {"a": 2})
    info, state = checkpoints.load(_silent) or pytest.fail("there is none")
    assert (info.number, info.stage, info.step) == (2, "evaluate", 9)
    assert info.watermarks == WATERMARKS | {"metrics": 5}
    assert info.size == (checkpoints.folder / "000002.pt").stat().st_size
    assert state == {"a": 2}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8, torch.int64, torch.bool]
)
def test_tensors_come_back_bit_for_bit(checkpoints: Checkpoints, dtype: torch.dtype) -> None:
    values = torch.tensor([[0.1, -2.5, 3e8], [1.0, 0.0, 255.0]]).abs().to(dtype)
    found = _round_trip(checkpoints, {"x": values, "scalar": values[0, 0]})
    assert found["x"].dtype == dtype
    assert torch.equal(found["x"], values)
    assert found["scalar"].shape == ()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.array([-(2**62), 2**62]),
        np.array([0.1, np.nan, -np.inf]),
        np.array([[True], [False]]),
        np.array([1e-40, 1.5], dtype=np.float32),
        np.arange(12).reshape(3, 4).T[::-1],
        np.zeros((0, 4), dtype=np.float32),
        np.array(5.0),
        np.array([2**63 + 1], dtype=np.uint64),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_come_back_bit_for_bit(checkpoints: Checkpoints, array: np.ndarray) -> None:
    found = _round_trip(checkpoints, {"x": array, "deep": [{"y": array}]})
    for back in (found["x"], found["deep"][0]["y"]):
        assert isinstance(back, np.ndarray)
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert back.tobytes() == array.tobytes()
        assert back.flags.writeable


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=15, deadline=None)
@given(state=st.dictionaries(st.text(max_size=5), PLAIN, max_size=3))
def test_plain_values_come_back(
    state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints = Checkpoints(tmp_path_factory.mktemp("checkpoint"))
    assert _round_trip(checkpoints, state) == state


def test_a_random_stream_goes_on_where_it_was(checkpoints: Checkpoints) -> None:
    ours, theirs = np.random.default_rng(3), torch.Generator().manual_seed(3)
    ours.normal(size=3)
    position = ours.bit_generator.state
    assert max(position["state"].values()).bit_length() > 64
    words = {name: str(value) for name, value in position["state"].items()}
    found = _round_trip(
        checkpoints, {"ours": {**position, "state": words}, "theirs": theirs.get_state()}
    )
    again = np.random.default_rng(0)
    numbers = {name: int(word) for name, word in found["ours"]["state"].items()}
    again.bit_generator.state = {**found["ours"], "state": numbers}
    assert again.normal(size=5).tolist() == ours.normal(size=5).tolist()
    other = torch.Generator()
    other.set_state(found["theirs"])
    assert torch.equal(torch.randn(5, generator=other), torch.randn(5, generator=theirs))


def test_an_optimiser_comes_back(checkpoints: Checkpoints) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([weight], lr=0.1)
    (weight**2).sum().backward()
    optimiser.step()
    found = _round_trip(checkpoints, {"optimiser": optimiser.state_dict(), "weight": weight.data})
    other = torch.nn.Parameter(found["weight"])
    again = torch.optim.Adam([other], lr=0.5)
    again.load_state_dict(found["optimiser"])
    for one, by in ((weight, optimiser), (other, again)):
        one.grad = torch.full((3,), 0.3)
        by.step()
    assert torch.equal(weight, other)


def test_two_checkpoints_are_kept(checkpoints: Checkpoints) -> None:
    for step in range(5):
        checkpoints.save("learn", step, WATERMARKS, {"step": step})
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == ["000004.json", "000004.pt", "000005.json", "000005.pt"]
    checkpoints.remove()
    assert not list(checkpoints.folder.iterdir())
    assert checkpoints.load(_silent) is None


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _remove(path: Path) -> None:
    path.unlink()


def _tear_json(path: Path) -> None:
    _truncate(path.with_suffix(".json"))


def _forget_fields(path: Path) -> None:
    path.with_suffix(".json").write_text('{"number": 2}')


def _list_in_json(path: Path) -> None:
    path.with_suffix(".json").write_text("[1, 2]")


DAMAGES = [_truncate, _flip, _empty, _remove, _tear_json, _forget_fields, _list_in_json]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_a_damaged_checkpoint_is_used_and_said(
    checkpoints: Checkpoints, damage: Any
) -> None:
    for step in (1, 2):
        checkpoints.save("learn", step, WATERMARKS, {"step": step})
    damage(checkpoints.folder / "000002.pt")
    said: list[str] = []
    info, state = checkpoints.load(said.append) or pytest.fail("there is none")
    assert (info.step, state) == (1, {"step": 1})
    (text,) = said
    assert "000002.pt is damaged" in text
    assert text.endswith("using the one before it")
    assert "\n" not in text


@pytest.mark.parametrize("damage", [_truncate, _tear_json])
def test_without_a_sound_checkpoint_there_is_none(checkpoints: Checkpoints, damage: Any) -> None:
    for step in (1, 2):
        checkpoints.save("learn", step, WATERMARKS, {"step": step})
    for number in (1, 2):
        damage(checkpoints.folder / f"00000{number}.pt")
    said: list[str] = []
    assert checkpoints.load(said.append) is None
    assert [text.partition("; ")[2] for text in said] == [
        "using the one before it",
        "there is no other",
    ]


def test_a_damaged_checkpoint_does_not_push_out_a_sound_one(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        checkpoints.save("learn", step, WATERMARKS, {"step": step})
    _truncate(checkpoints.folder / "000002.pt")
    assert checkpoints.load(lambda text: None) is not None
    checkpoints.save("learn", 3, WATERMARKS, {"step": 3})
    _truncate(max(checkpoints.folder.glob("*.pt")))
    info, _ = checkpoints.load(lambda text: None) or pytest.fail("both that were kept are damaged")
    assert info.step == 1


def test_a_checkpoint_that_was_not_finished_does_not_count(checkpoints: Checkpoints) -> None:
    checkpoints.save("learn", 1, WATERMARKS, {"step": 1})
    (checkpoints.folder / ".000002.pt").write_bytes(b"half")
    (checkpoints.folder / "000002.pt").write_bytes(b"without its description")
    info, _ = checkpoints.load(_silent) or pytest.fail("there is none")
    assert info.step == 1
    checkpoints.save("learn", 2, WATERMARKS, {"step": 2})
    info, _ = checkpoints.load(_silent) or pytest.fail("there is none")
    assert info.step == 2


class Malice:
    """Touches a file when it is unpickled by somebody careless."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused(
    checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory, write: str
) -> None:
    trace = tmp_path_factory.mktemp("trace") / "trace"
    for step in (1, 2):
        checkpoints.save("learn", step, WATERMARKS, {"step": step})
    path = checkpoints.folder / "000002.pt"
    if write == "torch":
        torch.save({"step": Malice(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"step": Malice(trace)}, protocol=2))
    described = path.with_suffix(".json")
    info = json.loads(described.read_text())
    info["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    described.write_text(json.dumps(info))
    said: list[str] = []
    found = checkpoints.load(said.append)
    assert not trace.exists()
    assert found is not None
    assert found[0].step == 1
    (text,) = said
    assert "000002.pt" in text
    assert "\n" not in text


@pytest.mark.parametrize("size", [100, 10**6])
def test_a_checkpoint_that_the_disk_does_not_take_leaves_nothing(
    checkpoints: Checkpoints, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands in for a full disk."""
    checkpoints.save("learn", 1, WATERMARKS, {"step": 1})
    before = sorted(checkpoints.folder.iterdir())
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            checkpoints.save("learn", 2, WATERMARKS, {"x": torch.zeros(size)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert sorted(checkpoints.folder.iterdir()) == before
    info, _ = checkpoints.load(_silent) or pytest.fail("there is none")
    assert info.step == 1


@pytest.mark.parametrize("broken", ["_write_state", "_sha256", "write_json"])
def test_whatever_fails_in_saving_leaves_nothing(
    checkpoints: Checkpoints, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"rlvit.runs.checkpoint.{broken}", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save("learn", 1, WATERMARKS, {"step": 1})
    assert not list(checkpoints.folder.iterdir())


def test_a_state_that_cannot_be_saved_leaves_nothing(checkpoints: Checkpoints) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        checkpoints.save("learn", 1, WATERMARKS, {"x": lambda: None})
    assert not list(checkpoints.folder.iterdir())


def test_a_checkpoint_of_a_run_whose_folder_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RlvitError, match=r"the folder .*/run of this run is gone"):
        Checkpoints(tmp_path / "run" / "checkpoint").save("learn", 1, WATERMARKS, {})
