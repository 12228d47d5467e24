"""The pre-LN transformer block, written once so that every encoder and decoder shares one."""

from torch import Tensor, nn
from torch.nn import functional

LAYER_NORM_EPS = 1e-6  # the value of the ViT and MAE code, not torch's 1e-5


class Attention(nn.Module):
    """Multi-head self-attention with one joint projection to queries, keys and values."""

    def __init__(
        self, dim: int, heads: int, *, head_dim: int | None = None, bias: bool = True
    ) -> None:
        """Build the projections for tokens of `dim` features.

        A head has `head_dim` features, by default its share of `dim`. Raises ValueError if it has
        no such share, `heads` not dividing `dim`.
        """
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} features")
        inner = heads * (dim // heads if head_dim is None else head_dim)
        self.num_heads = heads
        self.qkv = nn.Linear(dim, 3 * inner, bias=bias)
        self.proj = nn.Linear(inner, dim, bias=bias)

    def forward(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Attend over tokens `x` [B, N, D]; returns [B, N, D].

        `key_mask` is bool [B, N]: a token marked False is attended to by nobody. Every sample
        needs one True token, or its outputs are NaN.
        """
        batch, tokens, _ = x.shape
        qkv: Tensor = self.qkv(x).view(batch, tokens, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # 3 x [B, H, N, D/H]
        mask = None if key_mask is None else key_mask[:, None, None, :]  # [B, 1, 1, N]
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        output: Tensor = self.proj(y.transpose(1, 2).reshape(batch, tokens, -1))  # [B, N, D]
        return output


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        """Build the layers `dim` -> `hidden` -> `dim`."""
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every token of `x` [..., D] alone; returns the same shape."""
        output: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return output


class Block(nn.Module):
    """Pre-LN transformer block: x + MHSA(LN(x)), then x + MLP(LN(x)).

    Parameters carry timm's names (norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2), so
    published checkpoints load unchanged.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        *,
        head_dim: int | None = None,
        attention_bias: bool = True,
        eps: float = LAYER_NORM_EPS,
    ) -> None:
        """Build a block for tokens of `dim` features; the MLP is `mlp_ratio` times as wide.

        Raises ValueError as `Attention` does.
        """
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads, head_dim=head_dim, bias=attention_bias)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, round(dim * mlp_ratio))

    def forward(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Transform tokens `x` [B, N, D]; returns [B, N, D].

        `key_mask` bool [B, N] marks the tokens that may be attended to (default: all).
        """
        x = x + self.attn(self.norm1(x), key_mask)
        output: Tensor = x + self.mlp(self.norm2(x))
        return output
