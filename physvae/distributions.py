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


def tail_quantile(u: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`truncated_quantile` by the logarithms of p and q: right for any alpha < beta, but slower.

    The other loses all digits where both bounds lie more than 37 (float32: 13) standard
    deviations on one side of the mean, where Φ itself is 0.
    """
    u = u.clamp(-SCORE_LIMIT, SCORE_LIMIT)
    above, below = log_ndtr(u), log_ndtr(-u)
    p = torch.logaddexp(log_ndtr(alpha) + below, log_ndtr(beta) + above)
    q = torch.logaddexp(log_ndtr(-alpha) + below, log_ndtr(-beta) + above)
    x = torch.where(p <= q, 1.0, -1.0) * log_quantile(torch.minimum(p, q))
    return torch.minimum(torch.maximum(x, alpha), beta)


def log_quantile(log_p: Tensor) -> Tensor:
    """x with ln Φ(x) = log_p, for log_p ≤ ln ½ (the upper half is clamped to 0).

    Newton's steps on the concave ln Φ, whose slope φ(x)/Φ(x) = √(2/π)/erfcx(−x/√2) stays finite.
    The last step carries the gradient 1/slope.

    >>> log_quantile(torch.tensor(-1e6, dtype=torch.float64))
    tensor(-1414.2078, dtype=torch.float64)
    """
    log_p = log_p.clamp_max(-math.log(2.0))
    with torch.no_grad():
        far = (-2.0 * log_p - math.log(2 * math.pi) - (-2.0 * log_p).log()).clamp_min(0.0)
        near = ndtri(log_p.clamp_min(-20.0).exp())
        x = torch.where(log_p > -20.0, near, -far.sqrt())
        for _ in range(3):
            x = x - (log_ndtr(x) - log_p) / _log_slope(x)
    return x - (log_ndtr(x) - log_p) / _log_slope(x)


def _log_slope(x: Tensor) -> Tensor:
    return math.sqrt(2 / math.pi) / torch.special.erfcx(-x / math.sqrt(2.0))


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
        return self.loc + self.scale * tail_quantile(u, self.alpha, self.beta)

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
