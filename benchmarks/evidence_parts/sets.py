"""What every method says of the labelled sets, gathered once and scored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from inversion.kernel import load_model
from validation.evidence.in_view import in_view
from validation.evidence.labelled_sets import LabelledSet, labelled_sets
from validation.evidence.leaf_fits import leaf_fits
from validation.evidence.references import learned, snap
from validation.evidence.set_scores import paired, retrieval, score_table
from validation.evidence.set_tables import COLUMNS, HEADS, cells

MODELS = ("sentinel-2", "sentinel-2-crops", "landsat-8", "hyperspectral-10nm")
RUNS = (
    *((name, "amortised") for name in MODELS),
    ("sentinel-2", "refined"),
    ("sentinel-2", "lut"),
)
"""Models and methods; slow methods for one model."""
TRAITS = ("lai", "fapar", "fcover", "cab", "ccc")
LEARNED = {
    "NDVI, other groups": ("ndvi", "group"),
    "CIre, other groups": ("cire", "group"),
    "Gaussian process, other groups": ("process", "group"),
    "Gaussian process, other sets": ("process", "set"),
}
"""References that learn, and what is left out of learning."""
SNAP = "SNAP's net"
LEAF = "rtm.invert_leaf"
CHANGE = ["method", "class", *HEADS[3:], "in view"]


@dataclass(frozen=True)
class Gathered:
    """Sets, loaded models, and rows of `paired` by the name of what estimated them."""

    sets: list[LabelledSet]
    models: dict[str, Any]
    ours: dict[str, pd.DataFrame]
    theirs: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def gathered(data: Path) -> Gathered:
    """Estimates of all that is compared."""
    sets = labelled_sets(data)
    models = {name: load_model(name, "cpu") for name in MODELS}
    ours, theirs = {}, {SNAP: paired(snap(data / "sl2p"), sets)}
    for name, method in RUNS:
        ours[title(name, method)] = paired(retrieval(models[name], method), sets)
    ours[LEAF] = paired(leaf_fits, sets)
    for label, (how, left_out) in LEARNED.items():
        theirs[label] = learned(sets, TRAITS, left_out=left_out, how=how)
    found = Gathered(sets, models, ours, theirs)
    for label, rows in {**ours, **theirs}.items():
        table = score_table(rows)
        if label in theirs:  # they raise no flags
            table["flagged_share"] = None
        seen = [
            view(found, label, t, s) for t, s in zip(table["trait"], table["set"], strict=True)
        ]
        found.tables[label] = table.assign(method=label, in_view=seen)
    return found


def title(name: str, method: str) -> str:
    """What a model and a method are called in tables."""
    return name if method == "amortised" else f"{name}, {method}"


def view(found: Gathered, label: str, trait: str, name: str) -> str:
    """The column "in view"."""
    if label in (LEAF, SNAP):
        return "––––"
    if label in LEARNED:
        return {"group": "other groups", "set": "other sets"}[LEARNED[label][1]]
    model, _, method = label.partition(", ")
    return in_view(found.models[model], trait, name, method or "amortised")


def lines(found: Gathered, trait: str, name: str, by: str = "") -> list[list[str]]:
    """Cells of every method for a trait of a set: the whole set, or its classes `by`."""
    rows = []
    for label, table in found.tables.items():
        some = table[(table["trait"] == trait) & (table["set"] == name) & (table["by"] == by)]
        for cell, seen in zip(cells(some), some["in_view"], strict=True):
            rows.append([label, *cell[2:], str(seen)])
    return rows


def everything(found: Gathered) -> pd.DataFrame:
    """All tables of scores, one below the other, for a file."""
    table = pd.concat(found.tables.values(), ignore_index=True)
    return table[["method", "trait", "set", "by", "class", *COLUMNS, "in_view"]]
