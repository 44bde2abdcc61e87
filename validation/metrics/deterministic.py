r"""Agreement of estimates with measurements: array kernels, no labels, no files.

Per row i: m measured, e estimate, [l, u] the central 95 % interval, d = e − m, N rows.

    bias      = Σ d / N                        (accuracy A)
    RMSE      = √(Σ d² / N)                    (uncertainty U)
    precision = √(Σ (d − bias)² / (N − 1))     (P; Vermote & Kotchenova 2008,
                                                doi:10.1029/2007JD009662)
    median bias, MAD = median of d, 1.4826 · median |d − median d|
    ubRMSE    = √(RMSE² − bias²)
    r, ρ      = Pearson's and Spearman's correlation of m and e
    R²        = 1 − Σ d² / Σ (m − m̄)²          (not r²: a biased estimate loses; may be negative)
    slope, intercept: least squares of e on m,  e ≈ intercept + slope · m
    odr_slope, odr_intercept: the line with the least squared distances at right angles to it
                errors in m and in e count alike (the first principal axis). odr_weighted_...: the
                same with every row's own errors (odrpack; Zwolak, Boggs & Watson 2007,
                doi:10.1145/1268776.1268782)
    coverage  = share of rows with l ≤ m ≤ u
    width     = Σ (u − l) / N
    interval score = Σ [(u − l) + (2/α)(l − m)₊ + (2/α)(m − u)₊] / N,  α = 0.05
                 (Winkler's; Gneiting & Raftery 2007, doi:10.1198/016214506000001437)

A statistic that the rows do not define is None: RMSE and bias need one row; ubRMSE, r, R², slope
and intercept two, with more than one measured value (and, for r, more than one estimate).

Uncertainty of coverage: Wilson's 95 % interval (1927, doi:10.1080/01621459.1927.10502953), rows
taken as independent. The uncertainty of the other scores is in `validation.metrics.bootstrap`.

The measurement has an uncertainty s of its own. A difference agrees with a limit L within it when
E_n = |d| / √(L² + (2s)²) ≤ 1 (ISO 13528; both at 2σ); s = 0 gives |d| ≤ L.
"""

from collections.abc import Callable

import numpy as np

from validation.metrics.bootstrap import bootstrap

__all__ = ["agreement", "bootstrap", "covered", "intervals", "wilson", "within"]

LEVEL = 0.95
MAD = 1.482602218505602
"""1/Φ⁻¹(3/4): makes the median absolute deviation the standard deviation of normal errors."""
Scores = dict[str, float | int | list[float] | None]


def agreement(measured: np.ndarray, estimate: np.ndarray) -> Scores:
    """The scores of the module's head over the rows where both are numbers.

    Parameters
    ----------
    measured, estimate : array [n]
        In one unit; NaN is missing.
    """
    both = np.isfinite(measured) & np.isfinite(estimate)
    m, e = np.asarray(measured, float)[both], np.asarray(estimate, float)[both]
    names = ("rmse", "bias", "median_bias", "mad", "precision", "ubrmse", *_LINES)
    scores: Scores = {"n": len(m), **dict.fromkeys(names)}
    if len(m) == 0:
        return scores
    d = e - m
    median = float(np.median(d))
    scores |= {"rmse": float(np.sqrt(np.mean(d**2))), "bias": float(np.mean(d))}
    scores |= {"median_bias": median, "mad": MAD * float(np.median(np.abs(d - median)))}
    if len(m) < 2:
        return scores
    spread = {"ubrmse": float(np.std(d)), "precision": float(np.std(d, ddof=1))}
    return scores | spread | _line(m, e)


_LINES = ("r", "r2", "spearman", "slope", "intercept", "odr_slope", "odr_intercept")


def _line(m: np.ndarray, e: np.ndarray) -> Scores:
    """What needs at least two rows and two measured values."""
    dm, de = m - m.mean(), e - e.mean()
    smm, see, sme = float(dm @ dm), float(de @ de), float(dm @ de)
    if smm == 0:
        return {}
    slope = sme / smm
    varied = see > 0
    return {
        "r": float(np.clip(sme / np.sqrt(smm * see), -1, 1)) if varied else None,
        "r2": 1 - float((e - m) @ (e - m)) / smm,
        "spearman": _spearman(m, e) if varied else None,
        "slope": slope,
        "intercept": float(e.mean() - slope * m.mean()),
    } | (orthogonal(m, e) if varied else {})


def _spearman(m: np.ndarray, e: np.ndarray) -> float | None:
    """Spearman's rank correlation, ties at their mean rank."""
    from scipy.stats import rankdata

    ranks = rankdata(m), rankdata(e)
    return float(np.corrcoef(*ranks)[0, 1]) if all(np.ptp(r) > 0 for r in ranks) else None


def orthogonal(m: np.ndarray, e: np.ndarray) -> Scores:
    """Slope and intercept of the orthogonal regression of e on m; None for an upright line.

    Where both errors weigh alike it is the first principal axis, in closed form.
    """
    names = ("odr_slope", "odr_intercept")
    covariance = np.cov(m, e)
    if not np.isfinite(covariance).all():
        return dict.fromkeys(names)
    along = np.linalg.eigh(covariance)[1][:, 1]
    if abs(along[0]) < 1e-9 * abs(along[1]):
        return dict.fromkeys(names)
    slope = float(along[1] / along[0])
    return dict(zip(names, (slope, float(e.mean() - slope * m.mean())), strict=True))


def weighted_line(
    measured: np.ndarray, estimate: np.ndarray, *, spread: np.ndarray, sd: np.ndarray
) -> Scores:
    """The orthogonal regression with every row's own errors, over the rows that have both.

    Parameters
    ----------
    measured, estimate : array [n]
    spread, sd : array [n]
        Standard uncertainty of the measurement and of the estimate; rows without both, or with 0,
        are left out.

    Returns
    -------
    dict
        `odr_weighted_n`, and from three rows on `odr_weighted_slope`, `odr_weighted_intercept`.
    """
    from odrpack import odr_fit

    table = np.stack([np.asarray(a, float) for a in (measured, estimate, spread, sd)])
    known = np.isfinite(table).all(axis=0) & (table[2] > 0) & (table[3] > 0)
    m, e, s, t = table[:, known]
    names = ("odr_weighted_slope", "odr_weighted_intercept")
    scores: Scores = {"odr_weighted_n": len(m), **dict.fromkeys(names)}
    start = orthogonal(m, e) if len(m) > 2 and np.ptp(m) > 0 and np.ptp(e) > 0 else {}
    if None in start.values() or not start:
        return scores
    found = odr_fit(
        lambda x, beta: beta[0] * x + beta[1],
        m, e, [float(v) for v in start.values() if isinstance(v, float)],
        weight_x=1 / s**2, weight_y=1 / t**2,
        jac_beta=lambda x, beta: np.stack([x, np.ones_like(x)]),
        jac_x=lambda x, beta: np.full_like(x, beta[0]),
        sstol=1e-15, partol=1e-15, maxit=500,
    )  # fmt: skip
    if not (found.success and np.isfinite(found.beta).all()):
        return scores
    return scores | dict(zip(names, map(float, found.beta), strict=True))


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


Limit = Callable[[np.ndarray], np.ndarray]
"""Largest difference that is accepted at measured values."""


def relative_limit(relative: float, floor: float) -> Limit:
    """max(relative · m, floor) at a measured value m."""
    return lambda m: np.maximum(relative * m, floor)


def within(
    measured: np.ndarray,
    estimate: np.ndarray,
    *,
    relative: float,
    floor: float,
    spread: np.ndarray | float = 0.0,
) -> float | None:
    """Share of rows with |e − m| ≤ √(max(relative · m, floor)² + (2s)²), or None without rows.

    GCOS-2022 asks for LAI at 95 % of the rows (2σ) 20 % at the least ("threshold") and aims at
    10 % ("goal"); both are 0.1 in absolute terms where 20 % is less (LAI below 0.5).

    Parameters
    ----------
    measured, estimate : array [n]
        NaN is missing.
    relative, floor : float
        The limit.
    spread : array [n] or float
        Standard uncertainty s of the measurement; 0 where it is missing.
    """
    inside = accepted(measured, estimate, relative_limit(relative, floor), spread)
    known = inside[np.isfinite(inside)]
    return float(known.mean()) if len(known) else None


def accepted(
    measured: np.ndarray, estimate: np.ndarray, limit: Limit, spread: np.ndarray | float = 0.0
) -> np.ndarray:
    """1 where E_n ≤ 1 (the module's head), 0 where not, NaN where a value is missing."""
    m, e = np.asarray(measured, float), np.asarray(estimate, float)
    both = np.isfinite(m) & np.isfinite(e)
    wide = np.hypot(limit(m), 2 * np.nan_to_num(spread))
    return np.where(both, (np.abs(e - m) <= wide).astype(float), np.nan)
