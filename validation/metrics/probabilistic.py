r"""Whether a predictive distribution is honest: array kernels over its quantiles, nothing else.

Per row i: m measured, q(p) the quantile at probability p on a grid of levels.

    coverage(L)  = share of rows with q((1−L)/2) ≤ m ≤ q((1+L)/2)
    PIT          = the p with q(p) = m: uniform on [0, 1] where the distributions are right
                   (Dawid 1984; Gneiting, Balabdaoui & Raftery 2007,
                   doi:10.1111/j.1467-9868.2007.00587.x)
    CRPS         = 2 ∫ ρ_p(m − q(p)) dp, the mean over the levels of the pinball loss ρ
                   (Gneiting & Raftery 2007, doi:10.1198/016214506000001437)
    sharpness    = mean width of the central interval

The levels are those of true quantiles; nothing is assumed about the shape between mean and
standard deviation. CRPS and interval score are scoringrules' (Zanetta & Allen 2024).
"""

import re
from collections.abc import Iterable

import numpy as np

LEVELS = (0.5, 0.68, 0.9, 0.95)
"""Nominal coverages that are always reported where the quantiles are there."""

GRID = tuple(i / 200 for i in range(1, 200))
"""Probabilities at which a model is asked for its quantiles."""
_ROWS = 4096

_NAME = re.compile(r"[pq](\d{3})")
BINS = 10


def quantile_name(probability: float, letter: str = "p") -> str:
    """Suffix of the column of a quantile: thousandths, three digits.

    The letter is ``q`` where a table has the quantiles of the distribution itself beside the ends
    ``p025`` and ``p975`` of an interval that was stated otherwise.

    >>> quantile_name(0.025), quantile_name(0.5, "q")
    ('p025', 'q500')
    """
    return f"{letter}{round(1000 * probability):03d}"


def probability_of(suffix: str) -> float | None:
    """Probability that a suffix such as ``p025`` names, None for any other text.

    >>> probability_of("p975"), probability_of("q100"), probability_of("sd")
    (0.975, 0.1, None)
    """
    match = _NAME.fullmatch(suffix)
    return int(match[1]) / 1000 if match and int(match[1]) else None


def coverage(measured: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """1 where lower ≤ measured ≤ upper, 0 where not, NaN where one of the three is missing."""
    m, low, high = (np.asarray(a, float) for a in (measured, lower, upper))
    inside = ((low <= m) & (m <= high)).astype(float)
    return np.where(np.isfinite(m) & np.isfinite(low) & np.isfinite(high), inside, np.nan)


def pit(measured: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Probability [n] at which the measurement lies, linear between the levels.

    Below the first quantile it is half the first level, beyond the last half way to 1: with few
    levels the tails cannot be told apart.

    Parameters
    ----------
    measured : array [n]
    quantiles : array [n, level]
        Ascending along the levels; NaN anywhere gives NaN.
    levels : array [level]
        Ascending, in (0, 1).
    """
    ends = np.array([levels[0] / 2, *levels, (1 + levels[-1]) / 2])
    found = np.full(len(measured), np.nan)
    for start in range(0, len(measured), _ROWS):
        rows = slice(start, start + _ROWS)
        m, q = np.asarray(measured[rows], float), np.asarray(quantiles[rows], float)
        known = np.isfinite(m) & np.isfinite(q).all(axis=1)
        found[rows][known] = _between(m[known], q[known], np.asarray(levels, float), ends)
    return found


def _between(m: np.ndarray, q: np.ndarray, levels: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The probabilities of measurements among their quantiles, all of them numbers."""
    size = len(levels)
    place = (q < m[:, None]).sum(axis=1)  # of the first quantile that is not below
    row, after = np.arange(len(m)), np.clip(place, 1, size - 1)
    low, high = q[row, after - 1], q[row, after]
    inside = (place == after) & (high > low)
    share = (m - low) / np.where(inside, high - low, 1.0)
    between = levels[after - 1] + share * (levels[after] - levels[after - 1])
    outer = np.where(place == 0, 0, np.where(place == size, size + 1, place + 1))
    return np.where(inside, between, ends[outer])


def crps(measured: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score [n] from quantiles [n, level] at equal steps."""
    from scoringrules import crps_quantile

    parts = range(0, len(measured), _ROWS)  # the library holds several tables of their size
    found = [
        crps_quantile(measured[i : i + _ROWS], quantiles[i : i + _ROWS], levels, backend="numpy")
        for i in parts
    ]
    return np.concatenate([np.empty(0), *map(np.atleast_1d, found)])


def winkler(
    measured: np.ndarray, lower: np.ndarray, upper: np.ndarray, *, level: float
) -> np.ndarray:
    """Interval score [n] of central intervals of a level; smaller is better."""
    from scoringrules import interval_score

    found = interval_score(measured, lower, upper, 1 - level, backend="numpy")
    return np.atleast_1d(np.asarray(found))


def even_steps(levels: np.ndarray) -> bool:
    """Whether the levels are i/(n+1) for i = 1 ... n, on which the CRPS is a plain mean."""
    n = len(levels)
    return n >= 19 and bool(np.allclose(levels, np.arange(1, n + 1) / (n + 1), atol=1e-9))


def reliability(
    measured: np.ndarray, quantiles: np.ndarray, levels: np.ndarray
) -> list[dict[str, float]]:
    """Nominal and observed share of every central interval whose two quantiles are known."""
    found = []
    for i, low in enumerate(levels[levels < 0.5]):
        (j,) = np.nonzero(np.isclose(levels, 1 - low, atol=1e-9))
        if len(j):
            inside = coverage(measured, quantiles[:, i], quantiles[:, j[0]])
            width = float(np.nanmean(quantiles[:, j[0]] - quantiles[:, i]))
            share = {"nominal": float(1 - 2 * low), "observed": float(np.nanmean(inside))}
            found.append(share | {"width": width, "n": int(np.isfinite(inside).sum())})
    return sorted(found, key=lambda entry: entry["nominal"])


def histogram(pits: np.ndarray, bins: int = BINS) -> list[int]:
    """Counts of PIT values in equal bins of [0, 1]."""
    return [int(n) for n in np.histogram(pits[np.isfinite(pits)], bins, (0.0, 1.0))[0]]


def by_spread(error: np.ndarray, spread: np.ndarray, groups: int = 8) -> list[dict[str, float]]:
    """Root mean square error beside root mean square predicted sd, rows grouped by their sd.

    Where the predicted sd is right the two agree in every group (Levi et al. 2022,
    doi:10.3390/s22155540).
    """
    known = np.isfinite(error) & np.isfinite(spread)
    error, spread = error[known], spread[known]
    if len(error) < 2 * groups:
        return []
    parts = np.array_split(np.argsort(spread, kind="stable"), groups)
    return [
        {
            "n": len(rows),
            "sd": float(np.sqrt(np.mean(spread[rows] ** 2))),
            "rmse": float(np.sqrt(np.mean(error[rows] ** 2))),
        }
        for rows in parts
    ]


def quantile_columns(names: Iterable[object], trait: str) -> dict[float, str]:
    """Columns with the quantiles of a trait by probability, ascending.

    Those of the distribution itself (``q``) where there are any, else what is stated (``p``).

    >>> quantile_columns(["lai", "lai_p975", "lai_p025"], "lai")
    {0.025: 'lai_p025', 0.975: 'lai_p975'}
    """
    found: dict[str, dict[float, str]] = {"q": {}, "p": {}}
    for name in map(str, names):
        suffix = str(name).removeprefix(f"{trait}_")
        probability = probability_of(suffix) if suffix != name else None
        if probability is not None:
            found[suffix[0]][probability] = name
    return dict(sorted((found["q"] or found["p"]).items()))


def chi_square(pits: np.ndarray, bins: int = 20) -> float | None:
    """Probability of counts at least as uneven if the PIT is uniform (Pearson's test)."""
    from scipy.stats import chisquare

    counts = histogram(pits, bins)
    return float(chisquare(counts).pvalue) if sum(counts) >= 5 * bins else None


def uniformity(pits: np.ndarray) -> dict[str, float | None]:
    """Mean and variance of the PIT (1/2 and 1/12 if uniform) and Kolmogorov's distance."""
    known = np.sort(pits[np.isfinite(pits)])
    if not len(known):
        return dict.fromkeys(("pit_mean", "pit_variance", "pit_distance"))
    n = len(known)
    steps = np.arange(1, n + 1) / n
    distance = max(np.max(steps - known), np.max(known - steps + 1 / n))
    mean, variance = float(known.mean()), float(known.var())
    return {"pit_mean": mean, "pit_variance": variance, "pit_distance": float(distance)}
