r"""A look-up table: the classical inversion, as a yardstick.

Spectra are simulated from the prior and the physics of the shipped model, without its residual and
its encoder. The estimate is the mean over the k entries nearest to the spectrum,

    D = mean over the seen bands of ((x − x_i)/(0.005 + 0.05 x))² + ((θs − θs_i)/10°)²,

and its 95 % interval that of these entries (ensemble inversion; Weiss et al. 2000,
doi:10.1051/agro:2000105).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from validation.baselines import Prediction, network_inputs

ENTRIES, NEAREST, SEED = 50_000, 100, 7
BLOCK = 32
"""Rows compared with the whole table at once."""


@dataclass(frozen=True)
class LookUp:
    """Simulated spectra [entry, band], their sun zeniths [entry] and the trait [entry]."""

    trait: str
    bands: tuple[str, ...]
    spectra: np.ndarray
    sun_zenith: np.ndarray
    values: np.ndarray
    nearest: int = NEAREST

    @classmethod
    def simulated(cls, trait: str, model: str = "sentinel-2", entries: int = ENTRIES) -> "LookUp":
        """A table from the prior and the physics of a model."""
        import torch

        import physvae
        from physvae.config import parse_config
        from physvae.evaluation import true_traits
        from physvae.simulation import simulate

        loaded = physvae.load(model)
        ranges = parse_config(loaded.config["training"], model).angles
        drawn = simulate(loaded, entries, ranges, torch.Generator().manual_seed(SEED))
        with torch.no_grad():
            truth = true_traits(loaded, drawn.scores, drawn.angles, (trait,))[trait]
        spectra, sun = drawn.physical.numpy(), drawn.angles[:, 0].numpy()
        return cls(trait, tuple(loaded.bands), spectra, sun, truth.numpy())

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return "look-up table"

    def predict(self, frame: pd.DataFrame, rows: pd.DataFrame) -> Prediction:
        """Estimates and intervals of every row; nothing is learned from the measurements."""
        seen = np.stack([_band(frame, band) for band in self.bands], axis=-1)
        sun = network_inputs(frame, ("cos_sun_zenith",))[:, 0]
        zenith = np.degrees(np.arccos(np.clip(sun, -1, 1)))
        found = np.full((3, len(frame)), np.nan)
        for start in range(0, len(frame), BLOCK):
            block = slice(start, start + BLOCK)
            found[:, block] = self._estimate(seen[block], zenith[block])
        return Prediction(*found)

    def _estimate(self, x: np.ndarray, zenith: np.ndarray) -> np.ndarray:
        """Mean, 2.5 % and 97.5 % quantile [3, row] of the nearest entries."""
        noise = 0.005 + 0.05 * np.abs(x)
        apart = ((x[:, None] - self.spectra) / noise[:, None]) ** 2
        seen = np.isfinite(apart)
        count = np.maximum(seen.sum(axis=-1), 1)
        distance = np.where(seen, apart, 0.0).sum(axis=-1) / count
        angle = np.nan_to_num((zenith[:, None] - self.sun_zenith) / 10.0)
        nearest = np.argpartition(distance + angle**2, self.nearest, axis=1)[:, : self.nearest]
        chosen = self.values[nearest]
        ends = np.quantile(chosen, (0.025, 0.975), axis=1)
        found = np.stack([chosen.mean(axis=1), *ends])
        return np.where(np.isfinite(x).any(axis=1), found, np.nan)


def _band(frame: pd.DataFrame, band: str) -> np.ndarray:
    """A band's column, NaN where the table has none."""
    return frame[band].to_numpy(float) if band in frame else np.full(len(frame), np.nan)
