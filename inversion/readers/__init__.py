"""Readers: one file a family of inputs, found by what the input holds, not by what it is called.

A reader of tables returns a `pandas.DataFrame` whose cells are as they were; a reader of images
returns the canonical `xarray.Dataset` (see `inversion.readers.scene`). Nothing behind the readers
knows where data came from.
"""

import json
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from inversion.naming import listing
from inversion.readers.content import Product, head, is_tar, product
from inversion.readers.declaration import Declaration
from inversion.readers.refusal import refusal
from physvae.errors import InputError

__all__ = ["FAMILIES", "Declaration", "Family", "Look", "detect", "look", "reader"]


class Look(NamedTuple):
    """The first look at an input: its first bytes, or the files that it holds."""

    path: Path
    start: bytes
    files: Product | None

    def has(self, *endings: str) -> bool:
        """Whether the product holds files with each of these endings."""
        return self.files is not None and all(self.files.find(ending) for ending in endings)

    def holds(self, folder: str) -> bool:
        """Whether the product holds a folder."""
        if self.files is None:
            return False
        if not self.files.archive:
            return (self.path / folder).is_dir()
        return any(f"/{folder}/" in f"/{name}" for name in self.files.names)


class Family(NamedTuple):
    """A family of inputs: what it gives, how it is recognised, the module that reads it."""

    gives: str
    recognised: Callable[[Look], bool]
    module: str


def _starts(*signs: bytes) -> Callable[[Look], bool]:
    return lambda seen: seen.start.startswith(signs)


def _is_text(seen: Look) -> bool:
    start = seen.start
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return b"\0" not in start and not start.startswith((b"<", b"{")) and bool(start)


def _is_stac(seen: Look) -> bool:
    return seen.start.startswith(b"{") and b"stac_version" in seen.start


def _is_prisma(seen: Look) -> bool:
    if not seen.start.startswith(b"\x89HDF"):
        return False
    from inversion.readers import prisma, stores

    try:
        stores.raw(str(seen.path), "netcdf4", f"{prisma.GROUP}/Data Fields")
    except InputError:
        return False
    return True


def _is_envi(seen: Look) -> bool:
    if seen.files is not None:
        return False
    path = seen.path
    headers = (path.with_suffix(".hdr"), path.with_name(path.name + ".hdr"))
    known = _starts(*TIFF, b"PAR1", b"\x89HDF", b"CDF", b"PK\x03\x04")(seen)
    beside = not known and any(h.is_file() and h != path for h in headers)
    return seen.start.startswith(b"ENVI") or beside


def _is_maja_native(seen: Look) -> bool:
    return seen.has("_R1.DBL.TIF", ".HDR") or seen.has("_R2.DBL.TIF", ".HDR")


TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ZARR = ("zarr.json", ".zgroup", ".zmetadata")
FAMILIES: dict[str, Family] = {
    "sentinel-2": Family(
        "image", lambda s: s.has("MTD_MSIL2A.xml"), "inversion.readers.sentinel2"
    ),
    "maja": Family("image", lambda s: s.has("_MTD_ALL.xml"), "inversion.readers.maja"),
    "maja-native": Family("image", _is_maja_native, "inversion.readers.maja_native"),
    "eopf": Family(
        "image", lambda s: s.holds("measurements/reflectance"), "inversion.readers.eopf"
    ),
    "landsat": Family(
        "image", lambda s: s.has("_MTL.xml", "_QA_PIXEL.TIF"), "inversion.readers.landsat"
    ),
    "hls": Family("image", lambda s: s.has(".Fmask.tif"), "inversion.readers.hls"),
    "enmap": Family(
        "image",
        lambda s: s.has("-METADATA.XML", "-SPECTRAL_IMAGE.TIF"),
        "inversion.readers.enmap",
    ),
    "prisma": Family("image", _is_prisma, "inversion.readers.prisma"),
    "stac": Family("image", _is_stac, "inversion.readers.stac"),
    "zarr": Family("image", lambda s: any(s.has(n) for n in ZARR), "inversion.readers.labelled"),
    "netcdf": Family("image", _starts(b"\x89HDF", b"CDF"), "inversion.readers.labelled"),
    "geotiff": Family("image", _starts(*TIFF), "inversion.readers.geotiff"),
    "envi": Family("image", _is_envi, "inversion.readers.envi"),
    "parquet": Family("table", _starts(b"PAR1"), "inversion.readers.table"),
    "excel": Family(
        "table", lambda s: bool(s.start) and s.has("xl/workbook.xml"), "inversion.readers.table"
    ),
    "csv": Family("table", _is_text, "inversion.readers.table"),
}

_EXPECTED = (
    "expected a table (CSV, Excel, Parquet), an image (GeoTIFF, NetCDF, Zarr, ENVI) or a product"
    " (Sentinel-2 SAFE, EOPF or THEIA, STAC item, Landsat, HLS, EnMAP, PRISMA)"
)
_RECOGNISED_AS = {
    b"<VRT": "a VRT, which points at other files and is not followed; use gdal_translate first",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file (gzip); unpack it to a .tar first",
    b"\x00\x00\x00\x0cjP  ": "a single JPEG 2000 image; give the product's folder",
}
_PRODUCTS = {
    "MTD_MSIL1C.xml": "Sentinel-2 level 1C, reflectance above the atmosphere; level 2A is needed",
    ".DBL.TIF": "a product of MAJA without its *_L2VALD_*.HDR",
    "_MTL.xml": "Landsat without *_QA_PIXEL.TIF; Collection 2 level 2 is needed",
}


def detect(path: Path) -> Family:
    """Return the family of an input, judged by what it holds.

    Raises
    ------
    InputError
        It is not there, is empty, or is none of the families; the sentence says what it is.
    """
    with refusal(path, "a readable file, folder or archive"):
        return _detected(path)


def _detected(path: Path) -> Family:
    seen = look(path)
    refused = next(
        (what for sign, what in _RECOGNISED_AS.items() if seen.start.startswith(sign)), None
    )
    family = next((family for family in FAMILIES.values() if family.recognised(seen)), None)
    if refused or family is None:
        raise InputError(f"{path}: {_EXPECTED}, found {refused or _described(seen)}")
    return family


def look(path: Path) -> Look:
    """Take the first look at a file, a folder or an archive.

    A metadata file (XML) stands for the folder that it lies in.
    """
    if path.is_dir():
        return Look(path, b"", product(path))
    start = head(path)
    if start.startswith(b"PK\x03\x04") or is_tar(start):
        return Look(path, start, product(path))
    if path.suffix.lower() == ".xml" or (path.suffix.lower() == ".hdr" and start.startswith(b"<")):
        return Look(path.parent, b"", product(path.parent))
    if start.startswith(b"{"):
        return Look(path, _json(path), None)
    return Look(path, start, None)


def _json(path: Path) -> bytes:
    """Return the beginning of a JSON object, or its STAC version where it stands further down."""
    text = path.read_bytes()[: 1 << 20]
    try:
        version = json.loads(text).get("stac_version")
    except (ValueError, AttributeError, RecursionError):
        return text[:4096]
    return b'{"stac_version"' if version else b"{"


def _described(seen: Look) -> str:
    if seen.files is None:
        return "something else"
    known = next((what for end, what in _PRODUCTS.items() if seen.has(end)), None)
    if known:
        return known
    kind = "an archive" if seen.files.archive else "a folder"
    return f"{kind} with {listing(seen.files.names, most=4)}"


def reader(family: Family) -> Callable:
    """Return the function `read` of a family's module, loaded at first use.

    Whatever goes wrong in it is told as the refusal of the input (see `refusal`).
    """
    read = import_module(family.module).read
    name = next((name for name, other in FAMILIES.items() if other is family), "input")

    @wraps(read)
    def opened(path: Path, *given: Any, **options: Any) -> Any:
        declared = [value for value in given if isinstance(value, Declaration)]
        asked = any(declaration != Declaration() for declaration in declared)
        with refusal(path, f"a readable {family.gives} ({name})", asked=asked):
            return read(path, *given, **options)

    return opened
