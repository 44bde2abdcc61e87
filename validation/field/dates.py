"""Columns of dates, read by `physvae.tables.dates`: ISO texts, and what is wrong with others."""

import numpy as np
import pandas as pd

from physvae.tables.dates import parse_date

__all__ = ["days_of", "parse_date", "parse_dates"]


def parse_dates(cells: pd.Series, form: str | None = None) -> tuple[pd.Series, dict[int, str]]:
    """Dates as ISO texts, others as they are, and what is wrong with them by row position."""
    parsed = [parse_date(_plain(cell), form) for cell in cells]
    wrong = {
        row: f"{cells.iloc[row]!s:.30} ({found})"
        for row, found in enumerate(parsed)
        if isinstance(found, str)
    }
    texts = [
        "" if day is None else str(cell).strip() if isinstance(day, str) else day.isoformat()
        for cell, day in zip(cells, parsed, strict=True)
    ]
    return pd.Series(texts, index=cells.index, dtype=object), wrong


def _plain(cell: object) -> object:
    """A cell without the kinds of pandas and numpy."""
    if cell is pd.NA or cell is pd.NaT:
        return None
    return pd.Timestamp(cell).to_pydatetime() if isinstance(cell, np.datetime64) else cell


def days_of(cells: pd.Series) -> pd.Series:
    """Dates of ISO texts as timestamps, NaT for everything else."""
    text = cells.astype(str)
    return pd.to_datetime(text.where(text.str.fullmatch(r"\d{4}-\d{2}-\d{2}.*")), errors="coerce")
