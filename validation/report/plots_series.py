"""How plots went through the season: every date of the maps, and the field's dates among them."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from validation.field.dates import days_of
from validation.report.figure_style import COLOURS, INK, figure_of, label, plain

SERIES = 12
"""At most so many plots are drawn, those with the most dates first."""


def followed(pairs: pd.DataFrame, courses: pd.DataFrame) -> list[tuple[str, str]]:
    """Site and plot of what is drawn: courses over the maps, else plots with three field dates."""
    if not {"plot", "field_date"} <= set(pairs.columns):
        return []
    days = days_of(pairs["field_date"])
    known = pairs.assign(day=days)[days.notna()]
    if len(courses):
        counts = courses.groupby(["site", "plot"], sort=False)["image_date"].nunique()
        measured = set(zip(known["site"].astype(str), known["plot"].astype(str), strict=True))
        keys: list[Any] = [k for k in counts[counts >= 2].index if tuple(map(str, k)) in measured]
    else:
        counts = known.groupby(["site", "plot"])["day"].nunique()
        keys = list(counts[counts >= 3].sort_values(ascending=False).index)
    return [(str(site), str(plot)) for site, plot in keys[:SERIES]]


def series(
    metrics: dict, pairs: pd.DataFrame, courses: pd.DataFrame, names: list[tuple[str, str]]
) -> Figure:
    """A panel a plot: estimates with their 95 % interval, and measurements."""
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    figure = figure_of(0.8 + 3.0 * across, 0.9 + 1.9 * down)
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes, (site, plot) in zip(panels.flat, names, strict=False):
        _panel(axes, _of(pairs, site, plot), _of(courses, site, plot))
        axes.set_title(plain(f"{plot}, {site}", longest=44), fontsize=8)
    panels.flat[0].set_ylim(bottom=min(0.0, panels.flat[0].get_ylim()[0]))  # all share it
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(label(metrics))
    handles, labels = panels.flat[0].get_legend_handles_labels()
    handles = [part[0] if isinstance(part, ErrorbarContainer) else part for part in handles]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _of(table: pd.DataFrame, site: str, plot: str) -> pd.DataFrame:
    """Rows of one plot."""
    if not len(table):
        return table
    return table[(table["site"].astype(str) == site) & (table["plot"].astype(str) == plot)]


def _panel(axes: Axes, own: pd.DataFrame, course: pd.DataFrame) -> None:
    """One plot's measurements with their sd, and estimates with their 95 % interval."""
    own = own.assign(day=days_of(own["field_date"])).dropna(subset="day").sort_values("day")
    if len(course):
        line = course.assign(day=days_of(course["image_date"])).sort_values("day")
        _line(axes, line, "every map")
        axes.plot(own["day"], own["estimate"], "x", color=INK, ms=5, label="compared")
    else:
        _line(axes, own, "retrieved")
    axes.errorbar(
        own["day"], own["measured"], yerr=own["measured_std"].fillna(0), fmt="s", ms=3.5,
        color=COLOURS[1], elinewidth=0.8, label="measured",
    )  # fmt: skip
    locator = AutoDateLocator(minticks=2, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(labelsize=7)
    axes.grid(True)


def _line(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """Estimates by day, and their interval where there is one."""
    if "estimate_p025" in rows and rows["estimate_p025"].notna().any():
        ends = rows["estimate_p025"], rows["estimate_p975"]
        axes.fill_between(rows["day"], *ends, color=COLOURS[0], alpha=0.18, lw=0)
    axes.plot(rows["day"], rows["estimate"], "o-", color=COLOURS[0], ms=3.5, lw=1, label=name)
