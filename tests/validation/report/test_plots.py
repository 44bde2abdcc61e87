"""Figures show every pair, stay readable with many sites or pairs, and touch no global state."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from validation import evaluate
from validation.report import figure_style, page_figures, plots


def report(n: int, sites: int):
    generator = np.random.default_rng(0)
    lai = generator.uniform(0, 7, n)
    field = pd.DataFrame({"site": [f"s{i % sites}" for i in range(n)], "lai": lai})
    mean = lai + generator.normal(0, 1, n)
    estimates = pd.DataFrame({"lai_input": lai, "lai": mean})
    return evaluate(estimates.assign(lai_p025=mean - 2, lai_p975=mean + 2), field)


def drawn(axes) -> int:
    """Markers in a panel."""
    return sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() != "None")


@pytest.mark.parametrize("sites", [1, 3, 7, 12])
def test_every_pair_is_drawn_once_in_the_scatter(sites):
    found = report(60, sites)
    figure = plots.scatter(found.metrics, found.pairs)
    assert drawn(figure.axes[0]) == 60
    assert len(figure.axes[0].collections) >= 2


def test_every_site_has_its_panel_up_to_a_limit():
    found = report(200, 40)
    figure = plots.sites(found.metrics, found.pairs)
    assert sum(axes.get_visible() for axes in figure.axes) == plots.PANELS


def test_many_pairs_become_a_density():
    found = report(plots.DENSE + 1, 3)
    figure = plots.scatter(found.metrics, found.pairs)
    hexagons = figure.axes[0].collections[-1]
    assert hexagons.get_array().sum() == plots.DENSE + 1
    assert drawn(figure.axes[0]) == 0


@pytest.mark.parametrize("many", [50, 10_000])
def test_many_pairs_are_pixels_in_a_page(monkeypatch, many):
    monkeypatch.setattr(plots, "POINTS", many)
    found = report(200, 2)
    figure = plots.figures(found.metrics, found.pairs, found.courses)["residuals"]
    assert ("<image" in page_figures.drawn(figure, "errors").panels[0]) == (many < 200)


def test_the_corner_shows_the_scores():
    found = report(60, 3)
    (text,) = plots.scatter(found.metrics, found.pairs).axes[0].texts
    pooled = found.metrics["pooled"]
    assert "n = 60" in text.get_text()
    assert f"RMSE {pooled['rmse']:.2f}" in text.get_text()
    assert f"covers {100 * pooled['coverage_95']:.0f} %" in text.get_text()


def test_the_coverage_figure_has_a_row_for_the_pool_and_every_site():
    found = report(60, 3)
    axes = plots.coverage(found.metrics).axes[0]
    assert [label.get_text().split("\n")[0] for label in axes.get_yticklabels()] == [
        "pooled", "s0", "s1", "s2",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["$x_{^$", "a\x00b\nc", "x" * 300, "\\frac", ""])
def test_any_text_can_be_drawn(text):
    figure = figure_style.figure_of(2, 2)
    figure.text(0.5, 0.5, figure_style.plain(text))
    figure.canvas.draw()
    assert len(figure_style.plain(text)) <= 42


def test_settings_and_pyplot_are_left_alone():
    before = dict(matplotlib.rcParams)
    found = report(20, 2)
    plots.figures(found.metrics, found.pairs, found.courses)
    assert dict(matplotlib.rcParams) == before


DEUTERANOPE = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]
PROTANOPE = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]


@pytest.mark.parametrize("matrix", [DEUTERANOPE, PROTANOPE])
def test_the_colours_differ_for_the_colour_blind(matrix):
    """Linear RGB as they see it (Viénot, Brettel & Mollon 1999, Color Res. Appl. 24)."""
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in figure_style.COLOURS])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = linear @ np.array(matrix).T
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distance[~np.eye(len(seen), dtype=bool)].min() > 0.05
