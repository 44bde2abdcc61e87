"""STAC items whose assets lie on this machine: one file a band, GeoTIFF or JPEG 2000.

Specification: STAC 1.0 and 1.1, with the extensions raster (scale, offset, nodata), eo (band
names), view (angles) and sentinel-2; besides `earthsearch:boa_offset_applied`, which says that the
pixels hold no offset although `raster:bands` states one. Where no scale is stated, the product's
own metadata say it if they lie here. The guard looks at the pixels whatever the item says.
Nothing is fetched: assets with other addresses than files are refused.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from inversion.geometry import fold
from inversion.radiometry import Radiometry
from inversion.readers.content import Product
from inversion.readers.declaration import Declaration
from inversion.readers.filling import fillings
from inversion.readers.handles import opened
from inversion.readers.metadata import Metadata, from_attribute, read_xml
from inversion.readers.platforms import SERIES, check_sensor
from inversion.readers.rasters import Decoded, Grid, Layer, cube, ratio
from inversion.readers.scene import (
    add_angles,
    add_classes,
    guard,
    no_side,
    note_no_classes,
    scene,
    wanted_bands,
)
from inversion.readers.scene_file import add_scene_file
from inversion.readers.stac_assets import (
    Item,
    assets_of_bands,
    bands_of,
    driver,
    finest,
    mask_of,
    read_item,
)
from physvae.errors import InputError, UsageError

CHUNK = 512


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open an item's assets lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        No STAC item, assets elsewhere, bands or scale not known, or a wrong scale.
    """
    if declaration.bands is not None:
        raise UsageError(f"--bands: expected none, {path.name} names its own")
    item = read_item(path)
    check_sensor(item.platform, sensor, str(path))
    if item.harmonized or SERIES.get(item.platform) != "sentinel-2":
        no_side(declaration, path.name)
    candidates = assets_of_bands(item)
    names = wanted_bands(list(candidates), bands, str(path))
    chosen = {band: finest(item, candidates[band]) for band in names}
    side = declaration.pixel or max(min(g.transform.a for _, _, g in chosen.values()), 20.0)
    grid = chosen[names[0]][2].at(side)
    steps = _steps(
        item, {band: (at, asset) for band, (at, asset, _) in chosen.items()}, declaration
    )
    layers = {}
    for band, (at, _, own) in chosen.items():
        step = steps[band]
        with opened(str(at), driver(at)) as source:
            missing = fillings(source.dtypes[0], [step.nodata])
        layers[band] = Layer(
            str(at), 1, driver(at), step.scale, step.offset, missing, ratio(own, grid, str(at))
        )
    dataset = scene(
        layers,
        grid,
        chunk=chunk or CHUNK,
        radiometry=list(dict.fromkeys(steps.values())),
        attributes={
            "product": item.name,
            "baseline": str(
                item.properties.get("s2:processing_baseline")
                or item.properties.get("processing:version", "")
            ),
            "sensor": item.platform,
            "acquired": str(item.properties.get("datetime", "")),
        },
    )
    _add_classes(dataset, item, grid, declaration, chunk or CHUNK)
    _add_angles(dataset, item, names, chosen[names[0]][0], grid, declaration, chunk or CHUNK)
    return guard(dataset, declaration, str(path))


def _steps(
    item: Item, chosen: Mapping[str, tuple[Path, dict]], declared: Declaration
) -> dict[str, Radiometry]:
    """Settle scale and offset of each band: declared, else stated, else the product's own."""
    product = _product_steps(item, list(chosen)) if declared.scale is None else {}
    applied = any(
        str(value).lower() == "true"
        for key, value in item.properties.items()
        if key.endswith("boa_offset_applied")
    )
    return {
        band: _radiometry(item, at, asset, declared, product.get(band), applied)
        for band, (at, asset) in chosen.items()
    }


def _radiometry(
    item: Item, at: Path, asset: dict, declared: Declaration, product: Radiometry | None,
    applied: bool,
) -> Radiometry:  # fmt: skip
    stated = _stated(asset)
    with opened(str(at), driver(at)) as source:
        own = (source.scales[0], source.offsets[0], source.nodatavals[0])
    nodata = _number(item, stated, "nodata") if declared.nodata is None else declared.nodata
    nodata = own[2] if nodata is None else nodata
    nodata = None if nodata is None or not math.isfinite(nodata) else nodata
    if declared.scale is not None:
        return Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
    scale, offset = _number(item, stated, "scale"), _number(item, stated, "offset") or 0.0
    where = "raster:bands"
    if scale is None and product is not None:
        scale, offset, where = product.scale, product.offset, product.source
    elif scale is None and own[:2] != (1.0, 0.0):
        scale, offset, where = own[0], own[1], "the files' metadata"
    if scale is None:
        raise InputError(
            f"{item.path}: expected raster:bands with a scale for {at.name}, found none;"
            f" give --scale and --offset ({_hint(item)})"
        )
    if not (0 < scale <= 1 and abs(offset) <= 1):
        raise InputError(
            f"{item.path}: expected a scale above 0 and an offset in reflectance for {at.name},"
            f" found {scale:g} and {offset:g}"
        )
    if applied:
        return Radiometry(scale, 0.0, nodata, "boa_offset_applied")
    return Radiometry(scale, offset, nodata, where)


def _hint(item: Item) -> str:
    if item.platform.startswith("landsat") and not item.harmonized:
        return "Landsat Collection 2: --scale 0.0000275 --offset -0.2"
    if item.harmonized:
        return "HLS: --scale 0.0001 --offset 0"
    return "Sentinel-2: --scale 0.0001, and --offset -0.1 from processing baseline 04.00 on"


def _stated(asset: dict) -> dict[str, Any]:
    """Return what an asset says of its numbers, in the spellings of STAC 1.0 and 1.1."""
    raster = asset.get("raster:bands")
    parts = [asset, *bands_of(asset)[:1], *(raster if isinstance(raster, list) else [])[:1]]
    return {
        key.removeprefix("raster:"): value
        for part in parts
        if isinstance(part, dict)
        for key, value in part.items()
    }


def _number(item: Item, stated: Mapping[str, Any], what: str) -> float | None:
    """Return a number that is stated, or None where there is none."""
    value = stated.get(what)
    if value is None or (what == "nodata" and isinstance(value, str)):
        return None
    if what == "nodata" and isinstance(value, float) and not math.isfinite(value):
        return None
    return from_attribute(value, what, str(item.path))


def _product_steps(item: Item, names: list[str]) -> dict[str, Radiometry]:
    """Return what the product's own metadata say, where they are an asset that lies here."""
    from inversion.readers import landsat, sentinel2

    at = item.local("product_metadata", "product-metadata")
    if at is not None and item.platform.startswith("sentinel-2"):
        return sentinel2.radiometry_of(_xml(at), names)
    at = item.local("mtl.xml", "mtl_xml")
    if at is not None and item.platform.startswith("landsat"):
        about = _xml(at)
        return {band: landsat.radiometry_of(about, band) for band in names}
    return {}


def _xml(at: Path) -> Metadata:
    return read_xml(Product(at.parent, (at.name,)), at.name)


def _add_classes(
    dataset: xr.Dataset, item: Item, grid: Grid, declared: Declaration, chunk: int
) -> None:
    """Add the scene classes, whichever way the family tells them; note where there are none."""
    from inversion.readers import hls, landsat

    if declared.scene_classes is not None:
        add_scene_file(dataset, declared)
        return
    found = mask_of(item)
    if found is None:
        note_no_classes(str(item.path), "no asset scl, qa_pixel or Fmask; give --scl")
        return
    kind, assets = found
    if not declared.keep_classes and not any(item.is_local(asset) for asset in assets):
        return
    at, _, own = finest(item, assets)
    factor = ratio(own, grid, str(at))
    mask: Layer | Decoded = Layer(str(at), driver=driver(at), ratio=factor, codes=True)
    if kind != "scl":
        meaning = landsat.QA if kind == "qa_pixel" else hls.FMASK
        mask = landsat.mask_layer(str(at), grid, meaning, driver(at))
    add_classes(dataset, mask, grid, chunk)


def _add_angles(
    dataset: xr.Dataset, item: Item, names: list[str], band: Path, grid: Grid,
    declared: Declaration, chunk: int,
) -> None:  # fmt: skip
    """Take the angles of every pixel where the assets hold them, else the item's means."""
    from inversion.readers import angles, sentinel2

    granule = item.local("granule_metadata", "granule-metadata")
    if item.harmonized:
        found = _normalised_angles(item, band, grid, chunk)
        add_angles(dataset, found, declared, f"{band.name} and {item.path.name}")
    elif granule is not None and item.platform.startswith("sentinel-2"):
        nodes = sentinel2.grids_of_angles(_xml(granule), names)
        named, bits = angles.angles(nodes, grid, chunk)
        add_angles(dataset, named, declared, granule.name)
        dataset["input_quality"] = (("y", "x"), bits)
    else:
        images = _angle_images(item, ("sza", "saa", "vza", "vaa"), grid)
        measured = len(images) == 4
        found = _measured(images, grid, chunk) if measured else _means(item)
        where = ", ".join(image.source for image in images) if measured else item.path.name
        add_angles(dataset, found, declared, where)


def _normalised_angles(item: Item, band: Path, grid: Grid, chunk: int) -> dict[str, Any]:
    """Return the angles of HLS: seen from above, the sun as the band's file or SZA says it."""
    from inversion.readers import hls

    with opened(str(band), driver(band)) as source:
        tags = {key.upper(): value for key, value in source.tags().items()}
    sun: Any = hls.sun_zenith(tags, str(band))
    if not math.isfinite(sun):
        images = _angle_images(item, ("sza",), grid)
        sun = cube(images, grid, chunk)[0] if images else _means(item)["sun_zenith_deg"]
    return {"sun_zenith_deg": sun, "view_zenith_deg": 0.0, "relative_azimuth_deg": 0.0}


def _angle_images(item: Item, kinds: tuple[str, ...], grid: Grid) -> list[Layer]:
    """Return the images of angles [degree] that are assets and lie here."""
    from inversion.readers import landsat

    layers = []
    for kind in kinds:
        asset = item.asset(kind)
        if asset is not None and item.is_local(asset):
            at, stated = item.file(asset), _stated(asset)
            layers.append(
                landsat.angle_layer(
                    str(at), grid, driver(at), _number(item, stated, "scale"),
                    _number(item, stated, "nodata"),
                )
            )  # fmt: skip
    return layers


def _measured(images: list[Layer], grid: Grid, chunk: int) -> dict[str, Any]:
    from inversion.readers import landsat

    return landsat.angles_of(cube(images, grid, chunk))


def _means(item: Item) -> dict[str, float]:
    """Return the angles that the item states for the whole image."""

    def value(limit: float, *names: str) -> float:
        for name in names:
            number = _number(item, item.properties, name)
            if number is not None:
                if abs(number) > limit:
                    raise InputError(f"{item.path}: expected {name} in degrees, found {number:g}")
                return number
        return math.nan

    elevation = value(90, "view:sun_elevation", "eo:sun_elevation")
    zenith = value(180, "s2:mean_solar_zenith")
    sun_azimuth = value(360, "view:sun_azimuth", "s2:mean_solar_azimuth", "eo:sun_azimuth")
    view = value(90, "view:incidence_angle", "view:off_nadir", "eo:off_nadir")
    return {
        "sun_zenith_deg": 90 - elevation if math.isfinite(elevation) else zenith,
        "view_zenith_deg": abs(view),
        "relative_azimuth_deg": float(fold(np.float64(sun_azimuth - value(360, "view:azimuth")))),
    }
