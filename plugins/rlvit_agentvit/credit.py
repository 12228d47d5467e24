"""How a reward reaches the patches: the notebook's Q-learning, or a policy gradient.

The first gives every patch of an image the same reward, whether it was kept or not; the second,
which is rlvit's own, compares several masks of the same image.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from rlvit.rl.ppo import bernoulli_entropy, bernoulli_log_prob


def td_target(reward: Tensor, next_q: Tensor, gamma: float) -> Tensor:
    """Return r + gamma Q_target(s')_j for every patch j (nb 31).

    As in the notebook there is no action in it and no maximum: outputs of a row differ only by
    next_q, so nothing tells a patch that was kept from one that was not.

    Args:
        reward: of each row [R].
        next_q: the target network's outputs at the next state [R, N]; no gradient should be kept.
        gamma: discount of one step; 0.95 in nb 36.

    Returns:
        [R, N].
    """
    return reward[:, None] + gamma * next_q


def td_loss(q: Tensor, target: Tensor) -> Tensor:
    """Return the mean of Huber's loss over all rows and patches, a scalar (nb 31).

    e^2 / 2 for errors up to 1, |e| - 1/2 beyond.

    Args:
        q: the outputs in training [R, N].
        target: what `td_target` returned [R, N], without a gradient.
    """
    return functional.smooth_l1_loss(q, target, beta=1.0)


def leave_one_out(reward: Tensor) -> Tensor:
    """Return each reward minus the mean of its image's other samples: [B, S] to [B, S].

    Source: Kool, van Hoof, Welling 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!". The
    baseline does not depend on the sample that it is subtracted from, so the gradient stays
    unbiased.

    Raises:
        ValueError: if there are fewer than two samples of an image.
    """
    samples = reward.shape[1]
    if samples < 2:
        raise ValueError(f"leaving one out needs at least 2 samples an image, got {samples}")
    return _less_the_others(reward, reward.mean(1, keepdim=True), samples)


def batch_baseline(reward: Tensor) -> Tensor:
    """Return each reward minus the mean of all others of the batch: [B, S] to [B, S].

    Unlike `leave_one_out` it needs no second sample of an image, but leaves in the advantage how
    easy an image is.

    Raises:
        ValueError: if the batch has fewer than two rewards.
    """
    rewards = reward.numel()
    if rewards < 2:
        raise ValueError(f"a baseline over the batch needs at least 2 rewards, got {rewards}")
    return _less_the_others(reward, reward.mean(), rewards)


def _less_the_others(reward: Tensor, mean: Tensor, count: int) -> Tensor:
    """Return r minus the mean of the other count - 1 rewards, given the mean of all `count`."""
    return (reward - mean) * (count / (count - 1))


class PolicyGradient(NamedTuple):
    """The loss of a policy with what is worth logging of it; scalars."""

    loss: Tensor
    entropy: Tensor  # mean nats a decision; no gradient
    log_prob: Tensor  # of the decisions taken, mean nats a decision; no gradient


def policy_gradient(
    logit: Tensor, keep: Tensor, advantage: Tensor, entropy_weight: float
) -> PolicyGradient:
    """Return -mean(A sum_j log p(a_j)) / N - entropy_weight * entropy, for a decision a patch.

    Source: Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning" (REINFORCE). Divided by N, so that the loss is a mean over decisions and
    its weight against the entropy's is that of one decision, whatever the number of patches.

    Args:
        logit: log-odds of keeping each patch [R, N].
        keep: what was done, bool [R, N], drawn from those log-odds.
        advantage: of each row [R]; it should carry no gradient.
        entropy_weight: of the mean entropy of a decision, in nats.
    """
    log_prob = bernoulli_log_prob(logit, keep)  # [R, N]
    entropy = bernoulli_entropy(logit).mean()
    # The mean over rows and patches is both the mean over rows and the division by N.
    loss = -(advantage[:, None] * log_prob).mean() - entropy_weight * entropy
    return PolicyGradient(loss, entropy.detach(), log_prob.detach().mean())
