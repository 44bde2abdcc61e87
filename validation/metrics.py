r"""Agreement of estimates with measurements: array kernels, no labels, no files.

Per row i: m measured, e estimate, [l, u] the central 95 % interval, d = e − m, N rows.

    bias      = Σ d / N
    RMSE      = √(Σ d² / N)
    ubRMSE    = √(RMSE² − bias²)
    r         = Pearson's correlation of m and e
    R²        = 1 − Σ d² / Σ (m − m̄)²          (not r²: a biased estimate loses; may be negative)
    slope, intercept: least squares of e on m,  e ≈ intercept + slope · m
    coverage  = share of rows with l ≤ m ≤ u
    width     = Σ (u − l) / N
    interval score = Σ [(u − l) + (2/α)(l − m)₊ + (2/α)(m − u)₊] / N,  α = 0.05
                 (Winkler's; Gneiting & Raftery 2007, doi:10.1198/016214506000001437)

A statistic that the rows do not define is None: RMSE and bias need one row; ubRMSE, r, R², slope
and intercept two, with more than one measured value (and, for r, more than one estimate).

Uncertainty of coverage: Wilson's 95 % interval (1927, doi:10.1080/01621459.1927.10502953), rows
taken as independent. Uncertainty of RMSE and bias: percentile bootstrap over clusters (sites in
the pooled rows, plots inside a site), because rows of one cluster err together. It is None below
`MIN_CLUSTERS` clusters, and too narrow when they are few: with five sites, read it as a hint.
"""

import numpy as np

LEVEL = 0.95
MIN_CLUSTERS = 4
Scores = dict[str, float | int | list[float] | None]


def agreement(measured: np.ndarray, estimate: np.ndarray) -> Scores:
    """n, rmse, bias, ubrmse, r, r2, slope and intercept over the rows where both are numbers.

    Parameters
    ----------
    measured, estimate : array [n]
        In one unit; NaN is missing.
    """
    both = np.isfinite(measured) & np.isfinite(estimate)
    m, e = np.asarray(measured, float)[both], np.asarray(estimate, float)[both]
    names = ("rmse", "bias", "ubrmse", "r", "r2", "slope", "intercept")
    scores: Scores = {"n": len(m), **dict.fromkeys(names)}
    if len(m) == 0:
        return scores
    d = e - m
    scores |= {"rmse": float(np.sqrt(np.mean(d**2))), "bias": float(np.mean(d))}
    if len(m) < 2:
        return scores
    return scores | {"ubrmse": float(np.std(d))} | _line(m, e)


def _line(m: np.ndarray, e: np.ndarray) -> Scores:
    """r, r2, slope and intercept of at least two rows."""
    dm, de = m - m.mean(), e - e.mean()
    smm, see, sme = float(dm @ dm), float(de @ de), float(dm @ de)
    if smm == 0:
        return {}
    slope = sme / smm
    return {
        "r": float(np.clip(sme / np.sqrt(smm * see), -1, 1)) if see > 0 else None,
        "r2": 1 - float((e - m) @ (e - m)) / smm,
        "slope": slope,
        "intercept": float(e.mean() - slope * m.mean()),
    }


def intervals(measured: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Scores:
    """n_interval, coverage_95, width_95 and interval_score_95 of central 95 % intervals.

    Parameters
    ----------
    measured, lower, upper : array [n]
        In one unit; a row with a NaN in any of them is left out.
    """
    inside = covered(measured, lower, upper)
    rows = np.isfinite(inside)
    names = ("coverage_95", "width_95", "interval_score_95")
    if not rows.any():
        return {"n_interval": 0, **dict.fromkeys(names), "coverage_95_ci95": None}
    m, low, high = (np.asarray(a, float)[rows] for a in (measured, lower, upper))
    miss = np.maximum(low - m, 0) + np.maximum(m - high, 0)
    score = (high - low) + 2 / (1 - LEVEL) * miss
    values = (inside[rows].mean(), (high - low).mean(), score.mean())
    scores = dict(zip(names, map(float, values), strict=True))
    n = int(rows.sum())
    return {"n_interval": n, **scores, "coverage_95_ci95": wilson(scores["coverage_95"], n)}


def wilson(share: float, n: int) -> list[float]:
    """Wilson's 95 % confidence interval of a share p observed in n > 0 independent rows.

    (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n),  z = 1.96
    """
    z = 1.959963984540054
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return [float((centre + sign * half) / (1 + z**2 / n)) for sign in (-1, 1)]


def covered(measured: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """1 where lower ≤ measured ≤ upper, 0 where not, NaN where one of the three is missing."""
    m, low, high = (np.asarray(a, float) for a in (measured, lower, upper))
    inside = ((low <= m) & (m <= high)).astype(float)
    return np.where(np.isfinite(m) & np.isfinite(low) & np.isfinite(high), inside, np.nan)


def within(
    measured: np.ndarray, estimate: np.ndarray, *, relative: float, floor: float
) -> float | None:
    """Share of rows with |e − m| ≤ max(relative · m, floor), or None without rows.

    GCOS-2022 asks for LAI at 95 % of the rows (2σ) 20 % at the least ("threshold") and aims at
    10 % ("goal"); both are 0.1 in absolute terms where 20 % is less (LAI below 0.5).
    """
    m, e = np.asarray(measured, float), np.asarray(estimate, float)
    both = np.isfinite(m) & np.isfinite(e)
    if not both.any():
        return None
    limit = np.maximum(relative * m[both], floor)
    return float(np.mean(np.abs(e - m)[both] <= limit))


def bootstrap(
    measured: np.ndarray,
    estimate: np.ndarray,
    *,
    clusters: np.ndarray,
    draws: int = 2000,
    seed: int = 0,
) -> Scores:
    """95 % confidence intervals of rmse and bias by resampling whole clusters.

    Both are ratios of sums over rows, so a draw needs only each cluster's sums.

    Parameters
    ----------
    measured, estimate : array [n]
        NaN is missing.
    clusters : array [n]
        A label a row; rows of one label are drawn together.
    """
    names = ("rmse_ci95", "bias_ci95")
    d = np.asarray(estimate, float) - np.asarray(measured, float)
    rows = np.isfinite(d)
    labels, label = np.unique(np.asarray(clusters)[rows].astype(str), return_inverse=True)
    size = len(labels)
    if size < MIN_CLUSTERS:
        return dict.fromkeys(names)
    times = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    count = times @ np.bincount(label)
    means = [times @ np.bincount(label, v) / count for v in (d[rows] ** 2, d[rows])]
    intervals = (np.quantile(draw, (0.025, 0.975)) for draw in (np.sqrt(means[0]), means[1]))
    return {name: [float(q) for q in pair] for name, pair in zip(names, intervals, strict=True)}
