"""Tables written as CSV: one cell stays one cell, and none runs as a formula.

A cell is put in quotation marks where it holds a comma, a quotation mark or any control character.
A text that a spreadsheet would run gets an apostrophe before it: where it begins so, and where
a part of it does behind a line break, a tab or a semicolon, at which careless readers part cells.
Numbers are written with the digits that give them back.
"""

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from physvae.tables.cells import is_text, on_texts, pc

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FORMULA = r"^[\s\x00-\x1f]*[=@+\-＝＠＋－\t\r]"
_HARMLESS = rf"^\s*(?:{_NUMBER}|-)\s*$"
_INSIDE = r"([\x00-\x1f\x7f;]\s*)([=@＝＠]|[+\-＋－][^\d.\s])"
_WHOLE = r"(?: 00:00:00)?(?:\.0+)?(Z?)$"
_QUOTED = r'[",\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]'
_APOSTROPHE, _MARK, _COMMA, _END, _NOTHING = (
    pa.scalar(text, pa.large_string()) for text in ("'", '"', ",", "\n", "")
)


def defused(column: Any) -> Any:
    """Texts with an apostrophe before what a spreadsheet would run as a formula.

    >>> defused(pa.array(["=1+1", "-1.5", "a;=b"])).to_pylist()
    ["'=1+1", '-1.5', "a;'=b"]
    """
    column = column.cast(pa.large_string())
    begins = pc.and_(
        pc.match_substring_regex(column, _FORMULA),
        pc.invert(pc.match_substring_regex(column, _HARMLESS)),
    )
    column = pc.if_else(begins, pc.binary_join_element_wise(_APOSTROPHE, column, _NOTHING), column)
    if not pc.any(pc.match_substring_regex(column, _INSIDE)).as_py():
        return column
    return pc.replace_substring_regex(column, pattern=_INSIDE, replacement=r"\1'\2")


def defused_names(names: Sequence[str]) -> list[str]:
    """Names of columns, of which none is a formula."""
    return defused(pa.array(list(names), pa.string())).to_pylist()


def cells(column: Any) -> Any:
    """A column as the texts that stand in the file; nothing where it is null or NaN."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if is_text(kind):
        return pc.fill_null(_quoted(defused(column)), "")
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_boolean(kind):
        column = pc.if_else(column, "True", "False")
    try:
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return _others(column)
        text = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _others(column)
    if pa.types.is_temporal(kind):
        text = pc.replace_substring_regex(text, _WHOLE, r"\1")
    return pc.fill_null(text, "")


def _others(column: Any) -> Any:
    """Bytes as hexadecimal digits, what is nested as its text."""
    texts = [
        None if x is None else x.hex() if isinstance(x, bytes) else str(x)
        for x in column.to_pylist()
    ]
    return pc.fill_null(_quoted(defused(pa.array(texts, pa.string()))), "")


def _quoted(column: Any) -> Any:
    column = column.cast(pa.large_string())
    special = pc.match_substring_regex(column, _QUOTED)
    if not pc.any(special).as_py():
        return column
    doubled = pc.replace_substring(column, pattern='"', replacement='""')
    marked = pc.binary_join_element_wise(_MARK, doubled, _MARK, _NOTHING)
    return pc.if_else(special, marked, column)


def write_header(file: BinaryIO, names: Sequence[str]) -> None:
    """Write the row of names."""
    row = _quoted(pa.array(defused_names(names), pa.string())).to_pylist()
    file.write((",".join(row) + "\n").encode())


def write_rows(file: BinaryIO, table: pa.Table) -> None:
    """Write the rows of a table below those that are there."""
    if not table.num_rows:
        return
    columns = [
        column if is_text(column.type) else cells(column).cast(pa.large_string())
        for column in on_texts(table, cells)
    ]
    if len(columns) == 1:  # a row must not look empty
        columns = [pc.if_else(pc.equal(columns[0], ""), '""', columns[0])]
    columns[-1] = pc.binary_join_element_wise(columns[-1], _END, _NOTHING)
    lines = pc.binary_join_element_wise(*columns, _COMMA)
    start, end = lines.offset, lines.offset + len(lines)
    offsets = memoryview(lines.buffers()[1]).cast("q")
    file.write(memoryview(lines.buffers()[2])[offsets[start] : offsets[end]])
