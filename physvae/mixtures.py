"""A variable of several kinds of canopy: a mixture of truncated normals, some closing with LAI.

Part k holds the share s_k and is a normal N(m_k, d_k²) truncated to [low_k, high_k]. The range of
a part that closes at the rate r is squeezed towards its upper end as LAI (L) grows,

    v = high − (high − low) · e^{−rL} · (1 − x),   x the part's place in its range, 0 to 1,

so that a crown cover uniform on 0-1 becomes cv = 1 − u · e^{−rL}: rows that close. The variable is
v = F⁻¹(Φ(w) | L) with F = Σ s_k F_k: one score, monotone and differentiable, whatever the part, so
that a posterior of the score says by itself which kind of canopy it holds for likely.

F is inverted by bisection in float64; one Newton step then carries the gradients to w and L.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from physvae.distributions import SCORE_LIMIT

HALVINGS = 28  # of the range, to 4e-9 of it; the step after them does the rest


class Parts(NamedTuple):
    """Numbers of the parts, each [..., part]: share, normal before truncation, bounds, rate."""

    share: Tensor
    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor
    rate: Tensor


def mixture_value(w: Tensor, lai: Tensor, parts: Parts) -> Tensor:
    """v [...] at the score w [...] and LAI [...]; differentiable in both."""
    p, given = Law.of(parts), ndtr(w.double().clamp(-SCORE_LIMIT, SCORE_LIMIT))
    leaves, wanted, fixed = lai.double(), given.detach(), lai.detach().double()
    with torch.no_grad():
        low, high = p.low.amin(-1).expand(w.shape), p.high.amax(-1).expand(w.shape)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            below = p.distribution(middle, fixed) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        v = 0.5 * (low + high)
        slope = p.density(v, fixed)
        slope = torch.where(slope > 1e-9, 1.0 / slope.clamp_min(1e-9), 0.0)
    return (v + (given - p.distribution(v, leaves)) * slope).to(w.dtype)


def mixture_score(v: Tensor, lai: Tensor, parts: Parts) -> Tensor:
    """The inverse of `mixture_value`."""
    least = 0.5 * math.erfc(SCORE_LIMIT / math.sqrt(2.0))
    share = Law.of(parts).distribution(v.double(), lai.double())
    return ndtri(share.clamp(least, 1 - least)).to(v.dtype)


def mixture_log_prob(v: Tensor, lai: Tensor, parts: Parts) -> Tensor:
    """Log density [...] of v given LAI; −inf outside all parts."""
    return Law.of(parts).density(v.double(), lai.double()).log().to(v.dtype)


class Law(NamedTuple):
    """The mixture in float64: share over each normal's mass, its ends and their Φ."""

    weight: Tensor
    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor
    rate: Tensor
    alpha: Tensor
    beta: Tensor
    before: Tensor

    @classmethod
    def of(cls, parts: Parts) -> "Law":
        """The law of parts."""
        share, mean, sd, low, high, rate = (x.double() for x in parts)
        alpha, beta = (low - mean) / sd, (high - mean) / sd
        weight = share / (ndtr(beta) - ndtr(alpha))
        return cls(weight, mean, sd, low, high, rate, alpha, beta, ndtr(alpha))

    def standard(self, v: Tensor, lai: Tensor) -> tuple[Tensor, Tensor]:
        """Standard value [..., part] of each normal, and how far its range is squeezed."""
        squeezed = (-self.rate * lai.unsqueeze(-1)).exp()
        return (
            self.high - (self.high - v.unsqueeze(-1)) / squeezed - self.mean
        ) / self.sd, squeezed

    def distribution(self, v: Tensor, lai: Tensor) -> Tensor:
        """F(v | L) [...]."""
        z = torch.minimum(torch.maximum(self.standard(v, lai)[0], self.alpha), self.beta)
        return (self.weight * (ndtr(z) - self.before)).sum(-1)

    def density(self, v: Tensor, lai: Tensor) -> Tensor:
        """Density of v given L [...]."""
        z, squeezed = self.standard(v, lai)
        bell = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi) / (self.sd * squeezed)
        inside = (z >= self.alpha) & (z <= self.beta)
        return (self.weight * torch.where(inside, bell, 0.0)).sum(-1)
