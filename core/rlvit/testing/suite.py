"""What all suites share: rules are methods named `test_...`, and `findings` tries them in turn."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar

from rlvit.errors import BrokenPart

if TYPE_CHECKING:
    from rlvit.catalog import Catalog

T = TypeVar("T")
S = TypeVar("S", bound="Suite")
PREFIX = "test_"
NOTE = "note: "  # begins the reason of a rule that does not apply, where authors should hear of it


@dataclass(frozen=True)
class Finding:
    """What came of a rule."""

    rule: str
    part: str  # "selector cls-attention"
    state: Literal["ok", "failed", "skipped"]
    why: str  # one line; "" if it is ok and there is nothing to say
    seconds: float


class Suite:
    """Rules for one part. Inherit it as a test class and say the part's name.

    A rule fails by raising anything, mostly AssertionError, and says that it does not apply by
    raising `unittest.SkipTest`, which pytest understands.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    data_root: ClassVar[Path | None] = None  # where datasets are
    _made: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        """Give each suite its own memory: rules share what is costly to make."""
        cls._made = {}

    @classmethod
    def once(cls, key: str, make: Callable[[], T]) -> T:
        """Return what `make` returned when it was first asked for under this key."""
        if key not in cls._made:
            cls._made[key] = make()
        found: T = cls._made[key]
        return found

    @classmethod
    def catalog(cls) -> Catalog:
        """Return what the installed plugins offer."""
        from rlvit.catalog import build_catalog
        from rlvit.manager import create_plugin_manager

        return cls.once("catalog", lambda: build_catalog(create_plugin_manager()))

    @classmethod
    def spec(cls) -> Any:
        """Return the part's specification; raises UnknownName."""
        return cls.catalog().entry(cls.kind, cls.name).spec

    @classmethod
    def remarks(cls) -> dict[str, str]:
        """Return what is worth saying of rules that are ok, by rule."""
        remarks: dict[str, str] = cls.once("remarks", dict)
        return remarks


def skip(reason: str) -> NoReturn:
    """Say that a rule does not apply; raises unittest.SkipTest."""
    raise unittest.SkipTest(reason)


def require(condition: bool, why: str) -> None:
    """Raise AssertionError unless a condition holds; unlike `assert` it cannot be switched off."""
    if not condition:
        raise AssertionError(why)


def rules(suite: type[Suite]) -> list[str]:
    """Return the names of a suite's rules, in the order in which they are written."""
    names: dict[str, None] = {}
    for one in reversed(suite.__mro__):
        names.update(dict.fromkeys(name for name in vars(one) if name.startswith(PREFIX)))
    return [name.removeprefix(PREFIX) for name in names]


def findings(suite: type[Suite]) -> Iterator[Finding]:
    """Try every rule of a suite and yield what came of it."""
    for rule in rules(suite):
        yield _try(suite, rule)


def _try(suite: type[Suite], rule: str) -> Finding:
    begun = time.perf_counter()
    state: Literal["ok", "failed", "skipped"] = "ok"
    why = ""
    try:
        getattr(suite(), PREFIX + rule)()
    except unittest.SkipTest as reason:
        state, why = "skipped", one_line(reason)
    except (AssertionError, BrokenPart) as problem:
        state, why = "failed", one_line(problem)
    except (Exception, SystemExit) as problem:  # of the plugin
        state, why = "failed", f"{type(problem).__name__}: {one_line(problem)}"
    else:
        why = suite.remarks().get(rule, "")
    seconds = time.perf_counter() - begun
    return Finding(rule.replace("_", " "), f"{suite.kind} {suite.name}", state, why, seconds)


def one_line(problem: object) -> str:
    """Return the first line of what a problem says."""
    return (str(problem).splitlines() or [""])[0]


def checked(suite: type[S], name: str, catalog: Catalog, data_root: Path | None) -> type[S]:
    """Return a suite for one part of a catalogue that is known already."""
    given: dict[str, Any] = {"name": name, "data_root": data_root}
    made: type[S] = type(f"Checked{suite.__name__}", (suite,), given)
    made.once("catalog", lambda: catalog)
    return made
