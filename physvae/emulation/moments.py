"""Mean and covariance of spectra, and what follows from them without a network.

    C           covariance [row, row] of all that is drawn: spectra of every factor
    Λ, V        its eigenvalues and vectors over the wavelengths of one factor
    W, M        = V(Λ - s²)^½, WᵀW + s²: the decoder of the linear auto-encoder and its precision

The optimum of a VAE with a linear decoder is probabilistic PCA (Tipping & Bishop 1999,
10.1111/1467-9868.00196; Lucas et al. 2019, arXiv 1911.02469): x ~ N(Wz + m, s²), latent mean
μ(x) = M⁻¹Wᵀ(x - m), posterior covariance s²M⁻¹.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SWEEPS = 4  # of exchanges among the nodes
_RIDGE = 1e-13  # of the greatest variance, keeps rows apart that hardly differ


class Moments(NamedTuple):
    """Mean [row] and covariance [row, row], float64, of n draws."""

    mean: Tensor
    covariance: Tensor
    n: int


class Linear(NamedTuple):
    """The linear auto-encoder of spectra: decoder, encoder, mean and noise, float64.

    Attributes
    ----------
    decoder : Tensor [wavelength, latent]
    encoder : Tensor [latent, wavelength]
    variance : Tensor [latent]
        Of the posterior.
    noise : float
        s, of a reflectance.
    """

    decoder: Tensor
    encoder: Tensor
    variance: Tensor
    noise: float


def moments(parts: Iterable[Tensor]) -> Moments:
    """Moments of rows that come in parts [n, row], of any float dtype."""
    n, total, square, shift = 0, None, None, None
    for part in parts:
        rows = part.double()
        shift = rows.mean(0) if shift is None else shift
        rows = rows - shift
        n += len(rows)
        total = rows.sum(0) if total is None else total + rows.sum(0)
        square = rows.T @ rows if square is None else square + rows.T @ rows
    if total is None or square is None or shift is None or n < 2:
        raise ValueError(f"moments: expected at least two draws, got {n}")
    mean = total / n
    return Moments(mean + shift, square / n - torch.outer(mean, mean), n)


def mixed(each: Sequence[tuple[float, Moments]]) -> Moments:
    """Moments of several kinds of draws together, each with its weight."""
    total = sum(weight for weight, _ in each)
    mean = torch.stack([weight / total * own.mean for weight, own in each]).sum(0)
    covariance = torch.zeros_like(each[0][1].covariance)
    for weight, own in each:
        apart = own.mean - mean
        covariance += weight / total * (own.covariance + torch.outer(apart, apart))
    return Moments(mean, covariance, sum(own.n for _, own in each))


def linear_vae(covariance: Tensor, latents: int, sd: float = 0.0) -> Linear:
    """The linear auto-encoder of a covariance [wavelength, wavelength].

    Parameters
    ----------
    covariance : Tensor
        float64.
    latents : int
        At most the number of wavelengths.
    sd : float
        Noise s; where it is 0, the root of the mean variance that the latents leave out.
    """
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp(min=0.0), vectors.flip(1)
    rest = values[latents:].mean() if latents < len(values) else values[-1]
    noise2 = torch.as_tensor(sd**2, dtype=values.dtype) if sd > 0.0 else rest
    noise2 = noise2.clamp(min=1e-14)
    kept = values[:latents]
    gain = (kept - noise2).clamp(min=1e-3 * noise2.item()).sqrt()
    decoder = vectors[:, :latents] * gain
    precision = gain**2 + noise2
    encoder = decoder.T / precision.unsqueeze(-1)
    return Linear(decoder, encoder, noise2 / precision, float(noise2.sqrt()))


def choose_nodes(covariance: Tensor, count: int, first: list[int]) -> list[int]:
    """Rows that tell most about all others: `first`, then the best ones one by one.

    A row's worth is the variance of all rows that a linear function of it explains beyond those
    already chosen (pivoted Cholesky with the greatest drop of the trace). Then each but `first`
    is exchanged for the best in its place, until no exchange explains more.
    """
    scale = float(covariance.diagonal().max())
    chosen = list(first)
    rest = _unexplained(covariance, chosen, scale)
    while len(chosen) < count:
        best = _best(rest, chosen, scale)
        chosen.append(best)
        column = rest[:, best].clone()
        if column[best] > 1e-13 * scale:
            rest = rest - torch.outer(column, column) / column[best]
    return _exchanged(covariance, chosen, len(first), scale)


def _exchanged(covariance: Tensor, chosen: list[int], kept: int, scale: float) -> list[int]:
    """The rows after exchanges one by one; the first ones are kept."""
    least = float(_unexplained(covariance, chosen, scale).trace())
    for _ in range(_SWEEPS):
        before = least
        for old in chosen[kept:]:
            others = [row for row in chosen if row != old]
            new = [*others, _best(_unexplained(covariance, others, scale), others, scale)]
            trace = float(_unexplained(covariance, new, scale).trace())
            if trace < least * (1.0 - 1e-6):
                chosen, least = new, trace
        if least >= before:
            break
    return chosen


def _best(rest: Tensor, chosen: list[int], scale: float) -> int:
    """The row that explains most of an unexplained covariance."""
    worth = rest.square().sum(0) / rest.diagonal().clamp(min=1e-12 * scale)
    worth[chosen] = -1.0
    return int(worth.argmax())


def _unexplained(covariance: Tensor, chosen: list[int], scale: float) -> Tensor:
    """The covariance that a linear function of some rows leaves."""
    if not chosen:
        return covariance.clone()
    eye = torch.eye(len(chosen), dtype=covariance.dtype)
    root = torch.linalg.cholesky(covariance[chosen][:, chosen] + _RIDGE * scale * eye)
    explained = torch.linalg.solve_triangular(root, covariance[chosen], upper=False)
    return covariance - explained.T @ explained


def regression(cross: Tensor, inner: Tensor, ridge: float = _RIDGE) -> Tensor:
    """Coefficients of targets on nodes [target, node].

    `cross` is the covariance [target, node], `inner` that of the nodes; `ridge` times the greatest
    variance keeps nodes apart that hardly differ.
    """
    eye = torch.eye(len(inner), dtype=inner.dtype)
    return torch.linalg.solve(inner + ridge * inner.diagonal().max() * eye, cross.T).T
