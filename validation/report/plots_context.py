"""Where and on what the estimates err: residuals, map of the plots."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from validation.report.figure_style import (
    COLOURS,
    INK,
    MUTED,
    PAPER,
    SOFT,
    figure_of,
    label,
    looks_of,
    plain,
)
from validation.report.page_figures import SHARED

CROPS = 12
"""At most so many crops are drawn, the most frequent first."""
ZOOMS = 6


def residuals(metrics: dict, pairs: pd.DataFrame) -> Figure:
    """Estimate minus measurement by measured value, days between and, if known, crop."""
    gaps = np.isfinite(pairs["delta_days"]).any() and pairs["delta_days"].nunique() > 1
    crops = "crop" in pairs and pairs["crop"].fillna("").astype(str).nunique() > 1
    shares = [1.3, *([1.0] if gaps else []), *([1.1] if crops else [])]
    figure = figure_of(0.8 + 3.1 * sum(shares), 3.9)
    panels = list(figure.subplots(1, len(shares), squeeze=False, width_ratios=shares)[0])
    _by_size(panels[0], metrics, pairs)
    if gaps:
        _by_gap(panels[1], metrics, pairs)
    if crops:
        _by_crop(panels[-1], metrics, pairs)
    return figure


def _by_size(axes: Axes, metrics: dict, pairs: pd.DataFrame) -> None:
    """Errors against the measured value, a colour a site, with the medians of eight groups."""
    for site, (colour, marker) in looks_of(pairs["site"]).items():
        own = pairs[pairs["site"] == site]
        look = {"color": colour, "ms": 3.4, "mew": 0.3, "mec": PAPER, "alpha": 0.8}
        axes.plot(own["measured"], own["error"], marker, **look)
    axes.axhline(0, color=INK, lw=0.9)
    ordered = pairs.sort_values("measured")
    groups = [g for g in np.array_split(np.arange(len(ordered)), 8) if len(g) >= 4]
    middle = [
        (ordered["measured"].iloc[g].median(), ordered["error"].iloc[g].median()) for g in groups
    ]
    if middle:
        axes.plot(*zip(*middle, strict=True), "-", color=INK, lw=1.6, label="median of eighths")
        axes.legend(loc="upper right")
    axes.set_title("By size")
    axes.set(xlabel=f"measured {label(metrics)}", ylabel=f"retrieved − measured {label(metrics)}")


def _by_gap(axes: Axes, metrics: dict, pairs: pd.DataFrame) -> None:
    """Errors by days from measurement to image, a box a day."""
    known = pairs[np.isfinite(pairs["delta_days"])]
    days = sorted(known["delta_days"].unique())
    if len(days) > 15:
        axes.plot(known["delta_days"], known["error"], "o", color=COLOURS[0], ms=3, alpha=0.5)
    else:
        groups = [known["error"][known["delta_days"] == day] for day in days]
        _boxes(axes, groups, days, vertical=True)
    axes.axhline(0, color=INK, lw=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(11, integer=True))
    axes.set_title("By time between")
    axes.set(xlabel="image minus measurement [days]")
    axes.set_ylabel(f"retrieved − measured {label(metrics)}")


def _by_crop(axes: Axes, metrics: dict, pairs: pd.DataFrame) -> None:
    """Errors by crop, a box each, the most frequent first."""
    crop = pairs["crop"].fillna("").astype(str).replace("", "unnamed")
    names = list(crop.value_counts().index[:CROPS])
    groups = [pairs["error"][crop == name] for name in names]
    _boxes(axes, groups, list(range(len(names))), vertical=False)
    axes.axvline(0, color=INK, lw=0.9)
    labels = [f"{plain(n, longest=24)} ({len(g)})" for n, g in zip(names, groups, strict=True)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title("By crop")
    axes.set_xlabel(f"retrieved − measured {label(metrics)}")


def _boxes(axes: Axes, groups: list, at: list, *, vertical: bool) -> None:
    """Boxes of quartiles with whiskers to 5 and 95 %."""
    axes.boxplot(
        groups, positions=at, widths=0.6, manage_ticks=False, whis=(5, 95),
        orientation="vertical" if vertical else "horizontal", patch_artist=True,
        boxprops={"facecolor": COLOURS[0], "alpha": 0.35, "edgecolor": COLOURS[0]},
        medianprops={"color": INK, "lw": 1.4},
        whiskerprops={"color": COLOURS[0]}, capprops={"color": COLOURS[0]},
        flierprops={"marker": ".", "ms": 3, "mec": SOFT, "mfc": SOFT},
    )  # fmt: skip


def has_places(pairs: pd.DataFrame) -> bool:
    """Whether at least two pairs have coordinates."""
    if not {"lat", "lon"} <= set(pairs.columns):
        return False
    return int((np.isfinite(pairs["lat"]) & np.isfinite(pairs["lon"])).sum()) > 1


def places(metrics: dict, pairs: pd.DataFrame) -> Figure:
    """All plots, and each of the largest sites by itself, coloured by their error."""
    known = pairs[np.isfinite(pairs["lat"]) & np.isfinite(pairs["lon"])]
    names = list(known["site"].value_counts().index[:ZOOMS])
    names = names if known["site"].nunique() > 1 else []
    across = min(3, 1 + len(names))
    down = math.ceil((1 + len(names)) / across)
    figure = figure_of(0.6 + 2.9 * across, 1.3 + 2.7 * down)
    panels = figure.subplots(down, across, squeeze=False)
    most = float(np.quantile(np.abs(known["error"]), 0.95)) or 1.0
    drawn: Any = None
    for axes, name in zip(panels.flat, [None, *names], strict=False):
        own = known if name is None else known[known["site"] == name]
        drawn = _scattered(axes, own, most, whole=name is None)
        axes.set_title("all sites" if name is None else plain(name, longest=30), fontsize=9)
    for axes in panels.flat[1 + len(names) :]:
        axes.set_visible(False)
    below = {"location": "bottom", "shrink": 0.4, "aspect": 24}
    bar = figure.colorbar(drawn, ax=list(panels.flat), extend="both", **below)
    bar.ax.set_gid(SHARED)
    bar.set_label(f"retrieved − measured {label(metrics)}")
    bar.outline.set_edgecolor(MUTED)
    return figure


def _scattered(axes: Axes, own: pd.DataFrame, most: float, *, whole: bool):
    """Points of one panel in degrees, with a true ratio of the axes."""
    drawn = axes.scatter(
        own["lon"], own["lat"], c=own["error"], cmap="RdBu_r", vmin=-most, vmax=most, s=16,
        lw=0.4, edgecolors=MUTED,
    )  # fmt: skip
    middle = math.cos(math.radians(float(own["lat"].mean())))
    span = max(np.ptp(own["lat"]), np.ptp(own["lon"]) * middle, 0.01 if not whole else 0.1)
    for axis, column, scale in (("y", "lat", 1.0), ("x", "lon", 1 / middle)):
        centre = (own[column].max() + own[column].min()) / 2
        half = 0.58 * span * scale
        axes.set(**{f"{axis}lim": (centre - half, centre + half)})
    axes.set_aspect(1 / middle)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(3))
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=7)
    axes.grid(True)
    if whole:
        axes.set(xlabel="longitude [degree]", ylabel="latitude [degree]")
    return drawn
