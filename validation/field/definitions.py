r"""What exactly was measured: leaf, green or plant area, true or effective.

`lai_definition` says it: ``LAI`` (leaves, as PROSAIL has them), ``GAI`` (all green parts),
``PAI`` (all parts, dead ones and stems included), each followed by ``eff`` where clumping is not
taken out. Without the column it is read off the name of the method, where that says it.

    true = effective / Ω        (Chen & Black 1992, doi:10.1016/0168-1923(92)90079-3)
    GAI  = PAI · g

Ω is the column `clumping_index`, g the column `green_fraction`; where one of them is given, the
value is converted and its relative uncertainties add in quadrature. Where none is, the value stays
what it is, and the scores are also given by definition.
"""

import re

import numpy as np
import pandas as pd

DEFINITIONS = ("LAI", "LAIeff", "GAI", "GAIeff", "PAI", "PAIeff")
UNKNOWN = "not stated"

_METHODS = (
    (re.compile(r"pai_?eff|effective.{0,3}pai|dhp|hemisph|lai.?2[02]00|accupar|ceptomet", re.I),
     "PAIeff"),
    (re.compile(r"lai_?eff|effective.{0,3}lai", re.I), "LAIeff"),
    (re.compile(r"green.?lai|\bglai|gai", re.I), "GAI"),
    (re.compile(r"\bpai", re.I), "PAI"),
    (re.compile(r"destruct|planimet", re.I), "LAI"),
)  # fmt: skip
"""Pattern in a method's name and what such a method measures: instruments of gap fraction and of
light interception see every part of the plant and no clumping (Fang et al. 2019,
doi:10.1029/2018RG000608)."""


def definition(cell: object, method: object = "") -> str:
    """The definition that a cell or, failing that, the name of a method states.

    >>> definition("pai_eff"), definition("", "LICOR_LAI2200"), definition(None, "by eye")
    ('PAIeff', 'PAIeff', 'not stated')
    """
    text = re.sub(r"[ _-]", "", str(cell or "")).lower().replace("effective", "eff")
    text = text.removeprefix("true").replace("glai", "gai")
    text = text[3:] + "eff" if text.startswith("eff") else text
    text = re.sub(r"^([lpg]ai)e$", r"\1eff", text)
    for name in DEFINITIONS:
        if text == name.lower():
            return name
    said = "" if method is None or method != method else str(method)
    return next((name for pattern, name in _METHODS if pattern.search(said)), UNKNOWN)


def definitions(frame: pd.DataFrame) -> pd.Series:
    """Definition of every row from `lai_definition`, else from `lai_method`."""
    none = pd.Series("", index=frame.index)
    cells, methods = frame.get("lai_definition", none), frame.get("lai_method", none)
    cells = cells.where(cells.notna(), "")
    named = [definition(c, m) for c, m in zip(cells, methods, strict=True)]
    return pd.Series(named, index=frame.index, dtype=object)


def converted(
    value: np.ndarray, spread: np.ndarray, kind: np.ndarray, frame: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [n], spreads and definitions after the conversions that the columns allow.

    Parameters
    ----------
    value, spread : array [n]
        Measured value and its standard uncertainty, NaN where missing.
    kind : array [n]
        Definitions.
    frame : DataFrame
        With `clumping_index`, `green_fraction` and their `_std`, or without.
    """
    value, spread, kind = value.copy(), spread.copy(), np.asarray(kind, object).copy()
    for column, ending, power in (("clumping_index", "eff", -1), ("green_fraction", "PAI", 1)):
        if column not in frame:
            continue
        by = frame[column].to_numpy(float)
        by_std = np.nan_to_num(frame.get(f"{column}_std", pd.Series(0.0, frame.index)).to_numpy())
        marks = np.array([ending in str(name) for name in kind])
        use = marks & np.isfinite(by) & (by > 0) & (by <= (1 if ending == "PAI" else 1.5))
        before = value[use]
        value[use] = before * by[use] ** power
        relative = np.divide(spread[use], before, out=np.zeros(use.sum()), where=before > 0)
        spread[use] = value[use] * np.hypot(relative, by_std[use] / by[use])
        left = "" if ending == "eff" else "GAI"
        kind[use] = [str(name).replace(ending, left) for name in kind[use]]
    return value, spread, kind
