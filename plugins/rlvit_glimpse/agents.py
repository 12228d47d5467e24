"""The network and the game of a run."""

from __future__ import annotations

import torch

from rlvit_glimpse.adapt import HEAD_FEATURES
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.game import Rules
from rlvit_glimpse.history_vit import HistoryVit
from rlvit_glimpse.networks import GlimpseNetwork, RamNet, RecurrentNet

COLOURS = 3
ZOOMS = (1, 2, 4)  # of the discrete game
PLANES = 3  # of the discrete game: left, top and zoom
CONVOLUTIONS = (32, 64)  # channels at the published width of 256
WIDE = 256


def make_rules(config: GlimpseConfig, size: int) -> Rules:
    """Return the rules of a run's game on images of `size` pixels a side."""
    assert config.window is not None
    assert config.max_steps is not None
    assert config.reward_right is not None
    moves = config.variant in ("multi-categorical", "greedy-map")
    answer = config.answer or "last-step"
    one_size = config.variant == "ram" or config.foveation > 0  # rings do not zoom
    return Rules(
        variant="discrete" if moves else "continuous",
        window=config.window,
        max_steps=config.max_steps,
        answer="decision" if config.variant == "hybrid-vit" else answer,
        start=config.start or "uniform",
        reward_right=config.reward_right,
        novelty=config.novelty or 0.0,
        novelty_of=config.novelty_of,
        step_pixels=max(1, round(size * config.step_share)),
        zooms=tuple(zoom for zoom in ZOOMS if zoom * config.window <= size),
        zoom_max=size / config.window,  # from the whole image down to the window, as vit_rl.py
        start_side=config.window if one_size else min(2 * config.window, size),
        foveation=config.foveation,
        motion=config.motion,
        cuts_views=config.fault_crop,
    )


def make_network(
    config: GlimpseConfig, size: int, classes: int, generator: torch.Generator | None
) -> GlimpseNetwork:
    """Return a run's network; weights are drawn from the generator (None: they do not matter)."""
    draws = generator or torch.Generator()
    assert config.window is not None
    assert config.width is not None
    colours = COLOURS * max(1, config.foveation)
    if config.variant == "ram":
        return RamNet(
            colours,
            config.window,
            classes,
            std=config.place_std,
            glimpse_hidden=config.width // 2,
            hidden=config.width,
            generator=draws,
        )
    if config.variant == "hybrid-vit":
        return HistoryVit(
            colours,
            config.window,
            classes,
            dim=config.width,
            depth=config.depth or 6,
            heads=max(1, config.width // HEAD_FEATURES),
            hidden=4 * config.width,
            dropout=config.dropout or 0.0,
            spread=config.place != "deterministic",
            memory_tokens=config.memory_tokens,
            segment=config.segment,
            answer_chance=config.answer_chance,
            place_std=config.place_std if config.place == "tanh-normal" else None,
            generator=draws,
        )
    conv = (
        ()
        if config.encoder == "linear"
        else tuple(max(1, channels * config.width // WIDE) for channels in CONVOLUTIONS)
    )
    return RecurrentNet(
        colours + PLANES,
        config.window,
        classes,
        conv=conv,
        features=config.width,
        hidden=config.width,
        switches=7 if config.answer == "any-time" else 6,
        answer_chance=config.answer_chance,
        generator=draws,
    )
