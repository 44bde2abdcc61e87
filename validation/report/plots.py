"""The figures of a report: pairs and their scores in, matplotlib figures out, no global state."""

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from validation.report import plots_calibration, plots_context, plots_series
from validation.report.comparison import as_baseline
from validation.report.figure_style import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SOFT,
    STYLE,
    figure_of,
    ground,
    label,
    limits_of,
    looks_of,
    plain,
    save,
)
from validation.report.tables import shown

__all__ = ["DENSE", "PANELS", "coverage", "figures", "save", "scatter", "sites"]

OTHER = "other sites"
DENSE = 1500
"""More pairs than this are drawn as a density, without error bars."""
POINTS = 5000
"""More pairs than this are pixels in every file: no page opens with a million shapes."""
PANELS = 24
"""At most this many sites get a panel, the largest first."""


def figures(metrics: dict, pairs: pd.DataFrame, courses: pd.DataFrame) -> dict[str, Figure]:
    """Figures of a report by kind, those for which there is something to draw."""
    with matplotlib.rc_context(STYLE):
        drawn = {"scatter": scatter(metrics, pairs), "sites": sites(metrics, pairs)}
        drawn["residuals"] = plots_context.residuals(metrics, pairs)
        if metrics["pooled"]["n_interval"]:
            drawn["coverage"] = coverage(metrics)
            drawn["calibration"] = plots_calibration.panels(metrics)
        if plots_context.has_places(pairs):
            drawn["map"] = plots_context.places(metrics, pairs)
        if names := plots_series.followed(pairs, courses):
            drawn["series"] = plots_series.series(metrics, pairs, courses, names)
        for figure in drawn.values():
            figure.canvas.draw()  # lays it out, once for all the files it is saved to
            figure.set_layout_engine("none")
            for axes in figure.axes if len(pairs) > POINTS else ():
                axes.set_rasterization_zorder(3.5)
    return drawn


def scatter(metrics: dict, pairs: pd.DataFrame) -> Figure:
    """Estimate against measurement, a panel for the estimates and one for every baseline."""
    methods = _methods(metrics, pairs)
    limits = limits_of(*(rows for _, rows, _ in methods))
    across = 2 if len(methods) == 4 else min(len(methods), 3)
    down = math.ceil(len(methods) / across)
    figure = figure_of(0.8 + 4.0 * across, 1.2 + 4.5 * down)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(methods) :]:
        axes.set_visible(False)
    looks = looks_of(pairs["site"])
    for axes, (name, rows, scores) in zip(panels.flat, methods, strict=False):
        ground(axes, limits, trait=metrics["trait"])
        if len(rows) > DENSE:
            _density(axes, rows, limits)
        else:
            _points(axes, rows, looks)
        axes.set_title(plain(name))
        _corner(axes, scores["pooled"])
    for axes in panels[:, 0]:
        axes.set_ylabel(f"retrieved {label(metrics)}")
    for axes in panels.flat[max(0, len(methods) - across) : len(methods)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"measured {label(metrics)}")
    _legend(figure, looks if len(pairs) <= DENSE else {}, metrics)
    return figure


def sites(metrics: dict, pairs: pd.DataFrame) -> Figure:
    """One panel a site, largest first: intervals, measurement's spread, first baseline."""
    names = list(pairs["site"].value_counts().index[:PANELS])
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    figure = figure_of(0.8 + 2.7 * across, 1.4 + 2.9 * down)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    looks, limits = looks_of(pairs["site"]), limits_of(pairs)
    if len(looks) > len(COLOURS):
        looks |= dict.fromkeys(looks, (COLOURS[0], MARKERS[0]))
    for axes, name in zip(panels.flat, names, strict=False):
        rows = pairs[pairs["site"] == name]
        ground(axes, limits, trait=metrics["trait"])
        for baseline in list(metrics["baselines"])[:1]:
            other = as_baseline(rows, baseline)
            axes.plot(other["measured"], other["estimate"], "x", c=MUTED, ms=3.5, mew=0.7)
        spread = rows["measured_std"].fillna(0)
        axes.errorbar(
            rows["measured"],
            rows["estimate"],
            xerr=spread,
            fmt="none",
            ecolor=SOFT,
            elinewidth=0.5,
            alpha=0.4,
            zorder=1.9,
        )
        if len(rows) > DENSE:
            _density(axes, rows, limits)
        else:
            _points(axes, rows, looks)
        axes.set_title(plain(name, longest=34), fontsize=9)
        _corner(axes, metrics["sites"][name], size=7)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes in panels.flat[max(0, len(names) - across) : len(names)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"measured {label(metrics)}")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"retrieved {label(metrics)}")
    _legend(figure, {}, metrics, per_site=True, spread=bool(pairs["measured_std"].notna().any()))
    return figure


def coverage(metrics: dict) -> Figure:
    """Share of measurements inside the 95 % interval, pooled and per site, with its uncertainty.

    Only this one level: the estimates' tables carry no other quantiles.
    """
    rows = sorted(metrics["sites"].items(), key=lambda item: -item[1]["n_interval"])[:PANELS]
    rows = [("pooled", metrics["pooled"]), *rows]
    rows = [(name, scores) for name, scores in rows if scores["n_interval"]]
    figure = figure_of(4.6, 1.3 + 0.42 * len(rows))
    axes = figure.subplots()
    axes.axvline(0.95, color=INK, lw=1, zorder=1)
    for place, (_, scores) in enumerate(rows):
        low, high = scores["coverage_95_ci95"]
        colour = INK if place == 0 else COLOURS[0]
        axes.plot([low, high], [place, place], "-", c=colour, lw=1.4, solid_capstyle="butt")
        axes.plot(scores["coverage_95"], place, "o", c=colour, ms=5.5, clip_on=False)
    axes.set_yticks(range(len(rows)), [_named(*row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    lowest = min(scores["coverage_95_ci95"][0] for _, scores in rows)
    axes.set_xlim(max(0.0, math.floor(10 * min(lowest, 0.85)) / 10), 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter("{x:.0%}")
    symbol = plain(metrics["symbol"])
    axes.set_xlabel(
        f"measured {symbol} inside the 95 % interval\n(bar: Wilson's 95 % of the share)"
    )
    axes.grid(axis="x", color=FAINT, lw=0.6)
    axes.set_title("Does the 95 % interval hold?")
    return figure


def _named(name: str, scores: dict) -> str:
    """A site, and below it the numbers of its row."""
    share, n = f"{scores['coverage_95']:.1%}", scores["n_interval"]
    return f"{plain(name, longest=34)}\n{share}, n = {n}, width {scores['width_95']:.2f}"


def _methods(metrics: dict, pairs: pd.DataFrame) -> list[tuple[str, pd.DataFrame, dict]]:
    """Name, pairs and scores of the estimates and of every baseline."""
    others = [(n, as_baseline(pairs, n), found) for n, found in metrics["baselines"].items()]
    return [(metrics["name"], pairs, metrics), *others]


def _points(axes: Axes, rows: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """One marker a pair in its site's look; its 95 % interval, strong where it misses."""
    for site in (name for name in looks if name in set(rows["site"])):
        colour, marker = looks[site]
        group = rows[rows["site"] == site]
        for inside, alpha in ((1, 0.12), (0, 0.4)):
            known = group[group["inside_95"] == inside]
            at, low, high = known["measured"], known["estimate_p025"], known["estimate_p975"]
            axes.vlines(at, low, high, color=colour, lw=0.6, alpha=alpha, zorder=2)
        look = {"color": colour, "ms": 3.6, "mew": 0.35, "mec": PAPER, "alpha": 0.9}
        axes.plot(group["measured"], group["estimate"], marker, zorder=3, **look)


def _density(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    """Number of pairs in hexagons, on a logarithmic scale."""
    drawn = axes.hexbin(
        rows["measured"], rows["estimate"], gridsize=45, extent=(*limits, *limits),
        cmap="viridis", norm=LogNorm(), mincnt=1, lw=0.1, zorder=2,
    )  # fmt: skip
    axes.figure.colorbar(drawn, ax=axes, label="pairs", shrink=0.7)


def _corner(axes: Axes, scores: dict, *, size: float = 8) -> None:
    """The numbers, in the upper left corner."""
    lines = [
        f"n = {scores['n']}",
        f"RMSE {shown(scores['rmse'], '{:.2f}')},  bias {shown(scores['bias'], '{:+.2f}')}",
        f"R² {shown(scores['r2'], '{:.2f}')},  r {shown(scores['r'], '{:.2f}')}",
    ]
    if scores["n_interval"]:
        lines.append(f"95 % interval: covers {100 * scores['coverage_95']:.0f} %,")
        lines.append(f"mean width {scores['width_95']:.2f}")
    box = {"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
    text = axes.text(0.03, 0.97, "\n".join(lines).replace("-", "\N{MINUS SIGN}"), va="top")
    text.set(transform=axes.transAxes, fontsize=size, bbox=box, zorder=4)


def _legend(
    figure: Figure, looks: dict, metrics: dict, *, per_site: bool = False, spread: bool = False
) -> None:
    """Sites, lines and bands, below the panels."""
    own = {s: look for s, look in looks.items() if look[1] != "."}
    handles = [
        Line2D([], [], ls="", marker=m, color=c, mec=PAPER, mew=0.4, label=plain(s, longest=30))
        for s, (c, m) in own.items()
    ]
    if len(own) < len(looks):
        handles.append(Line2D([], [], ls="", marker=".", color=SOFT, label=OTHER))
    handles.append(Line2D([], [], color=INK, lw=0.9, label="1:1"))
    if metrics["trait"] == "lai":
        threshold, goal = "GCOS threshold ±20 %, ≥ 0.1", "GCOS goal ±10 %, ≥ 0.1"
        handles.append(Line2D([], [], color=FAINT, lw=6, label=threshold))
        handles.append(Line2D([], [], color=SOFT, lw=0.8, ls=(0, (4, 3)), label=goal))
    if metrics["pooled"]["n_interval"] and (looks or per_site):
        text = "95 % interval (strong: misses)"
        handles.append(Line2D([], [], color=MUTED, lw=0.8, label=text))
    if spread:
        text = "± sd of the measurement"
        handles.append(Line2D([], [], marker="_", ls="", ms=14, color=SOFT, label=text))
    for name in list(metrics["baselines"])[:1] if per_site else []:
        handles.append(Line2D([], [], ls="", marker="x", color=MUTED, ms=4, label=plain(name)))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=max(1, int(figure.get_figwidth() / 2.4))
    )
