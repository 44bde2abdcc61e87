"""The command `physvae emulate`, and the training of emulators for `physvae train`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from physvae.cli import SensorName, Spectra, _check_output, _counting, _open
from physvae.cli_options import ColumnNames, Decimal, Sheet, Strict
from physvae.errors import InputError, UsageError
from physvae.io.messages import LOG, say

_WORTH_COMPILING = 4096  # rows; below, making the loops takes longer than they save

Parameters = Annotated[
    Path, typer.Argument(metavar="TABLE", help="CSV, Excel or Parquet, a row a spectrum.")
]
Name = Annotated[
    str, typer.Option(help="prosail-d (10 nm), prosail-d-1nm, or the folder of an emulator.")
]
Extrapolate = Annotated[
    bool,
    typer.Option("--allow-extrapolation", help="Take values outside the box, and flag the rows."),
]


def emulate(
    parameters: Parameters, output: Spectra, emulator: Name = "", sensor: SensorName = None,
    allow_extrapolation: Extrapolate = False, column: ColumnNames = None,
    strict: Strict = False, decimal: Decimal = None, sheet: Sheet = None,
) -> None:  # fmt: skip
    """Emulate canopy reflectance for a table of parameters.

    Like `physvae simulate`, with an emulator in place of the exact model. Every input of the
    emulator needs a column; further columns may hold text, which passes through. The column
    rso_error is the stated error of a spectrum, extrapolated is 1 where an input is outside the
    emulator's box. With --sensor the emulator is prosail-d-1nm if none is named.

    For example: physvae emulate parameters.csv -o spectra.nc --sensor sentinel-2a
    """
    from physvae.emulation.requests import request_plan, write_emulated
    from physvae.spectra_writers import FORMATS
    from physvae.tables.columns import assignments

    _check_output(output, tuple(FORMATS))
    if output.resolve() == parameters.resolve():
        raise UsageError(f"--output: expected another file than the input, got {output}")
    made = _emulator(emulator or ("prosail-d-1nm" if sensor else "prosail-d"), sensor)
    LOG.info("emulator: %s, sha256 %s", made.name, made.sha256)
    table, columns = _open(parameters, decimal, sheet), assignments(column, "--column")
    with _counting("rows") as count:
        plan = request_plan(
            table, made, count, extrapolate=allow_extrapolation, columns=columns, strict=strict
        )
    if plan.rows >= _WORTH_COMPILING:
        made.compile()
    with _counting("spectra", plan.rows) as count:
        write_emulated(output, made, plan, count)


def _emulator(name: str, sensor: str | None):
    """An emulator by name or folder, with the bands of a sensor where one is given."""
    from physvae.emulation.store import load_emulator
    from physvae.sensor_files import read_sensor

    made = load_emulator(name)
    if sensor is None:
        return made
    seen = read_sensor(sensor)
    try:
        return made.seen_by(seen)
    except ValueError as error:
        raise InputError(str(error)) from None


def train_from(config: Path, output: Path, data: Path, source: str = "") -> None:
    """Train the emulator of a training file behind a progress bar on stderr.

    `source` is what the card calls the file.
    """
    from physvae.emulation.making import train_emulator
    from physvae.emulation.plans import read_plan

    plan = read_plan(config)
    with _counting("training") as count:
        trained = train_emulator(plan, output, data, lambda *told: count(1), source or str(config))
    figures = trained.figures
    say(
        f"{output}: held-out RMSE {figures['rmse']:.2e}, R² {figures['r2']:.6f}, "
        f"spectral angle {figures['sam']:.3f} degree",
        sys.stdout,
    )
