"""Tables: CSV (comma, semicolon or tab; decimal point or comma) and Parquet.

A CSV comes back as text, cell by cell as it was written, so that whatever is not ours passes
through untouched: ``007`` stays ``007``. `inversion.tables` turns what it needs into numbers.
"""

import csv
import warnings
from pathlib import Path

import pandas as pd

from inversion.naming import listing
from inversion.readers.content import head
from physvae.errors import InputError

_SEPARATORS = ",;\t"
_DECIMAL_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"


def read(path: Path) -> pd.DataFrame:
    """Read a table; every cell of a CSV is text, the empty ones included.

    Raises
    ------
    InputError
        Not a table, a column twice, rows longer or shorter than the header, no rows.
    """
    frame = _read_parquet(path) if head(path)[:4] == b"PAR1" else _read_csv(path)
    if frame.empty:
        raise InputError(f"{path}: expected at least one row, found none")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a Parquet table, found: {error}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        first = next((line for line in file if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    header = next(csv.reader([first], delimiter=separator))
    _check_header(path, header)
    frame = _parse_csv(path, encoding, separator)
    short = frame.isna().any(axis=1)
    if short.any():
        row = int(short.to_numpy().argmax())
        found = int(frame.iloc[row].notna().sum())
        raise InputError(f"{path}: expected {len(header)} cells in row {row + 1}, found {found}")
    return frame if separator == "," else _with_points(frame)


def _encoding(path: Path) -> str:
    """Return UTF-8, or Latin-1 where the file is not UTF-8 (old spreadsheets)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for _ in iter(lambda: file.read(1 << 20), ""):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _check_header(path: Path, header: list[str]) -> None:
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected every column once, found twice: {listing(twice)}")


def _parse_csv(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding=encoding,
            )
    except pd.errors.ParserWarning as error:
        sentence = "expected as many cells in every row as in the header, found more"
        raise InputError(f"{path}: {sentence}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        found = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise InputError(f"{path}: expected a CSV table, found: {found}") from error


def _with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Write decimal commas as points where the comma is not what separates the columns."""
    return frame.apply(_point)


def _point(column: pd.Series) -> pd.Series:
    decimal = column.str.fullmatch(_DECIMAL_COMMA)
    return column.where(~decimal, column.str.replace(",", ".", regex=False))
