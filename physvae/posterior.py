"""The posterior over the physical variables θ: one over their scores, seen through the prior.

θ = T(u), u ~ q(u | x), T the triangular map of the prior, so that

    q(θ | x) = q(u | x) · p(θ) / N(u; 0, I).

Moments and quantiles use a fixed scrambled Sobol set: the same pixel gives the same answer in any
batch.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from physvae.draws import DRAWS, draw_quantile
from physvae.priors import Prior, standard_normal_log_prob
from physvae.scores import SampledScores, Scores


class Posterior(Distribution):
    """Joint distribution over θ [..., parameter], LAI and chlorophyll included together.

    Parameters
    ----------
    scores : Scores
        q(u | x).
    prior : Prior
        The map T and the density p(θ); its `space` names the last axis.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector
    has_rsample = True

    def __init__(self, scores: Scores, prior: Prior):
        self.scores, self.prior, self.space = scores, prior, prior.space
        super().__init__(scores.batch_shape, scores.event_shape, validate_args=False)

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random draws of θ [sample, ..., parameter], differentiable.

        Raises
        ------
        TypeError
            For scores that are known by fixed draws alone.
        """
        if not isinstance(self.scores, SampledScores):
            raise TypeError(
                "posterior: expected scores that can be drawn at random, "
                f"got {type(self.scores).__name__}"
            )
        return self.prior(self.scores.rsample(sample_shape, generator))

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random draws of θ [sample, ..., parameter]."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def score_draws(self, count: int = DRAWS) -> Tensor:
        """Fixed quasi-random draws of the scores u [count, ..., parameter]."""
        return self.scores.fixed(count)

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
        return self.prior(self.scores.mean)
