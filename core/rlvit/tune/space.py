"""Where a study looks: the ranges that configurations declare, narrowed or added to by the user."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rlvit.config import (
    LARGEST,
    MethodConfig,
    OptionInfo,
    Search,
    accepted_names,
    check_value,
    options,
)
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry.records import StudyRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = bool | int | float | str
EXPECTED = "expected NAME=LOW..HIGH, NAME=LOW..HIGH:log, NAME=LOW..HIGH:STEP or NAME=A,B,C"


@dataclass(frozen=True)
class Range:
    """Where a study looks for the value of one field."""

    field: str
    whole: bool = False  # whole numbers alone
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the range as JSON-able values."""
        known = asdict(self)
        del known["field"]
        return {**known, "choices": list(self.choices)}

    @classmethod
    def of(cls, field: str, plain: Mapping[str, Any]) -> Range:
        """Return the range that `plain` wrote."""
        return cls(field, **{**plain, "choices": tuple(plain["choices"])})

    @property
    def distribution(self) -> BaseDistribution:
        """The range as Optuna has it."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.low is None or self.high is None:
            return CategoricalDistribution(self.choices)
        if self.whole:
            low, high = int(self.low), int(self.high)
            return IntDistribution(low, high, log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def holds(self, value: object) -> bool:
        """Return whether a value lies in the range."""
        if self.low is None or self.high is None:
            return any(type(value) is type(one) and value == one for one in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        distribution = self.distribution
        return bool(distribution._contains(distribution.to_internal_repr(value)))

    def grid(self) -> list[Value]:
        """Return every value, for a search of the whole grid.

        Raises:
            UsageProblem: there are too many to count.
        """
        if self.low is None or self.high is None:
            return list(self.choices)
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            raise UsageProblem(
                f"a grid needs values that can be counted: give --space {self.field}=A,B,C or "
                f"--space {self.field}={self.low:g}..{self.high:g}:STEP."
            )
        count = int((self.high - self.low) / step + 1e-9) + 1
        values = [self.low + number * step for number in range(count)]
        return [int(value) for value in values] if self.whole else list(values)

    @property
    def ends(self) -> tuple[Value, ...]:
        """Both ends, the upper one as far as steps reach it; of choices all."""
        if self.low is None or self.high is None:
            return self.choices
        steps = None if self.step is None else int((self.high - self.low) / self.step + 1e-9)
        high = self.high if steps is None or self.step is None else self.low + steps * self.step
        return (int(self.low), int(high)) if self.whole else (self.low, high)

    def __str__(self) -> str:
        """The range as `--space` takes it."""
        if self.low is None or self.high is None:
            return ", ".join(str(choice) for choice in self.choices)
        tail = ":log" if self.log else "" if self.step is None else f":{_exact(self.step)}"
        return f"{_exact(self.low)}..{_exact(self.high)}{tail}"


def _exact(number: float) -> str:
    """Return a number as short as can be, but so that it can be read again as the same."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def declared(config: type[MethodConfig]) -> dict[str, Range]:
    """Return the ranges that a configuration declares, by field."""
    return {o.field: _range(config, o, o.search) for o in options(config) if o.search is not None}


def idle(
    config: type[MethodConfig], ranges: Mapping[str, Range], known: Mapping[str, object]
) -> dict[str, str]:
    """Return the fields that cannot matter, each with the condition that does not hold.

    Args:
        config: declares the conditions.
        ranges: what may be searched: any value of it may hold.
        known: the values of all fields and the names of the parts where nothing is searched.

    Raises:
        UsageProblem: a condition names neither a field nor a slot.
    """
    found: dict[str, str] = {}
    for info in options(config):
        for condition in () if info.search is None else info.search.only_if:
            name, _, words = condition.partition("=")
            if name not in known:
                raise UsageProblem(f"{info.field}: the condition {condition!r} names no setting.")
            one = ranges.get(name)
            values = (known[name],) if one is None else one.choices
            holds = {str(value).lower() for value in values} & set(words.lower().split(","))
            if not holds and (one is None or one.low is None):
                found.setdefault(info.field, condition)
    return found


def parse_space(
    config: type[MethodConfig], texts: Sequence[str], parts: Collection[str] = ()
) -> dict[str, Range]:
    """Read `--space` options: `lr=1e-5..1e-3:log`, `keep=0.15,0.2,0.25`, by field.

    Args:
        config: of the method.
        texts: the options.
        parts: names of the method's slots, which are no settings.

    Raises:
        UnknownName: there is no such setting.
        UsageProblem: it is no range, or leaves the setting's limits.
    """
    meant, known = accepted_names(config), {o.field: o for o in options(config)}
    found: dict[str, Range] = {}
    for text in texts:
        name, equals, body = (part.strip() for part in text.partition("="))
        if not equals or not body:
            raise UsageProblem(f"--space {text}: {EXPECTED}.")
        field = meant.get(name.replace("-", "_"))
        if field is None and name in parts:
            raise UsageProblem(
                f"--space {text}: {name} is a part, and studies search settings; begin a study for "
                f"each, or compare parts with `rlvit matrix`."
            )
        if field is None:
            raise UnknownName("setting", name, meant)
        if field in found:
            raise UsageProblem(f"--space {text}: {field} has a range already.")
        if known[field].run is not None:
            raise UsageProblem(f"--space {text}: {field} names a run; --fix names one for all.")
        try:
            search = _search(config, known[field], body)
        except ValueError as problem:
            raise UsageProblem(f"--space {text}: {problem}; {EXPECTED}.") from None
        found[field] = _range(config, known[field], search)
    return found


def _search(config: type[MethodConfig], info: OptionInfo, body: str) -> Search:
    """Read what follows the `=`; raises ValueError or UsageProblem."""
    ends = re.fullmatch(r"([^:,]+?)\.\.([^:,]+?)(?::(.+))?", body)
    if ends is None:
        words = [word.strip() for word in body.split(",")]
        choices = [_choice(config, info, word) for word in words]
        if len(choices) < 2:
            raise ValueError("one value is no range; --fix sets a value")
        return Search(choices=tuple(choices))
    if info.type not in (int, float):
        raise ValueError(f"{info.field} is no number")
    low, high, tail = ends.groups()
    if tail in (None, "log"):
        return Search(_number(low), _number(high), log=tail == "log")
    return Search(_number(low), _number(high), step=_number(tail))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _choice(config: type[MethodConfig], info: OptionInfo, word: str) -> Value:
    """Read one value of a setting; raises UsageProblem."""
    given: object = word
    if info.type is bool:
        given = {"yes": True, "no": False}.get(word.lower(), word)
    value: Value = check_value(config, info.field, given)
    return value


def _range(config: type[MethodConfig], info: OptionInfo, search: Search) -> Range:
    """Return the range of a field, checked against its type and limits; raises UsageProblem."""
    if search.low is None or search.high is None:
        every: tuple[Value, ...] = (True, False) if info.type is bool else info.choices
        choices = tuple(check_value(config, info.field, one) for one in search.choices or every)
        if not choices:
            raise UsageProblem(f"{info.field}: a range needs two ends or choices.")
        return Range(info.field, choices=choices)
    whole = info.type is int
    if whole and any(v is not None and v % 1 for v in (search.low, search.high, search.step)):
        raise UsageProblem(
            f"{info.field}: the range {search.low:g}..{search.high:g} is of whole numbers."
        )
    if search.step is not None and (search.high - search.low) / search.step > LARGEST:
        raise UsageProblem(f"{info.field}: the range has more than 2**53 steps.")
    for end in (search.low, search.high):
        check_value(config, info.field, int(end) if whole else end)
    return Range(info.field, whole, search.low, search.high, search.log, search.step)


def parse_fixed(
    config: type[MethodConfig], texts: Sequence[str], option: str = "--fix"
) -> dict[str, Any]:
    """Read `--fix NAME=VALUE` options, by field; `option` is what they are called.

    Raises:
        UnknownName: there is no such setting.
        UsageProblem: it is written otherwise, or the setting cannot have that value.
    """
    meant, known = accepted_names(config), {o.field: o for o in options(config)}
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, word = (part.strip() for part in text.partition("="))
        if not equals:
            raise UsageProblem(f"{option} {text}: expected NAME=VALUE.")
        field = meant.get(name.replace("-", "_"))
        if field is None:
            raise UnknownName("setting", name, meant)
        found[field] = _choice(config, known[field], word)
    return found


def make_space(
    config: type[MethodConfig],
    texts: Sequence[str],
    fixed: Mapping[str, Any],
    *,
    only: bool = False,
    known: Mapping[str, object] | None = None,
    parts: Collection[str] = (),
) -> dict[str, Range]:
    """Return a study's ranges, by field: the declared ones unless `only`, those of the user first.

    Args:
        config: of the method.
        texts: `--space` options.
        fixed: values of what is not searched.
        only: leave out what is declared.
        known: the value of every field and the name of every part: what cannot matter beside them
            is left out. None: nothing is.
        parts: names of the method's slots.

    Raises:
        UsageProblem: a setting is both fixed and searched, the user's cannot matter, or there is
            nothing to search.
    """
    given = parse_space(config, texts, parts)
    both = sorted(given.keys() & fixed.keys())
    if both:
        raise UsageProblem(f"{both[0]} has a range (--space) and a fixed value; give one of them.")
    ranges = {**({} if only else declared(config)), **given}
    ranges = {name: one for name, one in ranges.items() if name not in fixed}
    for name, condition in {} if known is None else idle(config, ranges, known).items():
        if name in given:
            raise UsageProblem(f"--space {name}: it matters with {condition} only.")
        ranges.pop(name, None)
    space = {name: ranges[name] for name in sorted(ranges)}
    if not space:
        raise UsageProblem(
            "there is nothing to search: no setting has a range. Give one with --space, as in "
            "--space lr=1e-5..1e-3:log."
        )
    return space


def space_of(study: StudyRecord) -> dict[str, Range]:
    """Return where a study searches, by field."""
    return {name: Range.of(name, plain) for name, plain in study.space.items()}
