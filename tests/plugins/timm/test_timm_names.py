"""The listed architectures are those of timm whose blocks can be walked, and no others."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from rlvit.nn.vision import import_timm
from rlvit_timm.names import ARCHITECTURES, GRID_MODELS, source
from rlvit_timm.plugin import rlvit_backbones

LISTED_FROM = "1.0.31"


def walkable(model: Any) -> bool:
    """Whether a class token is the only prefix and is read out, and blocks are plain pre-LN."""
    from timm.models.vision_transformer import Attention, Block, Mlp, VisionTransformer

    if type(model) is not VisionTransformer or model.dynamic_img_size or model.pos_embed is None:
        return False
    if (model.num_prefix_tokens, model.has_class_token, model.global_pool) != (1, True, "token"):
        return False
    block = model.blocks[0]
    parts = [type(block), type(getattr(block, "attn", 0)), type(getattr(block, "mlp", 0))]
    if parts != [Block, Attention, Mlp]:
        return False
    absent = [model.patch_drop, model.patch_embed.norm, block.attn.norm, block.mlp.norm]
    absent += [block.attn.q_norm, block.attn.k_norm, block.drop_path1, block.drop_path2]
    rates = [part.p for part in model.modules() if isinstance(part, nn.Dropout)]
    return all(isinstance(part, nn.Identity) for part in absent) and not any(rates)


def test_the_list_is_what_timm_has() -> None:
    timm = import_timm()
    if timm.__version__ != LISTED_FROM:
        pytest.skip(f"the list is of timm {LISTED_FROM}, not {timm.__version__}")
    found = set()
    for module in ("vision_transformer", "deit"):
        for name in timm.list_models(module=module):
            with torch.device("meta"):
                if walkable(timm.create_model(name, depth=1)):
                    found.add(name)
    assert set(ARCHITECTURES) == found
    assert len(ARCHITECTURES) == len(found)


def test_every_name_is_offered_with_its_source() -> None:
    specs = {spec.name: spec for spec in rlvit_backbones()}
    assert list(specs) == [*GRID_MODELS, *ARCHITECTURES]
    assert specs["deit_base_patch16_224"].cite == "Touvron et al. 2021, DeiT"
    assert specs["deit3_base_patch16_224"].cite == "Touvron et al. 2022, DeiT III"
    shown = {"images", "tokens", "cls", "attention", "attended", "received"}
    assert all(spec.provides == shown for spec in specs.values())
    assert source("flexivit_small") == "Beyer et al. 2023, FlexiViT"


def test_offering_them_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from rlvit_timm.plugin import rlvit_backbones\n"
        "from rlvit_controls.plugin import rlvit_selectors\n"
        "rlvit_backbones(), rlvit_selectors()\n"
        "print(sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
