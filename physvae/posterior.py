"""The posterior over the physical variables θ: a mixture over scores, seen through the prior.

θ = T(u), u ~ q(u | x), T the triangular map of the prior, so that

    q(θ | x) = q(u | x) · p(θ) / N(u; 0, I).

Moments and quantiles use a fixed scrambled Sobol set: the same pixel gives the same answer in any
batch.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

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


def draw_quantile(draws: Tensor, probability: float) -> Tensor:
    """Quantile over the first axis, with the probability as the expected share below it.

    Linear between order statistics at p (n + 1): type 6 of Hyndman & Fan 1996,
    10.1080/00031305.1996.10473566. The usual p (n − 1) makes intervals of few draws too narrow.

    >>> draw_quantile(torch.tensor([4.0, 1.0, 3.0, 2.0]), 0.5)
    tensor(2.5000)
    """
    count = len(draws)
    upper = probability > 0.5
    place = (count + 1) * (1 - probability if upper else probability) - 1
    place = min(max(place, 0.0), count - 1.0)
    below = int(place)
    ordered = draws.topk(min(below + 2, count), 0, largest=upper).values
    last = ordered[min(below + 1, len(ordered) - 1)]
    return torch.lerp(ordered[below], last, place - below)


class Posterior(Distribution):
    """Joint distribution over θ [..., parameter], LAI and chlorophyll included together.

    Parameters
    ----------
    scores : ScoreMixture
        q(u | x).
    prior : Prior
        The map T and the density p(θ); its `space` names the last axis.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector
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

    def score_draws(self, count: int = DRAWS) -> Tensor:
        """Fixed quasi-random draws of the scores u [count, ..., parameter]."""
        points = sobol_points(count, self.event_shape[0] + 1).to(self.scores.loc)
        return self.scores.push(points[:, 0], torch.special.ndtri(points[:, 1:]))

    def draws(self, count: int = DRAWS) -> Tensor:
        """Fixed quasi-random draws of θ [count, ..., parameter]."""
        return self.prior(self.score_draws(count))

    def log_prob(self, value: Tensor) -> Tensor:
        """ln q(θ | x) [...], in the variables' own units."""
        u = self.prior.to_score(value)
        jacobian = self.prior.log_prob(value) - standard_normal_log_prob(u)
        return self.scores.log_prob(u) + jacobian

    @property
    def mean(self) -> Tensor:
        """Mean of θ [..., parameter] over the fixed draws, in the variables' own units."""
        return self.draws().mean(0)

    @property
    def variance(self) -> Tensor:
        """Variance of θ [..., parameter] over the fixed draws, in the units squared."""
        return self.draws().var(0)

    def icdf(self, value: Tensor | float) -> Tensor:
        """Marginal quantiles of θ [..., parameter] at a probability."""
        return draw_quantile(self.draws(), float(value))

    @property
    def centre(self) -> Tensor:
        """θ [..., parameter] at the mean score: the point that is decoded."""
        weights = self.scores.log_weights.exp().unsqueeze(-1)
        return self.prior((weights * self.scores.loc).sum(-2))
