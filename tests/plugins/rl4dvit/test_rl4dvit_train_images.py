"""With --train-images nothing trains on more than those, and steps are counted from them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rlvit.catalog import build_catalog
from rlvit.manager import create_plugin_manager
from rlvit.specs import DATASET
from rlvit.testing.surroundings import load
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.finetune import finetune_steps
from rlvit_rl4dvit.images import training_split
from rlvit_rl4dvit.rollouts import rollout_count


@pytest.fixture(scope="module")
def context() -> Any:
    digits = load(build_catalog(create_plugin_manager()).task("digits", DATASET), None)
    return SimpleNamespace(data=lambda: digits)


def test_all_images_are_used_unless_some_are_asked_for(context: Any) -> None:
    whole = context.data().split("train")
    for most in (None, 10**6):
        assert training_split(context, Rl4dvitConfig(train_images=most)) is whole
    some = training_split(context, Rl4dvitConfig(train_images=200))
    assert len(some.labels) == 200
    assert set(some.names) < set(whole.names)


def test_steps_and_rollouts_are_counted_from_them(context: Any) -> None:
    config = Rl4dvitConfig(train_images=200, finetune_epochs=2.0, rl_epochs=2.0)
    assert finetune_steps(context, config) == 6  # twice three whole batches of 64
    assert rollout_count(context, config) == 6
