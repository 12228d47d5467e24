"""`rlvit report`: what it writes, that it can be checked, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from evidence_maker import evidence, scored

import rlvit
from rlvit.cli.main import invoke
from rlvit.errors import Refused
from rlvit.registry.store import Store
from rlvit.report import drawing
from rlvit.report.build import Order, _refuse_mixed, recorded
from rlvit.report.summary import warnings

TEXTS = ("index.html", "report.json", "report.md", "report.tex")


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path
) -> Iterator[Path]:
    """Return a home with three runs of two arms of the toy."""
    home = tmp_path_factory.mktemp("measured") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_site)
        patch.syspath_prepend(bare_site)
        for seed, more in ((0, {}), (1, {}), (0, {"slots": {"reward": "toy-half"}})):
            known = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
            rlvit.run("toy", home=home, seed=seed, **known, **more)
        yield home


@pytest.fixture
def home(measured: Path, tmp_path: Path, toy_alone: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that home; figures are small, which is quicker."""
    monkeypatch.setattr(drawing, "DPI", 40)
    shutil.copytree(measured, tmp_path / "home")
    return tmp_path / "home"


def report(home: Path, *words: str) -> int:
    return invoke(["report", "--home", str(home), *words])


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_report_is_written_twice_alike_and_matches(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(home) == 0
    folder = home / "reports" / "report"
    assert capsys.readouterr().out == f"{folder / 'index.html'}\n"
    written = files(folder)
    assert set(TEXTS) <= written
    assert {name for name in written if name.startswith("tables/alpha--brief")} == {
        f"tables/alpha--brief.{end}" for end in ("tex", "csv", "json")
    }
    assert any(name.startswith("figures/") and name.endswith(".svg") for name in written)
    before = {name: (folder / name).read_bytes() for name in written}
    assert report(home) == 0
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    assert report(home, "--check") == 0
    assert "matches the registry" in capsys.readouterr().out
    assert [path.name for path in (home / "reports").iterdir()] == ["report"]


def test_a_report_that_no_longer_matches_names_its_files(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(home, "--format", "csv", "--format", "json")
    folder = home / "reports" / "report"
    table = folder / "tables" / "alpha--brief.csv"
    table.write_text(table.read_text().replace("toy", "boy"))
    (folder / "tables" / "provenance.json").unlink()
    capsys.readouterr()
    assert report(home, "--check") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"stale: {folder / 'tables' / name}" for name in ("alpha--brief.csv", "provenance.json")
    ]
    report(home, "--format", "csv", "--format", "json")
    store = Store(f"sqlite:///{home / 'registry.db'}")
    store.annotate(rlvit.Registry(home).runs().index[0], archived=True)
    store.close()
    assert report(home, "--check") == 1
    assert "alpha--brief.csv" in capsys.readouterr().out


def test_other_packages_are_no_reason_to_call_figures_stale(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(home)
    folder = home / "reports" / "report"
    record = json.loads((folder / "report.json").read_text())
    record["made_with"]["matplotlib"] = "0"
    (folder / "report.json").write_text(json.dumps(record))
    (folder / "index.html").write_text("drawn elsewhere")
    capsys.readouterr()
    assert report(home, "--check") == 0
    assert "were not compared" in capsys.readouterr().err


def test_formats_and_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(home, "--name", "für die Arbeit", "--format", "csv") == 0
    folder = home / "reports" / "für die Arbeit"
    assert {Path(name).suffix for name in files(folder)} == {".csv", ".json"}
    assert not (folder / "figures").exists()
    assert files(folder) - {"report.json"} == {n for n in files(folder) if n.endswith(".csv")}
    order, _ = recorded(folder)
    assert order.command == "rlvit report --format csv --name 'für die Arbeit'"
    assert order.check == "rlvit report --name 'für die Arbeit' --check"
    # The next report in the same folder takes the place of this one, and of nothing else.
    (folder / "mine.txt").write_text("kept")
    assert report(home, "--name", "für die Arbeit", "--format", "md") == 0
    assert "report.md" in files(folder)
    assert "mine.txt" in files(folder)
    assert not any(name.endswith(".csv") for name in files(folder))
    assert not (folder / "tables").exists()


def test_filters(home: Path) -> None:
    words = ("--plugin", "TOY", "--game", "alpha", "--protocol", "brief", "--seed", "3")
    assert report(home, *words, "--baseline", "reward=toy-half", "--format", "md") == 0
    folder = home / "reports" / "report"
    text = (folder / "report.md").read_text()
    assert "Only runs with method TOY, task alpha, protocol brief." in text
    assert "minus reward=toy-half" in text
    assert (
        "rlvit report --method TOY --task alpha --protocol brief --baseline reward=toy-half"
        " --format md --seed 3"
    ) in text
    assert report(home, "--check") == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--task", "Alhpa"), "unknown task 'Alhpa'. Did you mean 'Alpha'?"),
        (("--method", "tyo"), "unknown method 'tyo'. Did you mean 'toy'?"),
        (("--tag", "none"), "unknown tag 'none'. There are none."),
        (("--baseline", "reward=toy-haf"), "unknown baseline 'reward=toy-haf'."),
        (("--name", "../x"), "--name '../x': expected the name of a folder."),
        (("--name", ""), "--name '': expected the name of a folder."),
        (("--name", "x", "--out", "y"), "--name and --out both say where the report goes"),
        (("--check",), "there is no report in"),
        (("--check", "--task", "Alpha"), "--check asks for what the report was asked"),
        (("--format", "pdf"), "Invalid value for '--format'"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], error: str
) -> None:
    assert report(home, *words) == 2
    assert error in capsys.readouterr().err
    assert list((home / "reports").iterdir()) == []


def test_a_folder_that_is_no_report_is_left_alone(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    assert report(home, "--out", str(tmp_path / "thesis")) == 2
    assert "exists and is no report" in capsys.readouterr().err
    assert files(tmp_path / "thesis") == {"chapter.tex"}
    (tmp_path / "new").mkdir()
    assert report(home, "--out", str(tmp_path / "new"), "--format", "json") == 0
    assert (tmp_path / "new" / "report.json").exists()


def test_a_record_cannot_point_outside(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(home, "--format", "json")
    folder = home / "reports" / "report"
    (home / "precious").write_text("mine")
    record = json.loads((folder / "report.json").read_text())
    record["files"] += ["../../precious", str(home / "precious")]
    (folder / "report.json").write_text(json.dumps(record))
    assert report(home, "--format", "json") == 0
    assert (home / "precious").exists()
    (folder / "report.json").write_text("{}")
    assert report(home, "--check") == 2
    assert "cannot be read" in capsys.readouterr().err


def test_no_completed_run_yet(
    tmp_path: Path, toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "empty"
    assert report(home) == 2  # no registry: perhaps the wrong folder
    assert "there is no registry" in capsys.readouterr().err
    home.mkdir()
    Store(f"sqlite:///{home / 'registry.db'}").close()
    assert report(home) == 0
    text = (home / "reports" / "report" / "index.html").read_text()
    assert "There is no completed run to report on." in text
    assert "rlvit run --plugin toy --puzzle Alpha --preset quick" in text
    assert report(home, "--check") == 0


def test_what_lacks_a_baseline_is_named() -> None:
    arms = [
        scored("a", [1.0, 2.0]),
        scored("b", [1.0, 2.0], slots={"selector": "random"}),
        scored("c", [1.0], protocol="short"),
        scored("d", [1.0], task="Seaquest"),
    ]
    said = "No arm with selector random on Pong under short; on Seaquest under full: no differences"
    assert f"{said} there." in warnings(evidence(arms, baseline="selector=random"))
    assert any(
        line.startswith("No arm called a on") for line in warnings(evidence(arms, baseline="a"))
    )
    assert not any("differences" in line for line in warnings(evidence(arms)))


def test_a_baseline_that_a_task_lacks_is_in_the_page(
    home: Path, toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"puzzle": "Beta", "preset": "quick", "device": "cpu", "threads": 1}
    rlvit.run("toy", home=home, **known)
    assert report(home, "--baseline", "reward=toy-half", "--format", "md") == 0
    text = (home / "reports" / "report" / "report.md").read_text()
    assert "No arm with reward toy-half on Beta under brief: no differences there." in text


def test_a_report_remembers_which_published_numbers_it_shows(home: Path) -> None:
    assert report(home, "--published", "none", "--format", "md") == 0
    folder = home / "reports" / "report"
    assert recorded(folder)[0].published == ("none",)
    assert "rlvit report --format md --published none" in (folder / "report.md").read_text()
    assert report(home, "--check") == 0
    assert report(home, "--published", "nobody") == 2


def test_a_refusal_names_every_task_with_several_protocols() -> None:
    with pytest.raises(Refused) as caught:
        _refuse_mixed({"Alpha": ("brief", "official"), "Beta": ("brief", "long")})
    assert str(caught.value).startswith(
        "Alpha was measured under brief, official; Beta was measured under brief, long: one table"
    )
    with pytest.raises(Refused, match="and 3 more: one table"):
        _refuse_mixed({f"Task {number}": ("brief", "official") for number in range(9)})


def test_the_command_says_what_was_asked() -> None:
    assert Order().command == "rlvit report"
    order = Order({"task": "Ms. Pac-Man", "tag": "a=b c"}, place=("--out", "x y"))
    assert order.command == "rlvit report --task 'Ms. Pac-Man' --tag 'a=b c' --out 'x y'"
    named = Order(published=("SPIRL*", "none"), place=("--name", "x"))
    assert named.command == "rlvit report --published 'SPIRL*' --published none --name x"
