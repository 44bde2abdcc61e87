"""Harmonized Landsat Sentinel-2 (HLS) v2.0, as a folder of the granule's files.

    ρ = DN · 1e-4,   DN −9999 taken out first

Specification: NASA, HLS v2.0 user guide. Scene classes come from Fmask. The reflectance is
normalised to a view from above and to one sun zenith (NBAR_SOLAR_ZENITH), which are the angles
used. S30 keeps the bands of Sentinel-2, adjusted to those of OLI where both have them.
"""

import math
import re
from pathlib import Path

import xarray as xr

from inversion.naming import band_id
from inversion.radiometry import Radiometry
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from inversion.readers.landsat import CHUNK, mask_layer
from inversion.readers.metadata import as_number
from inversion.readers.platforms import check_sensor, platform_name
from inversion.readers.rasters import Layer, grid_of, ratio
from inversion.readers.scene import (
    CLOUD,
    SHADOW,
    SNOW,
    WATER,
    add_angles,
    add_classes,
    guard,
    no_declared_bands,
    no_side,
    scene,
    wanted_bands,
)
from physvae.errors import InputError

FMASK = {CLOUD: 2 | 4, SHADOW: 8, SNOW: 16, WATER: 32}
"""Bits of Fmask by the scene class that they mean; what lies beside a cloud counts as cloud."""
FILL, FMASK_FILL = -9999.0, 255.0
SENSORS = {"S30": "sentinel-2a", "L30": "landsat-8"}
_BAND = re.compile(r"HLS\.([SL]30)\..*\.(B\d[\dA])\.tif$", re.IGNORECASE)


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a granule lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        Not one HLS granule, incomplete, or reflectance that cannot be right.
    """
    folder = product(path)
    no_declared_bands(declaration, path.name)
    no_side(declaration, path.name)
    kind, files = _files(folder)
    names = wanted_bands(list(files), bands, str(path))
    grid = grid_of(folder.raster(files[names[0]]))
    scale, tags = _about(folder.raster(files[names[0]]))
    platform = _platform(kind, tags)
    check_sensor(platform, sensor, str(path))
    layers = {}
    for band in names:
        at = folder.raster(files[band])
        layers[band] = Layer(at, scale=scale, missing=(FILL,), ratio=ratio(grid_of(at), grid, at))
    dataset = scene(
        layers,
        grid,
        chunk=chunk or CHUNK,
        radiometry=[Radiometry(scale, 0.0, FILL, "the files' metadata")],
        attributes={
            "product": tags.get("PRODUCT_URI", path.name),
            "sensor": platform,
            "acquired": tags.get("SENSING_TIME", ""),
        },
    )
    mask = mask_layer(folder.raster(folder.one(".Fmask.tif")), grid, FMASK)
    add_classes(dataset, mask, grid, chunk or CHUNK)
    sun = sun_zenith(tags, str(path))
    nadir = {"sun_zenith_deg": sun, "view_zenith_deg": 0.0, "relative_azimuth_deg": 0.0}
    add_angles(dataset, nadir, declaration, "NBAR_SOLAR_ZENITH; view from above, as HLS is made")
    return guard(dataset, declaration, str(path))


def _platform(kind: str, tags: dict[str, str]) -> str:
    """Return the satellite: Landsat 8 or 9 as the file says; S30 is adjusted to one."""
    stated = platform_name(tags.get("LANDSAT_PRODUCT_ID"), tags.get("SPACECRAFT_NAME"))
    is_landsat = kind == "L30" and stated is not None and stated.startswith("landsat")
    return str(stated) if is_landsat else SENSORS[kind]


def sun_zenith(tags: dict[str, str], source: str) -> float:
    """Return the sun zenith to which a file is normalised [degree], NaN where it says none."""
    text = tags.get("NBAR_SOLAR_ZENITH")
    if text is None:
        return math.nan
    value = as_number(text, "NBAR_SOLAR_ZENITH", source)
    if not 0 <= value <= 90:
        raise InputError(f"{source}: expected NBAR_SOLAR_ZENITH in degrees, found {value:g}")
    return value


def _files(folder: Product) -> tuple[str, dict[str, str]]:
    """Return S30 or L30, and the band files by id; refuse several granules in one folder."""
    found = {name: match for name in folder.names if (match := _BAND.search(name))}
    granules = {name.rsplit("/", 1)[-1].rsplit(".", 2)[0] for name in found}
    if len(granules) != 1:
        raise InputError(f"{folder.path}: expected one HLS granule, found {len(granules)}")
    kind = next(iter(found.values()))[1].upper()
    return kind, {band_id(match[2]) or match[2]: name for name, match in found.items()}


def _about(path: str) -> tuple[float, dict[str, str]]:
    """Return the scale that the file states and its tags."""
    with opened(path, "GTiff") as source:
        tags = {key.upper(): value for key, value in source.tags().items()}
        scale = source.scales[0]
    if scale == 1.0:
        scale = as_number(tags.get("SCALE_FACTOR", "none"), "scale_factor", path)
    if not 0 < scale < 0.01:
        raise InputError(f"{path}: expected a scale of 0.0001, found {scale:g}")
    return scale, tags
