"""Dates as people write them: year, month and day, or a reason why not. Nothing is guessed."""

import re
from datetime import date, datetime, timedelta

from physvae.tables.cells import MISSING

ORDERS = ("ymd", "dmy", "mdy")
"""What may be declared in the place of a form of strptime."""
_DAY_ONE = date(1899, 12, 30)  # of Excel's serial days, so that those after 1900-02 are right
_SERIALS = (32874, 58100)  # 1990 to 2059; smaller ones may be a year and a day
_TIME = r"(?:[T ].*)?"
_ISO = re.compile(
    rf"(\d{{4}})(\d{{2}})(\d{{2}}){_TIME}|(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}"
)
_ORDINAL = re.compile(r"(\d{4})-(\d{3})")
_THREE = re.compile(rf"(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}|\d{{2}}){_TIME}")
_NAMED = re.compile(
    rf"(\d{{1,2}})(?:st|nd|rd|th)?\.?[-/. ]*([^\W\d_]{{3,9}})\.?[-/, ]+(\d{{4}}|\d{{2}}){_TIME}|"
    rf"([^\W\d_]{{3,9}})\.?[-/ ]*(\d{{1,2}})(?:st|nd|rd|th)?[-/, ]+(\d{{4}}){_TIME}"
)
_NO_YEAR = re.compile(r"\d{1,2}[-/. ]+(\d{1,2}|[A-Za-z]{3,9})|[A-Za-z]{3,9} \d{1,2}")
_NO_DAY = re.compile(r"\d{4}([-/.]\d{1,2})?")
_MONTHS = (
    ("january", "januar", "janvier", "enero"), ("february", "februar", "février", "febrero"),
    ("march", "märz", "mars", "marzo"), ("april", "avril", "abril"),
    ("may", "mai", "mayo"), ("june", "juni", "juin", "junio"),
    ("july", "juli", "juillet", "julio"), ("august", "août", "agosto"),
    ("september", "septembre", "septiembre"), ("october", "oktober", "octobre", "octubre"),
    ("november", "novembre", "noviembre"), ("december", "dezember", "décembre", "diciembre"),
)  # fmt: skip


def parse_date(cell: object, form: str | None = None) -> date | str | None:
    """The date of a cell; None where it is empty; a text that says why there is none.

    A year of four digits that stands first, or a month by its name, tells the order. Elsewhere a
    number above 12 tells day from month; where both may be either, or the year has two digits,
    `form` must say it: ``dmy``, ``mdy``, ``ymd``, or a form of strptime (``%d/%m/%Y``). A number
    of five digits is a day of Excel's.

    >>> parse_date("2021-06-01T10:00:00Z"), parse_date("17.6.2021"), parse_date("13-Jun-2018")
    (datetime.date(2021, 6, 1), datetime.date(2021, 6, 17), datetime.date(2018, 6, 13))
    >>> parse_date("13.06.18", "dmy"), parse_date("43264")
    (datetime.date(2018, 6, 13), datetime.date(2018, 6, 13))
    >>> parse_date("06-12")
    'no year'
    >>> parse_date("3/4/2021")
    'day or month first? give --date-format'
    """
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    if text.lower() in MISSING:
        return None
    try:
        if form and form not in ORDERS:
            return datetime.strptime(text, form).date()
        return _parsed(text, form)
    except (ValueError, OverflowError):
        return f"expected {form}" if form and form not in ORDERS else "no such day"


def _parsed(text: str, order: str | None) -> date | str:
    """A date whose parts tell themselves apart, or the reason."""
    if match := _ISO.fullmatch(text):
        return date(*(int(part) for part in match.groups() if part is not None))
    if match := _ORDINAL.fullmatch(text):
        return _of_year(int(match[1]), int(match[2]))
    if re.fullmatch(r"\d{5}(\.\d+)?", text) and _SERIALS[0] <= float(text) < _SERIALS[1]:
        return _DAY_ONE + timedelta(days=int(float(text)))
    if match := _NAMED.fullmatch(text):
        day, month, year = match[1] or match[5], match[2] or match[4], match[3] or match[6]
        return _named(day, _month(month), year, order)
    if match := _THREE.fullmatch(text):
        return _three((match[1], match[2], match[3]), order)
    if _NO_DAY.fullmatch(text):
        return "no day"
    return "no year" if _NO_YEAR.fullmatch(text) else "expected year-month-day"


def _named(day: str, month: int | None, year: str, order: str | None) -> date | str:
    """A month by its name between, or before, two numbers."""
    if month is None:
        return "expected year-month-day"
    if order == "ymd" and len(year) == 2:
        day, year = year, day.zfill(2)
    if len(year) == 2 and order is None:
        return "which of the numbers is the year? give --date-format"
    return date(_year(year), month, int(day))


def _three(parts: tuple[str, str, str], order: str | None) -> date | str:
    """Three numbers, the last one perhaps a year."""
    first, second, third = parts
    numbers = {"ymd": (first, second, third), "dmy": (third, second, first),
               "mdy": (third, first, second)}  # fmt: skip
    if order and not (order == "ymd" and len(third) == 4):
        year, month, day = numbers[order]
        return date(_year(year), int(month), int(day))
    if len(third) == 2:
        return "which of the numbers is the year? give --date-format"
    one, two = int(first), int(second)
    if one > 12:
        return date(int(third), two, one)
    if two > 12 or one == two:
        return date(int(third), one, two)
    return "day or month first? give --date-format"


def _year(text: str) -> int:
    """A year of four digits, or of two: 69 to 99 lie in the last century."""
    number = int(text)
    return number if len(text) == 4 else number + (1900 if number > 68 else 2000)


def _month(text: str) -> int | None:
    """The month of a name or of its first letters, three at least."""
    wanted = text.lower()
    found = {i for i, names in enumerate(_MONTHS, 1) for name in names if name.startswith(wanted)}
    if wanted in ("sept", "mrz", "okt", "dez", "oct", "dec"):
        found |= {{"sept": 9, "mrz": 3, "okt": 10, "dez": 12, "oct": 10, "dec": 12}[wanted]}
    return found.pop() if len(found) == 1 else None


def _of_year(year: int, day: int) -> date | str:
    found = date(year, 1, 1) + timedelta(days=day - 1)
    return found if day > 0 and found.year == year else "no such day"
