"""Exploration by noisy weights, with noise that is explicit: seeded, checkpointed, redrawn on call.

Source: Fortunato et al. 2018, "Noisy Networks for Exploration".
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class NoisyLinear(nn.Module):
    """A linear layer with factorised Gaussian noise on weight and bias (Fortunato 2018, eq. 9-11).

    Weight = mu + sigma * f(e_out) f(e_in)^T and bias = mu + sigma * f(e_out), with
    f(x) = sign(x) sqrt|x|. The noise is one draw for the whole batch and stays until `resample`.
    The buffers `eps_in` [in] and `eps_out` [out] hold f(e) and enter the state_dict.
    """

    eps_in: Tensor
    eps_out: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sigma0: float = 0.5,
        *,
        generator: torch.Generator,
    ) -> None:
        """Initialise as Fortunato 2018, section 3.2, and draw the first noise.

        mu ~ U(-1/sqrt(in), 1/sqrt(in)) for weight and bias; sigma = sigma0 / sqrt(in) for the
        weight and sigma0 / sqrt(out) for the bias. The bias is the one departure, made by the
        common implementations of (data-efficient) Rainbow: the paper divides by sqrt(in) there.

        Args:
            in_features: length of an input vector.
            out_features: length of an output vector.
            sigma0: noise scale before division by the root of the fan; 0.5 in the source.
            generator: the only source of randomness.
        """
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        device = generator.device
        self.weight_mu = nn.Parameter(torch.empty(out_features, in_features, device=device))
        self.bias_mu = nn.Parameter(torch.empty(out_features, device=device))
        self.weight_sigma = nn.Parameter(torch.full_like(self.weight_mu, sigma0 * bound))
        self.bias_sigma = nn.Parameter(
            torch.full_like(self.bias_mu, sigma0 / math.sqrt(out_features))
        )
        nn.init.uniform_(self.weight_mu, -bound, bound, generator=generator)
        nn.init.uniform_(self.bias_mu, -bound, bound, generator=generator)
        self.register_buffer("eps_in", torch.zeros(in_features, device=device))
        self.register_buffer("eps_out", torch.zeros(out_features, device=device))
        self.resample(generator)

    @torch.no_grad()
    def resample(self, generator: torch.Generator) -> None:
        """Draw new noise in place: first `eps_in`, then `eps_out`."""
        self.eps_in.copy_(_scaled_noise(len(self.eps_in), generator))
        self.eps_out.copy_(_scaled_noise(len(self.eps_out), generator))

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the noise [in + out] that `resample` would set, and set none."""
        sizes = (len(self.eps_in), len(self.eps_out))
        return torch.cat([_scaled_noise(size, generator) for size in sizes])

    @torch.no_grad()
    def place(self, noise: Tensor) -> None:
        """Set the noise in place to one that was drawn before [in + out]: `eps_in`, `eps_out`.

        `draw` and `place` are `resample` in two halves: the draw from the stream stays on the
        host, and what a GPU does can be captured.
        """
        self.eps_in.copy_(noise[: len(self.eps_in)])
        self.eps_out.copy_(noise[len(self.eps_in) :])

    def forward(self, x: Tensor, *, noisy: bool = True) -> Tensor:
        """Map [..., in] to [..., out], with the present noise or with the means only."""
        if not noisy:
            return functional.linear(x, self.weight_mu, self.bias_mu)
        noise = torch.outer(self.eps_out, self.eps_in)  # [out, in]
        weight = torch.addcmul(self.weight_mu, self.weight_sigma, noise)
        bias = torch.addcmul(self.bias_mu, self.bias_sigma, self.eps_out)
        return functional.linear(x, weight, bias)


def _scaled_noise(length: int, generator: torch.Generator) -> Tensor:
    """Return f(e) with e ~ N(0, 1) and f(x) = sign(x) sqrt|x| (Fortunato 2018, eq. 11)."""
    noise = torch.randn(length, generator=generator, device=generator.device)
    return noise.sign() * noise.abs().sqrt()
