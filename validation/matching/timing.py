r"""Maps of several dates to the day of a measurement.

``nearest`` takes the map closest in time. ``interpolate`` takes the last one before and the first
one after the day, within the window, and weighs them by nearness in time and by the posterior's
precision: with t the share of the way from the first to the second,

    w₁ ∝ (1 − t) / sd₁²,      w₂ ∝ t / sd₂²;

equal sd give the straight line between them. Without sd, or with a map of that very day, the
precision plays no part. Standard deviation and quantiles are averaged with the same weights: the
two estimates share a model and its errors, so that two dates do not make one more certain.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

METHODS = ("nearest", "interpolate")


class Chosen(NamedTuple):
    """Maps to combine: their positions, and the share of the way between them."""

    positions: tuple[int, ...]
    way: float
    """0 at the first, 1 at the second."""


def choose(
    days: Sequence[date | None], day: date | None, *, most: int, method: str = "nearest"
) -> Chosen | None:
    """Maps for a measurement of one day, None where none is within `most` days.

    A map without a date fits any day, and a measurement without one only a single map.

    Parameters
    ----------
    days : sequence of date or None
        Of the maps.
    day : date or None
        Of the measurement.
    most : int
        Largest gap [day].
    method : str
        One of `METHODS`.
    """
    if day is None:
        return Chosen((0,), 0.0) if len(days) == 1 else None
    undated = [i for i, d in enumerate(days) if d is None]
    gaps = [(abs((d - day).days), (d - day).days, i) for i, d in enumerate(days) if d is not None]
    near = sorted(entry for entry in gaps if entry[0] <= most)
    if not near:
        return Chosen((undated[0],), 0.0) if undated else None
    before = max((e for e in near if e[1] <= 0), key=lambda e: e[1], default=None)
    after = min((e for e in near if e[1] >= 0), key=lambda e: e[1], default=None)
    apart = before is not None and after is not None and before[1] < after[1]
    if method == "nearest" or not apart or before is None or after is None:
        return Chosen((near[0][2],), 0.0)
    return Chosen((before[2], after[2]), -before[1] / (after[1] - before[1]))


def combine(values: Sequence[dict[str, float]], way: float) -> dict[str, float]:
    """Statistics of one or two maps as one, by the weights of the module's head.

    Parameters
    ----------
    values : sequence of dict
        By statistic ("", "_sd", "_p025", "_p975", "quality").
    way : float
        Share of the way from the first to the second.
    """
    if len(values) == 1:
        return dict(values[0])
    spread = np.array([v.get("_sd", np.nan) for v in values])
    weight = np.array([1 - way, way])
    if np.isfinite(spread).all() and (spread > 0).all():
        weight = weight / spread**2
    weight = weight / weight.sum()
    names = [name for name in values[0] if name != "quality"]
    mixed = {n: float(weight @ [v.get(n, np.nan) for v in values]) for n in names}
    bits = [v["quality"] for v in values if "quality" in v and np.isfinite(v["quality"])]
    if bits:
        mixed["quality"] = float(np.bitwise_or.reduce(np.array(bits, dtype=np.int64)))
    return mixed
