"""Sentinel-2 L2A as EOPF Zarr, the format that follows SAFE, as a folder or a zip archive.

    ρ = number · scale_factor + add_offset,   the fill value 0 taken out first

Specification: EOPF Product Structure and Format Definition, Sentinel-2 MSI Level 2A
(cpm.pages.eopf.copernicus.eu). Groups: measurements/reflectance/r20m/b02, conditions/geometry,
conditions/mask/l2a_classification/r20m/scl, conditions/mask/detector_footprint/r20m/b8a.
"""

import re
from pathlib import Path
from typing import Any

import xarray as xr

from inversion.naming import band_id
from inversion.radiometry import Radiometry
from inversion.readers.angles import STEP, Nodes, angles
from inversion.readers.declaration import Declaration
from inversion.readers.platforms import check_sensor, platform_name
from inversion.readers.rasters import Grid, crs_of, ratio
from inversion.readers.scene import (
    add_angles,
    add_classes,
    guard,
    no_declared_bands,
    scene,
    wanted_bands,
)
from inversion.readers.sentinel2 import Grids, add_view, check_grids, nodes_of
from inversion.readers.stores import StoredLayer, crs_from, grid_from, radiometry, raw
from physvae.errors import InputError

CHUNK = 610
"""Side of a block [pixel]: a third of the chunks of the 10 m bands."""
REFLECTANCE = "measurements/reflectance/r{}m"
CLASSES = "conditions/mask/l2a_classification/r20m"
FOOTPRINT = "conditions/mask/detector_footprint/r20m"
SATURATED = 65535.0
GEOMETRY = "conditions/geometry"
PLANE = ("y", "x")


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
        Not an EOPF product of Sentinel-2 L2A, damaged, or reflectance that cannot be right.
    """
    no_declared_bands(declaration, path.name)
    at, side = str(path), int(declaration.pixel or 20)
    about = _about(raw(at, "zarr").attrs)
    check_sensor(_platform(about, path), sensor, at)
    sides = _sides(at)
    names = wanted_bands(list(sides), bands, at)
    grid = _grid(at, side, sides, about)
    steps: dict[str, Radiometry] = {}
    layers = {}
    for band in names:
        own = side if side in sides[band] else min(sides[band])
        layers[band], steps[band] = _layer(at, band, own, grid)
    dataset = scene(
        layers,
        grid,
        chunk=chunk or CHUNK,
        radiometry=list(dict.fromkeys(steps.values())),
        attributes={
            "product": str(about.get("id", path.name)),
            "baseline": str(about.get("processing:version", about.get("processing_baseline", ""))),
            "sensor": _platform(about, path),
            "acquired": str(about.get("start_datetime", about.get("datetime", ""))),
        },
    )
    classes = _mask(at, CLASSES, "scl", grid)
    if classes is None:
        raise InputError(f"{at}: expected {CLASSES}/scl, found none")
    add_classes(dataset, classes, grid, chunk or CHUNK)
    footprint = _mask(at, FOOTPRINT, "b8a", grid)
    named, bits = angles(_nodes(at, names), grid, chunk or CHUNK, footprint)
    add_angles(dataset, named, declaration, GEOMETRY)
    dataset["input_quality"] = (("y", "x"), bits)
    return guard(dataset, declaration, at)


def _about(attributes: Any) -> dict[str, Any]:
    """Flatten what the root says of the product."""
    discovery = attributes.get("stac_discovery", {})
    return {
        **attributes.get("other_metadata", {}),
        **discovery.get("properties", {}),
        "id": discovery.get("id", ""),
    }


def _platform(about: dict[str, Any], path: Path) -> str:
    platform = platform_name(about.get("platform"), about.get("id"), path.name)
    if platform is None:
        raise InputError(f"{path}: expected a platform such as sentinel-2a, found none")
    return platform


def _sides(at: str) -> dict[str, list[int]]:
    """Return the pixel sides [m] in which each band is there."""
    found: dict[str, list[int]] = {}
    for side in (10, 20, 60):
        try:
            group = raw(at, "zarr", REFLECTANCE.format(side))
        except InputError:
            continue
        for name in group.data_vars:
            if band := band_id(str(name)):
                found.setdefault(band, []).append(side)
    if not found:
        raise InputError(f"{at}: expected {REFLECTANCE.format(20)}, found none")
    return found


def _grid(at: str, side: int, sides: dict[str, list[int]], about: dict[str, Any]) -> Grid:
    have = side if any(side in s for s in sides.values()) else min(min(s) for s in sides.values())
    group = raw(at, "zarr", REFLECTANCE.format(have))
    code = about.get("horizontal_CRS_code", about.get("proj:code", about.get("proj:epsg")))
    if code is None:
        crs = crs_from(group, at)
    else:
        crs = crs_of(f"EPSG:{code}" if str(code).isdigit() else str(code), at)
    return grid_from(group.variables, PLANE, group.sizes, crs, at).at(float(side))


def _layer(at: str, band: str, side: int, grid: Grid) -> tuple[StoredLayer, Radiometry]:
    where = REFLECTANCE.format(side)
    group = raw(at, "zarr", where)
    name = next(str(n) for n in group.data_vars if band_id(str(n)) == band)
    step = radiometry(group[name], at, f"attributes of {where}/{name}")
    own = grid_from(group.variables, PLANE, group.sizes, grid.crs, at)
    missing = (SATURATED, 0.0, *(() if step.nodata is None else (step.nodata,)))
    layer = StoredLayer(
        at, "zarr", where, name, PLANE, (), step.scale, step.offset, missing,
        ratio(own, grid, f"{at}: {where}/{name}"),
    )  # fmt: skip
    return layer, step


def _mask(at: str, where: str, name: str, grid: Grid) -> StoredLayer | None:
    """Return a mask on the grid, or None where the product has none of that name."""
    try:
        group = raw(at, "zarr", where)
    except InputError:
        return None
    if name not in group:
        return None
    own = grid_from(group.variables, PLANE, group.sizes, grid.crs, at)
    factor = ratio(own, grid, f"{at}: {where}/{name}")
    return StoredLayer(at, "zarr", where, name, PLANE, ratio=factor, codes=True)


def _nodes(at: str, names: list[str]) -> Nodes:
    """Read the grids of angles, unpacked where they are stored as integers with a scale."""
    source = f"{at}: {GEOMETRY}"
    group = raw(at, "zarr", GEOMETRY)
    try:
        labels = [str(label) for label in group["angle"].to_numpy()]
        order = [labels.index("zenith"), labels.index("azimuth")]
        unpacked = xr.decode_cf(group, decode_times=False)
        sun = unpacked["sun_angles"].transpose("angle", "y", "x").to_numpy()[order]
        cubes = unpacked["viewing_incidence_angles"]
        cubes = cubes.transpose("band", "detector", "angle", "y", "x")
        values = cubes.to_numpy().astype(float)[:, :, order]
    except (KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{source}: expected sun_angles and viewing_incidence_angles, found: {reason}"
        ) from error
    view: dict[tuple[int, str], Grids] = {}
    for label, per_band in zip(cubes["band"].to_numpy(), values, strict=True):
        band = band_id(str(label))
        if band not in names:
            continue
        for detector, pair in zip(cubes["detector"].to_numpy(), per_band, strict=True):
            number = int(re.sub(r"\D", "", str(detector))[-3:] or 0)
            add_view(view, number, str(band), check_grids(pair[0], pair[1], source), source)
    suns = check_grids(sun[0].astype(float), sun[1].astype(float), source)
    return nodes_of(suns, view, (STEP, STEP), source)
