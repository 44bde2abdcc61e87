"""The sinh-arcsinh distribution: a normal one with skewness and tails of its own.

    w = ξ + η·sinh((asinh z + ε) / δ),  z ~ N(0, 1)

ξ location, η scale, ε skewness, δ weight of the tails (1 those of the normal, smaller heavier).
Quantiles and density are in closed form. Jones & Pewsey 2009, 10.1093/biomet/asp053.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from physvae.priors import standard_normal_log_prob


class SinhArcsinh(NamedTuple):
    """Distributions with parameters [...]; the scale and the tail weight above 0."""

    location: Tensor
    scale: Tensor
    skewness: Tensor
    tail: Tensor

    def at(self, score: Tensor) -> Tensor:
        """Value w [...] at standard normal scores z: the quantile at Φ(z); broadcasts."""
        grown = ((score.asinh() + self.skewness) / self.tail).exp()
        return torch.addcmul(self.location, self.scale, grown - grown.reciprocal(), value=0.5)

    def score(self, value: Tensor) -> Tensor:
        """Standard normal score z [...] of a value w."""
        return self._bent(value).sinh()

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density [...] at a value w."""
        bent = self._bent(value)
        stretched = (value - self.location) / self.scale
        slope = self.tail.log() + bent.cosh().log() - self.scale.log()
        normal = standard_normal_log_prob(bent.sinh().unsqueeze(-1))
        return normal + slope - 0.5 * stretched.square().log1p()

    def _bent(self, value: Tensor) -> Tensor:
        return self.tail * ((value - self.location) / self.scale).asinh() - self.skewness
