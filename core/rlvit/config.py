"""One declaration, several uses: options, validation, params and fingerprint of a method."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlvit.errors import UnknownName, UsageProblem

LARGEST = 2**53  # beyond it floats, and so estimates, no longer count one by one


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


def setting(
    default: Any,
    *,
    help: str,
    unit: str,
    source: str,
    group: str,
    bookkeeping: bool = False,
    instead_of: tuple[str, ...] = (),
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
        limits: pydantic's `gt`, `ge`, `lt`, `le`.
    """
    extra: dict[str, Any] = {"unit": unit, "source": source, "group": group}
    extra["bookkeeping"] = bookkeeping
    extra["instead_of"] = list(instead_of)
    if (
        isinstance(default, int)
        and not isinstance(default, bool)
        and not {"le", "lt"} & set(limits)
    ):
        limits["le"] = LARGEST
    return Field(default=default, description=help, json_schema_extra=extra, **limits)


def options(config: type[MethodConfig]) -> list[OptionInfo]:
    """Return one option for each field, in the order of declaration."""
    return [_option(name, info) for name, info in config.model_fields.items()]


def _option(name: str, info: Any) -> OptionInfo:
    annotation, optional = info.annotation, False
    if isinstance(annotation, types.UnionType):
        optional = True
        annotation = next(arm for arm in annotation.__args__ if arm is not type(None))
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        choices, annotation = typing.get_args(annotation), str
    extra = info.json_schema_extra or {}
    return OptionInfo(
        field=name,
        flag="--" + name.replace("_", "-"),
        type=annotation,
        choices=choices,
        optional=optional,
        default=info.default,
        help=info.description or "",
        unit=extra.get("unit", "-"),
        source=extra.get("source", "-"),
        group=extra.get("group", "Options"),
    )


def resolve(
    config: type[MethodConfig], preset: Mapping[str, Any], given: Mapping[str, Any]
) -> MethodConfig:
    """Build a configuration from a preset's values and what the user gave, which wins.

    Raises:
        UnknownName: a given name is no field.
        UsageProblem: a value has the wrong type, is out of range or contradicts another.
    """
    for name in given:
        if name not in config.model_fields:
            raise UnknownName("option", name, config.model_fields)
    replaced = {other for name in given for other in _excluded(config, name)}
    kept = {name: value for name, value in preset.items() if name not in replaced}
    try:
        return config(**{**kept, **given})
    except ValidationError as error:
        raise UsageProblem("; ".join(_explain(item) for item in error.errors())) from None


def _excluded(config: type[MethodConfig], name: str) -> list[str]:
    """Return the fields whose place a field takes."""
    extra = config.model_fields[name].json_schema_extra
    excluded = extra.get("instead_of", []) if isinstance(extra, dict) else []
    return [str(other) for other in excluded] if isinstance(excluded, list) else []


def _explain(item: Any) -> str:
    """Turn one of pydantic's findings into `--lr -1.0: should be greater than 0`."""
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not item["loc"]:
        return str(message)
    flag = "--" + str(item["loc"][0]).replace("_", "-")
    return f"{flag} {item['input']}: {message}"


def identity(config: MethodConfig) -> dict[str, Any]:
    """Return the fields that decide the result, as plain values, for the fingerprint."""
    kept = bookkeeping(config)
    return {name: value for name, value in flat(config).items() if name not in kept}


def bookkeeping(config: MethodConfig) -> dict[str, Any]:
    """Return the fields that cannot change the result, as plain values."""
    names = {
        name
        for name, info in type(config).model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("bookkeeping")
    }
    return {name: value for name, value in flat(config).items() if name in names}


def flat(config: MethodConfig) -> dict[str, bool | int | float | str | None]:
    """Return the fields as plain values, for params and fingerprints."""
    return config.model_dump(mode="json")
