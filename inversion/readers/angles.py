"""Sun and view angles from the coarse grids of Sentinel-2 products to every pixel.

A direction with zenith θ and azimuth φ is the unit vector (sin θ sin φ, sin θ cos φ, cos θ);
vectors are averaged and interpolated, never angles, so 359° and 1° are two degrees apart.

Each detector saw the ground from its own side and has a grid of its own, NaN where it did not
look. Nothing is interpolated across their borders: a detector's directions are continued by a
plane through those that it has, and each pixel takes those of the detector whose footprint it
lies in. Without footprints it takes those of the only detector near it; where there are several,
their mean, and bit 10 says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from rasterio import Affine
from rasterio.features import rasterize

from inversion.geometry import fold
from inversion.quality import Quality
from inversion.readers.rasters import Grid, Readable, blocks, window

STEP = 5000.0
"""Distance of the nodes [m] from the upper left corner of the tile on."""


class Nodes(NamedTuple):
    """Directions at the nodes of a coarse grid.

    Attributes
    ----------
    sun : array [component, row, column]
        Unit vectors to the sun.
    view : dict of array [component, row, column]
        Unit vectors to the sensor by detector, without gaps.
    seen : dict of array [row, column]
        Which nodes the detector itself has.
    step : tuple of float
        Distance of rows and of columns [m].
    """

    sun: np.ndarray
    view: dict[int, np.ndarray]
    seen: dict[int, np.ndarray]
    step: tuple[float, float]


class Outlines(NamedTuple):
    """Footprints of detectors as polygons: corners (x, y), and the detector's number."""

    polygons: tuple[tuple[tuple[tuple[float, float], ...], int], ...]


def vector(zenith: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Unit vectors [component, ...] of directions [degree]."""
    z, a = np.deg2rad(zenith), np.deg2rad(azimuth)
    return np.stack([np.sin(z) * np.sin(a), np.sin(z) * np.cos(a), np.cos(z)])


def zenith_of(direction: np.ndarray) -> np.ndarray:
    """Zenith angles [degree] of vectors [component, ...] of any length."""
    flat = np.hypot(direction[0], direction[1])
    return np.rad2deg(np.arctan2(flat, direction[2]))


def azimuth_of(direction: np.ndarray) -> np.ndarray:
    """Azimuth angles [degree] of vectors [component, ...], 0 to the north, 90 to the east."""
    return np.rad2deg(np.arctan2(direction[0], direction[1])) % 360.0


def nodes(
    sun: tuple[np.ndarray, np.ndarray],
    view: Mapping[int, Sequence[tuple[np.ndarray, np.ndarray]]],
    step: tuple[float, float] = (STEP, STEP),
) -> Nodes:
    """Put the grids of a product together.

    Parameters
    ----------
    sun
        Zenith and azimuth [row, column], degree.
    view
        For every detector the zenith and azimuth of each band, NaN where it did not look.
    """
    directions, seen = {}, {}
    for detector, bands in view.items():
        mean = _mean([vector(*band) for band in bands])
        there = np.asarray(np.isfinite(mean).all(0))
        if there.any():
            directions[detector], seen[detector] = _continued(mean, there), there
    whole = vector(*sun)
    there = np.asarray(np.isfinite(whole).all(0))
    if there.any():
        whole = _continued(whole, there)
    return Nodes(whole, directions, seen, step)


def angles(
    found: Nodes, grid: Grid, chunk: int, footprint: Readable | Outlines | None = None
) -> tuple[dict[str, Any], Any]:
    """Return the angles of every pixel, lazily, and the quality bits that go with them.

    Parameters
    ----------
    footprint
        A layer with the number of the detector that saw a pixel, 0 for none, or polygons.
    """
    parts = da.map_blocks(
        _block,
        found=found,
        grid=grid,
        footprint=footprint,
        chunks=((4,), *blocks(grid, chunk)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    named = {
        "sun_zenith_deg": parts[0],
        "view_zenith_deg": parts[1],
        "relative_azimuth_deg": parts[2],
    }
    return named, parts[3].astype(np.uint16)


def _mean(directions: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of directions, those that are NaN left out."""
    stack = np.stack(directions)
    there = np.isfinite(stack)
    count = there.sum(0)
    total = np.where(there, stack, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _continued(direction: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Fill what is NaN by a plane through what is there, or by its mean where it is too little."""
    row, column = np.mgrid[: there.shape[0], : there.shape[1]]
    ones = np.ones(there.sum())
    plane = np.stack([ones, row[there], column[there]], -1)
    flat = np.linalg.matrix_rank(plane) < 3
    everywhere = np.stack([np.ones(there.size), row.ravel(), column.ravel()], -1)
    filled = direction.copy()
    for component in filled:
        known = component[there]
        if flat:
            guess = np.full(there.shape, known.mean())
        else:
            fitted = np.linalg.lstsq(plane, known, rcond=None)[0]
            guess = (everywhere @ fitted).reshape(there.shape)
        component[~there] = guess[~there]
    return filled


def _block(
    *, found: Nodes, grid: Grid, footprint: Readable | Outlines | None, block_info: Any = None
) -> np.ndarray:
    _, rows, columns = block_info[None]["array-location"]
    down = _weights(rows, abs(grid.transform.e), found.step[0], found.sun.shape[1])
    right = _weights(columns, grid.transform.a, found.step[1], found.sun.shape[2])
    sun = down @ found.sun @ right.T
    shape = (rows[1] - rows[0], columns[1] - columns[0])
    if footprint is None:
        seen = {d: (down @ s.astype(float) @ right.T) > 0 for d, s in found.seen.items()}
    else:
        detector = _detectors(footprint, grid, rows, columns)
        seen = {d: detector == d for d in found.view}
    view, count = np.zeros((3, *shape)), np.zeros(shape)
    for number, where in seen.items():
        if where.any():
            view += np.where(where, down @ found.view[number] @ right.T, 0.0)
            count += where
    several = count > 1
    lost = count == 0
    if lost.any() and found.view:
        mean = down @ _mean(list(found.view.values())) @ right.T
        view = np.where(lost, mean, view)
    known = np.float32(1.0 if found.view else np.nan)
    bits = np.where(several | lost, float(Quality.ANGLE_FILLED_IN), 0.0)
    sun, view, bits = (part.astype(np.float32) for part in (sun, view, bits))
    relative = fold(azimuth_of(sun) - azimuth_of(view))
    return np.stack([zenith_of(sun), zenith_of(view) * known, relative * known, bits])


def _detectors(
    footprint: Readable | Outlines, grid: Grid, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """Number of the detector that saw each pixel of a window [y, x], 0 for none."""
    if not isinstance(footprint, Outlines):
        return window(footprint, rows, columns)
    shapes = (
        ({"type": "Polygon", "coordinates": [list(corners)]}, number)
        for corners, number in footprint.polygons
    )
    return rasterize(
        shapes,
        out_shape=(rows[1] - rows[0], columns[1] - columns[0]),
        transform=grid.transform @ Affine.translation(columns[0], rows[0]),
        dtype=np.uint8,
    )


def _weights(span: tuple[int, int], pixel: float, step: float, count: int) -> np.ndarray:
    """Weights [pixel, node] of linear interpolation between nodes along one axis."""
    place = np.clip((np.arange(*span) + 0.5) * pixel / step, 0, count - 1)
    low = np.minimum(place.astype(int), max(count - 2, 0))
    share = place - low
    weights = np.zeros((len(place), count))
    at = np.arange(len(place))
    weights[at, low] = 1 - share
    if count > 1:
        weights[at, low + 1] += share
    return weights
