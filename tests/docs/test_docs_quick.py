"""docs/configuration.md: `quick` is minutes on a CPU, whatever the dataset and the selector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rlvit.catalog import Catalog, build_catalog
from rlvit.contracts import ImageShape
from rlvit.errors import UsageProblem
from rlvit.manager import create_plugin_manager
from rlvit.runs.cost import stage_seconds
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DATASET, StageCost

CORE = 1e11  # FLOP/s of matrix products on one ordinary core
MINUTES = 15
METHODS = ("agentvit", "glimpse", "rl4dvit")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


def quick(catalog: Catalog, method: str, dataset: str, **more: Any) -> Plan:
    return make_plan(catalog, Request(method, dataset, "quick", device="cpu", threads=1, **more))


@pytest.mark.parametrize("method", METHODS)
def test_quick_is_minutes_on_every_dataset(catalog: Catalog, method: str) -> None:
    datasets = [e.spec.name for e in catalog.entries["task"].values() if e.spec.kind == DATASET]
    assert {"digits", "mnist", "cifar10", "imagenette", "imagenet"} <= set(datasets)
    for dataset in datasets:
        seconds = sum(stage_seconds(quick(catalog, method, dataset).costs(), CORE))
        assert seconds <= 60 * MINUTES, f"{dataset}: {seconds / 60:.0f} min"


@pytest.mark.parametrize("method", ["agentvit", "rl4dvit"])
def test_what_a_selector_needs_first_is_minutes_too_and_counted(
    catalog: Catalog, method: str
) -> None:
    for dataset in ("mnist", "cifar10", "imagenette"):
        slots = {"selector": "mae-salient"}
        plan = quick(catalog, method, dataset, slots=slots)
        own = plan.method.estimate(plan.config, plan.task, plan.protocol, plan.parts)
        first, *others = plan.costs()
        assert (first.stage, others) == ("pretrain", list(own))
        assert first.flops > 0
        assert sum(stage_seconds(plan.costs(), CORE)) <= 60 * MINUTES
        whole = quick(catalog, method, dataset, slots=slots, values={"train_images": 10**6})
        assert whole.costs()[0].flops > 2 * first.flops


def test_the_autoencoder_costs_what_its_iterations_do(catalog: Catalog) -> None:
    """23 batches of 64 fit into 1,500 images, 20 times; 16 patches are a ninth of a frame's."""
    plan = quick(catalog, "rl4dvit", "cifar10", slots={"selector": "mae-salient"})
    shape = plan.parts["backbone"].shape(ImageShape(32, 10))
    assert shape.patches == 16
    flops = 3 * 0.22e9 * 16 / 144 * 460 * 64
    (first, *_) = plan.costs()
    assert first == StageCost("pretrain", "460 iterations", pytest.approx(flops), 0.0)


def test_a_selector_without_preparation_costs_nothing_first(catalog: Catalog) -> None:
    plan = quick(catalog, "agentvit", "digits", slots={"selector": "random"})
    own = plan.method.estimate(plan.config, plan.task, plan.protocol, plan.parts)
    assert list(plan.costs()) == list(own)
    fitted = replace(plan.parts["selector"], fit=lambda context, selector: None)
    silent = replace(plan, parts={**plan.parts, "selector": fitted})
    assert list(silent.costs()) == list(own)  # it does not say what its preparation costs


def test_quick_trains_on_all_digits_and_other_presets_on_all_of_everything(
    catalog: Catalog,
) -> None:
    for method in ("agentvit", "rl4dvit"):
        for preset in catalog.method(method).presets:
            most = dict(preset.values).get("train_images")
            assert most == (1500 if preset.name == "quick" else None)
        digits = catalog.task("digits", DATASET)
        assert digits.facts["train_images"] < 1500


def test_a_game_has_no_autoencoder_of_images(catalog: Catalog) -> None:
    plan = quick(catalog, "spirl", "Seaquest")
    assert plan.slots["selector"] == "mae-salient"
    assert [cost.stage for cost in plan.costs()].count("pretrain") == 1


def test_no_images_to_train_on_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageProblem, match="train-images"):
        quick(catalog, "rl4dvit", "digits", values={"train_images": 0})
