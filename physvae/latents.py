"""Residual latents z_r: Gaussian, or one vector of a learned code book.

`LATENTS` maps the word in a training file to the class. Gaussian: q = N(m, s²), p = N(0, I).
Vector-quantised (van den Oord et al. 2017, arXiv 1711.00937): the network's vector e is replaced
by the nearest of the K codes c_k, with the straight-through gradient; p(k) = 1/K and

    q(k) ∝ exp(−‖e − c_k‖²),    cost = ‖sg(e) − c‖² + ¼ ‖e − sg(c)‖² + ln K.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from physvae.plans import Residual

MIN_SCALE = 1e-3
COMMITMENT = 0.25


class GaussianLatent:
    """Posterior N(m, s²) of latents [..., latent]."""

    def __init__(self, mean: Tensor, stddev: Tensor):
        self.mean, self.stddev = mean, stddev

    def rsample(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws [draw, ..., latent], differentiable."""
        kind = {"generator": generator, "dtype": self.mean.dtype, "device": self.mean.device}
        return self.mean + self.stddev * torch.randn((draws, *self.mean.shape), **kind)

    def log_prob(self, value: Tensor) -> Tensor:
        """ln q(z_r) [...]."""
        white = (value - self.mean) / self.stddev
        return -(0.5 * white.square() + self.stddev.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def cost(self, free: float = 0.0) -> Tensor:
        """KL to N(0, I) [...], of which `free` nats a latent cost nothing (Kingma et al. 2016)."""
        variance = self.stddev.square()
        each = 0.5 * (self.mean.square() + variance - 1 - variance.log())
        return each.clamp_min(free).sum(-1) if free else each.sum(-1)


class QuantisedLatent:
    """Posterior over the code book [code, latent] of a vector e [..., latent]."""

    def __init__(self, vector: Tensor, codes: Tensor):
        self.vector, self.codes = vector, codes
        self.distance = (vector.unsqueeze(-2) - codes).square().sum(-1)
        self.code = codes[self.distance.argmin(-1)]

    @property
    def mean(self) -> Tensor:
        """The nearest code [..., latent], with the gradient of e."""
        return self.vector + (self.code - self.vector).detach()

    def rsample(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """The nearest code, `draws` times; nothing is random."""
        return self.mean.expand(draws, *self.vector.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """ln q [...] of the code nearest to a value [..., latent]."""
        index = (value.unsqueeze(-2) - self.codes).square().sum(-1).argmin(-1, keepdim=True)
        log_q = (-self.distance).log_softmax(-1)
        index, log_q = torch.broadcast_tensors(index, log_q[..., :1])[0], log_q
        return log_q.expand(*index.shape[:-1], -1).gather(-1, index).squeeze(-1)

    def cost(self, free: float = 0.0) -> Tensor:
        """The cost above [...]; `free` has no meaning here."""
        learn = (self.vector.detach() - self.code).square().sum(-1)
        commit = (self.vector - self.code.detach()).square().sum(-1)
        return learn + COMMITMENT * commit + math.log(len(self.codes))


class Latents(nn.Module, ABC):
    """Base: `size` numbers of a network in, a posterior over `latents` residual latents out."""

    latents: int
    size: int

    @abstractmethod
    def forward(self, out: Tensor) -> GaussianLatent | QuantisedLatent:
        """Posterior of numbers [..., size]."""

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """From the prior [*shape, latent]."""


class GaussianLatents(Latents):
    """Reads 2·latents numbers as N(m, s²)."""

    def __init__(self, latents: int, plan: Residual):
        super().__init__()
        self.latents, self.size = latents, 2 * latents

    def forward(self, out: Tensor) -> GaussianLatent:
        """Posterior of numbers [..., size]."""
        loc, raw = out.chunk(2, -1)
        return GaussianLatent(loc, nn.functional.softplus(raw) + MIN_SCALE)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """From the prior [*shape, latent]."""
        return torch.randn((*shape, self.latents), generator=generator, device=generator.device)


class QuantisedLatents(Latents):
    """Reads `latents` numbers as a vector next to one of the codes."""

    def __init__(self, latents: int, plan: Residual):
        super().__init__()
        self.latents = self.size = latents
        self.codes = nn.Parameter(torch.randn(plan.codes, latents))

    def forward(self, out: Tensor) -> QuantisedLatent:
        """Posterior of numbers [..., size]."""
        return QuantisedLatent(out, self.codes)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """From the prior [*shape, latent]: any code, equally likely."""
        which = torch.randint(len(self.codes), shape, generator=generator, device=generator.device)
        return self.codes.detach()[which]


LATENTS: dict[str, Callable[..., Latents]] = {
    "gaussian": GaussianLatents,
    "vector-quantised": QuantisedLatents,
}
