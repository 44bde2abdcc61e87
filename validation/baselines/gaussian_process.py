r"""An exact Gaussian process on reflectance, as a yardstick: what plots alone teach.

    y = m + f(x) + ε,   f ~ GP(0, σ² exp(−½ Σ_j (x_j − x'_j)² / ℓ_j²)),   ε ~ N(0, τ² + s²)

x are the standardised log reflectances of the bands and the cosine of the sun zenith, s the
measurement's own standard deviation, m the mean of the plots. σ, τ and ℓ by the largest marginal
likelihood (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, section 5.4).
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

STEPS, RATE = 60, 0.1
MANY = 250
"""Rows of which the scales are found; all rows predict."""
JITTER = 1e-4
"""Share of the signal's variance that is added to the diagonal, so that the matrix has a root."""


class Normal(NamedTuple):
    """Mean and standard deviation [n] of new measurements."""

    mean: np.ndarray
    sd: np.ndarray


def predicted(
    x: np.ndarray, y: np.ndarray, new: np.ndarray, spread: np.ndarray | None = None
) -> Normal:
    """Predictive distribution of measurements at new inputs.

    Parameters
    ----------
    x, new : array [n, input], [k, input]
    y : array [n]
    spread : array [n], optional
        Standard deviation of the measurements, NaN where unknown.
    """
    centre, scale = x.mean(0), x.std(0) + 1e-12
    known, asked = (torch.tensor((part - centre) / scale) for part in (x, new))
    level, unit = float(y.mean()), float(y.std()) or 1.0
    target = torch.tensor((y - level) / unit)
    own = torch.zeros_like(target)
    if spread is not None:
        own = torch.tensor(np.nan_to_num(spread) / unit)
    some = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))[:MANY]
    signal, noise, length = _fitted(known[some], target[some], own[some])
    matrix = _covariance(known, known, signal, length) + _diagonal(own, noise, signal)
    root = torch.linalg.cholesky(matrix)
    weight = torch.cholesky_solve(target.unsqueeze(-1), root)
    across = _covariance(asked, known, signal, length)
    mean = (across @ weight).squeeze(-1)
    explained = torch.linalg.solve_triangular(root, across.T, upper=False).square().sum(0)
    sd = (signal - explained).clamp_min(0.0).add(noise).sqrt()
    return Normal(level + unit * mean.numpy(), unit * sd.numpy())


def _fitted(x: Tensor, y: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """σ², τ² and ℓ of the largest marginal likelihood, from unit scales."""
    logs = torch.zeros(2 + x.shape[-1], dtype=x.dtype)
    logs[1], logs[2:] = -1.5, 1.0
    logs.requires_grad_()
    adam = torch.optim.Adam([logs], lr=RATE)
    for _ in range(STEPS):
        signal, noise, length = logs[0].exp(), logs[1].exp(), logs[2:].exp()
        matrix = _covariance(x, x, signal, length) + _diagonal(own, noise, signal)
        root = torch.linalg.cholesky(matrix)
        white = torch.linalg.solve_triangular(root, y.unsqueeze(-1), upper=False)
        loss = 0.5 * white.square().sum() + root.diagonal().log().sum()
        loss = loss + 0.05 * logs[2:].sub(1.0).square().sum()  # keeps lengths that nothing tells
        adam.zero_grad()
        loss.backward()
        adam.step()
    kept = logs.detach()
    return kept[0].exp(), kept[1].exp(), kept[2:].exp()


def _covariance(a: Tensor, b: Tensor, signal: Tensor, length: Tensor) -> Tensor:
    left, right = a / length, b / length
    square = left.square().sum(-1, keepdim=True) + right.square().sum(-1) - 2 * left @ right.T
    return signal * torch.exp(-0.5 * square.clamp_min(0.0))


def _diagonal(own: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    return torch.diag(own.square() + noise + JITTER * signal)
