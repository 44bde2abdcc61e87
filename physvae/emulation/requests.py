"""A table of parameters for an emulator: strict about names, and about the emulator's box.

Unlike `physvae simulate`, an emulator has learned all its inputs together: none of them has a
default, and a column of numbers that is none of them is refused, as it may be a name misspelt.
Columns of text pass through.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch

from physvae.emulation.emulator import FACTORS, Emulator
from physvae.errors import InputError
from physvae.io.files import atomic
from physvae.spectra_table import Block, Plan
from physvae.spectra_writers import FORMATS, Layout
from physvae.tables.cells import checked_numbers, kind_of
from physvae.tables.columns import check_declared, hints, match, spellings, strangers
from physvae.tables.reader import TableFile
from rtm import Parameter, ParameterSpace
from rtm.parameters import canonical

_CHECKED = 2**14
_MOST_ROWS = 2**13
_EXTRA = (
    Parameter("rso_error", "s", "-", 0.0, 1.0, 0.0, (), "standard error of rso, rms of the axis"),
    Parameter("extrapolated", "-", "-", 0.0, 1.0, 0.0, (), "1 where an input is outside the box"),
)


def write_emulated(
    output: Path, emulator: Emulator, plan: Plan, done: Callable[[int], None] = lambda _: None
) -> None:
    """Emulate the rows of a plan and write them in the format of the suffix.

    CSV and Parquet hold rso, netCDF and Zarr all factors; what is not emulated is NaN.
    """
    writer, names, numbers = FORMATS[output.suffix]
    bands = emulator.band
    if bands is not None:
        axis, labels = "band", bands
    else:
        assert emulator.wavelength is not None
        axis, labels = "wavelength", tuple(emulator.wavelength.tolist())
    rows = min(_MOST_ROWS, 2 ** round(np.log2(numbers / len(labels))))
    about = {**plan.about, axis + "s": len(labels)}
    layout = Layout(plan, axis, labels, "float32", rows, about)
    factors = [name for name in names if name in emulator.trained]
    model = emulator.with_factors(*factors)
    with atomic(output) as temporary:
        writer(temporary, layout, _emulated(model, plan, names, rows, done))


def _emulated(
    emulator: Emulator, plan: Plan, names: tuple[str, ...], rows: int, done: Callable[[int], None]
) -> Iterator[tuple[Block, dict[str, np.ndarray]]]:
    """Blocks with the named fields of the emulator's result."""
    cut, end = len(emulator.space), len(emulator.space) + len(emulator.geometry)
    for block in plan.read(rows):
        given = torch.from_numpy(block.values).float()
        with torch.inference_mode():
            found = emulator(given[:, :cut], given[:, cut:end])
        empty = torch.full_like(found.rso, torch.nan)
        arrays = {}
        for name in names:
            part = getattr(found, name)
            if part is None:
                part = empty if name in FACTORS else empty[..., 0]
            arrays[name] = part.numpy()
        done(len(given))
        yield block, arrays


def request_plan(
    table: TableFile, emulator: Emulator, done: Callable[[int], None], *,
    extrapolate: bool = False, columns: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
) -> Plan:  # fmt: skip
    """Find the inputs among the columns and check every value.

    Raises
    ------
    InputError
        A missing, unknown or doubled column, an empty table, a cell that is no number, or one
        outside the box unless `extrapolate`: names the row (the first is 1) and the column. With
        `strict`, a column that is neither an input nor usual beside them.
    UsageError
        A declared name that is no input.
    """
    parameters = (*emulator.space.parameters, *emulator.geometry.parameters)
    inputs = ParameterSpace(parameters)
    found = _matched(table, inputs, columns)
    taken = set(found.values())
    others = [name for name in table.schema.names if name not in taken]
    strangers(others, {}, str(table.path), strict=strict)
    kinds: dict[str, pa.DataType] = {name: pa.int64() for name in others}
    checked = partial(_blocks, table, inputs, found, extrapolate)
    plan = Plan(
        source=str(table.path), space=ParameterSpace((*parameters, *_EXTRA)),
        read=partial(_told_blocks, checked, emulator),
        defaults=(), others=pa.schema([]), about=_about(table, emulator),
    )  # fmt: skip
    rows = 0
    for block in checked(_CHECKED):
        kinds = {name: kind_of(block.others[name], kinds[name]) for name in others}
        rows += len(block.values)
        done(len(block.values))
    if rows == 0:
        raise InputError(f"{table.path}: expected a header and at least one row, got none")
    _only_text(table, kinds, inputs)
    return replace(plan, rows=rows, others=pa.schema(list(kinds.items())))


def _about(table: TableFile, emulator: Emulator) -> dict[str, str | int]:
    return {
        "source": f"physvae {metadata.version('physvae')}, emulate", "emulator": emulator.name,
        "emulator_sha256": emulator.sha256, "parameters": table.path.name, "leaf": _leaf(emulator),
    }  # fmt: skip


def _leaf(emulator: Emulator) -> str:
    simulator = emulator.record.get("training", {}).get("simulator", {})
    return f"PROSPECT-{simulator['leaf']}" if "leaf" in simulator else "-"


def _matched(
    table: TableFile, space: ParameterSpace, declared: Mapping[str, str]
) -> dict[str, str]:
    """Column by name of input; every input has one."""
    known = {p.name: p for p in space.parameters}

    def meaning(name: str) -> str | None:
        return name if name in known else canonical(name, known)

    check_declared(declared, [meaning], ", ".join(space.names))
    found = match(table.schema.names, meaning, declared, str(table.path))
    missing = [name for name in space.names if name not in found]
    if missing:
        raise InputError(
            f"{table.path}: expected columns {', '.join(space.names)}, "
            f"found none for {', '.join(missing)}"
            + hints(table.schema.names, spellings([known[name] for name in missing]))
        )
    return found


def _only_text(table: TableFile, kinds: dict[str, pa.DataType], space: ParameterSpace) -> None:
    for name, kind in kinds.items():
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            raise InputError(
                f"{table.path}: column {name}: expected text or one of {', '.join(space.names)}, "
                "got numbers that the emulator does not know"
            )


def _blocks(
    table: TableFile, space: ParameterSpace, found: dict[str, str], extrapolate: bool, rows: int
) -> Iterator[Block]:
    """Blocks of the table with the inputs in their order, every value checked."""
    start = 0
    for part in table.blocks(rows):
        columns = [
            _checked(part[found[p.name]], p, str(table.path), f"column {found[p.name]}", start,
                     extrapolate)
            for p in space.parameters
        ]  # fmt: skip
        values = np.column_stack(columns)
        start += part.num_rows
        yield Block(values, part.drop_columns(list(found.values())))


def _told_blocks(
    checked: Callable[[int], Iterator[Block]], emulator: Emulator, rows: int
) -> Iterator[Block]:
    """Blocks of inputs, then the standard error and the flag."""
    for block in checked(rows):
        yield Block(_told(block.values, emulator), block.others)


def _told(values: np.ndarray, emulator: Emulator) -> np.ndarray:
    """The values with the emulator's standard error and the flag of its box."""
    cut = len(emulator.space)
    theta, angles = torch.from_numpy(values[:, :cut]), torch.from_numpy(values[:, cut:])
    with torch.inference_mode():
        outside = emulator.outside(theta, angles).double()
        parts = zip(theta.float().split(1024), angles.float().split(1024), strict=True)
        error = [emulator.standard_error(t, a).square().mean(-1).sqrt() for t, a in parts]
    return np.column_stack([values, torch.cat(error).double().numpy(), outside.numpy()])


def _checked(
    cells: pa.ChunkedArray, parameter: Parameter, source: str, where: str, start: int,
    extrapolate: bool,
) -> np.ndarray:  # fmt: skip
    """A column of numbers, inside the box where that is wanted."""
    given = checked_numbers(cells, source, where, start)
    where = f"{source}: row {{}}, {where}"
    low, high = parameter.low, parameter.high
    if parameter.name == "psi":
        low, high = -np.inf, np.inf
    slack = 1e-6 * (parameter.high - parameter.low)
    inside = (given >= low - slack) & (given <= high + slack)
    bad = ~np.isfinite(given) | (~inside & (not extrapolate))
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(given[row]) else f"{given[row]:g}"
        hint = "" if extrapolate or not np.isfinite(given[row]) else "; or --allow-extrapolation"
        raise InputError(
            f"{where.format(start + row + 1)}: expected {parameter.name} within "
            f"{parameter.low:g} and {parameter.high:g}, got {got}{hint}"
        )
    return given
