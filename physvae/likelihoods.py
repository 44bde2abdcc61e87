"""How far an observed spectrum may lie from a decoded one.

For a decoded spectrum μ over the bands l

    x ~ N(μ, D + v vᵀ),   D_ll = floor² + (a μ_l)² + δ_l²,   v = c μ

floor: the sensor's noise; a: relative error of one band; c: relative error common to all bands
(atmosphere, adjacency, slope); δ: what the model cannot represent (model discrepancy, learned from
real spectra). The same law draws the noise of the simulations, so the posterior knows of all four.
By the matrix determinant lemma and Sherman-Morrison

    ln|Σ| = Σ ln D_ll + ln(1 + s),   s = Σ v_l²/D_ll
    rᵀΣ⁻¹r = Σ r_l²/D_ll − (Σ v_l r_l/D_ll)² / (1 + s)
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BandNoise(nn.Module):
    """Gaussian likelihood with a noise floor, a common error and a model discrepancy.

    Parameters
    ----------
    bands : int
        Number of bands.
    floor : float
        Noise floor of the sensor, reflectance [-].
    relative, common : float
        Relative error of a single band and of all bands together [-].
    discrepancy : float
        Start value of the learned model discrepancy δ, reflectance [-].
    """

    def __init__(
        self, bands: int, *, floor: float, relative: float, common: float, discrepancy: float
    ):
        super().__init__()
        self.floor, self.relative, self.common = floor, relative, common
        self.log_discrepancy = nn.Parameter(torch.full((bands,), math.log(discrepancy)))

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """D: the part of the variance that bands do not share, reflectance² [-]."""
        own = self.floor**2 + (self.relative * mean).square()
        return own + (2 * self.log_discrepancy).exp()

    def draw(
        self, mean: Float[Tensor, "*batch band"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch band"]:
        """One noisy spectrum for every decoded one."""
        kind = {"generator": generator, "dtype": mean.dtype, "device": mean.device}
        own = torch.randn(mean.shape, **kind) * self.variance(mean).sqrt()
        shared = torch.randn((*mean.shape[:-1], 1), **kind) * self.common * mean
        return mean + own + shared

    def misfit(self, x: Tensor, mean: Tensor) -> Float[Tensor, "*batch"]:
        """rᵀΣ⁻¹r over the bands that are present (x not NaN)."""
        return self._terms(x, mean).square

    def log_prob(self, x: Tensor, mean: Tensor) -> Float[Tensor, "*batch"]:
        """ln p(x | μ) over the bands that are present (x not NaN)."""
        terms = self._terms(x, mean)
        return -0.5 * (terms.square + terms.log_det + terms.count * math.log(2 * math.pi))

    def _terms(self, x: Tensor, mean: Tensor) -> "Terms":
        seen = x.isfinite()
        gap = torch.where(seen, x, mean) - mean
        variance = self.variance(mean)
        shared = self.common * mean * seen
        s = (shared.square() / variance).sum(-1)
        cross = (shared * gap / variance).sum(-1)
        square = (gap.square() / variance).sum(-1) - cross.square() / (1 + s)
        log_det = (variance.log() * seen).sum(-1) + s.log1p()
        return Terms(square, log_det, seen.sum(-1))


class Terms(NamedTuple):
    """rᵀΣ⁻¹r, ln|Σ| and the number of bands present, [...] each."""

    square: Tensor
    log_det: Tensor
    count: Tensor


LIKELIHOODS = {"band-noise": BandNoise}
