"""What every backbone must do: its blocks can be walked, and its sizes are what it says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlvit.contracts import ImageShape, TokenBackbone
from rlvit.errors import RlvitError
from rlvit.nn.compute import dense_macs
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.selection import FixedRule
from rlvit.specs import DATASET, BackboneSpec, TaskSpec
from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, require, skip
from rlvit.testing.surroundings import hosts, load, make_backbone, small_task, some_images, tasks_of

LARGEST = (
    2e9  # multiply-adds an image: larger ones are too slow to try where smaller ones are there
)
CLOSE = 1e-5  # of the largest logit


class BackboneSuite(Suite):
    """Rules for a backbone: `name` is what `--backbone` calls it."""

    kind = "backbone"

    @classmethod
    def task(cls) -> TaskSpec:
        """Return the smallest dataset that is there."""
        return cls.once("task", lambda: small_task(cls.catalog(), DATASET, cls.data_root))

    @classmethod
    def image_shape(cls) -> ImageShape:
        """Return what the backbone is built for."""
        task = cls.task()
        return ImageShape(task.image_size, int(task.facts.get("classes") or 10))

    @classmethod
    def backbone(cls) -> TokenBackbone:
        """Return the backbone with random weights; skips if it cannot be walked, or is large."""
        spec: BackboneSpec = cls.spec()
        if spec.shape is None:
            skip("it has no blocks to walk: it embeds patches only")
        macs = cls.macs(spec)
        if macs > LARGEST and any(cls.macs(other) < macs for other in cls.siblings()):
            skip(f"{macs / 1e9:.1f} GMACs an image: only smaller ones of its plugin are tried")
        return cls.once("backbone", lambda: make_backbone(spec, cls.image_shape()))

    @classmethod
    def macs(cls, spec: BackboneSpec) -> float:
        """Return the multiply-adds of an image."""
        shape_of = spec.shape
        assert shape_of is not None
        return cls.once(f"macs of {spec.name}", lambda: dense_macs(shape_of(cls.image_shape())))

    @classmethod
    def siblings(cls) -> list[BackboneSpec]:
        """Return the plugin's backbones that can be walked."""
        entries = cls.catalog().entries["backbone"]
        own = [e.spec for e in entries.values() if e.owner == entries[cls.name].owner]
        return [spec for spec in own if spec.shape is not None]

    @classmethod
    def images(cls) -> Tensor:
        """Return a few images uint8 [B, 3, S, S] in the size that the backbone takes."""
        data = cls.once("data", lambda: load(cls.task(), cls.data_root))
        return some_images(data, cls.backbone().image_size, 3)

    @classmethod
    def walked(cls) -> Tensor:
        """Return the logits [B, K] of a walk that drops nothing."""
        targets = torch.arange(cls.backbone().shape.classes)
        vit = PrunedVit(cls.backbone(), FixedRule(), frozenset(), (), targets=targets)
        with torch.no_grad():
            return vit.walk(cls.images()).logits

    def test_shapes(self) -> None:
        """Tokens [B, prefix + N, D], logits [B, K], a grid of N patches, as many blocks as said."""
        backbone, shape = self.backbone(), self.backbone().shape
        with torch.no_grad():
            tokens = backbone.embed(self.images())
        wanted = [len(tokens), shape.prefix + shape.patches, shape.dim]
        require(list(tokens.shape) == wanted, f"tokens {list(tokens.shape)}, expected {wanted}")
        wanted = [len(tokens), shape.classes]
        logits = list(self.walked().shape)
        require(logits == wanted, f"logits {logits}, expected {wanted}")
        rows, columns = backbone.grid
        require(rows * columns == shape.patches, f"grid {backbone.grid}: {shape.patches} patches")
        require(len(backbone.blocks) == shape.depth, f"{len(backbone.blocks)} blocks, not depth")
        require(bool(self.walked().isfinite().all()), "logits are not finite")

    def test_agrees_with_its_shape(self) -> None:
        """The specification tells the sizes of a network without making it."""
        backbone, spec = self.backbone(), self.spec()
        said = spec.shape(self.image_shape())
        require(said == backbone.shape, f"the specification says {said}, made is {backbone.shape}")

    def test_forward_equals_walk(self) -> None:
        """Its blocks, called one after another, give the logits of the walk on packed tokens."""
        backbone = self.backbone()
        with torch.no_grad():
            tokens = backbone.embed(self.images())
            for block in backbone.blocks:
                tokens = block(tokens)
            prefix = backbone.shape.prefix
            logits = backbone.readout(tokens[:, 0] if prefix else tokens.mean(1))
        walked = self.walked()
        far, scale = float((logits - walked).abs().max()), float(logits.abs().max())
        require(far <= CLOSE * scale, f"the logits differ by {far / scale:.3g} of the largest")

    def test_determinism_under_a_seed(self) -> None:
        """Random weights follow from the generator alone."""
        self.backbone()  # skips large ones
        states = []
        for seed, drawn in ((0, 1), (0, 2), (1, 1)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(drawn)
                made = make_backbone(self.spec(), self.image_shape(), seed)
            states.append(torch.cat([p.flatten() for p in made.module.parameters()]))
        require(torch.equal(states[0], states[1]), "one seed gave different weights")
        require(not torch.equal(states[0], states[2]), "another seed gave the same weights")

    def test_embeds_selected_patches(self) -> None:
        """A backbone of patches embeds those of an order [B, K]; pads give zero rows."""
        if self.spec().shape is not None:
            skip("it is a network whose blocks are walked")
        frame = torch.from_numpy(self.frame()[None])  # [1, C, H, W]
        order = torch.tensor([[3, 0, -1]])
        with torch.no_grad():
            made: Any = self.spec().make(torch.Generator().manual_seed(0))
            found = made.embed_selected(frame, order)
        require(found.ndim == 3 and found.shape[:2] == order.shape, f"{list(found.shape)} embedded")
        require(not bool(found[0, 2].any()), "a pad's row is not zero")
        require(bool(found[0, :2].any(1).all()), "a patch's row is zero")

    def frame(self) -> Any:
        """Return the first frame uint8 [C, H, W] of a game that a method plays with it."""
        for method in hosts(self.catalog(), "backbone", self.name):
            for task in tasks_of(self.catalog(), method.task_kind):
                if task.make is not None:
                    return task.make(task.protocols[-1].settings, 0).reset(full=True)
        skip("no installed method plays a game with it")

    def test_gpu(self) -> None:
        """On a CUDA device the logits are those of the CPU, to within float32's rounding."""
        backbone = self.backbone()
        if not torch.cuda.is_available():
            skip("there is no CUDA device here")
        try:
            backbone.module.to("cuda")
            with torch.no_grad():
                tokens = backbone.embed(self.images().to("cuda"))
        finally:
            backbone.module.to("cpu")
        require(bool(tokens.isfinite().all()), "tokens are not finite")

    def test_no_network(self) -> None:
        """Random weights and a walk ask no other machine for anything."""
        self.backbone()  # skips large ones
        with no_network() as asked:
            try:
                make_backbone(self.spec(), self.image_shape())
                self.walked()
            except RlvitError:
                require(bool(asked), "it cannot be made with random weights")
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")
