"""AgentViT from beginning to end: train network and agent together, measure, compare, draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from rlvit.contracts import ImageShape, Measurement, RunContext, TokenBackbone
from rlvit.errors import RlvitError
from rlvit.nn.compute import dense_macs
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.selection import make_selector
from rlvit.nn.weights import plain
from rlvit_agentvit.comparison import compare, rules
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.frozen import FACTS, WEIGHTS, facts_of
from rlvit_agentvit.selector import PatchAgent
from rlvit_agentvit.tally import as_arrays
from rlvit_agentvit.training import FIRST, Trainer


def train(context: RunContext, config: AgentvitConfig) -> None:
    """Train a network on the patches that its selector keeps, and the selector if it learns."""
    backbone = made_backbone(context, config)
    vit, dense = assemble(context, config, backbone)
    trainer = Trainer(context, config, vit, dense)
    saved = context.restored("train")
    if saved is not None:
        trainer.restore(saved)
    context.say(
        f"{context.part('backbone').name}: {backbone.grid[0]}x{backbone.grid[1]} patches, "
        f"{sum(p.numel() for p in backbone.module.parameters()):,} parameters, "
        f"{dense_macs(backbone.shape) / 1e9:.4g} GMACs an image; {trainer.images.count:,} training "
        f"images, {trainer.total:,} iterations"
        + (f"; the agent is paid {trainer.lessons:,} times" if trainer.agent else "")
    )
    if trainer.agent is not None and not trainer.lessons:
        context.say(
            f"The agent will learn nothing: it is paid every {config.frequency} iterations "
            f"(--frequency) from epoch {config.replay_from} on (--replay-from), which never comes."
        )
    trainer.fit()

    if trainer.agent is not None:
        trainer.agent.mode = "greedy"
    vit.generator = torch.Generator(context.device).manual_seed(context.seed)
    found = context.evaluate(vit, trainer.total)
    context.record(trainer.total, cost_of_training(trainer))
    saved_macs = 100 * (1 - found.table["macs"].mean() / dense_macs(backbone.shape))
    context.record(
        trainer.total,
        [Measurement("masks/macs_saved", float(saved_macs), len(found.table["macs"]))],
    )
    keep_model(context, vit, trainer.total)
    history = as_arrays(trainer.rows, backbone.grid)
    context.keep("history", {"step": trainer.total}, lambda folder: _save(folder, history))
    others = rules(vit, float(found.table["kept"][:, -1].mean()))
    if config.compare_masks:
        compare(context, vit, dense, others, trainer.total)
    if config.figures:
        from rlvit_agentvit.pictures import draw

        draw(context, vit, others, history, found.table)


def made_backbone(context: RunContext, config: AgentvitConfig) -> TokenBackbone:
    """Return a backbone with random weights on the run's device."""
    size = context.task.image_size
    shape = ImageShape(size, len(context.data().classes), config.sizes)
    made: TokenBackbone = context.part("backbone").make(
        context.torch_generator("backbone"), shape, None
    )
    made.module.to(context.device)
    return made


def assemble(
    context: RunContext, config: AgentvitConfig, backbone: TokenBackbone
) -> tuple[PrunedVit, PrunedVit]:
    """Return the network with the run's selector before its first block, and with all patches.

    Raises:
        RlvitError: the selector cannot decide there.
    """
    spec = context.part("selector")
    selector = make_selector(context, backbone, config)
    if isinstance(selector, PatchAgent):
        selector.create(context.torch_generator("agent"))
    targets = torch.arange(backbone.shape.classes, device=context.device)
    share = (config.n_patch_desired or backbone.shape.patches) / backbone.shape.patches
    bf16 = config.precision == "bf16"
    try:
        vit = PrunedVit(
            backbone,
            selector,
            spec.needs,
            FIRST,
            targets=targets,
            rates=(share,),
            bf16=bf16,
            name=spec.name,
        )
    except ValueError as problem:
        raise RlvitError(str(problem)) from None
    return vit, PrunedVit(backbone, selector, frozenset(), (), targets=targets, bf16=bf16)


def cost_of_training(trainer: Trainer) -> list[Measurement]:
    """Return what training took, against the network with all patches where that is known."""
    epochs, rows = len(trainer.rows), trainer.rows
    spent = sum(row["gmacs"] for row in rows)
    dense = 3 * dense_macs(trainer.vit.backbone.shape) * trainer.images.count * epochs / 1e9
    seconds = np.array([row["seconds"] for row in rows])
    found = [
        Measurement("train/gmacs", spent / epochs, epochs),
        Measurement("train/macs_saved", 100 * (1 - spent / dense), epochs),
        Measurement.of("train/epoch_seconds", seconds),
    ]
    target = trainer.config.target_accuracy
    if target is not None:
        reached = [n for n, row in enumerate(rows) if row["agent_accuracy"] >= target]
        if reached:
            time = float(seconds[: reached[0] + 1].sum())
            found.append(Measurement("train/seconds_to_target", time, 1))
        else:
            trainer.context.say(f"validation accuracy {target:g} % was never reached")
    return found


def keep_model(context: RunContext, vit: PrunedVit, step: int) -> None:
    """Keep network and agent as they are in the end, for other runs."""

    def build(folder: Path) -> None:
        save_file(plain(vit.backbone.module.state_dict()), folder / "backbone.safetensors")
        shape = vars(vit.backbone.shape) | {"heads": vit.backbone.heads, "grid": vit.backbone.grid}
        (folder / "architecture.json").write_text(json.dumps(shape))
        if isinstance(vit.selector, PatchAgent):
            save_file(plain(vit.selector.state()["network"]), folder / WEIGHTS)
            (folder / FACTS).write_text(json.dumps(facts_of(vit.selector)))

    inputs = {"selector": context.part("selector").name, "seed": context.seed, "step": step}
    context.keep("model", inputs, build)


def _save(folder: Path, history: Mapping[str, Any]) -> None:
    np.savez_compressed(folder / "history.npz", allow_pickle=False, **history)
