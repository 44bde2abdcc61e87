"""Plots on maps: the estimates of every field row, or the reason why there are none."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from inversion.naming import listing
from physvae.errors import InputError, UsageError
from validation.matching import pixels, timing
from validation.matching.map_files import Product


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How plots and maps are brought together.

    Attributes
    ----------
    window : int
        Side of the square of pixels around a point, odd.
    most_days : int
        Largest gap between measurement and map [day].
    time : str
        ``nearest`` or ``interpolate``.
    most_cv : float or None
        Largest coefficient of variation inside the plot; None keeps all.
    least_valid : float
        Least share of the plot that must lie on the map and have a value.
    """

    window: int = 1
    most_days: int = 5
    time: str = "nearest"
    most_cv: float | None = None
    least_valid: float = 0.6

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise UsageError(f"--window: expected an odd number of pixels, got {self.window}")
        if self.time not in timing.METHODS:
            wanted = " or ".join(timing.METHODS)
            raise UsageError(f"--time: expected {wanted}, got {self.time!r}")

    def said(self) -> dict[str, object]:
        """The rules by name, for the report."""
        return asdict(self)


class Found(NamedTuple):
    """Estimates of every field row.

    Attributes
    ----------
    estimates : DataFrame
        `<trait>`, `<trait>_sd`, ..., `quality`, `map`, `image_date`, `delta_days`, `pixels`, `cv`,
        `map_row`, `map_column`; NaN where there is none. Row by row as the field table.
    reasons : dict
        Why a row has no estimate, by row from 1.
    """

    estimates: pd.DataFrame
    reasons: dict[int, str]


def match_maps(field: pd.DataFrame, products: list[Product], trait: str, rules: Rules) -> Found:
    """Look up every plot on the maps.

    Parameters
    ----------
    field : DataFrame
        The field table with `lat` and `lon` [degree] or `geometry` (WGS 84), and `field_date`.
    products : list of Product
    trait : str
    rules : Rules

    Raises
    ------
    InputError
        If the table has no places, or no plot lies on any map.
    """
    places = places_of(field)
    days = [_day(text) for text in field.get("field_date", pd.Series("", index=field.index))]
    projected = {i: places.to_crs(p.crs) for i, p in enumerate(products)}
    rows, reasons = [], {}
    for row, day in enumerate(days):
        shape = {i: shapes.iloc[row] for i, shapes in projected.items()}
        found = _one(shape, products, day, rules)
        if isinstance(found, str):
            reasons[row + 1] = found
        rows.append({} if isinstance(found, str) else found)
    nowhere = [row for row, reason in reasons.items() if reason in (OUTSIDE, NOWHERE)]
    if len(nowhere) == len(rows):
        names = listing(p.name for p in products)
        raise InputError(f"field table: expected plots on the map {names}, got none on it")
    return Found(_named(pd.DataFrame(rows, index=field.index), trait), reasons)


OUTSIDE = "outside the map"
NOWHERE = "no coordinates"


def places_of(field: pd.DataFrame) -> Any:
    """Geometries of the rows in WGS 84."""
    import geopandas

    if "geometry" in field:
        return geopandas.GeoSeries(field["geometry"], crs="EPSG:4326")
    if not {"lat", "lon"} <= set(field.columns):
        found = listing(field.columns)
        raise InputError(f"field table: expected lat and lon, or x and y, got {found}")
    return geopandas.GeoSeries.from_xy(field["lon"], field["lat"], crs="EPSG:4326")


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _one(shape: dict[int, Any], products: list[Product], day: date | None, rules: Rules):
    """Statistics of one plot, or the reason why there are none."""
    if any(s is None or s.is_empty or not np.isfinite(s.bounds).all() for s in shape.values()):
        return NOWHERE
    windows = {
        i: pixels.window(p.shape, p.transform, shape[i], rules.window)
        for i, p in enumerate(products)
    }
    on = [i for i, window in windows.items() if window is not None]
    if not on:
        return OUTSIDE
    if day is None and (len(products) > 1 or products[0].day is not None):
        return "no field date"
    near = [i for i in on if _near(products[i].day, day, rules.most_days)]
    looked = {i: sampled(products[i], windows[i], rules) for i in near}
    samples = {i: found for i, found in looked.items() if not isinstance(found, str)}
    refused = next((found for found in looked.values() if isinstance(found, str)), "")
    usable = list(samples)
    chosen = timing.choose(
        [products[i].day for i in usable], day, most=rules.most_days, method=rules.time
    )
    if chosen is None:
        return refused or f"no map within {rules.most_days} days"
    picked = [usable[k] for k in chosen.positions]
    return _described([samples[i] for i in picked], [products[i] for i in picked], chosen.way, day)


def _near(map_day: date | None, day: date | None, most: int) -> bool:
    return map_day is None or day is None or abs((map_day - day).days) <= most


def sampled(product: Product, where: Any, rules: Rules) -> pixels.Sample | str:
    """What one map says, or why it is not used."""
    if where.inside < rules.least_valid:
        return f"at the map's edge ({where.inside:.0%} of the plot on it)"
    found = pixels.sample(product.block(where.rows, where.columns), where)
    if found.pixels == 0:
        return "no data in the map"
    if found.valid < rules.least_valid:
        return f"mostly without data in the map ({found.valid:.0%} valid)"
    if rules.most_cv is not None and found.cv > rules.most_cv:
        return f"uneven plot (coefficient of variation above {rules.most_cv:g})"
    return found


def _described(
    samples: list[pixels.Sample], products: list[Product], way: float, day: date | None
) -> dict[str, object]:
    """Combined statistics and where they come from."""
    nearest = samples[round(way)], products[round(way)]
    values: dict[str, object] = {**timing.combine([s.values for s in samples], way)}
    when = nearest[1].day
    gaps = [(p.day - day).days for p in products if p.day is not None and day is not None]
    return values | {
        "map": " + ".join(p.name for p in products),
        "image_date": when.isoformat() if when else "",
        "delta_days": min(gaps, key=abs) if gaps else np.nan,
        "pixels": sum(s.pixels for s in samples),
        "cv": max((s.cv for s in samples), default=np.nan),
        "map_row": nearest[0].pixel[0],
        "map_column": nearest[0].pixel[1],
    }


def _named(found: pd.DataFrame, trait: str) -> pd.DataFrame:
    """Statistics under the trait's name."""
    statistics = {s: f"{trait}{s}" for s in ("", "_sd", "_p025", "_p975")}
    return found.rename(columns=statistics)
