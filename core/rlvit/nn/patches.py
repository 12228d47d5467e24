"""Cutting frames into patch vectors, the one place that fixes the order of their values."""

from torch import Tensor


def patchify(frames: Tensor, size: int) -> Tensor:
    """Cut `frames` [B, C, H, W] into square patches: returns [B, N, size * size * C].

    Patches run row by row (N = H/size * W/size); the values of a patch are in (row, column,
    channel) order, as in the published masked autoencoder. Any dtype; dtype is kept.
    Raises ValueError if `size` does not divide both H and W.
    """
    batch, channels, height, width = frames.shape
    if height % size or width % size:
        raise ValueError(f"frames of {height}x{width} cannot be cut into {size}x{size} patches")
    rows, columns = height // size, width // size
    x = frames.reshape(batch, channels, rows, size, columns, size)
    x = x.permute(0, 2, 4, 3, 5, 1)  # [B, rows, columns, size, size, C]
    return x.reshape(batch, rows * columns, size * size * channels)
