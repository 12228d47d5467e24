"""Fixed two-dimensional position codes, which tell a transformer where a patch lies."""

import torch
from torch import Tensor


def sincos_2d(
    dim: int, rows: int, columns: int, *, cls_row: bool, endpoint: bool = False
) -> Tensor:
    """Sine-cosine codes of a patch grid: float32 [rows * columns (+ 1), dim].

    The first half of the features codes the column, the second half the row (the order of the
    published masked autoencoder); each half is `dim`/4 sines followed by `dim`/4 cosines at
    frequencies 10000^(-i / (dim/4)), or, with `endpoint`, 10000^(-i / (dim/4 - 1)), so that the
    last is 1/10000 (Beyer et al. 2022, "Better plain ViT baselines"). With `cls_row`, a first row
    of zeros stands for the class token. Raises ValueError if `dim` is not a multiple of 4, with
    `endpoint` at least 8.
    """
    if dim % 4 or (endpoint and dim < 8):
        raise ValueError(f"a 2-D sine-cosine code needs a multiple of 4 features, not {dim}")
    steps = torch.arange(dim // 4, dtype=torch.float64) / (dim // 4 - endpoint)
    frequency = torch.pow(torch.tensor(10000.0, dtype=torch.float64), -steps)  # [dim/4]
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    halves = []
    for coordinate in (column, row):
        angle = coordinate.reshape(-1, 1) * frequency  # [N, dim/4]
        halves += [angle.sin(), angle.cos()]
    table = torch.cat(halves, dim=1)  # [N, dim]
    if cls_row:
        table = torch.cat([table.new_zeros(1, dim), table])  # [N + 1, dim]
    return table.float()
