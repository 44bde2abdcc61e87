"""Two likelihoods that are not a diagonal Gaussian, and the registry of all.

Banded Cholesky (SUPN: Dorta et al., CVPR 2018, 10.1109/CVPR.2018.00573): the precision is
Σ⁻¹ = L Lᵀ with L lower triangular and `bandwidth` off-diagonals, all from a network of μ:

    ln p = Σ ln L_ll − ½ ‖Lᵀ(x − μ)‖² − n/2 ln 2π.

The noise floor is an upper bound of the precision: as λ_max(L Lᵀ) ≤ ‖L‖₁ ‖L‖_∞, L is divided by
√(1 + floor² ‖L‖₁ ‖L‖_∞), which keeps it banded and Σ ≥ floor² I. Where bands m are missing, what
remains of the precision Λ gives

    rᵀΣ⁻¹r = min over r_m of rᵀΛr,   ln|Σ_seen| = ln|Λ_mm| − ln|Λ|.

Discretised mixture of logistics (Salimans et al. 2017, arXiv 1701.05517): counts n = x/step, per
band with K logistics at m_k = μ + o_k, of scale s_k no less than the floor's

    P(n) = Σ_k π_k [σ((n + ½)step − m_k)/s_k) − σ((n − ½)step − m_k)/s_k)],   p(x) = P(n)/step.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.likelihoods import (
    BandLikelihood,
    BandNoise,
    Fixed,
    Heteroscedastic,
    Sigma,
    Terms,
    log_of,
    network,
    normal_like,
)
from physvae.plans import Likelihood, Noise


class BandedCholesky(BandLikelihood):
    """Neighbouring bands err together."""

    place: Tensor

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__(bands, noise, plan)
        rows, columns = torch.tril_indices(bands, bands)
        near = rows - columns <= plan.bandwidth
        self.bands = bands
        self.register_buffer("place", (rows * bands + columns)[near], persistent=False)
        self.network = network(bands, len(self.place), plan.width)

    def factor(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band band"]:
        """L, with the floor."""
        entries = self.network(log_of(mean))
        flat = torch.zeros(*entries.shape[:-1], self.bands**2).to(entries)
        raw = flat.index_copy(-1, self.place, entries).unflatten(-1, (self.bands, self.bands))
        diagonal = raw.diagonal(dim1=-2, dim2=-1).exp()
        size = math.hypot(self.floor, self.start)
        lower = (raw.tril(-1) + diagonal.diag_embed()) / size
        norm = lower.abs().sum(-2).amax(-1) * lower.abs().sum(-1).amax(-1)
        return lower / (1 + self.floor**2 * norm).sqrt()[..., None, None]

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """The diagonal of Σ."""
        return self._root(self.factor(mean)).square().sum(-2)

    def draw(
        self, mean: Float[Tensor, "*batch band"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch band"]:
        """One noisy spectrum for every decoded one: x = μ + L⁻ᵀ ε."""
        noise = normal_like(mean, generator).unsqueeze(-1)
        upper = self.factor(mean).mT
        return mean + torch.linalg.solve_triangular(upper, noise, upper=True).squeeze(-1)

    def draw_given(
        self, x: Float[Tensor, "*#batch band"], mean: Float[Tensor, "*batch band"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*batch band"]:  # fmt: skip
        """As `draw`; missing bands r_m ~ N(−Λ_mm⁻¹ Λ_ms r_s, Λ_mm⁻¹)."""
        seen = x.isfinite().expand(mean.shape)
        gap = torch.where(seen, x, mean) - mean
        lower = self.factor(mean)
        root, filled = self._missing(lower @ lower.mT, gap, seen)
        noise = normal_like(mean, generator).unsqueeze(-1)
        fresh = torch.linalg.solve_triangular(root.mT, noise, upper=True).squeeze(-1)
        return torch.where(seen, self.draw(mean, generator), mean + filled + fresh)

    def _missing(self, precision: Tensor, gap: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Cholesky factor of Λ_mm (1 elsewhere), and r with the most probable r_m."""
        gone = (~seen).to(gap)
        block = gone.unsqueeze(-1) * precision * gone.unsqueeze(-2) + seen.to(gap).diag_embed()
        root = torch.linalg.cholesky(block)
        pull = -gone.unsqueeze(-1) * (precision @ gap.unsqueeze(-1))
        return root, gap + torch.cholesky_solve(pull, root).squeeze(-1)

    def _root(self, factor: Tensor) -> Tensor:
        """L⁻¹, of which Σ = (L⁻¹)ᵀ L⁻¹."""
        eye = torch.eye(self.bands).to(factor).expand(factor.shape)
        return torch.linalg.solve_triangular(factor, eye, upper=False)

    def _terms(self, x: Tensor, mean: Tensor) -> Terms:
        seen = x.isfinite()
        gap = torch.where(seen, x, mean) - mean
        lower = self.factor(mean)
        log_det = -2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        if bool(seen.all()):
            white = (lower.mT @ gap.unsqueeze(-1)).squeeze(-1)
            return Terms(white.square().sum(-1), log_det, seen.sum(-1))
        root, gap = self._missing(lower @ lower.mT, gap, seen)
        square = (lower.mT @ gap.unsqueeze(-1)).square().sum((-1, -2))
        missing = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return Terms(square, log_det + missing, seen.sum(-1))


class LogisticMixture(BandLikelihood):
    """For products that come as integer counts."""

    def __init__(self, bands: int, noise: Noise, plan: Likelihood):
        super().__init__(bands, noise, plan)
        shape = (bands, plan.components)
        self.step = plan.step
        self.logits = nn.Parameter(torch.zeros(shape))
        spread = torch.linspace(-1.0, 1.0, plan.components) if plan.components > 1 else 0.0
        self.offset = nn.Parameter(noise.discrepancy * (torch.zeros(shape) + spread))
        self.log_scale = nn.Parameter(torch.full(shape, math.log(noise.discrepancy)))

    @property
    def least(self) -> float:
        """Scale of a logistic whose standard deviation is the floor."""
        return self.floor * math.sqrt(3.0) / math.pi

    def scale(self) -> Float[Tensor, "band component"]:
        """Scales [-]."""
        return self.least + self.log_scale.exp()

    def variance(self, mean: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """Variance of the mixture about its mean, reflectance² [-]."""
        weight = self.logits.softmax(-1)
        centre = (weight * self.offset).sum(-1, keepdim=True)
        own = (self.scale() * math.pi).square() / 3 + (self.offset - centre).square()
        return (weight * own).sum(-1).expand(mean.shape)

    def draw(
        self, mean: Float[Tensor, "*batch band"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch band"]:
        """One noisy spectrum, in whole counts, for every decoded one."""
        kind = {"generator": generator, "dtype": mean.dtype, "device": mean.device}
        edges = self.logits.softmax(-1).cumsum(-1)[..., :-1]
        which = (torch.rand((*mean.shape, 1), **kind) >= edges).sum(-1, keepdim=True)
        tall = (*mean.shape, self.logits.shape[-1])
        offset, scale = (
            v.expand(tall).gather(-1, which).squeeze(-1) for v in (self.offset, self.scale())
        )
        uniform = torch.rand(mean.shape, **kind).clamp(1e-7, 1 - 1e-7)
        return ((mean + offset + scale * uniform.logit()) / self.step).round() * self.step

    def log_prob(self, x: Tensor, mean: Tensor) -> Float[Tensor, "*batch"]:
        """ln p(x | μ) over the bands that are present (x not NaN); x is taken in whole counts."""
        seen = x.isfinite()
        count = (torch.where(seen, x, 0.0) / self.step).round() * self.step
        gap = (count - mean).unsqueeze(-1) - self.offset
        half = 0.5 * self.step / self.scale()
        mass = _log_mass(gap / self.scale(), half) + self.logits.log_softmax(-1)
        return ((mass.logsumexp(-1) - math.log(self.step)) * seen).sum(-1)

    def _terms(self, x: Tensor, mean: Tensor) -> Terms:
        weight = self.logits.softmax(-1)
        return super()._terms(x, mean + (weight * self.offset).sum(-1))

    def constrain(self) -> None:
        """Scales and offsets no more than `discrepancy_max`."""
        self.log_scale.clamp_(math.log(1e-5), math.log(self.most))
        self.offset.clamp_(-self.most, self.most)


def _log_mass(z: Tensor, half: Tensor) -> Tensor:
    """ln[σ(z + h) − σ(z − h)] without a difference, for z of any size.

    ln(1 − e^(−2h)) + h − |z| − ln(1 + e^(h − |z|)) − ln(1 + e^(−h − |z|))
    """
    z = z.abs()
    softplus = nn.functional.softplus
    return torch.log(-torch.expm1(-2 * half)) + half - z - softplus(half - z) - softplus(-half - z)


LIKELIHOODS = {
    "band-noise": BandNoise,
    "fixed": Fixed,
    "sigma": Sigma,
    "heteroscedastic": Heteroscedastic,
    "banded-cholesky": BandedCholesky,
    "logistic-mixture": LogisticMixture,
}
