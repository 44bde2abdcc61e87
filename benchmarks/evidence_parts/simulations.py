"""Simulation-based calibration of every trait."""

import matplotlib
import numpy as np

from evidence_parts.page import Page, Setting
from validation.evidence import simulated
from validation.report import figure_style, plots_calibration
from validation.report.tables import shown

TRAITS = ("lai", "cab", "car", "cbrown", "cw", "cm", "n_leaf", "ala", "hspot", "ccc", "cwc",
          "fapar", "fcover")  # fmt: skip
LEVELS = (0.5, 0.68, 0.9, 0.95)
BINS = 20


def ranks(page: Page, setting: Setting) -> None:
    """Rank histograms, coverage, a test of uniformity and CRPS of every trait."""
    n, seed = setting.simulations, setting.seed + 1
    whole = simulated.ranks(setting.model, TRAITS, n, seed=seed)
    gaps = simulated.ranks(setting.model, TRAITS, n, seed=seed, gaps=True)
    error = np.sqrt(0.9 * 0.1 / n)
    page.say("## Is the posterior that of the simulator?")
    page.say(
        "Simulation-based calibration ([Talts et al. 2018](https://arxiv.org/abs/1804.06788)):",
        f"the place of the truth in its marginal posterior over {n:,} simulations is uniform if",
        "the posterior is right. The band is what chance allows a bin (95 %); p is Pearson's χ²",
        f"test in {BINS} bins. A share of 90 % has a standard error of {error:.2%}. CRPS is in",
        "the trait's unit; gain is 1 − CRPS / CRPS of the prior, 0 where the spectrum tells",
        "nothing.",
    )
    with matplotlib.rc_context(figure_style.STYLE):
        counts = {k: np.histogram(r.pits, BINS, (0, 1))[0] for k, r in whole.items()}
        figure = plots_calibration.ranks(counts, "place of the truth in its posterior")
        page.show("ranks", figure, "Rank histograms of simulations")
    rows = [
        [f"`{name}`", setting.model.traits[name].unit,
         *(f"{r.coverage[level]:.1%}" for level in LEVELS), shown(r.p, "{:.2g}"),
         f"{r.crps:.3g}", f"{1 - r.crps / r.prior_crps:.0%}",
         f"{gaps[name].coverage[0.9]:.1%}", shown(gaps[name].p, "{:.2g}")]
        for name, r in whole.items()
    ]  # fmt: skip
    page.table(["trait", "unit", "50 %", "68 %", "90 %", "95 %", "p (χ²)", "CRPS", "gain",
                "90 %, gaps", "p, gaps"], rows, texts=2)  # fmt: skip
    page.say(*verdict(whole, gaps, n))


def verdict(whole: dict, gaps: dict, n: int) -> list[str]:
    """What the table says, in words."""
    off = max(abs(r.coverage[level] - level) for r in whole.values() for level in LEVELS)
    refused = {k: [name for name, r in v.items() if (r.p or 1) < 0.01]
               for k, v in (("whole", whole), ("gaps", gaps))}  # fmt: skip
    listed = ", ".join(f"`{name}`" for name in refused["whole"]) or "none"
    return [
        "Gaps: bands and angles missing at random as in training, on which the network was",
        f"calibrated. The largest error of coverage in the table is {off:.1%}. With {n:,}",
        f"simulations the test refuses uniformity (p < 0.01) for {len(refused['whole'])} of",
        f"{len(whole)} traits on whole spectra ({listed}) and for {len(refused['gaps'])} with",
        "gaps. These are quantiles, not the stated 95 % intervals, which are for measurements.",
    ]
