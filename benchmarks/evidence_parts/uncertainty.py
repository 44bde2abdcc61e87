"""Whether the intervals hold on measured plots, and what a conformal adjustment would change."""

from typing import Any

import matplotlib
import numpy as np

from evidence_parts.page import Page, Setting, span
from validation import conformal, drawing, plots_calibration
from validation.predictive import stated
from validation.report import Report

COLUMNS = ("measured", "estimate", "estimate_p025", "estimate_p975")


def on_plots(page: Page, setting: Setting, report: Report) -> None:
    """Coverage at four levels and of the stated interval, PIT and error against sd."""
    found = report.metrics["calibration"]
    page.say("## Does the uncertainty hold?")
    page.say(
        "Central intervals between quantiles of the marginal posterior, against measurements that",
        "have errors of their own and are of plots, not pixels. The last row is the interval that",
        f"`physvae retrieve` states for LAI: {stated(setting.model, 'lai')}.",
        f"{tails(found['pit'])} CRPS {found['crps']:.3f}; PIT: mean {found['pit_mean']:.3f} "
        f"(1/2 if right), variance {found['pit_variance']:.4f} (1/12 = 0.0833 if right).",
    )
    levels = {f"{float(level):.0%}": entry for level, entry in found["levels"].items()}
    if found["stated_95"]:
        levels["95% as stated"] = found["stated_95"]
    rows = [
        [level, f"{e['coverage']:.1%}", span(e["coverage_clustered_ci95"], "{:.0%}"),
         f"{e['width']:.2f}", f"{e['interval_score']:.2f}"]
        for level, e in levels.items()
    ]  # fmt: skip
    page.table(["level", "measurements inside", "95 % over sites", "mean width", "interval score"],
               rows)  # fmt: skip
    page.say(verdict(found))
    with matplotlib.rc_context(drawing.STYLE):
        figure = plots_calibration.panels(report.metrics)
        page.show("calibration", figure, "Reliability, PIT and error against sd")
    adjusted(page, report)


def tails(counts: list[int]) -> str:
    """How many measurements lie in the outer tenths of their prediction."""
    low, high = (counts[place] / sum(counts) for place in (0, -1))
    return (
        f"{low:.0%} of the measurements lie below the 10 % quantile of their prediction, "
        f"{high:.0%} above the 90 % quantile (10 % each if right)."
    )


def verdict(found: dict) -> str:
    """What the table says, in words."""
    low = [
        f"{float(level):.0%}"
        for level, e in found["levels"].items()
        if e["coverage"] < float(level) - 0.01
    ]
    if not low:
        return "At no level do the quantiles cover less than they claim by more than 1 %."
    return (
        f"At {', '.join(low)} the quantiles cover less than they claim: they are those of the "
        "simulator, which knows nothing of the difference between plot and pixel or between "
        "definitions of LAI. Users who need other levels than the stated one should adjust "
        "them on plots of their own (`physvae calibrate`)."
    )


def adjusted(page: Page, report: Report) -> None:
    """A conformal adjustment judged on the sites that it was not found on."""
    page.say(
        "A conformal adjustment of the stated 95 % interval, found on all other sites and judged",
        "on the site left out (`physvae calibrate` writes one for anybody's own plots; the",
        "shipped model is not adjusted by it):",
    )
    pairs = report.pairs
    score = conformal.scores(*(pairs[c].to_numpy(float) for c in COLUMNS))
    sites = pairs["site"].to_numpy()
    left: dict[str, Any] = {
        k: conformal.leave_one_site_out(score, sites, level=0.95, method=k)
        for k in conformal.METHODS
    }
    rows = []
    for site, entry in left["split"].items():
        other = left["site"][site]
        rows.append([f"`{site}`", str(entry["n"]), f"{entry['before']:.0%}",
                     f"{entry['after']:.0%} ({entry['factor']:.2f})",
                     f"{other['after']:.0%} ({other['factor']:.2f})"])  # fmt: skip
    weights = [entry["n"] for entry in left["split"].values()]
    wanted = (("split", "before"), ("split", "after"), ("site", "after"))
    totals = [np.average([e[k] for e in left[w].values()], weights=weights) for w, k in wanted]
    rows.append(["pooled", str(len(pairs)), *(f"{t:.1%}" for t in totals)])
    page.table(["site left out", "n", "as it is", "split (factor)", "by site (factor)"], rows)
