"""From pairs to scores: pooled, by group, for every baseline, and the differences between them."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd

from inversion.quality import Quality
from validation.matching.pairs import Pairs, baseline_column
from validation.metrics import bootstrap, deterministic, probabilistic

SUSPECT = Quality.OUTSIDE_TRAINING_DOMAIN | Quality.SPECTRUM_MISFIT | Quality.AS_WIDE_AS_PRIOR
"""Bits by which an estimate says of itself that it is not to be trusted."""

GCOS = {"gcos_goal_share": 0.1, "gcos_threshold_share": 0.2}
"""Relative uncertainty (2σ) of LAI that GCOS-245 asks for (The 2022 GCOS ECVs Requirements)."""
GCOS_FLOOR = 0.1
"""The absolute uncertainty that is enough at low LAI [m² m⁻²]."""
WIDE = (0.2, 0.5)
"""Relative and absolute limit of `within_05_20_share`, Sentinel-2's own goal for LAI."""

LAI_BINS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, np.inf)
GAP_BINS = (0, 1, 3, 6, 11, np.inf)
"""Lower ends of the bins of |days| between measurement and image."""


def collect(pairs: Pairs, trait: str, baselines: list[str]) -> dict:
    """The scores of the estimates and of every baseline.

    `pooled`, `sites` and `groups` count every row; `unflagged` those without a bit of `SUSPECT`,
    None where the estimates have no quality; `quality` counts the bits; `calibration` is None
    where the estimates have no intervals.
    """
    rows = pairs.rows
    quality = rows["quality"].to_numpy(float, na_value=np.nan)
    found = {**_by_site(rows, trait), "groups": grouped(rows, trait)}
    found |= {"quality": flag_counts(quality), "calibration": calibration(pairs)}
    found |= {"unflagged": None, "baselines": {}, "differences": {}}
    if np.isfinite(quality).any():
        found["unflagged"] = score(rows[(bits(quality) & SUSPECT.value) == 0], trait)
    for name in baselines:
        same = as_baseline(rows, name)
        ours = score(rows.loc[same.index], trait)
        entry = {**_by_site(same, trait), "groups": grouped(same, trait)}
        found["baselines"][name] = entry | {"estimates_on_same_rows": ours}
        found["differences"][name] = differences(rows, name)
    return found


def as_baseline(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The pairs with a baseline's estimates, and its interval if it has one, in place of ours."""
    column = baseline_column(name)
    rows = pairs[pairs[column].notna()]
    none = pd.Series(np.nan, rows.index)
    ends = {f"estimate_{e}": rows.get(f"{column}_{e}", none) for e in ("p025", "p975")}
    inside = probabilistic.coverage(
        *(np.asarray(v, float) for v in (rows["measured"], *ends.values()))
    )
    changed = {"estimate": rows[column], "estimate_sd": none, "inside_95": inside, **ends}
    bare = rows.drop(columns=["crps", "pit"], errors="ignore")
    return bare.assign(**changed, error=rows[column] - rows["measured"])


def differences(pairs: pd.DataFrame, name: str) -> dict:
    """Ours against a baseline on the same rows, drawn over sites and over plots."""
    values = (pairs[c].to_numpy(float) for c in ("measured", "estimate", baseline_column(name)))
    m, ours, theirs = values
    plots = pairs["row"].to_numpy() if "plot" not in pairs else _plots(pairs)
    over = {"sites": pairs["site"].to_numpy(), "plots": plots}
    return {k: bootstrap.difference(m, ours, theirs, clusters=v) for k, v in over.items()}


def _plots(pairs: pd.DataFrame) -> np.ndarray:
    """A name a plot, unlike in another site."""
    return (pairs["site"].astype(str) + "\x1f" + pairs["plot"].astype(str)).to_numpy(object)


def bits(quality: np.ndarray) -> np.ndarray:
    """Quality as integers; a missing one says nothing (0)."""
    return np.nan_to_num(quality).astype(np.int64)


def flag_counts(quality: np.ndarray) -> dict[str, int]:
    """Number of rows of every quality bit that occurs, by its name."""
    counts = {flag: int(np.sum((bits(quality) & flag.value) != 0)) for flag in Quality}
    return {str(flag.name).lower(): count for flag, count in counts.items() if count}


def _by_site(pairs: pd.DataFrame, trait: str) -> dict:
    """Scores pooled and per site."""
    sites = {str(site): score(rows, trait) for site, rows in pairs.groupby("site")}
    return {"pooled": score(pairs, trait), "sites": sites}


def grouped(pairs: pd.DataFrame, trait: str) -> dict[str, dict[str, deterministic.Scores]]:
    """Scores by crop, biome, definition, method, size of the trait and days between."""
    found = {}
    for by, labels_of in GROUPS.items():
        labels = labels_of(pairs, trait)
        if labels is not None and len(set(labels)) > 1:
            order = list(dict.fromkeys(np.asarray(labels)[np.argsort(_rank(labels, pairs))]))
            found[by] = {str(g): score(pairs[np.asarray(labels) == g], trait) for g in order}
    return found


def _rank(labels: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    """An order for the groups: bins as they are cut, names by how many rows they have."""
    if isinstance(labels, pd.Categorical):
        return np.asarray(labels.codes)
    counts = pd.Series(labels).map(pd.Series(labels).value_counts())
    return np.lexsort((np.asarray(labels, str), -counts.to_numpy())).argsort()


def _column(name: str) -> Callable[[pd.DataFrame, str], np.ndarray | None]:
    """Labels from a column of texts."""

    def labels(pairs: pd.DataFrame, trait: str) -> np.ndarray | None:
        if name not in pairs:
            return None
        text = pairs[name].fillna("").astype(str).str.strip()
        return text.where(text != "", "unnamed").to_numpy(object)

    return labels


def size_bins(pairs: pd.DataFrame, trait: str):
    """Bins of the measured value: fixed for LAI, fifths of the rows for other traits."""
    value = pairs["measured"].to_numpy(float)
    if trait == "lai":
        edges = LAI_BINS
    else:
        inner = np.unique(np.quantile(value, (0.2, 0.4, 0.6, 0.8)))
        edges = (-np.inf, *(float(f"{e:.3g}") for e in inner), np.inf)
    return _cut(value, np.unique(edges), whole=False)


def gap_bins(pairs: pd.DataFrame, trait: str):
    """Bins of the days between measurement and image, None where no gap is known."""
    gap = np.abs(pairs["delta_days"].to_numpy(float))
    return _cut(gap, np.array(GAP_BINS, float), whole=True) if np.isfinite(gap).any() else None


def _cut(value: np.ndarray, edges: np.ndarray, *, whole: bool):
    """Bins [low, high) with names such as 1–2, days named by their first and last."""
    names = []
    for low, high in pairwise(edges):
        last = high - 1 if whole else high
        single = whole and last == low
        text = f"≥ {low:g}" if np.isinf(high) else f"{low:g}" if single else f"{low:g}–{last:g}"
        names.append(f"< {high:g}" if np.isinf(low) else text)
    place = np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(names) - 1)
    labels = [names[i] if np.isfinite(v) else "unknown" for i, v in zip(place, value, strict=True)]
    return pd.Categorical(labels, categories=[*names, "unknown"])


GROUPS = {
    "crop": _column("crop"),
    "biome": _column("biome"),
    "definition": _column("definition"),
    "method": _column("lai_method"),
    "size": size_bins,
    "date gap [days]": gap_bins,
}
"""How rows are grouped beside their sites."""


def score(pairs: pd.DataFrame, trait: str) -> deterministic.Scores:
    """All scores of some rows; clusters are the sites, or the plots where there is one site."""
    names = ("measured", "estimate", "estimate_p025", "estimate_p975")
    measured, estimate, lower, upper = (pairs[c].to_numpy(float) for c in names)
    spread = pairs["measured_std"].to_numpy(float)
    by = "site" if pairs["site"].nunique() > 1 else "plot" if "plot" in pairs else "row"
    clusters = pairs[by].to_numpy()
    scores = deterministic.agreement(measured, estimate) | deterministic.intervals(
        measured, lower, upper
    )
    sd = pairs["estimate_sd"].to_numpy(float)
    scores |= deterministic.weighted_line(measured, estimate, spread=spread, sd=sd)
    scores["n_measured_std"] = int(np.isfinite(spread).sum())
    rows = {
        "coverage_95": probabilistic.coverage(measured, lower, upper),
        "width_95": upper - lower,
    }
    if trait == "lai":
        rows |= _accepted(measured, estimate, spread)
    if "crps" in pairs:
        rows["crps"] = pairs["crps"].to_numpy(float)
    means = bootstrap.mean_intervals(rows, clusters=clusters)
    for name, values in rows.items():
        known = np.isfinite(values)
        scores.setdefault(name, float(values[known].mean()) if known.any() else None)
        scores["coverage_95_clustered_ci95" if name == "coverage_95" else f"{name}_ci95"] = means[
            name
        ]
    scores["coverage_95_with_measured_std"] = _covered_with(
        measured, estimate, lower, upper, spread
    )
    return scores | deterministic.bootstrap(measured, estimate, clusters=clusters)


def _accepted(
    measured: np.ndarray, estimate: np.ndarray, spread: np.ndarray
) -> dict[str, np.ndarray]:
    """1 where an estimate of LAI is within a limit, without and with the field's uncertainty."""
    limits = {
        name: deterministic.relative_limit(share, GCOS_FLOOR) for name, share in GCOS.items()
    }
    limits["within_05_20_share"] = deterministic.relative_limit(*WIDE)
    found = {}
    for name, limit in limits.items():
        found[name] = deterministic.accepted(measured, estimate, limit)
        found[f"{name}_with_measured_std"] = deterministic.accepted(
            measured, estimate, limit, spread
        )
    return found


def _covered_with(
    measured: np.ndarray,
    estimate: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    spread: np.ndarray,
) -> float | None:
    """Share inside the 95 % interval widened by the measurement's own uncertainty.

    Each half-width h becomes √(h² + (1.96 s)²); None where no row has both.
    """
    s = 1.959964 * spread
    low, high = estimate - np.hypot(estimate - lower, s), estimate + np.hypot(upper - estimate, s)
    inside = probabilistic.coverage(measured, low, high)
    known = inside[np.isfinite(inside)]
    return float(known.mean()) if len(known) else None


def calibration(pairs: Pairs) -> dict | None:
    """How honest the estimates' quantiles are, None where there are no intervals."""
    rows, levels, quantiles = pairs.rows, pairs.levels, pairs.quantiles
    measured = rows["measured"].to_numpy(float)
    curve = probabilistic.reliability(measured, quantiles, levels) if len(levels) else []
    curve = [entry for entry in curve if entry["n"]]
    if not curve:
        return None
    pits = rows["pit"].to_numpy(float) if "pit" in rows else np.array([])
    sd = rows["estimate_sd"].to_numpy(float)
    return {
        "levels": _at_levels(pairs),
        "stated_95": _stated(pairs),
        "reliability": curve,
        "pit": probabilistic.histogram(pits) if len(pits) else None,
        **probabilistic.uniformity(pits),
        "crps": float(rows["crps"].mean()) if "crps" in rows else None,
        "error_by_sd": probabilistic.by_spread(rows["error"].to_numpy(float), sd),
    }


def _stated(pairs: Pairs) -> dict | None:
    """The stated 95 % interval, None where it is that of the quantiles or there is none."""
    low, high = (pairs.rows[f"estimate_{end}"].to_numpy(float) for end in ("p025", "p975"))
    if not (np.isfinite(low) & np.isfinite(high)).any():
        return None
    places = [np.flatnonzero(np.isclose(pairs.levels, p, atol=1e-9)) for p in (0.025, 0.975)]
    if all(
        len(place) and np.allclose(pairs.quantiles[:, place[0]], end, atol=1e-4, equal_nan=True)
        for place, end in zip(places, (low, high), strict=True)
    ):
        return None
    return _one_level(pairs.rows["measured"].to_numpy(float), low, high, 0.95, pairs.rows["site"])


def _at_levels(pairs: Pairs) -> dict[str, dict]:
    """Coverage, width and interval score at 50, 68, 90 and 95 %, where the quantiles are."""
    measured, levels = pairs.rows["measured"].to_numpy(float), pairs.levels
    found = {}
    for level in probabilistic.LEVELS:
        ends = [
            np.flatnonzero(np.isclose(levels, p, atol=1e-9))
            for p in ((1 - level) / 2, (1 + level) / 2)
        ]
        if all(len(end) for end in ends):
            low, high = (pairs.quantiles[:, end[0]] for end in ends)
            found[f"{level:g}"] = _one_level(measured, low, high, level, pairs.rows["site"])
    return found


def _one_level(
    measured: np.ndarray, low: np.ndarray, high: np.ndarray, level: float, site: pd.Series
) -> dict:
    """Scores of one nominal level, pooled and by site."""
    inside = probabilistic.coverage(measured, low, high)
    known = np.isfinite(inside)
    n, share = int(known.sum()), float(inside[known].mean())
    by_site = pd.Series(inside[known]).groupby(site[known].to_numpy())
    winkler = probabilistic.winkler(measured[known], low[known], high[known], level=level)
    clustered = bootstrap.mean_intervals({"coverage": inside}, clusters=site.to_numpy())
    return {
        "n": n,
        "coverage": share,
        "coverage_ci95": deterministic.wilson(share, n),
        "coverage_clustered_ci95": clustered["coverage"],
        "width": float((high - low)[known].mean()),
        "interval_score": float(np.mean(winkler)),
        "sites": {str(name): float(rows.mean()) for name, rows in by_site},
    }
