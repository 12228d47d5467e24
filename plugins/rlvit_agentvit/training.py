"""The ViT trains on the patches that the agent leaves, the agent learns from its loss (nb 33)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rlvit.contracts import RunContext, State
from rlvit.nn import augment
from rlvit.nn.compute import vit_macs
from rlvit.nn.optimisers import adamw
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.randomness import on_device
from rlvit.nn.training_images import TrainingImages, some_of
from rlvit.rl.schedules import exponential, warmup_cosine
from rlvit_agentvit.config import SHARE_OF_RUN, AgentvitConfig
from rlvit_agentvit.learning import Learner, Losses, Moment, make_learner
from rlvit_agentvit.selector import PatchAgent
from rlvit_agentvit.tally import NAN, Tally
from rlvit_agentvit.validation import Validation

LONGEST_WARMUP = 0.2  # of all iterations
FIRST = (0,)  # the selection is made before the first block


class Trainer:
    """The network in training, its agent, and everything that a checkpoint must hold."""

    def __init__(
        self, context: RunContext, config: AgentvitConfig, vit: PrunedVit, dense: PrunedVit
    ) -> None:
        """Read the images and set everything to its beginning.

        Args:
            context: of the run.
            config: of the run.
            vit: the network with the run's selector deciding before block 0; an agent has its
                first weights.
            dense: the same network with all patches.
        """
        self.context, self.config, self.vit, self.dense = context, config, vit, dense
        self.agent = vit.selector if isinstance(vit.selector, PatchAgent) else None
        data = context.data()
        split = some_of(data.split("train"), config.train_images)
        self.images = TrainingImages(split, vit.image_size, context.device)
        self.validation = Validation(context, vit.image_size, config.batch, config.train_images)
        self.per_epoch = -(-self.images.count // config.batch)
        self.total = config.epochs * self.per_epoch
        self.learner: Learner | None = None
        if self.agent is not None:
            self.learner = make_learner(context, config, vit)
        self.module = vit.backbone.module.train().requires_grad_(True)
        self.optimiser = adamw(self.module, config.lr, config.weight_decay)
        self.losses = Losses()
        self.tally = Tally(vit.backbone.shape.patches, context.device)
        self.rows: list[dict[str, Any]] = []  # one an epoch
        self.iteration = 0
        self.logged: dict[str, Tensor] = {}  # of the agent's last step

    def fit(self) -> None:
        """Train for all epochs, from wherever training is."""
        config, progress = self.config, self.context.stage("train", self.total, "iterations")
        progress.update(self.iteration)
        for epoch in range(self.iteration // self.per_epoch, config.epochs):
            begun = time.perf_counter()
            for images, labels in self.batches(epoch):
                loss = self.train_on(images, labels)
                if self.iteration % self.per_epoch == 0:
                    self.wait_for_device()
                self.tally.seconds += time.perf_counter() - begun
                if self.iteration % config.log_every == 0:
                    self.log(float(loss))
                    progress.update(self.iteration, loss=float(loss))
                if self.iteration % self.per_epoch:
                    self.checkpoint(config.checkpoint_every)
                begun = time.perf_counter()
            self.end_epoch(epoch + 1)
            progress.update(self.iteration, top1=self.rows[-1]["val_accuracy"])
            self.checkpoint(1)
        self.module.eval().requires_grad_(False)

    def wait_for_device(self) -> None:
        """Let the device finish, so that an epoch's seconds are all there."""
        if self.context.device.type == "cuda":
            torch.cuda.synchronize(self.context.device)

    @property
    def lessons(self) -> int:
        """How often the agent is paid in the whole run."""
        begins = (self.config.replay_from - 1) * self.per_epoch
        return max(0, self.total // self.config.frequency - begins // self.config.frequency)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is left of an epoch: each is a permutation, the last batch may be shorter."""
        numbers = self.context.generator(f"train/order/{epoch}").permutation(self.images.count)
        size, done = self.config.batch, self.iteration - epoch * self.per_epoch
        order: list[NDArray[np.int64]] = [
            numbers[number * size : (number + 1) * size] for number in range(done, self.per_epoch)
        ]
        return self.images.batches(order)

    def train_on(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train the network on a batch; pay the agent if it is time. Returns the loss."""
        draws = self.context.torch_generator(f"train/{self.iteration}")
        self.iteration += 1
        images = augment.small_images(images, draws, self.config.augment or "none")  # nb 12
        due = self.decide_how(draws)
        walk = self.vit.walk(images)
        logits = walk.logits[:, self.vit.targets]  # [B, C]
        loss = functional.cross_entropy(logits, labels)
        self.set_lr()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

        now, alive = loss.detach(), walk.alive[-1]
        kept = alive.sum(1)  # [B]
        self.losses.observe(now)
        scores = None if self.agent is None else self.agent.scores
        # A backward pass costs two forward ones; the walk counts one, and what decides.
        macs = walk.macs + 2 * vit_macs(self.vit.backbone.shape, kept[:, None], FIRST)
        self.tally.trained(now, logits.argmax(1) == labels, macs, alive, scores)
        if due and self.agent is not None and self.learner is not None:
            moment = Moment(images, labels, now, self.agent.state_seen, kept, draws)
            found = self.learner.learn(moment, self.losses)
            self.tally.learnt(found["loss_term"], found["patch_term"], found.pop("macs"))
            self.logged = found
        return now

    def decide_how(self, draws: torch.Generator) -> bool:
        """Set how this iteration's masks are made (nb 24, 33); return whether the agent is paid."""
        self.vit.generator = on_device(draws, self.context.device)
        if self.agent is None:
            return False
        config = self.config
        started = self.iteration > (config.replay_from - 1) * self.per_epoch
        due = started and self.iteration % config.frequency == 0
        random = bool(torch.rand((), generator=draws) < self.epsilon)
        self.agent.mode = "random" if random else "greedy"
        self.agent.looks = due and config.credit == "faithful"  # which learns from what it saw
        return due

    @property
    def epsilon(self) -> float:
        """The chance that this iteration's mask is random."""
        config = self.config
        decay = config.eps_decay or SHARE_OF_RUN * self.total
        return exponential(self.iteration, config.eps_start, config.eps_end, decay)

    def set_lr(self) -> None:
        """Set the step size of this iteration."""
        if self.config.schedule == "constant":
            return
        warmup = min(self.per_epoch, LONGEST_WARMUP * self.total)
        lr = warmup_cosine(self.iteration, warmup, self.total + 1, self.config.lr)
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def end_epoch(self, number: int) -> None:
        """Validate, put the epoch on record and begin the next."""
        row = {"epoch": number, "val_accuracy": NAN, "agent_accuracy": NAN, **self.tally.row()}
        logged = {
            "epoch/loss": row["train_loss"],
            "epoch/accuracy": row["train_accuracy"],
            "epoch/kept": sum(row["kept"]),
            "epoch/gmacs": row["gmacs"],
            "epoch/seconds": row["seconds"],
        }
        if number % self.config.validate_every == 0 or number == self.config.epochs:
            found = self.validate()
            logged |= found
            row["val_accuracy"] = found.get("val/top1", NAN)
            row["agent_accuracy"] = found.get("val/top1_masked", NAN)
        self.context.log(self.iteration, logged)
        self.rows.append(row)
        self.tally = Tally(self.vit.backbone.shape.patches, self.context.device)

    def validate(self) -> dict[str, float]:
        """Measure the network on validation images."""
        self.module.eval()
        self.vit.generator = on_device(torch.Generator().manual_seed(0), self.context.device)
        if self.agent is not None:
            self.agent.mode = "greedy"
        found = self.validation.measure(self.dense, self.vit)
        self.module.train()
        return found

    def log(self, loss: float) -> None:
        """Log the iteration, and the agent's last step."""
        row = {"vit/loss": loss, "vit/lr": self.optimiser.param_groups[0]["lr"]}
        if self.agent is not None:
            row["agent/epsilon"] = self.epsilon
        row |= {f"agent/{name}": float(value) for name, value in self.logged.items()}
        if self.tally.seconds > 0:
            row["speed/train_images"] = self.tally.images / self.tally.seconds
        self.context.log(self.iteration, row)

    def checkpoint(self, every: int) -> None:
        """Save everything at every so many iterations, or if a stop was asked for."""
        self.context.checkpoint("train", self.iteration, self.state, every)

    def state(self) -> State:
        """Return what `restore` needs to go on bit for bit."""
        return {
            "iteration": self.iteration,
            "model": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "selector": self.vit.selector.state(),
            "learner": None if self.learner is None else self.learner.state(),
            "losses": self.losses.state(),
            "tally": self.tally.state(),
            "rows": self.rows,
            "logged": self.logged,
        }

    def restore(self, state: State) -> None:
        """Go back to a saved state."""
        self.iteration = state["iteration"]
        self.module.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.vit.selector.restore(state["selector"])
        if self.learner is not None:
            self.learner.restore(state["learner"])
        self.losses.restore(state["losses"], self.context.device)
        self.tally.restore(state["tally"])
        self.rows, self.logged = state["rows"], state["logged"]
