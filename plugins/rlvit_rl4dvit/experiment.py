"""RL4DViT from beginning to end: dense baseline, agents, measurement, fine-tuning (Algorithm 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rlvit.contracts import Measurement, RunContext, State
from rlvit.errors import RlvitError
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.selection import make_selector
from rlvit.nn.weights import plain
from rlvit_rl4dvit.backbone import prepared_backbone, targets_of
from rlvit_rl4dvit.budget import calibrate, settled_rates, wanted_patches
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.dense import compared, dense_baseline, training_accuracy
from rlvit_rl4dvit.export import architecture
from rlvit_rl4dvit.finetune import finetune, finetune_steps
from rlvit_rl4dvit.frozen import FACTS, WEIGHTS, facts_of
from rlvit_rl4dvit.rollouts import learn, rollout_count, steering
from rlvit_rl4dvit.selector import TokenAgents


def train(context: RunContext, config: Rl4dvitConfig) -> None:
    """Train agents for a frozen backbone, measure, fine-tune the backbone, measure again."""
    tuned, learnt = context.restored("finetune"), context.restored("rollouts")
    backbone = prepared_backbone(context, config)
    dense = dense_baseline(context, config, backbone, fresh=not (tuned or learnt))
    vit = assemble(context, config, backbone)
    selector = vit.selector
    rollouts = 0
    if isinstance(selector, TokenAgents):
        rollouts = rollout_count(context, config)
        if tuned is None:
            selector.create(context.torch_generator("agents"))
            target = None
            if config.has_target:
                accuracy = training_accuracy(context, config, backbone)
                target = steering(config, wanted_patches(vit, config), accuracy)
            learn(context, config, vit, rollouts, target, learnt)
    if tuned is None:
        measure(context, config, vit, dense, rollouts)
    else:
        selector.restore(tuned["selector"])

    steps = finetune_steps(context, config)
    if steps > 0:
        finetune(context, config, vit, steps, rollouts, tuned)
        measure(context, config, vit, dense, rollouts + steps)
    keep_model(context, config, vit, rollouts + steps)
    if config.figures:
        from rlvit_rl4dvit.figures import draw

        draw(context, vit)


def assemble(context: RunContext, config: Rl4dvitConfig, backbone: Any) -> PrunedVit:
    """Return the backbone with the run's selector deciding inside it.

    Raises:
        RlvitError: a decision block does not exist, or the target cannot be reached.
    """
    spec = context.part("selector")
    selector = make_selector(context, backbone, config)
    draws = context.torch_generator("selector")
    generator = torch.Generator(context.device).manual_seed(draws.initial_seed())
    try:
        vit = PrunedVit(
            backbone,
            selector,
            spec.needs,
            config.blocks(),
            targets=targets_of(context, backbone),
            generator=generator,
            bf16=config.precision == "bf16",
            name=spec.name,
        )
        if not isinstance(selector, TokenAgents):
            vit.rates = settled_rates(vit, config, context.say)
    except ValueError as problem:
        raise RlvitError(str(problem)) from None
    return vit


def measure(
    context: RunContext,
    config: Rl4dvitConfig,
    vit: PrunedVit,
    dense: Mapping[str, Any],
    step: int,
) -> None:
    """Measure the pruned network, and its difference from the dense one on the same images."""
    if isinstance(vit.selector, TokenAgents) and config.decide == "calibrated":
        calibrate(context, config, vit)
    vit.generator = torch.Generator(context.device).manual_seed(context.seed)  # the same each time
    found = context.evaluate(vit, step)
    context.record(step, compared(found.table, dense))
    context.record(step, [Measurement(n, v, 1) for n, v in vit.selector.report().items()])


def keep_model(context: RunContext, config: Rl4dvitConfig, vit: PrunedVit, step: int) -> None:
    """Keep backbone and agents as they are in the end, for export and for other runs."""

    def build(folder: Path) -> None:
        (folder / "architecture.json").write_text(json.dumps(architecture(vit.backbone)))
        save_file(plain(vit.backbone.module.state_dict()), folder / "backbone.safetensors")
        if isinstance(vit.selector, TokenAgents):
            state: State = vit.selector.state()
            threshold = {"threshold": torch.tensor(state["threshold"])}
            save_file({**plain(state["actor"]), **threshold}, folder / WEIGHTS)
            assert vit.selector.actor is not None
            (folder / FACTS).write_text(json.dumps(facts_of(vit.selector.actor)))

    inputs = {
        "weights": vit.backbone.sha256,
        "selector": context.part("selector").name,
        "seed": context.seed,
        "step": step,
        "rates": list(vit.rates),
    }
    context.keep("model", inputs, build)
