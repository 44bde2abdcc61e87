"""Tables as `physvae.tables.reader` reads them, for pandas.

A CSV or an Excel file comes back as text, cell by cell as it was written, so that whatever is not
ours passes through untouched: ``007`` stays ``007``. `inversion.tables` turns what it needs into
numbers.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from physvae.errors import InputError
from physvae.tables.cells import checked_numbers, is_text, pc
from physvae.tables.reader import TableFile, TableOptions, open_table


def read(path: Path, options: TableOptions | None = None) -> pd.DataFrame:
    """Read a table; every cell of a text table is text, the empty ones included.

    Raises
    ------
    InputError
        Not a table, a column twice, rows longer or shorter than the header, no rows.
    """
    file = open_table(path, options)
    frame = framed(file, file.read())
    if frame.empty:
        raise InputError(f"{path}: expected at least one row, found none")
    return frame


def framed(file: TableFile, table: pa.Table) -> pd.DataFrame:
    """Rows of a table file as a frame: in a text table an empty cell is an empty text."""
    if file.is_typed:
        return table.to_pandas()
    columns = [pc.fill_null(c, "") if is_text(c.type) else c for c in table.columns]
    return pa.Table.from_arrays(columns, names=table.column_names).to_pandas()


def numbers_of(column: pd.Series, source: str, hint: str = "") -> np.ndarray:
    """Cells of a frame as numbers, missing ones as NaN; a text is refused with its row."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        return column.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    text = pa.chunked_array([pa.array(column.astype("string"), pa.string())])
    return checked_numbers(text, source, f"column {column.name}", hint=hint)
