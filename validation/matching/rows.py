"""Which estimate belongs to which field row.

Two tables match, in this order of preference:
1. row by row, if both are equally long and agree in every column of `KEYS` they share and in the
   measured value that `physvae retrieve` passed through as `<column>_input`;
2. by the columns of `KEYS` they share, if these name every estimate once; several measurements of
   one plot on one day share its estimate.
"""

from datetime import date

import numpy as np
import pandas as pd

from physvae.errors import InputError
from validation.field.dates import parse_date
from validation.field.table import as_text

KEYS = ("id", "site", "plot", "field_date", "image_date")
NONE = -1


def match(estimates: pd.DataFrame, field: pd.DataFrame, *, measured: str) -> np.ndarray:
    """Position of the estimate of every field row, -1 where there is none.

    Parameters
    ----------
    estimates, field : DataFrame
    measured : str
        The measured column of the field table.

    Raises
    ------
    InputError
        If the tables share no key, if a key names two rows, or if no row matches.
    """
    keys = [key for key in KEYS if key in estimates.columns and key in field.columns]
    ours, theirs = _names(field, keys), _names(estimates, keys)
    if _same_rows(estimates, field, measured=measured, keys=keys) and ours == theirs:
        return np.arange(len(field))
    if not keys:
        raise InputError(
            f"estimates: expected the field table's rows in order with {measured}_input, or one "
            f"of the columns {', '.join(KEYS)} in both tables, got {len(estimates)} estimates "
            f"for {len(field)} field rows"
        )
    if not {"plot", "field_date"} <= set(keys):
        _refuse_duplicates(ours, keys, "field table")
    _refuse_duplicates(theirs, keys, "estimates")
    place = {name: position for position, name in enumerate(theirs)}
    positions = np.array([place.get(name, NONE) for name in ours], dtype=int)
    if np.all(positions == NONE):
        raise InputError(
            f"estimates: expected rows that share {', '.join(keys)} with the field table, got "
            f"none (field: {' '.join(ours[0])}; estimates: {' '.join(theirs[0])})"
        )
    return positions


def _same_rows(
    estimates: pd.DataFrame, field: pd.DataFrame, *, measured: str, keys: list[str]
) -> bool:
    """Whether the estimates look like the field table retrieved row by row."""
    if len(estimates) != len(field):
        return False
    if f"{measured}_input" not in estimates.columns:
        return bool(keys)
    passed = pd.to_numeric(estimates[f"{measured}_input"], errors="coerce").to_numpy(float)
    given = pd.to_numeric(field[measured], errors="coerce").to_numpy(float)
    return bool(np.allclose(passed, given, rtol=1e-6, atol=1e-9, equal_nan=True))


def _names(frame: pd.DataFrame, keys: list[str]) -> list[tuple[str, ...]]:
    """The key of every row, with numbers in one spelling (01, 1 and 1.0 are the same plot)."""
    columns = [[_canonical(as_text(cell), key) for cell in frame[key]] for key in keys]
    return list(zip(*columns, strict=True)) if keys else [()] * len(frame)


def _canonical(text: str, key: str) -> str:
    """One spelling of a whole number or a date; any other text unchanged.

    The apostrophe that our own tables put before a text like -1_137, so that no spreadsheet runs
    it, is no part of the name.
    """
    text = text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text
    if key.endswith("_date"):
        day = parse_date(text)
        return day.isoformat() if isinstance(day, date) else text
    try:
        number = float(text.replace("_", "x"))  # Python reads 1_137 as a number, nobody else does
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _refuse_duplicates(names: list[tuple[str, ...]], keys: list[str], table: str) -> None:
    """Refuse a table in which one key names two rows."""
    seen: dict[tuple[str, ...], int] = {}
    for row, name in enumerate(names, start=1):
        if name in seen:
            raise InputError(
                f"{table}: expected one row for each {', '.join(keys)}, got rows {seen[name]} and "
                f"{row} both with {' '.join(name)}"
            )
        seen[name] = row
