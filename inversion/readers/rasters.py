"""Bands that lie in files of their own, of one or several pixel sizes, as one lazy cube.

A file's pixel side is a whole multiple or a whole part of the grid's and both share a corner, as
in every product known here. Finer pixels are averaged over those that are there, coarser ones
are repeated, so that no centre moves. Codes (scene classes, detectors) are never averaged: a pixel
takes that of most of the finer ones.
"""

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isclose
from typing import Any, NamedTuple, Protocol

import dask.array as da
import numpy as np
import xarray as xr
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioIOError

from inversion.readers import filling
from inversion.readers.handles import borrowed, forget, mask_of, opened
from inversion.readers.refusal import refusal
from physvae.errors import InputError

TILE = 640
"""Side of a block [pixel]: that of the JPEG 2000 tiles of Sentinel-2's 20 m bands."""
Span = tuple[int, int]


class Grid(NamedTuple):
    """Where the pixels of an image lie."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    def at(self, pixel: float) -> "Grid":
        """The grid over the same area with another pixel side."""
        factor = self.transform.a / pixel
        shape = round(self.height * factor), round(self.width * factor)
        return Grid(self.crs, self.transform @ Affine.scale(1 / factor), *shape)


@dataclass(frozen=True)
class Layer:
    """One band of one raster file, and how its numbers become a quantity.

    Attributes
    ----------
    path : str
        As GDAL opens it.
    index : int
        Band of the file, from 1.
    driver : str
        One of `handles.DRIVERS`.
    scale, offset : float
        quantity = number · scale + offset.
    missing : tuple of float
        Numbers that mean no data or saturated, taken out first.
    ratio : float
        The file's pixel side over the grid's: 0.5 is averaged 2 × 2, 3 is repeated 3 × 3.
    codes : bool
        Whether the numbers are codes, of which there is no mean.
    """

    path: str
    index: int = 1
    driver: str = "GTiff"
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    ratio: float = 1.0
    codes: bool = False

    @property
    def source(self) -> str:
        """Name of the file."""
        return self.path.rsplit("/", 1)[-1]

    def stored(self, place: tuple[Span, Span]) -> np.ndarray:
        """Return the numbers of the file [y, x] between two rows and two columns.

        Those that the file's own mask or alpha band leaves out are NaN.
        """
        try:
            with borrowed(self.path, self.driver) as source:
                return masked(source, self.index, source.read(self.index, window=place), place)
        except RasterioIOError as error:
            forget(self.path)
            raise InputError(f"{self.path}: a block cannot be read, {error}") from error


@dataclass(frozen=True)
class Decoded:
    """Scene classes told from masks of one pixel side, before they are laid over a grid.

    Attributes
    ----------
    masks : tuple of Readable
        The masks; what they hold is not asked for scale or missing numbers.
    decode : callable
        Turns the masks' numbers [mask, y, x] into classes [y, x]; a function of a module.
    ratio : float
        The masks' pixel side over the grid's.
    """

    masks: tuple["Readable", ...]
    decode: Callable[[np.ndarray], np.ndarray]
    ratio: float = 1.0
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    codes: bool = True

    @property
    def source(self) -> str:
        """Names of the files of the masks."""
        return ", ".join(mask.source for mask in self.masks)

    def stored(self, place: tuple[Span, Span]) -> np.ndarray:
        """Return the classes [y, x] between two rows and two columns of the masks."""
        return self.decode(np.stack([mask.stored(place) for mask in self.masks]))


def masked(
    source: Any, index: int, stored: np.ndarray, place: tuple[Span, Span] | tuple[slice, slice]
) -> np.ndarray:
    """Return numbers that were read with NaN where a file's mask or alpha band leaves them out."""
    band = mask_of(source)
    if band is None:
        return stored
    there = source.read(band, window=place) if band else source.read_masks(index, window=place)
    if there.all():
        return stored
    return np.where(there > 0, stored, np.nan)


class Readable(Protocol):
    """What `cube` and `window` ask of a layer, wherever its numbers lie."""

    @property
    def source(self) -> str:
        """Where the numbers lie, in words."""
        ...

    @property
    def scale(self) -> float:
        """quantity = number · scale + offset."""
        ...

    @property
    def offset(self) -> float:
        """quantity = number · scale + offset."""
        ...

    @property
    def missing(self) -> tuple[float, ...]:
        """Numbers that mean no data."""
        ...

    @property
    def ratio(self) -> float:
        """The pixel side of the file over that of the grid."""
        ...

    @property
    def codes(self) -> bool:
        """Whether the numbers are codes, of which there is no mean."""
        ...

    def stored(self, place: tuple[Span, Span]) -> np.ndarray:
        """Return the numbers [y, x] between two rows and two columns."""
        ...


def grid_of(path: str, driver: str = "GTiff", crs: CRS | None = None) -> Grid:
    """Return where the pixels of a file lie; `crs` stands in where the file has none.

    Raises
    ------
    InputError
        No coordinate reference system, another than `crs`, or a grid that is turned.
    """
    with opened(path, driver) as source:
        found = source.crs or crs
        if found is None:
            raise InputError(f"{path}: expected a coordinate reference system, found none")
        if crs is not None and source.crs and not _same(source.crs, crs):
            raise InputError(f"{path}: expected {name_of(crs)}, found {name_of(source.crs)}")
        if source.transform.b or source.transform.d:
            raise InputError(f"{path}: expected a grid along the axes, found a turned one")
        return Grid(found, source.transform, source.height, source.width)


def crs_of(text: str, source: str) -> CRS:
    """Return the coordinate reference system that a text such as EPSG:32632 names."""
    try:
        return CRS.from_user_input(text)
    except CRSError:
        raise InputError(
            f"{source}: expected a coordinate reference system, found {reprlib.repr(text)}"
        ) from None


def name_of(crs: CRS) -> str:
    """Return a short name of a coordinate reference system."""
    return f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else crs.to_string()[:60]


def ratio(file: Grid, grid: Grid, path: str) -> float:
    """Return the pixel side of a file over that of the grid.

    Raises
    ------
    InputError
        No whole number either way, another corner, another size or another reference system.
    """
    factor = file.transform.a / grid.transform.a
    whole = factor if factor >= 1 else 1 / factor
    slack = 0.01 * grid.transform.a
    corner = all(
        isclose(a, b, abs_tol=slack)
        for a, b in zip(file.transform[2:6:3], grid.transform[2:6:3], strict=True)
    )
    covers = (
        abs(file.height * factor - grid.height) < max(factor, 1)
        and abs(file.width * factor - grid.width) < max(factor, 1)
    )  # fmt: skip
    if not (isclose(whole, round(whole), rel_tol=1e-6) and corner and covers):
        raise InputError(
            f"{path}: expected pixels that share the corner and size of"
            f" {grid.width} x {grid.height} pixels of {grid.transform.a:g} m, found"
            f" {file.width} x {file.height} of {file.transform.a:g} m elsewhere"
        )
    if not _same(file.crs, grid.crs):
        raise InputError(f"{path}: expected {name_of(grid.crs)}, found {name_of(file.crs)}")
    return factor


def cube(layers: Sequence[Readable], grid: Grid, chunk: int) -> da.Array:
    """Return the layers as one lazy float32 array [layer, y, x], NaN where missing.

    A part of it reads that part alone, not the blocks in which it lies.
    """
    stack = _Stack(tuple(layers), grid)
    sides = ((len(layers),), *blocks(grid, chunk))
    meta = np.empty((0, 0, 0), np.float32)
    return da.from_array(stack, chunks=sides, meta=meta)  # pyright: ignore[reportArgumentType]


def blocks(grid: Grid, chunk: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the heights and the widths of the blocks of a grid, none longer than `chunk`.

    A row has an even number of blocks, all of one width, so that cores end it together.
    """
    pairs = ceil(grid.width / (2 * chunk))
    return cuts(grid.height, chunk), cuts(grid.width, ceil(grid.width / (2 * pairs)))


def cuts(length: int, chunk: int) -> tuple[int, ...]:
    """Return the lengths of the blocks along an axis.

    >>> cuts(10, 4)
    (4, 4, 2)
    """
    whole, rest = divmod(length, chunk)
    return (chunk,) * whole + ((rest,) if rest else ())


def placed(grid: Grid) -> dict[str, np.ndarray]:
    """Return the centres of the pixels along y and x."""
    t = grid.transform
    x = t.c + t.a * (np.arange(grid.width) + 0.5)
    y = t.f + t.e * (np.arange(grid.height) + 0.5)
    return {"y": y, "x": x}


def georeferenced(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Write the grid into a dataset the CF way."""
    import rioxarray  # noqa: F401 registers the accessor `rio`

    named = dataset.assign_coords(placed(grid))
    written = named.rio.write_crs(grid.crs).rio.write_transform(grid.transform)
    return written.rio.write_coordinate_system()


@dataclass(frozen=True)
class _Stack:
    """Layers over a grid as an array [layer, y, x] of which dask asks for parts."""

    layers: tuple[Readable, ...]
    grid: Grid
    dtype = np.dtype(np.float32)
    ndim = 3

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.layers), self.grid.height, self.grid.width

    def __getitem__(self, part: tuple[slice | int, slice | int, slice | int]) -> np.ndarray:
        layers, rows, columns = (
            range(length)[side] if isinstance(side, slice) else range(side, side + 1)
            for side, length in zip(part, self.shape, strict=True)
        )
        if not (layers and rows and columns):
            return np.empty((len(layers), len(rows), len(columns)), np.float32)
        spans = [(min(side), max(side) + 1) for side in (rows, columns)]
        values = np.stack([window(self.layers[index], *spans) for index in layers])
        values = values[:, :: rows.step, :: columns.step]
        return values[tuple(slice(None) if isinstance(side, slice) else 0 for side in part)]


def window(layer: Readable, rows: Span, columns: Span) -> np.ndarray:
    """Read one layer over a window of the grid [y, x], NaN where it has no data."""
    place = (_outer(rows, layer.ratio), _outer(columns, layer.ratio))
    with refusal(getattr(layer, "path", "image"), "a readable block of pixels"):
        stored = layer.stored(place)
    value = stored.astype(np.float32)
    value[filling.missing(stored, layer.missing)] = np.nan
    if (layer.scale, layer.offset) != (1.0, 0.0):
        value = (value * np.float64(layer.scale) + layer.offset).astype(np.float32)
    size = (rows[1] - rows[0], columns[1] - columns[0])
    if layer.ratio < 1 and layer.codes:
        return _commonest(value, round(1 / layer.ratio), size)
    if layer.ratio < 1:
        return _averaged(value, round(1 / layer.ratio), size)
    if layer.ratio > 1:
        return _repeated(value, round(layer.ratio), rows[0], columns[0], size)
    return value


def _outer(span: Span, factor: float) -> Span:
    """Return the pixels of a file that touch a span of the grid."""
    return floor(span[0] / factor + 1e-9), ceil(span[1] / factor - 1e-9)


def _squares(value: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """Return squares of pixels [y, row, x, column], NaN beyond the file's edge."""
    full = np.full((size[0] * side, size[1] * side), np.nan, np.float32)
    full[: value.shape[0], : value.shape[1]] = value
    return full.reshape(size[0], side, size[1], side)


def _commonest(value: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """Return the commonest code of squares of pixels; of two as common the larger.

    >>> _commonest(np.array([[4, 4, 4, 9], [4, 9, 4, 9]], np.float32), 2, (1, 2)).tolist()
    [[4.0, 9.0]]
    """
    squares = _squares(value, side, size)
    codes = np.unique(value[np.isfinite(value)])
    best, most = np.full(size, np.nan, np.float32), np.zeros(size, int)
    for code in codes:
        count = (squares == code).sum((1, 3))
        best[(count > 0) & (count >= most)] = code
        most = np.maximum(most, count)
    return best


def _averaged(value: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """Average squares of pixels, those without data left out."""
    squares = _squares(value, side, size)
    there = np.isfinite(squares)
    count = there.sum((1, 3))
    total = np.where(there, squares, 0.0).sum((1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _repeated(
    value: np.ndarray, side: int, top: int, left: int, size: tuple[int, int]
) -> np.ndarray:
    large = value.repeat(side, 0).repeat(side, 1)
    first = top % side, left % side
    full = np.full(size, np.nan, np.float32)
    part = large[first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
    full[: part.shape[0], : part.shape[1]] = part
    return full


def _same(one: CRS, other: CRS) -> bool:
    return one == other or (one.to_epsg() is not None and one.to_epsg() == other.to_epsg())
