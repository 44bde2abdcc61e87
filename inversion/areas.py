"""Parts of an image: an area of interest from any vector file, or windows around points."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from rasterio import Affine
from rasterio.features import geometry_mask

from inversion.kernel import STATISTICS
from inversion.quality import Quality
from inversion.readers.vector import read_vector
from physvae.errors import InputError

ID = "point"
"""Column that numbers the points from 1."""


def vectors(path: Path, crs: Any) -> Any:
    """Read a vector file (see `inversion.readers.vector`) in the image's system.

    Raises
    ------
    InputError
        Not readable, empty, without a reference system, or with an image that has none.
    """
    frame = read_vector(path)
    if crs is None:
        raise InputError(
            f"{path}: expected an image with a reference system to place it, found none"
        )
    if "geometry" not in frame or frame.geometry.dropna().empty:
        raise InputError(f"{path}: expected at least one geometry, found none")
    if frame.crs is None:
        raise InputError(f"{path}: expected a coordinate reference system, found none")
    return frame[frame.geometry.notna()].to_crs(crs)


def within(image: xr.Dataset, path: Path) -> xr.Dataset:
    """Cut an image to the box of an area; what lies outside of the area becomes no data.

    A pixel belongs to the area if its centre lies in it.

    Raises
    ------
    InputError
        The area does not meet the image.
    """
    import rioxarray  # noqa: F401 registers the accessor `rio`

    frame = vectors(path, image.rio.crs)
    west, south, east, north = frame.total_bounds
    x, y = image["x"].to_numpy(), image["y"].to_numpy()
    half = abs(x[1] - x[0]) / 2 if len(x) > 1 else 0.0
    columns = np.flatnonzero((x + half > west) & (x - half < east))
    rows = np.flatnonzero((y + half > south) & (y - half < north))
    if not len(columns) or not len(rows):
        raise InputError(f"{path}: expected an area that meets the image, found none of it inside")
    part = image.isel(x=slice(columns[0], columns[-1] + 1), y=slice(rows[0], rows[-1] + 1))
    transform = image.rio.transform() @ Affine.translation(int(columns[0]), int(rows[0]))
    part = part.rio.write_transform(transform)
    shape = (part.sizes["y"], part.sizes["x"])
    inside = geometry_mask(frame.geometry, shape, transform, invert=True)
    if not inside.any():
        raise InputError(f"{path}: expected an area that holds a pixel's centre, found none")
    chunks = part["reflectance"].chunksizes
    mask = xr.DataArray(inside, dims=("y", "x"))
    if chunks:
        blocks: Any = (chunks["y"], chunks["x"])
        mask = xr.DataArray(da.from_array(inside, chunks=blocks), dims=("y", "x"))
    attributes = part["reflectance"].attrs
    part["reflectance"] = part["reflectance"].where(mask).assign_attrs(attributes)
    return part


def around(image: xr.Dataset, path: Path, window: int) -> tuple[xr.Dataset, pd.DataFrame]:
    """Cut a window of pixels around every point out of an image.

    Returns
    -------
    tuple
        The image with the dimensions point, dy, dx; and the table of the points.

    Raises
    ------
    InputError
        No points, or none that lies in the image.
    """
    frame = vectors(path, image.rio.crs)
    if not (frame.geom_type == "Point").all():
        raise InputError(f"{path}: expected points, found {', '.join(set(frame.geom_type))}")
    x, y = image["x"].to_numpy(), image["y"].to_numpy()
    columns = _nearest(frame.geometry.x.to_numpy(), x)
    rows = _nearest(frame.geometry.y.to_numpy(), y)
    inside = (columns >= 0) & (rows >= 0)
    if not inside.any():
        raise InputError(f"{path}: expected points in the image, found all {len(frame)} outside")
    offsets = np.arange(window) - window // 2
    at_x, out_x = _shifted(columns, offsets, len(x))
    at_y, out_y = _shifted(rows, offsets, len(y))
    part = image.isel(
        y=xr.DataArray(at_y, dims=("point", "dy")), x=xr.DataArray(at_x, dims=("point", "dx"))
    )
    outside = xr.DataArray(out_y, dims=("point", "dy")) | xr.DataArray(out_x, dims=("point", "dx"))
    outside = outside | xr.DataArray(~inside, dims="point")
    part["reflectance"] = part["reflectance"].where(~outside)
    table = pd.DataFrame(frame.drop(columns=frame.geometry.name)).reset_index(drop=True)
    table.insert(0, ID, np.arange(1, len(table) + 1))
    return part, table


def over_windows(
    result: xr.Dataset, table: pd.DataFrame, variables: Sequence[str]
) -> pd.DataFrame:
    """Average the estimates of each window.

    Mean and quantiles are averaged; the standard deviation is the mean one, since errors of
    neighbours go together; `<trait>_spread` is that of the means over the window; `pixels`
    counts those that were estimated; `quality` holds the bits that any of these has, or else those
    of all.
    """
    computed = result.compute()
    columns: dict[str, np.ndarray] = {}
    for name in variables:
        for statistic in STATISTICS:
            values = computed[name + statistic].transpose("point", "dy", "dx").to_numpy()
            columns[name + statistic] = _mean(values.reshape(len(values), -1))
        means = computed[name].transpose("point", "dy", "dx").to_numpy()
        columns[f"{name}_spread"] = _spread(means.reshape(len(means), -1))
    estimated = np.isfinite(means.reshape(len(means), -1))
    bits = computed["quality"].transpose("point", "dy", "dx").to_numpy()
    bits = bits.reshape(len(bits), -1)
    some = estimated.any(1)
    any_bit = np.bitwise_or.reduce(np.where(estimated, bits, 0).astype(np.uint16), 1)
    columns["pixels"] = estimated.sum(1)
    columns["quality"] = np.where(some, any_bit, np.bitwise_or.reduce(bits, 1)).astype(np.uint16)
    columns["quality"][~some] |= np.uint16(Quality.NO_DATA)
    renamed = table.rename(columns={name: f"{name}_input" for name in table if name in columns})
    return pd.concat([renamed, pd.DataFrame(columns)], axis=1)


def _nearest(places: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the pixel that a place lies in, -1 outside."""
    step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 1.0
    index = np.floor((places - centres[0]) / step + 0.5).astype(int)
    return np.where((index >= 0) & (index < len(centres)), index, -1)


def _shifted(index: np.ndarray, offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    at = index[:, None] + offsets[None, :]
    outside = (at < 0) | (at >= length)
    return np.clip(at, 0, length - 1), outside


def _mean(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    total, count = np.where(there, values, 0.0).sum(1), there.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _spread(values: np.ndarray) -> np.ndarray:
    gaps = values - _mean(values)[:, None]
    return np.sqrt(_mean(gaps**2)).astype(np.float32)
