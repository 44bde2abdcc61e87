r"""How sure the scores are: percentile bootstrap over clusters of rows, and paired differences.

Rows of one site err together, so whole clusters are drawn with replacement (sites in the pooled
rows, plots inside a site). All scores here are functions of sums over rows, so a draw needs only
each cluster's sums (Davison & Hinkley 1997, doi:10.1017/CBO9780511802843, section 2.4).

The interval is None below `MIN_CLUSTERS` clusters, and too narrow when they are few: with five
sites, read it as a hint.

A difference between two methods is taken draw by draw on the same rows: what both get wrong at a
site cancels. Its p value is twice the smaller share of draws on either side of 0, one draw counted
extra on each side, and never below 2^(1−K), the least that a sign test of K clusters can give.

Above `MANY` clusters K the sums of a draw are normal: Σ_k s_k their mean, Σ_k (s_k − s̄)(s_k − s̄)ᵀ
their covariance, as multinomial draws have it. So memory does not grow with K times the draws.
"""

import functools
from collections.abc import Mapping

import numpy as np

MIN_CLUSTERS = 4
MANY = 1000
DRAWS = 2000
Interval = list[float] | None


def bootstrap(
    measured: np.ndarray,
    estimate: np.ndarray,
    *,
    clusters: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % confidence intervals of rmse and bias by resampling whole clusters.

    Parameters
    ----------
    measured, estimate : array [n]
        NaN is missing.
    clusters : array [n]
        A label a row; rows of one label are drawn together.
    """
    names = ("rmse_ci95", "bias_ci95")
    d = np.asarray(estimate, float) - np.asarray(measured, float)
    means = cluster_means({"d2": d**2, "d": d}, clusters=clusters, draws=draws, seed=seed)
    if means is None:
        return dict.fromkeys(names)
    return dict(zip(names, map(central, (np.sqrt(means["d2"]), means["d"])), strict=True))


def mean_intervals(
    columns: Mapping[str, np.ndarray], *, clusters: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """95 % confidence interval of the mean of every column [n], NaN left out, by its name."""
    found = {}
    for name, values in columns.items():
        means = cluster_means({name: values}, clusters=clusters, draws=draws, seed=seed)
        found[name] = None if means is None else central(means[name])
    return found


def difference(
    measured: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    clusters: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float | int | Interval]:
    """How much larger our errors are than theirs on the rows where both have an estimate.

    Returns
    -------
    dict
        `n` and `clusters`; `rmse` and `mae`, the differences ours − theirs (below 0: ours is
        better), with `_ci95` and `_p`, which are None below `MIN_CLUSTERS` clusters.
    """
    a, b = (np.asarray(e, float) - np.asarray(measured, float) for e in (ours, theirs))
    rows = np.isfinite(a) & np.isfinite(b)
    names = ("rmse", "rmse_ci95", "rmse_p", "mae", "mae_ci95", "mae_p")
    labels = np.asarray(clusters)[rows].astype(str)
    found = {"n": int(rows.sum()), "clusters": len(set(labels)), **dict.fromkeys(names)}
    if not rows.any():
        return found
    a, b = a[rows], b[rows]
    found["rmse"] = float(np.sqrt(np.mean(a**2)) - np.sqrt(np.mean(b**2)))
    found["mae"] = float(np.mean(np.abs(a)) - np.mean(np.abs(b)))
    columns = {"a2": a**2, "b2": b**2, "mae": np.abs(a) - np.abs(b)}
    means = cluster_means(columns, clusters=labels, draws=draws, seed=seed)
    if means is None:
        return found
    rmse = np.sqrt(means["a2"]) - np.sqrt(means["b2"])
    for name, drawn in (("rmse", rmse), ("mae", means["mae"])):
        found |= {f"{name}_ci95": central(drawn), f"{name}_p": two_sided(drawn, len(set(labels)))}
    return found


def cluster_means(
    columns: Mapping[str, np.ndarray], *, clusters: np.ndarray, draws: int, seed: int
) -> dict[str, np.ndarray] | None:
    """Means [draw] of every column [n] over resampled clusters; None with too few clusters.

    A row counts where every column is a number.
    """
    table = np.stack([np.asarray(values, float) for values in columns.values()])
    rows = np.isfinite(table).all(axis=0)
    labels, label = np.unique(np.asarray(clusters)[rows].astype(str), return_inverse=True)
    size = len(labels)
    if size < MIN_CLUSTERS:
        return None
    sums = np.stack([np.bincount(label), *(np.bincount(label, v) for v in table[:, rows])])
    count, *totals = _drawn(sums, draws, seed)
    return dict(zip(columns, (total / count for total in totals), strict=True))


def _drawn(sums: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Sums [column, draw] over as many clusters as there are, out of those of each cluster."""
    size = sums.shape[1]
    if size <= MANY:
        return sums @ _counts(size, draws, seed)
    random = np.random.default_rng(seed)
    apart = sums - sums.mean(axis=1, keepdims=True)
    variance, axes = np.linalg.eigh(apart @ apart.T)
    spread = axes * np.sqrt(np.maximum(variance, 0.0))
    return sums.sum(axis=1, keepdims=True) + spread @ random.standard_normal((len(sums), draws))


@functools.lru_cache(maxsize=2)
def _counts(size: int, draws: int, seed: int) -> np.ndarray:
    """How often each cluster is drawn [cluster, draw]; every score of the same rows asks anew."""
    chance = np.random.default_rng(seed)
    return chance.multinomial(size, np.full(size, 1 / size), size=draws).T.astype(float)


def central(drawn: np.ndarray) -> list[float]:
    """The central 95 % of the draws."""
    return [float(q) for q in np.quantile(drawn, (0.025, 0.975))]


def two_sided(drawn: np.ndarray, clusters: int) -> float:
    """Twice the smaller share of draws on either side of 0, in [2^(1−K), 1] with K clusters."""
    below, above = np.sum(drawn <= 0) + 1, np.sum(drawn >= 0) + 1
    return float(min(1.0, max(2 * min(below, above) / (len(drawn) + 1), 2.0 ** (1 - clusters))))
