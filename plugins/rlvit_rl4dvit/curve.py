"""`rlvit prune-curve`: what the runs of a home say about accuracy against compute.

Everything is read from the runs' own folders, so a home that was copied without its registry will
do. Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit_rl4dvit.measured import (
    AFTER,
    AGENTS,
    BEFORE,
    COLUMNS,
    METHOD,
    METRICS,
    REPLICATES,
    TOLERANCE,
    Measured,
    Pair,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def command() -> click.Command:
    """Return the command, for `rlvit_commands`."""

    @click.command("prune-curve")
    @click.option("--dataset", metavar="NAME", help="Only runs on this dataset.")
    @click.option(
        "--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="Only runs with it; repeatable."
    )
    @click.option(
        "--out", metavar="DIR", help="Where to write.  [default: HOME/reports/prune-curve]"
    )
    @click.option(
        "--against",
        metavar="SELECTOR,...",
        help="Selectors that agents are compared with.  [default: all that ran]",
    )
    @click.pass_obj
    def prune_curve(
        home: Any, dataset: str | None, tags: tuple[str, ...], out: str | None, against: str | None
    ) -> None:
        """Compare completed rl4dvit runs by accuracy and multiply-adds, image by image.

        Agents are compared with their dense backbone and with control runs that began with the same
        weights, decide before the same blocks, were tuned alike, and cost the same within 3 %.
        """
        target = Path(out).expanduser() if out else Path(home.root) / "reports" / "prune-curve"
        report(Path(home.root) / "runs", target, dataset, tags, against)

    return prune_curve


def report(
    runs: Path, out: Path, dataset: str | None, tags: Sequence[str], against: str | None
) -> None:
    """Read, compare, write and print.

    Raises:
        UsageProblem: there is nothing to compare, or no run has a selector that was named.
        RlvitError: the folder cannot be written.
    """
    measured, said = read_runs(runs, dataset, tags)
    for line in said:
        click.echo(line)
    if not measured:
        narrowed = " that --dataset and --tag leave" if dataset or tags else ""
        raise UsageProblem(f"there is no completed {METHOD} run{narrowed} in {runs}.")
    pairs, lonely = compare_all(measured, controls(measured, against))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(pairs, out / "paired.csv")
        (out / "paired.md").write_text(markdown(pairs), encoding="utf-8")
        drawn, missing = _draw(measured, out)
    except OSError as problem:
        raise RlvitError(f"--out {out}: cannot be written ({problem.strerror}).") from None
    for line in (*aligned(pairs), *lonely, *missing):
        click.echo(line)
    click.echo(f"written to {out}: {', '.join(['paired.csv', 'paired.md', *drawn])}")


def _draw(measured: Sequence[Measured], out: Path) -> tuple[list[str], list[str]]:
    """Write the figures that there are runs for; say which there are not, and why."""
    from rlvit_rl4dvit import curve_figures

    return curve_figures.write(measured, out)


def read_runs(
    runs: Path, dataset: str | None, tags: Sequence[str]
) -> tuple[list[Measured], list[str]]:
    """Return the measured stages of all wanted runs, and a line on each that had to be left out."""
    from zipfile import BadZipFile

    found: list[Measured] = []
    said: list[str] = []
    for path in sorted(runs.glob("*/run.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if _is_wanted(record, dataset, tags):
                found += read_run(path.parent, record)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as problem:
            missing = f"there is no {problem}" if isinstance(problem, KeyError) else str(problem)
            said.append(f"left out {path.parent.name}, which is damaged: {missing}")
    return found, said


def _is_wanted(record: Mapping[str, Any], dataset: str | None, tags: Sequence[str]) -> bool:
    """Tell whether a run is a completed one of the method that the options do not exclude."""
    if record["method"] != METHOD or record["state"] != "completed" or record.get("archived"):
        return False
    if dataset is not None and record["task"] != dataset:
        return False
    own = record.get("tags") or {}
    wanted = [tag.partition("=") for tag in tags]
    return all(key in own and (not equals or own[key] == value) for key, equals, value in wanted)


def read_run(folder: Path, record: Mapping[str, Any]) -> list[Measured]:
    """Return a run before and, where it was fine-tuned, after that.

    Raises:
        OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile: the folder is not whole.
    """
    artifacts = folder / "artifacts"
    inputs = json.loads((artifacts / "dense" / "artifact.json").read_text())["inputs"]
    dense = read_table(artifacts / "dense" / "predictions.npz")
    live = [r for r in record["results"] if r["metric"] == "eval/top1" and not r["superseded"]]
    steps = sorted({int(result["step"]) for result in live})
    if not 1 <= len(steps) <= 2:
        raise ValueError(f"it was measured at {len(steps)} steps, not before and after fine-tuning")
    facts = (
        record["task"],
        inputs["data"],
        inputs["precision"],
        record["protocol"],
        record["protocol_settings"],
        record["slots"]["backbone"],
        inputs["weights"],
    )
    return [
        Measured(
            run=record["id"],
            seed=int(record["seed"]),
            task=record["task"],
            protocol=record["protocol"],
            backbone=record["slots"]["backbone"],
            weights=inputs["weights"],
            selector=record["slots"]["selector"],
            stage=stage,
            config=record["config"],
            same=json.dumps(facts, sort_keys=True),
            table=read_table(artifacts / f"predictions-{step}" / "predictions.npz"),
            dense=dense,
        )
        for stage, step in zip((BEFORE, AFTER), steps, strict=False)
    ]


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Return the columns that are compared; raises as `read_run`."""
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        table = {column: file[column] for column in COLUMNS}
    rows = {len(column) for column in table.values()}
    if len(rows) != 1 or len(np.unique(table["name"])) not in rows or rows == {0}:
        raise ValueError(f"{path.parent.name}/{path.name} does not have one row an image")
    return table


def controls(measured: Iterable[Measured], against: str | None) -> list[str]:
    """Return the selectors to compare with; raises UnknownName where no run has one."""
    ran = sorted({one.selector for one in measured} - {AGENTS})
    if against is None:
        return ran
    wanted = [name.strip() for name in against.split(",") if name.strip()]
    for name in wanted:
        if name not in ran:
            raise UnknownName("selector of a run here", name, ran)
    return wanted


def compare_all(
    measured: Sequence[Measured], against: Sequence[str]
) -> tuple[list[Pair], list[str]]:
    """Compare every run of agents with its dense backbone and its controls.

    Of each control selector and seed the run that is nearest in GMACs counts. The second result
    is a line for each selector on the runs that it has no such run for.
    """
    pairs: list[Pair] = []
    lonely: dict[str, list[str]] = {}
    for one in measured:
        if one.selector != AGENTS:
            continue
        pairs += compare(one, "dense", "-", one.dense)
        for selector in against:
            others = nearest(one, [other for other in measured if other.selector == selector])
            for other in others:
                pairs += compare(one, selector, other.run, other.table)
            if not others:
                lonely.setdefault(selector, []).append(f"{one.run} ({one.stage})")
    lines = [
        f"no comparable {selector} run within {TOLERANCE:.0%} of the GMACs of {', '.join(runs)}"
        for selector, runs in lonely.items()
    ]
    return pairs, lines


def nearest(one: Measured, others: Iterable[Measured]) -> list[Measured]:
    """Return, for each seed, the comparable run that is nearest in GMACs, if near enough."""
    found: dict[int, Measured] = {}
    alike = [other for other in others if other.conditions == one.conditions]
    for other in sorted(alike, key=lambda other: (abs(other.gmacs - one.gmacs), other.run)):
        if abs(other.gmacs - one.gmacs) <= TOLERANCE * one.gmacs:
            found.setdefault(other.seed, other)
    return [found[seed] for seed in sorted(found)]


def compare(one: Measured, against: str, run: str, other: Mapping[str, NDArray[Any]]) -> list[Pair]:
    """Compare on the images that both tables name, metric by metric; none in common: no rows."""
    import numpy as np

    names, here, there = np.intersect1d(one.table["name"], other["name"], return_indices=True)
    if not len(names):
        return []
    pairs = []
    for metric, column in METRICS.items():
        mine, theirs = one.table[column][here] > 0, other[column][there] > 0
        gained, lost = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
        low, high = interval(gained, lost, len(names))
        pairs.append(
            Pair(
                task=one.task, run=one.run, seed=one.seed, stage=one.stage, gmacs=one.gmacs,
                against=against, other=run, other_gmacs=float(other["macs"].mean()) / 1e9,
                metric=metric, n=len(names), difference=100 * (gained - lost) / len(names),
                low=low, high=high, only_run=gained, only_other=lost,
            )
        )  # fmt: skip
    return pairs


def interval(gained: int, lost: int, images: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a paired bootstrap over images, in points.

    A resampled image is right in one run only, in the other only, or the same in both, so the
    counts of a replicate are one multinomial draw; nothing else of the images matters.
    """
    import numpy as np

    generator: np.random.Generator = np.random.default_rng(0)
    shares = np.array([gained, lost, images - gained - lost]) / images
    counts = generator.multinomial(images, shares, size=REPLICATES)  # [replicates, 3]
    low, high = np.percentile(100 * (counts[:, 0] - counts[:, 1]) / images, [2.5, 97.5])
    return float(low), float(high)


def cells(pair: Pair) -> dict[str, str]:
    """Return a row as text: points to a thousandth, GMACs in four digits."""

    def text(name: str, value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.4g}" if name.endswith("gmacs") else f"{value:.3f}"

    return {name: text(name, value) for name, value in asdict(pair).items()}


def write_csv(pairs: Sequence[Pair], path: Path) -> None:
    """Write a row for each pair and metric."""
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Pair)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(cells(pair) for pair in pairs)


def markdown(pairs: Sequence[Pair]) -> str:
    """Return the table with what its columns mean."""
    names = [field.name for field in fields(Pair)]
    lines = [
        "# Paired differences",
        "",
        "`difference` is the accuracy of `run` minus that of `other` on the same `n` images, "
        "matched by name, in points; `low` and `high` bound the 95 % interval of a paired "
        f"bootstrap ({REPLICATES:,} replicates, fixed seed). `only_run` and `only_other` count the "
        "images that only one of the two gets right. `top1_task` chooses among the dataset's "
        "classes, `top1` among all of the head. `gmacs` are 10^9 multiply-adds an image. `dense` "
        "is the backbone with all patches, as it was before fine-tuning.",
        "",
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(cells(pair).values())} |" for pair in pairs),
        "",
        verdict(pairs),
    ]
    return "\n".join(lines) + "\n"


def verdict(pairs: Sequence[Pair]) -> str:
    """Say whether pruning anywhere beats the dense backbone (Table 1: 81.876 against 81.836)."""
    dense = [p for p in pairs if p.against == "dense" and p.metric == "top1_task"]
    better = [f"{p.run} ({p.stage} fine-tuning)" for p in dense if p.low > 0]
    if not better:
        return f"Better than dense with an interval above 0: none of {len(dense)}."
    return f"Better than dense with an interval above 0: {', '.join(better)}, of {len(dense)}."


def aligned(pairs: Sequence[Pair]) -> list[str]:
    """Return the table as lines for a terminal."""
    if not pairs:
        return [f"no run with {AGENTS} that could be compared"]
    header = {field.name: field.name for field in fields(Pair)}
    rows = [header, *(cells(pair) for pair in pairs)]
    widths = {name: max(len(row[name]) for row in rows) for name in header}
    text = {name for name, value in asdict(pairs[0]).items() if isinstance(value, str)}

    def line(row: Mapping[str, str]) -> str:
        parts = [
            row[name].ljust(width) if name in text else row[name].rjust(width)
            for name, width in widths.items()
        ]
        return "  ".join(parts).rstrip()

    return [*(line(row) for row in rows), verdict(pairs)]
