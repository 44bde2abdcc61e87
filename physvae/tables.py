"""Tables as named columns: CSV and Parquet in, as a whole or a block of rows at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from physvae.errors import InputError

pc: Any = pyarrow.compute  # which makes its functions when it is imported
_CHUNK = 2**19  # bytes read at a time; no row of a CSV is longer
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Columns by name: numbers as float64 with NaN where empty, everything else as objects.

    Raises
    ------
    InputError
        Where the file is missing or is neither CSV nor Parquet.
    """
    path = _existing(path)
    try:
        if _is_parquet(path):
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _refused(path, error) from None
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return column.cast(pa.float64()).to_numpy()
    return np.array(column.to_pylist(), dtype=object)


@dataclass(frozen=True)
class TableFile:
    """A table on disk of which only the names of its columns have been read.

    Attributes
    ----------
    path : Path
    schema : pyarrow.Schema
        Names and kinds; every column of a CSV is text, so that cells pass through as written.
    """

    path: Path
    schema: pa.Schema

    def blocks(self, rows: int) -> Iterator[pa.Table]:
        """All rows in their order, `rows` at a time; an empty cell is null.

        Memory holds a block and what the reader has decoded for the next one.

        Raises
        ------
        InputError
            A row with too many or too few cells, text that is not UTF-8, a damaged file.
        """
        try:
            if _is_parquet(self.path):
                with pyarrow.parquet.ParquetFile(self.path, buffer_size=_CHUNK) as file:
                    yield from _even(_batches(file, rows), rows)
            else:
                with _open_csv(self.path, self.schema.names) as file:
                    yield from _even(file, rows)
        except (OSError, pa.ArrowInvalid) as error:
            raise _refused(self.path, error) from None


def open_table(path: Path) -> TableFile:
    """A table ready to be read block by block.

    Raises
    ------
    InputError
        Where the file is missing, is neither CSV nor Parquet, or has two columns of one name.
    """
    path = _existing(path)
    try:
        if _is_parquet(path):
            schema = pyarrow.parquet.read_schema(path).remove_metadata()
        else:
            with _open_csv(path, []) as file:
                names = file.schema.names
            schema = pa.schema([(name, pa.string()) for name in names])
    except (OSError, pa.ArrowInvalid) as error:
        raise _refused(path, error) from None
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise InputError(f"{path}: expected different columns, got {name} twice")
    return TableFile(path, schema)


def numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column as float64 with NaN where empty; None where a cell is no number.

    >>> numbers(pa.chunked_array([["1", " 2.5", None]]))
    array([1. , 2.5, nan])
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if any(is_text(column.type) for is_text in _TEXT):
        column = pc.utf8_trim_whitespace(column)
    try:
        return column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def kind_of(column: pa.ChunkedArray, least: pa.DataType) -> pa.DataType:
    """What a text column holds: the first of int64, float64 and text, from `least` on, that fits.

    A number with leading zeros is a code and stays text; other kinds stay what they are.

    >>> kind_of(pa.chunked_array([["1", "2.5"]]), pa.int64())
    DataType(double)
    """
    ladder = (pa.int64(), pa.float64(), pa.string())
    if not pa.types.is_string(column.type):
        return column.type
    if pc.any(pc.match_substring_regex(column, r"^-?0\d")).as_py():
        return pa.string()
    for kind in ladder[ladder.index(least) :]:
        try:
            column.cast(kind)
        except pa.ArrowInvalid:
            continue
        return kind
    return pa.string()


def _existing(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a CSV or Parquet table, found no such file")
    return path


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _refused(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: expected a CSV or Parquet table, got {error}")


def _open_csv(path: Path, names: list[str]) -> pyarrow.csv.CSVStreamingReader:
    """A reader of half a megabyte at a time, which Arrow reads up to 32 times ahead.

    The named columns come as they are written.
    """
    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_CHUNK),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _batches(file: pyarrow.parquet.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """Row group by row group, as a reader of many keeps something of each from the start."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], use_threads=False)


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
