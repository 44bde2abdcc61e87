"""Published campaign tables as field tables: which column is what, as their documents name them.

Each reader takes the file as it is published and leaves the columns of `validation.field.table`;
rows that the campaign itself flags as bad lose their value and get a note.
`benchmarks/campaigns.md` says where the tables are found.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inversion.naming import listing
from inversion.readers.table import read
from inversion.readers.vector import read_vector
from physvae.errors import InputError, UsageError
from physvae.io.files import check_ordinary
from physvae.tables.cells import FILLS, MISSING
from validation.field.files import WGS84, Field, Reading, read_sheet, tidy
from validation.field.table import as_text

HIGH_IMPACT = 16
"""GBOV quality flags from which its documents advise against use (overexposure, colour, noise)."""


def read_campaign(path: str | Path, name: str, *, said: Reading | None = None) -> Field:
    """The field table of a published campaign.

    Parameters
    ----------
    path : str or Path
        The published file.
    name : str
        A key of `CAMPAIGNS`.
    said : Reading, optional
        What else is to be said (the reference system of eastings and northings).

    Raises
    ------
    InputError
        If the file is absent or lacks a column its documents name.
    UsageError
        If the campaign is unknown.
    """
    path = Path(path)
    if name not in CAMPAIGNS:
        raise UsageError(f"--campaign: expected one of {', '.join(CAMPAIGNS)}, got {name!r}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    check_ordinary(path, "a table")
    return CAMPAIGNS[name](path, said or Reading())


def frm4veg(path: Path, said: Reading) -> Field:
    """FRM4VEG (Barrax, Wytham Woods, Las Majadas): sheet GroundData, an ESU and method a row.

    Columns LAI, LAIeff, CCC (g m-2), FCOVER, FAPAR, each followed by its Uncertainty; Method (DHP
    and others, kept apart); Easting and Northing Coord. in degrees, or in metres with a reference
    system given; a date whose heading says dd/mm/yyyy is read so.
    """
    frame = _excel(path, said.sheet or "GroundData", skip=1)
    found = pd.DataFrame(index=frame.index)
    for ours, pattern in _FRM4VEG.items():
        place = _place(frame, pattern)
        if place is not None:
            found[ours] = frame.iloc[:, place]
            beside = place + 1
            name = str(frame.columns[beside]) if beside < frame.shape[1] else ""
            if ours in _VALUES and name.lower().startswith("uncertainty"):
                found[f"{ours}_std"] = frame.iloc[:, beside]
    if not _VALUES & set(found.columns):
        raise InputError(f"{path}: expected LAI, LAIeff or CCC, got {listing(frame.columns)}")
    if "lai" in found:
        found["lai_definition"] = "LAI"
    elif "lai_eff" in found:
        names = {"lai_eff": "lai", "lai_eff_std": "lai_std"}
        found = found.rename(columns=names).assign(lai_definition="LAIeff")
    day_first = any(re.fullmatch(r"date.*dd/mm/yyyy.*", str(c).lower()) for c in frame.columns)
    if day_first and said.date_format is None:
        said = replace(said, date_format="%d/%m/%Y")
    metres = "lon" in found and pd.to_numeric(found["lon"], errors="coerce").abs().max() > 360
    if metres:
        found = found.rename(columns={"lon": "x", "lat": "y"})
    return tidy(_sited(found, path), said, source=path.name)


_FRM4VEG = {
    "plot": r"(plot|esu)\b.*", "field_date": r"date.*", "lon": r"(easting|lon).*",
    "lat": r"(northing|lat).*", "lai": r"lai( \(.*\))?", "lai_eff": r"lai ?_?eff( \(.*\))?",
    "ccc": r"ccc \(.*", "fcover": r"f(cover|vc).*", "fapar": r"f(apar|ipar).*",
    "crop": r"(land ?cover|crop|species).*", "lai_method": r"method.*",
}  # fmt: skip
_VALUES = {"lai", "lai_eff", "ccc", "fcover", "fapar"}


def belsar(path: Path, said: Reading) -> Field:
    """BelSAR 2018 agriculture database: sheets BelSAR_wheat (PAI) and BelSAR_maize (GAI).

    One row a sample, several a field and day. BelSAR.kml, or the folders BELSAR_wheat_fields and
    BELSAR_maize_fields with a shapefile each, have the fields' outlines beside the file.
    """
    parts = []
    for crop, kind in (("wheat", "PAI"), ("maize", "GAI")):
        frame = _excel(path, f"BelSAR_{crop}", skip=1)
        missing = [c for c in ("Field ID", "Date", kind) if c not in frame]
        if missing:
            raise InputError(f"{path}: BelSAR_{crop}: expected {', '.join(missing)}, got none")
        columns = {"plot": frame["Field ID"].astype(str).str.strip(), "field_date": frame["Date"]}
        values = {"lai": frame[kind], "crop": crop, "lai_definition": kind}
        parts.append(pd.DataFrame(columns | values))
    table = pd.concat(parts, ignore_index=True).assign(site="BelSAR")
    return tidy(table, said, source=path.name, geometry=_outlines(path.parent, table["plot"]))


def _outlines(folder: Path, plots: pd.Series):
    """Outline of every row's field (WGS 84), None where there is no file of outlines."""
    import geopandas

    files = [*folder.glob("BelSAR.kml"), *folder.glob("BELSAR_*_fields/*.shp")]
    named: dict[str, Any] = {}
    for path in files:
        shapes = read_vector(path)
        names = shapes.get("Name", shapes.get("id"))
        if names is None or shapes.crs is None:
            raise InputError(f"{path}: expected outlines with Name or id and a reference system")
        places = shapes.geometry.to_crs(WGS84)
        named |= dict(zip(names.astype(str).str.strip(), places, strict=True))
    found: Any = [named.get(plot) for plot in plots]
    return geopandas.GeoSeries(found, crs=WGS84) if files else None


def gbov(path: Path, said: Reading) -> Field:
    """GBOV reference measurements RM07 (LAI from hemispherical photographs), V2 CSV.

    Overstorey (``_up``) and understorey (``_down``) add up, their errors in quadrature; Miller's
    method, else Warren's. Where a site has PAI and a modelled understorey, ``LAI_total_Miller``.
    """
    frame = _texts(path, said)
    missing = [c for c in ("TIME_IS", "Lat_IS", "Lon_IS", "PLOT_ID") if c not in frame]
    if missing:
        raise InputError(f"{path}: expected a GBOV RM07 table with {', '.join(missing)}")
    value, spread, method = _gbov_lai(frame, path)
    notes: dict[int, list[str]] = {}
    whole = np.isfinite(_number(frame, f"LAI_total_{method}")).any()
    for name in () if whole else (f"LAI_{method}_up", f"LAI_{method}_down"):
        for row in np.flatnonzero(np.isnan(_number(frame, name)) & np.isfinite(value)):
            text = _text(frame, name)[row]
            if text:
                value[row] = np.nan
            said_of = f"expected a number, got {text!r}" if text else "not measured, counted as 0"
            notes.setdefault(int(row) + 1, []).append(f"{name}: {said_of}")
    for flag in ("up_flag", "down_flag"):
        bits = _number(frame, flag)
        for row in np.flatnonzero(bits >= HIGH_IMPACT):
            value[row] = np.nan
            notes.setdefault(int(row) + 1, []).append(f"{flag} {bits[row]:g}: high impact")
    table = pd.DataFrame(
        {
            "site": frame.get("Site", pd.Series("GBOV", frame.index)),
            "plot": frame["PLOT_ID"],
            "field_date": frame["TIME_IS"],
            "lat": frame["Lat_IS"],
            "lon": frame["Lon_IS"],
            "biome": frame.get("IGBP", pd.Series("", frame.index)),
            "lai": value,
            "lai_std": spread,
            "lai_method": f"GBOV RM07 {method}",
            "lai_definition": "LAI",
        }
    )
    found = tidy(table, said, source=path.name)
    both = {k: notes.get(k, []) + found.notes.get(k, []) for k in notes | found.notes}
    return Field(found.rows, both)


def _gbov_lai(frame: pd.DataFrame, path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """LAI, its error and the method."""
    for method in ("Miller", "Warren"):
        total = f"LAI_total_{method}"
        if np.isfinite(_number(frame, total)).any():
            return _number(frame, total), _number(frame, f"PAI_{method}_err"), method
        names = [f"LAI_{method}_{side}" for side in ("up", "down")]
        names = [name for name in names if name in frame]
        if names:
            values = np.stack([_number(frame, name) for name in names])
            errors = np.stack([_number(frame, f"{name}_err") for name in names])
            known = np.isfinite(values).any(axis=0)
            squares = np.where(np.isfinite(values), errors, 0.0) ** 2
            spread = np.where(known, np.sqrt(squares.sum(axis=0)), np.nan)
            return np.where(known, np.nansum(values, axis=0), np.nan), spread, method
    got = listing(frame.columns)
    raise InputError(f"{path}: expected LAI_Miller_up or LAI_Warren_up, got {got}")


def neon(path: Path, said: Reading) -> Field:
    """NEON foliar traits DP1.10026.001, table cfc_LMA: dry matter and water of leaf samples.

    leafMassPerArea [g m-2] becomes cm [g cm-2]; (freshMass − dryMass) [g] over leafArea [mm2]
    becomes cw [cm]. The samples are leaves of single crowns, not the mean of a pixel. Their places
    come from cfc_fieldData.csv, if it stands beside the file, by sampleID.
    """
    frame = _texts(path, said)
    missing = [c for c in ("siteID", "collectDate", "leafMassPerArea") if c not in frame]
    if missing:
        raise InputError(f"{path}: expected a NEON cfc_LMA table with {', '.join(missing)}")
    area = _number(frame, "leafArea") / 100
    mass = _number(frame, "freshMass") - _number(frame, "dryMass")
    water = mass / np.where(area > 0, area, np.nan)
    plots = frame.get("plotID", frame.get("namedLocation", frame["siteID"]))
    table = pd.DataFrame(
        {
            "site": frame["siteID"],
            "plot": plots.str.split(".").str[0],
            "id": frame.get("sampleID", frame["siteID"]),
            "field_date": frame["collectDate"],
            "cm": _number(frame, "leafMassPerArea") * 1e-4,
            "cw": water,
        }
    )
    places = path.with_name("cfc_fieldData.csv")
    if "decimalLatitude" not in frame and "sampleID" in frame and places.is_file():
        beside = _texts(places, said)
        known = beside.drop_duplicates("sampleID").set_index("sampleID")
        frame = frame.join(known[["decimalLatitude", "decimalLongitude"]], on="sampleID")
    for ours, theirs in (("lat", "decimalLatitude"), ("lon", "decimalLongitude")):
        if theirs in frame:
            table[ours] = frame[theirs].fillna("")
    return tidy(table, said, source=path.name)


def _texts(path: Path, said: Reading) -> pd.DataFrame:
    """A table of any dialect, every cell as text, an empty one where it is missing."""
    return read(path, said.table).map(as_text)


def _number(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as numbers, NaN where there is none, a text, or a filling number."""
    if column not in frame:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
    return np.where(np.isin(values, FILLS), np.nan, values)


def _text(frame: pd.DataFrame, column: str) -> list[str]:
    """Cells of a column as texts, empty where nothing was measured."""
    cells = [str(c).strip()[:20] for c in frame.get(column, pd.Series("", frame.index))]
    fills = [f"{fill:g}" for fill in FILLS]
    return ["" if c.lower() in MISSING or c.removesuffix(".0") in fills else c for c in cells]


def _excel(path: Path, sheet: str, *, skip: int) -> pd.DataFrame:
    """A sheet below its title row; numbers as numbers, empty rows left out."""
    frame = read_sheet(path, replace(Reading(), sheet=sheet, skip_rows=skip))
    return frame.set_axis([str(c).strip() for c in frame.columns], axis=1).reset_index(drop=True)


def _place(frame: pd.DataFrame, pattern: str) -> int | None:
    """Position of the first column whose name matches."""
    names = [str(c).strip().lower() for c in frame.columns]
    return next((i for i, n in enumerate(names) if re.fullmatch(pattern, n)), None)


def _sited(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table with the file's name as its site, where it has none."""
    return table if "site" in table else table.assign(site=path.stem)


CAMPAIGNS: dict[str, Callable[[Path, Reading], Field]] = {
    "frm4veg": frm4veg,
    "belsar": belsar,
    "gbov": gbov,
    "neon": neon,
}
"""Readers by the name of `--campaign`."""
