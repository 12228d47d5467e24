"""Data-efficient Rainbow over embedded patches: acting, one update, the evaluated policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rlvit.contracts import Selector, SelectorView
from rlvit.errors import RlvitError
from rlvit.nn.pruning import Lazy
from rlvit.rl.categorical import cross_entropy, expected_value, kl_divergence, project, support
from rlvit.rl.double_q import double_q_target_distribution
from rlvit.rl.replay import Batch
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.network import EMBEDDING, STACK, SpirlNetwork

PRIORITY_RANGE = (1e-6, 1e6)  # nats (published code)


class PatchFeatures:
    """Turns a frame into the embeddings of its kept patches: [3, 96, 96] to [L, 64].

    L is fixed by the selector's own order or, where it only says which patches stay, by what it
    keeps of a black frame.
    """

    def __init__(
        self,
        selector: Selector,
        backbone: MaskedAutoencoder,
        patches: int,
        device: torch.device,
        *,
        rate: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            selector: chooses among the patches of a frame.
            backbone: embeds them.
            patches: of a frame.
            device: where the backbone is.
            rate: share to keep, for selectors that do not choose how many.
            generator: for selectors that draw.
        """
        self.selector, self.backbone, self.device = selector, backbone, device
        self.alive = torch.ones(1, patches, dtype=torch.bool)
        self.rate, self.generator = rate, generator
        self.width: int | None = None  # L
        self.latest = 0  # patches kept in the newest frame
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.frames = self.kept = self.full = 0
        self.by_count = np.zeros(self.alive.shape[1] + 1, dtype=np.int64)  # frames that kept k

    @torch.inference_mode()
    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Select and embed. The shape is fixed by the cap, so one frame is never unlike another."""
        image = torch.from_numpy(frame[None])
        order = self._order(image)  # [1, L]
        count = int((order >= 0).sum())
        self.frames += 1
        self.kept += count
        self.latest = count
        self.full += count == order.shape[1]
        self.by_count[count] += 1
        features = self.backbone.embed_selected(image.to(self.device), order.to(self.device))
        embedded: NDArray[np.float32] = features[0].cpu().numpy()
        return embedded

    def _order(self, image: Tensor) -> Tensor:
        """Return the ids of the patches to keep [1, L], -1 pads at the end.

        Raises:
            RlvitError: more are kept than of a black frame.
        """

        def attention() -> Tensor:
            return self.backbone.class_attention(image.to(self.device))[0].cpu()  # [N]

        data = Lazy({"images": lambda: image, "attention": attention})
        grid = (self.backbone.rows, self.backbone.columns)
        view = SelectorView(data, self.alive, -1, grid, self.rate, self.generator)
        selection = self.selector.select(view)
        if selection.order is not None:
            return selection.order
        kept = selection.keep[0].nonzero().flatten()  # [k]
        width = self.width = len(kept) if self.width is None else self.width
        if len(kept) > width:
            raise RlvitError(
                f"the selector keeps {len(kept)} patches of a frame, but {width} of a black one: "
                "it has to keep a fixed number, or to return an order."
            )
        return functional.pad(kept, (0, width - len(kept)), value=-1)[None]

    def state(self) -> dict[str, Any]:
        """Return the selector's state, its random stream and the counts."""
        counts = [self.frames, self.kept, self.full]
        found = {
            "selector": self.selector.state(),
            "counts": counts,
            "by_count": self.by_count.tolist(),
        }
        return found if self.generator is None else {**found, "draws": self.generator.get_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        self.selector.restore(state["selector"])
        self.frames, self.kept, self.full = state["counts"]
        self.by_count = np.array(state["by_count"], dtype=np.int64)
        if self.generator is not None and "draws" in state:
            self.generator.set_state(state["draws"])


class RainbowAgent:
    """Learns distributions of returns (Hessel et al. 2018 with the values of Table 10)."""

    def __init__(
        self, actions: int, config: SpirlConfig, device: torch.device, generator: torch.Generator
    ) -> None:
        def network() -> SpirlNetwork:
            return SpirlNetwork(
                actions,
                dim=config.dim,
                heads=config.heads,
                hidden=config.hidden,
                atoms=config.atoms,
                residual=config.residual,
                noise=config.noise,
                generator=generator,
                pooling=config.pooling,
                padding=config.padding,
            ).to(device)

        self.config, self.device, self.generator = config, device, generator
        self.online, self.target = network(), network()
        self.target.load_state_dict(self.online.state_dict())
        self.target.requires_grad_(False)
        self.optimiser = torch.optim.Adam(
            self.online.parameters(), lr=config.lr, eps=config.adam_eps, fused=True
        )
        self.support = support(-config.v_max, config.v_max, config.atoms, device)
        self.updates = 0

    @torch.inference_mode()
    def act(self, stack: NDArray[np.float32]) -> int:
        """Choose the best action for a stack [4, L, 64] under the present noise."""
        if self.config.acting_noise == "step":
            self.online.head.resample(self.generator)
        stacks = torch.from_numpy(stack[None]).to(self.device)
        values = expected_value(self.online(stacks, noisy=True).exp(), self.support)  # [1, A]
        return int(values.argmax())

    def update(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Take one step of Adam; return the new priorities [B] and what to log."""
        self.online.head.resample(self.generator)  # the target keeps the noise of its last copy
        to = self.device
        rows = torch.arange(len(batch.actions), device=to)
        following = batch.next_observations.to(to)
        with torch.no_grad():
            best = self.online(following, noisy=True).exp()  # [B, A, Z]
            judged = self.target(following, noisy=True).exp()
            distribution = project(
                batch.returns.to(to),
                batch.bootstrap_discounts.to(to),
                double_q_target_distribution(best, judged, self.support),
                self.support,
            )  # [B, Z]
        predicted = self.online(batch.observations.to(to), noisy=True)
        predicted = predicted[rows, batch.actions.to(to)]  # [B, Z]
        loss = (cross_entropy(distribution, predicted) * batch.importance_weights.to(to)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.online.state_dict())

        predicted = predicted.detach()
        priorities = kl_divergence(distribution, predicted).clamp(*PRIORITY_RANGE)
        return priorities, {
            "train/loss": loss.detach(),
            "train/gradient_norm": norm,
            "train/priority": priorities.mean(),
            "train/value": expected_value(predicted.exp(), self.support).mean(),
        }

    def state(self) -> dict[str, Any]:
        """Return weights, noise, optimiser and random stream."""
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]


class GreedyPolicy:
    """The policy that is evaluated: no noise, and a frame is summarised once, not four times."""

    def __init__(self, agent: RainbowAgent, features: PatchFeatures, patches: int) -> None:
        self.agent, self.features = agent, features
        self.empty = torch.zeros(1, patches, EMBEDDING, device=agent.device)
        self.recent: deque[Tensor] = deque(maxlen=STACK)

    @torch.inference_mode()
    def begin(self) -> None:
        """Forget the past: frames before a game are zeros."""
        summary = self.agent.online.summarise(self.empty)  # [1, dim]
        self.recent.extend([summary] * STACK)

    @torch.inference_mode()
    def act(self, frame: NDArray[np.uint8]) -> int:
        """Choose the best action for the newest frame [3, 96, 96]."""
        features = torch.from_numpy(self.features(frame)[None]).to(self.agent.device)
        self.recent.append(self.agent.online.summarise(features))
        summaries = torch.cat(list(self.recent))  # [4, dim]
        probabilities = self.agent.online.decide(summaries, noisy=False).exp()
        return int(expected_value(probabilities, self.agent.support).argmax())
