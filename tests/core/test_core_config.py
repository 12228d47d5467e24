"""One declaration makes options, validation, flat values and the fingerprint."""

from __future__ import annotations

import inspect
import math
import sys
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError, model_validator

from rlvit.catalog import Catalog
from rlvit.code import code_digest
from rlvit.config import MethodConfig, OptionInfo, flat, options, resolve, setting
from rlvit.errors import UnknownName, UsageProblem
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import digest


class Sample(MethodConfig):
    """One field of each kind."""

    steps: int = setting(5, help="How long.", unit="steps", source="T1", group="Work", ge=1, le=99)
    rate: float = setting(0.1, help="How far.", unit="m", source="T2", group="Work", gt=0, lt=1)
    noisy: bool = setting(True, help="Add noise.", unit="-", source="T3", group="Work")
    mode: Literal["mean", "sum"] = setting("mean", help="How.", unit="-", source="T4", group="More")
    bound: float | None = setting(None, help="At most.", unit="m", source="T5", group="More")
    lowest: None | int = setting(  # noqa: RUF036 (either order is understood)
        3, help="At least.", unit="m", source="T6", group="More"
    )
    label: str = setting("x", help="What.", unit="-", source="T7", group="More")

    @model_validator(mode="after")
    def _bound_fits(self) -> Sample:
        if self.bound is not None and self.bound < self.rate:
            raise ValueError("--bound is smaller than --rate")
        return self


def test_every_kind_of_field_becomes_an_option() -> None:
    known = {info.field: info for info in options(Sample)}
    assert list(known) == ["steps", "rate", "noisy", "mode", "bound", "lowest", "label"]
    assert known["steps"] == OptionInfo(
        "steps", "--steps", int, (), False, 5, "How long.", "steps", "T1", "Work"
    )
    assert (known["rate"].type, known["rate"].default) == (float, 0.1)
    assert (known["noisy"].type, known["noisy"].default) == (bool, True)
    assert (known["mode"].type, known["mode"].choices) == (str, ("mean", "sum"))
    assert (known["bound"].type, known["bound"].optional) == (float, True)
    assert known["bound"].default is None
    assert (known["lowest"].type, known["lowest"].optional) == (int, True)
    assert (known["label"].type, known["label"].choices) == (str, ())


def test_a_name_of_two_words_has_a_dash() -> None:
    class Two(MethodConfig):
        log_every: int = setting(1, help="-", unit="-", source="-", group="-")

    assert [info.flag for info in options(Two)] == ["--log-every"]
    with pytest.raises(UsageProblem, match=r"^--log-every x: should be a valid integer"):
        resolve(Two, {}, {"log_every": "x"})


def test_what_is_given_wins_over_the_preset_and_that_over_the_default() -> None:
    config = resolve(Sample, {"steps": 7, "rate": 0.2}, {"rate": 0.3})
    assert flat(config) == {
        "steps": 7,
        "rate": 0.3,
        "noisy": True,
        "mode": "mean",
        "bound": None,
        "lowest": 3,
        "label": "x",
    }


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown option 'step'\. Did you mean 'steps'\?"):
        resolve(Sample, {}, {"step": 3})
    with pytest.raises(UsageProblem):
        resolve(Sample, {"step": 3}, {})


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"steps": "many"}, "--steps many: should be a valid integer"),
        ({"steps": 2.5}, "--steps 2.5: should be a valid integer"),
        ({"steps": None}, "--steps None: should be a valid integer"),
        ({"steps": 0}, "--steps 0: should be greater than or equal to 1"),
        ({"steps": 100}, "--steps 100: should be less than or equal to 99"),
        ({"rate": 0.0}, "--rate 0.0: should be greater than 0"),
        ({"rate": 1.0}, "--rate 1.0: should be less than 1"),
        ({"rate": math.nan}, "--rate nan: should be a finite number"),
        ({"bound": math.inf}, "--bound inf: should be a finite number"),
        ({"noisy": "perhaps"}, "--noisy perhaps: should be a valid boolean"),
        ({"mode": "max"}, "--mode max: should be 'mean' or 'sum'"),
        ({"label": 3}, "--label 3: should be a valid string"),
        ({"bound": 0.05}, "--bound is smaller than --rate"),
    ],
)
def test_a_value_that_cannot_be_is_named_in_one_line(
    given_values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageProblem) as caught:
        resolve(Sample, {}, given_values)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_told_together() -> None:
    with pytest.raises(UsageProblem, match=r"--steps 0: .*; --rate 2.0: "):
        resolve(Sample, {}, {"steps": 0, "rate": 2.0})


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().steps = 3  # type: ignore[misc]


SAMPLES = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 99),
        "rate": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "noisy": st.booleans(),
        "mode": st.sampled_from(["mean", "sum"]),
        "bound": st.none() | st.floats(1, 1e300),
        "lowest": st.none() | st.integers(max_value=2**53),
        "label": st.text(max_size=8),
    },
)


@settings(max_examples=60, deadline=None)
@given(values=SAMPLES)
def test_a_configuration_and_its_flat_values_are_the_same(values: dict[str, Any]) -> None:
    config = resolve(Sample, {}, values)
    plain = flat(config)
    assert {key: plain[key] for key in values} == values
    assert all(value is None or type(value) in (bool, int, float, str) for value in plain.values())
    assert resolve(Sample, {}, plain) == config
    assert digest(flat(resolve(Sample, plain, {}))) == digest(plain)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert digest({"a": "é"}) != digest({"a": "e"})
    assert len(digest(None)) == 64


@pytest.fixture
def plan(toy: Catalog) -> Plan:
    """Return a plan of the toy method."""
    return _plan(toy)


def _plan(toy: Catalog, **more: Any) -> Plan:
    known: dict[str, Any] = {"task": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
    return make_plan(toy, Request(plugin="toy", **{**known, **more}))


def test_the_fingerprint_ignores_what_does_not_change_the_meaning(toy: Catalog, plan: Plan) -> None:
    same = [
        {"seed": 7},
        {"name": "n", "note": "m", "tags": {"a": "b"}},
        {"threads": 2},
        {"task": "ALPHA"},
        {"slots": {"selector": "toy-pick"}},
        {"preset": "paper", "protocol": "brief", "values": {"steps": 24}},
        {"values": {"steps": 24}},
    ]
    for more in same:
        assert _plan(toy, **more).fingerprint == plan.fingerprint


def test_the_fingerprint_changes_with_every_field(toy: Catalog, plan: Plan) -> None:
    other = {
        "steps": 25,
        "rate": 0.11,
        "noisy": False,
        "mode": "sum",
        "bound": 3.0,
        "start_from": "toy-alpha-s0-00000000",
        "log_every": 2,
        "checkpoint_every": 11,
    }
    assert {*other, "share"} == set(type(plan.config).model_fields)
    prints = {_plan(toy, values={name: value}).fingerprint for name, value in other.items()}
    assert len(prints | {plan.fingerprint}) == len(other) + 1


def test_the_fingerprint_changes_with_task_part_and_protocol(toy: Catalog, plan: Plan) -> None:
    changed = [
        _plan(toy, task="Beta"),
        _plan(toy, slots={"reward": "toy-half"}),
        _plan(toy, protocol="official"),
        *(
            replace(plan, protocol=replace(plan.protocol, settings=different))
            for different in (
                {"episodes": 3, "size": 3},
                {"episodes": 2, "size": 4},
                {"episodes": 2},
                {"episodes": 2, "size": 3, "more": True},
            )
        ),
    ]
    assert len({one.fingerprint for one in [plan, *changed]}) == len(changed) + 1


def test_the_ids_of_runs_are_readable_and_differ(plan: Plan) -> None:
    ids = {plan.new_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(one.startswith("toy-alpha-s0-") and len(one) == 21 for one in ids)


def test_the_digest_of_code_is_that_of_its_files() -> None:
    assert code_digest(code_digest) == code_digest(inspect.getmodule(code_digest))
    assert code_digest(code_digest) != code_digest(code_digest, flat)
    assert code_digest(flat, code_digest) == code_digest(code_digest, flat, flat)
    with pytest.raises(TypeError):
        code_digest(sys)


class Steered(MethodConfig):
    """Two ways to say the same thing."""

    share: float | None = setting(
        None, help="-", unit="-", source="-", group="-", instead_of=("cost",)
    )
    cost: float | None = setting(
        None, help="-", unit="-", source="-", group="-", instead_of=("share",)
    )


def test_a_given_value_takes_the_place_of_the_preset_value_that_it_excludes() -> None:
    assert resolve(Steered, {"share": 0.5}, {"cost": 2.0}) == Steered(cost=2.0)
    assert resolve(Steered, {"share": 0.5}, {}) == Steered(share=0.5)
    assert resolve(Steered, {}, {"share": 0.5, "cost": 2.0}) == Steered(share=0.5, cost=2.0)


class Renamed(MethodConfig):
    """Fields that a paper and its code call otherwise."""

    rate: float = setting(
        0.1, help="-", unit="-", source="-", group="-", aliases=("eta", "step_size"), gt=0
    )
    noisy: bool = setting(True, help="-", unit="-", source="-", group="-", aliases=("noise",))
    other: float | None = setting(
        None, help="-", unit="-", source="-", group="-", aliases=("lambda",), instead_of=("rate",)
    )


def test_an_alias_means_its_field() -> None:
    known = {info.field: info for info in options(Renamed)}
    assert known["rate"].aliases == ("eta", "step_size")
    assert known["rate"].alias_flags == ("--eta", "--step-size")
    assert known["rate"].flag == "--rate"
    for name in ("rate", "eta", "step_size"):
        config = resolve(Renamed, {"rate": 0.2}, {name: 0.3, "noise": False})
        assert flat(config) == {"rate": 0.3, "noisy": False, "other": None}
    assert resolve(Renamed, {"rate": 0.2}, {"lambda": 2.0}) == Renamed(rate=0.1, other=2.0)


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"rate": 0.3, "eta": 0.3}, "give --rate or --eta, not both: they are one option."),
        ({"step_size": 1, "eta": 2}, "give --step-size or --eta, not both: they are one option."),
        ({"eta": 0.0}, "--eta 0.0: should be greater than 0"),
        ({"noise": "perhaps"}, "--noise perhaps: should be a valid boolean"),
        ({"step_sise": 0.3}, "unknown option 'step_sise'. Did you mean 'step_size'?"),
        ({"etta": 0.3}, "unknown option 'etta'. Did you mean 'eta'?"),
        ({"step-size": 0.3}, "unknown option 'step-size'. Did you mean 'step_size'?"),
    ],
)
def test_a_problem_is_told_in_the_names_that_were_given(
    given_values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageProblem) as caught:
        resolve(Renamed, {}, given_values)
    assert str(caught.value).startswith(message)


def test_only_what_users_give_may_have_an_alias() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Renamed(eta=0.3)  # type: ignore[call-arg]
    with pytest.raises(UsageProblem, match="Extra inputs"):
        resolve(Renamed, {"eta": 0.3}, {})


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("b",), (), "Clash.a: the alias 'b' is already a name of 'b'."),
        (("x",), ("x",), "Clash.b: the alias 'x' is already a name of 'a'."),
        (("a",), (), "Clash.a: the alias 'a' is already a name of 'a'."),
        (("x", "x"), (), "Clash.a: the alias 'x' is already a name of 'a'."),
        ((), ("att-dim",), "Clash.b: the alias 'att-dim' is no name; expected one such as"),
        ((), ("_x",), "Clash.b: the alias '_x' is no name"),
        ((), ("",), "Clash.b: the alias '' is no name"),
    ],
)
def test_an_alias_that_cannot_be_is_refused_when_the_class_is_used(
    first: tuple[str, ...], second: tuple[str, ...], message: str
) -> None:
    class Clash(MethodConfig):
        a: int = setting(1, help="-", unit="-", source="-", group="-", aliases=first)
        b: int = setting(1, help="-", unit="-", source="-", group="-", aliases=second)

    for use in (lambda: options(Clash), lambda: resolve(Clash, {}, {})):
        with pytest.raises(UsageProblem) as caught:
            use()
        assert str(caught.value).startswith(message)


def test_the_fingerprint_and_the_values_know_only_the_field(toy: Catalog) -> None:
    plans = [_plan(toy, values={name: 0.25}) for name in ("rate", "eta", "step_size")]
    assert len({plan.fingerprint for plan in plans}) == 1
    assert all(flat(plan.config)["rate"] == 0.25 for plan in plans)
    assert all(set(flat(plan.config)) == set(type(plan.config).model_fields) for plan in plans)
