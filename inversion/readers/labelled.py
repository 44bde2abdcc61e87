"""NetCDF and Zarr by declaration: variables named like bands, or one variable with a band axis.

CF-1.11 attributes are used: scale_factor, add_offset, _FillValue, the grid mapping. What they do
not say is asked for, never guessed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from inversion.naming import angle_name, band_id, listing
from inversion.radiometry import Radiometry
from inversion.readers.declaration import Declaration
from inversion.readers.rasters import Grid, cube
from inversion.readers.scene import add_angles, guard, scene, wanted_bands
from inversion.readers.stores import StoredLayer, crs_from, grid_from, radiometry, raw
from physvae.errors import InputError, UsageError

CHUNK = 256
PLANES = (("y", "x"), ("northing", "easting"), ("lat", "lon"), ("latitude", "longitude"))
CLASSES = ("scl", "scene_class", "scene_classification")


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a store lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        No band of the model, no grid, no scale, or a wrong one.
    """
    engine = "zarr" if path.is_dir() or path.suffix.lower() == ".zip" else "netcdf4"
    store = raw(str(path), engine)
    found = _bands(store, path, engine, declaration)
    names = wanted_bands(list(found), bands, str(path))
    first = store[found[names[0]].variable]
    plane = found[names[0]].plane
    grid = grid_from(store.variables, plane, store.sizes, crs_from(store, str(path)), str(path))
    layers, steps = {}, []
    for band in names:
        layer = found[band]
        step = _step(store[layer.variable], declaration, path)
        missing = () if step.nodata is None else (step.nodata,)
        steps.append(step)
        layers[band] = StoredLayer(
            layer.path,
            engine,
            "",
            layer.variable,
            plane,
            layer.at,
            step.scale,
            step.offset,
            missing,
        )
    about = {"product": path.name, "acquired": str(first.attrs.get("time_coverage_start", ""))}
    dataset = scene(
        layers, grid, chunk=chunk or CHUNK, radiometry=list(dict.fromkeys(steps)), attributes=about
    )
    _add_classes(dataset, store, path, engine, plane, grid, chunk or CHUNK)
    add_angles(dataset, _angles(store, path, engine, plane, grid, chunk or CHUNK), declaration)
    return guard(dataset, declaration, str(path))


def _plane(array: xr.DataArray, path: Path) -> tuple[str, str]:
    found = next((plane for plane in PLANES if set(plane) <= set(map(str, array.dims))), None)
    if found is None:
        raise InputError(
            f"{path}: expected dimensions y and x in {array.name}, found {listing(array.dims)}"
        )
    return found


def _bands(
    store: xr.Dataset, path: Path, engine: str, declared: Declaration
) -> dict[str, StoredLayer]:
    """Find the bands: variables of their names, else one variable with an axis of their number."""
    found = {}
    for name, array in store.data_vars.items():
        band = band_id(str(name))
        if band and declared.bands is None:
            at = tuple((str(d), 0) for d in array.dims if str(d) not in _plane(array, path))
            _only_one(array, path)
            found[band] = StoredLayer(str(path), engine, "", str(name), _plane(array, path), at)
    if found:
        return found
    whole = [name for name, array in store.data_vars.items() if array.ndim == 3]
    if len(whole) != 1:
        raise InputError(
            f"{path}: expected variables named like bands or one of three dimensions, found"
            f" {listing(store.data_vars)}"
        )
    array = store[whole[0]]
    plane = _plane(array, path)
    axis = next(str(dim) for dim in array.dims if str(dim) not in plane)
    texts = declared.bands or [str(t) for t in store.get(axis, xr.DataArray([])).to_numpy()]
    if len(texts) != array.sizes[axis]:
        raise UsageError(
            f"--bands: expected {array.sizes[axis]} names, as many as {path.name} has bands, got"
            f" {len(texts)}"
        )
    return {
        band: StoredLayer(str(path), engine, "", str(whole[0]), plane, ((axis, index),))
        for index, text in enumerate(texts)
        if (band := band_id(text))
    }


def _only_one(array: xr.DataArray, path: Path) -> None:
    for dim in array.dims:
        if str(dim) not in _plane(array, path) and array.sizes[dim] != 1:
            raise InputError(
                f"{path}: expected one image, found {array.sizes[dim]} along {dim}; cut one out"
            )


def _step(array: xr.DataArray, declared: Declaration, path: Path) -> Radiometry:
    """Settle scale, offset and no data: declared, else the attributes."""
    filling = array.attrs.get("_FillValue")
    nodata = declared.nodata
    if nodata is None and filling is not None and np.isfinite(filling):
        nodata = float(filling)
    if declared.scale is not None:
        if "scale_factor" in array.attrs and declared.offset is None:
            raise UsageError(
                f"--scale and --offset: expected both or none, since {path.name} has its own, got"
                " one"
            )
        return Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
    own = radiometry(array, str(path), "attributes of the variables")
    return Radiometry(own.scale, own.offset, nodata, own.source)


def _angles(
    store: xr.Dataset, path: Path, engine: str, plane: tuple[str, str], grid: Grid, chunk: int
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, array in store.variables.items():
        angle = angle_name(str(name))
        if angle and array.ndim == 0:
            found[angle] = float(array)
        elif angle and set(array.dims) == set(plane):
            layer = StoredLayer(str(path), engine, "", str(name), plane)
            found[angle] = cube([layer], grid, chunk)[0]
    return found


def _add_classes(
    dataset: xr.Dataset, store: xr.Dataset, path: Path, engine: str, plane: tuple[str, str],
    grid: Grid, chunk: int,
) -> None:  # fmt: skip
    for name, array in store.data_vars.items():
        if str(name).lower() in CLASSES and set(array.dims) == set(plane):
            layer = StoredLayer(str(path), engine, "", str(name), plane)
            dataset["scene_class"] = (("y", "x"), cube([layer], grid, chunk)[0])
