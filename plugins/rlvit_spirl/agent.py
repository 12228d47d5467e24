"""Data-efficient Rainbow over embedded patches: acting, one update, the evaluated policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlvit.contracts import Selector, SelectorView
from rlvit.errors import RlvitError
from rlvit.nn.graphs import CapturedStep, restore_optimiser, upload
from rlvit.nn.pruning import Lazy
from rlvit.nn.selection import decide
from rlvit.rl.categorical import cross_entropy, expected_value, kl_divergence, project, support
from rlvit.rl.double_q import double_q_target_distribution
from rlvit.rl.replay import Batch
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import FRAME, MaskedAutoencoder
from rlvit_spirl.network import EMBEDDING, STACK, SpirlNetwork

PRIORITY_RANGE = (1e-6, 1e6)  # nats (published code)
LOGGED = ("train/loss", "train/gradient_norm", "train/priority", "train/value")  # of each update


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
        self.length: int | None = None  # L, known after the first frame
        self.latest = 0  # patches kept in the newest frame
        # Of the newest frames the ids [B, L] and embeddings [B, L, 64] of what was kept: for films.
        self.looked: tuple[Tensor, Tensor] | None = None
        # Not a method: such a cycle would keep a GPU's memory.
        self.embed = CapturedStep(partial(_embed, backbone), device, name="embedding a frame")
        self.forget()

    dtype = np.float32  # of what the replay keeps

    @property
    def shape(self) -> tuple[int, int]:
        """L, and the features of a patch."""
        assert self.length is not None
        return (self.length, EMBEDDING)

    def prime(self) -> int:
        """Look at a black frame to find L, the rows of every frame, and return it."""
        rows = len(self(np.zeros((3, FRAME, FRAME), dtype=np.uint8)))
        self.forget()
        return rows

    def newest(self) -> Mapping[str, float]:
        """Return how many patches were kept of the newest frame."""
        return {"select/kept": self.latest}

    def report(self) -> Mapping[str, float]:
        """Return the share of frames that filled the cap, and what the selector has to say.

        One that had as many by itself counts as one that was cut.
        """
        return {**self.selector.report(), "select/saturated": self.full / max(self.frames, 1)}

    def has_drawn(self) -> bool:
        """Tell whether the selector has drawn at random since the run began."""
        if self.generator is None:
            return False
        fresh = torch.Generator().manual_seed(self.generator.initial_seed())
        return not torch.equal(self.generator.get_state(), fresh.get_state())

    def forget(self) -> None:
        """Begin to count anew."""
        self.frames = self.kept = self.full = 0
        self.by_count = np.zeros(self.alive.shape[1] + 1, dtype=np.int64)  # frames that kept k

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | Tensor:
        """Select and embed: [L, 64], an array on the CPU, on a GPU a tensor that stays there.

        The shape is fixed by the cap, so one frame is never unlike another.
        """
        embedded = self.look(frame[None], [0])[0]
        if embedded.device.type != "cpu":
            return embedded
        array: NDArray[np.float32] = embedded.numpy()
        return array

    @torch.inference_mode()
    def look(self, frames: NDArray[np.uint8], real: Sequence[int]) -> Tensor:
        """Select and embed patches of frames [B, 3, 96, 96]: [B, L, 64], on the device.

        Only the rows `real` are counted; the others keep the shape the same.
        """
        images = torch.from_numpy(frames)
        order = self._order(images)  # [B, L]
        self.length = order.shape[1]
        counts = (order >= 0).sum(dim=1)[list(real)]
        self.frames += len(counts)
        self.kept += int(counts.sum())
        self.latest = int(counts[-1])
        self.full += int((counts == order.shape[1]).sum())
        np.add.at(self.by_count, counts.numpy(), 1)
        (features,) = self.embed(images, order)
        self.looked = (order, features)
        return features

    def _order(self, images: Tensor) -> Tensor:
        """Return the ids of the patches to keep [B, L], -1 pads at the end.

        Raises:
            RlvitError: more are kept than of a black frame.
        """

        def attention() -> Tensor:
            seen = upload(images, self.device)
            return self.backbone.class_attention(seen).flatten().cpu()  # [B * N]

        data = Lazy({"images": lambda: images, "attention": attention})
        grid = (self.backbone.rows, self.backbone.columns)
        alive = self.alive.expand(len(images), -1)
        view = SelectorView(data, alive, -1, grid, self.rate, self.generator)
        selection = decide(self.selector, view)
        if selection.order is not None:
            return selection.order
        counts = selection.keep.sum(dim=1)  # [B]
        most = int(counts.max())
        width = most if self.length is None else self.length
        if most > width:
            raise RlvitError(
                f"the selector keeps {most} patches of a frame, but {width} of a black one: "
                "it has to keep a fixed number, or to return an order."
            )
        first = (~selection.keep).long().argsort(dim=1, stable=True)[:, :width]  # the kept, by id
        return first.masked_fill(torch.arange(width) >= counts[:, None], -1)

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


def _embed(backbone: MaskedAutoencoder, images: Tensor, order: Tensor) -> tuple[Tensor]:
    """Embed the patches `order` [B, L] of frames [B, 3, 96, 96]."""
    return (torch.as_tensor(backbone.embed_selected(images, order)),)


def patch_network(actions: int, config: SpirlConfig, generator: torch.Generator) -> SpirlNetwork:
    """Return a network that looks at embedded patches."""
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
    )


class RainbowAgent:
    """Learns distributions of returns (Hessel et al. 2018 with the values of Table 10).

    Noise is drawn on the CPU wherever the agent learns, so that its stream is the same everywhere.
    """

    def __init__(
        self,
        actions: int,
        config: Any,
        device: torch.device,
        generator: torch.Generator,
        make_network: Callable[[int, Any, torch.Generator], Any] = patch_network,
    ) -> None:
        """Make an agent.

        Args:
            actions: of the game.
            config: a `RainbowConfig`, of the kind that `make_network` reads.
            device: where it learns.
            generator: for weights and noise.
            make_network: returns a module with a `head` whose noise can be drawn and placed; called
                with stacks [B, 4, ...] it returns log-probabilities [B, A, Z].
        """

        def network() -> Any:
            return make_network(actions, config, generator).to(device)

        self.config, self.device, self.generator = config, device, generator
        self.online, self.target = network(), network()
        self.target.load_state_dict(self.online.state_dict())
        self.target.requires_grad_(False)
        self.optimiser = torch.optim.Adam(
            self.online.parameters(),
            lr=config.lr,
            eps=config.adam_eps,
            fused=True,
            capturable=device.type == "cuda",
        )
        self.support = support(-config.v_max, config.v_max, config.atoms, device)
        self.updates = 0
        self.choose = CapturedStep(self._choose, device, name="acting")
        self.learn = CapturedStep(self._learn, device, name="the update")

    @torch.inference_mode()
    def act(self, stack: NDArray[Any] | Tensor) -> int:
        """Choose the best action for a stack [4, ...] under the present noise."""
        anew = self.config.acting_noise == "step"
        noise = [self.online.head.draw(self.generator)] if anew else []
        (action,) = self.choose(torch.as_tensor(stack)[None], *noise)
        return int(action)

    def _choose(self, stacks: Tensor, *noise: Tensor) -> tuple[Tensor]:
        """Return the best action for stacks [1, 4, ...], under new noise [E] if there is any."""
        for one in noise:
            self.online.head.place(one)
        values = expected_value(self.online(stacks, noisy=True).exp(), self.support)  # [1, A]
        return (values.argmax(),)

    def update(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Take one step of Adam; return the new priorities [B] and what to log.

        A GPU may still be at it when this returns.
        """
        priorities, logged = self.learn(
            self.online.head.draw(self.generator),
            batch.observations,
            batch.next_observations,
            batch.actions,
            batch.returns,
            batch.bootstrap_discounts,
            batch.importance_weights,
        )
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.online.state_dict())
        return priorities, dict(zip(LOGGED, logged.unbind(), strict=True))

    def _learn(
        self,
        noise: Tensor,
        observations: Tensor,
        following: Tensor,
        actions: Tensor,
        returns: Tensor,
        discounts: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Take one step of Adam under new noise [E]; return priorities [B] and `LOGGED` [4].

        Stacks are [B, 4, ...], everything else is [B]. The target network keeps the noise of its
        last copy.
        """
        self.online.head.place(noise)
        with torch.no_grad():
            best = self.online(following, noisy=True).exp()  # [B, A, Z]
            judged = self.target(following, noisy=True).exp()
            next_distribution = double_q_target_distribution(best, judged, self.support)
            distribution = project(returns, discounts, next_distribution, self.support)  # [B, Z]
        predicted = self.online(observations, noisy=True)  # [B, A, Z]
        chosen = actions[:, None, None].expand(-1, 1, predicted.shape[-1])
        predicted = predicted.gather(1, chosen)[:, 0]  # [B, Z]
        loss = (cross_entropy(distribution, predicted) * weights).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)
        self.optimiser.step()

        predicted = predicted.detach()
        priorities = kl_divergence(distribution, predicted).clamp(*PRIORITY_RANGE)
        value = expected_value(predicted.exp(), self.support).mean()
        return priorities, torch.stack([loss.detach(), norm, priorities.mean(), value])

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
        restore_optimiser(self.optimiser, state["optimiser"])
        self.learn.forget()  # the optimiser's state lies elsewhere now
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]

    def forget(self) -> None:
        """Drop all captures: a cycle of references would keep their memory when a run has ended."""
        self.choose.forget()
        self.learn.forget()


class GreedyPolicy:
    """The policy that is evaluated: no noise, and a frame is summarised once, not four times.

    It plays `places` games at once. All of its work has the shape of so many games, however many
    there are, so that a game does not depend on those that are played beside it.
    """

    def __init__(
        self, agent: RainbowAgent, features: PatchFeatures, patches: int, places: int = 1
    ) -> None:
        """Take a trained agent.

        Args:
            agent: what decides.
            features: what it sees.
            patches: L.
            places: games at once.
        """
        self.agent, self.features, self.places = agent, features, places
        self.empty = torch.zeros(places, patches, EMBEDDING, device=agent.device)
        self.frames = np.zeros((places, 3, FRAME, FRAME), dtype=np.uint8)
        dim = agent.config.dim
        self.recent = torch.zeros(places, STACK, dim, device=agent.device)  # oldest first

    @torch.inference_mode()
    def begin_game(self, place: int) -> None:
        """Forget the past of a place: frames before a game are zeros."""
        self.recent[place] = self.agent.online.summarise(self.empty)[place]

    @torch.inference_mode()
    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> list[int]:
        """Choose the best actions [B] for the newest frames [B, 3, 96, 96] of these places."""
        rows = list(places)
        self.frames[rows] = frames
        summaries = self.agent.online.summarise(self.features.look(self.frames, rows))  # [W, dim]
        playing = upload(torch.tensor(rows), self.agent.device)
        newer = torch.cat([self.recent[playing, 1:], summaries[playing, None]], dim=1)
        self.recent[playing] = newer  # [B, 4, dim]
        stacks = self.recent.flatten(0, 1)  # [W * 4, dim]
        probabilities = self.agent.online.decide(stacks, noisy=False).exp()
        best = expected_value(probabilities, self.agent.support).argmax(dim=-1)  # [W]
        return [int(action) for action in best[playing].tolist()]
