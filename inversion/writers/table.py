"""Tables as CSV or Parquet, whole or a block of rows at a time; see `physvae.tables.csv_files`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from physvae.io.files import atomic
from physvae.tables.cells import is_text, kind_of, pc
from physvae.tables.csv_files import write_header, write_rows


@contextmanager
def writing(output: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Lend what writes the next rows; the suffix of `output` chooses the format.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    with atomic(output) as temporary:
        if is_parquet(output):
            with pyarrow.parquet.ParquetWriter(temporary, schema) as file:
                yield lambda rows: file.write_table(as_kinds(rows, schema))
        else:
            with temporary.open("wb") as file:
                write_header(file, schema.names)
                yield lambda rows: write_rows(file, rows)


def write(frame: pd.DataFrame, output: Path) -> None:
    """Write a table; the suffix of `output` chooses the format.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    table = tabled(frame)
    kinds = [(name, kind_of(table[name], pa.int64())) for name in table.column_names]
    schema = pa.schema(kinds) if is_parquet(output) else table.schema
    with writing(output, schema) as rows:
        rows(table)


def is_parquet(output: Path) -> bool:
    """Whether a table of that name is written as Parquet."""
    return output.suffix.lower() == ".parquet"


def tabled(frame: pd.DataFrame) -> pa.Table:
    """A frame as Arrow holds it; a column of mixed kinds becomes text."""
    columns = {}
    for name in frame.columns:
        try:
            columns[str(name)] = pa.Array.from_pandas(frame[name])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            texts = [None if cell is None or cell is pd.NA else str(cell) for cell in frame[name]]
            columns[str(name)] = pa.array(texts, pa.string())
    return pa.table(columns)


def as_kinds(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Texts as the numbers that they all are; an empty one is null."""
    columns = []
    for column, field in zip(rows.columns, schema, strict=True):
        if is_text(column.type) and not is_text(field.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), None, column)
        columns.append(column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
