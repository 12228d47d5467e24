"""What every selector must do, tried inside a real network on real images."""

from __future__ import annotations

import itertools
import math
import unittest
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rlvit.contracts import Selection, Selector, SelectorView, TokenBackbone
from rlvit.errors import BrokenPart, UsageProblem
from rlvit.nn.pruning import PrunedVit, Walk
from rlvit.nn.selection import FixedRule, checked, largest
from rlvit.runs.plan import Plan
from rlvit.testing.network import no_network
from rlvit.testing.suite import NOTE, Suite, one_line, require, skip
from rlvit.testing.surroundings import (
    host_plan,
    image_shape,
    in_run,
    load,
    make_backbone,
    some_images,
)

RATE = 0.5
CLOSE = 1e-5  # of the largest logit: what packing may change


@dataclass
class Stage:
    """A network on images, and two selectors of the same kind with different first weights."""

    plan: Plan
    backbone: TokenBackbone
    images: torch.Tensor  # uint8 [B, 3, S, S]
    selectors: tuple[Selector, Selector]
    modules: tuple[torch.nn.Module | None, torch.nn.Module | None]  # their weights, if they learn

    @property
    def first(self) -> int:
        """The block before which the selector decides first."""
        return 1 if "attention" in self.plan.parts["selector"].needs else 0


class Observed(FixedRule):
    """Passes on what a selector is asked, and remembers it; earlier decisions are drawn."""

    def __init__(self, inner: Selector, earlier: int = 0) -> None:
        """Take the selector, and how many decisions come before its own."""
        super().__init__()
        self.inner, self.earlier = inner, earlier
        self.views: list[SelectorView] = []
        self.selections: list[Selection] = []
        self.costs: list[torch.Tensor] = []

    def select(self, view: SelectorView) -> Selection:
        """Drop half of the patches, or let the selector choose."""
        if self.earlier:
            self.earlier -= 1
            scores = torch.rand(view.alive.shape, generator=torch.Generator().manual_seed(5))
            half = view.alive.sum(1) // 2
            return Selection(largest(scores.to(view.alive.device), view.alive, half))
        self.views.append(view)
        self.selections.append(self.inner.select(view))
        return self.selections[-1]

    def macs(self, view: SelectorView) -> torch.Tensor:
        """Return the selector's cost, nothing for an earlier decision."""
        if not self.selections:
            return torch.zeros(len(view.alive), device=view.alive.device)
        self.costs.append(self.inner.macs(view))
        return self.costs[-1]


class Watchful(Observed):
    """Looks whether the selector changes what it is shown."""

    def select(self, view: SelectorView) -> Selection:
        """Compare what the view holds before and after."""
        seen = {f"view.data[{need!r}]": view.data[need] for need in view.data}
        seen["view.alive"] = view.alive
        before = {name: value.clone() for name, value in seen.items()}
        selection = super().select(view)
        for name, value in seen.items():
            same = torch.equal(value, before[name])
            require(same, f"it writes into {name}, which others read after it: change a copy")
        return selection


class SelectorSuite(Suite):
    """Rules for a selector: `name` is what `--selector` calls it."""

    kind = "selector"

    @classmethod
    def stage(cls) -> Stage:
        """Return the network in which the selector is tried."""
        return cls.once("stage", cls._make_stage)

    @classmethod
    def _make_stage(cls) -> Stage:
        plan = host_plan(cls.catalog(), "selector", cls.name, cls.data_root)
        spec = plan.parts["selector"]
        backbone = make_backbone(plan.parts["backbone"], image_shape(plan))
        images = some_images(load(plan.task, cls.data_root), backbone.image_size)

        def one(context: Any, seed: int) -> tuple[Selector, torch.nn.Module | None]:
            selector = spec.make(backbone, plan.config, plan.task)
            create = getattr(selector, "create", None)
            module = None if create is None else create(torch.Generator().manual_seed(seed))
            if spec.fit is not None:
                spec.fit(context, selector)
            return selector, module

        def both(context: Any, config: Any) -> Any:
            return tuple(zip(*(one(context, seed) for seed in (1, 2)), strict=True))

        selectors, modules = (
            both(None, None) if spec.fit is None else in_run(cls.catalog(), plan, both)
        )
        return Stage(plan, backbone, images, selectors, modules)

    @classmethod
    def walk(
        cls,
        selector: Selector,
        *,
        earlier: int = 0,
        decisions: int = 1,
        rate: float = RATE,
        masks_only: bool = False,
        device: str = "cpu",
        observer: type[Observed] = Observed,
    ) -> tuple[Walk, Observed]:
        """Pass the images through the network with the selector in it; the seed is always 7."""
        stage = cls.stage()
        observed = observer(selector, earlier)
        blocks = range(stage.first, stage.first + earlier + decisions)
        vit = PrunedVit(
            stage.backbone,
            observed,
            stage.plan.parts["selector"].needs,
            blocks,
            targets=torch.arange(stage.backbone.shape.classes, device=device),
            rates=(rate,) * len(blocks),
            generator=torch.Generator(device).manual_seed(7),
            masks_only=masks_only,
            name=cls.name,
        )
        return vit.walk(stage.images.to(device, copy=True)), observed

    @classmethod
    def trouble(cls) -> str | None:
        """Return why it cannot select at all, in a line; None if it can."""

        def attempt() -> str | None:
            try:
                cls.walk(cls.stage().selectors[0])
            except BrokenPart as problem:
                return one_line(problem)
            except (UsageProblem, unittest.SkipTest):
                raise
            except Exception as problem:  # of the selector
                return f"{type(problem).__name__}: {one_line(problem)}"
            return None

        return cls.once("trouble", attempt)

    @classmethod
    def selects(cls) -> Stage:
        """Return the network for a rule about what it selects; skips if it selects nothing."""
        try:
            failed = cls.trouble() is not None
        except UsageProblem:
            skip("no method takes it")
        if failed:
            skip("select fails")
        return cls.stage()

    def test_shapes(self) -> None:
        """It keeps bool [B, N], costs a number an image, and its log-probabilities are [T]."""
        trouble = self.trouble()
        require(trouble is None, str(trouble))
        _, observed = self.walk(self.stage().selectors[0])
        check_selection(observed.views[0], observed.selections[0])
        check_cost(observed.views[0], observed.costs[0])

    def test_determinism_under_a_seed(self) -> None:
        """The same images and the same generator give the same patches, whatever torch drew."""
        keeps = []
        for seed in (11, 12):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                keeps.append(self.walk(self.selects().selectors[0])[1].selections[0].keep)
        require(
            bool((keeps[0] == keeps[1]).all()),
            "two passes over the same images with the same generator kept different patches",
        )

    def test_mask_within_alive(self) -> None:
        """Of patches that are gone already it keeps none."""
        try:
            _, observed = self.walk(self.selects().selectors[0], earlier=1)
        except ValueError as problem:
            skip(f"it decides on whole images only: {problem}")
        checked(observed.selections[0], observed.views[0], self.name)

    def test_leaves_what_it_sees(self) -> None:
        """It does not write into what its view holds: that is the network's own memory."""
        self.walk(self.selects().selectors[0], observer=Watchful)

    def test_budget_obeyed(self) -> None:
        """A selector that follows the rate keeps that share of every image, to within a patch."""
        kept = {}
        for rate in (0.25, RATE, 0.75):
            _, observed = self.walk(self.selects().selectors[0], rate=rate)
            kept[rate] = observed.selections[0].keep.sum(1)  # [B]
        if bool((kept[0.25] == kept[0.75]).all()):
            skip(
                f"{NOTE}the rate changes nothing: it chooses itself how many it keeps, so that it "
                "cannot be compared at a cost that a run asks for (keep_largest follows the rate)"
            )
        patches = observed.views[0].alive.shape[1]
        for rate, counts in kept.items():
            worst = float((counts - rate * patches).abs().max())
            require(
                worst <= 1,
                f"asked for {rate * patches:g} of {patches} patches, it keeps "
                f"{int(counts.min())} to {int(counts.max())}",
            )

    def test_masked_equals_gathered(self) -> None:
        """Logits are the same whether dropped patches are hidden or not computed at all."""
        selector = self.selects().selectors[0]
        decisions = 2
        try:
            gathered, _ = self.walk(selector, decisions=decisions)
        except ValueError:  # on whole images only
            decisions = 1
            gathered, _ = self.walk(selector, decisions=decisions)
        masked, _ = self.walk(selector, decisions=decisions, masks_only=True)
        scale = float(gathered.logits.abs().max())
        far = float((gathered.logits - masked.logits).abs().max())
        require(
            far <= CLOSE * scale,
            f"the logits differ by {far:.3g}, {far / scale:.3g} of the largest",
        )

    def test_gradient_reaches_log_probabilities(self) -> None:
        """A selector that learns by its decisions' probabilities can be improved through them."""
        stage = self.selects()
        if stage.modules[0] is None:
            skip("it learns nothing")
        with torch.enable_grad():
            _, observed = self.walk(stage.selectors[0])
        log_prob = observed.selections[0].log_prob
        if log_prob is None:
            skip("it gives no log-probabilities: it does not learn by them, or not as it is now")
        require(log_prob.requires_grad, "log_prob carries no gradient")
        weights = [p for p in stage.modules[0].parameters() if p.requires_grad]
        slopes = torch.autograd.grad(log_prob.sum(), weights, allow_unused=True)
        reached = any(slope is not None and bool(slope.any()) for slope in slopes)
        require(reached, "the gradient of log_prob is zero for all of its weights")

    def test_state_is_complete(self) -> None:
        """Another one that is given its state decides as it does."""
        first, second = self.selects().selectors
        second.restore(first.state())
        ours, theirs = (self.walk(one)[1].selections[0].keep for one in (first, second))
        require(
            bool((ours == theirs).all()),
            "a selector that was given state() keeps other patches than the one that returned it",
        )

    def test_metrics_are_declared(self) -> None:
        """What it reports is declared by a plugin, and finite."""
        selector = self.selects().selectors[0]
        self.walk(selector)
        check_metrics(selector.report(), self.catalog().metrics)

    def test_gpu(self) -> None:
        """On a CUDA device it keeps patches there, too."""
        if not torch.cuda.is_available():
            skip("there is no CUDA device here")
        self.selects()
        module = self.stage().backbone.module
        parts = [module, *(part for part in self.stage().modules if part is not None)]
        try:
            for part in parts:
                part.to("cuda")
            _, observed = self.walk(self.stage().selectors[0], device="cuda")
        finally:
            for part in parts:
                part.to("cpu")
        check_selection(observed.views[0], observed.selections[0])

    def test_no_network(self) -> None:
        """It is made and decides without asking another machine for anything."""
        self.selects()
        with no_network() as asked:
            plan = self.stage().plan
            plan.parts["selector"].make(self.stage().backbone, plan.config, plan.task)
            self.walk(self.stage().selectors[0])
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")


def check_selection(view: SelectorView, selection: Selection) -> None:
    """Raise AssertionError unless a selection has the shapes and types of the contract."""
    alive, keep = view.alive, selection.keep
    require(keep.dtype == torch.bool, f"keep is {keep.dtype}, expected bool")
    wanted = list(alive.shape)
    require(keep.shape == alive.shape, f"keep has shape {list(keep.shape)}, expected {wanted}")
    require(keep.device == alive.device, f"keep is on {keep.device}, the images on {alive.device}")
    if selection.order is not None:
        check_order(selection.order, keep)
    if selection.log_prob is not None:
        count, shape = int(alive.sum()), list(selection.log_prob.shape)
        require(shape == [count], f"log_prob has shape {shape}, expected [{count}]")
        log_prob = selection.log_prob.detach()
        fine = bool(log_prob.isfinite().all()) and bool((log_prob <= 0).all())
        require(fine, "log_prob has values above 0, or not finite: it is in nats")


def check_order(order: torch.Tensor, keep: torch.Tensor) -> None:
    """Raise AssertionError unless each row of `order` [B, K] names what `keep` [B, N] marks."""
    for row, marked in zip(order.tolist(), keep, strict=True):
        ids = list(itertools.takewhile(lambda one: one >= 0, row))
        require(all(one == -1 for one in row[len(ids) :]), "order has -1 before the end of a row")
        same = sorted(ids) == marked.nonzero()[:, 0].tolist()
        require(same, "order names other patches than keep marks")


def check_cost(view: SelectorView, macs: torch.Tensor) -> None:
    """Raise AssertionError unless a cost is a number an image."""
    batch = len(view.alive)
    require(list(macs.shape) == [batch], f"macs has shape {list(macs.shape)}, expected [{batch}]")
    fine = bool(macs.double().isfinite().all()) and bool((macs >= 0).all())
    require(fine, "macs has values below 0, or not finite")


def check_metrics(values: Mapping[str, float], declared: Iterable[str]) -> None:
    """Raise AssertionError unless every value is finite and its metric declared."""
    known = set(declared)
    for name, value in values.items():
        require(name in known, f"no plugin declares the metric {name!r} (rlvit_metrics)")
        require(math.isfinite(value), f"{name} is {value}")
