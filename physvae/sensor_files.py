"""Response functions and soils of users, in any kind of table; sensors of the package by name.

Text tables are read by `rtm` itself, Excel and Parquet here; what they mean is said once, there.
"""

from pathlib import Path

from physvae.errors import InputError, UsageError
from physvae.tables.cells import is_text, pc
from physvae.tables.reader import open_table
from rtm import Sensor, load_sensor, response
from rtm.dialect import Rows
from rtm.sensor import TABLES
from rtm.soil_tables import Soils, read_soils, soils_of


def read_sensor(name: str, *, reduced: bool = False) -> Sensor:
    """A sensor by name, or from a table; see `rtm.Sensor.from_file` for its columns.

    Raises
    ------
    UsageError
        An unknown name.
    InputError
        A file that is missing or no table, or a table of another content.
    """
    path = Path(name)
    try:
        if not reduced and (rows := _typed_rows(path)):
            return Sensor.from_rows(path.stem, response.from_rows(path, rows))
        return load_sensor(name, reduced=reduced)
    except (InputError, UsageError):
        raise
    except (OSError, ValueError) as error:
        is_file = path.suffix.lower() in TABLES or path.is_file()
        raise (InputError if is_file and not reduced else UsageError)(str(error)) from None


def read_soil_table(path: Path) -> Soils:
    """Measured soils of a table; see `rtm.SpectralSoil.from_file` for its columns.

    Raises
    ------
    InputError
        A file that is missing or no table, or a table of another content.
    """
    try:
        rows = _typed_rows(path)
        return soils_of(path, rows) if rows else read_soils(path)
    except (InputError, UsageError):
        raise
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from None


def _typed_rows(path: Path) -> Rows | None:
    """The rows of an Excel or a Parquet file; None for any other."""
    if not path.is_file() or path.suffix.lower() not in TABLES:
        return None
    file = open_table(path)
    if file.dialect is not None:
        return None
    table = file.read()
    columns = [c if is_text(c.type) else c.cast("string") for c in table.columns]
    cells = [pc.fill_null(column, "").to_pylist() for column in columns]
    return Rows(tuple(table.column_names), [list(row) for row in zip(*cells, strict=True)])
