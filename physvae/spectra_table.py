"""What is to be simulated, from a table or from draws, and its spectra block by block.

{column: cells[row]} or points[row, dimension]
    ─▶ values[row, parameter], traits then angles ─▶ rtm.Prosail ─▶ {name: array[row, ...]}

Everything is read twice: once to check every value and to count the rows, so that wrong input is
refused before anything is computed, and once to compute. Memory holds a block at a time.
"""

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from physvae.errors import InputError, UsageError
from physvae.named_priors import CubeMap, NamedPrior
from physvae.samplers import SAMPLERS
from physvae.sensor_files import read_sensor, read_soil_table
from physvae.tables.cells import checked_numbers, kind_of
from physvae.tables.columns import check_declared, match, spellings, strangers
from physvae.tables.reader import TableFile
from rtm import GEOMETRY, TRAITS, ParameterSpace, Prosail
from rtm.dialect import quotable
from rtm.named import choose
from rtm.parameters import canonical, check_joint, expected, outside
from rtm.soil_tables import MeasuredSoils

DTYPES = {"float64": torch.float64, "float32": torch.float32}
_COMPILED = 5e7  # canopies times wavelengths from which on compiling takes less time than it saves
_CELLS = 2**19  # canopies times wavelengths at a time: what a processor's cache still serves
_CHECKED = 2**14  # rows at a time where nothing is computed


class Block(NamedTuple):
    """Some rows: parameters [row, parameter], and the columns that pass through."""

    values: np.ndarray
    others: pa.Table


@dataclass(frozen=True)
class Plan:
    """Rows of parameters that have been checked, to be read block by block.

    Attributes
    ----------
    source : str
        Where they come from, for messages.
    space : ParameterSpace
        Traits, then tts, tto, psi.
    read : callable
        All blocks of a given number of rows.
    rows : int
    defaults : tuple of str
        Parameters that were not given.
    others : pyarrow.Schema
        Columns that pass through, and what they hold.
    about : dict
        How the rows came about, to be kept with the result.
    """

    source: str
    space: ParameterSpace
    read: Callable[[int], Iterator[Block]]
    defaults: tuple[str, ...]
    others: pa.Schema
    about: dict[str, str | int]
    rows: int = 0


def model_for(
    names: Iterable[str], *, leaf: str, sensor: str | None, reduced: bool = False, source: str,
    soil: Path | None = None,
) -> Prosail:  # fmt: skip
    """The model that names of parameters ask for, aliases too, see `rtm.named.choose`.

    Raises
    ------
    UsageError
        Unknown leaf model or sensor, or no few wavelengths known for it.
    InputError
        A wrong file of response functions; names of two models for the same thing.
    """
    if reduced and sensor is None:
        raise UsageError("--reduced: expected together with --sensor, got every nm")
    seen = None if sensor is None else read_sensor(sensor, reduced=reduced)
    try:
        Prosail(leaf, seen)
    except ValueError as error:
        raise UsageError(str(error)) from None
    given = [known for name in names if (known := canonical(name, TRAITS))]
    measured = None if soil is None else MeasuredSoils(read_soil_table(soil))
    try:
        return choose(given, leaf=leaf, sensor=seen, soil=measured)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def table_plan(
    table: TableFile, model: Prosail, dtype: torch.dtype, done: Callable[[int], None],
    columns: Mapping[str, str] = MappingProxyType({}),
) -> Plan:  # fmt: skip
    """Find the parameters among the columns, by name or alias, and check every value.

    Raises
    ------
    InputError
        Two columns for one parameter or none for any, an empty table, a cell that is no number or
        has no physical meaning: names the row (the first is 1) and the column.
    """
    space = ParameterSpace((*model.space.parameters, *GEOMETRY.values()))
    found = _matched(table, space, columns)
    taken = set(found.values())
    others = [name for name in table.schema.names if name not in taken]
    soils = _soils(table, model, found)
    chosen = {*found, *(("soil_number",) if soils else ())}
    kinds = {name: _first_guess(table.schema.field(name).type) for name in others}
    plan = Plan(
        source=str(table.path),
        space=space,
        read=partial(_table_blocks, table, space, found, dtype, soils),
        defaults=tuple(name for name in space.names if name not in chosen),
        others=pa.schema([]),
        about={"parameters": table.path.name},
    )
    rows = 0
    for block in plan.read(_CHECKED):
        kinds = {name: kind_of(block.others[name], kinds[name]) for name in others}
        rows += len(block.values)
        done(len(block.values))
    if rows == 0:
        raise InputError(f"{table.path}: expected a header and at least one row, got none")
    return replace(plan, rows=rows, others=pa.schema(list(kinds.items())))


def _first_guess(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_string(kind) else kind


def _matched(
    table: TableFile, space: ParameterSpace, declared: Mapping[str, str]
) -> dict[str, str]:
    """Column by name of parameter."""
    known = {parameter.name: parameter for parameter in space.parameters}
    found = match(
        table.schema.names, lambda name: canonical(name, known), declared, str(table.path)
    )
    if not found:
        names = ", ".join(quotable(table.schema.names))
        one = "one column of another name"
        raise InputError(
            f"{table.path}: expected a column named as one of {', '.join(known)}, "
            f"got {names if len(table.schema) > 1 else one}"
        )
    return found


def tell_strangers(
    table: TableFile, declared: Mapping[str, str], *, strict: bool = False
) -> list[str]:
    """What is to be said of columns that are named nearly as a parameter.

    Raises
    ------
    UsageError, InputError
        A declared name that no parameter has; with `strict`, a column that is not understood.
    """
    known = {**TRAITS, **GEOMETRY}
    check_declared(declared, [lambda name: canonical(name, known)], "a parameter")
    given = {canonical(name, known) for name in (*table.schema.names, *declared)}
    missing = spellings(p for p in known.values() if p.name not in given)
    rest = [
        name
        for name in table.schema.names
        if name not in declared.values() and canonical(name, known) is None
        and not name.lower().startswith("soil")
    ]  # fmt: skip
    return strangers(rest, missing, str(table.path), strict=strict)


def _table_blocks(
    table: TableFile, space: ParameterSpace, found: dict[str, str], dtype: torch.dtype,
    soils: tuple[str, ...], rows: int,
) -> Iterator[Block]:  # fmt: skip
    """Blocks of a table, every value checked in the precision it will be used in."""
    default = space.default.numpy()
    start = 0
    for part in table.blocks(rows):
        values = np.tile(default, (part.num_rows, 1))
        for name, column in found.items():
            where = f"column {column}"
            given = checked_numbers(part[column], str(table.path), where, start)
            _check(given, name, dtype, f"{table.path}: row {{}}, {where}", start)
            values[:, space.index(name)] = given
        if soils:
            where = f"{table.path}: row {{}}, column soil"
            values[:, space.index("soil_number")] = _numbered(part["soil"], soils, where, start)
        _check_joint(values, space, f"{table.path}: row {{}}", start)
        start += part.num_rows
        yield Block(values, part.drop_columns(list(found.values())))


def _soils(table: TableFile, model: Prosail, found: dict[str, str]) -> tuple[str, ...]:
    """The names of soils among which the column soil chooses; none where there is no choice."""
    soil = model.soil
    if not isinstance(soil, MeasuredSoils) or len(soil.names) == 1 or "soil_number" in found:
        return ()
    if "soil" not in table.schema.names:
        raise InputError(
            f"{table.path}: expected a column soil that names one of "
            f"{', '.join(soil.names[:12])}, found none"
        )
    return soil.names


def _numbered(
    cells: pa.ChunkedArray, soils: tuple[str, ...], where: str, start: int
) -> np.ndarray:  # fmt: skip
    """The numbers of soils [row] by their names."""
    number = {name: float(k) for k, name in enumerate(soils, 1)}
    given = [str(cell).strip() for cell in cells.to_pylist()]
    for row, name in enumerate(given):
        if name not in number:
            raise InputError(
                f"{where.format(start + row + 1)}: expected one of {', '.join(soils[:12])}, "
                f"got {reprlib.repr(name)}"
            )
    return np.array([number[name] for name in given])


def _check(given: np.ndarray, name: str, dtype: torch.dtype, where: str, start: int) -> None:
    """InputError that names the first row of a value without physical meaning."""
    used = torch.from_numpy(given.copy()).to(dtype)
    bad = outside(name, used).numpy()
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(given[row]) else f"{used[row].item():g}"
        raise InputError(
            f"{where.format(start + row + 1)}: expected {name} {expected(name)}, got {got}"
        )


def _check_joint(values: np.ndarray, space: ParameterSpace, where: str, start: int) -> None:
    """InputError that names the first row of values that are not possible together."""

    def wrong(end: int) -> str:
        try:
            check_joint(space.split(torch.from_numpy(values[:end])))
        except ValueError as error:
            return str(error)
        return ""

    if wrong(len(values)):
        row = _first(lambda end: bool(wrong(end)), len(values))
        raise InputError(f"{where.format(start + row + 1)}: {wrong(row + 1)}")


def _first(fails: Callable[[int], bool], rows: int) -> int:
    """The row that makes the first rows fail, where all of them fail."""
    good, bad = 0, rows
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if fails(middle) else (middle, bad)
    return good


def draw_plan(
    prior: NamedPrior, model: Prosail, *, n: int, seed: int, sampler: str, dtype: torch.dtype,
    done: Callable[[int], None],
) -> Plan:  # fmt: skip
    """n draws of a prior; the same arguments give the same draws, whatever the blocks.

    Raises
    ------
    UsageError, InputError
        A prior that does not fit the model, see `physvae.named_priors.CubeMap`; a draw without
        physical meaning.
    """
    mapped = CubeMap(prior, model)

    def read(rows: int) -> Iterator[Block]:
        start = 0
        for points in SAMPLERS[sampler](n, len(mapped.drawn), seed, rows):
            values = mapped(torch.from_numpy(points)).numpy()
            for index, name in enumerate(mapped.space.names):
                _check(values[:, index], name, dtype, f"{prior.name}: draw {{}}", start)
            _check_joint(values, mapped.space, f"{prior.name}: draw {{}}", start)
            start += len(points)
            yield Block(values, pa.table({}))

    for block in read(_CHECKED):
        done(len(block.values))
    return Plan(
        source=prior.name,
        space=mapped.space,
        read=read,
        defaults=tuple(name for name in mapped.space.names if name not in mapped.drawn),
        others=pa.schema([]),
        about={"prior": prior.name, "sampler": sampler, "seed": seed},
        rows=n,
    )


def spectra(
    model: Prosail, plan: Plan, names: tuple[str, ...], rows: int, dtype: torch.dtype,
    done: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[Block, dict[str, np.ndarray]]]:  # fmt: skip
    """The named fields of `rtm.CanopyReflectance` for `rows` rows at a time, with their rows."""
    if dtype == torch.float32 and plan.rows * len(model.wavelength) >= _COMPILED:
        model.compile()
    step = rows_at_once(model)
    read = 0
    for block in plan.read(rows):
        read += len(block.values)
        if read > plan.rows:
            raise InputError(f"{plan.source}: expected {plan.rows} rows again, got more")
        arrays: dict[str, np.ndarray] = {}
        for start in range(0, len(block.values), step):
            given = torch.from_numpy(block.values[start : start + step]).to(dtype)
            with torch.inference_mode():
                result = model(given[:, :-3], given[:, -3:])
            for name in names:
                part = getattr(result, name).numpy()
                if start == 0:
                    arrays[name] = np.empty((len(block.values), *part.shape[1:]), part.dtype)
                arrays[name][start : start + step] = part
            done(len(given))
        yield block, arrays


def rows_at_once(model: Prosail) -> int:
    """Canopies that are computed together: 256 at 2101 wavelengths, at most 4096.

    >>> rows_at_once(Prosail())
    256
    """
    return min(4096, 2 ** round(np.log2(_CELLS / len(model.wavelength))))
