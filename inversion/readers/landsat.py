"""Landsat Collection 2 Level 2 surface reflectance, as a folder of the bundle's files.

    ρ = DN · REFLECTANCE_MULT + REFLECTANCE_ADD (2.75e-5 and −0.2),   DN 0 taken out first

Specification: USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619, and
LSDS-1618 for Landsat 4-7. Scene classes come from QA_PIXEL; angles from *_SZA, *_SAA, *_VZA and
*_VAA where they lie beside it, else the sun from the metadata and no view.
"""

import re
import reprlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from inversion.geometry import fold
from inversion.radiometry import Radiometry
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from inversion.readers.metadata import Metadata, read_xml
from inversion.readers.platforms import check_sensor, platform_name
from inversion.readers.rasters import Decoded, Grid, Layer, cube, grid_of, ratio
from inversion.readers.scene import (
    CLOUD,
    NOTHING,
    SHADOW,
    SNOW,
    VEGETATION,
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

CHUNK = 512
FILL, SATURATED = 0.0, 65535.0
ANGLE_SCALE, ANGLE_FILL = 0.01, 0.0
QA = {NOTHING: 1, CLOUD: 2 | 4 | 8, SHADOW: 16, SNOW: 32, WATER: 128}
"""Bits of QA_PIXEL by the scene class that they mean, what is told last first."""


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a product lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        Not a Collection 2 Level 2 product, incomplete, or reflectance that cannot be right.
    """
    folder = product(path.parent if path.suffix.lower() == ".xml" else path)
    no_declared_bands(declaration, path.name)
    no_side(declaration, path.name)
    about = read_xml(folder, folder.one("_MTL.xml"))
    platform = _platform(about)
    check_sensor(platform, sensor, str(path))
    files = {
        f"B{match[1]}": name
        for name in folder.names
        if (match := re.search(r"_SR_B(\d+)\.TIF$", name, re.IGNORECASE))
    }
    names = wanted_bands(list(files), bands, str(path))
    grid = grid_of(folder.raster(files[names[0]]))
    steps = {band: radiometry_of(about, band) for band in names}
    layers = {}
    for band, step in steps.items():
        at = folder.raster(files[band])
        factor = ratio(grid_of(at), grid, at)
        layers[band] = Layer(at, 1, "GTiff", step.scale, step.offset, (FILL, SATURATED), factor)
    dataset = scene(
        layers,
        grid,
        chunk=chunk or CHUNK,
        radiometry=list(dict.fromkeys(steps.values())),
        attributes={
            "product": about.get("LANDSAT_PRODUCT_ID") or path.name,
            "sensor": platform,
            "acquired": about.get("DATE_ACQUIRED") or "",
        },
    )
    mask = mask_layer(folder.raster(folder.one("_QA_PIXEL.TIF")), grid, QA)
    add_classes(dataset, mask, grid, chunk or CHUNK)
    named, where = _angles(folder, about, grid, chunk or CHUNK)
    add_angles(dataset, named, declaration, where)
    return guard(dataset, declaration, str(path))


def _platform(about: Metadata) -> str:
    text = about.need("SPACECRAFT_ID")
    name = platform_name(text)
    if name is None:
        raise InputError(
            f"{about.source}: expected SPACECRAFT_ID LANDSAT_8, found {reprlib.repr(text)}"
        )
    return name


def radiometry_of(about: Metadata, band: str) -> Radiometry:
    """Return the step from numbers to reflectance of a band, as the MTL file says it."""
    below = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS/REFLECTANCE_{}_BAND_{}"
    scale = about.number(below.format("MULT", band[1:]), low=1e-6, high=1e-2)
    offset = about.number(below.format("ADD", band[1:]), low=-1, high=1)
    return Radiometry(scale, offset, FILL, "MTL.xml")


def _angles(folder: Product, about: Metadata, grid: Grid, chunk: int) -> tuple[dict, str]:
    """The angles, and the files where they were read."""
    names = {kind: folder.find(f"_{kind}.TIF") for kind in ("SZA", "SAA", "VZA", "VAA")}
    if all(len(found) == 1 for found in names.values()):
        layers = [angle_layer(folder.raster(found[0]), grid) for found in names.values()]
        return angles_of(cube(layers, grid, chunk)), ", ".join(f"*_{kind}.TIF" for kind in names)
    elevation = about.number("IMAGE_ATTRIBUTES/SUN_ELEVATION", low=-90, high=90)
    return {"sun_zenith_deg": 90 - elevation}, about.name


def angle_layer(
    path: str, grid: Grid, driver: str = "GTiff", scale: float | None = None,
    nodata: float | None = None,
) -> Layer:  # fmt: skip
    """Return an image of angles in degrees: what is stated, else the file's own, else 0.01."""
    with opened(path, driver) as source:
        own, fill = float(source.scales[0]), source.nodatavals[0]
        packed = np.dtype(source.dtypes[0]).kind in "iu"
    scale = own if scale is None and own != 1 else scale
    scale = (ANGLE_SCALE if packed else 1.0) if scale is None else scale
    if not 0 < scale <= 1:
        raise InputError(f"{path}: expected a scale of 0.01 for angles, found {scale:g}")
    fills = [number for number in (nodata, fill) if number is not None] or [ANGLE_FILL]
    factor = ratio(grid_of(path, driver), grid, path)
    return Layer(path, 1, driver, scale, 0.0, tuple(fills), factor)


def angles_of(images: da.Array) -> dict[str, da.Array]:
    """Return the angles of every pixel of sun zenith and azimuth, view zenith and azimuth."""
    sun_zenith, sun_azimuth, view_zenith, view_azimuth = images
    return {
        "sun_zenith_deg": sun_zenith,
        "view_zenith_deg": view_zenith,
        "relative_azimuth_deg": da.map_blocks(fold, sun_azimuth - view_azimuth, dtype=np.float32),
    }


def mask_layer(
    path: str, grid: Grid, meaning: Mapping[int, int], driver: str = "GTiff"
) -> Decoded:
    """Tell the bits of a quality band as scene classes; none of them is vegetation."""
    factor = ratio(grid_of(path, driver), grid, path)
    decode = partial(_classes, meaning=tuple(meaning.items()))
    return Decoded((Layer(path, driver=driver),), decode, factor)


def _classes(masks: np.ndarray, *, meaning: tuple[tuple[int, int], ...]) -> np.ndarray:
    bits = np.nan_to_num(masks[0]).astype(np.int32)
    out = np.full(bits.shape, VEGETATION, np.uint8)
    for code, mask in reversed(meaning):
        out[(bits & mask) > 0] = code
    return out
