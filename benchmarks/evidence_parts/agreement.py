"""Retrieved against measured: every method, pooled and by site, and their differences."""

from typing import Any

import matplotlib

from evidence_parts.page import Page, Setting, number, span
from validation import drawing, plots, plots_context
from validation.baselines import Baseline, load_baseline
from validation.fielddata import read_table
from validation.predictive import retrieve_with_quantiles
from validation.reading import read_field
from validation.report import Report, evaluate
from validation.tables import shown

OURS = "PhysVAE"
SHORT = {"snap_v2_1_LAI": "SL2P v2.1"}
HEADS = ["method", "n", "RMSE", "bias", "r", "R²", "within max(0.5, 20 %)", "CRPS",
         "stated 95 % interval covers", "its mean width"]  # fmt: skip


def yardsticks(setting: Setting) -> list[Baseline]:
    """SL2P, two regressions on an index, and the look-up table of the same physics."""
    names = (str(setting.data / "sl2p" / "snap_v2_1_LAI.json"), "index:cire", "index:ndvi", "lut")
    return [load_baseline(name, "lai", setting.model) for name in names]


def field_report(setting: Setting) -> Report:
    """LAI on the development plots by every method."""
    field = read_field(setting.data / "field" / "field_dev.csv")
    estimates = retrieve_with_quantiles(field.rows, setting.model, "lai", source="field_dev.csv")
    return evaluate(
        estimates, field.rows, baselines=yardsticks(setting), name=OURS, notes=field.notes
    )


def head(page: Page, setting: Setting, report: Report) -> None:
    """What the page is, and what its figures may be used for."""
    stage, model = report.metrics["stage"], setting.model
    page.say("# Evidence")
    page.say(
        f"How well the shipped model `{model.name}` does on measured plots, on simulations and on",
        "real spectra, beside other methods on the same rows. This page is written by",
        "`make evidence` from the reference data; no number here is typed by hand.",
        "[validate.md](validate.md) defines every score.",
    )
    notes = model.config.get("training", {}).get("notes", "")
    if notes:
        page.say(f"**What the plots may prove.** {' '.join(notes.split())}")
    page.say(
        f"**Stage.** In the hierarchy of CEOS LPV this is stage {stage['stage']}: "
        f"{stage['pairs']} comparisons at {stage['sites']} sites ({', '.join(stage['years'])}).",
        f"Stage 2 needs {stage['for_stage_2']}.",
    )


def pooled(page: Page, report: Report) -> None:
    """Pooled scores of every method, and the paired differences."""
    m = report.metrics
    page.say("## LAI on measured plots")
    page.say(
        f"{m['rows']['compared']} of {m['rows']['field']} measurements of LAI "
        f"({report.pairs.groupby(['site', 'plot']).ngroups} plots, {len(m['sites'])} sites) and "
        "the Sentinel-2 pixel over them.",
        "Effective plant area and green leaf area are mixed, and the pooled scores mix them too.",
        "In brackets: 95 % bootstrap interval over sites, of which there are few, so that it is",
        "too narrow. The index regressions (a quadratic in CIre or NDVI) are fitted on the other",
        "sites' measurements; our network, SL2P and the look-up table have not been fitted on",
        "any, but see above what ours was chosen on. The look-up table is",
        "`physvae retrieve --method lut`: the same prior, physics and noise, without learning.",
        "Its intervals rest on the few of 20,000 entries that come near a spectrum, and are too",
        "narrow on simulations already (below).",
    )
    page.table(HEADS, [[name, *cells(found["pooled"])] for name, found in methods(m).items()])
    drawn = with_short_names(report)
    with matplotlib.rc_context(drawing.STYLE):
        page.show(
            "scatter", plots.scatter(drawn.metrics, drawn.pairs), "Retrieved against measured"
        )
    page.say(
        "Paired differences of RMSE, ours minus theirs, below 0 where ours is smaller, by",
        "bootstrap over sites and over plots. With five sites p cannot fall below 2⁻⁴ = 0.062:",
        "no difference between methods is settled by these data as far as new sites go.",
    )
    rows = []
    for name, found in m["differences"].items():
        for over, entry in found.items():
            between = span(entry["rmse_ci95"], "{:+.2f}")
            rows.append([SHORT.get(name, name), f"{over} ({entry['clusters']})",
                         f"{entry['rmse']:+.3f}", between,
                         shown(entry["rmse_p"], "{:.2g}")])  # fmt: skip
    page.table(["against", "drawn over", "difference", "95 % interval", "p"], rows, texts=2)


def methods(metrics: dict) -> dict[str, dict]:
    """Scores of every method by the name shown."""
    others = {SHORT.get(name, name): found for name, found in metrics["baselines"].items()}
    return {metrics["name"]: metrics, **others}


def with_short_names(report: Report) -> Report:
    """The report with the names of the page."""
    baselines = {SHORT.get(k, k): v for k, v in report.metrics["baselines"].items()}
    columns = {
        c: c.replace(f"baseline_{long}", f"baseline_{short}")
        for long, short in SHORT.items()
        for c in report.pairs.columns
    }
    return Report(report.metrics | {"baselines": baselines}, report.pairs.rename(columns=columns))


def cells(scores: dict) -> list[str]:
    """Cells of one method's pooled scores, in the order of `HEADS`."""
    return [
        str(scores["n"]),
        number(scores["rmse"], scores["rmse_ci95"], "{:.2f}"),
        number(scores["bias"], scores["bias_ci95"], "{:+.2f}"),
        shown(scores["r"], "{:.2f}"),
        shown(scores["r2"], "{:.2f}"),
        number(scores["within_05_20_share"], scores["within_05_20_share_ci95"], "{:.0%}"),
        number(scores.get("crps"), scores.get("crps_ci95"), "{:.2f}"),
        number(scores["coverage_95"], scores["coverage_95_clustered_ci95"], "{:.0%}"),
        shown(scores["width_95"], "{:.2f}"),
    ]


def by_site(page: Page, report: Report) -> None:
    """Scores of every method at every site, and by what was measured."""
    m = report.metrics
    page.say("### By site", "", "In brackets: 95 % bootstrap interval over the plots of the site.")
    rows = []
    for site, own in m["sites"].items():
        for title, found in methods(m).items():
            scores = found["sites"].get(site)
            if scores:
                label = f"`{site}` ({own['n']})" if title == m["name"] else ""
                rows.append([label, title, *site_cells(scores)])
    page.table(["site (n)", "method", "RMSE", "bias", "r", "95 % covers"], rows, texts=2)
    page.say(
        "### Where it errs", "",
        "Errors by size, by days between measurement and image, and by crop; colours as above.",
        "Means over a prior draw small values up and large ones down.",
    )  # fmt: skip
    with matplotlib.rc_context(drawing.STYLE):
        page.show("residuals", plots_context.residuals(m, report.pairs),
                  "Errors by measured value, by days between and by crop")  # fmt: skip
    page.table(["by", "group", "n", OURS, "SL2P v2.1", "ours covers"], group_rows(m), texts=2)


def site_cells(scores: dict) -> list[str]:
    """Cells of one method at one site."""
    return [
        number(scores["rmse"], scores["rmse_ci95"], "{:.2f}"),
        number(scores["bias"], scores["bias_ci95"], "{:+.2f}"),
        shown(scores["r"], "{:.2f}"),
        shown(scores["coverage_95"], "{:.0%}"),
    ]


def group_rows(m: dict) -> list[list[str]]:
    """RMSE and, after the stroke, bias of ours and SL2P by group."""
    rows: list[list[str]] = []
    for by in ("definition", "size", "date gap [days]"):
        for group, scores in m["groups"].get(by, {}).items():
            theirs = m["baselines"]["snap_v2_1_LAI"]["groups"][by].get(group)
            both = [f"{s['rmse']:.2f} / {s['bias']:+.2f}" if s else "–" for s in (scores, theirs)]
            name = {"size": "measured LAI"}.get(by, by)
            rows.append([name, group, str(scores["n"]), *both, f"{scores['coverage_95']:.0%}"])
    return rows


def chlorophyll(page: Page, setting: Setting) -> None:
    """Canopy chlorophyll: ranks only, for the measurements are partly implausible."""
    path = setting.data / "field" / "ccc_dev.csv"
    if not path.is_file():
        return
    field: Any = read_table(path)
    net = load_baseline(str(setting.data / "sl2p" / "snap_v2_1_LAI_Cab.json"), "ccc")
    estimates = retrieve_with_quantiles(field, setting.model, "ccc", source=path.name)
    m = evaluate(estimates, field, trait="ccc", baselines=[net], name=OURS).metrics
    theirs = m["baselines"][net.name]["pooled"]
    page.say("## Canopy chlorophyll")
    page.say(
        f"{m['pooled']['n']} plots; the measurements come from biomass and are partly",
        "implausible, so that only the order of the plots is judged. There are too few sites for",
        "a bootstrap.",
    )
    rows = [
        [n, *(shown(s[key], "{:.2f}") for key in ("spearman", "r")),
         number(s["rmse"], s["rmse_ci95"], "{:.2f}")]
        for n, s in ((OURS, m["pooled"]), ("SL2P v2.1", theirs))
    ]  # fmt: skip
    page.table(["method", "Spearman", "r", "RMSE [g m⁻²]"], rows)
