"""Tables as CSV or Parquet.

A cell of text that a spreadsheet would run as a formula gets an apostrophe before it; numbers and
all other text are written as they came.
"""

from pathlib import Path

import pandas as pd

from physvae.files import atomic

_FORMULA = r"^\s*[=@+\-\t\r]"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


def write(frame: pd.DataFrame, output: Path) -> None:
    """Write a table; the suffix of `output` chooses the format.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    with atomic(output) as temporary:
        if output.suffix.lower() == ".parquet":
            _typed(frame).to_parquet(temporary, engine="pyarrow")
        else:
            _safe(frame).to_csv(temporary, index=False, float_format="%.7g")


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns of text that hold nothing but numbers a number's type; codes like 007 stay."""
    return frame.apply(lambda column: _number(column) if _is_text(column) else column)


def _number(column: pd.Series) -> pd.Series:
    text = column.astype("string").str.strip()
    filled = text[text.notna() & (text != "")]
    plain = filled.str.fullmatch(_NUMBER) & ~filled.str.match(r"[+-]?0\d")
    if filled.empty or not plain.all():
        return column
    return pd.to_numeric(text.mask(text == ""))


def _safe(frame: pd.DataFrame) -> pd.DataFrame:
    safe = frame.apply(lambda column: _defused(column) if _is_text(column) else column)
    return safe.set_axis(_defused(pd.Series(safe.columns, dtype=str)).to_list(), axis=1)


def _defused(column: pd.Series) -> pd.Series:
    text = column.astype("string")
    stripped = text.str.strip()
    formula = text.str.match(_FORMULA) & ~stripped.str.fullmatch(_NUMBER) & (stripped != "-")
    return column.mask(formula.fillna(False).astype(bool), "'" + text)


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_string_dtype(column.dtype) or column.dtype == object
