"""Predicted against measured by set, and how much the stated intervals hold by class."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from evidence_parts.measured import CANOPIES, PICTURED
from evidence_parts.page import Page
from evidence_parts.sets import SNAP, Gathered
from validation.evidence.set_scores import CLASSES
from validation.report import figure_style

TOP = 8.0
DRAWN = CANOPIES[:2]
"""Sets whose single values may be shown; of the third only summaries."""


def pictures(page: Page, found: Gathered) -> None:
    """Both figures."""
    page.say("Grey: within 0.5 or 20 %. Colours: what was measured.")
    page.show("scatter", scatter(found), "Predicted against measured LAI, by set and model")
    page.show("coverage", coverage(found), "Share of measurements in the stated 95 % interval")


def scatter(found: Gathered) -> Any:
    """Rows of models, columns of sets."""
    names = [*PICTURED, SNAP]
    rows = {**found.ours, **found.theirs}
    drawn = rows[PICTURED[0]].query("trait == 'lai' and set in @DRAWN")
    kinds = list(dict.fromkeys(drawn["definition"]))
    with matplotlib.rc_context(figure_style.STYLE):
        figure = figure_style.figure_of(5.6, 8.0)
        panels = figure.subplots(len(names), len(DRAWN), squeeze=False)
        for line, name in zip(panels, names, strict=True):
            for axes, where in zip(line, DRAWN, strict=True):
                part = rows[name].query("trait == 'lai' and set == @where")
                cloud(axes, part, kinds)
                axes.set_title(f"{name}, {where}", fontsize=8)
        panels[-1][0].set(xlabel="measured LAI", ylabel="predicted LAI")
        panels[0][0].legend(loc="upper left", handletextpad=0.1)
    return figure


def cloud(axes: Axes, part: Any, kinds: list[str]) -> None:
    """The points of one panel, or that there are none."""
    x = np.linspace(0.0, TOP, 100)
    room = np.maximum(0.5, 0.2 * x)
    axes.fill_between(x, x - room, x + room, color=figure_style.FAINT, lw=0, zorder=0)
    axes.plot([0, TOP], [0, TOP], color=figure_style.INK, lw=0.8)
    if not len(part):
        axes.text(TOP / 2, TOP / 2, "lacks bands", ha="center", color=figure_style.MUTED)
    for number, kind in enumerate(kinds):
        some = part[part["definition"] == kind]
        axes.plot(some["measured"], some["estimate"], figure_style.MARKERS[number], ms=2.6, mew=0,
                  alpha=0.65, color=figure_style.COLOURS[number], label=kind)  # fmt: skip
    axes.set(xlim=(0, TOP), ylim=(0, TOP), aspect="equal")


def coverage(found: Gathered) -> Any:
    """A panel a set, a mark a model and class."""
    with matplotlib.rc_context(figure_style.STYLE):
        figure = figure_style.figure_of(8.2, 2.8)
        panels = figure.subplots(1, len(CANOPIES), sharey=True, squeeze=False)[0]
        for axes, where in zip(panels, CANOPIES, strict=True):
            for number, name in enumerate(("sentinel-2", "sentinel-2-crops", "landsat-8")):
                table = found.tables[name].query(
                    "trait == 'lai' and set == @where and by == 'LAI'"
                )
                at = [list(CLASSES).index(c) + 0.14 * (number - 1) for c in table["class"]]
                axes.plot(at, 100 * table["coverage_95"].astype(float),
                          figure_style.MARKERS[number], ms=5,
                          color=figure_style.COLOURS[number], label=name)  # fmt: skip
            axes.axhline(95, color=figure_style.INK, lw=0.8)
            axes.set_xticks(range(len(CLASSES)), list(CLASSES))
            axes.set(title=where, xlabel="measured LAI", xlim=(-0.5, len(CLASSES) - 0.5))
            axes.grid(axis="y")
        panels[0].set(ylabel="in the 95 % interval [%]", ylim=(None, 102))
        panels[0].legend(loc="lower left")
    return figure
