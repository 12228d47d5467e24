"""A Vision Transformer whose patches decide, each for itself, whether they stay.

This file, config.json and model.safetensors are all of the model; PyTorch and safetensors are all
that it needs:

    from pruned_vit import load
    model = load(".")
    logits = model(images)  # uint8 [B, 3, S, S], RGB

Before some blocks an actor looks at every remaining patch, and what it drops is not computed any
more. Images keep different numbers of patches: their tokens are packed in one row [T, D], so that
norms and linear layers know nothing of images, and attention runs in groups of images of similar
length, padded within a group only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8  # of images of similar length, in attention
ACTOR_WIDTHS = (64, 256, 64)
ACTOR_EPS = 1e-6
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
# Rows [b, L] of the packed tokens; bool [b, L], not padding; that as a mask where it is needed.
Group = tuple[Tensor, Tensor, Tensor | None]


def load(folder: str | Path, device: str | torch.device = "cpu") -> PrunedVit:
    """Return the model whose files are in `folder`, on a device, ready to classify."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):  # the weights come from the file
        model = PrunedVit(config)
    model.load_state_dict(load_file(folder / "model.safetensors"), assign=True)
    return model.eval().requires_grad_(False).to(device)


class PrunedVit(nn.Module):
    """A backbone and an actor that drops its patches on the way."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Build from the content of config.json; the weights are not there yet."""
        super().__init__()
        self.config = config
        self.class_names: list[str] = config["class_names"]
        self.decision_blocks: list[int] = config["decision_blocks"]
        self.threshold: float = config["threshold"]
        self.bf16: bool = config["bf16"]
        self.backbone = Backbone(config["architecture"])
        self.actor = Actor(
            config["architecture"]["width"],
            config["architecture"]["patches"],
            sees_cls=config["actor"]["sees_cls"],
            normalises=config["actor"]["normalises"],
        )

    def forward(self, images: Tensor, return_kept: bool = False) -> Any:
        """Classify images.

        Args:
            images: RGB, uint8 [B, 3, S, S], on any device.
            return_kept: also return which patches were left.

        Returns:
            Logits, float32 [B, K], in the order of `class_names`; with `return_kept` also bool
            [B, L, N]: the patches left after each of the L decisions, in raster order.

        Raises:
            ValueError: the images have another type or size.
        """
        self.backbone.check(images)
        images = images.to(self.backbone.cls_token.device)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            logits, kept = self._walk(self.backbone.embed(images))
        return (logits.float(), kept) if return_kept else logits.float()

    def _walk(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Pass tokens [B, 1 + N, D] through all blocks; return logits and what was kept."""
        batch, length, _ = tokens.shape
        # Of each token in the row: its image, and its place there; 0 is the class token.
        image = torch.arange(batch, device=tokens.device).repeat_interleave(length)  # [T]
        place = torch.arange(length, device=tokens.device).repeat(batch)  # [T]
        x = tokens.flatten(0, 1)  # [T, D]
        groups, history = _groups(image, batch), []
        for number, block in enumerate(self.backbone.blocks):
            if number in self.decision_blocks:
                stay = self._decide(x, image, place)
                x, image, place = x[stay], image[stay], place[stay]
                groups = _groups(image, batch)
                history.append(_alive(image, place, batch, length - 1))
            x = block(x, _within(groups))
        kept = torch.stack(history, dim=1)  # [B, L, N]
        return self.backbone.readout(x[place == 0]), kept

    def _decide(self, x: Tensor, image: Tensor, place: Tensor) -> Tensor:
        """Return which of the packed tokens stay, bool [T]; class tokens always do."""
        is_cls = place == 0
        of = ~is_cls
        with torch.autocast(x.device.type, enabled=False):
            shared = self.actor.shared(x[is_cls])  # [B, 64]
            context = None if shared is None else shared[image[of]]
            log_odds = self.actor(x[of], place[of] - 1, context)  # [T - B]
        stay = is_cls.clone()
        stay[of] = log_odds > self.threshold
        return stay


class Actor(nn.Module):
    """The policy that all patches share: linear layers with tanh between them."""

    def __init__(self, width: int, patches: int, *, sees_cls: bool, normalises: bool) -> None:
        """Build for tokens of `width` features and images of so many patches.

        `sees_cls`: the class token is part of what a patch sees; `normalises`: tokens are brought
        to mean 0 and variance 1 first.
        """
        super().__init__()
        first, second, third = ACTOR_WIDTHS
        self.normalises = normalises
        self.of_token = nn.Linear(width, first)
        self.of_cls = nn.Linear(width, first, bias=False) if sees_cls else None
        self.of_position = nn.Embedding(patches, first)
        self.hidden = nn.Sequential(
            nn.Tanh(), nn.Linear(first, second), nn.Tanh(), nn.Linear(second, third), nn.Tanh()
        )
        self.head = nn.Linear(third, 2)  # discard, keep

    def shared(self, cls: Tensor) -> Tensor | None:
        """Return what class tokens [B, D] add to the first layer [B, 64], if they are seen."""
        return None if self.of_cls is None else self.of_cls(self._scaled(cls))

    def forward(self, tokens: Tensor, position: Tensor, context: Tensor | None) -> Tensor:
        """Return the log-odds of keeping [...] of patches [..., D] at positions [...].

        `context` [..., 64] is what `shared` returned for the image of each.
        """
        x = self.of_token(self._scaled(tokens)) + self.of_position(position)
        x = x if context is None else x + context
        discard, keep = self.head(self.hidden(x)).unbind(-1)
        return keep - discard

    def _scaled(self, tokens: Tensor) -> Tensor:
        tokens = tokens.float()
        if not self.normalises:
            return tokens
        return functional.layer_norm(tokens, tokens.shape[-1:], eps=ACTOR_EPS)


class Backbone(nn.Module):
    """A pre-LN Vision Transformer with a class token; names of weights are timm's."""

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        """Build from the "architecture" of config.json."""
        super().__init__()
        width, patches = architecture["width"], architecture["patches"]
        self.image_size: int = architecture["image_size"]
        self.cls_has_position: bool = architecture["cls_has_position"]
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, patches + self.cls_has_position, width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(
            3,
            width,
            architecture["patch_size"],
            stride=architecture["patch_size"],
            bias=architecture["patch_bias"],
        )
        self.norm_pre = _norm(architecture, "norm_pre", width)
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(architecture["depth"]))
        self.norm = _norm(architecture, "norm", width)
        self.fc_norm = _norm(architecture, "fc_norm", width)
        self.head = nn.Linear(width, architecture["classes"])
        # A byte times the scale plus the shift is the pixel that the weights were trained with.
        with torch.device("cpu"):
            scale, shift = (
                torch.tensor(architecture[name])[:, None, None]  # [3, 1, 1]
                for name in ("pixel_scale", "pixel_shift")
            )
        self.pixel_scale: Tensor
        self.pixel_shift: Tensor
        self.register_buffer("pixel_scale", scale, persistent=False)
        self.register_buffer("pixel_shift", shift, persistent=False)

    def check(self, images: Tensor) -> None:
        """Raise ValueError unless `images` are uint8 [B, 3, S, S] of the right size, B > 0."""
        size = self.image_size
        fits = images.ndim == 4 and images.shape[1:] == (3, size, size) and len(images) > 0
        if images.dtype != torch.uint8 or not fits:
            given = f"{images.dtype} {list(images.shape)}".removeprefix("torch.")
            raise ValueError(f"images must be uint8 [B, 3, {size}, {size}], got {given}")

    def embed(self, images: Tensor) -> Tensor:
        """Turn uint8 images [B, 3, S, S] into tokens [B, 1 + N, D], the class token first."""
        scale, shift = self.pixel_scale, self.pixel_shift
        pixels = torch.addcmul(shift, images.to(scale.dtype), scale)
        patches = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)  # [B, N, D]
        cls = self.cls_token.expand(images.shape[0], -1, -1)  # [B, 1, D]
        if self.cls_has_position:
            tokens = torch.cat([cls, patches], dim=1) + self.pos_embed
        else:
            tokens = torch.cat([cls, patches + self.pos_embed], dim=1)
        return self.norm_pre(tokens)

    def readout(self, cls: Tensor) -> Tensor:
        """Turn class tokens [B, D] of the last block into logits [B, K]."""
        return self.head(self.fc_norm(self.norm(cls)))


class Block(nn.Module):
    """Attention, then an MLP, each on normed tokens and added to what came in."""

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        """Build from the "architecture" of config.json."""
        super().__init__()
        width = architecture["width"]
        self.norm1 = _norm(architecture, "norm1", width)
        self.attn = Attention(architecture)
        self.ls1 = Scale(width) if architecture["layer_scale"] else nn.Identity()
        self.norm2 = _norm(architecture, "norm2", width)
        self.mlp = Mlp(width, architecture["hidden"], architecture["activation"])
        self.ls2 = Scale(width) if architecture["layer_scale"] else nn.Identity()

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """Run on tokens [..., D]; `attend` knows which of them belong to one image."""
        x = x + self.ls1(self.attn(self.norm1(x), attend))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """The linear layers around attention."""

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        """Build from the "architecture" of config.json."""
        super().__init__()
        width, self.heads = architecture["width"], architecture["heads"]
        self.qkv = nn.Linear(width, 3 * width, bias=architecture["qkv_bias"])
        self.q_norm = _norm(architecture, "q_norm", width // self.heads)
        self.k_norm = _norm(architecture, "k_norm", width // self.heads)
        self.norm = _norm(architecture, "attn_norm", width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """Run on tokens [..., D]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # [..., H, d] each
        q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        return self.proj(self.norm(attend(q, k, v).flatten(-2)))


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        """Build with one of ACTIVATIONS between them."""
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Run on tokens [..., D]."""
        return self.fc2(self.activation(self.fc1(x)))


class Scale(nn.Module):
    """A factor for each feature."""

    def __init__(self, width: int) -> None:
        """Build for tokens of `width` features."""
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """Scale tokens [..., D]."""
        return x * self.gamma


def attend_densely(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend among tokens of images of equal length: [B, L, H, d] each, and so the result."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # [B, H, L, d]
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def _within(groups: Sequence[Group]) -> Attend:
    """Return attention of packed tokens [T, H, d] to those of their own image."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        output = torch.empty_like(v)
        for rows, real, mask in groups:
            y = attend_densely(q[rows], k[rows], v[rows], mask)
            output[rows[real]] = y[real]
        return output

    return attend


def _groups(image: Tensor, batch: int) -> list[Group]:
    """Cut a batch into groups of images of similar length, from the image of each token [T]."""
    lengths = torch.bincount(image, minlength=batch)  # [B]
    starts = lengths.cumsum(0) - lengths
    known = lengths.tolist()
    order = sorted(range(batch), key=known.__getitem__)
    parts = 1 if known[order[0]] == known[order[-1]] else min(GROUPS, batch)
    groups = []
    for part in range(parts):
        members = order[batch * part // parts : batch * (part + 1) // parts]
        shortest, longest = known[members[0]], known[members[-1]]
        chosen = torch.tensor(members, device=image.device)
        steps = torch.arange(longest, device=image.device)  # [L]
        rows = (starts[chosen, None] + steps).clamp(max=len(image) - 1)
        real = steps < lengths[chosen, None]
        groups.append((rows, real, None if shortest == longest else real[:, None, None]))
    return groups


def _alive(image: Tensor, place: Tensor, batch: int, patches: int) -> Tensor:
    """Return the patches that are left, bool [B, N]."""
    alive = torch.zeros(batch, 1 + patches, dtype=torch.bool, device=image.device)
    alive[image, place] = True
    return alive[:, 1:]


def _norm(architecture: Mapping[str, Any], name: str, width: int) -> nn.Module:
    """Return the layer norm of that name, or nothing where the architecture has none."""
    eps = architecture["norms"][name]
    return nn.Identity() if eps is None else nn.LayerNorm(width, eps=eps)
