r"""Simulations as a field campaign: the same scores where the truth is known.

Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): draw θ from the prior, x from
the simulator, and take the place of θ in the posterior of x. Over many draws it is uniform on
[0, 1] if, and only if on average, the posterior is that of the simulator.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.geometry import COLUMNS
from validation import probability
from validation.predictive import trait_quantiles

BLOCK = 500
GROUPS = 40
"""Simulations are numbered into so many groups, the clusters of the bootstrap."""


class Ranks(NamedTuple):
    """Simulation-based calibration of one trait: PIT values [n] and coverage by level."""

    pits: np.ndarray
    coverage: dict[float, float]


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


def ranks(model, traits: tuple[str, ...], n: int, *, seed: int) -> dict[str, Ranks]:
    """Simulation-based calibration of some traits.

    Parameters
    ----------
    model
        A loaded model.
    traits : tuple of str
    n, seed : int
        As for `table`.
    """
    drawn, truth = _draw(model, n, seed, traits)
    levels, found = np.array(probability.GRID), {}
    for trait in traits:
        parts = [
            trait_quantiles(
                model,
                drawn.reflectance[start : start + BLOCK],
                drawn.angles[start : start + BLOCK],
                trait,
            )
            for start in range(0, n, BLOCK)
        ]
        quantiles = np.concatenate(parts)
        curve = probability.reliability(truth[trait], quantiles, levels)
        shares = {round(entry["nominal"], 6): entry["observed"] for entry in curve}
        found[trait] = Ranks(probability.pit(truth[trait], quantiles, levels), shares)
    return found


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
