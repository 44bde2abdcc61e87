"""Sentinel-2 L2A by MAJA, as THEIA delivers it (MUSCATE format), as a folder or a zip archive.

    ρ = DN / REFLECTANCE_QUANTIFICATION_VALUE,   DN −10000 taken out first

Specification: THEIA, Sentinel-2 L2A product format (MUSCATE), labo.obs-mip.fr/multitemp. The
reflectance is that corrected for slopes (FRE); where there is none, that which is not (SRE).
"""

import re
import reprlib
from pathlib import Path

import numpy as np
import xarray as xr

from inversion.naming import band_id
from inversion.radiometry import Radiometry
from inversion.readers.angles import Nodes, angles
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.metadata import Metadata, as_number, read_xml
from inversion.readers.platforms import check_sensor, platform_name
from inversion.readers.rasters import TILE, Decoded, Grid, Layer, crs_of, grid_of, ratio
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
    scene,
    wanted_bands,
)
from inversion.readers.sentinel2 import Grids, add_view, nodes_of, steps_of, two_grids
from physvae.errors import InputError

MASKS = ("CLM", "MG2", "EDG")
CLOUDS, SHADOWS = 1 | 2 | 4 | 8 | 16 | 128, 32 | 64
"""Bits of the mask CLM."""
WET, SNOWY, SHADED = 1, 4, 8 | 16
"""Bits of the mask MG2."""


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
        Not a MUSCATE product, incomplete, or reflectance that cannot be right.
    """
    folder = product(path.parent if path.suffix.lower() == ".xml" else path)
    no_declared_bands(declaration, path.name)
    about = read_xml(folder, folder.one("_MTD_ALL.xml"))
    crs = crs_of(f"EPSG:{about.need('HORIZONTAL_CS_CODE').removeprefix('EPSG:')}", about.source)
    files = _files(folder)
    names = wanted_bands(list(files), bands, str(path))
    platform = platform_of(about, "PLATFORM")
    check_sensor(platform, sensor, str(path))
    first = grid_of(folder.raster(files[names[0]]), crs=crs)
    grid = first.at(declaration.pixel or 20.0)
    step = _radiometry(about)
    missing = () if step.nodata is None else (step.nodata,)
    layers = {}
    for band in names:
        at = folder.raster(files[band])
        layers[band] = Layer(
            at, 1, "GTiff", step.scale, step.offset, missing, ratio(grid_of(at), grid, at)
        )
    dataset = scene(
        layers,
        grid,
        chunk=chunk or TILE,
        radiometry=[step],
        attributes={
            "product": about.get("PRODUCT_ID") or path.name,
            "sensor": platform,
            "acquired": about.get("ACQUISITION_DATE") or "",
        },
    )
    add_classes(dataset, _classes(folder, grid), grid, chunk or TILE)
    found = _nodes(about, names)
    named, bits = angles(found, grid, chunk or TILE)
    add_angles(dataset, named, declaration, about.name)
    dataset["input_quality"] = (("y", "x"), bits)
    return guard(dataset, declaration, str(path))


def _files(folder: Product) -> dict[str, str]:
    for kind in ("FRE", "SRE"):
        pattern = re.compile(rf"_{kind}_(B\d+A?)\.tif$", re.IGNORECASE)
        found = {band_id(m[1]): name for name in folder.names if (m := pattern.search(name))}
        files = {band: name for band, name in found.items() if band}
        if files:
            return files
    raise InputError(f"{folder.path}: expected bands *_FRE_B2.tif or *_SRE_B2.tif, found none")


def _radiometry(about: Metadata) -> Radiometry:
    divisor = about.number("REFLECTANCE_QUANTIFICATION_VALUE", low=100, high=100_000)
    special = {part.attributes.get("name"): part.text for part in about.all("SPECIAL_VALUE")}
    nodata = as_number(special.get("nodata") or "-10000", "nodata", about.source)
    return Radiometry(1 / divisor, 0.0, nodata, "MTD_ALL.xml")


def platform_of(about: Metadata, tag: str) -> str:
    """Return the satellite that a tag names, as ``sentinel-2a``."""
    text = about.need(tag)
    platform = platform_name(text)
    if platform is None:
        raise InputError(f"{about.source}: expected {tag} SENTINEL2A, found {reprlib.repr(text)}")
    return platform


def _classes(folder: Product, grid: Grid) -> Decoded:
    """Tell the masks of clouds, water, snow, shadow and edge as scene classes.

    The coarser files (R2) serve where they are not coarser than the grid, else the finer ones.
    """
    sets = [
        _masks(folder, side) for side in (("R1", "R2") if grid.transform.a < 20 else ("R2", "R1"))
    ]
    masks = next((found for found in sets if len(found) == len(MASKS)), None)
    if masks is None:
        lost = next(mask for mask in MASKS if mask not in max(sets, key=len))
        raise InputError(f"{folder.path}: expected a mask *_{lost}_R2.tif, found none")
    factors = {ratio(grid_of(at), grid, at) for at in masks.values()}
    if len(factors) > 1:
        raise InputError(f"{folder.path}: expected masks of one pixel side, found several")
    return Decoded(tuple(Layer(at) for at in masks.values()), _scene_class, factors.pop())


def _masks(folder: Product, side: str) -> dict[str, str]:
    """Return the masks of a resolution, R1 or R2, as GDAL opens them."""
    found = {}
    for mask in MASKS:
        pattern = re.compile(rf"_{mask}_{side}\.tif$", re.IGNORECASE)
        name = next((name for name in folder.names if pattern.search(name)), None)
        if name is not None:
            found[mask] = folder.raster(name)
    return found


def _scene_class(masks: np.ndarray) -> np.ndarray:
    cloud, ground, edge = np.nan_to_num(masks).astype(np.int32)
    out = np.full(cloud.shape, VEGETATION, np.uint8)
    out[(ground & WET) > 0] = WATER
    out[(ground & SNOWY) > 0] = SNOW
    out[((ground & SHADED) > 0) | ((cloud & SHADOWS) > 0)] = SHADOW
    out[(cloud & CLOUDS) > 0] = CLOUD
    out[edge > 0] = NOTHING
    return out


def _nodes(about: Metadata, names: list[str]) -> Nodes:
    sun = next(about.all("Sun_Angles_Grids"), None)
    if sun is None:
        raise InputError(f"{about.source}: expected Sun_Angles_Grids, found none")
    view: dict[tuple[int, str], Grids] = {}
    for part in about.all("Band_Viewing_Incidence_Angles_Grids_List"):
        band = band_id(part.attributes.get("band_id", ""))
        if band in names:
            for own in part.all("Viewing_Incidence_Angles_Grids"):
                detector = own.index("detector_id")
                add_view(view, detector, str(band), two_grids(own), about.source)
    return nodes_of(two_grids(sun), view, steps_of(sun), about.source)
