"""What a STAC item holds, by the names that catalogues give its assets.

Element 84's earth-search (`blue`, `nir08`, `scl`, `blue-jp2`), Planetary Computer (`B02`, `SCL`,
`qa_pixel` with bands named `OLI_B5`), CDSE (`B02_10m`, `SCL_20m`), USGS (`nir08`, `qa_pixel`) and
NASA (`B05`, `Fmask`, `SZA`). What a common name means depends on the satellite: `nir08` is B8A of
Sentinel-2 and B5 of Landsat 8.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from inversion.naming import band_id, common_band
from inversion.readers.content import TEXT_MAX, head
from inversion.readers.platforms import platform_name
from inversion.readers.rasters import Grid, grid_of
from physvae.errors import InputError

MASKS = {"scl": r"[_.]SCL[_.]", "qa_pixel": r"_QA_PIXEL\.", "fmask": r"\.Fmask\."}
"""Scene classes by the key of their asset, else by their file's name."""
PICTURES = {"thumbnail", "overview", "visual", "metadata"}
"""Roles of assets that hold no reflectance, unless they are data too."""
_PREFIX = re.compile(r"^(?:OLI|TIRS|TM|ETM|MSI|SR)[_-]", re.IGNORECASE)
_SUFFIX = re.compile(r"(?:[_.-](?:\d+m|jp2|tiff?|cog))+$", re.IGNORECASE)
_HLS = re.compile(r"HLS[._-]?2?[._-]?([SL]30)", re.IGNORECASE)
_LEVEL_1 = re.compile(r"^(?:S2MSI1C|L1[A-Z]*|.*[-_]l1c?)$", re.IGNORECASE)


class Item(NamedTuple):
    """A STAC item whose assets may lie on this machine.

    Attributes
    ----------
    path : Path
        The item's file.
    name : str
        Its identifier.
    properties, assets : dict
        As the item has them.
    platform : str
        The satellite, as ``sentinel-2a``.
    harmonized : str
        ``S30`` or ``L30`` for an item of HLS, else nothing.
    """

    path: Path
    name: str
    properties: dict[str, Any]
    assets: dict[str, dict]
    platform: str
    harmonized: str

    def asset(self, *keys: str) -> dict | None:
        """Return the first asset with one of the keys, whatever their case and their ending."""
        named = {plain(key): asset for key, asset in reversed(self.assets.items())}
        return next((named[plain(key)] for key in keys if plain(key) in named), None)

    def local(self, *keys: str) -> Path | None:
        """Return the file of an asset of one of the keys that lies here, or None."""
        asset = self.asset(*keys)
        return self.file(asset) if asset is not None and self.is_local(asset) else None

    def is_local(self, asset: dict) -> bool:
        """Whether an asset's file lies on this machine."""
        try:
            self.file(asset)
        except InputError:
            return False
        return True

    def file(self, asset: dict) -> Path:
        """Return the file of an asset.

        Raises
        ------
        InputError
            It lies elsewhere, or is not there.
        """
        href = str(asset.get("href", ""))
        parts = urlsplit(href)
        if parts.scheme not in ("", "file") or href.startswith("/vsi"):
            raise InputError(f"{self.path}: expected assets on this machine, found {href[:120]}")
        at = Path(unquote(parts.path)) if parts.scheme == "file" else Path(href)
        at = at if at.is_absolute() else self.path.parent / at
        if not at.is_file():
            raise InputError(f"{self.path}: expected the asset {at}, found none of that name")
        return at


def read_item(path: Path) -> Item:
    """Read an item and say which satellite it is of.

    Raises
    ------
    InputError
        No item, one of level 1, or one that names no satellite.
    """
    content = _json(path)
    properties, assets = content.get("properties"), content["assets"]
    properties = properties if isinstance(properties, dict) else {}
    if not isinstance(assets, dict) or not all(isinstance(a, dict) for a in assets.values()):
        raise InputError(f"{path}: expected assets by their names, found something else")
    texts = (content.get("id"), content.get("collection"))
    for text in (
        *(properties.get(key) for key in ("s2:product_type", "processing:level")),
        *(properties.get("landsat:correction"), content.get("collection")),
    ):
        if _LEVEL_1.match(str(text or "")):
            raise InputError(
                f"{path}: expected level 2 (surface reflectance), found {str(text)[:60]}"
            )
    hrefs = (asset.get("href") for asset in assets.values())
    hls = next((match[1].upper() for t in (*texts, *hrefs) if (match := _HLS.search(str(t)))), "")
    stated = str(properties.get("platform") or "")
    platform = platform_name(stated, properties.get("constellation"), *texts) or stated.lower()
    if hls:
        is_landsat = platform.startswith("landsat")
        platform = "sentinel-2a" if hls == "S30" else platform if is_landsat else "landsat-8"
    if not platform:
        raise InputError(
            f"{path}: expected a platform such as sentinel-2a or landsat-8, found none"
        )
    return Item(path, str(content.get("id", path.name)), properties, assets, platform, hls)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > TEXT_MAX:
        raise InputError(f"{path}: expected a STAC item, found over 64 MiB")
    try:
        item = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a STAC item, found broken JSON: {error}") from None
    if not isinstance(item, dict) or item.get("type") != "Feature" or "assets" not in item:
        raise InputError(f"{path}: expected a STAC item (a Feature with assets), found another")
    return item


def plain(key: str) -> str:
    """Return an asset's key in lower case, without pixel side and format.

    >>> [plain(key) for key in ("SCL_20m", "qa-pixel", "blue-jp2", "MTL.xml")]
    ['scl', 'qa_pixel', 'blue', 'mtl.xml']
    """
    return _SUFFIX.sub("", key.strip()).lower().replace("-", "_")


def bands_of(asset: dict) -> list[dict]:
    """Return what an asset says of its bands, in STAC 1.0 or 1.1."""
    found = asset.get("eo:bands") or asset.get("bands") or []
    return [band for band in found if isinstance(band, dict)] if isinstance(found, list) else []


def assets_of_bands(item: Item) -> dict[str, list[dict]]:
    """Return the assets of every band: by its bands' names, else by its key or common name."""
    found: dict[str, list[dict]] = {}
    for key, asset in item.assets.items():
        media = str(asset.get("type") or "")
        stated = asset.get("roles")
        roles = set(map(str, stated)) if isinstance(stated, list) else set()
        if media and not re.search(r"tiff|jp2|jpeg2000", media):
            continue
        if roles & PICTURES and "data" not in roles:
            continue
        for text in _names(key, bands_of(asset)):
            band = band_id(_PREFIX.sub("", _SUFFIX.sub("", text)))
            band = band or common_band(_SUFFIX.sub("", text), item.platform)
            if band:
                found.setdefault(band, []).append(asset)
                break
    return found


def _names(key: str, described: Sequence[dict]) -> Iterator[str]:
    """Yield the names of an asset that holds one band."""
    if len(described) > 1:
        return
    about = described[0] if described else {}
    for text in (about.get("name"), key, about.get("eo:common_name"), about.get("common_name")):
        if isinstance(text, str):
            yield text


def finest(item: Item, assets: Sequence[dict]) -> tuple[Path, dict, Grid]:
    """Return the asset of the smallest pixels of those that lie here; of two alike the GeoTIFF.

    Raises
    ------
    InputError
        None lies here.
    """
    here = [asset for asset in assets if item.is_local(asset)] or list(assets)[:1]
    found = [
        (at, asset, grid_of(str(at), driver(at))) for asset in here for at in [item.file(asset)]
    ]
    return min(found, key=lambda one: (abs(one[2].transform.a), driver(one[0]) != "GTiff"))


def mask_of(item: Item) -> tuple[str, list[dict]] | None:
    """Return the kind of the scene classes that an item has, and their assets, or None."""
    for kind, pattern in MASKS.items():
        keyed = [asset for key, asset in item.assets.items() if plain(key) == kind]
        named = [a for a in item.assets.values() if re.search(pattern, str(a.get("href")))]
        images = [a for a in keyed or named if not str(a.get("type")).endswith(("xml", "json"))]
        if images:
            return kind, images
    return None


def driver(at: Path) -> str:
    """Return the driver that opens a file, by its first bytes."""
    start = head(at, 16)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "GTiff"
    if start[:4] == b"\xff\x4f\xff\x51" or b"jP" in start[:12]:
        return "JP2OpenJPEG"
    raise InputError(f"{at}: expected a GeoTIFF or a JPEG 2000 image, found something else")
