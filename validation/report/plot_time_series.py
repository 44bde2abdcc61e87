"""The whole course of a few plots over all maps, not only at the dates of their measurements."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from validation.field.table import as_text, site_names
from validation.matching import pixels
from validation.matching.map_files import Product
from validation.matching.plots_on_maps import Rules, places_of, sampled

PLOTS = 12
"""At most so many plots are followed, those with the most dates in the field first."""

COLUMNS = {end: f"estimate{end}" for end in ("", "_sd", "_p025", "_p975")}


def courses(
    field: pd.DataFrame, products: list[Product], lost: set[int], rules: Rules
) -> pd.DataFrame:
    """Values of every dated map at the places of some plots.

    Parameters
    ----------
    field : DataFrame
        The field table, as for `validation.matching.plots_on_maps.match_maps`.
    products : list of Product
    lost : set of int
        Rows without an estimate, from 1: they choose no plot.
    rules : Rules
        Window and least valid share; the homogeneity filter and the dates play no part.

    Returns
    -------
    DataFrame
        `site`, `plot`, `image_date`, `map`, `estimate` and, where the maps have them, `_sd`,
        `_p025`, `_p975`, in the order of the dates; empty where fewer than two maps have a date.
    """
    dated = sorted((p for p in products if p.day is not None), key=lambda p: str(p.day))
    if len({p.day for p in dated}) < 2 or "plot" not in field:
        return pd.DataFrame()
    rules, places = replace(rules, most_cv=None), places_of(field)
    projected = [places.to_crs(p.crs) for p in dated]
    rows = []
    for row, names in _followed(field, lost).items():
        for product, shapes in zip(dated, projected, strict=True):
            found = _at(product, shapes.iloc[row], rules)
            if found is not None:
                rows.append(names | {"image_date": str(product.day), "map": product.name} | found)
    return pd.DataFrame(rows)


def _followed(field: pd.DataFrame, lost: set[int]) -> dict[int, dict[str, str]]:
    """Site and plot of those that are followed, by the row of their first measurement."""
    table = pd.DataFrame({"site": site_names(field), "plot": field["plot"].map(as_text)})
    table["row"] = np.arange(len(table))
    used = table[[row + 1 not in lost for row in table["row"]]]
    plots = used.groupby(["site", "plot"], sort=False)["row"].agg(["first", "size"])
    chosen = plots.sort_values("size", ascending=False, kind="stable").head(PLOTS)
    return {
        int(row): {"site": str(site), "plot": str(plot)}
        for (site, plot), row in zip(chosen.index, chosen["first"], strict=True)
    }


def _at(product: Product, shape: Any, rules: Rules) -> dict[str, float] | None:
    """Statistics of one plot on one map, None where it has none."""
    if shape is None or shape.is_empty:
        return None
    where = pixels.window(product.shape, product.transform, shape, rules.window)
    found = None if where is None else sampled(product, where, rules)
    if found is None or isinstance(found, str):
        return None
    return {COLUMNS[k]: v for k, v in found.values.items() if k in COLUMNS}
