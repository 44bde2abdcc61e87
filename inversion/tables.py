"""Columns of a table as what a model takes: found, checked, everything else left alone."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from inversion.details import tell_table
from inversion.geometry import COLUMNS, fold
from inversion.kernel import (
    DEFAULT_VARIABLES,
    check_variables,
    estimate_names,
    load_model,
    retrieve_block,
)
from inversion.methods import check_method, estimator
from inversion.naming import (
    COMMON_NAMES,
    any_angle_name,
    band_id,
    band_ids,
    counted,
    listing,
)
from inversion.priors import check_priors, priors_of, tell_unknown
from inversion.radiometry import Radiometry, check_reflectance
from inversion.readers.declaration import Declaration
from inversion.readers.table import numbers_of
from physvae.errors import InputError, UsageError
from physvae.tables.cells import FILLS, MISSING
from physvae.tables.columns import check_declared, match, strangers
from rtm.dialect import quotable

__all__ = ["MISSING", "Columns", "Measured", "measured", "retrieve_table", "set_aside"]

LOG = logging.getLogger(__name__)
MAGNITUDE_MAX = 10.0
"""A magnitude of reflectance that no measurement has; a single one refuses the table."""
FILL_BELOW = -0.2
"""A reflectance below which a filling number is one, and not a dark pixel."""
CELLS = ", or an empty cell"


class Columns(NamedTuple):
    """A table: its columns' names, and the numbers of some of them, NaN where missing."""

    names: list[str]
    numbers: Callable[[Sequence[str]], dict[str, np.ndarray]]
    source: str


class Measured(NamedTuple):
    """What a model takes: reflectance [row, band] and angles [row, angle], NaN where missing."""

    reflectance: np.ndarray
    angles: np.ndarray


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
    prior: Any = None,
    prior_column: str | None = None,
) -> pd.DataFrame:
    """Estimate traits for every row of a table.

    Parameters
    ----------
    frame
        Columns named by the model's bands (``B2`` or ``B02``, ...) with reflectance 0-1, and
        perhaps `sun_zenith_deg`, `view_zenith_deg`, `relative_azimuth_deg` [degree] or their
        aliases (``sza``, ...). An empty cell is missing; a missing column is allowed and said. All
        other columns pass through.
    model
        A shipped model's name, a model folder, or a loaded model.
    variables
        Traits and products wanted, of those the model has.
    device
        ``auto``, ``cpu`` or ``cuda``.
    declaration
        Columns, scale, offset, no-data value and angles where the table does not give them.
    source
        The table's name in messages.
    method, steps
        One of `inversion.methods.METHODS`; `steps` is how long an iterative one goes on.
    prior
        In the place of the model's: a name (``"wheat"``), a file .toml, or priors by the values of
        `prior_column` (`inversion.priors`).
    prior_column
        Column that says which prior holds for a row; without `prior` it holds their names.

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
    check_method(method)
    priors = priors_of(prior, None if prior_column is None else "column")
    places = None
    if priors is not None and prior_column is not None:
        values = _texts(frame, prior_column, source)
        places = priors.of(values)
        tell_unknown(values, places, source)
    check_priors(priors, loaded, places)

    names = [str(name) for name in frame.columns]

    def numbers(wanted: Sequence[str]) -> dict[str, np.ndarray]:
        columns = {name: frame.iloc[:, names.index(name)] for name in wanted}
        return {name: numbers_of(column, source, CELLS) for name, column in columns.items()}

    found = measured(Columns(names, numbers, source), loaded, declared)
    used = estimator(loaded, method, steps, len(frame))
    block = retrieve_block(
        used, *found, variables=wanted, batch=batch, priors=priors, places=places
    )
    estimates = pd.DataFrame(block.estimates, index=frame.index, columns=estimate_names(wanted))
    estimates["quality"] = block.quality
    own = frame.set_axis(set_aside(names, list(estimates.columns)), axis=1)
    return pd.concat([own, estimates], axis=1)


def _texts(frame: pd.DataFrame, column: str, source: str) -> list[str]:
    """The cells of a column as texts, empty ones as such."""
    if column not in frame.columns:
        raise InputError(no_column(column, [str(name) for name in frame.columns], source))
    cells = frame[column]
    return ["" if pd.isna(cell) else str(cell) for cell in cells]


def no_column(column: str, names: Sequence[str], source: str) -> str:
    """What to say where the column of priors is not there."""
    return f"{source}: expected the column {column} of priors, found {listing(quotable([*names]))}"


def set_aside(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Rename the columns that bear an output's name: ``lai`` becomes ``lai_input``."""
    outputs = set(taken)
    held = {*names, *outputs}
    renamed = []
    for name in names:
        new, count = name, 1
        while new in outputs or (new != name and new in held):
            new = f"{name}_input" + (f"_{count}" if count > 1 else "")
            count += 1
        held.add(new)
        renamed.append(new)
    return renamed


def measured(table: Columns, model: Any, declared: Declaration) -> Measured:
    """Find, read and check what the model takes.

    Raises
    ------
    InputError, UsageError
        As `retrieve_table`.
    """
    bands, angles = _found(table, model, declared)
    values = table.numbers([*bands.values(), *angles.values()])
    reflectance = _reflectance(values, bands, model.bands, declared, table.source)
    geometry = {name: _without_fills(values[column]) for name, column in angles.items()}
    if declared.check_radiometry:
        check_reflectance(reflectance, model.bands, source=table.source)
    _tell(table, model, declared, bands, angles)
    absent = np.full(len(reflectance), np.nan)
    return Measured(reflectance, _angles(geometry, model.angles, declared, absent, table.source))


def _found(table: Columns, model: Any, declared: Declaration) -> tuple[dict, dict]:
    """The columns of bands and of angles, by our names."""
    bands = tuple(model.bands)
    ids = dict(zip(table.names, band_ids(table.names, bands), strict=True))

    def band(name: str) -> str | None:
        found = ids[name] if name in ids else band_id(name, bands)
        return found if found in bands else None

    check_declared(declared.columns, (band, any_angle_name), f"{listing(bands)} or an angle")
    columns = {**_counted(table, declared, bands), **declared.columns}
    found = match(table.names, band, columns, table.source)
    if not found:
        raise InputError(_no_bands(table, bands))
    return found, match(table.names, any_angle_name, declared.columns, table.source)


def _counted(table: Columns, declared: Declaration, bands: Sequence[str]) -> dict[str, str]:
    """The columns that only count, by the names that the user gives them in their order."""
    if declared.bands is None:
        return {}
    count = sorted(counted(table.names), key=lambda name: int("".join(filter(str.isdigit, name))))
    if len(count) != len(declared.bands):
        raise UsageError(
            f"--bands: expected as many names as {table.source} has columns Band 1, Band 2, ...,"
            f" got {len(declared.bands)} for {len(count)}; name others with --column B2=NAME"
        )
    named = zip(declared.bands, count, strict=True)
    return {band: column for band, column in named if band_id(band, bands) in bands}


def _no_bands(table: Columns, bands: Sequence[str]) -> str:
    if count := counted(table.names):
        return (
            f"{table.source}: expected columns {listing(bands)}, found {len(count)} that only"
            " count; name them in their order with --bands B2,B3,..."
        )
    found = (
        listing(quotable(table.names)) if len(table.names) > 1 else "one column of another name"
    )
    return f"{table.source}: expected columns {listing(bands)}, found {found}"


def _tell(
    table: Columns,
    model: Any,
    declared: Declaration,
    bands: dict[str, str],
    angles: dict[str, str],
) -> None:
    """Say which columns are missing, and which are named nearly as they should be."""
    source = table.source
    used, found = {*bands.values(), *angles.values()}, {*bands, *angles}
    ids = dict(zip(table.names, band_ids(table.names, model.bands), strict=True))
    rest = [name for name in table.names if name not in used and ids[name] is None]
    known = {text: ours for text, ours in _spellings(model).items() if ours not in found}
    for sentence in strangers(rest, known, source, strict=declared.strict):
        LOG.warning("%s", sentence)
    absent = [band for band in model.bands if band not in bands]
    tell_table(bands, angles, declared)
    if absent:
        LOG.warning("%s: no column %s; estimated from the rest", source, listing(absent))
    there = {*angles}
    if {"sun_azimuth_deg", "view_azimuth_deg"} <= there:
        there.add(COLUMNS["psi"])
    unknown = [
        name
        for name in (COLUMNS[angle] for angle in model.angles)
        if name not in there and declared.angles[name] is None
    ]
    if unknown:
        LOG.warning(
            "%s: no column %s; the model averages over what is missing", source, listing(unknown)
        )


def _spellings(model: Any) -> dict[str, str]:
    """Our names by every spelling in lower case."""
    known = {band.lower(): band for band in model.bands}
    for band in model.bands:
        if band[1:].rstrip("A").isdigit():
            known[f"b{band[1:].lower().zfill(2 + band.endswith('A'))}"] = band
    series = getattr(model, "sensor", "") or ""
    for key, names in COMMON_NAMES.items():
        if series.startswith(key):
            known |= {name: band for name, band in names.items() if band in model.bands}
    for name in COLUMNS.values():
        known |= {name: name, name.removesuffix("_deg"): name}
    return known


def _reflectance(
    values: Mapping[str, np.ndarray],
    columns: Mapping[str, str],
    bands: Sequence[str],
    declared: Declaration,
    source: str,
) -> np.ndarray:
    """The bands in the model's order [row, band], 0-1, NaN where missing."""
    radiometry = Radiometry(
        scale=1.0 if declared.scale is None else declared.scale,
        offset=declared.offset or 0.0,
        nodata=declared.nodata,
    )
    rows = len(next(iter(values.values())))
    reflectance = np.full((rows, len(bands)), np.nan)
    filled = 0
    for index, band in enumerate(bands):
        if band in columns:
            stored = values[columns[band]]
            scaled = stored * radiometry.scale + radiometry.offset
            fill = np.isin(stored, FILLS) & (scaled < FILL_BELOW)
            filled += int(fill.sum())
            reflectance[:, index] = np.where(fill | (stored == radiometry.nodata), np.nan, scaled)
    _check_magnitude(reflectance, bands, columns, source)
    if filled:
        LOG.warning("%s: %d cells hold -9999 or its like, which is no data", source, filled)
    return reflectance


def _without_fills(angle: np.ndarray) -> np.ndarray:
    return np.where(np.isin(angle, FILLS), np.nan, angle)


def _check_magnitude(
    reflectance: np.ndarray, bands: Sequence[str], columns: Mapping[str, str], source: str
) -> None:
    wrong = np.isfinite(reflectance) & (np.abs(reflectance) > MAGNITUDE_MAX)
    if wrong.any():
        row, index = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{source}: expected reflectance 0-1 in column {columns[bands[index]]} row {row + 1},"
            f" found {reflectance[row, index]:g}; digital numbers need --scale (0.0001 for"
            " Sentinel-2)"
        )


def _angles(
    values: Mapping[str, np.ndarray],
    angles: Sequence[str],
    declared: Declaration,
    absent: np.ndarray,
    source: str,
) -> np.ndarray:
    """The angles in the model's order [row, angle], degrees, NaN where not known."""
    known = dict(values)
    azimuths = [known.get(name) for name in ("sun_azimuth_deg", "view_azimuth_deg")]
    if COLUMNS["psi"] not in known and azimuths[0] is not None and azimuths[1] is not None:
        known[COLUMNS["psi"]] = fold(azimuths[0] - azimuths[1])
    columns = []
    for angle in angles:
        name = COLUMNS[angle]
        given = declared.angles[name]
        value = known.get(name, absent)
        columns.append(value if given is None else np.where(np.isnan(value), given, value))
    _check_degrees(columns[0], source)
    return np.stack(columns, axis=-1)


def _check_degrees(sun_zenith: np.ndarray, source: str) -> None:
    """Refuse a column of sun zeniths that are plainly radians."""
    known = sun_zenith[np.isfinite(sun_zenith)]
    if known.size >= 5 and 0.1 < known.max() < np.pi / 2 and np.ptp(known) > 0:
        raise InputError(
            f"{source}: expected sun_zenith_deg in degrees, found {known.min():.3g} to"
            f" {known.max():.3g}, which looks like radians"
        )
