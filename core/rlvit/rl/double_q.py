"""Double Q-learning's bootstrap target, kept apart because swapping the two networks is easy."""

import torch
from torch import Tensor

from rlvit.rl.categorical import expected_value


def double_q_target_distribution(
    online_next_probabilities: Tensor, target_next_probabilities: Tensor, support: Tensor
) -> Tensor:
    """Return the target network's distribution of the action the online network prefers.

    Source: van Hasselt, Guez, Silver 2016, "Deep RL with Double Q-learning", eq. 4, on
    distributions as in Hessel et al. 2018. Among equal values the lowest action wins on the CPU.

    Args:
        online_next_probabilities: probabilities, not their logarithms [B, A, Z].
        target_next_probabilities: probabilities [B, A, Z].
        support: atoms [Z].

    Returns:
        Probabilities [B, Z].
    """
    actions = expected_value(online_next_probabilities, support).argmax(1)  # [B]
    rows = torch.arange(len(actions), device=actions.device)
    return target_next_probabilities[rows, actions]
