"""The tables of a report: text for Markdown, CSV and terminal; texts of the input escaped."""

import html
import math
from collections.abc import Collection

COLUMNS = {
    "n": ("n", "{:d}"),
    "rmse": ("RMSE", "{:.2f}"),
    "bias": ("bias", "{:+.2f}"),
    "ubrmse": ("ubRMSE", "{:.2f}"),
    "r": ("r", "{:.2f}"),
    "r2": ("R²", "{:.2f}"),
    "slope": ("slope", "{:.2f}"),
    "intercept": ("intercept", "{:+.2f}"),
    "coverage_95": ("95 % covers", "{:.1%}"),
    "width_95": ("width", "{:.2f}"),
    "interval_score_95": ("int. score", "{:.2f}"),
}
"""Heading and format of the scores shown in tables."""

SHORT = ("n", "rmse", "bias", "r", "r2", "coverage_95", "width_95")
"""The scores that fit a terminal."""


def summary(metrics: dict) -> str:
    """The report's tables as Markdown, texts of the input escaped."""
    rows = metrics["rows"]
    lines = [
        f"# {_cell(metrics['name'])}: retrieved {metrics['symbol']} against measurements",
        "",
        f"{rows['compared']} of {rows['field']} field rows compared; unit {metrics['unit']}.",
        "",
        *(f"- left out: {d['count']} × {why}" for why, d in metrics["dropped"].items()),
        *(f"- flagged: {count} × {_cell(flag)}" for flag, count in metrics["quality"].items()),
        "",
        *markdown(heads(), table_rows(metrics)),
        "",
        "Bias is estimate minus measurement; R² is 1 − SSE/SST; slope and intercept are least",
        "squares of estimate on measurement. All definitions: docs/validate.md of the package.",
        "",
    ]
    return "\n".join(lines)


def table_rows(metrics: dict, keys: Collection[str] = COLUMNS) -> list[list[str]]:
    """Rows of text for a table: method, group of rows, then scores; pooled before the sites."""
    table = []
    methods = {metrics["name"]: metrics, **metrics["baselines"]}
    for method, found in methods.items():
        groups = [("pooled", found["pooled"]), ("unflagged", found.get("unflagged"))]
        for group, scores in groups + list(found["sites"].items()):
            if scores:
                numbers = [shown(scores[key], COLUMNS[key][1]) for key in keys]
                table.append([method, group, *numbers])
    return table


def heads(keys: Collection[str] = COLUMNS) -> list[str]:
    """The headings of `table_rows`."""
    return ["method", "rows", *(COLUMNS[key][0] for key in keys)]


def shown(value: float | int | None, form: str) -> str:
    """A number in a format, or a dash."""
    return "–" if value is None or not math.isfinite(value) else form.format(value)


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table: two columns of text, then numbers."""
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    body = [[_cell(cell) for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *body)]


def _cell(text: str) -> str:
    """A text that can stand in a Markdown table without becoming markup."""
    text = " ".join(html.escape(text, quote=False).split())
    for mark in ("\\", "|", "`", "[", "]", "*", "_"):
        text = text.replace(mark, "\\" + mark)
    return text
