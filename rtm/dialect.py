"""How a text table is written: encoding, separator, decimal mark, comments, names.

What spreadsheets, R, numpy and people save is told apart by what the file holds:

    encoding    UTF-8 with or without a byte-order mark, UTF-16, else Windows-1252 (Latin-1)
    separator   a first line ``sep=;``, else that of ``, ; tab |`` which parts the header
    decimal     a comma where the columns are parted by another mark, else a point
    comments    lines that begin with ``#`` and do not have as many cells as the header

`TextTable` gives the rows below the header as UTF-8, whatever they were; `read_rows` reads a small
table whole. `physvae.tables.reader` reads tables of any size, Excel and Parquet too, by the same
dialect.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

SEPARATORS = ",;\t|"
COMMENT = "#"
END = "\x03end of the table\x03"
"""First cell of a row that is put behind the last one; an open quotation mark swallows it."""
DECIMAL_COMMA = re.compile(r"^(\s*[+-]?\d*),(\d+(?:[eE][+-]?\d+)?\s*)$")
"""A cell with a decimal comma."""
_CHUNK = 2**18
_SAMPLE = 2**16
_LINES = 20
_OTHERS = (
    b"<",
    b"{",
    b"%PDF",
    b"-----BEGIN",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"SQLite format 3",
    b"PAR1",
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ABOVE = re.compile(r'\s*|#.*|"?sep=(?P<separator>.)"?', re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes
    ----------
    encoding : str
        Name of a Python codec.
    separator : str
        One character.
    decimal_comma : bool
        Whether 1,5 is a number.
    names : tuple of str
        Names of the columns; one without a name is ``Unnamed: 3``.
    lines : int
        Lines above the first row.
    """

    encoding: str
    separator: str
    decimal_comma: bool
    names: tuple[str, ...]
    lines: int


def find_dialect(
    path: Path, decimal: str | None = None, skip: int = 0, *, bare: bool = False
) -> Dialect:
    """The dialect of a text table.

    Parameters
    ----------
    path : Path
    decimal : str, optional
        ``,`` or ``.`` where it is known.
    skip : int
        Lines above the header.
    bare : bool
        Whether a table may have no names: a first row of numbers alone is a row.

    Raises
    ------
    ValueError
        Another kind of file, an empty one, or a column twice.
    """
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        passed = _Passed(file)
        for _ in range(skip):
            passed.readline()
        separator = None
        commented = ""
        first = passed.readline()
        while first and (match := _ABOVE.fullmatch(first.strip("\r\n "))):
            separator = match["separator"] or separator
            commented = first if first.startswith(COMMENT) else commented
            first = passed.readline()
        if not first:
            raise ValueError(
                f"{path}: expected a row of names and rows below, found an empty file"
            )
        separator = separator or _separator(first + file.read(_SAMPLE))
    if names := _commented_names(commented, first, separator):
        return _dialect(path, encoding, separator, decimal, names, passed.lines - 1)
    cells = _cells(first, separator)
    if bare and cells and all(map(_is_number, cells)):
        names = [f"column {index + 1}" for index in range(len(cells))]
        return _dialect(path, encoding, separator, decimal, names, passed.lines - 1)
    return _with_header(path, encoding, separator, decimal, passed.lines - 1)


class _Passed:
    """Lines of a file, counted."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.lines = file, 0

    def readline(self) -> str:
        self.lines += 1
        return self.file.readline()

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")


def _with_header(
    path: Path, encoding: str, separator: str, decimal: str | None, above: int
) -> Dialect:
    """The dialect of a table whose names stand in the row below so many lines."""
    with path.open(encoding=encoding, newline="") as file:
        passed = _Passed(file)
        for _ in range(above):
            passed.readline()
        try:
            names = next(csv.reader(passed, delimiter=separator))
        except csv.Error:
            raise ValueError(f"{path}: expected a row of names, found no table") from None
        return _dialect(path, encoding, separator, decimal, names, passed.lines)


def _dialect(path, encoding, separator, decimal, names, lines: int) -> Dialect:
    stripped = [name.strip() for name in names]
    counts = Counter(name for name in stripped if name)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        listed = ", ".join(quotable(twice))
        raise ValueError(f"{path}: expected every column once, found twice: {listed}")
    full = tuple(name or f"Unnamed: {index}" for index, name in enumerate(stripped))
    comma = decimal == "," or (decimal is None and separator != ",")
    return Dialect(encoding, separator, comma, full, lines)


def quotable(names: list[str], most: int = 12) -> list[str]:
    """Names that may stand in a message: what is plainly no name of a column is not repeated.

    >>> quotable(["B2", "root:x:0:0:root:/root:/bin/bash"])
    ['B2', 'a column without a plain name']
    """
    plain = re.compile(r"[^\W_][\w .()\[\]/%²³µ^*+-]{0,59}")
    shown = [
        name if plain.fullmatch(name) else "a column without a plain name" for name in names[:most]
    ]
    return [*shown, f"... ({len(names)} in all)"] if len(names) > most else shown


def _encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            encoding = _encoding_of(path, start)
            return encoding or _eight_bits(start, file)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ValueError(f"{path}: expected a readable table, found: {reason}") from None


def _encoding_of(path: Path, start: bytes) -> str | None:
    """The encoding that the first bytes tell, or None for one of eight bits."""
    for mark, name in _BOMS:
        if start.startswith(mark):
            return name
    if start.lstrip().startswith(_OTHERS):
        raise ValueError(f"{path}: expected a table, found another kind of file")
    if b"\0" not in start:
        return None
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) < 0.4 * len(start) / 2 or min(even, odd) > 0.1 * max(even, odd):
        raise ValueError(f"{path}: expected a table, found a binary file")
    return "utf-16-be" if even > odd else "utf-16-le"


def _eight_bits(start: bytes, file: io.BufferedReader) -> str:
    """UTF-8 where all of the file is that, else what Windows writes in Western Europe."""
    possible = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    part = start
    while part and possible:
        for name, decoder in list(possible.items()):
            try:
                decoder.decode(part)
            except UnicodeDecodeError:
                del possible[name]
        part = file.read(2**20)
    return next(iter(possible), "latin-1")


def _separator(sample: str) -> str:
    """The mark that parts the header, best where it parts the next rows into as many cells."""
    lines = sample.splitlines(keepends=True)[: _LINES + 1]
    lines = [line for line in lines[:_LINES] if line.strip() and not line.startswith(COMMENT)]

    def score(mark: str) -> tuple[bool, int]:
        try:
            cells = [len(row) for row in csv.reader(lines, delimiter=mark)]
        except csv.Error:
            return False, 0
        whole = cells[:-1] if len(cells) > 2 else cells
        return cells[0] > 1 and len(set(whole)) == 1, cells[0]

    return max(SEPARATORS, key=score)


def _commented_names(commented: str, first: str, separator: str) -> list[str] | None:
    """Names in a comment right above rows of numbers, as numpy writes them."""
    cells = _cells(first, separator)
    if not commented or not cells or not all(_is_number(cell) for cell in cells):
        return None
    names = _cells(commented.lstrip(COMMENT).strip(), separator)
    return names if len(names) == len(cells) else None


def _cells(line: str, separator: str) -> list[str]:
    """The cells of one line; none where it cannot be parted."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


class TextTable(io.RawIOBase):
    """The rows below the header as UTF-8, without comments, behind them a row that begins END."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._file = path.open(encoding=dialect.encoding, newline="", errors="replace")
        self._dialect = dialect
        self._quoted = False
        self._held = memoryview(b"")
        self._ended = False
        for _ in islice(self._file, dialect.lines):
            pass

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def readinto(self, buffer) -> int:
        """Fill a buffer; 0 at the end."""
        while not self._held:
            if self._ended:
                return 0
            self._held = memoryview(self._next().encode())
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def _next(self) -> str:
        """Whole lines, or the row behind the last one."""
        part = self._file.read(_CHUNK)
        if not part:
            self._ended = True
            return f"\n{END}" + self._dialect.separator * (len(self._dialect.names) - 1) + "\n"
        part += self._file.readline()
        if part.startswith(COMMENT) or "\n#" in part or "\r#" in part:
            return "".join(self._without_comments(part))
        self._quoted ^= part.count('"') % 2 == 1
        return part

    def _without_comments(self, part: str) -> Iterator[str]:
        for line in io.StringIO(part, newline=""):
            if not (line.startswith(COMMENT) and not self._quoted and self._is_comment(line)):
                self._quoted ^= line.count('"') % 2 == 1
                yield line

    def _is_comment(self, line: str) -> bool:
        """Whether a line that begins with # has another number of cells than the header."""
        cells = _cells(line, self._dialect.separator)
        return len(cells) != len(self._dialect.names) or len(cells) == 1


class Rows(NamedTuple):
    """A small table: names of its columns, and cells as text."""

    names: tuple[str, ...]
    cells: list[list[str]]

    def numbers(self, path: Path, columns: Sequence[int]) -> np.ndarray:
        """Columns as numbers [row, column]; ValueError names the row of any other cell."""
        if not self.cells:
            raise ValueError(f"{path}: expected rows below the header, found none")
        values = np.empty((len(self.cells), len(columns)))
        for i, row in enumerate(self.cells):
            for j, column in enumerate(columns):
                try:
                    values[i, j] = float(row[column])
                except ValueError:
                    values[i, j] = np.nan
                if not np.isfinite(values[i, j]):
                    raise ValueError(
                        f"{path}: expected a number in row {i + 1}, column {self.names[column]}, "
                        f"found {row[column][:40]!r}"
                    )
        return values


def read_rows(path: Path, *, bare: bool = False) -> Rows:
    """A small text table, decimal commas made points; see `find_dialect`.

    Raises
    ------
    ValueError
        As `find_dialect`; a row with too many or too few cells, an open quotation mark.
    """
    dialect = find_dialect(path, bare=bare)
    binary = io.BufferedReader(TextTable(path, dialect))
    try:
        with io.TextIOWrapper(binary, encoding="utf-8", newline="") as text:
            rows = [row for row in csv.reader(text, delimiter=dialect.separator) if row]
    except csv.Error:
        raise ValueError(f"{path}: expected rows of cells, found others") from None
    if not rows or rows.pop()[0] != END:
        raise ValueError(f"{path}: expected a closed quotation mark, found the end of the file")
    for number, row in enumerate(rows, 1):
        if len(row) != len(dialect.names):
            raise ValueError(f"{path}: {uneven(number, len(dialect.names), len(row))}")
    clean = [[cell.strip() for cell in row] for row in rows]
    if dialect.decimal_comma:
        clean = [[DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in row] for row in clean]
    return Rows(dialect.names, clean)


def uneven(row: int, expected: int, found: int) -> str:
    """What is said of a row with too many or too few cells."""
    return f"expected {expected} cells in row {row}, as many as in the header, found {found}"
