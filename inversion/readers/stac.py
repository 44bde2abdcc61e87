"""STAC items whose assets lie on this machine: one file a band, GeoTIFF or JPEG 2000.

Specification: STAC 1.0 and 1.1, with the extensions raster (scale, offset, nodata), eo (band
names), view (angles) and sentinel-2; besides `earthsearch:boa_offset_applied`, which says that the
pixels hold no offset although `raster:bands` states one. The guard looks at the pixels whatever
the item says. Nothing is fetched: assets with other addresses than files are refused.
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import xarray as xr

from inversion.geometry import fold
from inversion.naming import band_id
from inversion.radiometry import Radiometry
from inversion.readers.content import TEXT_MAX, Product, head
from inversion.readers.declaration import Declaration
from inversion.readers.metadata import read_xml
from inversion.readers.platforms import check_sensor
from inversion.readers.rasters import Grid, Layer, cube, grid_of, ratio
from inversion.readers.scene import add_angles, guard, scene, wanted_bands
from physvae.errors import InputError

CHUNK = 512
COMMON = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "rededge1": "B5",
    "rededge2": "B6", "rededge3": "B7", "nir": "B8", "nir08": "B8A", "swir16": "B11",
    "swir22": "B12",
}  # fmt: skip
"""Names of assets of Sentinel-2 items, by the band they hold."""
FILLINGS = (0.0, 65535.0)


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
    item = _item(path)
    properties = item.get("properties", {})
    platform = str(properties.get("platform", "")).lower()
    if platform:
        check_sensor(platform, sensor, str(path))
    assets = _assets(item)
    names = wanted_bands(list(assets), bands, str(path))
    files = {band: _local(path, assets[band]) for band in names}
    grids = {band: grid_of(str(at), _driver(at)) for band, at in files.items()}
    side = declaration.pixel or max(min(g.transform.a for g in grids.values()), 20.0)
    grid = next(iter(grids.values())).at(side)
    layers, steps = {}, []
    for band, at in files.items():
        step = _radiometry(path, assets[band], properties, declaration)
        steps.append(step)
        nodata = FILLINGS if step.nodata is None else (step.nodata, FILLINGS[1])
        layers[band] = Layer(
            str(at), 1, _driver(at), step.scale, step.offset, nodata,
            ratio(grids[band], grid, str(at)),
        )  # fmt: skip
    dataset = scene(
        layers,
        grid,
        chunk=chunk or CHUNK,
        radiometry=list(dict.fromkeys(steps)),
        attributes={
            "product": item.get("id", path.name),
            "baseline": str(properties.get("s2:processing_baseline", "")),
            "sensor": platform,
            "acquired": str(properties.get("datetime", "")),
        },
    )
    _add_classes(dataset, path, item, grid, chunk or CHUNK)
    _add_angles(dataset, path, item, names, grid, declaration, chunk or CHUNK)
    return guard(dataset, declaration, str(path))


def _item(path: Path) -> dict[str, Any]:
    if path.stat().st_size > TEXT_MAX:
        raise InputError(f"{path}: expected a STAC item, found over 64 MiB")
    try:
        item = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a STAC item, found broken JSON: {error}") from None
    if not isinstance(item, dict) or item.get("type") != "Feature" or "assets" not in item:
        raise InputError(f"{path}: expected a STAC item (a Feature with assets), found another")
    return item


def _assets(item: dict[str, Any]) -> dict[str, dict]:
    """Find the band of every asset: by its bands' names, else by its key; the finest one wins."""
    found: dict[str, dict] = {}
    for key, asset in item["assets"].items():
        described = asset.get("eo:bands") or asset.get("bands") or [{}]
        texts = (described[0].get("name", ""), key) if len(described) == 1 else ()
        band = next((b for t in texts if (b := band_id(t) or COMMON.get(t.lower()))), None)
        is_image = re.search(r"tiff|jp2|jpeg2000", str(asset.get("type", ""))) or not asset.get(
            "type"
        )
        if band and is_image and _better(asset, found.get(band)):
            found[band] = asset
    return found


def _better(asset: dict, other: dict | None) -> bool:
    """Prefer a GeoTIFF to the JPEG 2000 that some items name besides."""
    return other is None or ("tiff" in str(asset.get("type")) and "jp2" in str(other.get("type")))


def _local(path: Path, asset: dict) -> Path:
    href = str(asset.get("href", ""))
    parts = urlsplit(href)
    if parts.scheme not in ("", "file") or href.startswith("/vsi"):
        raise InputError(f"{path}: expected assets on this machine, found {href[:120]}")
    at = Path(unquote(parts.path)) if parts.scheme == "file" else Path(href)
    at = at if at.is_absolute() else path.parent / at
    if not at.is_file():
        raise InputError(f"{path}: expected the asset {at}, found none of that name")
    return at


def _driver(at: Path) -> str:
    start = head(at, 16)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "GTiff"
    if start[:4] == b"\xff\x4f\xff\x51" or b"jP" in start[:12]:
        return "JP2OpenJPEG"
    raise InputError(f"{at}: expected a GeoTIFF or a JPEG 2000 image, found something else")


def _radiometry(path: Path, asset: dict, properties: dict, declared: Declaration) -> Radiometry:
    """Settle scale and offset: declared, else the asset's, unless the offset was applied."""
    described = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    stated = {k.removeprefix("raster:"): v for part in (asset, described) for k, v in part.items()}
    nodata = stated.get("nodata") if declared.nodata is None else declared.nodata
    nodata = float(nodata) if isinstance(nodata, (int, float)) else None
    if declared.scale is not None:
        return Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
    if "scale" not in stated:
        raise InputError(
            f"{path}: expected raster:bands with a scale for {asset.get('href')}, found none;"
            " give --scale and --offset"
        )
    offset = float(stated.get("offset", 0.0))
    if properties.get("earthsearch:boa_offset_applied"):
        return Radiometry(float(stated["scale"]), 0.0, nodata, "earthsearch:boa_offset_applied")
    return Radiometry(float(stated["scale"]), offset, nodata, "raster:bands")


def _add_classes(dataset: xr.Dataset, path: Path, item: dict, grid: Grid, chunk: int) -> None:
    asset = next((a for key, a in item["assets"].items() if key.lower() == "scl"), None)
    if asset is not None:
        at = _local(path, asset)
        factor = ratio(grid_of(str(at), _driver(at)), grid, str(at))
        layer = Layer(str(at), driver=_driver(at), ratio=factor)
        dataset["scene_class"] = (("y", "x"), cube([layer], grid, chunk)[0])


def _add_angles(
    dataset: xr.Dataset, path: Path, item: dict, names: list[str], grid: Grid,
    declared: Declaration, chunk: int,
) -> None:  # fmt: skip
    """Take the grids of the granule's metadata where they lie here, else the item's means."""
    from inversion.readers import angles, sentinel2

    keys = ("granule_metadata", "granule-metadata")
    granule = next((item["assets"][key] for key in keys if key in item["assets"]), None)
    if granule is not None and urlsplit(str(granule.get("href"))).scheme in ("", "file"):
        at = _local(path, granule)
        tile = read_xml(Product(at.parent, (at.name,)), at.name)
        named, bits = angles.angles(sentinel2.grids_of_angles(tile, names), grid, chunk)
        add_angles(dataset, named, declared)
        dataset["input_quality"] = (("y", "x"), bits)
    else:
        add_angles(dataset, _means(item.get("properties", {})), declared)


def _means(properties: dict[str, Any]) -> dict[str, float]:
    def value(*names: str) -> float:
        found = next(
            (properties[n] for n in names if isinstance(properties.get(n), (int, float))), None
        )
        return float("nan") if found is None else float(found)

    sun_azimuth = value("view:sun_azimuth", "s2:mean_solar_azimuth")
    elevation = value("view:sun_elevation")
    zenith = value("s2:mean_solar_zenith")
    return {
        "sun_zenith_deg": 90 - elevation if elevation == elevation else zenith,
        "view_zenith_deg": value("view:incidence_angle", "view:off_nadir"),
        "relative_azimuth_deg": float(fold(sun_azimuth - value("view:azimuth"))),
    }
