"""From two tables to pairs, and from pairs to scores: pooled, per site, and for every baseline."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.quality import Quality
from physvae.errors import InputError, UsageError
from validation import metrics
from validation.baselines import Net
from validation.fielddata import parse_numbers, select
from validation.matchup import NONE, match

CONTEXT = ("plot", "crop", "field_date", "image_date", "lat", "lon")
"""Columns of the field table that the pairs keep beside site and measured value."""

SUSPECT = Quality.OUTSIDE_TRAINING_DOMAIN | Quality.SPECTRUM_MISFIT | Quality.AS_WIDE_AS_PRIOR
"""Bits by which an estimate says of itself that it is not to be trusted."""

GCOS = {"gcos_goal_share": 0.1, "gcos_threshold_share": 0.2}
"""Relative uncertainty (2σ) of LAI that GCOS-245 asks for (The 2022 GCOS ECVs Requirements)."""
GCOS_FLOOR = 0.1
"""The absolute uncertainty that is enough at low LAI [m² m⁻²]."""


class Pairs(NamedTuple):
    """Rows that can be compared, and what became of the others."""

    rows: pd.DataFrame
    dropped: dict[str, list[int]]
    """Rows of the field table left out, by reason; counted from 1."""


def baseline_column(name: str) -> str:
    """Column of the pairs with the estimates of the baseline of this name."""
    return f"baseline_{name}"


def pair(estimates: pd.DataFrame, field: pd.DataFrame, trait: str, nets: list[Net]) -> Pairs:
    """Measured values beside their estimates and those of the baselines.

    Raises
    ------
    InputError, UsageError
        As `validation.evaluate` says.
    """
    data = select(field, trait)
    field = parse_numbers(field, source="field table")
    estimates = parse_numbers(estimates, source="estimates")
    if trait not in estimates.columns:
        got = ", ".join(map(str, estimates.columns))
        raise InputError(f"estimates: expected a column {trait}, got {got}")
    index = data.rows["row"].to_numpy()
    position = match(estimates, field, measured=data.column)[index]
    pairs = _beside(data.rows, field, estimates, position, trait=trait)
    for net in nets:
        if net.trait != trait:
            wanted = f"expected estimates of {trait}, got {net.trait}"
            raise UsageError(f"baseline {net.name}: {wanted}")
        pairs[baseline_column(net.name)] = net(field)[index]
    _refuse_the_truth(pairs, trait)
    known = pairs["estimate"].notna()
    lost = {
        "no matching row in the estimates": position == NONE,
        "no estimate (no data)": (position != NONE) & ~known.to_numpy(),
    }
    dropped = data.dropped | {why: [int(r) + 1 for r in index[gone]] for why, gone in lost.items()}
    if not known.any():
        raise InputError(f"estimates: expected a number in column {trait}, got none")
    return Pairs(pairs[known].reset_index(drop=True), {k: v for k, v in dropped.items() if v})


def _beside(
    rows: pd.DataFrame,
    field: pd.DataFrame,
    estimates: pd.DataFrame,
    position: np.ndarray,
    *,
    trait: str,
) -> pd.DataFrame:
    """Measured rows beside their estimates; NaN where there is none."""
    index = rows["row"].to_numpy()
    pairs = pd.DataFrame({"row": index + 1, "site": rows["site"]})
    for column in (c for c in CONTEXT if c in field.columns):
        pairs[column] = field[column].iloc[index].to_numpy()
    pairs["measured"], pairs["measured_std"] = rows["measured"], rows["measured_std"]
    for suffix in ("", "_sd", "_p025", "_p975"):
        pairs[f"estimate{suffix}"] = _taken(estimates, f"{trait}{suffix}", position)
    pairs["error"] = pairs["estimate"] - pairs["measured"]
    pairs["inside_95"] = metrics.covered(*_limits(pairs))
    quality = _taken(estimates, "quality", position)
    if not np.all(np.isnan(quality) | np.isin(quality, np.arange(2**16))):
        raise InputError("estimates: quality: expected whole numbers from 0 to 65535")
    pairs["quality"] = pd.array(quality, dtype="Int64")
    return pairs


def _taken(estimates: pd.DataFrame, column: str, position: np.ndarray) -> np.ndarray:
    """Values of a column at the positions; NaN without the column or the row."""
    if column not in estimates.columns:
        return np.full(len(position), np.nan)
    return np.where(position == NONE, np.nan, estimates[column].to_numpy(float)[position])


def _limits(pairs: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Measured value and the two ends of the 95 % interval."""
    columns = ("measured", "estimate_p025", "estimate_p975")
    return tuple(pairs[column].to_numpy(float) for column in columns)


def _refuse_the_truth(pairs: pd.DataFrame, trait: str) -> None:
    """Refuse estimates that are the measurements themselves: a field table given as both."""
    both = pairs[pairs["estimate"].notna()]
    if len(both) > 1 and (both["estimate"] == both["measured"]).all():
        raise InputError(
            f"estimates: expected retrieved {trait}, got the measured values in every row; "
            "is this the field table itself?"
        )


def collect(pairs: pd.DataFrame, trait: str, baselines: list[str]) -> dict:
    """The scores of the estimates and of every baseline.

    `pooled` and `sites` count every row; `unflagged` those without a bit of `SUSPECT`, None where
    the estimates have no quality; `quality` counts the bits.
    """
    quality = pairs["quality"].to_numpy(float, na_value=np.nan)
    found = {**_by_site(pairs, trait), "quality": flag_counts(quality)}
    found |= {"unflagged": None, "baselines": {}}
    if np.isfinite(quality).any():
        found["unflagged"] = score(pairs[(bits(quality) & SUSPECT.value) == 0], trait)
    for name in baselines:
        same = as_baseline(pairs, name)
        ours = score(pairs.loc[same.index], trait)
        found["baselines"][name] = {**_by_site(same, trait), "estimates_on_same_rows": ours}
    return found


def as_baseline(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The pairs with a baseline's estimates, which have no interval, in place of ours."""
    rows = pairs[pairs[baseline_column(name)].notna()]
    none = dict.fromkeys(("estimate_sd", "estimate_p025", "estimate_p975"), np.nan)
    return rows.assign(estimate=rows[baseline_column(name)], **none)


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


def score(pairs: pd.DataFrame, trait: str) -> metrics.Scores:
    """All scores of some rows; clusters are the sites, or the plots where there is one site."""
    measured, lower, upper = _limits(pairs)
    estimate = pairs["estimate"].to_numpy(float)
    scores = metrics.agreement(measured, estimate) | metrics.intervals(measured, lower, upper)
    if trait == "lai":
        for name, relative in GCOS.items():
            scores[name] = metrics.within(measured, estimate, relative=relative, floor=GCOS_FLOOR)
    by = "site" if pairs["site"].nunique() > 1 else "plot" if "plot" in pairs else "row"
    return scores | metrics.bootstrap(measured, estimate, clusters=pairs[by].to_numpy())
