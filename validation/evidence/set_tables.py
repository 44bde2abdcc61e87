"""Scores on labelled sets as text: for the screen, and cells for a page."""

from collections.abc import Iterable

import pandas as pd

from validation.evidence.labelled_sets import LabelledSet
from validation.evidence.set_scores import Estimator, paired, score_table
from validation.report.tables import shown

COLUMNS: dict[str, tuple[str, str]] = {
    "n": ("n", "{:.0f}"),
    "rmse": ("RMSE", "{:.3g}"),
    "rmse_without_reference": ("RMSE°", "{:.3g}"),
    "bias": ("bias", "{:+.3g}"),
    "r": ("r", "{:.2f}"),
    "spearman": ("ρ", "{:.2f}"),
    "coverage_95": ("95 % holds", "{:.0%}"),
    "width_95": ("width", "{:.3g}"),
    "interval_score_95": ("score", "{:.3g}"),
    "crps": ("CRPS", "{:.3g}"),
    "sd_ranks_error": ("sd ~ err", "{:+.2f}"),
    "flagged_share": ("flagged", "{:.0%}"),
    "flagged_error_ratio": ("their RMSE ×", "{:.2f}"),
}
"""Head and format of every score, in the order of a table's columns."""
HEADS = ["trait", "set", "class", *(head for head, _ in COLUMNS.values())]


def cells(table: pd.DataFrame) -> list[list[str]]:
    """The rows of a table of scores as text, in the order of `HEADS`; a dash where nothing is."""
    found = []
    for row in table.to_dict("records"):
        name = f"{row['by']} {row['class']}".strip()
        numbers = [shown(_number(row[key]), form) for key, (_, form) in COLUMNS.items()]
        found.append([str(row["trait"]), str(row["set"]), name, *numbers])
    return found


def _number(value: object) -> float | None:
    return None if value is None or value != value else float(value)  # type: ignore[arg-type]


def aligned(heads: list[str], rows: list[list[str]]) -> str:
    """Text in columns, words to the left and numbers to the right."""
    table = [heads, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    lines = []
    for row in table:
        padded = [
            c.ljust(w) if i < 3 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def scored(estimator: Estimator, sets: Iterable[LabelledSet], *, classes: bool = True) -> str:
    """What an estimator does on labelled sets, as a table in text."""
    table = score_table(paired(estimator, sets))
    return aligned(HEADS, cells(table if classes else table[table["by"] == ""]))
