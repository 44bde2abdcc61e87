r"""Simulations as a field campaign: the same scores where the truth is known.

Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): draw θ from the prior, x from
the simulator, and take the place of θ in the posterior of x. Over many draws it is uniform on
[0, 1] if, and only if on average, the posterior is that of the simulator.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.geometry import COLUMNS
from validation.calibration.predictive import trait_quantiles
from validation.metrics import probabilistic

BLOCK = 2000
GROUPS = 40
"""Simulations are numbered into so many groups, the clusters of the bootstrap."""


class Ranks(NamedTuple):
    """Simulation-based calibration of one trait.

    Attributes
    ----------
    pits : array [n]
        Place of the truth in its posterior.
    coverage : dict
        Share of truths inside central intervals, by level.
    p : float or None
        Of Pearson's test that `pits` are uniform, in twenty bins.
    crps : float
        Continuous ranked probability score, in the trait's unit.
    prior_crps : float
        The same of the prior itself, for every row: what one scores without having looked.
    """

    pits: np.ndarray
    coverage: dict[float, float]
    p: float | None
    crps: float
    prior_crps: float


def table(model, n: int, *, seed: int, trait: str = "lai") -> pd.DataFrame:
    """Simulated observations as a field table: bands, angles, the true trait, a group as site.

    Parameters
    ----------
    model
        A loaded model: its prior, physics, residual and noise.
    n : int
        Rows.
    seed : int
        Not one of training's.
    trait : str
        The column of the truth.
    """
    drawn, truth = _draw(model, n, seed, (trait,))
    bands = pd.DataFrame(drawn.reflectance.numpy().astype(float), columns=list(model.bands))
    angles = drawn.angles.numpy().astype(float)
    for place, angle in enumerate(model.angles):
        bands[COLUMNS[angle]] = angles[:, place]
    number = np.arange(n)
    names = {"site": [f"group {i % GROUPS:02d}" for i in number], "plot": number.astype(str)}
    return bands.assign(**names, **{trait: truth[trait]})


def ranks(
    model, traits: tuple[str, ...], n: int, *, seed: int, gaps: bool = False
) -> dict[str, Ranks]:
    """Simulation-based calibration of some traits.

    Parameters
    ----------
    model
        A loaded model.
    traits : tuple of str
    n, seed : int
        As for `table`.
    gaps : bool
        Whether bands and angles are missing at random as in training.
    """
    drawn, truth = _draw(model, n, seed, traits)
    seen = _with_gaps(model, drawn, seed) if gaps else (drawn.reflectance, drawn.angles)
    blocks = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    found = {}
    for trait in traits:
        parts = [trait_quantiles(model, seen[0][b], seen[1][b], trait) for b in blocks]
        quantiles = np.concatenate(parts)
        found[trait] = _ranked(truth[trait], quantiles)
    return found


def _ranked(truth: np.ndarray, quantiles: np.ndarray) -> Ranks:
    """Scores of quantiles [n, level] at the levels of `probability.GRID`."""
    levels = np.array(probabilistic.GRID)
    curve = probabilistic.reliability(truth, quantiles, levels)
    shares = {round(entry["nominal"], 6): entry["observed"] for entry in curve}
    pits = probabilistic.pit(truth, quantiles, levels)
    prior = np.broadcast_to(np.quantile(truth, levels), quantiles.shape)
    scores = [float(probabilistic.crps(truth, q, levels).mean()) for q in (quantiles, prior)]
    return Ranks(pits, shares, probabilistic.chi_square(pits), *scores)


def _with_gaps(model, drawn, seed: int):
    """Reflectance and angles of simulations with inputs missing as in training."""
    import torch

    from physvae.config import parse_config
    from physvae.simulation import hide

    rates = parse_config(model.config["training"], model.name).missing
    generator = torch.Generator().manual_seed(seed + 1)
    return hide(drawn.reflectance, drawn.angles, model.bands, rates, generator, model.layout)


def _draw(model, n: int, seed: int, traits: tuple[str, ...]):
    """Simulations and their true traits as arrays."""
    import torch

    from physvae.config import parse_config
    from physvae.evaluation import true_traits
    from physvae.simulation import simulate

    ranges = parse_config(model.config["training"], model.name).angles
    drawn = simulate(model, n, ranges, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        truth = true_traits(model, drawn.scores, drawn.angles, traits)
    return drawn, {name: truth[name].numpy().astype(float) for name in traits}
