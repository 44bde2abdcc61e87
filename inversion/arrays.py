"""Images in memory: from what people have to the canonical Dataset, lazy where it is lazy.

The Dataset is that of `inversion.readers.scene`, with any dimensions in the place of y and x; its
bands may bear common names (``red``, ``nir08``), which mean what they mean on a model's sensor.
Numbers become reflectance as those of files do: by a scale and offset that are given or stated in
the attributes, after fillings became missing. Integers without a scale are refused.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from inversion.angle_variables import angles_of, over
from inversion.geometry import COLUMNS
from inversion.naming import (
    COMMON_NAMES,
    OTHER_MASKS,
    any_angle_name,
    band_ids,
    common_band,
    counting,
    is_class,
    listing,
)
from inversion.radiometry import Radiometry
from inversion.readers.filling import fillings, missing, stated
from inversion.readers.metadata import from_attribute
from inversion.readers.scene import LOG
from physvae.errors import InputError, UsageError


class Numbers(NamedTuple):
    """How stored numbers become reflectance; None is what the attributes state."""

    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None


def from_array(
    data: Any,
    bands: Sequence[str] | None = None,
    *,
    axis: int = 0,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
    sun_zenith: Any = None,
    view_zenith: Any = None,
    relative_azimuth: Any = None,
    scene_class: Any = None,
) -> xr.Dataset:
    """Make the Dataset that `inversion.retrieve` takes from an image in memory.

    Parameters
    ----------
    data
        A Dataset with a variable for every band, as odc-stac makes it, or with `reflectance`; a
        DataArray with a dimension `band`, as stackstac and rioxarray make it; or a numpy, dask or
        torch array. Whatever is lazy stays lazy. Other dimensions, such as time, are kept.
    bands
        Names of the bands in their order (``B2``, ``B02``, ``red``, …), where `data` does not name
        them.
    axis
        Axis of the bands of an array without names; 0 as rasterio reads them, -1 where bands come
        last.
    scale, offset, nodata
        ρ = number · scale + offset, after `nodata` became missing. None is what the attributes
        state.
    sun_zenith, view_zenith, relative_azimuth
        Degrees: a number, a map, or a DataArray along other dimensions, such as an angle a date.
        They stand in for what `data` does not hold under any of their names.
    scene_class
        Codes of Sentinel-2's scene classification over the image.

    Raises
    ------
    InputError
        Nothing of the kind, bands without names, or integers without a scale.

    Examples
    --------
    >>> image = from_array(np.full((2, 3, 3), 0.1), ["red", "nir"], sun_zenith=30)
    >>> image["reflectance"].sizes["band"], float(image["sun_zenith_deg"])
    (2, 30.0)
    """
    bands = _texts(bands)
    source = data if isinstance(data, (xr.Dataset, xr.DataArray)) else _labelled(data, bands, axis)
    dataset = canonical(source, bands, Numbers(scale, offset, nodata))
    given = (sun_zenith, view_zenith, relative_azimuth)
    for name, value in zip(COLUMNS.values(), given, strict=True):
        if value is not None:
            declared = over(value, dataset["reflectance"], name)
            dataset[name] = dataset[name].fillna(declared) if name in dataset else declared
    if scene_class is not None:
        dataset["scene_class"] = over(scene_class, dataset["reflectance"], "scene_class")
    return dataset


def _texts(bands: Any) -> list[str] | None:
    """Return names as texts, a single one as a list."""
    if bands is None or isinstance(bands, str):
        return bands if bands is None else [bands]
    try:
        return [str(name) for name in bands]
    except TypeError:
        raise InputError(f"bands: expected the names of bands, got {bands!r}") from None


def canonical(
    source: xr.Dataset | xr.DataArray,
    bands: Sequence[str] | None = None,
    numbers: Numbers = Numbers(),
    known: Sequence[str] = (),
) -> xr.Dataset:
    """Return the Dataset of reflectance, angles and scene classes that an xarray object holds.

    `known` are the ids of a model's bands; other arguments are those of `from_array`.
    """
    parts = source if isinstance(source, xr.Dataset) else source.to_dataset(name="reflectance")
    if "reflectance" in parts:
        stack, aside = _along_bands(parts["reflectance"], bands)
        reflectance = _scaled(stack, numbers)
    else:
        reflectance, aside = _from_variables(parts, bands, numbers, known), {}
    dataset = reflectance.to_dataset(name="reflectance")
    dataset.attrs = dict(source.attrs) if isinstance(source, xr.Dataset) else {}
    named = {**parts.variables, **{name: layer.variable for name, layer in aside.items()}}
    dataset = dataset.assign(angles_of(named, reflectance))
    classes = [name for name in named if is_class(str(name))]
    if classes:
        dataset["scene_class"] = named[classes[-1]]
    for name in parts.data_vars:
        if str(name).lower() in OTHER_MASKS:
            LOG.warning("dataset: %s is not read; clouds may be estimated", name)
    return dataset.assign({n: parts[n] for n in ("input_quality",) if n in parts})


def _labelled(data: Any, bands: Sequence[str] | None, axis: int) -> xr.DataArray:
    """Name the axes of a bare array: the bands', then y and x from behind."""
    kind = type(data).__name__
    if kind == "DataFrame" or not all(hasattr(data, name) for name in ("shape", "dtype", "ndim")):
        raise InputError(
            f"data: expected an xarray Dataset or DataArray, or an array, got {kind}; tables go to"
            " inversion.retrieve_table"
        )
    array = data.numpy(force=True) if kind == "Tensor" else data
    if bands is None:
        raise InputError(f"bands: expected the names of the bands of the {kind}, got none")
    if not -array.ndim <= axis < array.ndim:
        raise InputError(f"axis: expected an axis of shape {tuple(array.shape)}, got {axis}")
    if array.shape[axis] != len(bands):
        raise InputError(
            f"bands: expected {array.shape[axis]} names, as many as axis {axis} of shape"
            f" {tuple(array.shape)} has, got {len(bands)}"
        )
    count = array.ndim - 1
    rest = [*(f"dim_{i}" for i in range(count - 2)), *("y", "x")[2 - min(count, 2) :]]
    rest.insert(axis % array.ndim, "band")
    return xr.DataArray(array, dims=rest)


def _along_bands(
    array: xr.DataArray, bands: Sequence[str] | None
) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Return a stack with its bands named, and what lies on their axis besides bands."""
    if "band" not in array.dims:
        raise InputError(
            f"dataset: expected a variable reflectance with a dimension band, got"
            f" {listing(array.dims)}"
        )
    names = _names_along(array) if bands is None else list(bands)
    if len(names) != array.sizes["band"]:
        raise InputError(
            f"bands: expected {array.sizes['band']} names, as many as the dimension band has, got"
            f" {len(names)}"
        )
    along = [name for name, coord in array.coords.items() if "band" in coord.dims]
    bare = array.drop_vars(along)
    aside = {n: i for i, n in enumerate(names) if is_class(n) or any_angle_name(n)}
    kept = [index for index, name in enumerate(names) if name not in aside]
    if not kept:
        raise InputError(f"bands: expected names of bands, got {listing(names)}")
    stack = (bare.isel(band=kept) if aside else bare).assign_coords(band=[names[i] for i in kept])
    stack.attrs, stack.encoding = array.attrs, array.encoding
    return stack, {name: bare.isel(band=index) for name, index in aside.items()}


def _names_along(array: xr.DataArray) -> list[str]:
    """Return what the coordinates of the bands call them: the first of them that names a band."""
    described = array.attrs.get("long_name")  # by rioxarray, a text for every band
    texts = [] if described is None or isinstance(described, str) else [list(described)]
    along = [coord for coord in array.coords.values() if coord.dims == ("band",)]
    texts += [coord.to_numpy().tolist() for coord in along]
    named = [[str(text) for text in each] for each in texts]
    if not named:
        raise InputError(
            "dataset: expected a coordinate band with the bands' ids, found none; give"
            " inversion.from_array the names as bands=[...]"
        )
    return next((each for each in named if any(_are_bands(each, ()))), named[0])


def _are_bands(names: Sequence[str], known: Sequence[str]) -> list[bool]:
    """Say which names are those of bands, by a sensor's number or a common name."""
    ids = band_ids(names, known)
    return [
        bool(
            band
            or re.fullmatch(r"B\d{3,4}", name)
            or any(common_band(name, s) for s in COMMON_NAMES)
        )
        for name, band in zip(names, ids, strict=True)
    ]


def _from_variables(
    parts: xr.Dataset, bands: Sequence[str] | None, numbers: Numbers, known: Sequence[str]
) -> xr.DataArray:
    """Stack the variables that are named like bands."""
    names = [str(name) for name in parts.data_vars]
    chosen = [name for name, is_one in zip(names, _are_bands(names, known), strict=True) if is_one]
    if bands is not None:
        absent = [name for name in bands if name not in parts.data_vars]
        if absent:
            raise InputError(f"bands: expected some of {listing(names)}, got {listing(absent)}")
        chosen = list(bands)
    if not chosen:
        raise InputError(
            "dataset: expected a variable reflectance with a dimension band, or variables named"
            f" like bands, found {listing(names)}{counting(names)}"
        )
    layers = [_scaled(parts[name], numbers) for name in chosen]
    if len({frozenset(layer.dims) for layer in layers}) > 1:
        raise InputError(
            "dataset: expected bands of the same dimensions, found"
            f" {listing(f'{layer.name}{layer.dims}' for layer in layers)}"
        )
    stack = xr.concat(layers, "band", coords="minimal", compat="override", join="override")
    stack = stack.assign_coords(band=chosen)
    stack.attrs, stack.encoding = {}, layers[0].encoding
    return stack


def _scaled(array: xr.DataArray, numbers: Numbers) -> xr.DataArray:
    """Return reflectance: stored numbers without fillings, scaled as is given or stated."""
    what = f"dataset: {array.name or 'data'}"
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what}: expected real numbers, got {array.dtype}")
    step = _step(array, numbers, what)
    scale, offset = step.scale, step.offset
    is_float = array.dtype.kind == "f"
    own = stated(array.attrs, {} if is_float else array.encoding)
    own = own if numbers.nodata is None else [numbers.nodata]
    if is_float and not own and (scale, offset) == (1.0, 0.0):
        return array
    result = xr.apply_ufunc(
        _reflectance,
        array,
        kwargs={"scale": scale, "offset": offset, "fills": fillings(array.dtype, own)},
        dask="parallelized",
        output_dtypes=[np.float32],
        keep_attrs=True,  # those of the coordinates, the reference system among them
    )
    result.attrs = {}
    mapping = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    result.encoding = {"grid_mapping": mapping} if mapping else {}
    return result


def _step(array: xr.DataArray, numbers: Numbers, what: str) -> Radiometry:
    """Settle scale and offset: given, else those of the attributes, which xarray did not apply."""
    own = tuple(
        from_attribute(array.attrs.get(name, usual), name, what)
        for name, usual in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if own != (1.0, 0.0) and (numbers.scale is None) != (numbers.offset is None):
        raise UsageError(
            f"scale and offset: expected both or none, since {what} has its own ({own[0]:g} and"
            f" {own[1]:g}), got one"
        )
    if numbers.scale is not None:
        return Radiometry(numbers.scale, numbers.offset or 0.0)
    if own != (1.0, 0.0):
        if not (own[0] > 0 and abs(own[1]) <= 1):
            raise InputError(
                f"{what}: expected scale_factor above 0 and add_offset within 1, found"
                f" {own[0]:g} and {own[1]:g}"
            )
        return Radiometry(own[0], own[1])
    if array.dtype.kind != "f":
        raise InputError(
            f"{what}: expected a scale for {array.dtype} numbers, found none in the attributes;"
            " give inversion.from_array scale and offset (for Sentinel-2 scale=0.0001, and"
            " offset=-0.1 from processing baseline 04.00 on)"
        )
    return Radiometry(1.0, numbers.offset or 0.0)


def _reflectance(
    stored: np.ndarray, *, scale: float, offset: float, fills: tuple[float, ...]
) -> np.ndarray:
    values = stored * np.float64(scale) + offset
    return np.where(missing(stored, fills), np.nan, values).astype(np.float32)
