"""A small method on images that can forget, one at a time, what any selector asks of it."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from rlvit.config import MethodConfig, setting
from rlvit.contracts import ImageShape
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.randomness import on_device
from rlvit.nn.selection import make_selector
from rlvit.specs import DATASET, PRESET_NAMES, MethodSpec, MetricDef, Preset, StageCost

METRIC = MetricDef("drawing/loss", "nats", "min", "cross-entropy of a batch", "steps")


class DrawingConfig(MethodConfig):
    """How long to train."""

    steps: int = setting(6, help="Steps.", unit="steps", source="none", group="Work", ge=1)


class Training:
    """Trains a network on the patches that are kept, but for one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def network(self, context: Any, config: Any) -> PrunedVit:
        classes = len(context.data().classes)
        shape = ImageShape(context.task.image_size, classes)
        backbone = context.part("backbone").make(context.torch_generator("net"), shape, None)
        spec = context.part("selector")
        if self.fault == "unfitted":
            selector = spec.make(backbone, config, context.task)
        else:
            selector = make_selector(context, backbone, config)
        draws = None
        if self.fault == "once":  # drawn from all along: a checkpoint does not hold where it is
            draws = torch.Generator(context.device).manual_seed(context.seed)
        targets = torch.arange(classes)
        return PrunedVit(
            backbone, selector, spec.needs, (0,), targets=targets, rates=(0.5,), generator=draws
        )

    def __call__(self, context: Any, config: Any) -> None:
        split = context.data().split("train")
        vit = self.network(context, config)
        module = vit.backbone.module.train()
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
        saved, step = context.restored("train"), 0
        if saved is not None:
            step = saved["step"]
            module.load_state_dict(saved["module"])
            optimiser.load_state_dict(saved["optimiser"])
            if self.fault != "memory":
                vit.selector.restore(saved["selector"])

        def state() -> dict[str, Any]:
            parts = {"module": module, "optimiser": optimiser}
            states = {name: part.state_dict() for name, part in parts.items()}
            return {"step": step, **states, "selector": vit.selector.state()}

        while step < config.steps:
            chosen = context.generator(f"batch-{step}").integers(len(split.labels), size=16)
            (images,) = split.batches([chosen], vit.image_size)
            if self.fault not in ("once", "mute"):
                vit.generator = on_device(context.torch_generator(f"s-{step}"), context.device)
            labels = torch.from_numpy(split.labels[chosen])
            loss = functional.cross_entropy(vit.walk(images).logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            context.log(step, {METRIC.name: loss.item()})
            context.checkpoint("train", step, state, every=2)
        module.eval()
        vit.generator = torch.Generator().manual_seed(context.seed)
        context.evaluate(vit, step)


def drawing_method(fault: str = "") -> MethodSpec:
    """Return the method with one fault: "once", "memory", "unfitted", "mute", or none."""
    return MethodSpec(
        name="drawing",
        summary="trains on kept patches",
        cite="nobody",
        task_kind=DATASET,
        config=DrawingConfig,
        presets=tuple(Preset(name, "-", "quick") for name in PRESET_NAMES),
        slots={"backbone": "simple-vit-small", "selector": "uniform"},
        train=Training(fault),
        estimate=lambda config, task, protocol, parts: [StageCost("train", "-", 1.0, 0.0)],
    )
