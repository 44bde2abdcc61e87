"""The figures a model is shipped with, each from the model alone or from given spectra."""

import torch
from torch import Tensor

from physvae.config import Angles, Missing
from physvae.products import LEARNED, traits_of
from physvae.simulation import hide, simulate
from physvae.soils import SoilMixtures
from physvae.vae import NORMAL, PhysVAE

BLOCK = 500  # observations at a time


@torch.no_grad()
def interval_coverage(
    model: PhysVAE, *, ranges: Angles, missing: Missing, n: int, seed: int, level: float = 0.9,
    soils: SoilMixtures | None = None,
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

    Returns
    -------
    dict[str, float]
        For every trait of the model, products included; fapar and fcover against the exact
        physics.
    """
    generator = torch.Generator().manual_seed(seed)
    names, tail = tuple(model.traits), (1 - level) / 2
    if model.summaries is not None:
        return _summary_coverage(model, ranges, missing, n, generator, tail, soils)
    inside = torch.zeros(len(names), dtype=torch.float64)
    for _ in range(n // BLOCK):
        drawn = simulate(model, max(1, BLOCK // model.pixels), ranges, generator, soils)
        seen = hide(drawn.reflectance, drawn.angles, model.bands, missing, generator, model.layout)
        truth = true_traits(model, drawn.scores, drawn.angles, names)
        posterior = model.posterior(*seen, drawn.days)
        draws = model.draw_traits(posterior, drawn.angles[..., 0], names)
        for i, name in enumerate(names):
            low, high = (model.quantile(posterior, draws, name, p) for p in (tail, 1 - tail))
            inside[i] += ((truth[name] >= low) & (truth[name] <= high)).double().mean()
    return dict(zip(names, (inside / (n // BLOCK)).tolist(), strict=True))


def _summary_coverage(
    model: PhysVAE, ranges: Angles, missing: Missing, n: int, generator: torch.Generator,
    tail: float, soils: SoilMixtures | None,
) -> dict[str, float]:  # fmt: skip
    """The same where a network says the marginals."""
    drawn = simulate(model, n, ranges, generator, soils)
    seen = hide(drawn.reflectance, drawn.angles, model.bands, missing, generator)
    truth = true_traits(model, drawn.scores, drawn.angles, tuple(model.traits))
    found, edge = model.marginals(*seen), NORMAL.inv_cdf(1 - tail)
    inside = (
        (truth[name] >= low) & (truth[name] <= high)
        for name, low, high in zip(
            model.traits, found.quantile(-edge).unbind(-1), found.quantile(edge).unbind(-1),
            strict=True,
        )
    )  # fmt: skip
    return dict(zip(model.traits, (float(x.double().mean()) for x in inside), strict=True))


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
    whole = reflectance.isfinite().all(-1)
    truth = reflectance[whole]
    variance = truth.var(0)
    return {
        name: float(((part[whole] - truth).square() / variance).mean())
        for name, part in decoded._asdict().items()
    }


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
