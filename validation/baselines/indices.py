r"""Regressions on a vegetation index: what a practised eye with a pencil would do.

    y = a + b v + c v²,     v an index of the bands, at least 0

by least squares. Every site is estimated from the rows of the other sites alone (with one site,
every fifth part of the plots from the others), so that the regression is judged as it would be
used: on a place it has not seen. It has seen the other sites' measurements, which a network
trained on simulations has not. Its 95 % interval is that of the residuals it was fitted with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.naming import band_id
from physvae.errors import InputError, UsageError
from validation.baselines.base import Prediction

PARTS = 5


class Index(NamedTuple):
    """A vegetation index: the bands it needs and its formula in their order."""

    bands: tuple[str, ...]
    formula: Callable[..., np.ndarray]


INDICES = {
    "ndvi": Index(("B4", "B8A"), lambda red, nir: (nir - red) / (nir + red)),
    "evi2": Index(("B4", "B8A"), lambda red, nir: 2.5 * (nir - red) / (nir + 2.4 * red + 1)),
    "ndre": Index(("B5", "B8A"), lambda edge, nir: (nir - edge) / (nir + edge)),
    "cire": Index(("B5", "B7"), lambda first, third: third / first - 1),
    "ireci": Index(
        ("B4", "B5", "B6", "B7"), lambda red, first, second, third: (third - red) * second / first
    ),
    "nirv": Index(("B4", "B8A"), lambda red, nir: (nir - red) / (nir + red) * nir),
}
"""NDVI (Rouse et al. 1974), EVI2 (Jiang et al. 2008, doi:10.1016/j.rse.2008.06.006), NDRE (Barnes
et al. 2000), red-edge chlorophyll index (Gitelson et al. 2003, doi:10.1078/0176-1617-00887), IRECI
(Frampton et al. 2013, doi:10.1016/j.isprsjprs.2013.04.007), NIRv (Badgley et al. 2017,
doi:10.1126/sciadv.1602244); near infrared is B8A, which every product has."""


def index(name: str, r: dict[str, np.ndarray]) -> np.ndarray:
    """A vegetation index [n] of reflectances [n] by band, NaN where it is not defined.

    >>> round(float(index("ndvi", {"B4": np.array(0.05), "B8A": np.array(0.45)})), 3)
    0.8
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = INDICES[name].formula(*(r[band] for band in INDICES[name].bands))
    return np.where(np.isfinite(value), value, np.nan)


@dataclass(frozen=True)
class IndexRegression:
    """A quadratic in one index, fitted on the other sites."""

    index_name: str
    trait: str

    @classmethod
    def named(cls, name: str, trait: str) -> "IndexRegression":
        """The regression on an index.

        Raises
        ------
        UsageError
            If there is no such index.
        """
        if name not in INDICES:
            wanted = ", ".join(f"index:{known}" for known in INDICES)
            raise UsageError(f"--baseline: expected one of {wanted}, got {name!r}")
        return cls(name, trait)

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return f"{self.index_name} regression"

    def predict(self, frame: pd.DataFrame, rows: pd.DataFrame) -> Prediction:
        """Estimates and intervals of every row from the rows of the other sites.

        Raises
        ------
        InputError
            If a band is missing.
        """
        value = index(self.index_name, self._bands(frame))
        measured = rows["measured"].to_numpy(float)
        part = parts(rows["site"].to_numpy())
        found = np.full((3, len(frame)), np.nan)
        for own in (part == p for p in np.unique(part)):
            learn = ~own & np.isfinite(value) & np.isfinite(measured)
            if learn.sum() >= 10:
                line = np.polynomial.Polynomial.fit(value[learn], measured[learn], 2)
                left = np.quantile(measured[learn] - line(value[learn]), (0.025, 0.975))
                mean = line(value[own])
                found[:, own] = mean, mean + left[0], mean + left[1]
        return Prediction(*np.maximum(found, 0.0))

    def _bands(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        known = {band_id(str(c)): c for c in frame.columns}
        needed = INDICES[self.index_name].bands
        missing = [band for band in needed if band not in known]
        if missing:
            raise InputError(f"field table: {self.name} needs the bands {', '.join(missing)}")
        return {band: frame[known[band]].to_numpy(float) for band in needed}


def parts(site: np.ndarray) -> np.ndarray:
    """Labels [n] of the parts that are left out together: sites, or fifths of a single site."""
    if len(set(site)) > 1:
        return site
    return np.random.default_rng(0).permutation(len(site)) % PARTS
