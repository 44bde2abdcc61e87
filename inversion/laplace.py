"""A Gaussian over the scores of one pixel from the curvature of its posterior at a point.

For scores u ~ N(0, I) a priori, decoded bands μ(u) and x ~ N(μ, Σ)

    −ln p(u | x) = ½ ‖u‖² + ½ (x − μ)ᵀ Σ⁻¹ (x − μ) + ½ ln|Σ| + const
    H = I + Jᵀ Σ⁻¹ J,   J = ∂μ/∂u,   q(u) = N(û, H⁻¹)

the Gauss-Newton part of the Hessian: positive definite wherever it is taken (Laplace's
approximation; MacKay 2003, Information Theory, Inference, and Learning Algorithms, chapter 27).
Bands that are missing have no rows in J.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from physvae.posterior import Posterior
from physvae.scaling import filled
from physvae.scores import ScoreMixture


class Local(NamedTuple):
    """What is known of the posterior around scores [n, parameter].

    Attributes
    ----------
    gradient : Tensor [n, parameter]
        Of −ln p(u | x).
    precision : Tensor [n, parameter, parameter]
        H.
    """

    gradient: Tensor
    precision: Tensor

    @property
    def step(self) -> Float[Tensor, " n"]:
        """Distance to where the gradient vanishes, in posterior standard deviations."""
        root = torch.linalg.cholesky(self.precision)
        gap = torch.linalg.solve_triangular(root, self.gradient.unsqueeze(-1), upper=False)
        return gap.squeeze(-1).norm(dim=-1)


def negative_log(
    model: Any, scores: Tensor, reflectance: Tensor, angles: Tensor
) -> Float[Tensor, " n"]:
    """−ln p(u | x) but for a constant."""
    mean = model.physical(model.prior(scores), angles)
    return 0.5 * scores.square().sum(-1) - model.likelihood.log_prob(reflectance, mean)


def around(model: Any, scores: Tensor, reflectance: Tensor, angles: Tensor) -> Local:
    """Return gradient and curvature at given scores."""
    with torch.enable_grad():
        at = scores.detach().requires_grad_()
        loss = negative_log(model, at, reflectance, angles)
        (gradient,) = torch.autograd.grad(loss.sum(), at)
    slopes = whitened(model, scores, reflectance, angles)[1]
    size = scores.shape[-1]
    eye = torch.eye(size, dtype=scores.dtype, device=scores.device)
    return Local(gradient, eye + slopes.mT @ slopes)


def whitened(
    model: Any, scores: Tensor, reflectance: Tensor, angles: Tensor
) -> tuple[Float[Tensor, "n band"], Float[Tensor, "n band parameter"]]:
    """Residuals W(μ − x) and their slopes WJ, WᵀW = Σ⁻¹ of the bands seen; 0 where one is missing.

    Where the decoder is linear in fewer nodes than it has bands, these are differentiated.
    """
    few = getattr(model.physical, "few", False)
    with torch.enable_grad():
        at = scores.detach().requires_grad_()
        decode = model.physical.nodes if few else model.physical
        mean = decode(model.prior(at), angles)
        rows = [
            torch.autograd.grad(mean[:, band].sum(), at, retain_graph=True)[0]
            for band in range(mean.shape[-1])
        ]
    mean, slopes = mean.detach(), torch.stack(rows, -2)
    if few:
        mean, slopes = model.physical.spread(mean), model.physical.weight.to(slopes) @ slopes
    seen = reflectance.isfinite()
    gap = torch.where(seen, mean - torch.nan_to_num(reflectance), 0.0)
    both = torch.cat((gap.unsqueeze(-1), slopes * seen.unsqueeze(-1)), -1)
    solved = _whiten(model.likelihood, mean, seen, both)
    return solved[..., 0], solved[..., 1:]


def gaussian(model: Any, scores: Tensor, precision: Tensor) -> Posterior:
    """Return the posterior N(û, H⁻¹) as the model's own are."""
    covariance = torch.linalg.inv(precision)
    root = torch.linalg.cholesky(0.5 * (covariance + covariance.mT))
    logits = scores.new_zeros((*scores.shape[:-1], 1))
    return Posterior(ScoreMixture(logits, scores.unsqueeze(-2), root.unsqueeze(-3)), model.prior)


def inputs(model: Any, reflectance: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the numbers that the decoder works in, unknown angles filled in."""
    kind = next(model.parameters())
    return reflectance.to(kind), filled(angles.to(kind))


def _whiten(
    likelihood: Any, mean: Tensor, seen: Tensor, rows: Float[Tensor, "n band column"]
) -> Float[Tensor, "n band column"]:
    """W times rows, for Σ = D + v vᵀ of the bands seen, without a matrix of bands by bands.

    With w = D^-½ v and s = wᵀw:  W = (I − c·w wᵀ) D^-½,  c = (1 − 1/√(1 + s))/s.
    """
    sd = likelihood.variance(mean).sqrt()
    w = (getattr(likelihood, "common", 0.0) * mean * seen / sd).unsqueeze(-1)
    root = (1.0 + w.square().sum(-2, keepdim=True)).sqrt()
    scaled = rows / sd.unsqueeze(-1)
    return scaled - w * (w.mT @ scaled) / (root * (1.0 + root))  # c = 1/(√(1 + s)·(1 + √(1 + s)))
