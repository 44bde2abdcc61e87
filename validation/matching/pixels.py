r"""From a plot's place to a value of the map: which pixels, how much of each, how even they are.

A point takes the square window of pixels centred on the one it lies in; a polygon every pixel it
touches, weighted by the area inside. With weights w over the valid pixels,

    mean = Σ w v / Σ w,      CV = √(Σ w (v − mean)² / Σ w) / mean.

Standard deviation and quantiles are averaged like the mean: the errors of neighbouring pixels of
one model are nearly the same, and averaging does not make them smaller.
"""

from typing import Any, NamedTuple

import numpy as np
import shapely

from inversion.quality import Quality

UNUSABLE = Quality.NO_DATA | Quality.MASKED_BY_SCENE_CLASS


class Window(NamedTuple):
    """Pixels of a map and their weights.

    Attributes
    ----------
    rows, columns : slice
        Inside the map.
    weights : array [row, column]
        Area of a pixel inside the plot, in pixels.
    inside : float
        Share of the plot's whole weight that lies on the map.
    """

    rows: slice
    columns: slice
    weights: np.ndarray
    inside: float


class Sample(NamedTuple):
    """What a map says about a plot.

    Attributes
    ----------
    values : dict of str to float
        By statistic, NaN where there is none; `quality` are the bits of any pixel used.
    pixels : int
        Pixels used.
    valid : float
        Share of the weight on the map that has a value.
    cv : float
        Coefficient of variation, NaN with one pixel.
    pixel : tuple of int
        Row and column of the pixel in the middle.
    """

    values: dict[str, float]
    pixels: int
    valid: float
    cv: float
    pixel: tuple[int, int]


def window(shape: tuple[int, int], transform: Any, geometry: Any, size: int = 1) -> Window | None:
    """Pixels of a plot, None where it lies outside the map.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    transform : Affine
        From (column, row) to the map's coordinates.
    geometry : shapely geometry
        In the map's coordinates.
    size : int
        Side of the window around a point, odd.
    """
    if geometry.geom_type == "Point":
        column, row = _pixels(transform, np.array([[geometry.x, geometry.y]]))[0]
        half = size // 2
        full = np.ones((size, size))
        return _cut(shape, int(np.floor(row)) - half, int(np.floor(column)) - half, full)
    outline = shapely.transform(geometry, lambda xy: _pixels(transform, xy))
    left, top, right, bottom = outline.bounds
    row, column = int(np.floor(top)), int(np.floor(left))
    height, width = int(np.ceil(bottom)) - row, int(np.ceil(right)) - column
    r, c = np.mgrid[row : row + max(height, 1), column : column + max(width, 1)]
    boxes = shapely.box(c, r, c + 1, r + 1)
    return _cut(shape, row, column, shapely.area(shapely.intersection(boxes, outline)))


def _pixels(transform: Any, xy: np.ndarray) -> np.ndarray:
    """Fractional (column, row) [n, 2] of coordinates (x, y) [n, 2]."""
    back = ~transform
    x, y = xy[:, 0], xy[:, 1]
    return np.stack([back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f], axis=-1)


def _cut(shape: tuple[int, int], row: int, column: int, weights: np.ndarray) -> Window | None:
    """The part of a block of weights that lies on the map."""
    total = float(weights.sum())
    ends = (row + weights.shape[0], column + weights.shape[1])
    rows = slice(max(row, 0), min(ends[0], shape[0]))
    columns = slice(max(column, 0), min(ends[1], shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop or total == 0:
        return None
    kept = weights[
        rows.start - row : rows.stop - row, columns.start - column : columns.stop - column
    ]
    share = float(kept.sum()) / total
    return Window(rows, columns, kept, share) if share > 0 else None


def sample(block: dict[str, np.ndarray], where: Window) -> Sample:
    """Weighted mean of every statistic over the valid pixels of a window.

    Parameters
    ----------
    block : dict of str to array [row, column]
        Values of the window by statistic, as `Product.block` gives them.
    where : Window
    """
    value = block[""]
    quality = block.get("quality")
    bad = np.zeros(value.shape, bool) if quality is None else _bits(quality, UNUSABLE.value) > 0
    weights = np.where(np.isfinite(value) & ~bad, where.weights, 0.0)
    total = float(weights.sum())
    middle = _middle(where)
    if total <= 0:
        return Sample(dict.fromkeys(block, np.nan), 0, 0.0, np.nan, middle)
    statistics = {k: v for k, v in block.items() if k != "quality"}
    means = {k: float((weights * np.nan_to_num(v)).sum() / total) for k, v in statistics.items()}
    means |= {k: np.nan for k, v in statistics.items() if np.isnan(v[weights > 0]).any()}
    used = int((weights > 0).sum())
    spread = np.sqrt((weights * (np.nan_to_num(value) - means[""]) ** 2).sum() / total)
    cv = float(spread / abs(means[""])) if used > 1 and means[""] != 0 else np.nan
    if quality is not None:
        means["quality"] = float(np.bitwise_or.reduce(_bits(quality)[weights > 0]))
    return Sample(means, used, total / float(where.weights.sum()), cv, middle)


def _bits(quality: np.ndarray, mask: int = 0xFFFF) -> np.ndarray:
    return np.nan_to_num(quality).astype(np.int64) & mask


def _middle(where: Window) -> tuple[int, int]:
    """Row and column of the pixel in the middle of the window."""
    rows, columns = where.rows, where.columns
    return (rows.start + rows.stop - 1) // 2, (columns.start + columns.stop - 1) // 2
