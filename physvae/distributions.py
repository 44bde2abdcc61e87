"""Bounded distributions that stay exact in the tails.

A bounded variable is carried by its *score* u: a standard normal deviate whose quantile is taken,

    Φ(u) = F(x),   x = F⁻¹(Φ(u)),

so that u ~ N(0, 1) exactly when x ~ F. For a normal truncated to (α, β) in standard units

    F(x) = (Φ(x) − Φ(α)) / (Φ(β) − Φ(α))

and the quantile needs no subtraction, because both tails are convex combinations:

    p = Φ(α) Φ(−u) + Φ(β) Φ(u),   q = Φ(−α) Φ(−u) + Φ(−β) Φ(u),   p + q = 1,
    x = Φ⁻¹(p) where p ≤ q,   x = −Φ⁻¹(q) elsewhere.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.special import log_ndtr, ndtr, ndtri

SCORE_LIMIT = 6.0  # |u| at which a score is clamped: Φ(−6) = 1e-9, one draw in a thousand million


def truncated_quantile(u: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Standard value of a truncated normal at a score.

    Parameters
    ----------
    u : Tensor [...]
        Score [-], any real; beyond ±6 it is clamped.
    alpha, beta : Tensor [...]
        Bounds in standard units, alpha < beta.

    Returns
    -------
    Tensor [...]
        x in [alpha, beta] with F(x) = Φ(u).

    Examples
    --------
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> truncated_quantile(zero, -one, one)
    tensor(0.)
    """
    u = u.clamp(-SCORE_LIMIT, SCORE_LIMIT)
    above, below = ndtr(u), ndtr(-u)
    p = ndtr(alpha) * below + ndtr(beta) * above
    q = ndtr(-alpha) * below + ndtr(-beta) * above
    tail = torch.minimum(p, q).clamp_min(torch.finfo(p.dtype).tiny)
    x = torch.where(p <= q, 1.0, -1.0) * ndtri(tail)
    return torch.minimum(torch.maximum(x, alpha), beta)


def truncated_score(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Score of a standard value of a truncated normal: the inverse of `truncated_quantile`.

    The interval is mirrored so that it lies in the lower half, where a difference of Φ is exact.
    """
    mirror = alpha + beta > 0
    sign = torch.where(mirror, -1.0, 1.0).to(x.dtype)
    low, high = torch.where(mirror, -beta, alpha), torch.where(mirror, -alpha, beta)
    log_z = _log_difference(low, high)
    below = _log_difference(low, (sign * x).clamp(low, high)) - log_z
    above = _log_difference((sign * x).clamp(low, high), high) - log_z
    tail = torch.minimum(below, above).exp().clamp_min(torch.finfo(x.dtype).tiny)
    u = torch.where(below <= above, 1.0, -1.0) * ndtri(tail.clamp_max(0.5))
    return (sign * u).clamp(-SCORE_LIMIT, SCORE_LIMIT)


def truncated_log_prob(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Log density of the standard truncated normal; −inf outside (alpha, beta)."""
    mirror = alpha + beta > 0
    low, high = torch.where(mirror, -beta, alpha), torch.where(mirror, -alpha, beta)
    density = -0.5 * x * x - 0.5 * math.log(2 * math.pi) - _log_difference(low, high)
    return torch.where((x < alpha) | (x > beta), -torch.inf, density)


def _log_difference(low: Tensor, high: Tensor) -> Tensor:
    """log(Φ(high) − Φ(low)), exact where both lie in the lower tail."""
    upper, lower = log_ndtr(high), log_ndtr(low)
    gap = (lower - upper).clamp_max(-torch.finfo(upper.dtype).tiny)
    return upper + torch.log(-torch.expm1(gap))


class TruncatedNormal(Distribution):
    """Normal distribution restricted to an interval.

    Parameters
    ----------
    loc, scale : Tensor [...]
        Mean and standard deviation before truncation, in the variable's unit.
    low, high : Tensor [...]
        Bounds, same unit.

    References
    ----------
    Botev (2017), J. R. Stat. Soc. B 79, 125-148, 10.1111/rssb.12162 (tails).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, low: Tensor, high: Tensor):
        self.loc, self.scale, self.low, self.high = torch.broadcast_tensors(loc, scale, low, high)
        self.alpha = (self.low - self.loc) / self.scale
        self.beta = (self.high - self.loc) / self.scale
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The interval [low, high], in the variable's unit."""
        return constraints.interval(self.low, self.high)

    def from_score(self, u: Tensor) -> Tensor:
        """Value [unit] at a standard normal score."""
        return self.loc + self.scale * truncated_quantile(u, self.alpha, self.beta)

    def to_score(self, value: Tensor) -> Tensor:
        """Standard normal score of a value [unit]."""
        return truncated_score((value - self.loc) / self.scale, self.alpha, self.beta)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile [unit] at a probability in 0-1."""
        return self.from_score(ndtri(value))

    def cdf(self, value: Tensor) -> Tensor:
        """Probability in 0-1 of at most a value [unit]."""
        return ndtr(self.to_score(value))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Random draws [sample, ...] in the variable's unit, differentiable."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.from_score(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density [...] at a value [unit]; −inf outside the interval."""
        x = (value - self.loc) / self.scale
        return truncated_log_prob(x, self.alpha, self.beta) - self.scale.log()


class ScoreMixture(Distribution):
    """Mixture of dense Gaussians over a vector of scores.

    log q(u) = log Σ_c π_c N(u; μ_c, S_c S_cᵀ), c over components; S lower triangular, so every
    pair of variables (LAI and Cab among them) is jointly distributed.

    Parameters
    ----------
    logits : Tensor [..., component]
        Unnormalised log π.
    loc : Tensor [..., component, parameter]
    scale_tril : Tensor [..., component, parameter, parameter]
        S with a positive diagonal.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector

    def __init__(self, logits: Tensor, loc: Tensor, scale_tril: Tensor):
        self.log_weights = logits.log_softmax(-1)
        self.loc, self.scale_tril = loc, scale_tril
        super().__init__(loc.shape[:-2], loc.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(u) [...] of scores [..., parameter]."""
        gap = (value.unsqueeze(-2) - self.loc).unsqueeze(-1)
        white = torch.linalg.solve_triangular(self.scale_tril, gap, upper=False).squeeze(-1)
        log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        half_log_tau = 0.5 * math.log(2 * math.pi) * self.loc.shape[-1]
        density = -0.5 * white.square().sum(-1) - log_det - half_log_tau
        return (self.log_weights + density).logsumexp(-1)

    def push(self, choice: Float[Tensor, "*draws"], noise: Float[Tensor, "*draws parameter"]):
        """Scores from a uniform (which component) and standard normals (where in it).

        Parameters
        ----------
        choice : Tensor [draw] or [draw, ...]
            Uniform deviate in [0, 1) that picks the component by its cumulative weight.
        noise : Tensor [draw, parameter] or [draw, ..., parameter]
            Standard normal deviates; the result is differentiable in loc and scale_tril.

        Returns
        -------
        Tensor [draw, ..., parameter]
        """
        shared = choice.dim() == 1
        if shared:  # the same points for every posterior: one matrix product for all
            choice = choice.reshape(-1, *(1,) * len(self.batch_shape))
            points = noise.T
        else:
            points = noise.movedim(0, -1).unsqueeze(-3)
        pushed = self.loc.unsqueeze(-1) + self.scale_tril @ points  # [..., component, d, draw]
        if pushed.shape[-3] == 1:
            return pushed.squeeze(-3).movedim(-1, 0)
        edges = self.log_weights.exp().cumsum(-1)[..., :-1]
        picked = (choice.unsqueeze(-1) >= edges).sum(-1).movedim(0, -1)  # [..., draw]
        index = picked[..., None, None, :].expand(*pushed.shape[:-3], 1, *pushed.shape[-2:])
        return pushed.gather(-3, index).squeeze(-3).movedim(-1, 0)

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random scores [sample, ..., parameter], differentiable in loc and scale_tril."""
        n = math.prod(sample_shape)
        kind = {"dtype": self.loc.dtype, "device": self.loc.device, "generator": generator}
        choice = torch.rand((n, *self.batch_shape), **kind)
        noise = torch.randn((n, *self.batch_shape, *self.event_shape), **kind)
        return self.push(choice, noise).reshape(
            *sample_shape, *self.batch_shape, *self.event_shape
        )

    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws from every component [draw, component, ..., parameter].

        An expectation is their mean over draws, weighted by π over components: unlike a random
        choice of component this has a gradient in π.
        """
        loc, tril = self.loc.movedim(-2, 0), self.scale_tril.movedim(-3, 0)
        kind = {"dtype": loc.dtype, "device": loc.device, "generator": generator}
        noise = torch.randn((draws, *loc.shape), **kind)
        return loc + (tril @ noise.unsqueeze(-1)).squeeze(-1)

    def marginal_quantile(self, probability: float, index: int) -> Tensor:
        """Score at which the marginal of one variable reaches a probability, by bisection."""
        loc = self.loc[..., index]
        sd = self.scale_tril[..., index, :].square().sum(-1).sqrt()
        low, high = (loc - 8 * sd).amin(-1), (loc + 8 * sd).amax(-1)
        weight = self.log_weights.exp()
        for _ in range(30):
            middle = 0.5 * (low + high)
            below = (weight * ndtr((middle.unsqueeze(-1) - loc) / sd)).sum(-1) < probability
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)
