"""Real runs without their weights: all numbers come along, and what needs a network says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlvit.cli.main import invoke

SPIRL = (
    Path(__file__).resolve().parents[3] / "reports" / "spirl-frostbite-10k" / "spirl.rlvit"
)  # three runs, which share frames and an autoencoder
RUN = "spirl-frostbite-s0-7evh3e43"


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder: `whole` and `light` are homes, and `light.rlvit` came between them."""
    folder = tmp_path_factory.mktemp("light")
    whole, other, bundle = (str(folder / name) for name in ("whole", "light", "light.rlvit"))
    assert invoke(["--home", whole, "import", "--no-tell", str(SPIRL)]) == 0
    made = ["export", "--plugin", "spirl", "--without-weights", "-o", bundle]
    assert invoke(["--home", whole, *made]) == 0
    assert invoke(["--home", other, "import", "--no-tell", bundle]) == 0
    return folder


def listed(home: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert invoke(["--home", str(home), "runs", "list", "--format", "json"]) == 0
    return list(json.loads(capsys.readouterr().out))


def networks(home: Path) -> int:
    return len(list(home.glob("runs/**/*.safetensors")))


def test_only_networks_stay_behind(light: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (light / "light.rlvit").stat().st_size < 0.4 * SPIRL.stat().st_size
    assert networks(light / "whole") == 7  # an agent and an autoencoder a run, and what they share
    assert networks(light / "light") == 0
    assert listed(light / "light", capsys) == listed(light / "whole", capsys)
    pictures = [
        {path.relative_to(light / home).as_posix() for path in (light / home).glob("**/figures/*")}
        for home in ("whole", "light")
    ]
    assert pictures[0] == pictures[1] != set()


def test_what_stayed_behind_is_no_fault(light: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(light / "light")]
    assert invoke([*home, "registry", "check"]) == 0
    again = light / "again.rlvit"
    assert invoke([*home, "export", "--plugin", "spirl", "-o", str(again)]) == 0
    assert invoke(["--home", str(light / "third"), "import", "--no-tell", str(again)]) == 0
    assert "without weights" in capsys.readouterr().out
    assert invoke(["--home", str(light / "third"), "registry", "check"]) == 0


def test_reports_are_the_same_without_weights(light: Path) -> None:
    pages = []
    for name in ("whole", "light"):
        out = light / f"report-{name}"
        assert invoke(["--home", str(light / name), "report", "--out", str(out)]) == 0
        pages.append((out / "report.md").read_text().replace(str(out), "OUT"))
    assert "Artifacts are not there" not in pages[1]
    assert pages[0] == pages[1]


def test_what_is_lost_otherwise_is_a_fault(
    light: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path)]
    assert invoke([*home, "import", "--no-tell", str(SPIRL)]) == 0
    for file in (tmp_path / "runs" / RUN / "artifacts" / "agent").iterdir():
        file.unlink()
    (tmp_path / "runs" / RUN / "artifacts" / "agent").rmdir()
    assert invoke([*home, "registry", "check"]) == 1
    assert "artifacts/agent is missing" in capsys.readouterr().out
    assert invoke([*home, "export", RUN, "-o", str(tmp_path / "new.rlvit")]) == 2
    assert "artifacts/agent is missing" in capsys.readouterr().err


def test_a_network_that_is_not_there_is_named(
    light: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(light / "light")]
    assert invoke([*home, "replay", RUN, "--out", str(light / "films")]) == 1
    said = capsys.readouterr().err
    assert f"run {RUN} has no 'mae'" in said
    assert "imported without weights" in said


def test_the_whole_bundle_brings_what_was_left_out(light: Path, tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    assert invoke([*home, "import", "--no-tell", str(light / "light.rlvit")]) == 0
    assert invoke([*home, "import", "--no-tell", str(SPIRL)]) == 0
    assert networks(tmp_path) == 7
    assert invoke([*home, "import", "--no-tell", str(light / "light.rlvit")]) == 0
    assert networks(tmp_path) == 7
    assert invoke([*home, "export", RUN, "-o", str(tmp_path / "new.rlvit")]) == 0
    other = ["--home", str(tmp_path / "other")]
    assert invoke([*other, "import", "--no-tell", str(tmp_path / "new.rlvit")]) == 0
    assert networks(tmp_path / "other") == 3


def test_a_damaged_network_is_brought_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path)]
    assert invoke([*home, "import", "--no-tell", str(SPIRL)]) == 0
    agent = tmp_path / "runs" / RUN / "artifacts" / "agent"
    whole = (agent / "agent.safetensors").read_bytes()
    (agent / "agent.safetensors").write_bytes(whole[:-4] + b"????")
    (agent / "mine.txt").write_text("not the run's")
    assert invoke([*home, "play", RUN, "--episodes", "1"]) == 1
    assert f"run {RUN} has no sound 'agent'" in capsys.readouterr().err
    assert invoke([*home, "import", "--no-tell", str(SPIRL)]) == 0
    assert "1 run already here, files that were missing or damaged" in capsys.readouterr().out
    assert (agent / "agent.safetensors").read_bytes() == whole
    assert not (agent / "mine.txt").exists()
    assert invoke([*home, "registry", "check"]) == 0


def test_a_resume_needs_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path)]
    assert invoke([*home, "import", "--no-tell", str(SPIRL)]) == 0
    asked = ["export", RUN, "--with-replay", "--without-weights", "-o", str(tmp_path / "x.rlvit")]
    assert invoke([*home, *asked]) == 2
    assert "--with-replay is for a resume" in capsys.readouterr().err
