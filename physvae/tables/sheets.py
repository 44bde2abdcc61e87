"""Excel files as tables of text, opened so that a hostile one cannot do harm.

An .xlsx is a zip of XML. Before openpyxl sees it, its size unpacked is bounded, and a document
type, which is where entities are declared, is refused.
"""

import datetime
import math
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from physvae.errors import InputError

CELLS_MAX = 50_000_000
UNPACKED_MAX = 2**30
"""Bytes of all parts unpacked; a million rows of twenty columns have half of it."""
EXPANSION_MAX = 300
"""Size over stored size of a part; tables reach some tens."""
_DECLARED = (b"<!DOCTYPE", b"<!ENTITY")
_SIGN = b"PK\x03\x04"


def is_workbook(path: Path) -> bool:
    """Whether a file is an Excel file, by what it holds."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _SIGN:
                return False
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def read_sheet(path: Path, sheet: str | None = None, skip: int = 0) -> pa.Table:
    """One sheet, every cell as text, an empty one null; rows without any cell are left out.

    Parameters
    ----------
    path : Path
    sheet : str, optional
        Name of the sheet; without it the first.
    skip : int
        Rows above the header.

    Raises
    ------
    InputError
        Not an Excel file, one that could do harm, or without that sheet.
    """
    try:
        _check(path)
        names, rows = _cells(path, sheet, skip)
    except InputError:
        raise
    except Exception as error:  # whatever a broken archive or sheet raises
        raise InputError(f"{path}: expected an Excel file, found a damaged one") from error
    while names and names[-1] is None and not any(_filled(row, len(names) - 1) for row in rows):
        names.pop()
    columns = [
        pa.array([row[i] if i < len(row) else None for row in rows], pa.string())
        for i in range(len(names))
    ]
    full = [name or f"Unnamed: {index}" for index, name in enumerate(names)]
    return pa.Table.from_arrays(columns, names=full)


def _filled(row: list[str | None], index: int) -> bool:
    return index < len(row) and row[index] is not None


def _cells(path: Path, sheet: str | None, skip: int) -> tuple[list, list[list[str | None]]]:
    """Names of the columns, then the rows below, as texts."""
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        wanted = sheet or book.sheetnames[0]
        if wanted not in book.sheetnames:
            listed = ", ".join(map(str, book.sheetnames))
            raise InputError(f"{path}: expected a sheet {wanted!r}, got {listed}")
        part: Any = book[wanted]
        part.reset_dimensions()  # a stated size may be wrong
        rows = []
        count = 0
        for row in part.iter_rows(min_row=skip + 1, values_only=True):
            count += len(row)
            if count > CELLS_MAX:
                raise InputError(f"{path}: expected at most {CELLS_MAX:,} cells, found more")
            if not rows or any(cell is not None for cell in row):
                rows.append([_text(cell) for cell in row])
    finally:
        book.close()
    if not rows or not any(rows[0]):
        raise InputError(f"{path}: expected a row of names in sheet {wanted!r}, got an empty one")
    width = max(map(len, rows))
    names = [name and name.strip() for name in rows[0]] + [None] * (width - len(rows[0]))
    return names, rows[1:]


def _text(cell: object) -> str | None:
    """A cell as text: whole numbers without a point, dates as ISO."""
    if cell is None:
        return None
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float):
        if math.isfinite(cell) and cell.is_integer() and abs(cell) < 2**53:
            return str(int(cell))
        return repr(cell)
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
    return str(cell)


def _check(path: Path) -> None:
    """Refuse an archive that unpacks to too much, and XML that declares a document type."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        wide = [m for m in members if m.file_size > EXPANSION_MAX * max(m.compress_size, 4096)]
        if unpacked > UNPACKED_MAX or wide:
            raise InputError(
                f"{path}: expected a table, found an archive of {unpacked:,} bytes unpacked"
            )
        for member in members:
            if member.filename.lower().endswith((".xml", ".rels", ".vml")):
                with archive.open(member) as file:
                    _check_xml(path, member.filename, file)


def _check_xml(path: Path, name: str, file: Any) -> None:
    tail = b""
    while part := file.read(2**20):
        if not tail and part[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{path}: expected UTF-8 in {name}, found UTF-16")
        text = tail + part
        if b"\0" in part or any(sign in text.upper() for sign in _DECLARED):
            raise InputError(f"{path}: expected plain XML in {name}, found a document type")
        tail = part[-16:]
