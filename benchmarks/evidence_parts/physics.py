"""Where PROSAIL can follow real spectra and where not: by data set, band, date and species."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evidence_parts.page import Page, Setting
from evidence_parts.spectra import spectra
from validation.evidence.reconstruction import Reconstructed, by_band, reconstruct, standardised
from validation.report import figure_style
from validation.report.figure_style import COLOURS, INK

LOOKS = (
    ("physical", "PROSAIL, centre", 0, "o"),
    ("alone", "PROSAIL, mean", 2, "^"),
    ("total", "with all that is learned", 1, "s"),
)
"""Decoding, what it is called, number of its colour, marker."""
FOREST = "forest, Austria"


def reconstruction(page: Page, setting: Setting) -> None:
    """The decodings of real spectra by data set, band, date and species."""
    page.say("## Can the physics follow real spectra?")
    page.say(
        "Mean squared error of the decoded spectrum in units of each band's variance over the",
        "data set: with all that is learned, by PROSAIL at the centre of the same posterior, and",
        "by the mean of PROSAIL over the posterior in which it must explain the spectrum alone;",
        "and the share of spectra that the model itself flags as a misfit. Crops and forest were",
        "seen in training without any label; the pixels of the chips (Barbellino: 24 × 42 pixels",
        "in the Italian Alps; Strickhof: Swiss fields, without B8 and without angles) were not.",
    )
    sets = spectra(setting.model, setting.data)
    found = {name: reconstruct(setting.model, f, source=name) for name, f in sets.items()}
    rows = []
    for name, r in found.items():
        e = standardised(r)
        rows.append([name, f"{len(r.measured):,}", f"{e['total']:.3f}", f"{e['physical']:.3f}",
                     f"{e['alone']:.3f}", f"{r.flagged.mean():.1%}"])  # fmt: skip
    page.table(["spectra", "n", "with all", "PROSAIL, centre", "PROSAIL, mean", "flagged"], rows)
    tables = {name: by_band(r, setting.model.bands) for name, r in found.items()}
    page.show("reconstruction", bands_figure(tables), "Error and bias by band")
    worst = {n: t.loc[(t["physical_rmse"] / t["sd"]).idxmax()] for n, t in tables.items()}
    page.say("Where PROSAIL cannot follow: the band with the largest error against its spread.")
    rows = [[n, w["band"], f"{w['sd']:.3f}", f"{w['physical_rmse']:.3f}",
             f"{w['physical_bias']:+.3f}", f"{w['total_rmse']:.3f}"]
            for n, w in worst.items()]  # fmt: skip
    page.table(["spectra", "band", "sd of the band", "RMSE, PROSAIL", "bias, PROSAIL",
                "RMSE, with all"], rows, texts=2)  # fmt: skip
    page.say("By date: crops by month over all sites and years; forest and chips by image.")
    page.show("dates", dates_figure(sets, found), "Error by date")
    page.show("species", species_figure(sets[FOREST], found[FOREST]), "Forest by species")


def bands_figure(tables: dict[str, pd.DataFrame]) -> Any:
    """RMSE (bars: physics, dots: total) and bias by band, a panel a data set."""
    with matplotlib.rc_context(figure_style.STYLE):
        figure = figure_style.figure_of(0.8 + 2.7 * len(tables), 3.4)
        panels = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
        for axes, (name, table) in zip(panels, tables.items(), strict=True):
            at = np.arange(len(table))
            axes.plot(at, table["sd"], "_", color=INK, ms=12, label="sd of the spectra")
            axes.bar(at, table["physical_rmse"], color=figure_style.COLOURS[0], alpha=0.45,
                     label="RMSE, PROSAIL, centre")  # fmt: skip
            axes.plot(at, table["total_rmse"], "o", color=figure_style.COLOURS[1], ms=4,
                      label="RMSE, with all that is learned")  # fmt: skip
            axes.plot(at, table["physical_bias"], "x", color=figure_style.COLOURS[2], ms=5,
                      label="bias, PROSAIL, centre")  # fmt: skip
            axes.axhline(0, color=figure_style.INK, lw=0.7)
            axes.set_xticks(at, table["band"], rotation=60, fontsize=7)
            axes.set_title(name, fontsize=9)
        panels[0].set_ylabel("reflectance")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def by_group(r: Reconstructed, labels: pd.Series) -> pd.DataFrame:
    """Standardised errors of the decodings, a row a label."""
    text = labels.astype(str).to_numpy()
    groups = sorted(set(text))
    return pd.DataFrame([standardised(r, text == g) for g in groups], index=groups)


def dates_figure(sets: dict[str, pd.DataFrame], found: dict[str, Reconstructed]) -> Any:
    """Standardised error by month (crops) and by image (forest, Strickhof)."""
    months = sets["crops"]["image_date"].astype(str).str[5:7]
    courses = {"crops, by month": by_group(found["crops"], months)}
    for name in (FOREST, "Strickhof 2022"):
        days = sets[name]["image_date"].astype(str)
        courses[f"{name} ({days.min()[:4]})" if name == FOREST else name] = by_group(
            found[name], days.str[5:]
        )
    with matplotlib.rc_context(figure_style.STYLE):
        figure = figure_style.figure_of(11.0, 3.6)
        panels = figure.subplots(1, len(courses), width_ratios=[1.2, 1.4, 0.8])
        for axes, (name, table) in zip(panels, courses.items(), strict=True):
            _course(axes, table)
            axes.set_title(name, fontsize=9)
        panels[0].set_ylabel("squared error / variance of the band")
        panels[0].legend()
    return figure


def _course(axes: Axes, table: pd.DataFrame) -> None:
    at = np.arange(len(table))
    for kind, label, colour, marker in LOOKS:
        axes.plot(at, table[kind], f"{marker}-", color=COLOURS[colour], ms=4, label=label)
    axes.set_xticks(at, list(table.index), rotation=60, fontsize=7)
    axes.set_ylim(bottom=0)
    axes.grid(True)


def species_figure(frame: pd.DataFrame, r: Reconstructed) -> Any:
    """Standardised error of the forest by species, the largest at the top."""
    table = by_group(r, frame["species"]).sort_values("physical")
    at = np.arange(len(table))
    with matplotlib.rc_context(figure_style.STYLE):
        figure = figure_style.figure_of(7.0, 3.8)
        axes = figure.subplots()
        for kind, label, colour, marker in LOOKS:
            axes.plot(table[kind], at, marker, color=COLOURS[colour], ms=5, label=label)
        axes.set_yticks(at, list(table.index), fontsize=8)
        axes.set_xlim(left=0)
        axes.set_xlabel("squared error / variance of the band")
        axes.grid(True)
        axes.legend(loc="lower right")
    return figure
