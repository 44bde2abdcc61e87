"""Spectra for a table of parameters: rows in, spectra out, block by block.

{column: values[row]} ─▶ theta[row, parameter], angles[row, 3] ─▶ rtm.Prosail ─▶ file
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physvae.errors import InputError, UsageError
from physvae.files import atomic
from rtm import GEOMETRY, TRAITS, ParameterSpace, Prosail
from rtm.parameters import canonical, expected, outside
from rtm.prosail import CanopyReflectance

FACTORS = {
    "rso": "bidirectional reflectance factor",
    "rdo": "hemispherical-directional reflectance factor",
    "rsd": "directional-hemispherical reflectance factor",
    "rdd": "bihemispherical reflectance factor",
}
FORMATS = (".csv", ".nc", ".zarr")
_BLOCK = 256


@dataclass(frozen=True)
class Plan:
    """Parameters of every row [row, parameter], traits then angles, and what the columns were."""

    space: ParameterSpace
    values: np.ndarray
    defaults: tuple[str, ...]
    others: dict[str, np.ndarray]


def model_for(leaf: str, sensor: str | None, columns: list[str]) -> Prosail:
    """The model a table asks for: with crowns where it has a column `cv`; UsageError otherwise."""
    crowns = any(canonical(name, TRAITS) == "cv" for name in columns)
    try:
        return Prosail(leaf, sensor, crowns=crowns)
    except ValueError as error:
        raise UsageError(str(error)) from None


def plan(table: dict[str, np.ndarray], model: Prosail, source: Path) -> Plan:
    """Find the parameters among the columns, by name or alias, and check every value.

    Raises
    ------
    InputError
        Two columns for one parameter, an empty table, a cell that is no number or has no physical
        meaning: names the row (the first is 1) and the column.
    """
    space = ParameterSpace((*model.space.parameters, *GEOMETRY.values()))
    known = {parameter.name: parameter for parameter in space.parameters}
    found: dict[str, str] = {}
    for column in table:
        name = canonical(column, known)
        if name in found:
            raise InputError(
                f"{source}: expected one column for {name}, got {found[name]}, {column}"
            )
        if name is not None:
            found[name] = column
    rows = len(next(iter(table.values()), ()))
    if rows == 0:
        raise InputError(f"{source}: expected a header and at least one row, got none")
    values = np.tile(space.default.numpy(), (rows, 1))
    for name, column in found.items():
        values[:, space.index(name)] = _numbers(table[column], name, column, source)
    defaults = tuple(name for name in space.names if name not in found)
    others = {name: cells for name, cells in table.items() if name not in found.values()}
    return Plan(space, values, defaults, others)


def _numbers(cells: np.ndarray, name: str, column: str, source: Path) -> np.ndarray:
    for row, cell in enumerate(cells if cells.dtype == object else ()):
        if not _is_number(cell):
            got = "an empty cell" if cell in (None, "") else repr(cell)
            raise InputError(
                f"{source}: row {row + 1}, column {column}: expected a number, got {got}"
            )
    numbers = cells.astype(np.float64)
    bad = outside(name, torch.from_numpy(numbers.copy())).numpy()
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(numbers[row]) else f"{numbers[row]:g}"
        where = f"{source}: row {row + 1}, column {column}"
        raise InputError(f"{where}: expected {name} {expected(name)}, got {got}")
    return numbers


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def blocks(
    model: Prosail, values: np.ndarray, done: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[slice, CanopyReflectance]]:
    """Reflectance of the rows, a few hundred at a time, in float64."""
    for start in range(0, len(values), _BLOCK):
        part = torch.from_numpy(values[start : start + _BLOCK])
        with torch.no_grad():
            yield slice(start, start + len(part)), model(part[:, :-3], part[:, -3:])
        done(len(part))


def write(output: Path, model: Prosail, work: Plan, done: Callable[[int], None]) -> None:
    """Simulate and write in the format of the suffix; the file appears whole or not at all."""
    writer = {".csv": _write_csv, ".nc": _write_netcdf, ".zarr": _write_zarr}[output.suffix]
    with atomic(output) as temporary:
        writer(temporary, model, work, blocks(model, work.values, done))


def _axis(model: Prosail) -> tuple[str, list[str] | np.ndarray]:
    """Name of the spectral axis and its labels."""
    if model.sensor is None:
        return "wavelength", model.wavelength.numpy()
    return "band", list(model.sensor.bands)


def _write_csv(path: Path, model: Prosail, work: Plan, results) -> None:
    """Other columns first, then parameters, then rso by band id or nm, fapar and fcover."""
    labels = [f"{x:g}" if not isinstance(x, str) else x for x in _axis(model)[1]]
    ours = [*work.space.names, *labels, "fapar", "fcover"]
    others = {f"{n}_input" if n in ours else n: cells for n, cells in work.others.items()}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*others, *ours])
        for rows, r in results:
            spectra = np.column_stack([r.rso, r.fapar, r.fcover])
            foreign = zip(*(cells[rows] for cells in others.values()), strict=True)
            for cells, given, made in zip(
                foreign if others else [()] * len(spectra), work.values[rows], spectra, strict=True
            ):
                plain = ["" if c is None or c != c else c for c in cells]
                writer.writerow(
                    [*plain, *(f"{x:.10g}" for x in given), *(f"{x:.7g}" for x in made)]
                )


def _variables(model: Prosail, work: Plan) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """Every array of a netCDF or Zarr result: its dimensions and attributes."""
    axis = _axis(model)[0]
    both = {n: (("spectrum", axis), {"units": "1", "long_name": t}) for n, t in FACTORS.items()}
    product = {"fapar": "absorbed share of 400-700 nm", "fcover": "1 - gap fraction at nadir"}
    one = {n: (("spectrum",), {"units": "1", "long_name": t}) for n, t in product.items()}
    given = {
        p.name: (
            ("spectrum",),
            {"units": "1" if p.unit == "-" else p.unit, "long_name": p.description},
        )
        for p in work.space.parameters
    }
    return {**both, **one, **given}


def _fill(arrays, work: Plan, results) -> None:
    for index, name in enumerate(work.space.names):
        arrays[name][:] = work.values[:, index]
    for rows, r in results:
        for name in (*FACTORS, "fapar", "fcover"):
            arrays[name][rows] = getattr(r, name).numpy()


def _write_netcdf(path: Path, model: Prosail, work: Plan, results) -> None:
    import netCDF4

    axis, labels = _axis(model)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("spectrum", len(work.values))
        file.createDimension(axis, len(labels))
        kind = str if axis == "band" else "f8"
        file.createVariable(axis, kind, (axis,))[:] = np.array(
            labels, dtype=object if kind is str else float
        )
        if axis == "wavelength":
            file[axis].units = "nm"
        for name, (dimensions, attributes) in _variables(model, work).items():
            file.createVariable(name, "f8", dimensions, zlib=True).setncatts(attributes)
        _fill(file.variables, work, results)


def _write_zarr(path: Path, model: Prosail, work: Plan, results) -> None:
    """Zarr version 2, as version 3 has no settled form for the band ids."""
    import zarr

    axis, labels = _axis(model)
    group = zarr.create_group(path, zarr_format=2)
    sizes = {"spectrum": len(work.values), axis: len(labels)}
    coordinate = np.array(labels, dtype="U4" if axis == "band" else "f8")
    group.create_array(axis, data=coordinate, attributes={"_ARRAY_DIMENSIONS": [axis]})
    for name, (dimensions, attributes) in _variables(model, work).items():
        shape = tuple(sizes[d] for d in dimensions)
        about = {**attributes, "_ARRAY_DIMENSIONS": list(dimensions)}
        chunks = (min(16 * _BLOCK, shape[0]), *shape[1:])
        group.create_array(name, shape=shape, chunks=chunks, dtype="f8", attributes=about)
    _fill(group, work, results)
