"""Tables in, tables out: finds the columns, checks the cells, keeps everything else as it was."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from inversion.geometry import COLUMNS, fold
from inversion.kernel import (
    DEFAULT_VARIABLES,
    check_variables,
    estimate_names,
    load_model,
    retrieve_block,
)
from inversion.methods import check_method, estimator
from inversion.naming import angle_name, band_ids, listing
from inversion.radiometry import Radiometry, check_reflectance
from inversion.readers.declaration import Declaration
from physvae.errors import InputError

LOG = logging.getLogger(__name__)
MISSING = ("", "na", "nan", "n/a", "null", "none")
"""What an empty cell looks like, in any case."""
MAGNITUDE_MAX = 10.0
"""A magnitude of reflectance that no measurement has; a single one refuses the table."""


def retrieve_table(
    frame: pd.DataFrame,
    model: Any = "sentinel-2",
    variables: Sequence[str] = DEFAULT_VARIABLES,
    *,
    device: str = "auto",
    declaration: Declaration | None = None,
    source: str = "table",
    batch: int | None = None,
    method: str = "amortised",
    steps: int = 200,
) -> pd.DataFrame:
    """Estimate traits for every row of a table.

    Parameters
    ----------
    frame
        Columns named by the model's bands (``B2`` or ``B02``, ...) with reflectance 0-1, and
        perhaps `sun_zenith_deg`, `view_zenith_deg`, `relative_azimuth_deg` [degree]. An empty cell
        is missing; a missing column is allowed and said. All other columns pass through.
    model
        A shipped model's name, a model folder, or a loaded model.
    variables
        Traits and products wanted, of those the model has.
    device
        ``auto``, ``cpu`` or ``cuda``.
    declaration
        Scale, offset, no-data value and angles where the table does not give them.
    source
        The table's name in messages.
    method, steps
        One of `inversion.methods.METHODS`; `steps` is how long an iterative one goes on.

    Returns
    -------
    pandas.DataFrame
        The columns of `frame`, then for each variable its posterior mean, ``_sd``, ``_p025``
        and ``_p975``, then ``quality`` (uint16). A column of `frame` that bears the name of one
        of these comes back with ``_input`` added. Rows and index are those of `frame`.

    Raises
    ------
    InputError
        No band column, a column twice, a text or an impossible number in a cell, a wrong scale or
        offset.
    UsageError
        A variable that the model does not have.
    """
    declared = declaration or Declaration()
    loaded = load_model(model, device)
    wanted = check_variables(variables, loaded)
    reflectance = _reflectance(frame, loaded.bands, declared, source)
    angles = _angles(frame, loaded.angles, declared, source)
    if declared.check_radiometry:
        check_reflectance(reflectance, loaded.bands, source=source)
    check_method(method)
    used = estimator(loaded, method, steps, len(frame))
    block = retrieve_block(used, reflectance, angles, variables=wanted, batch=batch)
    estimates = pd.DataFrame(block.estimates, index=frame.index, columns=estimate_names(wanted))
    estimates["quality"] = block.quality
    return pd.concat([_set_aside(frame, list(estimates.columns)), estimates], axis=1)


def _set_aside(frame: pd.DataFrame, taken: Sequence[str]) -> pd.DataFrame:
    """Rename the columns that bear an output's name: ``lai`` becomes ``lai_input``."""
    names = [str(name) for name in frame.columns]
    held = set(names) | set(taken)
    renamed = []
    for name in names:
        new, count = name, 1
        while new in taken or (new != name and new in held):
            new = f"{name}_input" + (f"_{count}" if count > 1 else "")
            count += 1
        held.add(new)
        renamed.append(new)
    return frame.set_axis(renamed, axis=1)


def _reflectance(
    frame: pd.DataFrame, bands: Sequence[str], declared: Declaration, source: str
) -> np.ndarray:
    """Return the bands in the model's order [row, band], 0-1, NaN where missing."""
    columns = _band_columns(frame, bands, source)
    absent = [band for band in bands if band not in columns]
    if absent:
        LOG.warning("%s: no column %s; estimated from the rest", source, listing(absent))
    radiometry = Radiometry(
        scale=1.0 if declared.scale is None else declared.scale,
        offset=declared.offset or 0.0,
        nodata=declared.nodata,
    )
    reflectance = np.full((len(frame), len(bands)), np.nan)
    for index, band in enumerate(bands):
        if band in columns:
            stored = _numbers(frame[columns[band]], source)
            stored[stored == radiometry.nodata] = np.nan
            reflectance[:, index] = stored * radiometry.scale + radiometry.offset
    _check_magnitude(frame, reflectance, bands, columns, source)
    return reflectance


def _band_columns(frame: pd.DataFrame, bands: Sequence[str], source: str) -> dict[str, Any]:
    """Find the column of every band; refuse a table without any or with one twice."""
    columns: dict[str, Any] = {}
    ids = band_ids([str(name) for name in frame.columns], bands)
    for name, band in zip(frame.columns, ids, strict=True):
        if band is None or band not in bands:
            continue
        if band in columns:
            raise InputError(
                f"{source}: expected one column for band {band}, found {columns[band]} and {name}"
            )
        columns[band] = name
    if not columns:
        raise InputError(
            f"{source}: expected columns {listing(bands)}, found {listing(frame.columns)}"
        )
    return columns


def _numbers(column: pd.Series, source: str) -> np.ndarray:
    """Turn cells into numbers, empty ones into NaN; refuse text, naming its row."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        return column.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    text = column.astype("string").str.strip()
    empty = (text.isna() | text.str.lower().isin(MISSING)).to_numpy(dtype=bool)
    filled = pd.to_numeric(text.mask(empty), errors="coerce")
    numbers = filled.to_numpy(np.float64, na_value=np.nan).copy()
    wrong = np.isnan(numbers) & ~empty
    if wrong.any():
        row = int(wrong.argmax())
        hint = " (a decimal comma?)" if "," in str(text.iloc[row]) else ""
        raise InputError(
            f"{source}: expected a number or an empty cell in column {column.name} row {row + 1},"
            f" found {str(column.iloc[row])!r}{hint}"
        )
    return numbers


def _check_magnitude(
    frame: pd.DataFrame,
    reflectance: np.ndarray,
    bands: Sequence[str],
    columns: dict[str, Any],
    source: str,
) -> None:
    wrong = np.isfinite(reflectance) & (np.abs(reflectance) > MAGNITUDE_MAX)
    if wrong.any():
        row, index = (int(i) for i in np.argwhere(wrong)[0])
        column = columns[bands[index]]
        raise InputError(
            f"{source}: expected reflectance 0-1 in column {column} row {row + 1}, found"
            f" {frame[column].iloc[row]}; digital numbers need --scale (0.0001 for Sentinel-2)"
        )


def _angles(
    frame: pd.DataFrame, angles: Sequence[str], declared: Declaration, source: str
) -> np.ndarray:
    """Return the angles in the model's order [row, angle], degrees, NaN where not known."""
    found = {angle_name(str(name)): name for name in frame.columns if angle_name(str(name))}
    values = {name: _numbers(frame[column], source) for name, column in found.items()}
    if COLUMNS["psi"] not in values:
        values |= _azimuth_difference(frame, source)
    absent = [COLUMNS[a] for a in angles if COLUMNS[a] not in values]
    unknown = [name for name in absent if declared.angles[name] is None]
    if unknown:
        LOG.warning(
            "%s: no column %s; the model averages over what is missing", source, listing(unknown)
        )
    columns = []
    for angle in angles:
        name = COLUMNS[angle]
        value = values.get(name, np.full(len(frame), np.nan))
        given = declared.angles[name]
        columns.append(value if given is None else np.where(np.isnan(value), given, value))
    _check_degrees(columns[0], source)
    return np.stack(columns, axis=-1)


def _azimuth_difference(frame: pd.DataFrame, source: str) -> dict[str, np.ndarray]:
    """Return the relative azimuth where the table gives both azimuths instead."""
    if not {"sun_azimuth_deg", "view_azimuth_deg"} <= set(frame.columns):
        return {}
    sun = _numbers(frame["sun_azimuth_deg"], source)
    view = _numbers(frame["view_azimuth_deg"], source)
    return {COLUMNS["psi"]: fold(sun - view)}


def _check_degrees(sun_zenith: np.ndarray, source: str) -> None:
    """Refuse a column of sun zeniths that are plainly radians."""
    known = sun_zenith[np.isfinite(sun_zenith)]
    if known.size >= 5 and 0.1 < known.max() < np.pi / 2 and np.ptp(known) > 0:
        raise InputError(
            f"{source}: expected sun_zenith_deg in degrees, found {known.min():.3g} to"
            f" {known.max():.3g}, which looks like radians"
        )
