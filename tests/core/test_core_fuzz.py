"""Any configuration of any installed method survives options, params, JSON and its fingerprint."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvit_toy.plugin import rlvit_methods

from rlvit.catalog import build_catalog
from rlvit.cli.method_options import PREFIX, _method_options, pick
from rlvit.config import (
    LARGEST,
    MethodConfig,
    OptionInfo,
    bookkeeping,
    check_value,
    flat,
    identity,
    options,
    resolve,
)
from rlvit.errors import UsageProblem
from rlvit.manager import create_plugin_manager
from rlvit.specs import PRESET_NAMES, MethodSpec, digest
from rlvit.tune.space import Range, declared, parse_space

TRIES = settings(max_examples=60, deadline=None, derandomize=True)


@cache
def methods() -> dict[str, MethodSpec]:
    """Return every method that is installed, and the toy's."""
    entries = build_catalog(create_plugin_manager()).entries["method"].values()
    return {spec.name: spec for spec in [*(entry.spec for entry in entries), *rlvit_methods()]}


NAMES = sorted(methods())


def limits(config: type[MethodConfig], field: str) -> dict[str, float]:
    """Return a field's `gt`, `ge`, `lt` and `le`."""
    found = {}
    for constraint in config.model_fields[field].metadata:
        for name in ("gt", "ge", "lt", "le"):
            if getattr(constraint, name, None) is not None:
                found[name] = getattr(constraint, name)
    return found


def values_of(config: type[MethodConfig], info: OptionInfo) -> st.SearchStrategy[Any]:
    """Return any value that a field looked at alone may have, but for None."""
    if info.choices:
        return st.sampled_from(info.choices)
    if info.type is bool:
        return st.booleans()
    if info.type is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    known = limits(config, info.field)
    if info.type is int:
        low = known.get("ge", known.get("gt", -LARGEST - 1) + 1)
        high = known.get("le", known.get("lt", LARGEST + 1) - 1)
        return st.integers(math.ceil(low), math.floor(high))
    return st.floats(
        known.get("ge", known.get("gt")),
        known.get("le", known.get("lt")),
        exclude_min="ge" not in known and "gt" in known,
        exclude_max="le" not in known and "lt" in known,
        allow_nan=False,
        allow_infinity=False,
    )


@st.composite
def given_values(draw: st.DrawFn, spec: MethodSpec) -> tuple[str, dict[str, Any]]:
    """Return a preset and values beside it that together are a configuration."""
    preset = draw(st.sampled_from(PRESET_NAMES))
    known = {info.field: info for info in options(spec.config)}
    fields = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=6))
    chosen: dict[str, Any] = {}
    for field in fields:
        value = draw(values_of(spec.config, known[field]))
        with suppress(UsageProblem):
            resolve(spec.config, spec.preset(preset).values, {**chosen, field: value})
            chosen[field] = value
    return preset, chosen


def same(left: MethodConfig, right: MethodConfig) -> bool:
    """Return whether two configurations have the same values of the same types."""
    pairs = zip(flat(left).values(), flat(right).values(), strict=True)
    return left == right and all(type(one) is type(other) for one, other in pairs)


def as_options(spec: MethodSpec, chosen: Mapping[str, Any]) -> list[str]:
    """Return values as a user would type them."""
    known = {info.field: info for info in options(spec.config)}
    words = []
    for field, value in chosen.items():
        flag = known[field].flag
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words.append(f"{flag}={value}")
    return words


def typed(spec: MethodSpec, words: list[str]) -> dict[str, Any]:
    """Return what the command line makes of options."""
    command = click.Command("run", params=_method_options(spec))
    return pick(command.make_context("run", words).params, PREFIX)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@TRIES
def test_options_and_params_bring_the_same_configuration_back(
    name: str, data: st.DataObject
) -> None:
    spec = methods()[name]
    preset, chosen = data.draw(given_values(spec))
    config = resolve(spec.config, spec.preset(preset).values, chosen)
    by_options = typed(spec, as_options(spec, chosen))
    assert same(resolve(spec.config, spec.preset(preset).values, by_options), config)
    assert same(resolve(spec.config, {}, json.loads(json.dumps(flat(config)))), config)
    # MLflow's params are texts
    optional = {info.field for info in options(spec.config) if info.optional}
    texts = {field: str(value) for field, value in flat(config).items()}
    read = {f: None if t == "None" and f in optional else t for f, t in texts.items()}
    assert same(resolve(spec.config, {}, read), config)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@TRIES
def test_the_fingerprint_knows_values_alone(name: str, data: st.DataObject) -> None:
    spec = methods()[name]
    preset, chosen = data.draw(given_values(spec))
    values = spec.preset(preset).values
    config = resolve(spec.config, values, chosen)
    print_ = digest(identity(config))
    shuffled = list(flat(config).items())
    random.Random(len(chosen)).shuffle(shuffled)
    assert digest(identity(resolve(spec.config, {}, dict(shuffled)))) == print_
    assert digest(identity(resolve(spec.config, {}, dict(reversed(shuffled))))) == print_
    kept = {**identity(config), **bookkeeping(config)}
    left_out = flat(config).keys() - kept.keys()
    assert {f: spec.config.model_fields[f].default for f in left_out} | kept == flat(config)
    assert resolve(spec.config, {}, kept) == config
    assert not identity(config).keys() & bookkeeping(config).keys()
    known = {info.field: info for info in options(spec.config)}
    field = data.draw(st.sampled_from(sorted(known)))
    try:
        other = resolve(
            spec.config,
            {},
            {**flat(config), field: data.draw(values_of(spec.config, known[field]))},
        )
    except UsageProblem:
        return
    unchanged = other == config or field in bookkeeping(config)
    assert (digest(identity(other)) == print_) is unchanged


@pytest.mark.parametrize("name", NAMES)
def test_presets_have_the_fingerprint_that_their_options_have(name: str) -> None:
    spec = methods()[name]
    for preset in PRESET_NAMES:
        config = resolve(spec.config, spec.preset(preset).values, {})
        written = {field: value for field, value in flat(config).items() if value is not None}
        again = resolve(spec.config, {}, typed(spec, as_options(spec, written)))
        if set(written) == set(flat(config)) or again == config:
            assert digest(identity(again)) == digest(identity(config))
        else:  # an option cannot say None
            default = resolve(spec.config, {}, {})
            missing = {f for f, value in flat(config).items() if value is None}
            assert any(flat(default)[f] is not None for f in missing)


@pytest.mark.parametrize("name", NAMES)
def test_minus_nought_is_nought(name: str) -> None:
    config = methods()[name].config
    for info in options(config):
        if info.type is float and limits(config, info.field).get("ge") == 0.0:
            with suppress(UsageProblem):  # it may contradict another default
                plus, minus = (resolve(config, {}, {info.field: zero}) for zero in (0.0, -0.0))
                assert digest(identity(plus)) == digest(identity(minus)), info.field


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "-1e999", "", "1,5", "0x10", "é"])
def test_what_is_no_number_is_refused_in_a_line_that_names_it(name: str, value: str) -> None:
    config = methods()[name].config
    for info in options(config):
        if info.type in (int, float) and not info.choices:
            with pytest.raises(UsageProblem, match=rf"^{info.flag} {value}: ") as told:
                resolve(config, {}, {info.field: value})
            assert "\n" not in str(told.value)


# Where studies search.


@pytest.mark.parametrize("name", NAMES)
def test_declared_ranges_are_written_and_read_again(name: str) -> None:
    config = methods()[name].config
    for field, one in declared(config).items():
        assert parse_space(config, [f"{field}={one}"]) == {field: one}
        assert Range.of(field, json.loads(json.dumps(one.plain()))) == one


@st.composite
def ranges(draw: st.DrawFn, config: type[MethodConfig]) -> Range:
    """Return any range of any field that may have one."""
    known = {info.field: info for info in options(config) if info.type is not str or info.choices}
    info = known[draw(st.sampled_from(sorted(known)))]
    kind = values_of(config, info)
    number = info.type in (int, float) and not info.choices
    if number and draw(st.booleans()):
        ends = sorted(float(draw(kind)) for _ in range(2))
        if ends[0] < ends[1]:
            log = ends[0] > 0 and draw(st.booleans())
            whole = info.type is int
            step = None
            if not log and draw(st.booleans()):
                step = float(draw(st.integers(1, 9))) if whole else draw(st.floats(1e-6, 1.0))
                step = step if 1 <= (ends[1] - ends[0]) / step <= LARGEST else None
            return Range(info.field, whole, ends[0], ends[1], log, step)
    every = draw(st.lists(kind, min_size=2, max_size=5, unique=True))
    return Range(info.field, choices=tuple(every)) if len(every) > 1 else Range(info.field)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@TRIES
def test_any_range_is_written_and_read_again(name: str, data: st.DataObject) -> None:
    config = methods()[name].config
    one = data.draw(
        ranges(config).filter(lambda drawn: bool(drawn.choices) or drawn.low is not None)
    )
    assert Range.of(one.field, json.loads(json.dumps(one.plain()))) == one
    (again,) = parse_space(config, [f"{one.field}={one}"]).values()
    assert again == one
    reached = (one.low,) if one.step is not None else (one.low, one.high)
    for end in one.choices or reached:
        value = int(end) if one.whole and end is not None else end
        assert one.holds(check_value(config, one.field, value))
