"""What a report in this repository says is what its bundles hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rlvit.cli.main import invoke

FOLDER = Path(__file__).resolve().parents[2] / "reports" / "spirl-frostbite-10k"
BUNDLES = sorted(FOLDER.glob("*.rlvit"))
ROW = re.compile(
    r"^\| (?P<arm>\S.*?) \| (?P<runs>\d) \|"
    r" (?P<mean>[\d.]+) \[(?P<low>[-\d.]+), (?P<high>[-\d.]+)\]"
    r" \| (?P<seeds>[\d., ]+) \| (?P<kept>.+?) \|$",
    flags=re.M,
)


def test_a_kept_report_follows_from_its_bundles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path)]
    assert invoke([*home, "import", *map(str, BUNDLES)]) == 0
    assert invoke([*home, "report", "--format", "json"]) == 0
    assert invoke([*home, "registry", "check"]) == 0
    capsys.readouterr()
    assert invoke([*home, "runs", "list", "--format", "json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    (table,) = (tmp_path / "reports" / "report" / "tables").glob("frostbite--atari100k-spirl.json")
    page = json.loads(table.read_text())
    keys = [column["key"] for column in page["columns"]]
    cells = [dict(zip(keys, row, strict=True)) for row in page["rows"]]
    measured = {row["arm"]["text"]: row for row in cells}

    rows = [found.groupdict() for found in ROW.finditer((FOLDER / "README.md").read_text())]
    assert len(rows) == 3
    for row in rows:
        ours = measured[row["arm"]]
        said = [float(row[name]) for name in ("mean", "low", "high")]
        found = ours["eval/return"]
        assert said == [round(found[name], 1) for name in ("value", "low", "high")]
        assert int(row["runs"]) == ours["runs"]["value"] == 8
    every = sorted(float(one) for row in rows for one in row["seeds"].split(","))
    scores = [float(re.findall(r"eval/return ([\d.]+)", run["result"])[0]) for run in runs]
    assert sorted(scores) == every
