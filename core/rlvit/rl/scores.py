"""Scores made comparable between games."""


def human_normalised(score: float, random: float, human: float) -> float:
    """Return (score - random) / (human - random): 0 is random play, 1 is a human's.

    Source: Mnih et al. 2015, "Human-level control through deep reinforcement learning".

    Args:
        score: mean unclipped game score of an agent.
        random: game score of a random policy.
        human: game score of a human.

    Raises:
        ValueError: if the two reference scores are equal.
    """
    if human == random:
        raise ValueError(f"human and random score are both {human}: nothing to normalise by")
    return (score - random) / (human - random)
