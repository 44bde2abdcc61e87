"""Tables: CSV (comma, semicolon or tab; decimal point or comma) and Parquet.

A CSV comes back as text, cell by cell as it was written, so that whatever is not ours passes
through untouched: ``007`` stays ``007``. `inversion.tables` turns what it needs into numbers.
"""

import csv
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
    _check_cells(path, encoding, separator)
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding=encoding,
        )
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: expected a CSV table, found: {error}") from error
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


def _check_cells(path: Path, encoding: str, separator: str) -> None:
    """Refuse a column that is there twice and a row that is longer or shorter than the header."""
    with path.open(encoding=encoding, newline="") as file:
        rows = (cells for cells in csv.reader(file, delimiter=separator) if cells)
        try:
            header = [name.strip() for name in next(rows)]
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                found = listing(twice)
                raise InputError(f"{path}: expected every column once, found twice: {found}")
            for number, cells in enumerate(rows, start=1):
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}: expected {len(header)} cells in row {number}, as many as in the"
                        f" header, found {len(cells)}"
                    )
        except csv.Error as error:
            raise InputError(f"{path}: expected a CSV table, found: {error}") from error


def _with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Write decimal commas as points where the comma is not what separates the columns."""
    return frame.apply(_point)


def _point(column: pd.Series) -> pd.Series:
    decimal = column.str.fullmatch(_DECIMAL_COMMA)
    return column.where(~decimal, column.str.replace(",", ".", regex=False))
