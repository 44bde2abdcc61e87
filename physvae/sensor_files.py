"""Response functions of users, in any dialect of a table; sensors of the package by name."""

from pathlib import Path

from physvae.tables import open_table
from rtm import Sensor, load_sensor, response

TABLES = (".csv", ".txt", ".tsv", ".xlsx", ".parquet")


def read_sensor(name: str, *, reduced: bool = False) -> Sensor:
    """A sensor by name, or from a table; see `rtm.Sensor.from_file` for its columns.

    Raises
    ------
    InputError
        A file that is no table.
    ValueError
        An unknown name, or a table of another content.
    """
    path = Path(name)
    if reduced or path.suffix.lower() not in TABLES or not path.is_file():
        return load_sensor(name, reduced=reduced)
    table = open_table(path).read()
    cells = [["" if cell is None else str(cell) for cell in c.to_pylist()] for c in table.columns]
    lines = [list(table.column_names), *map(list, zip(*cells, strict=True))]
    return Sensor.from_rows(path.stem, response.from_lines(path, lines))
