"""On a CUDA device the method computes what it computes on the CPU, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.network import SpirlNetwork
from rlvit_spirl.saliency import Saliency

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_error_maps_and_embeddings_agree_with_the_cpu() -> None:
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval()
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96), dtype=np.uint8)
    order = torch.arange(28).expand(2, -1)
    expected = Saliency(mae).error_maps(frames)
    with torch.no_grad():
        embedded = mae.embed_selected(torch.from_numpy(frames), order)
        mae.to("cuda")
        found = mae.embed_selected(torch.from_numpy(frames).cuda(), order.cuda()).cpu()
    np.testing.assert_allclose(Saliency(mae).error_maps(frames), expected, rtol=1e-3)
    torch.testing.assert_close(found, embedded, rtol=1e-3, atol=1e-4)


def test_network_agrees_with_the_cpu() -> None:
    network = SpirlNetwork(
        18,
        dim=32,
        heads=8,
        hidden=256,
        atoms=51,
        residual=True,
        noise=0.5,
        generator=torch.Generator().manual_seed(0),
    )
    stacks = torch.randn(3, 4, 28, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(stacks, noisy=True)
        found = network.cuda()(stacks.cuda(), noisy=True).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
