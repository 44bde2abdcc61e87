"""The report as one page that needs nothing else: texts escaped, figures inline, light and dark.

What the page says is put together here as plain texts and numbers; `templates/report.html` only
lays it out, and escapes every text it is given but the figures, whose texts matplotlib escapes.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from validation.report import page_figures
from validation.report.tables import shown

ROWS = 400
"""At most so many rows of the ledger stand on the page; rows.csv has them all."""

SCORES = {
    "n": ("n", "{:d}", None),
    "rmse": ("RMSE", "{:.2f}", "rmse_ci95"),
    "bias": ("bias", "{:+.2f}", "bias_ci95"),
    "median_bias": ("median bias", "{:+.2f}", None),
    "precision": ("precision", "{:.2f}", None),
    "r": ("r", "{:.2f}", None),
    "spearman": ("Spearman", "{:.2f}", None),
    "r2": ("R²", "{:.2f}", None),
    "odr_slope": ("slope", "{:.2f}", None),
    "odr_intercept": ("offset", "{:+.2f}", None),
    "coverage_95": ("95 % covers", "{:.1%}", "coverage_95_clustered_ci95"),
    "width_95": ("width", "{:.2f}", None),
    "crps": ("CRPS", "{:.2f}", None),
}
"""Heading, format and interval of the scores in the page's tables."""

GROUP_SCORES = ("n", "rmse", "bias", "median_bias", "precision", "r", "coverage_95", "width_95")

LIMITS = {
    "gcos_goal_share": "GCOS goal (10 %, ≥ 0.1)",
    "gcos_threshold_share": "GCOS threshold (20 %, ≥ 0.1)",
    "within_05_20_share": "max(0.5, 20 %)",
}

CAPTIONS = {
    "scatter": "Retrieved against measured. Line: 1:1. Grey band: GCOS threshold; dashes: GCOS "
    "goal. Upright lines: 95 % interval of the estimate, strong where it misses the measurement.",
    "sites": "The same, a panel a site. Crosses: the first baseline. Level bars: sd of the "
    "measurement.",
    "residuals": "Boxes: quartiles; whiskers: 5 and 95 % of the rows.",
    "coverage": "Share of measurements inside the 95 % interval, with Wilson's interval.",
    "calibration": "Left: share of measurements inside central intervals of every level, bars: "
    "95 % over resampled sites, diamond: the stated 95 % interval where it is another. Middle: "
    "where measurements fall in their predictive distribution, flat if it is right. Right: error "
    "against predicted sd, on the line if right.",
    "map": "Plots coloured by error; the axes are degrees, without a base map.",
    "series": "Plots by date; shaded: 95 % interval of the estimate; bars: sd of the measurement. "
    "With maps of several dates: every map, and as crosses what was compared.",
}


def render(metrics: dict, ledger: pd.DataFrame, figures: dict[str, Figure]) -> str:
    """The page as text.

    Parameters
    ----------
    metrics : dict
        Content of metrics.json.
    ledger : DataFrame
        Every row of the field table and what became of it.
    figures : dict of str to Figure
        By kind, as `validation.report.plots.figures` draws them.
    """
    from jinja2 import Environment, FileSystemLoader

    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True)
    return environment.get_template("report.html").render(
        title=f"{metrics['name']}: {metrics['symbol']} against field measurements",
        lead=_lead(metrics),
        facts=facts(metrics),
        sentences=sentences(metrics),
        sections=sections(metrics, ledger, figures),
    )


def _lead(metrics: dict) -> str:
    rows, unit = metrics["rows"], metrics["unit"]
    shown_unit = "no unit" if unit == "-" else unit
    return (
        f"{rows['compared']} comparisons from {rows['field']} field rows at "
        f"{len(metrics['sites'])} sites; unit: {shown_unit}."
    )


def facts(metrics: dict) -> list[dict[str, str]]:
    """The numbers at the head of the page."""
    pooled = metrics["pooled"]
    entries = [
        (shown(pooled["rmse"], "{:.2f}"), "RMSE" + _range(pooled["rmse_ci95"])),
        (shown(pooled["bias"], "{:+.2f}"), "bias" + _range(pooled["bias_ci95"], "+")),
        (shown(pooled["r"], "{:.2f}"), "correlation r"),
    ]
    if pooled["n_interval"]:
        between = _range(pooled["coverage_95_clustered_ci95"], share=True)
        entries += [
            (shown(pooled["coverage_95"], "{:.0%}"), f"inside the 95 % interval{between}"),
            (shown(pooled["width_95"], "{:.2f}"), "its mean width"),
        ]
    if "within_05_20_share" in pooled:
        share = shown(pooled["within_05_20_share"], "{:.0%}")
        entries.append((share, "within max(0.5, 20 %)"))
    return [{"value": value, "text": text} for value, text in entries]


def _range(interval: list[float] | None, sign: str = "", *, share: bool = False) -> str:
    """An interval in words, nothing where there is none."""
    if interval is None:
        return ""
    form = "{:.0%}" if share else "{:" + sign + ".2f}"
    return f" (95 %: {form.format(interval[0])} to {form.format(interval[1])})"


def sentences(metrics: dict) -> list[str]:
    """What follows from the numbers, and what does not."""
    stage, pooled = metrics["stage"], metrics["pooled"]
    years = ", ".join(stage["years"]) or "no year given"
    said = [
        f"Validation stage {stage['stage']} of CEOS LPV: {stage['pairs']} comparisons at "
        f"{stage['sites']} sites ({years}). Stage 2 needs {stage['for_stage_2']}.",
    ]
    if pooled["rmse_ci95"] is None:
        said.append("Fewer than four clusters: no confidence interval can be given.")
    elif stage["sites"] < 10:
        said.append(
            f"Confidence intervals resample whole sites; with {stage['sites']} of them they are "
            "too narrow and only a hint."
        )
    if pooled["n_measured_std"] < pooled["n"]:
        said.append(
            f"{pooled['n'] - pooled['n_measured_std']} of {pooled['n']} measurements come without "
            "an uncertainty; the shares that allow for it count it as 0 there."
        )
    kinds = metrics["groups"].get("definition", {})
    if len(kinds) > 1:
        listed = ", ".join(f"{name} ({s['n']})" for name, s in kinds.items())
        said.append(f"The measurements are not of one kind: {listed}. Pooled scores mix them.")
    if (metrics["calibration"] or {}).get("stated_95"):
        said.append(
            "The stated 95 % interval is not that between the 2.5 % and 97.5 % quantiles (see "
            "'How it was done'). Coverage by site is of the stated one; reliability, PIT and CRPS "
            "are of the quantiles."
        )
    for name, found in metrics["differences"].items():
        said.append(_difference(metrics["name"], name, found))
    return said


def _difference(ours: str, theirs: str, found: dict) -> str:
    """One paired comparison in words."""
    over = found["sites"] if found["sites"]["rmse_ci95"] else found["plots"]
    if over["rmse"] is None:
        return f"{theirs}: no row in common."
    word = "lower" if over["rmse"] < 0 else "higher"
    text = f"RMSE of {ours} is {abs(over['rmse']):.2f} {word} than that of {theirs}"
    if over["rmse_ci95"] is None:
        return text + "; too few clusters to say whether that is chance."
    low, high = over["rmse_ci95"]
    verdict = "could be chance" if low <= 0 <= high else "has one sign in the 95 % interval"
    unit = "sites" if over is found["sites"] else "plots"
    return (
        f"{text}; drawn over {over['clusters']} {unit} the difference is {low:+.2f} to "
        f"{high:+.2f} (p = {over['rmse_p']:.2g}): it {verdict}."
    )


def sections(metrics: dict, ledger: pd.DataFrame, figures: dict[str, Figure]) -> list[dict]:
    """Titles, texts, tables and figures of the page's sections."""
    found = [
        _section("agreement", "Agreement", figures, "scatter", tables=[methods_table(metrics)]),
        _section("by-site", "By site", figures, "sites", tables=[sites_table(metrics)]),
    ]
    if metrics["calibration"]:
        tables = [levels_table(metrics)]
        found.append(_section("intervals", "The uncertainty", figures, "calibration", tables))
        found.append(_section("coverage", "Coverage by site", figures, "coverage"))
    groups = [_group_table(by, g) for by, g in metrics["groups"].items()]
    found.append(_section("errors", "Where it errs", figures, "residuals", groups))
    if "within_05_20_share" in metrics["pooled"]:
        found.append(_section("limits", "Share within limits", figures, None, [_limits(metrics)]))
    if metrics["differences"]:
        found.append(_section("paired", "Paired differences", figures, None, [_paired(metrics)]))
    for kind, title in (("map", "Where the plots are"), ("series", "Through the season")):
        if kind in figures:
            found.append(_section(kind, title, figures, kind))
    found.append(rows_section(metrics, ledger))
    found.append(_how(metrics))
    return found


def _section(
    name: str, title: str, figures: dict[str, Figure], kind: str | None, tables: Any = ()
) -> dict:
    """One section; a figure's words come from `CAPTIONS`."""
    figure = figures.get(kind) if kind else None
    caption = CAPTIONS.get(kind or "", "")
    shown_as = page_figures.drawn(figure, f"{title}. {caption}") if figure else None
    parts = {"id": name, "title": title, "texts": [], "figure": shown_as, "caption": caption}
    return parts | {"tables": [table for table in tables if table["rows"]]}


def _numbers(scores: dict, keys: Any = SCORES) -> list[dict[str, Any]]:
    """Cells of scores with their intervals."""
    cells = []
    for key in keys:
        _, form, interval = SCORES[key]
        value, ends = scores.get(key), scores.get(interval) if interval else None
        more = ""
        if ends:
            more = " to ".join(form.format(end) for end in ends)
        key_text = "" if value is None else value
        cells.append({"text": shown(value, form), "key": key_text, "more": more})
    return cells


def _table(
    title: str, heads: list[str], rows: list[list], *, texts: int = 1, folded: str = ""
) -> dict:
    """A table of the page; the first `texts` columns are words."""
    return {"title": title, "heads": heads, "rows": rows, "texts": texts, "folded": folded}


def methods_table(metrics: dict) -> dict:
    """Pooled scores of the estimates and of every baseline."""
    rows = [[metrics["name"], *_numbers(metrics["pooled"])]]
    if metrics["unflagged"]:
        rows.append([f"{metrics['name']}, unflagged rows", *_numbers(metrics["unflagged"])])
    rows += [[name, *_numbers(b["pooled"])] for name, b in metrics["baselines"].items()]
    return _table("", ["method", *(head for head, *_ in SCORES.values())], rows)


def sites_table(metrics: dict) -> dict:
    """Scores per site of every method."""
    methods = {metrics["name"]: metrics, **metrics["baselines"]}
    rows = [
        [site, name, *_numbers(scores)]
        for name, found in methods.items()
        for site, scores in found["sites"].items()
    ]
    return _table("", ["site", "method", *(h for h, *_ in SCORES.values())], rows, texts=2)


def _group_table(by: str, groups: dict) -> dict:
    """Scores of one kind of group, without those that a narrow range of values spoils."""
    rows = [[name, *_numbers(scores, GROUP_SCORES)] for name, scores in groups.items()]
    return _table(f"By {by}", [by, *(SCORES[key][0] for key in GROUP_SCORES)], rows)


def levels_table(metrics: dict) -> dict:
    """Coverage at the usual levels."""
    rows = []
    found = metrics["calibration"]
    levels = [(f"{float(level):.0%}", entry) for level, entry in found["levels"].items()]
    if found["stated_95"]:
        levels.append(("95% as stated", found["stated_95"]))
    for name, entry in levels:
        ends = entry["coverage_clustered_ci95"] or entry["coverage_ci95"]
        cell = {"text": f"{entry['coverage']:.1%}", "key": entry["coverage"]}
        cell["more"] = f"{ends[0]:.0%}–{ends[1]:.0%}"
        numbers = [f"{entry['width']:.2f}", f"{entry['interval_score']:.2f}"]
        rows.append([name, cell, *numbers, str(entry["n"])])
    return _table("", ["level", "inside", "mean width", "interval score", "n"], rows)


def _limits(metrics: dict) -> dict:
    """Shares within GCOS limits, without and with the measurement's own uncertainty."""
    rows = []
    methods = {metrics["name"]: metrics, **metrics["baselines"]}
    for name, found in methods.items():
        for key, title in LIMITS.items():
            pooled = found["pooled"]
            values = [pooled[key], pooled[f"{key}_with_measured_std"]]
            rows.append([name, title, *({"text": shown(v, "{:.1%}"), "key": v} for v in values)])
    heads = ["method", "limit", "share within", "allowing for the measurement's uncertainty"]
    return _table("", heads, rows, texts=2)


def _paired(metrics: dict) -> dict:
    """Differences of RMSE and mean absolute error, ours minus theirs."""
    rows = []
    for name, found in metrics["differences"].items():
        for over, entry in found.items():
            cells = []
            for key in ("rmse", "mae"):
                ends = entry[f"{key}_ci95"]
                more = f"{ends[0]:+.2f} to {ends[1]:+.2f}" if ends else ""
                cell = {"text": shown(entry[key], "{:+.3f}"), "key": entry[key], "more": more}
                cells += [cell, shown(entry[f"{key}_p"], "{:.2g}")]
            rows.append([name, over, str(entry["n"]), str(entry["clusters"]), *cells])
    heads = ["against", "drawn over", "n", "clusters", "RMSE", "p", "mean |error|", "p"]
    return _table("Ours minus theirs; below 0, ours is better", heads, rows, texts=2)


def rows_section(metrics: dict, ledger: pd.DataFrame) -> dict:
    """What was left out, and what is odd about the rows that were used."""
    dropped = [[why, str(d["count"]), _some(d["rows"])] for why, d in metrics["dropped"].items()]
    tables = [_table("Left out", ["reason", "rows", "which (from 1)"], dropped)]
    odd = ledger[ledger["notes"] != ""] if "notes" in ledger else ledger.iloc[:0]
    named = odd[["row", "used", "notes"]].itertuples(index=False) if len(odd) else ()
    cells = [[str(row), "yes" if used else "no", notes] for row, used, notes in named]
    more = f" (first {ROWS} of {len(cells)})" if len(cells) > ROWS else ""
    heads = ["row", "used", "note"]
    tables.append(_table("", heads, cells[:ROWS], texts=0, folded=f"Notes on rows{more}"))
    flags = [[name.replace("_", " "), str(n)] for name, n in metrics["quality"].items()]
    tables.append(_table("Quality flags of the estimates", ["flag", "rows"], flags))
    texts = [] if dropped else ["No row of the field table was left out."]
    section = _section("rows", "Rows", {}, None, tables)
    return section | {"texts": texts}


def _some(rows: list[int], most: int = 30) -> str:
    text = ", ".join(map(str, rows[:most]))
    return text if len(rows) <= most else f"{text}, … (rows.csv has all)"


def _how(metrics: dict) -> dict:
    """How the comparison was made."""
    rows = [[str(k).replace("_", " "), str(v)] for k, v in metrics["method"].items()]
    table = _table("", ["what", "how"], rows, texts=2)
    section = _section("how", "How it was done", {}, None, [table])
    return section | {
        "texts": [
            "Bias is retrieved minus measured; precision the standard deviation of the errors; "
            "slope and offset are those of orthogonal regression. Confidence intervals are "
            "bootstraps over whole sites (inside one site: plots), 2,000 draws. Shares that allow "
            "for the measurement's uncertainty s accept |d| ≤ √(L² + (2s)²). The documentation "
            "page 'Comparing with field measurements' defines every score; metrics.json has them "
            "all, pairs.csv every comparison, rows.csv every row of the field table.",
        ]
    }
