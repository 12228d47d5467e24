"""One declaration, several uses: options, validation, params and fingerprint of a method."""

from __future__ import annotations

import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rlvit.errors import UnknownName, UsageProblem

LARGEST = 2**53  # beyond it floats, and so estimates, no longer count one by one


@dataclass(frozen=True)
class Search:
    """Where studies look for a good value: between two ends, or among choices.

    `Search(1e-5, 1e-3, log=True)`, `Search(2, 16, step=2)`, `Search(choices=(0.15, 0.25))`; of a
    boolean or a choice between words `Search()` means all its values. A value that only matters
    beside certain others says so: `only_if=("mode=fast,faster", "selector=learnt")` names fields
    or slots, each with the values that it may have; elsewhere studies leave it alone.

    Raises:
        ValueError: it is no range.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[bool | int | float | str, ...] = ()
    only_if: tuple[str, ...] = ()  # NAME=VALUE or NAME=VALUE,VALUE, all of which have to hold

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        if (self.low is None) != (self.high is None):
            raise ValueError("a range has two ends")
        if self.choices and (self.low is not None or self.log or self.step is not None):
            raise ValueError("give two ends or choices, not both")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("a choice is there twice")
        for condition in self.only_if:
            if not all(condition.partition("=")[::2]):
                raise ValueError(f"only_if {condition!r}: expected NAME=VALUE or NAME=VALUE,VALUE")
        if self.low is None or self.high is None:
            if self.log or self.step is not None:
                raise ValueError("log and step belong to a range with two ends")
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("the ends of a range are finite numbers")
        if self.low >= self.high:
            raise ValueError(f"the first end, {self.low}, has to be below the second, {self.high}")
        if self.log and self.low <= 0:
            raise ValueError("both ends of a logarithmic range are above 0")
        if self.step is not None and (self.step <= 0 or self.log):
            raise ValueError("a step is above 0 and goes with no logarithm")
        if self.step is not None and self.step > (self.high - self.low) * (1 + 1e-9):
            raise ValueError(f"the step {self.step:g} is longer than the range")

    @property
    def ends(self) -> tuple[bool | int | float | str, ...]:
        """The values that lie at its borders: both ends, or every choice."""
        if self.low is None or self.high is None:
            return self.choices
        return (self.low, self.high)


@dataclass(frozen=True)
class RunOf:
    """What a completed run needs to have, so that a setting may name it: `setting(run=RunOf(...))`.

    The run is always one on the same task. What the user calls it by (its id, a part of it, its
    name, `latest`) is replaced by its id before anything else looks at the value.
    """

    what: str  # what is taken from it, in a word: "policy"
    methods: tuple[str, ...]  # those whose runs have it
    artifacts: tuple[str, ...] = ()  # kinds in the run's own folder that it is read from


class MethodConfig(BaseModel):
    """Base of every method's configuration: frozen, and nothing undeclared is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class OptionInfo:
    """A field of a configuration as people see it."""

    field: str
    flag: str
    type: type[bool] | type[int] | type[float] | type[str]
    choices: tuple[str, ...]
    optional: bool
    default: bool | int | float | str | None
    help: str
    unit: str
    source: str
    group: str
    aliases: tuple[str, ...] = ()
    search: Search | None = None
    run: RunOf | None = None
    only_with: str | None = None

    @property
    def alias_flags(self) -> tuple[str, ...]:
        """The options of the aliases, with dashes."""
        return tuple(to_flag(alias) for alias in self.aliases)


def setting(
    default: Any,
    *,
    help: str,
    unit: str,
    source: str,
    group: str,
    bookkeeping: bool = False,
    instead_of: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    search: Search | None = None,
    run: RunOf | None = None,
    only_with: str | None = None,
    omit_default: bool = False,
    **limits: Any,
) -> Any:
    """Declare a configuration value with its unit and source.

    Args:
        default: the value when neither a preset nor the user says otherwise.
        help: one sentence.
        unit: what one unit of the value is; "-" for a choice or a pure number.
        source: table, section or fact that the default comes from.
        group: heading under which `--help` shows it.
        bookkeeping: it cannot change a result, and so is left out of the fingerprint.
        instead_of: fields that it excludes; giving it takes a preset's value of these away.
        aliases: names that a paper or its code has for it; users may give these, too. Presets,
            registry and fingerprint know the field's own name only.
        search: where `rlvit tune` looks for a good value.
        run: the value names a completed run that has this; the field is a `str | None` with
            `omit_default`.
        only_with: a field, None by default, without which this one means nothing: giving this one
            alone is refused, and while that one is None this one is left out of the fingerprint.
        omit_default: the default is left out of the fingerprint, as if there were no such field: a
            configuration that gets such a field keeps the fingerprints of the runs that there are.
            The default is then what those did, and can never be changed.
        limits: pydantic's `gt`, `ge`, `lt`, `le`.

    Raises:
        ValueError: the search leaves the limits, or a run is named by default or searched for.
    """
    if search is not None:
        _check_search(search, limits)
    if run is not None and (default is not None or search is not None):
        raise ValueError("a run is named by the user alone: its default is None, without a search")
    extra: dict[str, Any] = {"unit": unit, "source": source, "group": group}
    extra["bookkeeping"] = bookkeeping
    extra["instead_of"] = list(instead_of)
    extra["aliases"] = list(aliases)
    if search is not None:
        lists = {"choices": list(search.choices), "only_if": list(search.only_if)}
        extra["search"] = {**asdict(search), **lists}
    if omit_default or run is not None:
        extra["omit_default"] = True
    if run is not None:
        lists = {"methods": list(run.methods), "artifacts": list(run.artifacts)}
        extra["run"] = {**asdict(run), **lists}
    if only_with is not None:
        extra["only_with"] = only_with
    if (
        isinstance(default, int)
        and not isinstance(default, bool)
        and not {"le", "lt"} & set(limits)
    ):
        limits["le"] = LARGEST
    return Field(default=default, description=help, json_schema_extra=extra, **limits)


def _check_search(search: Search, limits: Mapping[str, Any]) -> None:
    """Refuse a range that leaves its field's limits; raises ValueError."""
    holds = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
    for value in search.ends:
        for limit, bound in limits.items():
            if limit in holds and not (
                isinstance(value, int | float) and holds[limit](value, bound)
            ):
                raise ValueError(f"search: {value!r} is not {limit} {bound!r}")


def options(config: type[MethodConfig]) -> list[OptionInfo]:
    """Return one option for each field, in the order of declaration.

    Raises:
        UsageProblem: an alias or an `only_with` cannot be; whoever declared the class has to
            change it.
    """
    accepted_names(config)
    found = [_option(name, info) for name, info in config.model_fields.items()]
    optional = {info.field for info in found if info.optional and info.default is None}
    for info in found:
        if info.only_with is not None and info.only_with not in optional:
            where = f"{config.__name__}.{info.field}: only_with={info.only_with!r}"
            raise UsageProblem(f"{where} is no field that is None by default.")
    return found


def run_fields(config: type[MethodConfig]) -> dict[str, RunOf]:
    """Return what the completed run needs to have that a field names, by field."""
    return {info.field: info.run for info in options(config) if info.run is not None}


def accepted_names(config: type[MethodConfig]) -> dict[str, str]:
    """Return the field that each name means: the fields' own names, then their aliases.

    Raises:
        UsageProblem: an alias is no identifier, or already means something; whoever declared the
            class has to change it.
    """
    meant = {name: name for name in config.model_fields}
    for name in config.model_fields:
        for alias in _names_in(config, name, "aliases"):
            where = f"{config.__name__}.{name}: the alias {alias!r}"
            if not alias.isidentifier() or alias.startswith("_"):
                raise UsageProblem(f"{where} is no name; expected one such as 'step_size'.")
            if alias in meant:
                raise UsageProblem(f"{where} is already a name of {meant[alias]!r}.")
            meant[alias] = name
    return meant


def _option(name: str, info: Any) -> OptionInfo:
    annotation, optional = info.annotation, False
    # `Literal[...] | None` is a Union of typing, `int | None` one of types
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        optional = True
        annotation = next(arm for arm in annotation.__args__ if arm is not type(None))
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        choices, annotation = typing.get_args(annotation), str
    extra = info.json_schema_extra or {}
    return OptionInfo(
        field=name,
        flag=to_flag(name),
        type=annotation,
        choices=choices,
        optional=optional,
        default=info.default,
        help=info.description or "",
        unit=extra.get("unit", "-"),
        source=extra.get("source", "-"),
        group=extra.get("group", "Options"),
        aliases=tuple(extra.get("aliases", ())),
        search=_search_of(extra),
        run=_run_of(extra),
        only_with=extra.get("only_with"),
    )


def _run_of(extra: Mapping[str, Any]) -> RunOf | None:
    """Return what a run needs to have, if a field's declaration says that it names one."""
    if "run" not in extra:
        return None
    known = extra["run"]
    return RunOf(known["what"], tuple(known["methods"]), tuple(known["artifacts"]))


def _search_of(extra: Mapping[str, Any]) -> Search | None:
    """Return the range that a field's declaration has, if any."""
    if "search" not in extra:
        return None
    known = extra["search"]
    tuples = {name: tuple(known[name]) for name in ("choices", "only_if")}
    return Search(**{**known, **tuples})


def check_value(config: type[MethodConfig], field: str, value: Any) -> Any:
    """Return a value as a field would hold it, looked at alone.

    Raises:
        UsageProblem: it has the wrong type or is out of the field's limits.
    """
    info = config.model_fields[field]
    kind: Any = info.annotation
    for constraint in info.metadata:
        kind = Annotated[kind, constraint]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise UsageProblem(f"{to_flag(field)} {value}: {message}") from None


def resolve(
    config: type[MethodConfig], preset: Mapping[str, Any], given: Mapping[str, Any]
) -> MethodConfig:
    """Build a configuration from a preset's values and what the user gave, which wins.

    Args:
        config: the method's configuration.
        preset: values by field.
        given: values by field or alias.

    Raises:
        UnknownName: a given name is neither a field nor an alias.
        UsageProblem: a value has the wrong type, is out of range or contradicts another, or means
            nothing without another; one field has two values, under different names.
    """
    used = _names_used(config, given)
    values = {field: given[name] for field, name in used.items()}
    replaced = {other for field in values for other in _names_in(config, field, "instead_of")}
    kept = {name: value for name, value in preset.items() if name not in replaced}
    try:
        found = config(**{**kept, **values})
    except ValidationError as error:
        raise UsageProblem("; ".join(_explain(item, used) for item in error.errors())) from None
    for field, other in _idle(found).items():
        # A whole configuration, such as a run's, has its default and may be given back.
        if field in used and getattr(found, field) != config.model_fields[field].default:
            raise UsageProblem(
                f"{to_flag(used[field])} means nothing without {to_flag(other)}: give both."
            )
    return found


def _idle(config: MethodConfig) -> dict[str, str]:
    """Return the fields that mean nothing here, each with the one that it would need."""
    needs = _declared(type(config), "only_with")
    return {name: other for name, other in needs.items() if getattr(config, other) is None}


def _declared(config: type[MethodConfig], key: str) -> dict[str, Any]:
    """Return what the fields' declarations have under a key, by field, where they have it."""
    extras = ((name, info.json_schema_extra) for name, info in config.model_fields.items())
    return {name: extra[key] for name, extra in extras if isinstance(extra, dict) and key in extra}


def _names_used(config: type[MethodConfig], given: Iterable[str]) -> dict[str, str]:
    """Return, by field, the name that the user gave it under; raises as `resolve` does."""
    meant = accepted_names(config)
    used: dict[str, str] = {}
    for name in given:
        if name not in meant:
            raise UnknownName("option", name, meant)
        first = used.setdefault(meant[name], name)
        if first != name:
            raise UsageProblem(
                f"give {to_flag(first)} or {to_flag(name)}, not both: they are one option."
            )
    return used


def _names_in(config: type[MethodConfig], field: str, key: str) -> list[str]:
    """Return the list of names that a field's declaration has under a key."""
    extra = config.model_fields[field].json_schema_extra
    names = extra.get(key, []) if isinstance(extra, dict) else []
    return [str(name) for name in names] if isinstance(names, list) else []


def to_flag(name: str) -> str:
    """Return the option of a field or an alias: `--step-size` of `step_size`."""
    return "--" + name.replace("_", "-")


def _explain(item: Any, used: Mapping[str, str]) -> str:
    """Turn one of pydantic's findings into `--lr -1.0: should be greater than 0`.

    Args:
        item: the finding.
        used: by field, the name that the user gave it under.
    """
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not item["loc"]:
        return str(message)
    field = str(item["loc"][0])
    return f"{to_flag(used.get(field, field))} {item['input']}: {message}"


def identity(config: MethodConfig) -> dict[str, Any]:
    """Return the fields that decide the result, as plain values, for the fingerprint.

    What means nothing beside the other values is left out; so are defaults that a field's
    declaration leaves out (`omit_default`).
    """
    usual = omitted_defaults(type(config)).items()
    left = {*bookkeeping(config), *_idle(config)}
    left |= {name for name, default in usual if getattr(config, name) == default}
    return {name: value for name, value in flat(config).items() if name not in left}


def omitted_defaults(config: type[MethodConfig]) -> dict[str, Any]:
    """Return the defaults that are left out of `identity`, by field."""
    names = _declared(config, "omit_default")
    return {name: config.model_fields[name].default for name in names}


def bookkeeping(config: MethodConfig) -> dict[str, Any]:
    """Return the fields that cannot change the result, as plain values."""
    names = bookkeeping_fields(type(config))
    return {name: value for name, value in flat(config).items() if name in names}


def bookkeeping_fields(config: type[MethodConfig]) -> frozenset[str]:
    """Return the names of the fields that cannot change the result."""
    return frozenset(
        name
        for name, info in config.model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("bookkeeping")
    )


def flat(config: MethodConfig) -> dict[str, bool | int | float | str | None]:
    """Return the fields as plain values, for params and fingerprints; -0.0, as 0.0 is."""
    values = config.model_dump(mode="json").items()
    return {name: value + 0.0 if isinstance(value, float) else value for name, value in values}
