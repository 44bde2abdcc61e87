"""Sentinel-2 L2A in ESA's SAFE format, as a folder or as a zip archive that stays closed.

    ρ = (DN + BOA_ADD_OFFSET) / BOA_QUANTIFICATION_VALUE,   DN 0 and 65535 taken out first

Specification: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, issues 14 and 15
(processing baselines 02.xx to 05.xx; the offset came with 04.00). The offset is read from the
metadata, never guessed from a date or a baseline.
"""

import logging
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import xarray as xr
from rasterio.crs import CRS

from inversion.naming import band_id, listing
from inversion.radiometry import Radiometry
from inversion.readers.angles import Nodes, Outlines, angles, nodes
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.metadata import Metadata, as_number, read_xml
from inversion.readers.platforms import check_sensor, platform_name
from inversion.readers.rasters import TILE, Grid, Layer, crs_of, grid_of, ratio
from inversion.readers.scene import (
    add_angles,
    add_classes,
    guard,
    no_declared_bands,
    scene,
    wanted_bands,
)
from physvae.errors import InputError

LOG = logging.getLogger(__name__)
ORDER = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
"""Bands by the number that the metadata give them."""
MISSING = (0.0, 65535.0)
Grids = tuple[np.ndarray, np.ndarray]
"""Zenith and azimuth [row, column] at the nodes of a coarse grid, degree."""
JP2 = "JP2OpenJPEG"
FOOTPRINT = "B8A"
"""The band whose detector footprints stand for all; those of others differ by some 100 m."""
_IMAGE = re.compile(r"_(B\d[\dA])_(\d\d)m\.jp2$", re.IGNORECASE)


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a product lazily as the canonical Dataset.

    Parameters
    ----------
    path
        The SAFE folder, its zip archive, or its MTD_MSIL2A.xml.
    declaration
        What the user says; the product says all but the pixel side itself.
    bands, sensor
        What the model knows.
    chunk
        Largest side of the blocks [pixel]; 0 takes that of the tiles in the files.

    Raises
    ------
    InputError
        Not a Sentinel-2 L2A product, cut or contradictory, or reflectance that cannot be right.
    """
    safe = product(path.parent if path.suffix.lower() == ".xml" else path)
    no_declared_bands(declaration, path.name)
    general = read_xml(safe, safe.one("MTD_MSIL2A.xml"))
    tile = read_xml(safe, safe.one("MTD_TL.xml"))
    crs = crs_of(tile.need("Tile_Geocoding/HORIZONTAL_CS_CODE"), tile.source)
    side = declaration.pixel or 20.0
    files = _files(safe)
    names = wanted_bands(list(files), bands, str(path))
    steps = radiometry_of(general, names)
    check_sensor(_platform(general), sensor, str(path))
    grid = _grid(safe, files, names, crs, side)
    layers = {band: _layer(safe, files[band], side, grid, steps[band]) for band in names}
    dataset = scene(
        layers,
        grid,
        chunk=chunk or TILE,
        radiometry=list(dict.fromkeys(steps.values())),
        attributes={
            "product": general.get("PRODUCT_URI", "PRODUCT_URI_2A") or safe.path.name,
            "baseline": general.need("PROCESSING_BASELINE"),
            "sensor": _platform(general),
            "acquired": general.get("PRODUCT_START_TIME") or "",
        },
    )
    _add_classes(dataset, safe, grid, chunk or TILE)
    _add_geometry(dataset, safe, tile, names, grid, declaration, chunk or TILE)
    return guard(dataset, declaration, str(path))


def _files(safe: Product) -> dict[str, dict[float, str]]:
    """Find the image files: band, pixel side [m], name."""
    files: dict[str, dict[float, str]] = {}
    for name in safe.names:
        match = _IMAGE.search(name)
        band = band_id(match[1]) if match and "IMG_DATA" in name else None
        if match and band:
            files.setdefault(band, {})[float(match[2])] = name
    if not files:
        raise InputError(f"{safe.path}: expected bands *_B02_10m.jp2, found none")
    return files


def radiometry_of(general: Metadata, names: list[str]) -> dict[str, Radiometry]:
    """Return the step from numbers to reflectance of every band, as the metadata say it."""
    what = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
    divisor = general.number(*what, low=100, high=100_000)
    offsets = _offsets(general, names, divisor)
    return {
        band: Radiometry(1 / divisor, offsets[band] / divisor, 0.0, "MTD_MSIL2A.xml")
        for band in names
    }


def _offsets(general: Metadata, names: list[str], divisor: float) -> dict[str, float]:
    """Return the offset of every band: that of a full list, or 0 where there is no list."""
    listed: dict[str, float] = {}
    for entry in general.all("BOA_ADD_OFFSET"):
        index = entry.index("band_id")
        band = ORDER[index] if index < len(ORDER) else None
        if band is None or band in listed:
            raise InputError(
                f"{entry.source}: expected BOA_ADD_OFFSET of each band once, found band_id {index}"
                f" {'twice' if band else 'that is none'}"
            )
        listed[band] = as_number(entry.text, "BOA_ADD_OFFSET", entry.source)
        if abs(listed[band]) > divisor:
            raise InputError(
                f"{entry.source}: expected BOA_ADD_OFFSET within {divisor:g}, found"
                f" {entry.text[:60]}"
            )
    absent = [band for band in names if band not in listed]
    if listed and absent:
        raise InputError(
            f"{general.source}: expected BOA_ADD_OFFSET of every band, found none of"
            f" {listing(absent)}"
        )
    return listed or dict.fromkeys(names, 0.0)


def _platform(general: Metadata) -> str:
    name = general.get("SPACECRAFT_NAME") or general.get("PRODUCT_URI") or ""
    platform = platform_name(name)
    if platform is None:
        raise InputError(
            f"{general.source}: expected SPACECRAFT_NAME, found {name[:60] or 'none'}"
        )
    return platform


def _grid(
    safe: Product, files: dict, names: list[str], crs: CRS, side: float
) -> Grid:  # fmt: skip
    """Return the grid of the wanted pixel side, from a file that has it or another."""
    found = next((files[b][side] for b in names if side in files[b]), None)
    name = found or next(iter(files[names[0]].values()))
    return grid_of(safe.raster(name), JP2, crs).at(side)


def _nearest_side(sides: Collection[float], side: float) -> float:
    """Choose the wanted pixel side, else the next finer one, else the finest there is."""
    finer = [s for s in sides if s <= side]
    return max(finer) if finer else min(sides)


def _layer(
    safe: Product, sides: dict[float, str], side: float, grid: Grid, step: Radiometry
) -> Layer:
    path = safe.raster(sides[_nearest_side(sides, side)])
    factor = ratio(grid_of(path, JP2, grid.crs), grid, path)
    return Layer(path, 1, JP2, step.scale, step.offset, MISSING, factor)


def _add_classes(dataset: xr.Dataset, safe: Product, grid: Grid, chunk: int) -> None:
    names = {float(n[-7:-5]): n for n in safe.names if re.search(r"_SCL_\d\dm\.jp2$", n)}
    if not names:
        raise InputError(f"{safe.path}: expected a scene classification *_SCL_20m.jp2, found none")
    path = safe.raster(names[_nearest_side(names, grid.transform.a)])
    factor = ratio(grid_of(path, JP2, grid.crs), grid, path)
    add_classes(dataset, Layer(path, driver=JP2, ratio=factor, codes=True), grid, chunk)


def _add_geometry(
    dataset: xr.Dataset, safe: Product, tile: Metadata, names: list[str], grid: Grid,
    declared: Declaration, chunk: int,
) -> None:  # fmt: skip
    found = grids_of_angles(tile, names)
    footprint = _footprint(safe, grid, found)
    named, bits = angles(found, grid, chunk, footprint)
    add_angles(dataset, named, declared, tile.name)
    dataset["input_quality"] = (("y", "x"), bits)


def grids_of_angles(tile: Metadata, names: list[str], tag: str = "Sun_Angles_Grid") -> Nodes:
    """Read the grids of angles: those of the sun, and of every detector over the wanted bands."""
    sun = next(tile.all(tag), None)
    if sun is None:
        raise InputError(f"{tile.source}: expected {tag}, found none")
    view: dict[tuple[int, str], Grids] = {}
    for part in tile.all("Viewing_Incidence_Angles_Grids"):
        index, detector = part.index("bandId"), part.index("detectorId")
        if index < len(ORDER) and ORDER[index] in names:
            add_view(view, detector, ORDER[index], two_grids(part), tile.source)
    return nodes_of(two_grids(sun), view, steps_of(sun), tile.source)


def steps_of(sun: Metadata) -> tuple[float, float]:
    """Return the distances [m] of the rows and of the columns of a grid of angles."""
    down, right = (sun.number(f"Zenith/{side}_STEP", low=1, high=1e6) for side in ("ROW", "COL"))
    return down, right


def add_view(
    view: dict[tuple[int, str], Grids], detector: int, band: str, grids: Grids, source: str
) -> None:
    """Add the grids of a detector and a band to the others; refuse a second pair of grids."""
    if (detector, band) in view:
        raise InputError(
            f"{source}: expected view angles of each band and detector once, found those of"
            f" {band} and {detector} twice"
        )
    view[detector, band] = grids


def nodes_of(
    sun: Grids, view: dict[tuple[int, str], Grids], step: tuple[float, float], source: str
) -> Nodes:
    """Put the grids of the sun and of every detector and band together."""
    by_detector: dict[int, list[Grids]] = {}
    for (detector, _), grids in view.items():
        if grids[0].shape != sun[0].shape:
            raise InputError(
                f"{source}: expected grids of angles of one size, found {sun[0].shape} and"
                f" {grids[0].shape}"
            )
        by_detector.setdefault(detector, []).append(grids)
    return nodes(sun, by_detector, step)


def two_grids(part: Metadata) -> Grids:
    """Read zenith and azimuth [row, column] below a tag of XML, NaN where there are none."""
    grids = []
    for angle in ("Zenith", "Azimuth"):
        rows = [row.text.split() for row in part.all(f"{angle}/Values_List/VALUES")]
        if not rows or len({len(row) for row in rows}) != 1:
            raise InputError(f"{part.source}: expected a full grid of {angle}, found a part of it")
        values = [[as_number(text, angle, part.source, gaps=True) for text in row] for row in rows]
        grids.append(np.array(values))
    return check_grids(grids[0], grids[1], part.source)


def check_grids(zenith: np.ndarray, azimuth: np.ndarray, source: str) -> Grids:
    """Return zenith and azimuth at the nodes; refuse two sizes and what cannot be an angle."""
    if zenith.shape != azimuth.shape:
        raise InputError(f"{source}: expected Zenith and Azimuth of one size, found two")
    off = np.nanmax(np.abs(zenith - 90), initial=0) > 90
    if off or np.nanmax(np.abs(azimuth), initial=0) > 720:
        raise InputError(
            f"{source}: expected zenith angles from 0 to 180 and azimuths within 720 degrees,"
            " found others"
        )
    return zenith, azimuth


def _footprint(safe: Product, grid: Grid, found: Nodes) -> Layer | Outlines | None:
    """Find the mask of detectors: an image since baseline 04.00, polygons before.

    That of another band stands in for one that cannot be read (some products hold empty ones).
    """
    pattern = re.compile(r"MSK_DETFOO_?.*(B\d[\dA])[^/]*\.(jp2|gml)$")
    names = [match for name in safe.names if (match := pattern.search(name))]
    names.sort(key=lambda match: match[1] != FOOTPRINT)
    for match in names if found.view else []:
        try:
            if match[2] == "gml":
                footprint = _outlines(read_xml(safe, match.string))
            else:
                path = safe.raster(match.string)
                factor = ratio(grid_of(path, JP2, grid.crs), grid, path)
                footprint = Layer(path, driver=JP2, ratio=factor, codes=True)
        except InputError as error:
            LOG.warning("%s; another footprint of the detectors is looked for", error)
            continue
        if footprint is not None:
            return footprint
    if found.view:
        LOG.warning(
            "%s: no footprint of the detectors; view angles of several are averaged", safe.path
        )
    return None


def _outlines(mask: Metadata) -> Outlines | None:
    """Read the polygons of the detectors; their number is part of an identifier."""
    polygons = []
    for feature in mask.all("MaskFeature"):
        identifier = next((v for k, v in feature.attributes.items() if k.endswith("id")), "")
        match = re.search(r"-B\w+-(\d+)-", identifier)
        places = next(feature.all("posList"), None)
        if match is None or places is None:
            continue
        numbers = [as_number(text, "posList", mask.source) for text in places.text.split()]
        size = places.index("srsDimension") if "srsDimension" in places.attributes else 3
        if size not in (2, 3) or len(numbers) % size or len(numbers) < 4 * size:
            raise InputError(f"{mask.source}: expected corners of polygons, found a part of them")
        corners = list(zip(numbers[::size], numbers[1::size], strict=True))
        polygons.append((tuple(corners), int(match[1])))
    return Outlines(tuple(polygons)) if polygons else None
