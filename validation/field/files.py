"""Field data as people keep them: CSV, Excel, Parquet, GeoPackage, shapefile, GeoJSON.

Whatever comes in leaves as the one field table of `validation.field.table`, with a note for every
cell that was changed or could not be used. Nothing is guessed: what a file does not say
(coordinate reference system, unit, order of day and month) is asked for by an option.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from inversion.naming import any_angle_name, band_id, listing
from inversion.readers.table import read
from inversion.readers.vector import read_vector
from physvae.errors import InputError, UsageError
from physvae.tables import sheets
from physvae.tables.cells import FILLS
from physvae.tables.columns import strangers
from physvae.tables.reader import TableOptions
from validation.field import table, units
from validation.field.dates import parse_dates

LOG = logging.getLogger(__name__)
VECTOR = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".kml", ".zip")
WGS84 = "EPSG:4326"
SHORT = 10
"""Letters of a column's name that a shapefile keeps."""
ALIASES = {
    "latitude": "lat", "lon_wgs84": "lon", "longitude": "lon", "lng": "lon", "lat_wgs84": "lat",
    "easting": "x", "northing": "y", "date": "field_date", "plot_id": "plot", "esu": "plot",
    "fvc": "fcover", "lai_cab": "ccc", "lai_cw": "cwc", "chl": "cab", "lma": "cm", "cdm": "cm",
    "ewt": "cw", "crop_type": "crop", "landcover": "crop", "land_cover": "crop",
}  # fmt: skip
"""Our name of a column by what else it is called, in lower case."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a user says about a field table that does not say it itself.

    Attributes
    ----------
    crs : str, optional
        Coordinate reference system of columns x and y, or of a vector file without one.
    decimal : str, optional
        ``,`` or ``.``; without it a comma is a decimal only where columns are parted by ; or tab.
    date_format : str, optional
        The order, ``dmy``, ``mdy`` or ``ymd``, or as in strptime, ``%d/%m/%Y``.
    units : mapping of str to str
        Unit of a measured trait, by trait.
    columns : mapping of str to str
        The file's name of a column, by ours.
    sheet, layer : str, optional
        Part of an Excel or a vector file.
    skip_rows : int
        Rows above the header of an Excel file.
    missing : tuple of float
        Numbers that mean "not measured".
    strict : bool
        Whether columns that are not understood are refused.
    """

    crs: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None
    layer: str | None = None
    skip_rows: int = 0
    missing: tuple[float, ...] = FILLS
    strict: bool = False

    @property
    def table(self) -> TableOptions:
        """What is said of how the table is written."""
        return TableOptions(decimal=self.decimal, sheet=self.sheet, skip_rows=self.skip_rows)


class Field(NamedTuple):
    """A field table and what is to be said about its rows."""

    rows: pd.DataFrame
    """The table of `validation.field.table`; vector files keep their `geometry` (WGS 84)."""
    notes: dict[int, list[str]]
    """What was changed or could not be used, by row from 1."""


def read_field(path: str | Path, said: Reading | None = None) -> Field:
    """Read a field table of any supported kind.

    Raises
    ------
    InputError
        If the file is absent, unreadable or empty, a number's cell is a text, coordinates have no
        reference system, or a named column is absent.
    UsageError
        If a unit, column or reference system of `said` is unknown.
    """
    path, said = Path(path), said or Reading()
    if not path.exists():
        raise InputError(f"{path}: no such file")
    geometry = None
    if path.suffix.lower() in VECTOR:
        frame, geometry = _vector(path, said)
    else:
        frame = read(path, said.table)
    return tidy(frame, said, source=path.name, geometry=geometry)


def tidy(frame: pd.DataFrame, said: Reading, *, source: str, geometry: Any = None) -> Field:
    """Bring columns, numbers, units, dates and places of a table into our form."""
    frame = _renamed(frame.reset_index(drop=True), said.columns, source)
    _tell_strangers(frame, said, source)
    frame = table.parse_numbers(frame, source=source)
    notes: dict[int, list[str]] = {}
    frame = _without_fill(frame, said.missing, notes)
    frame = _in_our_units(frame, said.units)
    for column in ("field_date", "image_date"):
        if column in frame:
            frame[column], wrong = parse_dates(frame[column], said.date_format)
            for row, text in wrong.items():
                notes.setdefault(row + 1, []).append(f"{column}: expected a date, got {text}")
    frame = _placed(frame, said.crs, geometry, notes, source=source)
    return Field(frame, notes)


def read_sheet(path: Path, said: Reading) -> pd.DataFrame:
    """One sheet of an Excel file, its cells as texts; the second of one name ends in .1."""
    table = sheets.read_sheet(path, said.sheet, said.skip_rows)
    names: list[str] = []
    for name in table.column_names:
        count = sum(other.partition(".")[0] == name for other in names)
        names.append(f"{name}.{count}" if name in names else name)
    return table.rename_columns(names).to_pandas()


def _vector(path: Path, said: Reading) -> tuple[pd.DataFrame, Any]:
    """Attributes and WGS 84 geometries of a vector file."""
    shapes = read_vector(path, said.layer)
    if "geometry" not in shapes or shapes.geometry.isna().all():
        raise InputError(f"{path}: expected points or polygons, got none")
    if shapes.crs is None:
        if said.crs is None:
            raise InputError(
                f"{path}: expected a coordinate reference system, got none (give --crs EPSG:...)"
            )
        shapes = shapes.set_crs(crs(said.crs))
    geometry = shapes.geometry.to_crs(WGS84).reset_index(drop=True)
    frame = pd.DataFrame(shapes.drop(columns="geometry"))
    return (_whole_names(frame) if path.suffix.lower() in (".shp", ".zip") else frame), geometry


def _whole_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Our names in the place of what ten letters, all that a shapefile keeps, leave of them."""
    short = {
        name[:SHORT]: name for name in _OURS if len(name) > SHORT and name[:SHORT] not in _OURS
    }
    return frame.rename(columns=lambda name: short.get(str(name).lower(), name))


def crs(text: str) -> Any:
    """The coordinate reference system of a text.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    from rasterio import Env
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        with Env():  # keeps the library's own words off the terminal
            return CRS.from_user_input(text)
    except CRSError:
        raise UsageError(f"--crs: expected a code such as EPSG:32632, got {text!r}") from None


def _renamed(frame: pd.DataFrame, columns: Mapping[str, str], source: str) -> pd.DataFrame:
    """The table under our names: those the user gave, then known other spellings."""
    found = [str(name) for name in frame.columns]
    for ours, theirs in columns.items():
        if theirs not in found:
            raise InputError(f"{source}: expected a column {theirs}, got {listing(found)}")
        if ours in found and ours != theirs:
            found[found.index(ours)] = f"{ours}_original"
        found[found.index(theirs)] = ours
    for place, name in enumerate(found):
        lower = name.strip().lower()
        ours = ALIASES.get(lower, lower if lower in _OURS else any_angle_name(name))
        if ours and ours not in found:
            found[place] = ours
    return frame.set_axis(found, axis=1)


def _tell_strangers(frame: pd.DataFrame, said: Reading, source: str) -> None:
    """Say which columns are named nearly as ours, or refuse what is not understood."""
    bands = (*(f"B{n}" for n in range(1, 13)), "B8A")
    known = {name.lower(): name for name in (*_OURS, *bands)}
    rest = [
        str(name)
        for name in frame.columns
        if str(name) not in _OURS and not band_id(str(name)) and not _OUTPUT.fullmatch(str(name))
    ]
    for sentence in strangers(rest, known, source, strict=said.strict):
        LOG.warning("%s", sentence)


_OUTPUT = re.compile(r".*_(sd|std|p\d{3}|input|original|spread)(_\d+)?")


_OURS = {
    "lat", "lon", "x", "y", "site", "plot", "crop", "biome", "field_date", "image_date",
    "lai_method", "lai_definition", "clumping_index", "green_fraction",
    "sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg",
    *(name for names in table.MEASURED.values() for name in names),
    *(f"{name}_std" for names in table.MEASURED.values() for name in names),
}  # fmt: skip


def _without_fill(
    frame: pd.DataFrame, missing: tuple[float, ...], notes: dict[int, list[str]]
) -> pd.DataFrame:
    """NaN in place of the numbers that mean "not measured"."""
    for column in (c for c in frame.columns if frame[c].dtype.kind == "f"):
        gone = frame[column].isin(missing)
        if gone.any():
            for row in table.rows_of(gone.to_numpy()):
                notes.setdefault(row, []).append(
                    f"{column}: {frame[column][row - 1]:g} is no data"
                )
            frame[column] = frame[column].mask(gone)
    return frame


def _in_our_units(frame: pd.DataFrame, declared: Mapping[str, str]) -> pd.DataFrame:
    """Measured columns in our units, where another one was declared."""
    for trait, unit in declared.items():
        if trait not in table.MEASURED:
            known = ", ".join(table.MEASURED)
            raise UsageError(f"--unit: expected a trait of {known}, got {trait!r}")
        by = units.factor(trait, unit)
        for name in table.MEASURED[trait]:
            for column in (name, f"{name}_std", f"{name}_method_std"):
                if column in frame:
                    frame[column] = frame[column] * by
    return frame


def _placed(
    frame: pd.DataFrame,
    said_crs: str | None,
    geometry: Any,
    notes: dict[int, list[str]],
    *,
    source: str,
) -> pd.DataFrame:
    """Latitude and longitude of every row, from geometries or from x and y."""
    import geopandas

    if geometry is not None:
        centres = geometry.representative_point()
        return frame.assign(lat=centres.y.to_numpy(), lon=centres.x.to_numpy(), geometry=geometry)
    if {"x", "y"} <= set(frame.columns) and not {"lat", "lon"} <= set(frame.columns):
        if said_crs is None:
            raise InputError(
                f"{source}: expected the coordinate reference system of the columns x and y, "
                "got none (give --crs EPSG:...)"
            )
        xy = [pd.to_numeric(frame[axis], errors="coerce") for axis in "xy"]
        points = geopandas.GeoSeries.from_xy(*xy, crs=crs(said_crs)).to_crs(WGS84)
        known = np.isfinite(points.x) & np.isfinite(points.y)
        frame = frame.assign(lat=points.y.where(known), lon=points.x.where(known))
    if {"lat", "lon"} <= set(frame.columns):
        wrong = (frame["lat"].abs() > 90) | (frame["lon"].abs() > 360)
        for row in table.rows_of(wrong.to_numpy()):
            at = f"{frame['lat'][row - 1]:g}, {frame['lon'][row - 1]:g}"
            notes.setdefault(row, []).append(f"lat, lon: expected degrees, got {at}")
        frame = frame.assign(**{a: frame[a].mask(wrong) for a in ("lat", "lon")})
    return frame
