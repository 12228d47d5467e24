"""SPIRL with other selectors: fixed rules keep the game's share, and attention is the MAE's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.contracts import Selection
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.runs import execute
from rlvit.runs.plan import Request, make_plan
from rlvit_spirl.agent import PatchFeatures
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder, to_patches


def mae() -> MaskedAutoencoder:
    return MaskedAutoencoder(torch.Generator().manual_seed(0)).eval()


def frames(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)


@pytest.mark.parametrize("selector", ["random", "pixel-variance", "cls-attention"])
def test_a_run_keeps_the_share_of_every_frame(tiny: ModuleType, home: Path, selector: str) -> None:
    catalog = tiny.make_catalog()
    usual = tiny.make(catalog)
    request = Request(
        "spirl",
        usual.task.name,
        preset=usual.preset.name,
        protocol=usual.protocol.name,
        slots={"selector": selector},
        values={**tiny.VALUES, "steps": 20},
        device="cpu",
        threads=1,
    )
    outcome = execute.start(
        catalog, Home.locate(home), make_plan(catalog, request), tiny.Rehearsal()
    )
    assert outcome.state == "completed", outcome.error
    kept = next(m for m in outcome.results if m.metric == "select/kept")
    assert kept.value == 14  # a tenth of 144, rounded


def test_attention_is_that_of_the_class_token_in_the_last_block() -> None:
    """Against the blocks run in turn and a softmax written out."""
    model, images = mae(), torch.from_numpy(frames(2))
    with torch.no_grad():
        x = model.patch_embed(to_patches(images)) + model.pos_embed[0, 1:]
        x = torch.cat([model.cls_token.expand(2, -1, -1), x], 1)
        for block in model.blocks[:-1]:
            x = block(x)
        attn = model.blocks[-1].attn
        q, k, _ = attn.qkv(model.blocks[-1].norm1(x)).view(2, 145, 3, 4, 16).permute(2, 0, 3, 1, 4)
        shares = (q[:, :, :1] @ k.mT / 4).softmax(-1).mean((1, 2))  # [2, 145]
        torch.testing.assert_close(model.class_attention(images), shares[:, 1:])


def test_draws_go_on_after_a_restore() -> None:
    from rlvit_controls.selectors import Random

    def features() -> PatchFeatures:
        generator = torch.Generator().manual_seed(5)
        cpu = torch.device("cpu")
        return PatchFeatures(Random(), mae(), PATCHES, cpu, rate=14 / 144, generator=generator)

    whole, broken = features(), features()
    expected = [whole(frame) for frame in frames(3)]
    broken(frames(1)[0])
    later = features()
    later.restore(broken.state())
    for frame, wanted in zip(frames(3)[1:], expected[1:], strict=True):
        assert (later(frame) == wanted).all()


def test_a_rule_that_keeps_more_of_other_frames_is_refused() -> None:
    kept = iter((3, 2, 4))

    def select(view: Any) -> Selection:
        return Selection(torch.arange(PATCHES)[None] < next(kept))

    chosen: Any = SimpleNamespace(select=select)
    features = PatchFeatures(chosen, mae(), PATCHES, torch.device("cpu"))
    first, second, third = frames(3)
    assert features(first).shape == (3, 64)
    assert (features(second)[2] == 0).all()  # a pad
    with pytest.raises(RlvitError, match="keeps 4 patches of a frame, but 3 of a black one"):
        features(third)


def test_a_game_without_a_ratio_needs_one(tiny: ModuleType) -> None:
    catalog = tiny.make_catalog()
    request = Request("spirl", "Freeway", preset="quick", slots={"selector": "random"})
    with pytest.raises(UsageProblem, match="Freeway has no published keep ratio"):
        make_plan(catalog, request)
    assert make_plan(catalog, replace(request, values={"keep_ratio": 0.2})).slots["selector"]
