"""Sentinel-2 L2A in MAJA's own format (Earth Explorer), as a folder or a zip archive.

    S2A_OPER_SSC_L2VALD_32TMT____20220618.HDR            metadata, XML
    S2A_OPER_SSC_L2VALD_32TMT____20220618.DBL.DIR/
        ..._FRE_R1.DBL.TIF  B2 B3 B4 B8                  10 m, corrected for slopes; else SRE
        ..._FRE_R2.DBL.TIF  B5 B6 B7 B8A B11 B12         20 m
        ..._CLD_R2.DBL.TIF, ..._MSK_R2.DBL.TIF           masks of clouds and of the ground

    ρ = DN · Reflectance_Quantification_Value,   DN Nodata_Value taken out first

Specification: CESBIO, format of the L2A products of MAJA, labo.obs-mip.fr/multitemp. Any bit of
the mask of clouds, which holds their shadows too, is taken as cloud; of that of the ground bit 0
is water, and any other (snow, slopes in shadow or out of sight) shadow.
"""

import re
from pathlib import Path

import numpy as np
import xarray as xr

from inversion.radiometry import Radiometry
from inversion.readers.angles import angles
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from inversion.readers.maja import platform_of
from inversion.readers.metadata import Metadata, as_number, read_xml
from inversion.readers.platforms import check_sensor
from inversion.readers.rasters import TILE, Decoded, Grid, Layer, crs_of, grid_of, ratio
from inversion.readers.scene import (
    CLOUD,
    SHADOW,
    VEGETATION,
    WATER,
    add_angles,
    add_classes,
    guard,
    no_declared_bands,
    scene,
    wanted_bands,
)
from inversion.readers.sentinel2 import grids_of_angles
from physvae.errors import InputError

HEADER = re.compile(r"_L2VALD_[^/]*\.HDR$")
ORDER = {"R1": ("B2", "B3", "B4", "B8"), "R2": ("B5", "B6", "B7", "B8A", "B11", "B12")}
"""Bands of the two images, in their order."""
MASKS = ("CLD", "MSK")
WET = 1
"""Bit of the mask MSK."""


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
        Several products in one folder, one that is incomplete, or reflectance that cannot be
        right.
    """
    given = path.suffix.upper() == ".HDR"
    folder = product(path.parent if given else path)
    no_declared_bands(declaration, path.name)
    header = path.name if given else _header(folder)
    about = read_xml(folder, header)
    stem = header.removesuffix(".HDR")
    inside = [name for name in folder.names if name.startswith(f"{stem}.DBL.DIR/")]
    images = _images(folder, inside)
    names = wanted_bands(list(images), bands, str(path))
    platform = platform_of(about, "Mission")
    check_sensor(platform, sensor, str(path))
    code = about.need("Coordinate_Reference_System/Code")
    crs = crs_of(f"EPSG:{code.removeprefix('EPSG:')}", about.source)
    grid = grid_of(images[names[0]][0], crs=crs).at(declaration.pixel or 20.0)
    step = _radiometry(about)
    layers = {band: _layer(images[band], grid, step) for band in names}
    dataset = scene(
        layers,
        grid,
        chunk=chunk or TILE,
        radiometry=[step],
        attributes={
            "product": Path(stem).name,
            "sensor": platform,
            "acquired": (about.get("Acquisition_Date_Time") or "").removeprefix("UTC="),
        },
    )
    add_classes(dataset, _classes(folder, inside, grid), grid, chunk or TILE)
    named, bits = angles(grids_of_angles(about, names, "Solar_Angles"), grid, chunk or TILE)
    add_angles(dataset, named, declaration, about.name)
    dataset["input_quality"] = (("y", "x"), bits)
    return guard(dataset, declaration, str(path))


def _header(folder: Product) -> str:
    found = [name for name in folder.names if HEADER.search(name) and ".DBL.DIR/" not in name]
    if len(found) != 1:
        raise InputError(
            f"{folder.path}: expected one *_L2VALD_*.HDR, found {len(found)}; name the one meant"
        )
    return found[0]


def _images(folder: Product, inside: list[str]) -> dict[str, tuple[str, int]]:
    """Return the file and its layer of every band."""
    for kind in ("FRE", "SRE"):
        found = {}
        for side, bands in ORDER.items():
            for name in inside:
                if name.endswith(f"_{kind}_{side}.DBL.TIF"):
                    at = folder.raster(name)
                    _check_bands(at, bands)
                    found |= {band: (at, index) for index, band in enumerate(bands, start=1)}
        if found:
            return found
    raise InputError(f"{folder.path}: expected images *_FRE_R1.DBL.TIF or *_SRE_R1, found none")


def _check_bands(path: str, bands: tuple[str, ...]) -> None:
    with opened(path, "GTiff") as file:
        if file.count != len(bands):
            raise InputError(f"{path}: expected the bands {' '.join(bands)}, found {file.count}")


def _layer(image: tuple[str, int], grid: Grid, step: Radiometry) -> Layer:
    path, index = image
    factor = ratio(grid_of(path), grid, path)
    missing = () if step.nodata is None else (step.nodata,)
    return Layer(path, index, "GTiff", step.scale, step.offset, missing, factor)


def _radiometry(about: Metadata) -> Radiometry:
    """Read the step; some versions write it as a factor, some as its inverse."""
    value = about.number("Reflectance_Quantification_Value")
    scale = value if 0 < value < 1 else 1 / value if value > 0 else 0.0
    if not 1e-5 <= scale <= 1e-2:
        raise InputError(
            f"{about.source}: expected Reflectance_Quantification_Value near 0.0001, found {value}"
        )
    nodata = as_number(about.get("Nodata_Value") or "-10000", "Nodata_Value", about.source)
    return Radiometry(scale, 0.0, nodata, "HDR")


def _classes(folder: Product, inside: list[str], grid: Grid) -> Decoded:
    """Tell the masks as scene classes, from the coarser files (R2) where they are fine enough."""
    sides = ("R1", "R2") if grid.transform.a < 20 else ("R2", "R1")
    for side in sides:
        names = [n for mask in MASKS for n in inside if n.endswith(f"_{mask}_{side}.DBL.TIF")]
        if len(names) == len(MASKS):
            paths = [folder.raster(name) for name in names]
            factor = ratio(grid_of(paths[0]), grid, paths[0])
            return Decoded(tuple(Layer(at) for at in paths), _scene_class, factor)
    raise InputError(
        f"{folder.path}: expected masks *_CLD_{sides[0]}.DBL.TIF and *_MSK, found none"
    )


def _scene_class(masks: np.ndarray) -> np.ndarray:
    cloud, ground = np.nan_to_num(masks).astype(np.int32)
    out = np.full(cloud.shape, VEGETATION, np.uint8)
    out[ground > 0] = SHADOW
    out[(ground & WET) > 0] = WATER
    out[cloud > 0] = CLOUD
    return out
