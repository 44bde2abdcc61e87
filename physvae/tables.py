"""Tables as named columns: CSV and Parquet in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from physvae.errors import InputError


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Columns by name: numbers as float64 with NaN where empty, everything else as objects.

    Raises
    ------
    InputError
        Where the file is missing or is neither CSV nor Parquet.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a CSV or Parquet table, found no such file")
    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: expected a CSV or Parquet table, got {error}") from None
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return column.cast(pa.float64()).to_numpy()
    return np.array(column.to_pylist(), dtype=object)
