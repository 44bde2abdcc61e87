"""NetCDF and Zarr by declaration: variables named like bands, or one variable with a band axis.

CF-1.11 attributes are used: scale_factor, add_offset, _FillValue, missing_value, the grid mapping;
bands along an axis may state wavelengths instead of names. What the file does not say is asked
for, never guessed. Dimensions of length 1, such as the date of a single image, are left aside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from inversion.geometry import COLUMNS, relative_azimuth
from inversion.naming import OTHER_MASKS, any_angle_name, band_ids, counting, is_class, listing
from inversion.radiometry import Radiometry
from inversion.readers.declaration import Declaration
from inversion.readers.envi import spectral_image
from inversion.readers.filling import fillings, stated
from inversion.readers.metadata import from_attribute
from inversion.readers.rasters import Grid, cube
from inversion.readers.scene import LOG, add_angles, add_classes, guard, scene, wanted_bands
from inversion.readers.scene_file import add_scene_file
from inversion.readers.stores import StoredLayer, crs_from, grid_from, radiometry, raw
from inversion.readers.wavelengths import Spectrum, names_win, of_names, spectrum
from physvae.config import MOST_BANDS
from physvae.errors import InputError, UsageError

CHUNK = 256
PLANES = (("y", "x"), ("northing", "easting"), ("lat", "lon"), ("latitude", "longitude"))
_WAVELENGTHS = ("wavelength", "wavelengths", "center_wavelength", "central_wavelength", "wl")
_WIDTHS = ("fwhm", "bandwidth", "fwhms")


class Bands(NamedTuple):
    """The layers of reflectance, their names, and their wavelengths where they are stated."""

    layers: list[StoredLayer]
    names: list[str]
    stated: Spectrum | None


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
    store, side = raw(str(path), engine), chunk or CHUNK
    found = _bands(store, path, engine, declaration, bands)
    plane = found.layers[0].plane
    grid = grid_from(store.variables, plane, store.sizes, crs_from(store, str(path)), str(path))
    if found.stated and not names_win(found.names, found.stated, bands, sensor, str(path)):
        layers, steps = _with_steps(found.layers, store, declaration, path, zero=False)
        good = [True] * len(layers)
        dataset = spectral_image(
            layers, found.stated, good, grid, steps, bands, sensor, side, str(path)
        )
    else:
        dataset = _named(found, store, declaration, path, grid, bands, side)
    first = store[found.layers[0].variable]
    dataset.attrs["acquired"] = str(first.attrs.get("time_coverage_start", ""))
    _add_classes(dataset, found, store, path, engine, grid, side)
    known = _angles(found, store, path, engine, grid, side)
    add_angles(dataset, known, declaration, f"variables of {path.name}")
    add_scene_file(dataset, declaration)
    return guard(dataset, declaration, str(path))


def _named(
    found: Bands, store: xr.Dataset, declared: Declaration, path: Path, grid: Grid,
    bands: tuple[str, ...], chunk: int,
) -> xr.Dataset:  # fmt: skip
    """Lay the bands that are known by their names over the grid."""
    ids = dict(zip(band_ids(found.names, bands), found.layers, strict=True))
    if not set(ids) & set(bands):
        raise InputError(
            f"{path}: expected bands {listing(bands)}, found"
            f" {listing(found.names)}{counting(found.names)}; name them with --bands"
        )
    names = wanted_bands([band for band in ids if band], bands, str(path))
    layers, steps = _with_steps([ids[b] for b in names], store, declared, path, zero=True)
    return scene(
        dict(zip(names, layers, strict=True)),
        grid,
        chunk=chunk,
        radiometry=list(dict.fromkeys(steps)),
        attributes={"product": path.name},
    )


def _plane(array: xr.DataArray) -> tuple[str, str] | None:
    return next((plane for plane in PLANES if set(plane) <= set(map(str, array.dims))), None)


def _layer(array: xr.DataArray, path: Path, engine: str, **at: int) -> StoredLayer:
    """Return where an image lies in a variable, at the start of dimensions of length 1."""
    plane = _plane(array)
    if plane is None:
        raise InputError(
            f"{path}: expected dimensions y and x in {array.name}, found {listing(array.dims)}"
        )
    others = [str(dim) for dim in array.dims if str(dim) not in plane and str(dim) not in at]
    for dim in others:
        if array.sizes[dim] != 1:
            raise InputError(
                f"{path}: expected one image, found {array.sizes[dim]} along {dim}; cut one out"
            )
    place = (*at.items(), *((dim, 0) for dim in others))
    return StoredLayer(str(path), engine, "", str(array.name), plane, place)


def _bands(
    store: xr.Dataset, path: Path, engine: str, declared: Declaration, known: Sequence[str]
) -> Bands:
    """Find the bands: variables of their names, else one variable with an axis of their number."""
    images = [
        array
        for name, array in store.data_vars.items()
        if _plane(array) and not any_angle_name(str(name)) and not is_class(str(name))
    ]
    names = [str(array.name) for array in images]
    if declared.bands is None and any(band_ids(names, known)):
        named = [a for a, band in zip(images, band_ids(names, known), strict=True) if band]
        layers = [_layer(array, path, engine) for array in named]
        return Bands(layers, [layer.variable for layer in layers], None)
    cubes = [array for array in images if _axis(array)]
    if len(cubes) == 1:
        return _along(cubes[0], store, path, engine, declared)
    if not cubes and images and (declared.bands is not None or counting(names)):
        texts = _declared(declared, len(images), path) or names
        return Bands([_layer(array, path, engine) for array in images], texts, None)
    raise InputError(
        f"{path}: expected variables named like bands or one of three dimensions, found"
        f" {listing(store.data_vars)}; name two-dimensional ones in their order with --bands"
    )


def _axis(array: xr.DataArray) -> str | None:
    """Return the dimension besides y and x that can be one of bands, or None."""
    others = [str(dim) for dim in array.dims if str(dim) not in (_plane(array) or ())]
    long = [dim for dim in others if array.sizes[dim] > 1]
    return (long or [dim for dim in others if "band" in dim.lower()] or [None])[0]


def _declared(declared: Declaration, count: int, path: Path) -> list[str]:
    names = list(declared.bands or ())
    if names and len(names) != count:
        raise UsageError(
            f"--bands: expected {count} names, as many as {path.name} has bands, got {len(names)}"
        )
    return names


def _along(
    array: xr.DataArray, store: xr.Dataset, path: Path, engine: str, declared: Declaration
) -> Bands:
    """Return the bands along the axis of one variable."""
    axis = str(_axis(array))
    count = array.sizes[axis]
    if count > MOST_BANDS:
        raise InputError(f"{path}: expected at most {MOST_BANDS:,} bands, found {count:,}")
    layers = [_layer(array, path, engine, **{axis: index}) for index in range(count)]
    names = _declared(declared, count, path)
    if names:
        return Bands(layers, names, None)
    described = array.attrs.get("long_name")  # by rioxarray, a text for every band
    if isinstance(described, (list, tuple, np.ndarray)) and len(described) == count:
        names = [str(text) for text in described]
    elif axis in store.variables:
        names = [str(text) for text in store[axis].to_numpy()]
    else:
        names = [f"Band {number}" for number in range(1, count + 1)]
    return Bands(layers, names, _spectrum(store, axis, names, path))


def _spectrum(store: xr.Dataset, axis: str, names: list[str], path: Path) -> Spectrum | None:
    """Return the wavelengths along the axis of the bands, by a variable or by their names."""
    along = {str(n).lower(): v for n, v in store.variables.items() if v.dims == (axis,)}
    centers = next((along[n] for n in _WAVELENGTHS if n in along), None)
    widths = next((along[n] for n in _WIDTHS if n in along), None)
    if centers is None or centers.dtype.kind not in "fiu":
        numbers, unit = of_names(names)
    else:
        numbers, unit = centers.to_numpy().tolist(), str(centers.attrs.get("units", ""))
    if not numbers:
        return None
    fwhm = [] if widths is None or widths.dtype.kind not in "fiu" else widths.to_numpy().tolist()
    return spectrum(numbers, fwhm, unit, len(names), str(path))


def _with_steps(
    layers: Sequence[StoredLayer], store: xr.Dataset, declared: Declaration, path: Path, *,
    zero: bool,
) -> tuple[list[StoredLayer], list[Radiometry]]:  # fmt: skip
    """Return the layers with scale, offset and no data, and the records of them."""
    steps, ready = [], []
    for layer in layers:
        array = store[layer.variable]
        own = stated(array.attrs, array.encoding)
        numbers = own if declared.nodata is None else [declared.nodata]
        step = _step(array, declared, next(iter(numbers), None), path)
        missing = fillings(array.dtype, numbers, zero=zero)
        steps.append(step)
        ready.append(replace(layer, scale=step.scale, offset=step.offset, missing=missing))
    return ready, steps


def _step(
    array: xr.DataArray, declared: Declaration, nodata: float | None, path: Path
) -> Radiometry:
    """Settle scale and offset: declared, else the attributes."""
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
    found: Bands, store: xr.Dataset, path: Path, engine: str, grid: Grid, chunk: int
) -> Mapping[str, Any]:
    """Return the angles that variables or places on the axis of bands are named for, unpacked."""
    angles: dict[str, Any] = {}
    for text, layer in zip(found.names, found.layers, strict=True):
        if name := any_angle_name(text):
            angles[name] = cube([_unpacked(layer, store[layer.variable])], grid, chunk)[0]
    for text in map(str, store.variables):
        name, array = any_angle_name(text), store[text]
        if name is None or array.dtype.kind not in "fiu":
            continue
        if array.size == 1:
            layer = _unpacked(StoredLayer(str(path), engine, "", text, ("y", "x")), array)
            value = float(array.to_numpy().item())
            lost = np.isin(value, layer.missing)
            angles[name] = np.nan if lost else value * layer.scale + layer.offset
        elif _plane(array) == found.layers[0].plane and _axis(array) is None:
            layer = _unpacked(_layer(array, path, engine), array)
            angles[name] = cube([layer], grid, chunk)[0]
        else:
            LOG.warning("%s: %s(%s) is not read", path, text, listing(array.dims))
    relative = relative_azimuth(angles)
    return angles if relative is None else {COLUMNS["psi"]: relative} | angles


def _unpacked(layer: StoredLayer, array: xr.DataArray) -> StoredLayer:
    """Return the layer of an angle with scale, offset and no data, in degrees."""
    turn = 180 / np.pi if str(array.attrs.get("units", "")).lower().startswith("rad") else 1.0
    what = f"{layer.path}: {array.name}"
    scale = from_attribute(array.attrs.get("scale_factor", 1.0), "scale_factor", what) * turn
    offset = from_attribute(array.attrs.get("add_offset", 0.0), "add_offset", what) * turn
    missing = fillings(array.dtype, stated(array.attrs, array.encoding), zero=False)
    return replace(layer, scale=scale, offset=offset, missing=missing)


def _add_classes(
    dataset: xr.Dataset, found: Bands, store: xr.Dataset, path: Path, engine: str, grid: Grid,
    chunk: int,
) -> None:  # fmt: skip
    """Add scene classes that a variable or a place on the axis of bands is named for."""
    layers = [
        layer for text, layer in zip(found.names, found.layers, strict=True) if is_class(text)
    ]
    for name, array in store.data_vars.items():
        if is_class(str(name)) and _plane(array) == found.layers[0].plane:
            layers.append(_layer(array, path, engine))
        elif is_class(str(name)) or str(name).lower() in OTHER_MASKS:
            LOG.warning("%s: %s is not read; clouds may be estimated", path, name)
    if layers:
        add_classes(dataset, replace(layers[-1], codes=True), grid, chunk)
