"""`rlvit doctor`: what may keep rlvit from working here, and what to do about it."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rlvit.contracts import Diagnosis
    from rlvit.home import Home

# `rlvit` as it begins a command in a piece of advice; completion is no matter of a home.
COMMAND = re.compile(r"(^|: )rlvit (?=[a-z])(?!completion)")


@click.command()
@click.option(
    "--fix", is_flag=True, help="Do what is safe and loses nothing, and say what was done."
)
@click.option(
    "--data-root",
    metavar="DIR",
    help="Where datasets are.  [default: RLVIT_DATA, else ./data]",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="How to print.",
)
@click.pass_obj
def doctor(home: Home, fix: bool, data_root: str | None, style: str) -> int:
    """Look for what may keep rlvit from working here: machine, home, registry, data, plugins.

    Every line says ok, note or problem; what can be done stands below it. The exit code is 1 if
    there is a problem.
    """
    from rlvit.cli.completion import diagnose
    from rlvit.doctor.examine import examine, guarded, mend
    from rlvit.doctor.patient import Patient

    root = Path(data_root or os.environ.get("RLVIT_DATA") or "data").expanduser().absolute()
    patient = Patient(home, root)
    done: list[Diagnosis] = []
    if fix:
        done = list(mend(list(examine(patient))))
        if style == "table":
            _tell_done(done)
    found = _shown(home, examine(patient), quiet=style == "json")
    shell = guarded("completion", lambda patient: diagnose(), patient)
    found += _shown(home, shell, quiet=style == "json")
    counts = Counter(one.state for one in found)
    if style == "json":
        rows = [_plain(home, one) for one in found]
        rows += [{**_plain(home, one), "state": "mended", "advice": ""} for one in done]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        told = ", ".join(f"{counts[state]} {state}" for state in ("ok", "note", "problem"))
        click.echo(told)
    return 1 if counts["problem"] else 0


def _shown(home: Home, found: Iterable[Diagnosis], *, quiet: bool) -> list[Diagnosis]:
    """Print what is found as it is found, unless `quiet`, and return it."""
    kept = []
    for one in found:
        kept.append(one)
        if not quiet:
            click.echo(f"{one.state:<8} {one.about:<12} {_line(one.text)}")
            if one.advice and one.state != "ok":
                click.echo(f"{'':<21} -> {_called(home, one.advice)}")
    return kept


def _tell_done(done: Sequence[Diagnosis]) -> None:
    """Print what was mended."""
    for one in done:
        state = "fixed" if one.state == "ok" else "failed"
        click.echo(f"{state:<8} {one.about:<12} {_line(one.text)}")
    if not done:
        click.echo("there is nothing that can safely be mended")


def _plain(home: Home, one: Diagnosis) -> dict[str, str | bool]:
    """Return a finding for programs."""
    return {
        "about": one.about,
        "state": one.state,
        "text": _line(one.text),
        "advice": _called(home, one.advice) if one.state != "ok" else "",
        "fixable": one.mend is not None and one.state != "ok",
    }


def _called(home: Home, advice: str) -> str:
    """Return advice with `rlvit` called for this home from where the user is."""
    from rlvit.cli.run import program

    called = program(home)
    return COMMAND.sub(lambda found: f"{found[1]}{called} ", advice)


def _line(text: str) -> str:
    """Return a text as one line that any terminal takes."""
    return " ".join(text.encode(errors="replace").decode().split())
