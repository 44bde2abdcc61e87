"""The field table: one row a plot and date, with what was measured there.

| column | unit | |
|---|---|---|
| a measured trait: `lai`, `ccc_g_m2`, `cab_ug_cm2`, `fapar`, ... | see `MEASURED` | required |
| `<measured column>_std` | the same | standard deviation of the measurement, optional |
| `<measured column>_method_std` | the same | of the method; the two add in quadrature |
| `lai_method`, `lai_definition` | text | see `validation.field.definitions` |
| `clumping_index`, `green_fraction` (and `_std`) | - | convert effective and plant area |
| `site`, `plot`, `crop`, `biome` | text | optional; no `site`: one site "all" |
| `field_date`, `image_date` | date | optional |
| `lat`, `lon` | degree, WGS 84 | optional |
| `B2` ... `B12`, `sun_zenith_deg`, ... | 0-1, degree | needed for retrieval and baselines |

Numbers have a decimal point. An empty cell (or NA, NaN, null, none) is missing. A text in a
number's column is refused by row and column; a row without a measured value is left out and
counted with its reason. Rows are counted from 1, the header not included.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.readers.table import read
from physvae.errors import InputError, UsageError
from physvae.tables.cells import MISSING
from validation.field.definitions import converted, definitions

MEASURED = {
    "lai": ("lai",),
    "cab": ("cab", "cab_ug_cm2"),
    "car": ("car", "car_ug_cm2"),
    "cw": ("cw", "cw_cm", "cw_g_cm2"),
    "cm": ("cm", "cm_g_cm2"),
    "ccc": ("ccc", "ccc_g_m2"),
    "cwc": ("cwc", "cwc_g_m2"),
    "fapar": ("fapar",),
    "fcover": ("fcover",),
}
"""Columns in which a trait may be measured, by trait; every unit is the one of the outputs."""

WHOLE = "all"
"""The name of the one site of a table without a `site` column."""

_NUMERIC = re.compile(
    r"B(\d{1,2}|8A)|lat|lon|x|y|quality|clumping_index|green_fraction|"
    r".*_(deg|std|sd|p\d{3}|input)|"
    + "|".join(name for names in MEASURED.values() for name in names)
)


class FieldData(NamedTuple):
    """The rows that can be compared, and what became of the others."""

    rows: pd.DataFrame
    """`row` (position in the table, from 0), `site`, `measured`, `measured_std`, and for LAI
    `definition` and `measured_as`, the value before a conversion."""
    column: str
    """The measured column."""
    dropped: dict[str, list[int]]
    """Rows left out, by reason; counted from 1."""


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table (CSV, Excel, Parquet): numbers as float64, everything else as text.

    Raises
    ------
    InputError
        If the file is absent, unreadable or empty, or if a cell of a number's column is a text.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    frame = read(path)
    return parse_numbers(frame, source=path.name)


def parse_numbers(frame: pd.DataFrame, *, source: str = "table") -> pd.DataFrame:
    """Turn the columns that hold numbers into float64, the empty cells into NaN.

    Parameters
    ----------
    frame : DataFrame
        Cells of text or of numbers.
    source : str
        What the messages call the table.

    Raises
    ------
    InputError
        If a cell of a known number's column (bands, angles, traits) is no finite number.
    """
    columns = {}
    for position, name in enumerate(frame.columns):
        cells = frame.iloc[:, position]
        if str(name) in columns:
            raise InputError(f"{source}: expected one column {name}, got two")
        must = _NUMERIC.fullmatch(str(name)) is not None
        columns[str(name)] = _numbers(cells, must=must, where=f"column {name}", source=source)
    return pd.DataFrame(columns, index=frame.index)


def _numbers(cells: pd.Series, *, must: bool, where: str, source: str) -> pd.Series:
    """One column as numbers, or unchanged where it is a text that need not be a number."""
    if cells.dtype == np.float64 and not np.isinf(cells.to_numpy()).any():
        return cells
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return cells
    if not pd.api.types.is_numeric_dtype(cells):
        text = cells.astype("string").str.strip()
        missing = (text.isna() | text.str.lower().isin(MISSING)).to_numpy(bool)
        numbers = pd.to_numeric(text.mask(missing), errors="coerce")
        values = numbers.to_numpy(float, na_value=np.nan)
    else:
        values = cells.to_numpy(float, na_value=np.nan)
        missing = np.isnan(values)
    wrong = np.flatnonzero(~missing & ~np.isfinite(values))
    if not len(wrong) and (must or not missing.all()):
        return pd.Series(values, index=cells.index)
    if not must:
        return cells
    cell = str(cells.iloc[wrong[0]])[:40]
    hint = " (a decimal comma? then --decimal ,)" if "," in cell else ""
    raise InputError(
        f"{source}, row {wrong[0] + 1}, {where}: expected a finite number or an empty cell, "
        f"got {cell!r}{hint}"
    )


def measured_column(frame: pd.DataFrame, trait: str) -> str:
    """Name of the column in which `trait` was measured.

    Raises
    ------
    UsageError
        If nobody can measure the trait (it is not in `MEASURED`).
    InputError
        If the table has no such column, or two.
    """
    if trait not in MEASURED:
        raise UsageError(f"trait: expected one of {', '.join(MEASURED)}, got {trait!r}")
    found = [name for name in MEASURED[trait] if name in frame.columns]
    if len(found) == 1:
        return found[0]
    wanted = " or ".join(MEASURED[trait])
    got = " and ".join(found) if found else "columns " + ", ".join(map(str, frame.columns))
    raise InputError(f"field table: expected one measured column {wanted}, got {got}")


def select(frame: pd.DataFrame, trait: str) -> FieldData:
    """Rows of the field table with a usable measured value of one trait.

    Parameters
    ----------
    frame : DataFrame
        The field table.
    trait : str
        One of `MEASURED`.

    Raises
    ------
    InputError
        If no row has a usable value.
    """
    frame = parse_numbers(frame, source="field table")
    column = measured_column(frame, trait)
    value = frame[column].to_numpy(float)
    reasons = {f"no measured {column}": np.isnan(value), f"measured {column} below 0": value < 0}
    reasons["the same row twice"] = _repeated(frame) & ~np.any(list(reasons.values()), axis=0)
    keep = ~np.any(list(reasons.values()), axis=0)
    if not keep.any():
        raise InputError(f"field table: expected a measured value in column {column}, got none")
    named = {"row": np.arange(len(frame)), "site": site_names(frame)}
    rows = pd.DataFrame(named | _measured(frame, column, trait))[keep].reset_index(drop=True)
    return FieldData(rows, column, {k: rows_of(v) for k, v in reasons.items() if v.any()})


def _measured(frame: pd.DataFrame, column: str, trait: str) -> dict[str, np.ndarray]:
    """Measured values, their standard uncertainty and, for LAI, what exactly they are."""
    value, spread = frame[column].to_numpy(float), uncertainty(frame, column)
    if trait != "lai":
        return {"measured": value, "measured_std": spread}
    kind = definitions(frame).to_numpy(object)
    changed, wide, now = converted(value, spread, kind, frame)
    parts = {"measured": changed, "measured_std": wide, "definition": now}
    return parts | ({"measured_as": value} if (now != kind).any() else {})


def uncertainty(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Standard uncertainty of a measured column: its spread and its method's, in quadrature."""
    parts = [c for c in (f"{column}_std", f"{column}_method_std") if c in frame.columns]
    if not parts:
        return np.full(len(frame), np.nan)
    table = frame[parts].to_numpy(float)
    known = np.isfinite(table) & (table >= 0)
    total = np.sqrt(np.where(known, table, 0.0) ** 2 @ np.ones(len(parts)))
    return np.where(known.any(axis=1), total, np.nan)


def _repeated(frame: pd.DataFrame) -> np.ndarray:
    """Rows that say in every column what an earlier one said, where rows have names."""
    if not {"plot", "id"} & set(frame.columns):
        return np.zeros(len(frame), bool)
    return frame.drop(columns="geometry", errors="ignore").duplicated().to_numpy()


def rows_of(mask: np.ndarray) -> list[int]:
    """Row numbers, from 1, where a mask is true."""
    return [int(row) + 1 for row in np.flatnonzero(mask)]


def site_names(frame: pd.DataFrame) -> np.ndarray:
    """Site of every row as text; one site "all" without the column, "unnamed" for empty cells."""
    if "site" not in frame.columns:
        return np.full(len(frame), WHOLE, dtype=object)
    text = frame["site"].map(as_text)
    return text.where(text != "", "unnamed").to_numpy(object)


def as_text(cell: object) -> str:
    """A cell as the text by which two tables can be matched: 3.0 is "3", midnight is a date."""
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip().removesuffix(" 00:00:00")
