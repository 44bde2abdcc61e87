"""What all figures share: colours, text, empty canvases, and files in which they are kept.

Text from the input is shown letter by letter: no mathematics, no control characters. Ink, paper
and the greys are named colours of which the report's page makes variables, so that one drawing
serves light and dark.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from validation.report.comparison import GCOS, GCOS_FLOOR

INK, MUTED, SOFT, FAINT, PAPER = "#1b1f24", "#5b6470", "#9aa3ad", "#e3e7eb", "#fefefe"
BLUE = "#0072b2"
THEME = {
    INK: "--ink",
    MUTED: "--muted",
    SOFT: "--soft",
    FAINT: "--faint",
    PAPER: "--paper",
    BLUE: "--blue",
}
"""Variables of the page by the colour they stand for."""

COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
"""Okabe & Ito's colours, which the colour-blind tell apart, without the yellow."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "physvae",
}


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as `stem`.png and `stem`.svg, the same bytes every time."""
    with matplotlib.rc_context(STYLE):
        crop = {"bbox_inches": "tight", "pad_inches": 0.08}
        figure.savefig(f"{stem}.png", dpi=200, metadata={"Software": None}, **crop)
        figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": None}, **crop)


def plain(text: str, *, longest: int = 40) -> str:
    """A text that matplotlib draws as it is: no mathematics, no control characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text.replace("$", r"\$")


def figure_of(width: float, height: float) -> Figure:
    """An empty figure [inch] that draws without pyplot."""
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def looks_of(site: pd.Series) -> dict[str, tuple[str, str]]:
    """Colour and marker of every site: the largest have their own, the rest share grey."""
    names = list(site.value_counts().index)
    own = names if len(names) <= len(COLOURS) else names[: len(COLOURS)]
    looks: dict[str, tuple[str, str]] = dict.fromkeys(names, (SOFT, "."))
    return looks | dict(zip(own, zip(COLOURS, MARKERS, strict=True), strict=False))


def limits_of(*tables: pd.DataFrame) -> tuple[float, float]:
    """Ends of both axes: every point is inside, and of the intervals what 99 % stay below."""
    points = np.concatenate([t[["measured", "estimate"]].to_numpy().ravel() for t in tables])
    ends = np.concatenate([t["estimate_p975"].dropna().to_numpy() for t in tables])
    top = max(points.max(), np.quantile(ends, 0.99) if len(ends) else 0.0)
    low = min(points.min(), 0.0)
    span = top - low if top > low else 1.0
    return low - 0.02 * span, low + 1.04 * span


def ground(axes: Axes, limits: tuple[float, float], *, trait: str) -> None:
    """1:1 line, the GCOS threshold for LAI, equal axes."""
    axes.plot(limits, limits, color=INK, lw=0.9, zorder=2.5)
    if trait == "lai":
        x = np.linspace(0, limits[1], 200)
        goal, half = (np.maximum(share * x, GCOS_FLOOR) for share in GCOS.values())
        axes.fill_between(x, x - half, x + half, color=FAINT, lw=0, zorder=0)
        for sign in (-1, 1):
            axes.plot(x, x + sign * goal, color=SOFT, lw=0.6, ls=(0, (4, 3)), zorder=0.5)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))


def label(metrics: dict) -> str:
    """Symbol and unit of the trait."""
    unit = metrics["unit"]
    return plain(metrics["symbol"] + (f" [{unit}]" if unit != "-" else ""))
