"""The network that scores every patch of an image from one number a patch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.compute import mlp_macs

HIDDEN = (1024, 256)  # nb 29
# Far below torch's usual 1e-5: a state's variance may be smaller than that, and would not become 1.
NORM_EPS = 1e-12


class QNetwork(nn.Module):
    """Linear layers N -> 1024 -> 256 -> N with ReLU between them (nb 29).

    With credit by Q-learning an output is a value, with credit by a policy gradient the log-odds
    of keeping the patch. 345,408 parameters at 64 patches.
    """

    def __init__(self, patches: int, *, normalise: bool, generator: torch.Generator) -> None:
        """Draw the weights, first layer first, each from U(-1/sqrt(in), 1/sqrt(in)).

        That is torch's own initialisation of a linear layer, weight and bias, but from the given
        generator: the global one is not touched.

        Args:
            patches: N, of an image.
            normalise: scale every state to mean 0 and variance 1 first (a layer norm without
                parameters). The notebook does not; means over channels are small numbers.
            generator: the only source of randomness; the network is on its device.
        """
        super().__init__()
        self.patches, self.normalise = patches, normalise
        first, second = HIDDEN
        self.layers = nn.Sequential(
            _linear(patches, first, generator),
            nn.ReLU(),
            _linear(first, second, generator),
            nn.ReLU(),
            _linear(second, patches, generator),
        )

    def forward(self, state: Tensor) -> Tensor:
        """Return a score for every patch: states of any float type [R, N] to float32 [R, N]."""
        state = state.float()
        if self.normalise:
            state = functional.layer_norm(state, (self.patches,), eps=NORM_EPS)
        return torch.as_tensor(self.layers(state))

    @property
    def macs(self) -> int:
        """Multiply-adds of one state."""
        return mlp_macs((self.patches, *HIDDEN, self.patches))


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer whose weight, then bias, is drawn from the generator."""
    # Made without memory first: its own initialisation would draw from the global generator.
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device=generator.device)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


@torch.no_grad()
def soft_update(target: nn.Module, online: nn.Module, tau: float) -> None:
    """Move the target's parameters by a share tau towards the online network's, in place (nb 31).

    target <- target + tau (online - target), as one call for all parameters; nothing waits for the
    device. tau = 1 copies. Buffers are left alone.

    Args:
        target: of the same architecture as `online`.
        online: the network in training.
        tau: 0 to 1; the readme's `tau`.
    """
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), tau)
