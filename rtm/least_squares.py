"""Nonlinear least squares within a box, for many small problems at once.

    F(u) = ½ Σ r(u)²,  J = ∂r/∂u          u in [0, 1] per parameter; rows r of data, then of priors
    step   (JᵀJ + λ·diag JᵀJ) δ = -Jᵀr, a parameter that its bound holds taken out
           (Levenberg 1944, Marquardt 1963, 10.1137/0111030), the result clipped to the box
    cov  = A⁻¹ B A⁻ᵀ,  A = WJᵀJ,  B = s²·f·WJᵀJW of the data + that of the priors
    s²   = Σr²/(count - parameters) of the data
    f    = (1 + ρ)/(1 - ρ), ρ the correlation of residuals next to each other: a model's misfit is
           smooth, and a thousand wavelengths are not a thousand measurements

W says which rows decide a parameter, 1 or 0. Where all rows decide all, it is the identity and the
covariance s²·f·(JᵀJ)⁻¹ without priors. Else each parameter is of least squares over rows of its
own, given the others; there is no one sum of squares then, and the cost is what each could still
gain in its own, Σ gradient²/curvature.

Shapes: u [parameter, problem], r [row, problem], J [parameter, row, problem].
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-6  # of the box; a step this small ends the search

Residuals = Callable[[Tensor], tuple[Tensor, Tensor]]


class _Normal(NamedTuple):
    """Normal equations: Jᵀr [problem, parameter], JᵀJ [problem, parameter, parameter], cost."""

    gradient: Tensor
    square: Tensor
    cost: Tensor


def minimise(
    residuals: Residuals, start: Tensor, *, decides: Tensor | None = None, max_steps: int = 100
) -> tuple[Tensor, Tensor]:
    """Where each problem is of least squares, and whether that place was reached.

    Parameters
    ----------
    residuals : callable
        u [parameter, problem] to r [row, problem] and J [parameter, row, problem].
    start : Tensor [parameter, problem]
        Within [0, 1].
    decides : Tensor [parameter, row], optional
        Which rows decide which parameter, bool; else all decide all.
    max_steps : int
        Trials, taken or not.

    Returns
    -------
    tuple of Tensor
        u [parameter, problem]; reached [problem], bool.
    """
    unit, here = start, _normal(residuals, start, decides)
    damping = torch.full_like(here.cost, 1e-3)
    done = torch.zeros_like(here.cost, dtype=torch.bool)
    for _ in range(max_steps):
        new = (unit + _step(here, damping).T).clamp(0.0, 1.0)
        there = _normal(residuals, new, decides)
        better = there.cost <= here.cost
        done = done | ((new - unit).abs().amax(0) <= TOLERANCE)
        unit = torch.where(better, new, unit)
        here = _Normal(
            torch.where(better[:, None], there.gradient, here.gradient),
            torch.where(better[:, None, None], there.square, here.square),
            torch.where(better, there.cost, here.cost),
        )
        damping = torch.where(better, 0.2 * damping, 4.0 * damping).clamp(1e-12, 1e12)
        if done.all():
            break
    return unit, done


def _normal(residuals: Residuals, unit: Tensor, decides: Tensor | None) -> _Normal:
    rows, slopes = residuals(unit)
    slopes = slopes.movedim(-1, 0)
    own = slopes if decides is None else slopes * decides.to(slopes)
    gradient = (own @ rows.T.unsqueeze(-1)).squeeze(-1)
    held = ((unit <= 0.0).T & (gradient > 0.0)) | ((unit >= 1.0).T & (gradient < 0.0))
    free = (~held).to(slopes)
    gradient = gradient * free
    square = (own @ slopes.mT) * free.unsqueeze(-1) * free.unsqueeze(-2)
    if decides is None:
        return _Normal(gradient, square, rows.square().sum(0))
    curvature = square.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300)
    return _Normal(gradient, square, (gradient.square() / curvature).sum(-1))


def _step(normal: _Normal, damping: Tensor) -> Tensor:
    """δ [problem, parameter], by equations scaled to a diagonal of ones."""
    scale = normal.square.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = torch.where(scale > 0.0, scale, 1.0)
    scaled = normal.square / (scale.unsqueeze(-1) * scale.unsqueeze(-2))
    idle = 1.0 - scaled.diagonal(dim1=-2, dim2=-1)  # 1 where the parameter is out
    scaled = scaled + torch.diag_embed(damping.unsqueeze(-1) + idle)
    return -torch.linalg.solve(scaled, normal.gradient / scale) / scale


class Spread(NamedTuple):
    """sd [parameter, problem], infinite where the rows do not tell; rms of the data [problem]."""

    sd: Tensor
    rms: Tensor


def spread(rows: Tensor, slopes: Tensor, *, count: Tensor, priors: int, decides: Tensor) -> Spread:
    """Standard deviations at the place of least squares, the box ignored.

    Parameters
    ----------
    rows, slopes : Tensor [row, problem], [parameter, row, problem]
        As `minimise` takes them. Rows of data stand in the order in which they are alike; a
        missing one is 0, as are its slopes.
    count : Tensor [problem]
        Rows of data that are there.
    priors : int
        How many rows at the end are of priors.
    decides : Tensor [parameter, row]
        Bool.
    """
    data = rows[: len(rows) - priors]
    total = data.square().sum(0)
    alike = (data[1:] * data[:-1]).sum(0) / total.clamp(min=1e-300)
    alike = torch.minimum(alike.clamp(min=0.0), 1.0 - 2.0 / count.clamp(min=3))
    variance = total / (count - len(slopes)).clamp(min=1) * (1.0 + alike) / (1.0 - alike)
    slopes = slopes.movedim(-1, 0)
    own = slopes * decides.to(slopes)
    a, b = own @ slopes.mT, own[..., : len(data)]
    prior = own[..., len(data) :]
    inverse = torch.linalg.inv_ex(a).inverse
    middle = variance[:, None, None] * (b @ b.mT) + prior @ prior.mT
    covariance = inverse @ middle @ inverse.mT
    sd = covariance.diagonal(dim1=-2, dim2=-1).T.sqrt()
    return Spread(torch.where(sd.isfinite(), sd, torch.inf), (total / count.clamp(min=1)).sqrt())
