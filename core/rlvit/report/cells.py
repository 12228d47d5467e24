"""What a table is made of, and how its numbers are written."""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

ABSENT = "-"
MINUS, TO = "\N{MINUS SIGN}", "\N{EN DASH}"
MOST_DECIMALS = 6
ARROWS = {"max": "↑", "min": "↓", "none": ""}

# text: for people; count: one exact number; result: a mean with interval and n; difference: of
# two results, with the verdict of a test.
ColumnKind = Literal["text", "count", "result", "difference"]
TableKind = Literal[
    "comparison", "efficiency", "section", "imported", "aggregate", "budget", "provenance",
    "unfinished",
]  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column and its heading."""

    key: str  # for programs
    title: str  # for people
    kind: ColumnKind
    unit: str = ""
    direction: Literal["max", "min", "none"] = "none"
    wide: bool = False  # its text may need several lines

    @property
    def heading(self) -> str:
        """Return the title with unit and the better direction."""
        unit = "" if self.unit in ("", "-") else self.unit.replace("10^9", "10⁹")
        extra = " ".join(part for part in (unit, ARROWS[self.direction]) if part)
        return f"{self.title} ({extra})" if extra else self.title


@dataclass(frozen=True)
class Cell:
    """One cell: as people read it, and in full precision for programs."""

    text: str = ABSENT  # rounded
    interval: str = ""  # rounded alike: "[low, high]", or "± sd" of a published number
    remark: str = ""  # "n=1", "n=4, 1 NaN", or the verdict of a test
    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None  # standard deviation over runs
    n: int | None = None  # runs with a finite value
    p: float | None = None  # of a difference, adjusted
    bold: bool = False  # better than every other row, beyond the intervals
    muted: bool = False  # one run only
    marks: tuple[str, ...] = ()  # of footnotes

    @property
    def shown(self) -> str:
        """Return everything but the marks in one line."""
        return " ".join(part for part in (self.text, self.interval, self.remark) if part)


class Footnote(NamedTuple):
    """A remark under a table; without a mark it is about the whole table."""

    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table, free of any markup."""

    kind: TableKind
    slug: str  # for file names and labels: lower-case letters, digits, hyphens
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[Footnote, ...] = ()
    breaks: tuple[int, ...] = ()  # numbers of the rows that a rule stands before
    task: str = ""  # "" where there are several
    protocol: str = ""
    metric: str = ""  # the main one, "" if there is none


@dataclass
class Notes:
    """Hands out footnote marks: a, b, ..., z, aa, ab; the same text gets the same mark."""

    marked: dict[str, str] = field(default_factory=dict)  # text -> mark
    general: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """Return the mark of a footnote."""
        return self.marked.setdefault(clean(text), _letters(len(self.marked)))

    def say(self, text: str) -> None:
        """Add a footnote about the whole table."""
        if (cleaned := clean(text)) not in self.general:
            self.general.append(cleaned)

    def footnotes(self) -> tuple[Footnote, ...]:
        """Return the general footnotes, then the marked ones."""
        general = [Footnote("", text) for text in self.general]
        return (*general, *(Footnote(mark, text) for text, mark in self.marked.items()))


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = string.ascii_lowercase[digit] + letters
    return letters


def text_cell(text: str, *, marks: Sequence[str] = ()) -> Cell:
    """Return a cell without a number."""
    return Cell(text=clean(text) or ABSENT, marks=tuple(marks))


def count_cell(value: float | None, digits: int | None = None) -> Cell:
    """Return a cell with a number that needs no interval, in so many significant digits."""
    if value is None:
        return Cell()
    places = 0 if digits is None else significant(value, digits)
    return Cell(text=number(value, places), value=value)


def clean(text: str) -> str:
    """Return a text in one line, without letters that cannot be seen or turn others round."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def significant(value: float, digits: int = 4) -> int:
    """Return the decimals that show so many significant digits."""
    if not math.isfinite(value) or value == 0:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), MOST_DECIMALS)


def decimals(value: float, low: float | None, high: float | None) -> int:
    """Return the decimals that a value deserves: two digits of its interval's half-width."""
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return 0 if value == round(value, 0) else significant(value)
    return min(max(1 - math.floor(math.log10((high - low) / 2)), 0), MOST_DECIMALS)


def number(value: float, places: int, *, sign: bool = False) -> str:
    """Write a number with thousands separators, a true minus sign, and words for NaN."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size >= 1e15 or 0 < size < 0.5 * 10**-MOST_DECIMALS:
        text = f"{size:.2e}"
    else:
        text = f"{size:,.{places}f}"
    negative = value < 0 and any(digit in "123456789" for digit in text)
    return (MINUS if negative else "+" if sign else "") + text


def between(low: float, high: float, places: int, *, sign: bool = False) -> str:
    """Write an interval."""
    return f"[{number(low, places, sign=sign)}, {number(high, places, sign=sign)}]"


def difference_unit(unit: str) -> str:
    """Return the unit of a difference: that of two percentages is in points, not in percent."""
    return "points" if unit == "%" else unit


def slug(*parts: str) -> str:
    """Return a name for files: what is lost of unusual names is told apart by a digest."""
    plain = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts]
    name = "--".join(part for part in plain if part)[:80]
    faithful = all(re.fullmatch(r"[A-Za-z0-9 _.-]+", part) for part in parts if part)
    if faithful and len(name) < 80:
        return name
    return f"{name}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:8]}".strip("-")
