"""Numbers that stand for no data, in every convention that image files use.

What the user declares wins; else all that the file states holds (CF's `_FillValue` and
`missing_value`, the fill value of a Zarr array, GDAL's nodata, ENVI's `data ignore value`).
Besides, the numbers that software leaves where nothing was written are no data in every file:
none of them is a reflectance, whatever the scale.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_SIGNED = (-9999.0, -10000.0, -32767.0, -32768.0)
_WIDE = (2147483647.0, -2147483647.0, -2147483648.0)
_FLOATS = (*_SIGNED, *_WIDE, -3.4028234663852886e38, 3.4028234663852886e38, 9.969209968386869e36)
CUSTOMARY = {
    "u1": (0.0,),
    "u2": (0.0, 65535.0),
    "u4": (0.0, 65535.0, 4294967295.0),
    "i1": (0.0,),
    "i2": (0.0, 32767.0, *_SIGNED),
    "u8": (0.0, 65535.0, 4294967295.0),
    "i4": (0.0, 65535.0, *_SIGNED, *_WIDE),
    "i8": (0.0, 65535.0, *_SIGNED, *_WIDE),
    "f4": _FLOATS,
    "f8": _FLOATS,
}
"""By kind and width of the stored number. 0 and 65535 are those of Sentinel-2's products; -32767
and 9.97e36 are what netCDF leaves where nothing was written."""
_STATED = ("_FillValue", "missing_value", "fill_value", "nodata", "_nodata", "nodatavals")


def fillings(
    dtype: DTypeLike, stated: Iterable[float | None] = (), *, zero: bool = True
) -> tuple[float, ...]:
    """Return the numbers that mean no data among stored reflectance of this type.

    Parameters
    ----------
    stated
        What the user or the file says; None is left out.
    zero
        Whether 0 in integers is one of them. It is not where bands are many and narrow: those of
        the absorption by water vapour are often set to 0.

    >>> fillings("uint16", [None, 7])
    (7.0, 0.0, 65535.0)
    """
    kind = np.dtype(dtype)
    customary = CUSTOMARY.get(f"{kind.kind}{kind.itemsize}", ())
    numbers = [float(number) for number in stated if number is not None]
    numbers += [number for number in customary if zero or number != 0]
    return tuple(dict.fromkeys(number for number in numbers if np.isfinite(number)))


def stated(attributes: Mapping[Any, Any], encoding: Mapping[Any, Any]) -> list[float]:
    """Return the numbers that the attributes of a variable, or its Zarr array, call no data.

    Zarr gives every array a fill value; 0 there says nothing.
    """
    texts: list[Any] = [attributes[name] for name in _STATED if name in attributes]
    if "_FillValue" in encoding:
        texts.append(encoding["_FillValue"])
    numbers = [number for text in texts for number in _numbers(text)]
    numbers += [number for number in _numbers(encoding.get("fill_value", ())) if number != 0]
    return [number for number in dict.fromkeys(numbers) if np.isfinite(number)]


def _numbers(value: Any) -> list[float]:
    try:
        return [float(number) for number in np.atleast_1d(np.asarray(value)).ravel()]
    except (TypeError, ValueError):  # text
        return []


def missing(stored: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
    """Say which stored numbers are one of those that mean no data, compared in their own type.

    >>> missing(np.array([0.1, -3.4e38], np.float32), (-3.4e38,)).tolist()
    [False, True]
    """
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore"):
            among = np.array(numbers, stored.dtype)
    else:
        limits = np.iinfo(stored.dtype) if stored.dtype.kind in "iu" else None
        fit = [n for n in numbers if limits is None or limits.min <= n <= limits.max]
        among = np.array([n for n in fit if float(n).is_integer()]).astype(stored.dtype)
    found = np.zeros(stored.shape, bool)
    for number in among:
        found |= stored == number
    return found
