r"""Estimates of any method on labelled sets, and how good they are: pooled, by set and by class.

An estimator is a function (set, traits) → table with the columns `<trait>`, `<trait>_sd`,
`<trait>_p025`, `<trait>_p975` and `quality`, of which only the first is needed, or None where it
cannot say anything. `paired` turns its estimates into one row a measurement; all else works on
those rows.

    RMSE°     = √(mean d² − mean s²)₊      d error, s the measurement's own sd: its part removed
    CRPS      of the normal distribution that the 95 % interval stands for,
                sd (p975 − p025) / 3.92
    sd ~ |d|  Spearman's correlation of the stated sd with the absolute error
    flagged   share of rows with one of the bits 5, 6 and 7, and their RMSE over the others'
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from inversion.quality import Quality
from validation.evidence.labelled_sets import LABELS, LabelledSet
from validation.metrics import deterministic
from validation.metrics.bootstrap import difference

Estimator = Callable[[LabelledSet, tuple[str, ...]], pd.DataFrame | None]
CLASSES = {"0–0.5": (-np.inf, 0.5), "0.5–2": (0.5, 2.0), "2–4": (2.0, 4.0), "> 4": (4.0, np.inf)}
"""Classes of measured LAI [m² m⁻²]."""
DOUBT = Quality.OUTSIDE_TRAINING_DOMAIN | Quality.SPECTRUM_MISFIT | Quality.AS_WIDE_AS_PRIOR
NUMBERS = ("estimate", "sd", "lower", "upper")
LEAST = 10
"""Rows below which a class has no row of its own."""


def retrieval(model: Any, method: str = "amortised", steps: int = 200) -> Estimator:
    """The estimator of `physvae retrieve` with a model (name, folder or itself) and a method."""
    from inversion.kernel import load_model
    from inversion.tables import retrieve_table

    loaded = load_model(model, "cpu")
    center = loaded.physical.sensor.center.tolist()

    def estimate(labelled: LabelledSet, traits: tuple[str, ...]) -> pd.DataFrame | None:
        frame = labelled.inputs(loaded.bands, center)
        wanted = tuple(name for name in traits if name in loaded.traits)
        if frame is None or not wanted:
            return None
        return retrieve_table(
            frame, loaded, wanted, source=labelled.name, method=method, steps=steps
        )

    return estimate


def paired(estimator: Estimator, sets: Iterable[LabelledSet]) -> pd.DataFrame:
    """One row a measured value that the estimator says something of.

    Columns: `set`, `row`, `trait`, the labels, `definition`, `rank_only`, `measured`,
    `measured_std`, `estimate`, `sd`, `lower`, `upper` (NaN where the method has none), `quality`.
    """
    parts = []
    for labelled in sets:
        found = estimator(labelled, tuple(labelled.targets))
        if found is not None:
            wanted = [trait for trait in labelled.targets if trait in found]
            parts += [_pairs(labelled, trait, found) for trait in wanted]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["set"])


def _pairs(labelled: LabelledSet, trait: str, found: pd.DataFrame) -> pd.DataFrame:
    target = labelled.targets[trait]
    names = dict(
        zip(NUMBERS, (trait, f"{trait}_sd", f"{trait}_p025", f"{trait}_p975"), strict=True)
    )
    missing = np.full(len(labelled), np.nan)
    numbers = {k: found[v].to_numpy(float) if v in found else missing for k, v in names.items()}
    quality = found["quality"].to_numpy() if "quality" in found else 0
    rows = pd.DataFrame(
        {"set": labelled.name, "row": np.arange(len(labelled)), "trait": trait}
        | {name: labelled.labels[name].to_numpy() for name in LABELS}
        | {"definition": target.definition, "rank_only": target.rank_only}
        | {"measured": target.measured, "measured_std": target.spread}
        | numbers | {"quality": quality}
    )  # fmt: skip
    return rows[np.isfinite(rows["measured"]) & np.isfinite(rows["estimate"])]


def scores(rows: pd.DataFrame) -> dict[str, Any]:
    """The scores of rows of one trait, in the order of a table's columns."""
    columns = ("measured", "measured_std", *NUMBERS)
    m, s, e, sd, low, high = (rows[c].to_numpy(float) for c in columns)
    error = np.abs(e - m)
    agreement, interval = deterministic.agreement(m, e), deterministic.intervals(m, low, high)
    kept = ("n", "rmse", "bias", "r", "spearman")
    found: dict[str, Any] = {key: agreement[key] for key in kept}
    known = np.isfinite(s)
    square = np.mean(error[known] ** 2 - s[known] ** 2) if known.any() else np.nan
    found["rmse_without_reference"] = float(np.sqrt(max(square, 0.0))) if known.any() else None
    found |= {k: interval[k] for k in ("coverage_95", "width_95", "interval_score_95")}
    found["crps"] = _crps(m, e, (high - low) / 3.92)
    found["sd_ranks_error"] = rank_correlation(sd, error)
    return found | flagged(rows["quality"].to_numpy().astype(int), error)


def _crps(measured: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> float | None:
    from scoringrules import crps_normal

    known = np.isfinite(sd) & (sd > 0)
    if not known.any():
        return None
    return float(np.mean(crps_normal(measured[known], mean[known], sd[known])))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's correlation over the rows where both are numbers; None where one is constant."""
    known = np.isfinite(a) & np.isfinite(b)
    value = deterministic.agreement(a[known], b[known])["spearman"] if known.sum() > 2 else None
    return float(value) if isinstance(value, float) else None


def flagged(quality: np.ndarray, error: np.ndarray, bits: int = DOUBT) -> dict[str, float | None]:
    """Share of rows with one of the bits, and their RMSE over that of the other rows."""
    doubt = (quality & int(bits)) != 0
    names = ("flagged_share", "flagged_error_ratio")
    if not len(error):
        return dict.fromkeys(names)
    ratio = None
    if doubt.any() and not doubt.all():
        inside, outside = (float(np.sqrt(np.mean(error[k] ** 2))) for k in (doubt, ~doubt))
        ratio = inside / outside if outside > 0 else None
    return dict(zip(names, (float(doubt.mean()), ratio), strict=True))


def score_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Scores by trait and set, pooled over the sets of LAI, and by class.

    Columns `trait`, `set`, `by`, `class`, then those of `scores`; `by` is empty for whole sets.
    """
    records = []
    for (trait, name), rows in pairs.groupby(["trait", "set"], sort=False):
        records.append({"trait": trait, "set": name, "by": "", "class": "", **scores(rows)})
        records += _classes(rows, trait, name)
    for trait, rows in pairs[~pairs["rank_only"].astype(bool)].groupby("trait", sort=False):
        if rows["set"].nunique() > 1:
            records.append({"trait": trait, "set": "all", "by": "", "class": "", **scores(rows)})
            records += _classes(rows.assign(cover="", place=""), trait, "all")
    return pd.DataFrame(records)


def _classes(rows: pd.DataFrame, trait: Any, name: Any) -> list[dict[str, Any]]:
    """Rows of the table by measured LAI, definition, place and cover."""
    masks: list[tuple[str, str, np.ndarray]] = []
    if trait == "lai":
        m = rows["measured"].to_numpy(float)
        masks += [("LAI", k, (m >= lo) & (m < hi)) for k, (lo, hi) in CLASSES.items()]
    for by in ("definition", "place", "cover"):
        values = rows[by].astype(str)
        if values.nunique() > 1:
            masks += [(by, str(v), (values == v).to_numpy()) for v in values.unique() if v]
    head = {"trait": trait, "set": name}
    return [
        {**head, "by": by, "class": label, **scores(rows[mask])}
        for by, label, mask in masks
        if mask.sum() >= LEAST
    ]


def differences(
    pairs: pd.DataFrame, others: dict[str, pd.DataFrame], by: Sequence[str] = ("trait", "set")
) -> pd.DataFrame:
    """Paired differences of RMSE, ours minus theirs, by bootstrap over whole groups.

    Columns `trait`, `set`, `against`, `n`, `groups`, `rmse`, `other`, `difference`, `low`, `high`.
    """
    keys = ["set", "row", "trait"]
    records = []
    for name, other in others.items():
        both = pairs.merge(other[[*keys, "estimate"]], on=keys, suffixes=("", "_other"))
        for label, rows in both.groupby(list(by), sort=False):
            m, a, b = (rows[c].to_numpy(float) for c in ("measured", "estimate", "estimate_other"))
            found = difference(m, a, b, clusters=(rows["set"] + rows["group"]).to_numpy())
            ends = found["rmse_ci95"] if isinstance(found["rmse_ci95"], list) else [None, None]
            own, theirs = (float(np.sqrt(np.mean((x - m) ** 2))) for x in (a, b))
            head = dict(zip(by, label, strict=True)) | {"against": name}
            records.append(
                head | {"n": len(rows), "groups": found["clusters"], "rmse": own, "other": theirs}
                | {"difference": own - theirs, "low": ends[0], "high": ends[1]}
            )  # fmt: skip
    return pd.DataFrame(records)
