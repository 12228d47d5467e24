"""What data-efficient Rainbow sees, the network that looks, and the policy (Table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rlvit.contracts import State
from rlvit.rl.categorical import expected_value
from rlvit_spirl.agent import RainbowAgent
from rlvit_spirl.network import ENCODER_GRADIENT, STACK, DuelingHead
from rlvit_spirl.whole_config import WholeFrameConfig

CHANNELS = (32, 64)  # of the two convolutions (van Hasselt et al. 2019; SPIRL's code)
KERNEL = 5  # pixels a side, and between two places
PADDING = (3, 1)  # pixels (SPIRL's code; van Hasselt et al. 2019: none)


class WholeFrames:
    """What the agent sees: the whole frame in grey."""

    dtype = np.uint8  # of what the replay keeps

    def __init__(self, size: int) -> None:
        self.shape = (1, size, size)
        self.view: Mapping[str, Any] = {"size": size, "grey": True}  # asked of the game

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frame [1, size, size] as it is."""
        return frame

    def newest(self) -> Mapping[str, float]:
        """There is nothing to say."""
        return {}

    def report(self) -> Mapping[str, float]:
        """There is nothing to say."""
        return {}

    def state(self) -> State:
        """There is nothing to keep."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """There is nothing to go back to."""


class FrameNetwork(nn.Module):
    """From stacks of whole frames to distributions of returns."""

    def __init__(
        self,
        actions: int,
        *,
        size: int,
        hidden: int,
        atoms: int,
        noise: float,
        generator: torch.Generator,
    ) -> None:
        """Build on the CPU; convolutions as torch begins them, uniform within 1/sqrt(inputs)."""
        super().__init__()
        first, second = CHANNELS
        self.conv1 = nn.Conv2d(STACK, first, KERNEL, stride=KERNEL, padding=PADDING[0])
        self.conv2 = nn.Conv2d(first, second, KERNEL, stride=KERNEL, padding=PADDING[1])
        for layer in (self.conv1, self.conv2):
            bound = (layer.in_channels * KERNEL**2) ** -0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        side = size
        for padding in PADDING:
            side = (side + 2 * padding - KERNEL) // KERNEL + 1
        self.head = DuelingHead(second * side**2, hidden, actions, atoms, noise, generator)

    def forward(self, stacks: Tensor, *, noisy: bool) -> Tensor:
        """Return log-probabilities [B, A, Z] for stacks [B, 4, 1, S, S] of grey levels."""
        x = stacks.flatten(1, 2).float().div(255.0)  # [B, 4, S, S]
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x)).flatten(1)
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient * ENCODER_GRADIENT)
        return torch.as_tensor(self.head(x, noisy=noisy))


def frame_network(
    actions: int, config: WholeFrameConfig, generator: torch.Generator
) -> FrameNetwork:
    """Return a network that looks at whole frames."""
    return FrameNetwork(
        actions,
        size=config.size,
        hidden=config.hidden,
        atoms=config.atoms,
        noise=config.noise,
        generator=generator,
    )


class GreedyFrames:
    """The policy that is evaluated: no noise, `places` games at once."""

    def __init__(self, agent: RainbowAgent, observe: WholeFrames, places: int = 1) -> None:
        self.agent, self.view, self.places = agent, observe.view, places
        self.recent = np.zeros((places, STACK, *observe.shape), dtype=np.uint8)  # oldest first

    def begin_game(self, place: int) -> None:
        """Forget the past of a place: frames before a game are zeros."""
        self.recent[place] = 0

    @torch.inference_mode()
    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> list[int]:
        """Choose the best actions [B] for the newest frames [B, 1, S, S] of these places."""
        rows = list(places)
        self.recent[rows] = np.concatenate([self.recent[rows, 1:], frames[:, None]], axis=1)
        stacks = torch.from_numpy(self.recent).to(self.agent.device)  # [W, 4, 1, S, S]
        probabilities = self.agent.online(stacks, noisy=False).exp()
        best = expected_value(probabilities, self.agent.support).argmax(dim=-1)  # [W]
        return [int(action) for action in best[rows].tolist()]
