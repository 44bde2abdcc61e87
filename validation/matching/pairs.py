"""From two tables to pairs: measured values beside their estimates, and a ledger of every row."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from physvae.errors import InputError, UsageError
from validation.baselines.base import Baseline
from validation.field.dates import days_of
from validation.field.table import parse_numbers, select
from validation.matching.rows import NONE, match
from validation.metrics import probabilistic

CONTEXT = (
    "plot", "crop", "biome", "field_date", "image_date", "delta_days", "lat", "lon", "lai_method",
    "sun_zenith_deg",
)  # fmt: skip
"""Columns of the field table that the pairs keep beside site and measured value."""

FROM_MAP = ("image_date", "delta_days", "map", "pixels", "cv", "map_row", "map_column")
"""Columns that estimates looked up on maps bring along."""

KEPT = (0.025, 0.05, 0.16, 0.25, 0.5, 0.75, 0.84, 0.95, 0.975)
"""Probabilities whose quantiles stand in the pairs."""


class Pairs(NamedTuple):
    """Rows that can be compared, and what became of the others.

    Attributes
    ----------
    rows : DataFrame
        One row a comparison.
    dropped : dict
        Rows of the field table left out, by reason; counted from 1.
    ledger : DataFrame
        Every row of the field table: `row`, `used` (1 or 0), `reason`, `notes`, and its names.
    levels, quantiles : array
        Probabilities [level] of the estimates' quantiles, and the quantiles [row, level].
    """

    rows: pd.DataFrame
    dropped: dict[str, list[int]]
    ledger: pd.DataFrame
    levels: np.ndarray
    quantiles: np.ndarray


def baseline_column(name: str) -> str:
    """Column of the pairs with the estimates of the baseline of this name."""
    return f"baseline_{name}"


def pair(
    estimates: pd.DataFrame,
    field: pd.DataFrame,
    trait: str,
    baselines: Sequence[Baseline],
    *,
    reasons: Mapping[int, str] | None = None,
    notes: Mapping[int, list[str]] | None = None,
) -> Pairs:
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
    if reasons is None:
        position = match(estimates, field, measured=data.column)[index]
    else:
        position = index
    pairs = _beside(data.rows, field, estimates, position, trait=trait)
    _add_baselines(pairs, field, data.rows, baselines, trait)
    _refuse_the_truth(pairs, trait)
    lost = _lost(pairs, position, index, reasons or {})
    known = pairs["estimate"].notna().to_numpy()
    if not known.any():
        raise InputError(f"estimates: expected a number in column {trait}, got none")
    levels, quantiles = _quantiles(estimates, trait, position)
    dropped = {k: v for k, v in (data.dropped | lost).items() if v}
    kept = pairs[known].reset_index(drop=True)
    rows, first, joined = _joined(kept)
    said = _notes(notes or {}, data.rows, joined)
    ledger = _ledger(field, dropped, said)
    table = quantiles[known][first]
    return Pairs(_scored(rows, levels, table), dropped, ledger, levels, table)


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
    for column in (c for c in FROM_MAP if c in estimates.columns and "map" in estimates.columns):
        pairs[column] = estimates[column].iloc[position].to_numpy()
    pairs["delta_days"] = _gap(pairs)
    for column in ("measured", "measured_std", "definition", "measured_as"):
        if column in rows:
            pairs[column] = rows[column].to_numpy()
    for suffix in ("", "_sd", "_p025", "_p975"):
        pairs[f"estimate{suffix}"] = _taken(estimates, f"{trait}{suffix}", position)
    quality = _taken(estimates, "quality", position)
    if not np.all(np.isnan(quality) | np.isin(quality, np.arange(2**16))):
        raise InputError("estimates: quality: expected whole numbers from 0 to 65535")
    pairs["quality"] = pd.array(quality, dtype="Int64")
    return pairs


def _gap(pairs: pd.DataFrame) -> np.ndarray:
    """Days from the measurement to the image, NaN where one date is missing."""
    if "delta_days" in pairs:
        return pd.to_numeric(pairs["delta_days"], errors="coerce").to_numpy(float)
    if not {"field_date", "image_date"} <= set(pairs.columns):
        return np.full(len(pairs), np.nan)
    return (days_of(pairs["image_date"]) - days_of(pairs["field_date"])).dt.days.to_numpy(float)


def _taken(estimates: pd.DataFrame, column: str, position: np.ndarray) -> np.ndarray:
    """Values of a column at the positions; NaN without the column or the row."""
    if column not in estimates.columns:
        return np.full(len(position), np.nan)
    return np.where(position == NONE, np.nan, estimates[column].to_numpy(float)[position])


def _add_baselines(
    pairs: pd.DataFrame,
    field: pd.DataFrame,
    rows: pd.DataFrame,
    baselines: Sequence[Baseline],
    trait: str,
) -> None:
    """Columns with the estimates of every baseline and, where it has them, its interval."""
    index = rows["row"].to_numpy()
    for baseline in baselines:
        if baseline.trait != trait:
            wanted = f"expected estimates of {trait}, got {baseline.trait}"
            raise UsageError(f"baseline {baseline.name}: {wanted}")
        found = baseline.predict(field.iloc[index], rows)
        column = baseline_column(baseline.name)
        pairs[column] = found.mean
        if found.lower is not None and found.upper is not None:
            pairs[f"{column}_p025"], pairs[f"{column}_p975"] = found.lower, found.upper


def _refuse_the_truth(pairs: pd.DataFrame, trait: str) -> None:
    """Refuse estimates that are the measurements themselves: a field table given as both."""
    both = pairs[pairs["estimate"].notna()]
    if len(both) > 1 and (both["estimate"] == both["measured"]).all():
        raise InputError(
            f"estimates: expected retrieved {trait}, got the measured values in every row; "
            "is this the field table itself?"
        )


def _lost(
    pairs: pd.DataFrame, position: np.ndarray, index: np.ndarray, reasons: Mapping[int, str]
) -> dict[str, list[int]]:
    """Rows without an estimate, by reason."""
    known = pairs["estimate"].notna().to_numpy()
    lost: dict[str, list[int]] = {}
    for row, there, has in zip(index + 1, position != NONE, known, strict=True):
        if not has:
            why = "no estimate (no data)" if there else "no matching row in the estimates"
            lost.setdefault(reasons.get(int(row), why), []).append(int(row))
    return lost


def _quantiles(
    estimates: pd.DataFrame, trait: str, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and quantiles that the estimates bring, ascending."""
    names = probabilistic.quantile_columns(estimates.columns, trait)
    columns = [_taken(estimates, name, position) for name in names.values()]
    table = np.stack(columns, axis=-1) if columns else np.empty((len(position), 0))
    return np.array(list(names)), table


def _joined(pairs: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, dict[int, list[int]]]:
    """Several measurements of one plot, day and method against one estimate become their mean.

    The uncertainty of the mean is that of a single one, taken as shared by all, and the standard
    error of their scatter in quadrature.
    """
    keys = ["site", "plot", "field_date"]
    kinds = [c for c in ("definition", "lai_method") if c in pairs]
    every = np.arange(len(pairs))
    named = all(k in pairs for k in keys) and (pairs["field_date"].astype(str) != "").all()
    same = [*keys, *kinds, "estimate"]
    again = pairs.duplicated(same, keep=False) if named else pd.Series(False, every)
    if not again.any():
        return pairs, every, {}
    group = pairs.groupby(same, sort=False, dropna=False).ngroup().to_numpy()
    first = np.array([int(np.flatnonzero(group == g)[0]) for g in dict.fromkeys(group)])
    rows, joined = pairs.iloc[first].reset_index(drop=True), {}
    for place, at in enumerate(first):
        members = pairs[group == group[at]]
        rows.loc[place, "measurements"] = len(members)
        if len(members) > 1:
            value = members["measured"]
            shared = (
                np.nanmean(members["measured_std"] ** 2)
                if members["measured_std"].notna().any()
                else 0.0
            )
            rows.loc[place, "measured"] = value.mean()
            rows.loc[place, "measured_std"] = np.sqrt(shared + value.var() / len(members))
            joined[int(members["row"].iloc[0])] = [int(r) for r in members["row"]]
    return rows, first, joined


def _scored(rows: pd.DataFrame, levels: np.ndarray, quantiles: np.ndarray) -> pd.DataFrame:
    """Pairs with their error, coverage and, where there are quantiles, PIT and CRPS."""
    rows = rows.copy()
    rows["error"] = rows["estimate"] - rows["measured"]
    ends = [rows[c].to_numpy(float) for c in ("measured", "estimate_p025", "estimate_p975")]
    rows["inside_95"] = probabilistic.coverage(*ends)
    for level in KEPT:
        column = f"estimate_{probabilistic.quantile_name(level)}"
        place = np.flatnonzero(np.isclose(levels, level, atol=1e-9))
        if column not in rows and len(place):
            rows[column] = quantiles[:, place[0]]
    if len(levels) >= 5:
        rows["pit"] = probabilistic.pit(ends[0], quantiles, levels)
    if probabilistic.even_steps(levels):
        rows["crps"] = probabilistic.crps(ends[0], quantiles, levels)
    return rows


def _notes(
    notes: Mapping[int, list[str]], rows: pd.DataFrame, joined: Mapping[int, list[int]]
) -> dict[int, list[str]]:
    """What is worth a look in rows that are used."""
    said = {row: list(texts) for row, texts in notes.items()}
    for row, value, spread in zip(
        rows["row"] + 1, rows["measured"], rows["measured_std"], strict=True
    ):
        if value == 0:
            said.setdefault(int(row), []).append("measured 0: bare ground, or not measured?")
        if not np.isfinite(spread):
            said.setdefault(int(row), []).append("no uncertainty of the measurement")
    for first, members in joined.items():
        for row in members:
            text = f"one of {len(members)} measurements, averaged as row {first}"
            said.setdefault(row, []).append(text)
    return said


def _ledger(
    field: pd.DataFrame, dropped: Mapping[str, list[int]], notes: Mapping[int, list[str]]
) -> pd.DataFrame:
    """Every row of the field table and what became of it."""
    why = {row: reason for reason, rows in dropped.items() for row in rows}
    number = np.arange(1, len(field) + 1)
    ledger = pd.DataFrame({"row": number, "used": [int(r not in why) for r in number]})
    ledger["reason"] = [why.get(int(r), "") for r in number]
    ledger["notes"] = ["; ".join(notes.get(int(r), [])) for r in number]
    for column in ("site", "plot", "field_date"):
        if column in field:
            ledger[column] = field[column].to_numpy()
    return ledger
