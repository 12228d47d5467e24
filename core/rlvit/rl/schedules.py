"""Values that change over training, as pure functions of progress so that a resume is exact."""

import math


def linear(
    step: float, start_step: float, end_step: float, start_value: float, end_value: float
) -> float:
    """Move linearly from start_value to end_value between the two steps, constant outside.

    A schedule without length (start_step == end_step) is a jump to end_value at that step.

    Raises:
        ValueError: if end_step is before start_step.
    """
    if end_step < start_step:
        raise ValueError(f"schedule ends at {end_step} before it starts at {start_step}")
    if step >= end_step:
        return end_value
    if step <= start_step:
        return start_value
    return start_value + (end_value - start_value) * (step - start_step) / (end_step - start_step)


def warmup_cosine(progress: float, warmup: float, total: float, base: float) -> float:
    """Rise linearly from 0 to base during the warm-up, then fall to 0 along half a cosine.

    Source: Loshchilov, Hutter 2017, "SGDR", eq. 5, with the warm-up of Goyal et al. 2017.

    Args:
        progress: how far training has come; may be fractional (an iteration within an epoch).
        warmup: length of the warm-up in the unit of progress.
        total: end of training in the unit of progress; the value stays 0 beyond it.
        base: the peak value.

    Raises:
        ValueError: unless 0 <= warmup < total.
    """
    if not 0 <= warmup < total:
        raise ValueError(f"need 0 <= warmup < total, got warmup {warmup} and total {total}")
    if progress < warmup:
        return base * progress / warmup
    decayed = min(1.0, (progress - warmup) / (total - warmup))
    return base * 0.5 * (1 + math.cos(math.pi * decayed))


def exponential(step: float, start: float, end: float, decay: float) -> float:
    """Fall, or rise, from start towards end as end + (start - end) * exp(-step / decay).

    Source: the exploration rate of PyTorch's tutorial on deep Q-learning. From 1 to 0.01 with a
    decay of 20,000 steps it is 0.150 after 39,100 steps; it comes near `end` but has no last step.

    Args:
        step: steps made so far.
        start: the value at step 0.
        end: the limit.
        decay: steps in which the distance from `end` shrinks by a factor of e.

    Raises:
        ValueError: unless decay is positive.
    """
    if not decay > 0:
        raise ValueError(f"decay is {decay}, but must be positive")
    return end + (start - end) * math.exp(-step / decay)
