r"""From labelled sets to the intervals that a model states for measurements.

With e the estimate, m the measurement, σ and d as in `physvae.field_interval`, z = |e − m| / s:

    a = RMSE of the trait, every stratum weighing alike
    k = ½ (95 % quantile of z, strata alike  +  largest 95 % quantile of z in one stratum)

Strata are the sets in which the trait was measured; with one set of few groups, its groups. The
second term is what the campaign that errs most would need: a new place is a new campaign. Nothing
else is chosen, so that little can be tuned; `left_out` measures what is promised: each row is
judged by numbers from which its set, or its group, was left out.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from physvae.field_interval import WIDENING, FieldInterval, without_intervals
from validation.evidence.labelled_sets import LABELS, LabelledSet
from validation.evidence.references import parts_of

LEVEL = 0.95
FEW = 10
"""Groups up to which the groups of a single set are the strata."""
METHODS = ("amortised", "refined", "lut", "lm")
TRANSFERRED = {"cw": "cab", "cwc": "ccc"}
"""Traits of canopies that nobody measured, and whose factor over the posterior's sd they take."""


def posterior_rows(
    model: Any, sets: Iterable[LabelledSet], method: str = "amortised", steps: int = 200
) -> pd.DataFrame:
    """One row a measured trait with what the posterior says: `estimate`, `sd` and `far`.

    Parameters
    ----------
    model
        A loaded model; its field intervals are left aside.
    sets
    method, steps
        As for `inversion.methods.estimator`.
    """
    import torch

    from inversion.methods import estimator

    plain = without_intervals(model)
    center = plain.physical.sensor.center.tolist()
    parts = []
    for labelled in sets:
        frame = labelled.inputs(plain.bands, center)
        wanted = tuple(t for t in labelled.targets if t in plain.traits)
        if frame is None or not wanted:
            continue
        made = estimator(plain, method, steps, len(frame))
        found = made.estimate(*map(torch.tensor, _arrays(frame, plain.bands)), wanted)
        far = torch.maximum(found.novelty, found.misfit).clamp_min(1.0).numpy()
        for trait in wanted:
            mean, sd = found.mean[trait].numpy(), found.sd[trait].numpy()
            parts.append(
                _rows(labelled, trait, mean, sd).assign(far=far)[_measured(labelled, trait)]
            )
    return pd.concat(parts, ignore_index=True)


def _measured(labelled: LabelledSet, trait: str) -> np.ndarray:
    target = labelled.targets[trait]
    return np.isfinite(target.measured) & (not target.rank_only)


def _arrays(frame: pd.DataFrame, bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    angles = ("sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg")
    both = (frame.reindex(columns=list(names)).to_numpy(np.float32) for names in (bands, angles))
    spectra, geometry = both
    return spectra, geometry


def _rows(labelled: LabelledSet, trait: str, mean: np.ndarray, sd: np.ndarray) -> pd.DataFrame:
    target = labelled.targets[trait]
    labels = {name: labelled.labels[name].to_numpy() for name in LABELS}
    numbers = {"measured": target.measured, "measured_std": target.spread}
    made = {"set": labelled.name, "trait": trait, "row": np.arange(len(labelled))}
    return pd.DataFrame(made | labels | numbers | {"estimate": mean, "sd": sd})


def fitted(rows: pd.DataFrame) -> FieldInterval:
    """The interval of one trait from rows of `posterior_rows`."""
    stratum = strata(rows)
    weight = 1.0 / pd.Series(stratum).groupby(stratum).transform("size").to_numpy(float)
    error = np.abs(rows["estimate"].to_numpy(float) - rows["measured"].to_numpy(float))
    floor = float(np.sqrt(np.average(error**2, weights=weight)))
    z = error / scale(rows, floor, WIDENING)
    worst = max(float(np.quantile(z[stratum == name], LEVEL)) for name in np.unique(stratum))
    factor = 0.5 * (weighted_quantile(z, weight, LEVEL) + worst)
    return FieldInterval(factor=round(factor, 4), floor=round(floor, 6), widening=WIDENING)


def strata(rows: pd.DataFrame) -> np.ndarray:
    """The stratum [n] of every row: its set; in a single set of few groups its group."""
    single = rows["set"].nunique() == 1 and rows["group"].nunique() <= FEW
    return rows["group" if single else "set"].to_numpy(str)


def scale(rows: pd.DataFrame, floor: float, widening: float) -> np.ndarray:
    """The s [n] of `physvae.field_interval`."""
    sd, far = (rows[c].to_numpy(float) for c in ("sd", "far"))
    return np.sqrt(floor**2 + sd**2) * (1 + widening * np.log(far))


def weighted_quantile(value: np.ndarray, weight: np.ndarray, share: float) -> float:
    """The smallest value that so large a share of the weight does not exceed.

    >>> weighted_quantile(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    order = np.argsort(value)
    reached = np.cumsum(weight[order]) >= share * weight.sum() * (1 - 1e-12)
    return float(value[order][np.argmax(reached)])


def applied(rows: pd.DataFrame, law: FieldInterval, low: float, high: float) -> pd.DataFrame:
    """The rows with `lower`, `upper` and `sd` as a model with that law states them."""
    half = law.factor * scale(rows, law.floor, law.widening)
    mean = rows["estimate"].to_numpy(float)
    ends = {"lower": np.clip(mean - half, low, high), "upper": np.clip(mean + half, low, high)}
    return rows.assign(**ends, sd=half / 1.96, quality=0, definition="", rank_only=False)


def left_out(rows: pd.DataFrame, by: str, low: float, high: float) -> pd.DataFrame:
    """The rows of one trait, each with an interval found without its set or group (`by`)."""
    part = parts_of(rows["group"].to_numpy(), rows["set"].to_numpy(), by)
    found = []
    for number in np.unique(part):
        others = rows[part != number]
        if len(others):
            found.append(applied(rows[part == number], fitted(others), low, high))
    return pd.concat(found) if found else rows.iloc[:0]


def field_intervals(rows: pd.DataFrame, traits: Collection[str] = ()) -> dict[str, FieldInterval]:
    """The intervals of all traits of the rows, and of those that take another's factor.

    Parameters
    ----------
    rows : DataFrame
        Of `posterior_rows`.
    traits : collection of str
        Traits that the model has; those of `TRANSFERRED` among them take another's factor.
    """
    laws = {str(trait): fitted(part) for trait, part in rows.groupby("trait", sort=False)}
    for name, other in TRANSFERRED.items():
        if other in laws and name in traits:
            part = rows[rows["trait"] == other]
            law = laws[other]
            ratio = law.factor * scale(part, law.floor, 0.0) / part["sd"].to_numpy(float)
            laws[name] = FieldInterval(
                factor=round(float(np.median(ratio)), 4), widening=WIDENING, basis="transferred"
            )
    return laws
