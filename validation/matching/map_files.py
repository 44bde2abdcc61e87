"""Maps to be judged: GeoTIFF, NetCDF or Zarr, ours or anybody's, a layer a statistic, with dates.

Ours name their bands (`lai`, `lai_sd`, `lai_p025`, `lai_p975`) and keep the quality beside them.
Of another product one variable or band is the trait (`variable`), and nothing else is known.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inversion.naming import listing
from inversion.readers.probe import probe
from physvae.errors import InputError
from physvae.io.codecs import check_codecs
from physvae.io.files import check_ordinary
from validation.field.dates import parse_date

STATISTICS = ("", "_sd", "_p025", "_p975")
_DAY = re.compile(r"(?<!\d)(20\d{2}|19\d{2})[-_]?(\d{2})[-_]?(\d{2})(?!\d{2}(?!\d))")
RASTER = (".tif", ".tiff", ".vrt")


class Product(NamedTuple):
    """One map of one date.

    Attributes
    ----------
    name : str
    day : date or None
        None where neither file nor name tells.
    crs, transform
        Reference system and affine transform from (column, row) to (x, y).
    shape : tuple of int
        Rows and columns.
    layers : mapping of str to DataArray
        By statistic ("", "_sd", "_p025", "_p975", "quality"), dimensions y and x.
    """

    name: str
    day: date | None
    crs: Any
    transform: Any
    shape: tuple[int, int]
    layers: Mapping[str, Any]

    def block(self, rows: slice, columns: slice) -> dict[str, np.ndarray]:
        """Values of every layer in a window, float64, NaN where there are none."""
        return {
            name: np.asarray(layer[rows, columns], dtype=float)
            for name, layer in self.layers.items()
        }


def open_product(path: str | Path, trait: str, *, variable: str | None = None) -> list[Product]:
    """The maps of a trait in a file, one a date.

    Raises
    ------
    InputError
        If the file is absent or unreadable, has no such layer, or no reference system.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_dir():
        check_ordinary(path, "a map")
    if path.suffix.lower() == ".vrt":
        raise InputError(f"{path}: expected a GeoTIFF, NetCDF or Zarr map, got a VRT")
    opened = _raster(path) if path.suffix.lower() in RASTER else _dataset(path)
    layers = _chosen(opened, trait, variable, path)
    first = layers[""]
    if first.rio.crs is None:
        raise InputError(f"{path}: expected a coordinate reference system, got none")
    if "time" in first.dims:
        days = [parse_date(value) for value in first["time"].to_numpy()]
        parts = [{k: v.isel(time=i) for k, v in layers.items()} for i in range(len(days))]
    else:
        stamp = first.attrs.get("TIFFTAG_DATETIME") or opened.get("_time")
        days, parts = [day_in(path.name) or _a_date(stamp)], [layers]
    return [_product(path.name, day, part) for day, part in zip(days, parts, strict=True)]


def day_in(name: str) -> date | None:
    """The first date in a file's name.

    >>> day_in("lai_20220514_T32TMT.tif")
    datetime.date(2022, 5, 14)
    """
    for match in _DAY.finditer(name):
        found = parse_date("-".join(match.groups()))
        if isinstance(found, date):
            return found
    return None


def _a_date(stamp: object) -> date | None:
    found = parse_date(stamp)
    return found if isinstance(found, date) else None


def _raster(path: Path) -> dict[str, Any]:
    """Bands of a GeoTIFF by their description, and those of the quality file beside it."""
    image = _geotiff(path, mask_and_scale=True)
    names = image.attrs.get("long_name", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    names = names if len(names) == image.sizes["band"] else ()
    labels = [str(n) if n else f"band {i + 1}" for i, n in enumerate(_padded(names, image))]
    found = {label: image[i] for i, label in enumerate(labels)}
    beside = path.with_name(f"{path.stem}_quality{path.suffix}")
    if "quality" not in found and beside.exists():
        found["quality"] = _geotiff(beside)[0]
    return found


def _geotiff(path: Path, **options: Any) -> Any:
    """Open a GeoTIFF, and no file that GDAL would take for another kind and follow."""
    import rioxarray
    from rasterio.errors import RasterioError

    try:
        return rioxarray.open_rasterio(path, cache=False, driver="GTiff", **options)
    except (RasterioError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a map, got {str(error)[:80]}") from error


def _padded(names: tuple, image: Any) -> tuple:
    return names or (None,) * int(image.sizes["band"])


def _dataset(path: Path) -> dict[str, Any]:
    """Variables of a NetCDF file or Zarr store that have a place."""
    import rioxarray  # noqa: F401  gives datasets their .rio
    import xarray as xr

    try:
        if path.is_dir():
            check_codecs(str(path))
            opened: Any = xr.open_zarr(path)
        else:
            probe(str(path))
            opened = xr.open_dataset(path, engine="netcdf4")
    except InputError:
        raise
    except Exception as error:  # every engine raises its own
        raise InputError(f"{path}: expected a map, got {str(error)[:80]}") from error
    opened = opened.rename({a: b for a, b in _AXES.items() if a in opened.dims})
    if not {"y", "x"} <= set(opened.dims):
        raise InputError(f"{path}: expected the axes y and x, got {listing(opened.dims)}")
    system = opened.rio.crs or ("EPSG:4326" if _degrees(opened) else None)
    opened = opened.rio.write_crs(system) if system else opened
    found = {str(n): v for n, v in opened.data_vars.items() if {"y", "x"} <= set(v.dims)}
    stamp = opened.attrs.get("time_coverage_start")
    return found | ({"_time": stamp} if stamp else {})


_AXES = {"lat": "y", "latitude": "y", "lon": "x", "longitude": "x"}


def _degrees(opened: Any) -> bool:
    return str(opened["x"].attrs.get("units", "")).startswith("degree")


def _chosen(
    opened: dict[str, Any], trait: str, variable: str | None, path: Path
) -> dict[str, Any]:
    """Layers by statistic."""
    named = {name.lower(): name for name in opened if not name.startswith("_")}
    wanted = variable.lower() if variable else trait
    if wanted not in named and not variable and len(named) == 1:
        wanted = next(iter(named))
    if wanted not in named:
        asked = "" if variable else " (give --map-variable)"
        found = listing(n for n in opened if not n.startswith("_"))
        raise InputError(f"{path}: expected a layer {variable or trait}, got {found}{asked}")
    found = {s: opened[named[wanted + s]] for s in STATISTICS if s == "" or wanted + s in named}
    return found | ({"quality": opened[named["quality"]]} if "quality" in named else {})


def _product(name: str, day: Any, layers: dict[str, Any]) -> Product:
    first = layers[""]
    ordered = {k: v.transpose("y", "x") for k, v in layers.items()}
    shape = (int(first.sizes["y"]), int(first.sizes["x"]))
    known = day if isinstance(day, date) else None
    return Product(name, known, first.rio.crs, first.rio.transform(), shape, ordered)
