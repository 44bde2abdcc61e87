"""Dates as people write them: year, month and day, or a reason why not. Nothing is guessed."""

import re
from datetime import date, datetime

import numpy as np
import pandas as pd

_ISO = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?:[T ].*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T ].*)?")
_NO_YEAR = re.compile(r"\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})|[A-Za-z]{3,9} \d{1,2}")
_NO_DAY = re.compile(r"\d{4}([-/.]\d{2})?")
MISSING = ("", "nan", "nat", "na", "none", "null", "n/a")


def parse_date(cell: object, form: str | None = None) -> date | str | None:
    """The date of a cell; None where it is empty; a text that says why there is none.

    ISO dates are read as they are. With the year last, a number above 12 tells day from month;
    where both may be either, `form` (``%d/%m/%Y``) must say it.

    >>> parse_date("2021-06-01T10:00:00Z"), parse_date("17.6.2021")
    (datetime.date(2021, 6, 1), datetime.date(2021, 6, 17))
    >>> parse_date("06-12")
    'no year'
    >>> parse_date("3/4/2021")
    'day or month first? give --date-format'
    """
    if isinstance(cell, datetime | np.datetime64):
        stamp = pd.Timestamp(cell)
        return None if stamp is pd.NaT else stamp.date()
    if isinstance(cell, date):
        return cell
    if cell is None or cell is pd.NaT:
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    if text.lower() in MISSING:
        return None
    try:
        return datetime.strptime(text, form).date() if form else _without_form(text)
    except ValueError:
        return f"expected {form}" if form else "no such day"


def _without_form(text: str) -> date | str:
    """A date whose parts tell themselves apart, or the reason."""
    if match := _ISO.fullmatch(text):
        return date(*map(int, match.groups()))
    if match := _YEAR_LAST.fullmatch(text):
        first, second, year = map(int, match.groups())
        if first > 12:
            return date(year, second, first)
        if second > 12 or first == second:
            return date(year, first, second)
        return "day or month first? give --date-format"
    if _NO_DAY.fullmatch(text):
        return "no day"
    return "no year" if _NO_YEAR.fullmatch(text) else "expected year-month-day"


def parse_dates(cells: pd.Series, form: str | None = None) -> tuple[pd.Series, dict[int, str]]:
    """Dates as ISO texts, others as they are, and what is wrong with them by row position."""
    parsed = [parse_date(cell, form) for cell in cells]
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


def days_of(cells: pd.Series) -> pd.Series:
    """Dates of ISO texts as timestamps, NaT for everything else."""
    text = cells.astype(str)
    return pd.to_datetime(text.where(text.str.fullmatch(r"\d{4}-\d{2}-\d{2}.*")), errors="coerce")
