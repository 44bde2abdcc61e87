"""Bands that lie in Zarr groups or in NetCDF and HDF5 files, read as stored, block by block.

Scale and offset are applied here, once, from the record that the reader made: xarray's own
decoding is off, so that no offset is taken off twice.
"""

import functools
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import xarray as xr
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from inversion.radiometry import Radiometry
from inversion.readers.content import product
from inversion.readers.metadata import from_attribute
from inversion.readers.probe import probe
from inversion.readers.rasters import Grid, Span, crs_of
from inversion.readers.refusal import reason
from physvae.errors import InputError
from physvae.io.codecs import check_codecs

ENGINES = ("zarr", "netcdf4")
MARKS = ("zarr.json", ".zgroup", ".zmetadata")
"""Files that make a folder a Zarr group."""
_turn = threading.Lock()


@dataclass(frozen=True)
class StoredLayer:
    """One band of a store; see `rasters.Layer` for scale, offset, missing, ratio and codes.

    Attributes
    ----------
    path, engine, group, variable : str
        Where it lies; `engine` is one of `ENGINES`.
    plane : tuple of str
        Names of the dimensions y and x.
    at : tuple of (str, int)
        Place along every other dimension.
    """

    path: str
    engine: str
    group: str
    variable: str
    plane: tuple[str, str]
    at: tuple[tuple[str, int], ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    ratio: float = 1.0
    codes: bool = False

    @property
    def source(self) -> str:
        """The variable."""
        return "/".join(filter(None, (self.group, self.variable)))

    def stored(self, place: tuple[Span, Span]) -> np.ndarray:
        """Return the numbers of the store [y, x] between two rows and two columns."""
        where: dict[str, Any] = dict(self.at)
        where |= {name: slice(*span) for name, span in zip(self.plane, place, strict=True)}
        try:
            with _turn:
                part = raw(self.path, self.engine, self.group)[self.variable].isel(where)
                return part.transpose(*self.plane).to_numpy()
        except InputError:
            raise
        except Exception as error:  # a codec of its own raises what it likes
            raise InputError(
                f"{self.path}: a block of {self.variable} cannot be read, {reason(error)}"
            ) from error


def raw(path: str, engine: str, group: str = "") -> xr.Dataset:
    """Open a group of a store without decoding any number, kept open by the process.

    What the store asks to be run is checked first, or a child process reads it first.

    Raises
    ------
    InputError
        Not there, damaged, or not such a store.
    """
    return _opened(path, engine, group, _stamp(path))


def _stamp(path: str) -> tuple[int, int]:
    """A file as it is now: one that was written anew is another one."""
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size


@functools.lru_cache(maxsize=64)
def _refused(path: str, stamp: tuple[int, int]) -> str:
    """Say why the child process could not read a file, or nothing; asked once a file."""
    try:
        probe(path)
    except InputError as error:
        return str(error)
    return ""


@functools.lru_cache(maxsize=16)
def _opened(path: str, engine: str, group: str, stamp: tuple[int, int]) -> xr.Dataset:
    options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
    try:
        if engine == "zarr":
            check_codecs(path, group)
        elif sentence := _refused(path, stamp):
            raise InputError(sentence)
        return xr.open_dataset(
            _store(path) if engine == "zarr" else path,
            engine=engine,
            group=(_root(path) + group if engine == "zarr" else group).rstrip("/") or None,
            mask_and_scale=False,
            decode_times=False,
            decode_coords=False,
            create_default_indexes=False,  # which would read a coordinate of any length
            cache=False,
            **options,
        )
    except InputError:
        raise
    except Exception as error:  # xarray, zarr and netCDF4 raise many kinds
        raise InputError(
            f"{path}: expected a readable {engine} group {group}, found: {reason(error)}"
        ) from error


def radiometry(array: xr.DataArray, source: str, where: str) -> Radiometry:
    """Return the step from numbers to reflectance that the attributes of a variable state.

    Raises
    ------
    InputError
        Integers without a scale.
    """
    scale = array.attrs.get("scale_factor")
    if scale is None and array.dtype.kind != "f":
        raise InputError(
            f"{source}: expected scale_factor for the {array.dtype} numbers of {array.name}, found"
            " none; give --scale and --offset"
        )
    what = f"{source}: {array.name}"
    factor = 1.0 if scale is None else from_attribute(scale, "scale_factor", what)
    offset = from_attribute(array.attrs.get("add_offset", 0.0), "add_offset", what)
    if not (factor > 0 and abs(offset) <= 1):
        raise InputError(
            f"{what}: expected scale_factor above 0 and add_offset within 1, found {factor:g} and"
            f" {offset:g}"
        )
    filling = array.attrs.get("_FillValue", array.attrs.get("fill_value"))
    nodata = float(filling) if isinstance(filling, (int, float, np.number)) else None
    return Radiometry(factor, offset, nodata, where)


def grid_from(
    found: Mapping[Any, Any],
    plane: tuple[str, str],
    sizes: Mapping[Any, int],
    crs: CRS,
    source: str,
) -> Grid:
    """Return the grid of centres along two dimensions.

    Raises
    ------
    InputError
        No coordinates, fewer than two, or not evenly spaced.
    """
    steps, starts = [], []
    for name in plane:
        values = np.asarray(found[name], dtype=float) if name in found else np.empty(0)
        gaps = np.diff(values)
        if len(values) < 2 or not np.allclose(gaps, gaps[0], rtol=1e-3) or gaps[0] == 0:
            raise InputError(f"{source}: expected evenly spaced coordinates {name}, found others")
        steps.append(float(gaps.mean()))
        starts.append(float(values[0] - gaps.mean() / 2))
    transform = Affine(steps[1], 0.0, starts[1], 0.0, steps[0], starts[0])
    return Grid(crs, transform, sizes[plane[0]], sizes[plane[1]])


def crs_from(dataset: xr.Dataset, source: str) -> CRS:
    """Return the reference system that CF's grid mapping or an EPSG attribute states.

    Raises
    ------
    InputError
        None is stated.
    """
    for variable in dataset.variables.values():
        for key in ("crs_wkt", "spatial_ref", "proj:wkt2"):
            text = variable.attrs.get(key)
            if isinstance(text, str) and len(text) > 20:
                try:
                    return CRS.from_wkt(text)
                except CRSError:
                    continue
        if "proj:epsg" in variable.attrs:
            return crs_of(f"EPSG:{int(variable.attrs['proj:epsg'])}", source)
    for key in ("proj:epsg", "epsg", "crs"):
        if key in dataset.attrs:
            text = str(dataset.attrs[key])
            return crs_of(text if not text.isdigit() else f"EPSG:{text}", source)
    raise InputError(
        f"{source}: expected a coordinate reference system (CF grid mapping), found none"
    )


def _root(path: str) -> str:
    """Return the folder of an archive in which its Zarr group lies: that of its topmost mark."""
    if Path(path).is_dir():
        return ""
    names = [PurePosixPath(name) for name in product(Path(path)).names]
    roots = [name.parent.as_posix() for name in names if name.name in MARKS]
    root = min(roots, key=lambda text: (text.count("/"), len(text)), default=".")
    return "" if root == "." else root + "/"


def _store(path: str) -> Any:
    """Return a store that only reads: a folder, or an archive that stays closed."""
    from zarr.storage import LocalStore, ZipStore

    if Path(path).is_dir():
        return LocalStore(path, read_only=True)
    return ZipStore(path, mode="r")
