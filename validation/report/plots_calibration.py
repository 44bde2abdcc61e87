"""Is the uncertainty honest? Reliability, PIT histogram, error against predicted spread, ranks."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from validation.report.figure_style import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    SOFT,
    figure_of,
    label,
    plain,
)


def panels(metrics: dict) -> Figure:
    """Three panels from `metrics["calibration"]`, those for which there is something to draw."""
    found = metrics["calibration"]
    drawers = [reliability]
    if found["pit"]:
        drawers.append(pit)
    if found["error_by_sd"]:
        drawers.append(spread)
    figure = figure_of(0.6 + 3.5 * len(drawers), 3.6)
    for axes, draw in zip(
        figure.subplots(1, len(drawers), squeeze=False)[0], drawers, strict=True
    ):
        draw(axes, metrics)
    return figure


def reliability(axes: Axes, metrics: dict) -> None:
    """Observed against nominal coverage of central intervals."""
    found = metrics["calibration"]
    axes.plot([0, 1], [0, 1], color=INK, lw=0.9)
    curve = found["reliability"]
    nominal = [entry["nominal"] for entry in curve]
    axes.plot(nominal, [entry["observed"] for entry in curve], color=COLOURS[0], lw=1.4)
    for level, entry in found["levels"].items():
        low, high = entry["coverage_clustered_ci95"] or entry["coverage_ci95"]
        x, y = float(level), entry["coverage"]
        axes.plot([x, x], [low, high], color=COLOURS[0], lw=1, alpha=0.6)
        axes.plot(x, y, "o", color=COLOURS[0], ms=4)
        left = any(0 < float(other) - x < 0.1 for other in found["levels"])
        axes.annotate(
            f"{y:.0%}", (x, y), (-5, 3) if left else (5, -9), ha="right" if left else "left",
            textcoords="offset points", fontsize=7.5,
        )  # fmt: skip
    if found["stated_95"]:
        y = found["stated_95"]["coverage"]
        axes.plot(0.95, y, "D", mfc="none", color=COLOURS[1], ms=5, label=f"as stated: {y:.0%}")
        axes.legend(loc="upper left", handletextpad=0.1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title="Do the intervals hold?")
    axes.set(xlabel="nominal coverage", ylabel="measurements inside")
    axes.grid(True)


def pit(axes: Axes, metrics: dict) -> None:
    """Histogram of the PIT with the 95 % range of a uniform one."""
    counts = np.array(metrics["calibration"]["pit"])
    histogram(axes, counts, title="Where measurements fall")
    axes.set_xlabel("probability of the prediction below the measurement")


def histogram(axes: Axes, counts: np.ndarray, *, title: str) -> None:
    """Counts in equal bins of [0, 1], and what chance allows a uniform distribution."""
    from scipy.stats import binom

    bins, n = len(counts), int(counts.sum())
    low, high = binom.ppf([0.025, 0.975], n, 1 / bins)
    axes.axhspan(low, high, color=FAINT, lw=0, zorder=0)
    axes.axhline(n / bins, color=INK, lw=0.9, zorder=1)
    edges = (np.arange(bins) + 0.5) / bins
    axes.bar(edges, counts, width=0.92 / bins, color=COLOURS[0], alpha=0.85, zorder=2)
    axes.set(xlim=(0, 1), ylim=(0, max(float(high), counts.max()) * 1.12), title=title)
    axes.set_ylabel("rows (band: 95 % range if honest)")


def spread(axes: Axes, metrics: dict) -> None:
    """Root mean square error against root mean square predicted sd, rows grouped by sd."""
    groups = metrics["calibration"]["error_by_sd"]
    sd, rmse = (np.array([entry[k] for entry in groups]) for k in ("sd", "rmse"))
    top = 1.08 * max(sd.max(), rmse.max())
    axes.plot([0, top], [0, top], color=INK, lw=0.9)
    axes.plot(sd, rmse, "-", color=SOFT, lw=0.8, zorder=1)
    axes.plot(sd, rmse, "o", color=COLOURS[1], ms=4.5, zorder=2)
    axes.set(xlim=(0, top), ylim=(0, top), aspect="equal", title="Error against predicted sd")
    axes.set(xlabel=f"predicted sd of {label(metrics)}", ylabel="RMSE of the group")
    axes.grid(True)


def ranks(counts: dict[str, np.ndarray], title: str) -> Figure:
    """Rank histograms of simulations, a panel a trait."""
    across = min(len(counts), 5)
    down = -(-len(counts) // across)
    figure = figure_of(0.6 + 2.4 * across, 0.7 + 1.9 * down)
    axes_all = figure.subplots(down, across, squeeze=False)
    for axes, (name, count) in zip(axes_all.flat, counts.items(), strict=False):
        histogram(axes, count, title=plain(name))
        axes.set_ylabel("")
        axes.tick_params(labelsize=7)
    for axes in axes_all.flat[len(counts) :]:
        axes.set_visible(False)
    figure.supxlabel(title, fontsize=9, color=MUTED)
    return figure
