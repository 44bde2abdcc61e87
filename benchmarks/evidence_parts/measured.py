"""The sections on measured plots: scores by set and class, definitions, differences, intervals."""

import pandas as pd

from evidence_parts.page import Page
from evidence_parts.sets import CHANGE, MODELS, SNAP, TRAITS, Gathered, lines
from validation.evidence.field_intervals import left_out, posterior_rows
from validation.evidence.in_view import in_view
from validation.evidence.set_scores import differences, score_table
from validation.evidence.set_tables import HEADS, cells

CANOPIES = ("field_dev", "grounded_eo_dev", "sparc_barrax_dev")
SHOWN = ("sentinel-2", "sentinel-2-crops", "landsat-8", SNAP, "Gaussian process, other sets")
PICTURED = ("sentinel-2", "sentinel-2-crops")
LUT = "look-up table"


def leaf_area(page: Page, found: Gathered) -> None:
    """LAI by set and by class."""
    page.say("## LAI")
    for name in (*CANOPIES, "all"):
        page.say(f"### {'The three sets together' if name == 'all' else name}")
        rows = [[row[0], *row[2:]] for row in lines(found, "lai", name)]
        page.table([CHANGE[0], *CHANGE[2:]], rows)
    page.say("### By measured LAI, the three sets together")
    rows = [r for r in lines(found, "lai", "all", "LAI") if r[0] in SHOWN]
    kept = [0, 1, 2, 3, 5, 8, 9, 11, 12, 15]
    page.table([CHANGE[i] for i in kept], [[r[i] for i in kept] for r in rows], texts=2)
    page.say(
        "Classes within each set, land covers and places:",
        "[evidence-scores.csv](evidence-scores.csv).",
    )


def definitions(page: Page, found: Gathered) -> None:
    """Each set on its own quantity, as far as a model has it."""
    page.say("## Which LAI")
    page.say(
        "field_dev is effective plant area in France, Italy and Spain and green area in",
        "Switzerland, grounded_eo_dev plant area with wood, sparc_barrax_dev leaf area. A model",
        "with `lai_effective` (LAI times the clumping of crowns) has two numbers for the first.",
        "No model has `pai`: the area of wood and of dead leaves is not among what is inferred",
        "(brown pigment colours leaves, and is no area), so that it could only be a guess.",
    )
    rows = []
    for name in MODELS:
        table = found.tables[name]
        field = table["set"] == "field_dev"
        by = table["trait"].eq("lai") & table["by"].isin(["definition", "place"])
        effective = table["trait"].eq("lai_effective") & table["by"].isin(["", "place"])
        if not (effective & field).any():
            continue
        for row in cells(table[field & (by | effective)]):
            rows.append([name, row[0], row[2] or "definition PAIeff", *row[3:7], row[9]])
    heads = ["model", "trait", "rows", *HEADS[3:7], HEADS[9]]
    page.table(heads, rows, texts=3)


def others(page: Page, found: Gathered) -> None:
    """The other traits of the canopies, and the leaves."""
    page.say("## Other traits")
    places = {"fapar": CANOPIES[1], "fcover": CANOPIES[2], "cab": CANOPIES[2], "ccc": CANOPIES[2]}
    for trait, name in places.items():
        page.say(f"### {trait}, {name}")
        page.table([CHANGE[0], *CHANGE[2:]], [[r[0], *r[2:]] for r in lines(found, trait, name)])
    page.say("### ccc, ccc_dev: only the order is believed")
    page.table(["method", "n", "ρ", "in view"], _ranks(found))
    page.say("### leaf: cw and cm of single leaves by `rtm.invert_leaf`, g cm⁻²")
    rows = [[t, *r[2:]] for t in ("cw", "cm") for r in lines(found, t, "leaf")]
    page.table(["trait", *CHANGE[2:]], rows)


def _ranks(found: Gathered) -> list[list[str]]:
    return [[r[0], r[2], r[7], r[-1]] for r in lines(found, "ccc", "ccc_dev")]


def paired_differences(page: Page, found: Gathered) -> None:
    """RMSE of a model less that of a reference on the same rows."""
    page.say("## Against other methods, on the same rows")
    page.say(
        "RMSE of the model less that of the other, below 0 where ours is smaller. In brackets the",
        "95 % interval by bootstrap over whole groups (site and date, acquisition, field), none",
        "where there are three fields. The look-up table is `--method lut` of `sentinel-2`.",
    )
    names = [*found.theirs, LUT]
    rows = [[n, t, s, *(by.get(k, "–") for k in names)] for n, t, s, by in against(found)]
    page.table(["model", "trait", "set", *names], rows, texts=3)


def against(found: Gathered) -> list[tuple[str, str, str, dict[str, str]]]:
    """Model, trait, set, and the difference to every reference as text."""
    theirs = {**found.theirs, LUT: found.ours["sentinel-2, lut"]}
    rows = []
    for name in MODELS:
        own = found.ours[name]
        own = own[own["trait"].isin(TRAITS) & ~own["rank_only"].astype(bool)]
        for (trait, where), part in differences(own, theirs).groupby(["trait", "set"], sort=False):
            by = {row["against"]: _difference(row) for row in part.to_dict("records")}
            rows.append((name, str(trait), str(where), by))
    return rows


def _difference(row: dict) -> str:
    ends = [row["low"], row["high"]]
    known = all(end is not None and end == end for end in ends)
    between = f" ({ends[0]:+.2g} to {ends[1]:+.2g})" if known else ""
    return f"{row['difference']:+.2g}{between}"


def intervals(page: Page, found: Gathered) -> None:
    """The stated intervals, found without the set or the group that they are judged on."""
    page.say("## Intervals where the row was left out of finding them")
    page.say(
        "The law of the stated interval (`python benchmarks/field_intervals.py MODEL`) is found",
        "again without the set (LAI) or the group (traits measured in one set) and judged on what",
        "was left out. Prior and noise are as shipped.",
    )
    rows = []
    for name in MODELS:
        model = found.models[name]
        every = posterior_rows(model, found.sets)
        for trait, part in every.groupby("trait", sort=False):
            by = "set" if part["set"].nunique() > 1 else "group"
            bounds = model.traits[trait]
            judged = left_out(part, by, float(bounds.low), float(bounds.high))
            rows += _judged(name, by, model, judged)
    page.table(["model", "trait", "set", "class", "left out", "n", "95 % holds", "width",
                "score", "sd ~ err", "in view"], rows, texts=5)  # fmt: skip


def _judged(name: str, by: str, model: object, judged: pd.DataFrame) -> list[list[str]]:
    table = score_table(judged)
    whole = (table["by"] == "") | ((table["by"] == "LAI") & (table["set"] == "all"))
    kept = [HEADS.index(h) for h in ("n", "95 % holds", "width", "score", "sd ~ err")]
    found = []
    for row in cells(table[whole]):
        seen = in_view(model, row[0], row[1], left_out=by)
        found.append([name, *row[:3], by, *(row[i] for i in kept), seen])
    return found
