"""Angles of images in memory: by any of their names, packed or not, over any of the dimensions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from inversion.geometry import COLUMNS, relative_azimuth
from inversion.naming import any_angle_name, listing
from inversion.readers.filling import fillings, missing, stated
from inversion.readers.metadata import from_attribute
from inversion.readers.scene import LOG
from physvae.errors import InputError

STAC_ANGLES = {
    "view:sun_elevation": ("sun_zenith_deg", -1.0, 90.0),
    "s2:mean_solar_zenith": ("sun_zenith_deg", 1.0, 0.0),
    "view:off_nadir": ("view_zenith_deg", 1.0, 0.0),
    "view:incidence_angle": ("view_zenith_deg", 1.0, 0.0),
    "view:sun_azimuth": ("sun_azimuth_deg", 1.0, 0.0),
    "view:azimuth": ("view_azimuth_deg", 1.0, 0.0),
}
"""Properties of STAC items that come with a stack of images: angle = factor · property + term."""


def angles_of(named: Mapping[Any, xr.Variable], image: xr.DataArray) -> dict[str, xr.Variable]:
    """Return the angles among variables that lie over dimensions of an image, by our names."""
    angles: dict[str, xr.Variable] = {}
    for text, variable in sorted(named.items(), key=lambda item: str(item[0]) in STAC_ANGLES):
        own = any_angle_name(str(text))
        name, factor, term = STAC_ANGLES.get(str(text), (own, 1.0, 0.0))
        if name is None or variable.dtype.kind not in "fiu" or name in angles:
            continue
        if set(variable.dims) <= set(image.dims) - {"band"}:
            angles[name] = _degrees(variable, f"dataset: {text}") * factor + term
        else:
            LOG.warning("dataset: %s(%s) is not read", text, listing(variable.dims))
    relative = relative_azimuth(angles)
    if relative is not None:
        angles.setdefault(COLUMNS["psi"], relative)
    return {name: angles[name] for name in COLUMNS.values() if name in angles}


def _degrees(variable: xr.Variable, what: str) -> xr.Variable:
    """Unpack an angle: fillings, scale and offset of its attributes, radians."""
    is_float = variable.dtype.kind == "f"
    own = stated(variable.attrs, {} if is_float else variable.encoding)
    fills = fillings(variable.dtype, own, zero=False)
    turn = 180 / np.pi if str(variable.attrs.get("units", "")).lower().startswith("rad") else 1.0
    own_scale, own_offset = (
        from_attribute(variable.attrs.get(name, usual), name, what)
        for name, usual in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    scale, term = own_scale * turn, own_offset * turn
    found = xr.apply_ufunc(
        _unpacked,
        variable,
        kwargs={"scale": scale, "offset": term, "fills": fills},
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return xr.Variable(variable.dims, found.data, {"units": "degree"})


def _unpacked(
    stored: np.ndarray, *, scale: float, offset: float, fills: tuple[float, ...]
) -> np.ndarray:
    return np.where(missing(np.asarray(stored), fills), np.nan, stored * scale + offset)


def over(value: Any, image: xr.DataArray, name: str) -> xr.DataArray:
    """Return a number, a map or a DataArray as one over the dimensions of an image.

    Raises
    ------
    InputError
        Other dimensions or coordinates than the image's.
    """
    plane = image.isel(band=0, drop=True)
    if isinstance(value, xr.DataArray):
        array = value
    else:
        array = _placed(value, plane, name)
    sizes = dict(zip(plane.dims, plane.shape, strict=True))
    if any(sizes.get(dim) != size for dim, size in array.sizes.items()):
        raise InputError(
            f"{name}: expected dimensions of the image ({_shape(sizes)}), got"
            f" ({_shape(dict(array.sizes))})"
        )
    try:
        xr.align(plane, array, join="exact")
    except ValueError:
        raise InputError(f"{name}: expected the coordinates of the image, got others") from None
    return array.reset_coords(drop=True)


def _placed(value: Any, plane: xr.DataArray, name: str) -> xr.DataArray:
    """Give a bare number or array the dimensions that it has the shape of."""
    try:
        array = value if hasattr(value, "chunks") else np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: expected numbers, got {type(value).__name__}")
    for dims in (plane.dims[plane.ndim - array.ndim :], ("time",)):
        if set(dims) <= set(plane.dims) and array.shape == tuple(plane.sizes[d] for d in dims):
            return xr.DataArray(array, dims=dims)
    raise InputError(
        f"{name}: expected a number, a map, or a DataArray over ({_shape(dict(plane.sizes))}), got"
        f" shape {tuple(array.shape)}"
    )


def _shape(sizes: Mapping[Any, int]) -> str:
    return ", ".join(f"{dim}: {size}" for dim, size in sizes.items())
