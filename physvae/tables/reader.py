"""THE table reader: CSV of any dialect, Excel and Parquet, whole or a block of rows at a time.

Every command and every training reads its tables here, so that one file means one thing:

    file ─▶ `rtm.dialect` | `sheets` | Parquet ─▶ TableFile ─▶ blocks of pyarrow.Table

A cell of a CSV or an Excel file stays text as it was written, with a decimal comma made a point;
`physvae.tables.cells.numbers` turns a column into float64, NaN where it is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from physvae.errors import InputError, UsageError
from physvae.io.files import check_ordinary
from physvae.tables.cells import is_text, numbers, on_texts, pc
from physvae.tables.sheets import is_workbook, read_sheet
from rtm.dialect import DECIMAL_COMMA, END, Dialect, TextTable, find_dialect, uneven

_CHUNK = 2**19  # bytes read at a time; no row of a CSV is longer than a sixteenth of it
_DAMAGED = (OSError, pa.ArrowException, ValueError, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What a user says about a table that does not say it itself.

    Attributes
    ----------
    decimal : str, optional
        ``,`` or ``.``; without it a comma is a decimal mark only where another mark parts the
        columns.
    sheet : str, optional
        Sheet of an Excel file.
    skip_rows : int
        Rows above the header.
    """

    decimal: str | None = None
    sheet: str | None = None
    skip_rows: int = 0

    def __post_init__(self) -> None:
        if self.decimal not in (None, ",", "."):
            raise UsageError(f"--decimal: expected , or ., got {self.decimal!r}")


@dataclass(frozen=True)
class TableFile:
    """A table on disk of which the names of its columns have been read.

    Attributes
    ----------
    path : Path
    schema : pyarrow.Schema
        Names and kinds; every column of a CSV and an Excel file is text.
    dialect : Dialect, optional
        Of a text table.
    held : pyarrow.Table, optional
        The rows of an Excel file.
    """

    path: Path
    schema: pa.Schema
    dialect: Dialect | None = None
    held: pa.Table | None = field(default=None, repr=False)

    @property
    def is_typed(self) -> bool:
        """Whether the file says what kind its columns are, as Parquet does."""
        return self.dialect is None and self.held is None

    def blocks(self, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All rows in their order, `rows` at a time, of all or the named columns.

        An empty cell is null. Memory holds a block and what is decoded for the next one.

        Raises
        ------
        InputError
            A row with too many or too few cells, an open quotation mark, a damaged file.
        """
        names = self.schema.names if columns is None else list(columns)
        if self.held is not None:
            parts: Iterable[pa.RecordBatch] = self.held.select(names).to_batches(rows)
            yield from _even(parts, rows)
        elif self.dialect is not None:
            comma = self.dialect.decimal_comma
            for part in _even(_text_batches(self.path, self.dialect, names), rows):
                yield _pointed(part, comma).cast(self._schema(names))
        else:
            with (
                _refusing(self.path),
                pyarrow.parquet.ParquetFile(self.path, buffer_size=_CHUNK) as file,
            ):
                yield from _even(_batches(file, rows, names), rows)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows at once."""
        names = self.schema.names if columns is None else list(columns)
        schema = self._schema(names)
        parts = [part.cast(schema) for part in self.blocks(2**16, names)]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def _schema(self, names: Sequence[str]) -> pa.Schema:
        return pa.schema([self.schema.field(name) for name in names], self.schema.metadata)


def open_table(path: Path, options: TableOptions | None = None) -> TableFile:
    """A table ready to be read block by block.

    Raises
    ------
    InputError
        Where the file is missing, is no table, or has two columns of one name.
    """
    path, options = Path(path), options or TableOptions()
    check_ordinary(path, "a table")
    if is_workbook(path):
        held = _pointed(read_sheet(path, options.sheet, options.skip_rows), options.decimal == ",")
        return TableFile(path, _distinct(path, held.schema), held=held)
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".ods"):
        raise InputError(f"{path}: expected an Excel file (.xlsx), found another kind of file")
    if options.sheet is not None:
        raise UsageError(f"--sheet: expected an Excel file, got {path.name}")
    if _is_parquet(path):
        with _refusing(path):
            schema = pyarrow.parquet.read_schema(path)
        return TableFile(path, _distinct(path, schema))
    try:
        dialect = find_dialect(path, options.decimal, options.skip_rows)
    except ValueError as error:
        raise InputError(str(error)) from None
    return TableFile(path, pa.schema([(name, pa.string()) for name in dialect.names]), dialect)


def read_table(path: Path, options: TableOptions | None = None) -> dict[str, np.ndarray]:
    """Columns by name: numbers as float64 with NaN where missing, everything else as objects.

    Raises
    ------
    InputError
        Where the file is missing or is no table.
    """
    table = open_table(path, options).read()
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    found = None if _is_code(column) else numbers(column)
    return np.array(column.to_pylist(), dtype=object) if found is None else found


def _is_code(column: pa.ChunkedArray) -> bool:
    """Whether a column is no number although it could be cast to one."""
    kind = column.type
    if pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
        return True
    return is_text(kind) and bool(pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py())


def _is_parquet(path: Path) -> bool:
    with _refusing(path), path.open("rb") as file:
        return file.read(4) == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """One sentence for whatever the library says of a damaged file, which it may quote."""
    try:
        yield
    except (InputError, UsageError):
        raise
    except _DAMAGED as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"{path}: expected a Parquet table, found {reason or 'a damaged file'}"
        ) from error


def _distinct(path: Path, schema: pa.Schema) -> pa.Schema:
    seen: set[str] = set()
    for name in schema.names:
        if name in seen:
            raise InputError(f"{path}: expected every column once, found twice: {name}")
        seen.add(name)
    return schema


def _text_batches(path: Path, dialect: Dialect, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns as they are written, decoded half a megabyte at a time."""
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    first = dialect.names[0]
    wanted = [first, *(name for name in names if name != first)]
    size = max(_CHUNK, 16 * sum(len(name) + 8 for name in dialect.names))
    try:
        with TextTable(path, dialect) as text:
            file = pyarrow.csv.open_csv(
                text,
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=size, column_names=list(dialect.names)
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=dialect.separator, newlines_in_values=True,
                    invalid_row_handler=refuse,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={name: pa.string() for name in wanted}, include_columns=wanted,
                    strings_can_be_null=True, null_values=[""],
                ),
            )  # fmt: skip
            for batch in _ended(path, file):
                yield batch.select(list(names))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: {_fault(wrong, dialect)}") from error


def _fault(wrong: list[Any], dialect: Dialect) -> str:
    if not wrong:
        return "expected rows of cells, found a row that cannot be parted"
    row = wrong[0]
    return uneven(row.number, len(dialect.names), row.actual_columns)


def _ended(path: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same without the row that marks the end, which an open quotation mark swallows."""
    last: pa.RecordBatch | None = None
    for batch in batches:
        if last is not None and last.num_rows:
            yield last
        last = batch if batch.num_rows else last
    if last is None or last.column(0)[last.num_rows - 1].as_py() != END:
        raise InputError(f"{path}: expected a closed quotation mark, found the end of the file")
    if last.num_rows > 1:
        yield last.slice(0, last.num_rows - 1)


def _pointed(table: pa.Table, comma: bool) -> pa.Table:
    """Decimal commas made points, cell by cell, where a comma is a decimal mark."""
    if not comma:
        return table

    def pointed(cells: Any) -> Any:
        return pc.replace_substring_regex(
            cells, pattern=DECIMAL_COMMA.pattern, replacement=r"\1.\2"
        )

    return pa.Table.from_arrays(on_texts(table, pointed), names=table.column_names)


def _batches(
    file: pyarrow.parquet.ParquetFile, rows: int, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Row group by row group, as a reader of many keeps something of each from the start."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(
            rows, row_groups=[group], columns=list(names), use_threads=False
        )


def _even(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` rows, the last one shorter."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, rows - count)
            held.append(part)
            start, count = start + part.num_rows, count + part.num_rows
            if count == rows:
                yield pa.Table.from_batches(held)
                held, count = [], 0
    if held:
        yield pa.Table.from_batches(held)
