"""A table on disk into another, a block of rows at a time: memory does not hold the file.

The columns of bands and angles are read and checked as a whole, 8 bytes a number, so that wrong
input is refused before anything is computed; then the rows go through once more, with all that
they hold, and get their estimates.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from inversion.kernel import estimate_names, retrieve_block
from inversion.methods import check_method, estimator
from inversion.priors import Priors, check_priors, tell_unknown
from inversion.readers.declaration import Declaration
from inversion.summary import Summary
from inversion.tables import CELLS, Columns, Measured, measured, no_column, set_aside
from inversion.writers.table import is_parquet, writing
from physvae.errors import InputError
from physvae.io.messages import timed
from physvae.tables.cells import checked_numbers, is_text, kind_of
from physvae.tables.reader import TableFile, open_table

ROWS = 2**16
CELLS_AT_ONCE = 2**22
"""Cells of a block of a wide table."""


def retrieve_rows(
    source: Path,
    output: Path,
    model: Any,
    variables: Sequence[str],
    declared: Declaration,
    *,
    method: str = "amortised",
    steps: int = 200,
    priors: Priors | None = None,
    prior_column: str | None = None,
) -> Summary:
    """Estimate traits for every row of a file; see `inversion.tables.retrieve_table`.

    Raises
    ------
    InputError, UsageError
        As `retrieve_table`; nothing is written.
    OSError
        The output cannot be written.
    """
    check_method(method)
    with timed("reading and checking the table"):
        file = open_table(source, declared.table)
        given = measured(_columns(file), model, declared)
    rows = len(given.reflectance)
    if not rows:
        raise InputError(f"{source}: expected at least one row, found none")
    places = _places(file, priors, prior_column)
    check_priors(priors, model, places)
    used = estimator(model, method, steps, rows)
    made = [*estimate_names(variables), "quality"]
    schema = _schema(file, made, typed=is_parquet(output))
    summary = Summary([*variables, "quality"])
    with timed("estimating and writing"), writing(output, schema) as write:
        start = 0
        for own, part in _parts(file, given):
            which = None if places is None else places[start : start + own.num_rows]
            start += own.num_rows
            block = retrieve_block(used, *part, variables=variables, priors=priors, places=which)
            columns = [*block.estimates.T, block.quality]
            summary.add(dict(zip(made, columns, strict=True)))
            arrays = [pa.array(np.ascontiguousarray(column)) for column in columns]
            write(pa.Table.from_arrays([*own.columns, *arrays], names=schema.names))
    return summary


def _places(file: TableFile, priors: Priors | None, column: str | None) -> np.ndarray | None:
    """Which prior holds for each row, where a column says it."""
    if priors is None or column is None:
        return None
    if column not in file.schema.names:
        raise InputError(no_column(column, file.schema.names, str(file.path)))
    values = [cell for block in file.blocks(ROWS, [column]) for cell in block[column].to_pylist()]
    texts = ["" if value is None else str(value) for value in values]
    places = priors.of(texts)
    tell_unknown(texts, places, str(file.path))
    return places


def _step(file: TableFile) -> int:
    return max(256, min(ROWS, CELLS_AT_ONCE // max(len(file.schema), 1)))


def _columns(file: TableFile) -> Columns:
    """The columns of a file, of which the wanted ones are read block by block."""
    source = str(file.path)

    def numbers(names: Sequence[str]) -> dict[str, np.ndarray]:
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        start = 0
        for block in file.blocks(ROWS, list(parts)):
            for name, found in parts.items():
                cells = block[name]
                found.append(checked_numbers(cells, source, f"column {name}", start, CELLS))
            start += block.num_rows
        return {name: np.concatenate([np.empty(0), *found]) for name, found in parts.items()}

    return Columns(list(file.schema.names), numbers, source)


def _parts(file: TableFile, given: Measured) -> Iterator[tuple[pa.Table, Measured]]:
    """Blocks of rows with what the model takes of them."""
    start = 0
    for block in file.blocks(_step(file)):
        rows = slice(start, start + block.num_rows)
        start = rows.stop
        if start > len(given.reflectance):
            break
        yield block, Measured(given.reflectance[rows], given.angles[rows])
    if start != len(given.reflectance):
        raise InputError(f"{file.path}: expected the same rows again, got others")


def _schema(file: TableFile, made: Sequence[str], *, typed: bool) -> pa.Schema:
    """Names and kinds of the output: the file's columns, then ours."""
    kinds = list(file.schema.types)
    if typed and any(map(is_text, kinds)):
        kinds = _kinds(file)
    names = set_aside(file.schema.names, made)
    estimates = [(name, pa.float32()) for name in made[:-1]]
    return pa.schema([*zip(names, kinds, strict=True), *estimates, (made[-1], pa.uint16())])


def _kinds(file: TableFile) -> list[pa.DataType]:
    """What text columns hold, from all of their rows."""
    least = {
        name: pa.int64() if is_text(kind) else kind
        for name, kind in zip(file.schema.names, file.schema.types, strict=True)
    }
    for block in file.blocks(_step(file)):
        least = {name: kind_of(block[name], kind) for name, kind in least.items()}
    return list(least.values())
