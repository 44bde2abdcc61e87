"""The figures a model is shipped with, each from the model alone or from given spectra."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from physvae.config import Angles, Missing
from physvae.inference import physics_alone
from physvae.io.progress import Done, nothing
from physvae.products import LEARNED, traits_of
from physvae.real_spectra import RealSpectra
from physvae.simulation import hide, simulate
from physvae.soils import SoilMixtures
from physvae.vae import PhysVAE

BLOCK = 500  # observations at a time
MANY = 5000  # the same, where a network says the marginals


class Case(NamedTuple):
    """Simulated pixels with gaps: reflectance [n, band], angles [n, 3], true traits [n, trait]."""

    reflectance: Tensor
    angles: Tensor
    traits: Tensor


@torch.no_grad()
def interval_coverage(
    model: PhysVAE, *, ranges: Angles, missing: Missing, n: int, seed: int, level: float = 0.9,
    soils: SoilMixtures | None = None, done: Done = nothing,
) -> dict[str, float]:  # fmt: skip
    """Share of simulated truths inside the central interval, by trait.

    Parameters
    ----------
    ranges, missing : Angles, Missing
        How simulations are drawn; the inputs have gaps as in training.
    n, seed : int
        Simulations, and the seed that keeps them apart from those of training.
    level : float
        Nominal coverage.
    soils : SoilMixtures, optional
        As in training.
    done : callable
        Told how many more simulations are through.

    Returns
    -------
    dict[str, float]
        For every trait of the model, products included; fapar and fcover against the exact
        physics.
    """
    generator = torch.Generator().manual_seed(seed)
    names, tail = tuple(model.traits), (1 - level) / 2
    if model.summaries is not None:
        given = {"ranges": ranges, "missing": missing, "n": n, "seed": seed, "soils": soils}
        return _summary_coverage(model, tail, known_cases(model, **given), done)
    inside = torch.zeros(len(names), dtype=torch.float64)
    for start in range(0, n, BLOCK):
        block = min(BLOCK, n - start)
        drawn = simulate(model, max(1, block // model.pixels), ranges, generator, soils)
        seen = hide(drawn.reflectance, drawn.angles, model.bands, missing, generator, model.layout)
        truth = true_traits(model, drawn.scores, drawn.angles, names)
        posterior = model.posterior(*seen, drawn.days)
        draws = model.draw_traits(posterior, drawn.angles[..., 0], names)
        for i, name in enumerate(names):
            low, high = (model.quantile(posterior, draws, name, p) for p in (tail, 1 - tail))
            inside[i] += block * ((truth[name] >= low) & (truth[name] <= high)).double().mean()
        done(block)
    return dict(zip(names, (inside / n).tolist(), strict=True))


def _summary_coverage(
    model: PhysVAE, tail: float, cases: Iterator[Case], done: Done
) -> dict[str, float]:
    """The same where a network says the marginals."""
    parts = []
    for case in cases:
        parts.append((probability_ranks(model, case) - 0.5).abs() <= 0.5 - tail)
        done(len(case.traits))
    return dict(zip(model.traits, torch.cat(parts).double().mean(0).tolist(), strict=True))


@torch.no_grad()
def known_cases(
    model: PhysVAE, *, ranges: Angles, missing: Missing, n: int, seed: int,
    soils: SoilMixtures | None = None,
) -> Iterator[Case]:  # fmt: skip
    """n simulated pixels whose traits are known, in blocks; arguments as `interval_coverage`."""
    generator, names = torch.Generator().manual_seed(seed), tuple(model.traits)
    for start in range(0, n, MANY):
        drawn = simulate(model, min(MANY, n - start), ranges, generator, soils)
        seen = hide(drawn.reflectance, drawn.angles, model.bands, missing, generator)
        truth = true_traits(model, drawn.scores, drawn.angles, names)
        yield Case(*seen, torch.stack([truth[name] for name in names], -1))


@torch.no_grad()
def probability_ranks(model: PhysVAE, case: Case) -> Float[Tensor, "n trait"]:
    """Probability that the marginals of a model with summaries give to less than the truth.

    Uniform on 0-1 where a model is calibrated (Talts et al. 2018, arXiv 1804.06788); a central
    interval of probability p holds the truth where this is within p/2 of a half.
    """
    return torch.special.ndtr(model.marginals(case.reflectance, case.angles).score(case.traits))


@torch.no_grad()
def reconstruction_error(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, days: Tensor | None = None
) -> dict[str, float]:
    """Mean squared error of both decodings, each band in units of its own variance.

    Parameters
    ----------
    reflectance : Tensor [n, ..., band]
        Spectra with a gap are left out of the figures.
    angles : Tensor [n, ..., 3]
        Degree, NaN where missing.
    days : Tensor [n, date], optional
        Of series.
    """
    decoded = model.reconstruct(reflectance, angles, days)
    return {
        name: standardised_error(part, reflectance) for name, part in decoded._asdict().items()
    }


@torch.no_grad()
def physics_alone_error(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, days: Tensor | None = None
) -> float:
    """The same of `physvae.inference.physics_alone`; arguments as `reconstruction_error`."""
    real = RealSpectra(reflectance, angles, days)
    blocks = torch.arange(len(reflectance)).split(max(1, BLOCK // model.pixels))
    parts = (real.take(rows) for rows in blocks)
    found = [physics_alone(model, part.reflectance, part.angles, days=part.days) for part in parts]
    return standardised_error(torch.cat(found), reflectance)


def standardised_error(decoded: Tensor, reflectance: Tensor) -> float:
    """Mean squared error [-] of decodings of whole spectra [..., band], in their variances.

    NaN for fewer than two spectra, which have no variance.
    """
    whole = reflectance.isfinite().all(-1)
    truth = reflectance[whole]
    if len(truth) < 2:
        return math.nan
    return float(((decoded[whole] - truth).square() / truth.var(0)).mean())


@torch.no_grad()
def product_error(model: PhysVAE, *, ranges: Angles, n: int, seed: int) -> dict[str, float]:
    """Root mean square error of the fapar and fcover network against the exact physics."""
    count = max(1, n // model.pixels)
    drawn = simulate(model, count, ranges, torch.Generator().manual_seed(seed))
    exact = model.physical.products(drawn.theta, drawn.angles)
    learned = model.products(drawn.scores, drawn.theta[..., 0], drawn.angles[..., 0])
    error = (learned - exact).square().flatten(0, -2).mean(0).sqrt().tolist()
    return dict(zip(LEARNED, error, strict=True))


def true_traits(
    model: PhysVAE, scores: Tensor, angles: Tensor, names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Traits [...] by name of known scores [..., parameter], products from the exact physics."""
    exact = model.physical.products(model.prior(scores), angles)
    truth = traits_of(scores, angles[..., 0], names, model.prior, model.products)
    return truth | dict(zip(LEARNED, exact.unbind(-1), strict=True))
