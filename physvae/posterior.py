"""The posterior over the physical variables θ: a mixture over scores, seen through the prior.

θ = T(u), u ~ q(u | x), T the triangular map of the prior, so that

    q(θ | x) = q(u | x) · p(θ) / N(u; 0, I).

Moments and quantiles use a fixed scrambled Sobol set: the same pixel gives the same answer in any
batch.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.quasirandom import SobolEngine

from physvae.distributions import ScoreMixture
from physvae.priors import Prior, standard_normal_log_prob

DRAWS = 128  # quasi-random draws behind a mean or a quantile


@lru_cache(maxsize=32)
def sobol_points(draws: int, dimensions: int) -> Tensor:
    """Deterministic points in the open unit cube [draw, dimension], float64."""
    points = SobolEngine(dimensions, scramble=True, seed=0).draw(draws, dtype=torch.float64)
    return points.clamp(1e-6, 1 - 1e-6)


class Posterior(Distribution):
    """Joint distribution over θ [..., parameter], LAI and chlorophyll included together.

    Parameters
    ----------
    scores : ScoreMixture
        q(u | x).
    prior : Prior
        The map T and the density p(θ); its `space` names the last axis.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, scores: ScoreMixture, prior: Prior):
        self.scores, self.prior, self.space = scores, prior, prior.space
        super().__init__(scores.batch_shape, scores.event_shape, validate_args=False)

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random draws of θ [sample, ..., parameter], differentiable."""
        return self.prior(self.scores.rsample(sample_shape, generator))

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random draws of θ [sample, ..., parameter]."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def draws(self, count: int = DRAWS) -> Tensor:
        """Fixed quasi-random draws of θ [count, ..., parameter]."""
        points = sobol_points(count, self.event_shape[0] + 1).to(self.scores.loc)
        return self.prior(self.scores.push(points[:, 0], torch.special.ndtri(points[:, 1:])))

    def log_prob(self, value: Tensor) -> Tensor:
        """ln q(θ | x) [...], in the variables' own units."""
        u = self.prior.to_score(value)
        jacobian = self.prior.log_prob(value) - standard_normal_log_prob(u)
        return self.scores.log_prob(u) + jacobian

    @property
    def mean(self) -> Tensor:
        return self.draws().mean(0)

    @property
    def variance(self) -> Tensor:
        return self.draws().var(0)

    def icdf(self, value: Tensor | float) -> Tensor:
        """Marginal quantiles of θ [..., parameter] at a probability."""
        return torch.quantile(self.draws(), float(value), dim=0)

    @property
    def centre(self) -> Tensor:
        """θ [..., parameter] at the mean score: the point that is decoded."""
        weights = self.scores.log_weights.exp().unsqueeze(-1)
        return self.prior((weights * self.scores.loc).sum(-2))
