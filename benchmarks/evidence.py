"""The evidence page: docs/evidence.md and its figures, from the reference data and the model.

    python benchmarks/evidence.py [--write] [--data FOLDER] [--model M] [--simulations N]

Without --write the page is printed and nothing is changed. Without the data folder nothing is
done. Every number and figure of the page comes from here.
"""

import argparse
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from inversion.kernel import load_model
from physvae.errors import InputError
from validation import conformal, drawing, plots, plots_calibration, simulated
from validation.baselines import load_baseline
from validation.fielddata import read_table
from validation.look_up import LookUp
from validation.predictive import retrieve_with_quantiles
from validation.reading import read_field
from validation.reconstruction import by_band, reconstruct, standardised
from validation.report import Report, evaluate
from validation.tables import shown

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
PAGE, IMAGES = ROOT / "docs" / "evidence.md", ROOT / "docs" / "images"
SEED = 20_261_121
TRAITS = ("lai", "cab", "ccc", "cw", "cm", "fapar", "ala", "hspot")
BARBELLINO = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
STRICKHOF = ("B2", "B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12", "SCL")
SHORT = {"snap_v2_1_LAI": "SL2P v2.1"}


def main() -> int:
    """Write or print the page; 0 also where there is no data to look at."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="sentinel-2")
    parser.add_argument("--simulations", type=int, default=4000)
    options = parser.parse_args()
    if not (options.data / "field" / "field_dev.csv").is_file():
        print(f"evidence: no data, expected {options.data / 'field' / 'field_dev.csv'}")
        return 0
    page = Page()
    build(page, options)
    if not options.write:
        print(page.text())
        return 0
    PAGE.write_text(page.text(), encoding="utf-8")
    for name, figure in page.figures.items():
        with matplotlib.rc_context(drawing.STYLE):
            figure.savefig(
                IMAGES / f"evidence-{name}.png", dpi=130, bbox_inches="tight", pad_inches=0.08,
                metadata={"Software": None},
            )  # fmt: skip
    print(f"{PAGE}\n{len(page.figures)} figures in {IMAGES}")
    return 0


class Page:
    """Lines of Markdown and figures by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.figures: dict[str, Any] = {}

    def say(self, *lines: str) -> None:
        """Add a paragraph."""
        self.lines += [*lines, ""]

    def table(self, heads: list[str], rows: list[list[str]], texts: int = 1) -> None:
        """Add a table; the first columns are words."""
        rule = ["---"] * texts + ["---:"] * (len(heads) - texts)
        body = [heads, rule, *rows]
        self.say(*("| " + " | ".join(map(str, row)) + " |" for row in body))

    def show(self, name: str, figure: Any, words: str) -> None:
        """Add a figure."""
        self.figures[name] = figure
        self.say(f"![{words}](images/evidence-{name}.png)")

    def text(self) -> str:
        """The page."""
        return "\n".join(self.lines).rstrip() + "\n"


def build(page: Page, options: argparse.Namespace) -> None:
    """All sections in their order."""
    model = load_model(options.model, "cpu")
    report = field_report(model, options.data)
    head(page, model, report)
    agreement(page, report)
    per_site(page, report)
    uncertainty(page, report)
    chlorophyll(page, model, options.data)
    simulations(page, model, options)
    physics(page, model, options.data)
    foot(page, model, options)


def field_report(model: Any, data: Path) -> Report:
    """LAI on the development plots: the model, SL2P, a look-up table, an index regression."""
    field = read_field(data / "field" / "field_dev.csv")
    estimates = retrieve_with_quantiles(field.rows, model, "lai", source="field_dev.csv")
    names = (str(data / "sl2p" / "snap_v2_1_LAI.json"), "index:cire", "index:ndvi")
    baselines = [load_baseline(name, "lai") for name in names]
    baselines.append(LookUp.simulated("lai", model.name))
    return evaluate(estimates, field.rows, baselines=baselines, name="PhysVAE", notes=field.notes)


def head(page: Page, model: Any, report: Report) -> None:
    """What the page is, and what its figures may be used for."""
    stage = report.metrics["stage"]
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


def agreement(page: Page, report: Report) -> None:
    """Pooled scores of every method, and the paired differences."""
    m = report.metrics
    page.say("## LAI on measured plots")
    page.say(
        f"{m['rows']['compared']} plots with measured LAI and the Sentinel-2 pixel over them, at "
        f"{len(m['sites'])} sites; no",
        "row left out. Effective plant area, green leaf area and others are mixed: the pooled",
        "scores mix them too. In brackets: 95 % bootstrap interval over sites, of which there are",
        "few, so that it is too narrow. The index regressions have seen the other sites'",
        "measurements; the network, the look-up table and SL2P have not.",
    )
    rows = [[title, *pooled(found["pooled"])] for title, found in methods(m).items()]
    page.table(["method", "n", "RMSE", "bias", "r", "R²", "within max(0.5, 20 %)",
                "95 % interval covers", "width"], rows)  # fmt: skip
    drawn = with_short_names(report)
    with matplotlib.rc_context(drawing.STYLE):
        page.show(
            "scatter", plots.scatter(drawn.metrics, drawn.pairs), "Retrieved against measured"
        )
    page.say("Paired differences of RMSE, ours minus theirs, below 0 where ours is smaller:")
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


def span(ends: list[float] | None, form: str = "{:.2f}") -> str:
    """An interval as text, a dash where there is none."""
    return "–" if ends is None else " to ".join(form.format(end) for end in ends)


def pooled(scores: dict) -> list[str]:
    """Cells of one method's pooled scores."""
    return [
        str(scores["n"]),
        f"{shown(scores['rmse'], '{:.2f}')} ({span(scores['rmse_ci95'])})",
        f"{shown(scores['bias'], '{:+.2f}')} ({span(scores['bias_ci95'], '{:+.2f}')})",
        shown(scores["r"], "{:.2f}"),
        shown(scores["r2"], "{:.2f}"),
        shown(scores["within_05_20_share"], "{:.0%}"),
        f"{shown(scores['coverage_95'], '{:.1%}')} "
        f"({span(scores['coverage_95_clustered_ci95'], '{:.0%}')})",
        shown(scores["width_95"], "{:.2f}"),
    ]


def per_site(page: Page, report: Report) -> None:
    """RMSE, bias and coverage of every method at every site, and by what was measured."""
    m = report.metrics
    page.say("### By site", "", "RMSE and, after the stroke, bias; for ours also how often the 95 "
             "% interval holds.")  # fmt: skip
    titles = methods(m)
    rows = []
    for site, scores in m["sites"].items():
        cells = [f"{s['rmse']:.2f} / {s['bias']:+.2f}" for s in
                 (found["sites"].get(site) for found in titles.values()) if s]  # fmt: skip
        rows.append([f"`{site}`", str(scores["n"]), *cells, f"{scores['coverage_95']:.0%}"])
    page.table(["site", "n", *titles, "ours holds"], rows)
    with matplotlib.rc_context(drawing.STYLE):
        page.show("residuals", plots.plots_context.residuals(m, report.pairs),
                  "Errors by measured value, by days between and by crop")  # fmt: skip
    rows = []
    for by in ("definition", "size", "date gap [days]"):
        for group, scores in m["groups"].get(by, {}).items():
            theirs = m["baselines"]["snap_v2_1_LAI"]["groups"][by].get(group)
            cells = [f"{s['rmse']:.2f} / {s['bias']:+.2f}" if s else "–" for s in (scores, theirs)]
            name = {"size": "measured LAI"}.get(by, by)
            rows.append([name, group, str(scores["n"]), *cells, f"{scores['coverage_95']:.0%}"])
    page.table(["by", "group", "n", "PhysVAE", "SL2P v2.1", "ours holds"], rows, texts=2)


def uncertainty(page: Page, report: Report) -> None:
    """Coverage at four levels, and what a conformal adjustment would do at a new site."""
    m = report.metrics
    found = m["calibration"]
    page.say("## Does the uncertainty hold?")
    page.say(
        "Central intervals from true quantiles of the posterior, against measurements that have",
        f"errors of their own. CRPS {found['crps']:.3f}; PIT: mean {found['pit_mean']:.3f} "
        "(1/2 if right),",
        f"variance {found['pit_variance']:.4f} (0.0833 if right).",
    )
    rows = [
        [f"{float(level):.0%}", f"{e['coverage']:.1%}",
         span(e["coverage_clustered_ci95"], "{:.0%}"), f"{e['width']:.2f}",
         f"{e['interval_score']:.2f}"]
        for level, e in found["levels"].items()
    ]  # fmt: skip
    page.table(["level", "measurements inside", "95 % over sites", "mean width", "interval score"],
               rows)  # fmt: skip
    with matplotlib.rc_context(drawing.STYLE):
        page.show(
            "calibration", plots_calibration.panels(m), "Reliability, PIT and error against sd"
        )
    page.say(
        "A conformal adjustment found on all other sites, judged on the site left out (95 %",
        "interval; `physvae calibrate` writes one for anybody's own plots; the shipped model is",
        "not adjusted by it):",
    )
    pairs = report.pairs
    names = ("measured", "estimate", "estimate_p025", "estimate_p975")
    score = conformal.scores(*(pairs[c].to_numpy(float) for c in names))
    sites = pairs["site"].to_numpy()
    left = {k: conformal.leave_one_site_out(score, sites, level=0.95, method=k)
            for k in conformal.METHODS}  # fmt: skip
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


def chlorophyll(page: Page, model: Any, data: Path) -> None:
    """Canopy chlorophyll: ranks only, for the measurements are partly implausible."""
    path = data / "field" / "ccc_dev.csv"
    if not path.is_file():
        return
    field = read_table(path)
    net = load_baseline(str(data / "sl2p" / "snap_v2_1_LAI_Cab.json"), "ccc")
    estimates = retrieve_with_quantiles(field, model, "ccc", source=path.name)
    m = evaluate(estimates, field, trait="ccc", baselines=[net], name="PhysVAE").metrics
    theirs = m["baselines"][net.name]["pooled"]
    page.say("## Canopy chlorophyll")
    page.say(
        f"{m['pooled']['n']} plots; the measurements come from biomass and are partly",
        "implausible, so that only the order of the plots is judged.",
    )
    rows = [[n, *(shown(s[key], "{:.2f}") for key in ("spearman", "r", "rmse"))]
            for n, s in (("PhysVAE", m["pooled"]), ("SL2P v2.1", theirs))]  # fmt: skip
    page.table(["method", "Spearman", "r", "RMSE [g m⁻²]"], rows)


def simulations(page: Page, model: Any, options: argparse.Namespace) -> None:
    """The same scores where the truth is known, and simulation-based calibration."""
    n = options.simulations
    field = simulated.table(model, n, seed=SEED)
    estimates = retrieve_with_quantiles(field, model, "lai", source="simulations")
    names = (str(options.data / "sl2p" / "snap_v2_1_LAI.json"), "index:cire", "index:ndvi")
    baselines = [load_baseline(name, "lai") for name in names]
    baselines.append(LookUp.simulated("lai", model.name))
    m = evaluate(estimates, field, baselines=baselines, name="PhysVAE").metrics
    page.say("## The same on simulations")
    page.say(
        f"{n:,} draws of the model's own prior, physics, residual and noise, with a seed that",
        "training has not seen. They say whether the network does what it was asked to, not",
        "whether the question was right.",
    )
    page.table(["method", "n", "RMSE", "bias", "r", "R²", "within max(0.5, 20 %)",
                "95 % interval covers", "width"],
               [[t, *pooled(found["pooled"])] for t, found in methods(m).items()])  # fmt: skip
    page.say(
        "Simulation-based calibration: the place of the truth in its posterior. The band is what",
        "chance allows; the coverage below should be the level.",
    )
    found = simulated.ranks(model, TRAITS, n, seed=SEED + 1)
    with matplotlib.rc_context(drawing.STYLE):
        counts = {k: np.histogram(r.pits, 20, (0, 1))[0] for k, r in found.items()}
        page.show("ranks", plots_calibration.ranks(counts, "place of the truth in its posterior"),
                  "Rank histograms of simulations")  # fmt: skip
    rows = [[f"`{k}`", *(f"{r.coverage[level]:.1%}" for level in (0.5, 0.68, 0.9, 0.95))]
            for k, r in found.items()]  # fmt: skip
    page.table(["trait", "50 %", "68 %", "90 %", "95 %"], rows)


def physics(page: Page, model: Any, data: Path) -> None:
    """Both decodings of real spectra by data set, band and date."""
    page.say("## Can the physics follow real spectra?")
    page.say(
        "Mean squared error of the decoded spectrum in units of each band's variance, with the",
        "learned residual and with PROSAIL alone (the same posterior), and the share of spectra",
        "that the model itself flags as a misfit. Crops and forest were seen in training without",
        "any label; the chips were not.",
    )
    sets = spectra(model, data)
    found = {name: reconstruct(model, frame, source=name) for name, frame in sets.items()}
    rows = []
    for name, r in found.items():
        e = standardised(r)
        rows.append([name, f"{len(r.measured):,}", f"{e['total']:.4f}", f"{e['physical']:.4f}",
                     f"{r.flagged.mean():.1%}"])  # fmt: skip
    page.table(["spectra", "n", "total", "physics alone", "flagged"], rows)
    page.show("reconstruction", reconstruction_figure(model, found), "Error and bias by band")
    tables = {name: by_band(r, model.bands) for name, r in found.items()}
    worst = {n: t.loc[(t["physical_rmse"] / t["sd"]).idxmax()] for n, t in tables.items()}
    page.say(
        "Where PROSAIL cannot follow, the band with the largest error against its spread:",
    )
    rows = [[n, w["band"], f"{w['sd']:.3f}", f"{w['physical_rmse']:.3f}",
             f"{w['physical_bias']:+.3f}", f"{w['total_rmse']:.3f}"]
            for n, w in worst.items()]  # fmt: skip
    page.table(["spectra", "band", "sd", "RMSE, physics", "bias, physics", "RMSE, total"],
               rows, texts=2)  # fmt: skip
    forest = next((n for n in sets if n.startswith("forest")), None)
    if forest:
        page.show(
            "forest", by_date_figure(sets[forest], found[forest]), "Forest by date and species"
        )


def spectra(model: Any, data: Path) -> dict[str, pd.DataFrame]:
    """Real spectra by name; the Strickhof chips lack B8, all others have every band."""
    crops = pd.read_csv(data / "unlabelled" / "crops.csv")
    forest = pd.read_csv(data / "unlabelled" / "forest_austria_2018.csv")
    forest = forest.rename(columns={"sun_zenith_deg_calc": "sun_zenith_deg"})
    bands, rasters = list(model.bands), data / "rasters"
    sets = {"crops": crops.dropna(subset=bands), "forest, Austria": forest.dropna(subset=bands)}
    for path in sorted(rasters.glob("*Barbellino_BOA_10.tif")):
        sets[f"Barbellino {path.name[6:10]}"] = barbellino(path)
    sets["Strickhof 2022"] = pd.concat(map(strickhof, sorted(rasters.glob("Strickhof_*.tif"))))
    return {name: frame.reset_index(drop=True) for name, frame in sets.items() if len(frame)}


def barbellino(path: Path) -> pd.DataFrame:
    """Vegetation and soil pixels of a chip with all bands."""
    import rasterio

    sun = {"2019": 28.9, "2017": 26.1}[path.name[6:10]]
    with rasterio.open(path) as image, rasterio.open(str(path).replace("BOA", "SCL")) as scene:
        stored = image.read().astype(float)
        classes = scene.read(1, out_shape=image.shape)
    frame = pd.DataFrame(stored.reshape(len(stored), -1).T, columns=list(BARBELLINO))
    good = np.isin(classes.ravel(), (4, 5)) & (frame != 65535).all(axis=1)
    return (frame[good] * 1e-4).assign(sun_zenith_deg=sun)


def strickhof(path: Path) -> pd.DataFrame:
    """Vegetation and soil pixels of a chip without B8; its sun zenith is not known."""
    import rasterio

    with rasterio.open(path) as image:
        stored = image.read().astype(float)
    frame = pd.DataFrame(stored.reshape(len(stored), -1).T, columns=list(STRICKHOF))
    good = frame["SCL"].isin((4, 5)) & (frame != -9999).all(axis=1)
    chip = frame[good].drop(columns="SCL") * 1e-4
    return chip.assign(sun_zenith_deg=np.nan)


def reconstruction_figure(model: Any, found: dict) -> Any:
    """RMSE (bars: physics, dots: total) and bias by band, a panel a data set."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = drawing.figure_of(0.8 + 2.7 * len(found), 3.4)
        panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
        for axes, (name, r) in zip(panels, found.items(), strict=True):
            table = by_band(r, model.bands)
            at = np.arange(len(table))
            axes.plot(at, table["sd"], "_", color=drawing.INK, ms=12, label="sd of the spectra")
            axes.bar(at, table["physical_rmse"], color=drawing.COLOURS[0], alpha=0.45,
                     label="RMSE, physics alone")  # fmt: skip
            axes.plot(at, table["total_rmse"], "o", color=drawing.COLOURS[1], ms=4,
                      label="RMSE, with residual")  # fmt: skip
            axes.plot(at, table["physical_bias"], "x", color=drawing.COLOURS[2], ms=5,
                      label="bias, physics alone")  # fmt: skip
            axes.axhline(0, color=drawing.INK, lw=0.7)
            axes.set_xticks(at, table["band"], rotation=60, fontsize=7)
            axes.set_title(name, fontsize=9)
        panels[0].set_ylabel("reflectance")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def by_date_figure(frame: pd.DataFrame, r: Any) -> Any:
    """Standardised error of the forest by date and by species."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = drawing.figure_of(10.0, 4.0)
        left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
        for axes, column in ((left, "image_date"), (right, "species")):
            groups = sorted(frame[column].astype(str).unique())
            errors = [standardised(r, (frame[column].astype(str) == g).to_numpy()) for g in groups]
            at = np.arange(len(groups))
            for kind, colour, marker in (("physical", 0, "o"), ("total", 1, "s")):
                label = {"physical": "physics alone", "total": "with residual"}[kind]
                values = [e[kind] for e in errors]
                if axes is left:
                    axes.plot(at, values, f"{marker}-", color=drawing.COLOURS[colour], ms=4,
                              label=label)  # fmt: skip
                else:
                    axes.plot(values, at, marker, color=drawing.COLOURS[colour], ms=5)
            if axes is left:
                axes.set_xticks(at, groups, rotation=60, fontsize=7)
                axes.set_ylim(bottom=0)
            else:
                axes.set_yticks(at, groups, fontsize=8)
                axes.set_xlim(left=0)
            axes.grid(True)
        left.set(ylabel="squared error / variance of the band", title="By date")
        right.set(xlabel="squared error / variance of the band", title="By species")
        left.legend()
    return figure


def foot(page: Page, model: Any, options: argparse.Namespace) -> None:
    """How to make the page again."""
    libraries = ("physvae", "torch", "numpy", "pandas", "scoringrules")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
    page.say("## Make it again")
    page.say(
        "    make evidence", "",
        f"Model `{model.name}`, sha256 `{model.sha256}`. Seed {SEED}, {options.simulations:,} "
        "simulations.",
        f"Versions: {versions}. Reference data: `PHYSVAE_DATA`, else `../shared/data`; what is in",
        "it and whose it is, is written beside it. Reading the tables of published campaigns:",
        "[../benchmarks/campaigns.md](../benchmarks/campaigns.md).",
    )  # fmt: skip


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
