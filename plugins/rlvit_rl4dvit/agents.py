"""The actor and the critic that all agents share, evaluated on the surviving patches only.

Both are the same function as a perceptron on concat(token, class token, one-hot patch id), with the
same parameters. The first layer is split by input: the one-hot is a row of a table, and the class
token, which all agents of an image share, is multiplied once an image. No concatenation is built.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = (64, 256, 64)  # published code
HIDDEN_GAIN = 1.0  # of the orthogonal weights; sources name only the actor's last layer
ACTOR_HEAD_GAIN = 0.01  # published code: every action begins nearly as likely as the other
LAYER_NORM_EPS = 1e-6


class AgentNetwork(nn.Module):
    """Linear layers in -> 64 -> 256 -> 64 -> out with tanh between them.

    Weights are orthogonal, biases zero. The first layer's weight is drawn whole, in the order of
    the concatenation, and then split.
    """

    def __init__(
        self,
        width: int,
        patches: int,
        outputs: int,
        *,
        sees_cls: bool,
        normalise_tokens: bool,
        head_gain: float,
        generator: torch.Generator,
    ) -> None:
        """Build on the CPU.

        Args:
            width: D, features of a token.
            patches: N, of an image.
            outputs: of the last layer.
            sees_cls: whether the class token is part of the input.
            normalise_tokens: scale every token and class token to mean 0 and variance 1 first (a
                layer norm without parameters). No source does so; residual streams of a ViT have a
                few features that are far larger than the others.
            head_gain: of the last layer's orthogonal weight.
            generator: the only source of randomness.
        """
        super().__init__()
        self.normalise_tokens = normalise_tokens
        first, second, third = HIDDEN
        self.of_token = nn.Linear(width, first)
        self.of_cls = nn.Linear(width, first, bias=False) if sees_cls else None
        self.of_position = nn.Embedding(patches, first)
        self.hidden = nn.Sequential(
            nn.Tanh(), nn.Linear(first, second), nn.Tanh(), nn.Linear(second, third), nn.Tanh()
        )
        self.head = nn.Linear(third, outputs)
        self._initialise(head_gain, generator)

    @torch.no_grad()
    def _initialise(self, head_gain: float, generator: torch.Generator) -> None:
        """Draw all weights, first layer first."""
        width, patches = self.of_token.in_features, self.of_position.num_embeddings
        widths = [width] * (1 if self.of_cls is None else 2) + [patches]
        joint = torch.empty(HIDDEN[0], sum(widths))
        nn.init.orthogonal_(joint, HIDDEN_GAIN, generator=generator)
        token, *cls, position = joint.split(widths, dim=1)
        self.of_token.weight.copy_(token)
        nn.init.zeros_(self.of_token.bias)
        if self.of_cls is not None:
            self.of_cls.weight.copy_(cls[0])
        self.of_position.weight.copy_(position.T)
        for layer in self.hidden:
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, HIDDEN_GAIN, generator=generator)
                nn.init.zeros_(layer.bias)
        nn.init.orthogonal_(self.head.weight, head_gain, generator=generator)
        nn.init.zeros_(self.head.bias)

    def outputs(self, tokens: Tensor, cls: Tensor, position: Tensor, image: Tensor) -> Tensor:
        """Return the last layer's outputs.

        Args:
            tokens: of the agents, any float type [T, D].
            cls: class tokens, any float type [B, D]; not looked at where the input lacks them.
            position: patch ids, int64 [T].
            image: which class token belongs to the agent, int64 [T].

        Returns:
            float32 [T, outputs].
        """
        x = self.of_token(self._scaled(tokens)) + self.of_position(position)  # [T, 64]
        if self.of_cls is not None:
            shared = self.of_cls(self._scaled(cls))  # [B, 64]
            # Unlike index_select's, a look-up's gradient adds in the same order at every call.
            x = x + functional.embedding(image, shared)
        return torch.as_tensor(self.head(self.hidden(x)))

    def _scaled(self, tokens: Tensor) -> Tensor:
        """Return the tokens in float32, normalised if that is wanted: [T, D] to [T, D]."""
        tokens = tokens.float()
        if not self.normalise_tokens:
            return tokens
        return functional.layer_norm(tokens, tokens.shape[-1:], eps=LAYER_NORM_EPS)

    @property
    def macs_per_token(self) -> int:
        """Multiply-adds of one agent; the look-up of its position costs none."""
        layers = [self.of_token, *self.hidden, self.head]
        return sum(x.in_features * x.out_features for x in layers if isinstance(x, nn.Linear))

    @property
    def macs_per_image(self) -> int:
        """Multiply-adds of one decision that all agents of an image share."""
        return 0 if self.of_cls is None else self.of_cls.in_features * self.of_cls.out_features


class Actor(AgentNetwork):
    """The policy: a softmax over discard (0) and keep (1).

    Two probabilities are one logit, the difference of the two outputs, and that is what comes back.
    94,978 parameters at 196 patches of width 768; 144,130 with the class token.
    """

    def __init__(
        self,
        width: int,
        patches: int,
        *,
        agent_specific: bool = False,
        normalise_tokens: bool = False,
        init_keep: float = 0.5,
        generator: torch.Generator,
    ) -> None:
        """Build on the CPU.

        Args:
            width: D, features of a token.
            patches: N, of an image.
            agent_specific: also see the class token, like the critic (appendix A.4). Without it
                the state is the token alone, which fits the published parameter count.
            normalise_tokens: see AgentNetwork.
            init_keep: probability of keeping before any learning; 0.5 in the source.
            generator: the only source of randomness.

        Raises:
            ValueError: unless 0 < init_keep < 1.
        """
        if not 0 < init_keep < 1:
            raise ValueError(f"init_keep must lie between 0 and 1, got {init_keep}")
        super().__init__(
            width,
            patches,
            outputs=2,
            sees_cls=agent_specific,
            normalise_tokens=normalise_tokens,
            head_gain=ACTOR_HEAD_GAIN,
            generator=generator,
        )
        with torch.no_grad():
            self.head.bias[1] = math.log(init_keep / (1 - init_keep))

    def forward(self, tokens: Tensor, cls: Tensor, position: Tensor, image: Tensor) -> Tensor:
        """Return the log-odds of keeping [T]; arguments as in `outputs`."""
        discard, keep = self.outputs(tokens, cls, position, image).unbind(-1)
        return keep - discard


class Critic(AgentNetwork):
    """The value of an agent's state concat(token, class token, id) (appendices A.2 and A.4).

    144,065 parameters at 196 patches of width 768.
    """

    def __init__(
        self,
        width: int,
        patches: int,
        *,
        normalise_tokens: bool = False,
        generator: torch.Generator,
    ) -> None:
        """Build on the CPU; arguments as in Actor."""
        super().__init__(
            width,
            patches,
            outputs=1,
            sees_cls=True,
            normalise_tokens=normalise_tokens,
            head_gain=HIDDEN_GAIN,
            generator=generator,
        )

    def forward(self, tokens: Tensor, cls: Tensor, position: Tensor, image: Tensor) -> Tensor:
        """Return values [T]; arguments as in `outputs`."""
        return self.outputs(tokens, cls, position, image)[:, 0]


def decide(logit: Tensor, generator: torch.Generator | None) -> Tensor:
    """Turn the log-odds of keeping [T] into decisions, bool [T].

    With a generator (on the logits' device) every agent draws its action; without, it takes the
    likelier one, and discards if both are equally likely, as argmax over (discard, keep) does.
    """
    if generator is None:
        return logit > 0
    drawn = torch.rand(logit.shape, generator=generator, device=logit.device)
    return drawn < logit.float().sigmoid()
