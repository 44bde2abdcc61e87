r"""Conformal adjustment: intervals stretched until they hold on measured plots.

The score of a row is the factor by which its interval [l, u] would have to be stretched around the
posterior mean c to reach the measurement m,

    sᵢ = (m − c)/(u − c) if m ≥ c,   (c − m)/(c − l) if m < c,

the locally scaled score of conformalised quantile regression (Romano, Patterson & Candès 2019,
arXiv 1905.03222). The factor of a level L is a high quantile of the scores:

- ``split``: the ⌈(n + 1) L⌉-th smallest of n scores. It guarantees coverage L of a new row that is
  exchangeable with these.
- ``site``: the smallest factor with  Σ_k (1/(K+1)) · share of site k with sᵢ ≤ factor  ≥ L, every
  one of the K sites weighing the same and one share reserved for the new site (Lee, Barber &
  Willett 2023, arXiv 2306.06342). It guarantees coverage at a new site, and needs
  K ≥ L/(1 − L) sites: 19 for 95 %. With fewer there is no such factor; then the reserve is left
  out, which promises nothing, and `guarantee` says so.

How well a factor carries over is found by leaving out one site at a time: its rows are judged with
the factor of all other sites.
"""

import math
from typing import NamedTuple

import numpy as np

METHODS = ("split", "site")
SMALLEST = 1e-9
"""A half-width below this share of the scale counts as this, so that the score stays finite."""


class Factor(NamedTuple):
    """A factor and what it promises."""

    factor: float
    guarantee: str


def scores(
    measured: np.ndarray, mean: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """The stretch [n] that every interval needs to reach its measurement; NaN where missing."""
    m, c, low, high = (np.asarray(a, float) for a in (measured, mean, lower, upper))
    half = np.where(m >= c, high - c, c - low)
    return np.abs(m - c) / np.maximum(half, SMALLEST * np.maximum(np.abs(c), 1.0))


def factor(
    score: np.ndarray, *, level: float, sites: np.ndarray | None = None, method: str = "split"
) -> Factor:
    """The factor of a nominal level.

    Parameters
    ----------
    score : array [n]
        Finite (see `scores`), n ≥ 1.
    level : float
        Nominal coverage in (0, 1).
    sites : array [n], optional
        Labels; needed by ``site``.
    method : str
        One of `METHODS`.
    """
    if method == "split" or sites is None:
        return _split(score, level)
    return _by_site(score, np.asarray(sites).astype(str), level)


def _split(score: np.ndarray, level: float) -> Factor:
    """The ⌈(n + 1) L⌉-th smallest score, the largest where that is beyond n."""
    n = len(score)
    rank = math.ceil((n + 1) * level - 1e-9)
    ordered = np.sort(score)
    if rank > n:
        needed = math.ceil(level / (1 - level) - 1e-9)
        return Factor(float(ordered[-1]), f"none: {n} rows, {needed} needed")
    return Factor(float(ordered[rank - 1]), f"{level:.0%} of new rows like these")


def _by_site(score: np.ndarray, sites: np.ndarray, level: float) -> Factor:
    """The level's quantile where every site weighs the same."""
    names, label, count = np.unique(sites, return_inverse=True, return_counts=True)
    k = len(names)
    reserved = k >= level / (1 - level) - 1e-9
    weight = 1 / ((k + 1 if reserved else k) * count[label])
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(weight[order]) >= level - 1e-12
    place = int(np.argmax(reached)) if reached.any() else len(score) - 1
    needed = math.ceil(level / (1 - level) - 1e-9)
    promise = f"{level:.0%} at a new site" if reserved else f"none: {k} sites, {needed} needed"
    return Factor(float(score[order][place]), promise)


def leave_one_site_out(
    score: np.ndarray, sites: np.ndarray, *, level: float, method: str = "split"
) -> dict[str, dict[str, float | int]]:
    """Coverage of every site before, and after the factor found on all other sites.

    Returns
    -------
    dict
        By site: `n`, `factor` (of the others), `before`, `after` (shares of its rows inside).
        Empty with a single site.
    """
    sites = np.asarray(sites).astype(str)
    found = {}
    for site in np.unique(sites) if len(np.unique(sites)) > 1 else ():
        own = sites == site
        other = factor(score[~own], level=level, sites=sites[~own], method=method).factor
        found[str(site)] = {
            "n": int(own.sum()),
            "factor": other,
            "before": float(np.mean(score[own] <= 1)),
            "after": float(np.mean(score[own] <= other)),
        }
    return found
