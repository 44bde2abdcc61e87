"""Cells of a table: what a text means as a number, and what is missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from physvae.errors import InputError

pc: Any = pyarrow.compute  # which makes its functions when it is imported
MISSING = ("", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "<na>", "-")
"""What a missing number looks like, in any case."""
FILLS = (-9999.0, -999.0, -32768.0)
"""Numbers that mean "not measured" where no other value is near them."""
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of a kind are texts."""
    return any(holds(kind) for holds in _TEXT)


def numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column as float64 with NaN where missing; None where a cell is no number.

    >>> numbers(pa.chunked_array([["1", " 2.5", "n/a", None]]))
    array([1. , 2.5, nan, nan])
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_text(column.type):
        try:
            return column.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            column = present(column)
    try:
        return column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without blanks around them, null where a word says that they are missing."""
    text = pc.utf8_trim_whitespace(column)
    gone = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING, text.type))
    return pc.if_else(gone, pa.scalar(None, text.type), text)


def wrong_row(column: pa.ChunkedArray) -> int:
    """The first cell that is no number, of a column where `numbers` is None."""
    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if numbers(column.slice(0, middle)) is None else (middle, bad)
    return good


def checked_numbers(
    column: pa.ChunkedArray, source: str, where: str, start: int = 0, hint: str = ""
) -> np.ndarray:
    """A column as float64, NaN where missing.

    Raises
    ------
    InputError
        A cell that is no number: names its row, which `start` precede.
    """
    found = numbers(column)
    if found is None:
        row = wrong_row(column)
        cell = str(column[row].as_py())[:40]
        mark = " (a decimal comma? then --decimal ,)" if "," in cell else ""
        raise InputError(
            f"{source}: row {start + row + 1}, {where}: expected a number{hint},"
            f" got {cell!r}{mark}"
        )
    return found


def kind_of(column: pa.ChunkedArray, least: pa.DataType) -> pa.DataType:
    """What a text column holds: the first of int64, float64 and text, from `least` on, that fits.

    A number with leading zeros is a code and stays text; other kinds stay what they are.

    >>> kind_of(pa.chunked_array([["1", "2.5"]]), pa.int64())
    DataType(double)
    """
    ladder = (pa.int64(), pa.float64(), pa.string())
    if not is_text(column.type):
        return column.type
    if least == ladder[-1] or pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
        return pa.string()
    filled = pc.if_else(pc.equal(column, ""), None, column)
    for kind in ladder[ladder.index(least) :]:
        try:
            filled.cast(kind)
        except pa.ArrowInvalid:
            continue
        return kind
    return pa.string()


def without_fills(values: np.ndarray, most: float) -> np.ndarray:
    """NaN in the place of a filling number where every other value is at most `most` in size.

    >>> without_fills(np.array([0.1, -9999.0, 0.4]), 10.0)
    array([0.1, nan, 0.4])
    """
    filling = np.isin(values, FILLS)
    others = values[~filling & np.isfinite(values)]
    if not filling.any() or (others.size and np.abs(others).max() > most):
        return values
    return np.where(filling, np.nan, values)


def on_texts(table: pa.Table, change: Callable[[Any], Any]) -> list[Any]:
    """The columns of a table, what a function makes of all their texts in the place of these.

    The function is called once, as one call a column would take long for thousands of them.
    """
    columns = [_whole(column) for column in table.columns]
    texts = [i for i, column in enumerate(columns) if is_text(column.type)]
    if texts and table.num_rows:
        joined = pa.concat_arrays([columns[i].cast(pa.large_string()) for i in texts])
        changed = _whole(change(joined))
        for place, i in enumerate(texts):
            columns[i] = changed.slice(place * table.num_rows, table.num_rows)
    return columns


def _whole(column: Any) -> Any:
    """One array of what may come in several."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
