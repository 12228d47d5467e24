"""The error of one patch that a masked autoencoder sees through its neighbours alone.

Nearly all of SPIRL's compute goes into such errors. What is computed here leaves out every number
which is constant or is not read; that changes results by float32 rounding only.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.compute import VitShape, block_macs
from rlvit.nn.transformer import Block
from rlvit_spirl.mae import MaskedAutoencoder, normalise_patches

ErrorSpace = Literal["normalised", "pixels"]

AROUND = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
SLOTS = len(AROUND)  # tokens that are not constant: the class token and 8 neighbours


def neighbourhoods(rows: int, columns: int) -> NDArray[np.int64]:
    """Return [N, 9]: the ids of the 3x3 patches around each patch of a grid, N where outside."""
    patches = rows * columns
    bordered = np.full((rows + 2, columns + 2), patches, dtype=np.int64)
    bordered[1:-1, 1:-1] = np.arange(patches).reshape(rows, columns)
    shifted = [bordered[1 + r : 1 + r + rows, 1 + c : 1 + c + columns].ravel() for r, c in AROUND]
    return np.stack(shifted, axis=1)


@dataclass(frozen=True)
class Scratch:
    """Memory that the decoder's first two blocks write for P targets, allocated once.

    One row a token, and where it is needed one more, to be dropped.
    """

    tokens: Tensor  # [P * 145 + 1, 128]
    attended: Tensor  # [P * 145 + 1, 128]
    both: Tensor  # [P * 145 + 1, 256]
    projected: Tensor  # [P * 145, 384]
    hidden: Tensor  # [P * 145, 512]
    offset: Tensor  # [P, 1] the first row of each target

    @classmethod
    def allocate(cls, part: int, length: int, hidden: int, like: Tensor) -> "Scratch":
        """Allocate it for `part` targets of `length` tokens, as wide as the rows of `like`."""
        dim, rows = like.shape[-1], part * length
        return cls(
            tokens=like.new_empty(rows + 1, dim),
            attended=like.new_empty(rows + 1, dim),
            both=like.new_empty(rows + 1, 2 * dim),
            projected=like.new_empty(rows, 3 * dim),
            hidden=like.new_empty(rows, hidden),
            offset=torch.arange(0, rows, length, device=like.device)[:, None],
        )


class TargetDecoder:
    """The decoder of a masked autoencoder for one target patch seen through its 8 neighbours.

    All tokens but the class token and the neighbours are mask tokens, constant but for their
    position (SPIRL, section 4.2). Their queries, keys, values and attention among each other in
    the first block are computed once for each of the N targets (11 MB for the 144 of Atari, whose
    numbers of tokens stand in the comments below). The last block forms
    only the target's token, and scores LN(x_j) . (W_K^T q) in place of (W_K LN(x_j)) . q; the
    bias of the keys adds the same to every score and drops out of the softmax.

    The first two blocks run on `part` targets at a time and write to memory allocated once:
    four hidden layers are what a core's cache holds, and fresh pages cost more than sums. A GPU
    has all targets of a call at once (`part` None), with such memory for each size of a call.
    """

    def __init__(self, mae: MaskedAutoencoder, part: int | None) -> None:
        """Precompute on the device of `mae`, whose decoder weights are shared.

        Construct and call it in inference mode. Once the weights have changed make another: what
        is precomputed belongs to the old ones, what is shared to the new.
        """
        self.first, self.second, self.last = (_as_block(b) for b in mae.decoder_blocks)
        self.norm, self.pred = mae.decoder_norm, mae.decoder_pred
        self.heads = self.first.attn.num_heads
        self.part = part
        self.patches = mae.patches
        self.length = 1 + mae.patches  # tokens: the class token, then the patches
        self._place_tokens(mae)
        self._precompute_first()
        self._precompute_last()
        self._scratch: dict[int, Scratch] = {}  # by the number of targets
        if part is not None:
            self._scratch_for(part)

    def _place_tokens(self, mae: MaskedAutoencoder) -> None:
        """Tabulate where each target's variable tokens go, and the tokens that are constant."""
        device = mae.mask_token.device
        around = torch.from_numpy(neighbourhoods(mae.rows, mae.columns)).to(device)  # [144, 9]
        self.ring = torch.cat([around[:, :4], around[:, 5:]], dim=1)  # [144, 8]
        self.places = functional.pad(self.ring + 1, (1, 0))  # [144, 9] token numbers
        self.position = functional.pad(mae.decoder_pos_embed[0], (0, 0, 0, 1))  # [146, 128]
        self.masked = mae.mask_token[0] + mae.decoder_pos_embed[0]  # [145, 128]

    def _precompute_first(self) -> None:
        """Sum up, for each target, what the mask tokens contribute to the first block."""
        dim = self.masked.shape[1]
        qkv = self.first.attn.qkv(self.first.norm1(self.masked))  # [145, 384]
        self.keys_values = qkv[:, dim:].contiguous()  # [145, 256]
        heads = qkv[1:].view(self.patches, 3, self.heads, -1)
        q, k, v = heads.permute(1, 2, 0, 3).unbind()  # 3 x [H, 144, d]
        q = q * q.shape[-1] ** -0.5
        self.queries = q.transpose(1, 2).contiguous()  # [H, d, 144]
        scores = q @ k.transpose(1, 2)  # [H, 144, 144]
        weight, value = [], []
        for seen in self.ring:  # one target at a time: all at once would need 100 MB
            hidden = torch.zeros(self.patches + 1, dtype=torch.bool, device=seen.device)
            hidden[seen] = True
            s = scores.masked_fill(hidden[: self.patches], -torch.inf)
            weight.append(s.logsumexp(-1))  # [H, 144]
            value.append((s.softmax(-1) @ v).transpose(0, 1).flatten(1))  # [144, 128]
        self.constant_weight = torch.stack(weight, dim=1)  # [H, 144 targets, 144]
        self.constant_value = torch.stack(value)  # [144 targets, 144, 128]

    def _precompute_last(self) -> None:
        """Split the last block's projection by heads, with the scale of the scores folded in."""
        attention = self.last.attn
        w_q, w_k, w_v = attention.qkv.weight.chunk(3)  # [128, 128] each
        b_q, _, self.b_v = attention.qkv.bias.chunk(3)
        scale = (len(w_q) // self.heads) ** -0.5
        self.w_q, self.b_q = w_q * scale, b_q * scale
        self.w_k = w_k.reshape(self.heads, -1, len(w_q)).contiguous()  # [H, d, 128]
        self.w_v = w_v.reshape(self.heads, -1, len(w_q)).transpose(1, 2).contiguous()  # [H, 128, d]

    def _scratch_for(self, part: int) -> Scratch:
        """Return the memory for so many targets at once."""
        if part not in self._scratch:
            hidden = self.first.mlp.fc1.out_features
            self._scratch[part] = Scratch.allocate(part, self.length, hidden, self.masked)
        return self._scratch[part]

    def __call__(self, tokens: Tensor, target: Tensor, count: int) -> Tensor:
        """Predict the patches `target` int64 [B]: returns [B, 192], of which `count` are valid.

        `tokens` [B, 9, 128] are the embedded class token and the 8 neighbours in row order,
        without position codes; what stands for a neighbour outside the frame is ignored. B is
        a multiple of `part`, if there is one; parts wholly beyond `count` are skipped.
        """
        batch, _, dim = tokens.shape
        part = batch if self.part is None else self.part
        scratch = self._scratch_for(part)
        own = tokens.new_zeros(batch, dim)
        mixed = tokens.new_zeros(self.heads, batch, dim)
        for start in range(0, count, part):
            rows = slice(start, start + part)
            x = self._first(tokens[rows], target[rows], scratch)
            x = self._second(x, scratch)  # [P, 145, 128]
            own[rows], mixed[:, rows] = self._gather(x, target[rows])
        x = (mixed @ self.w_v).transpose(0, 1).flatten(1) + self.b_v  # [B, 128]
        x = own + self.last.attn.proj(x)
        x = x + self.last.mlp(self.last.norm2(x))
        prediction: Tensor = self.pred(self.norm(x))
        return prediction

    def _first(self, tokens: Tensor, target: Tensor, scratch: Scratch) -> Tensor:
        """Run the first block: all tokens [P * 145, 128] from the variable ones [P, 9, 128]."""
        part, slots, dim = tokens.shape
        place = self.places[target]  # [P, 9]
        missing = place == self.length  # the row beyond the last token
        rows = (place + scratch.offset).masked_fill_(missing, part * self.length)
        rows = rows.flatten()  # [P * 9]
        x = tokens + self.position[place]  # [P, 9, 128]
        qkv = self.first.attn.qkv(self.first.norm1(x)).flatten(0, 1)  # [P * 9, 384]

        heads = qkv.view(part, slots, 3, self.heads, -1)
        self._constant_queries(heads[:, :, 1:], missing, target, scratch)
        variable = self._variable_queries(heads[:, :, 0], qkv[:, dim:], rows, scratch)
        scratch.attended.index_copy_(0, rows, variable)

        scratch.tokens[:-1].view(part, self.length, dim).copy_(self.masked)
        scratch.tokens.index_copy_(0, rows, x.flatten(0, 1))
        return self._finish(self.first, scratch.tokens[:-1], scratch.attended[:-1], scratch.hidden)

    def _constant_queries(
        self, keys_values: Tensor, missing: Tensor, target: Tensor, scratch: Scratch
    ) -> None:
        """Let the mask tokens attend in the first block; writes their rows of `attended`.

        They attend to the 9 variable keys in `keys_values` [P, 9, 2, H, d] and, as if to one
        more, to the precomputed sum over all constant keys: softmax over parts of the keys
        merges exactly when each part brings its log-sum-exp as the score.
        """
        part, slots = missing.shape
        k, v = functional.pad(keys_values, (0, 0, 0, 0, 0, 0, 1, 0)).permute(2, 3, 0, 1, 4).unbind()
        k = k.reshape(self.heads, part * (1 + slots), -1)  # [H, P * 10, d]
        scores = (k @ self.queries).view(self.heads, part, 1 + slots, self.patches)
        scores[:, :, 0] = self.constant_weight[:, target]
        scores[:, :, 1:].masked_fill_(missing[:, :, None], -torch.inf)
        share = scores.softmax(2)  # [H, P, 10, 144]
        from_variable = share.transpose(2, 3) @ v  # [H, P, 144, d]
        torch.addcmul(
            from_variable.permute(1, 2, 0, 3),
            share[:, :, 0].permute(1, 2, 0)[..., None],
            self.constant_value[target].view(part, self.patches, self.heads, -1),
            out=scratch.attended[:-1].view(part, self.length, self.heads, -1)[:, 1:],
        )

    def _variable_queries(
        self, queries: Tensor, keys_values: Tensor, rows: Tensor, scratch: Scratch
    ) -> Tensor:
        """Let the 9 variable `queries` [P, 9, H, d] attend to all 145 keys: [P * 9, 128]."""
        part, slots, heads, _ = queries.shape
        both = scratch.both[:-1].view(part, self.length, -1)
        both.copy_(self.keys_values)
        scratch.both.index_copy_(0, rows, keys_values)  # [P, 145, 256]
        k, v = both.view(part, self.length, 2, heads, -1).permute(2, 0, 3, 1, 4).unbind()
        y = functional.scaled_dot_product_attention(queries.transpose(1, 2), k, v)
        return y.transpose(1, 2).reshape(part * slots, -1)

    def _second(self, x: Tensor, scratch: Scratch) -> Tensor:
        """Run the second block on `x` [P * 145, 128] in place; returns it as [P, 145, 128]."""
        attention = self.second.attn
        y, weight = self.second.norm1(x), attention.qkv.weight
        torch.addmm(attention.qkv.bias, y, weight.t(), out=scratch.projected)
        heads = scratch.projected.view(-1, self.length, 3, self.heads, y.shape[-1] // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()  # 3 x [P, H, 145, d]
        y = functional.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).reshape(x.shape)
        return self._finish(self.second, x, y, scratch.hidden).view(-1, self.length, x.shape[-1])

    def _finish(self, block: Block, x: Tensor, attended: Tensor, hidden: Tensor) -> Tensor:
        """Add the projection of `attended` and then the MLP to `x` [P * 145, 128], in place."""
        proj, mlp = block.attn.proj, block.mlp
        x.add_(proj.bias).addmm_(attended, proj.weight.t())
        torch.addmm(mlp.fc1.bias, block.norm2(x), mlp.fc1.weight.t(), out=hidden)
        torch.ops.aten.gelu_(hidden)
        return x.add_(mlp.fc2.bias).addmm_(hidden, mlp.fc2.weight.t())

    def _gather(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Let the targets attend in the last block to `x` [P, 145, 128].

        Returns the targets' own tokens [P, 128] and, for each head, the attended mean of the
        normalised tokens [H, P, 128], to which the value projection is still to be applied.
        """
        y = self.last.norm1(x)  # [P, 145, 128]
        sample, token = torch.arange(len(x), device=x.device), 1 + target
        q = functional.linear(y[sample, token], self.w_q, self.b_q)  # [P, 128]
        q = q.view(len(x), self.heads, -1).transpose(0, 1) @ self.w_k  # [H, P, 128]
        share = (q.transpose(0, 1) @ y.transpose(1, 2)).softmax(-1)  # [P, H, 145]
        return x[sample, token], (share @ y).transpose(0, 1)


class PatchErrors:
    """The errors of batches of patches (SPIRL, section 4.2 and Eq. 3), nothing remembered."""

    def __init__(self, mae: MaskedAutoencoder, part: int | None, error_space: ErrorSpace) -> None:
        """Precompute for the present weights of `mae`, on its device, in inference mode.

        Once they have changed it is of no use (see `TargetDecoder`). The decoder has `part` patches
        at a time, or all of a call (None).

        In the error space "normalised" the prediction is compared with the target standardised
        by its own mean and deviation (published code); in "pixels" the prediction is scaled back
        by them and compared with the pixels in 0..1 (SPIRL, section 4.2).

        Raises ValueError if the error space is unknown.
        """
        if error_space not in get_args(ErrorSpace):
            raise ValueError(f"error_space is {error_space!r}, not one of {get_args(ErrorSpace)}")
        self.mae, self.error_space = mae, error_space
        self.decoder = TargetDecoder(mae, part)
        self.position = functional.pad(mae.pos_embed[0], (0, 0, 0, 1))  # [146, 64]
        self.present = functional.pad(self.decoder.ring < mae.patches, (1, 0), value=True)

    @property
    def macs(self) -> int:
        """The multiply-adds of one error, matrix products only, as they are computed here."""
        mae, decoder = self.mae, self.decoder
        narrow, wide, length = self.position.shape[1], decoder.masked.shape[1], decoder.length
        encoder = (SLOTS - 1) * mae.pixels * narrow + SLOTS * narrow * wide
        encoder += len(mae.blocks) * _block_macs(narrow, SLOTS)
        # Queries, keys and values of the variable tokens; what constant and variable ones attend
        # to; the projection and the MLP of all.
        first = SLOTS * 3 * wide**2 + 2 * (SLOTS + 1) * mae.patches * wide
        first += 2 * SLOTS * length * wide + length * 9 * wide**2
        # The target's query twice (see TargetDecoder), its value, projection and MLP; all scores.
        last = 12 * wide**2 + 2 * decoder.heads * length * wide + wide * mae.pixels
        return encoder + first + _block_macs(wide, length) + last

    def __call__(self, around: Tensor, target: Tensor, count: int) -> Tensor:
        """Compute errors [B]; the first `count` are valid.

        `around` [B, 9, 192] in 0..1 holds the neighbourhoods, the patch in question in the
        middle; `target` int64 [B] is its number. B is a multiple of `part`, if there is one.
        """
        truth, prediction = around[:, 4], self.predict(around, target, count)
        normalised, mean, deviation = normalise_patches(truth)
        if self.error_space == "pixels":
            return (prediction * deviation + mean - truth).square().mean(-1)
        return (prediction - normalised).square().mean(-1)

    def predict(self, around: Tensor, target: Tensor, count: int) -> Tensor:
        """Predict patches, standardised, from their neighbours alone (Eq. 3): [B, 192]."""
        mae = self.mae
        ring = torch.cat([around[:, :4], around[:, 5:]], dim=1)  # [B, 8, 192]
        place = self.decoder.places[target, 1:]  # [B, 8]
        x = mae.patch_embed(ring) + self.position[place]  # [B, 8, 64]
        x = mae.decoder_embed(mae.encode(x, self.present[target]))  # [B, 9, 128]
        return self.decoder(x, target, count)


def _as_block(module: nn.Module) -> Block:
    """Narrow the type of a decoder block."""
    assert isinstance(module, Block)
    return module


def _block_macs(dim: int, tokens: int) -> int:
    """Return the multiply-adds of a whole block, whose MLP is four times as wide as its tokens."""
    shape = VitShape(depth=1, dim=dim, hidden=4 * dim, patches=0, patch_values=0, classes=0)
    return block_macs(shape, tokens)
