"""How far an observed spectrum may lie from a decoded one.

For a decoded spectrum μ over the bands l, floor the sensor's noise and a its relative error:

    band-noise       x ~ N(μ, D + v vᵀ),   D_ll = floor² + (a μ_l)² + δ_l²,   v = c μ
    fixed            D_ll = floor² + (a μ_l)²
    sigma            D_ll = floor² + σ_l²,   σ_l² = mean over the batch of (x_l − μ_l)²
    heteroscedastic  D_ll = floor² + (a μ_l)² + s_l(μ)²,   s a small network of ln μ
    banded-cholesky, logistic-mixture   see `physvae.structured_likelihoods`

c: relative error common to all bands (atmosphere, adjacency, slope); δ: what the model cannot
represent (model discrepancy, learned from real spectra). The same law draws the noise of the
simulations, so the posterior knows of all of it. By the matrix determinant lemma and
Sherman-Morrison

    ln|Σ| = Σ ln D_ll + ln(1 + s),   s = Σ v_l²/D_ll
    rᵀΣ⁻¹r = Σ r_l²/D_ll − (Σ v_l r_l/D_ll)² / (1 + s)

σ is the maximum-likelihood value: the σ-VAE of Rybkin et al. (ICML 2021, arXiv 2006.13202).
"""

import copy
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.plans import BandErrors, Likelihood, Noise

KEEP = 0.99  # share of σ² that a batch leaves as it was


class Terms(NamedTuple):
    """rᵀΣ⁻¹r, ln|Σ| and the number of bands present, [...] each."""

    square: Tensor
    log_det: Tensor
    count: Tensor


class BandLikelihood(nn.Module):
    """Base: Gaussian with independent bands of variance `variance(mean)`.

    Parameters
    ----------
    bands : int
        Number of bands.
    noise : Noise
        The sensor's errors.
    plan : Likelihood
        Sizes of the families that have any.
    """

    relative: Tensor

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__()
        relative = torch.full((bands,), noise.relative)
        self.register_buffer("relative", relative, persistent=False)
        self.floor, self.common = noise.floor, noise.common
        self.start, self.most = noise.discrepancy, noise.discrepancy_max

    def widened(self, by: BandErrors) -> "BandLikelihood":
        """A copy with larger errors of bands."""
        made = copy.copy(self)
        made._buffers = {**self._buffers, "relative": self.relative * by.relative}
        made.floor = math.hypot(self.floor, by.floor)
        return made

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """D: the part of the variance that bands do not share, reflectance² [-]."""
        return self.floor**2 + (self.relative * mean).square()

    def draw(
        self, mean: Float[Tensor, "*batch band"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch band"]:
        """One noisy spectrum for every decoded one."""
        return mean + normal_like(mean, generator) * self.variance(mean).sqrt()

    def draw_given(
        self, x: Float[Tensor, "*#batch band"], mean: Float[Tensor, "*batch band"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*batch band"]:  # fmt: skip
        """As `draw`, with what the bands present in x tell of the errors of the others."""
        return self.draw(mean, generator)

    def misfit(self, x: Tensor, mean: Tensor) -> Float[Tensor, "*batch"]:
        """rᵀΣ⁻¹r over the bands that are present (x not NaN)."""
        return self._terms(x, mean).square

    def log_prob(self, x: Tensor, mean: Tensor) -> Float[Tensor, "*batch"]:
        """ln p(x | μ) over the bands that are present (x not NaN)."""
        terms = self._terms(x, mean)
        return -0.5 * (terms.square + terms.log_det + terms.count * math.log(2 * math.pi))

    def observe(self, x: Tensor, mean: Tensor) -> None:
        """See a batch of training before its `log_prob`; only "sigma" learns from it."""

    def observed(self) -> list[Tensor]:
        """What `observe` has learned; processes that train together take the mean of it."""
        return []

    def constrain(self) -> None:
        """Keep learned errors within their bounds after a step of training."""

    def _terms(self, x: Tensor, mean: Tensor) -> Terms:
        seen = x.isfinite()
        variance = self.variance(mean)
        gap = torch.where(seen, x, mean) - mean
        log_det = (variance.log() * seen).sum(-1)
        return Terms((gap.square() / variance).sum(-1), log_det, seen.sum(-1))


class BandNoise(BandLikelihood):
    """With a common relative error and a learned model discrepancy."""

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__(bands, noise, plan)
        self.log_discrepancy = nn.Parameter(torch.full((bands,), math.log(noise.discrepancy)))

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """D with δ²."""
        return super().variance(mean) + (2 * self.log_discrepancy).exp()

    def draw(
        self, mean: Float[Tensor, "*batch band"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch band"]:
        """One noisy spectrum for every decoded one."""
        own = normal_like(mean, generator) * self.variance(mean).sqrt()
        shared = normal_like(mean[..., :1], generator) * self.common * mean
        return mean + own + shared

    def draw_given(
        self, x: Float[Tensor, "*#batch band"], mean: Float[Tensor, "*batch band"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*batch band"]:  # fmt: skip
        """As `draw`, the common error t ~ N(Σ v r/D / (1 + s), 1 / (1 + s)) being partly seen."""
        seen, variance = x.isfinite(), self.variance(mean)
        gap = torch.where(seen, x, mean) - mean
        shared = self.common * mean * seen
        weight = 1 + (shared.square() / variance).sum(-1, keepdim=True)
        middle = (shared * gap / variance).sum(-1, keepdim=True) / weight
        common = middle + normal_like(middle, generator) / weight.sqrt()
        own = normal_like(mean, generator) * variance.sqrt()
        return mean + own + common * self.common * mean

    def constrain(self) -> None:
        """δ within 1e-4 and `discrepancy_max`."""
        self.log_discrepancy.clamp_(math.log(1e-4), math.log(self.most))

    def _terms(self, x: Tensor, mean: Tensor) -> Terms:
        seen = x.isfinite()
        gap = torch.where(seen, x, mean) - mean
        variance = self.variance(mean)
        shared = self.common * mean * seen
        s = (shared.square() / variance).sum(-1)
        cross = (shared * gap / variance).sum(-1)
        square = (gap.square() / variance).sum(-1) - cross.square() / (1 + s)
        log_det = (variance.log() * seen).sum(-1) + s.log1p()
        return Terms(square, log_det, seen.sum(-1))


class Fixed(BandLikelihood):
    """The sensor's noise alone; nothing is learned."""


class Sigma(BandLikelihood):
    """σ-VAE: every band's error is what training leaves, never below the floor."""

    sigma_square: Tensor

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__(bands, noise, plan)
        self.register_buffer("sigma_square", torch.full((bands,), noise.discrepancy**2))

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """floor² + σ², the same for every spectrum."""
        return (self.floor**2 + self.sigma_square).expand(mean.shape)

    @torch.no_grad()
    def observe(self, x: Tensor, mean: Tensor) -> None:
        """Move σ² towards the batch's mean square error, over all axes but the last."""
        square = (x - mean).square().flatten(0, -2)
        found = square.nanmean(0).nan_to_num(nan=self.start**2)
        self.sigma_square.lerp_(found, 1 - KEEP)

    def observed(self) -> list[Tensor]:
        """σ²."""
        return [self.sigma_square]


class Heteroscedastic(BandLikelihood):
    """An error that a network gives from the decoded spectrum."""

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__(bands, noise, plan)
        self.network = network(bands, bands, plan.width)

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """D with s(μ)², s between 0 and `discrepancy_max`."""
        ratio = math.log(self.most / self.start - 1.0) if self.most > self.start else 0.0
        learned = self.most * torch.sigmoid(self.network(log_of(mean)) - ratio)
        return super().variance(mean) + learned.square()


def normal_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal deviates of a tensor's shape, dtype and device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def network(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """Two small layers; the last starts at a tenth of its usual size."""
    last = nn.Linear(width, outputs)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), last)


def log_of(mean: Tensor) -> Tensor:
    """ln of a decoded spectrum about its usual size; no gradient into the decoder."""
    return (mean.detach().clamp_min(0.0) + 0.01).log() + 2.0
