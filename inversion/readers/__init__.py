"""Readers: one file a family of inputs, found by what the file holds, not by what it is called.

A reader of tables returns a `pandas.DataFrame` whose cells are as they were; a reader of images
returns the canonical `xarray.Dataset`: `reflectance`(band, y, x) 0-1 with NaN where missing, the
angles in degrees, perhaps a `scene_class`. Nothing behind the readers knows where data came from.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from inversion.readers.content import head
from inversion.readers.declaration import Declaration
from physvae.errors import InputError

__all__ = ["FAMILIES", "Declaration", "Family", "detect", "reader"]


class Family(NamedTuple):
    """A family of inputs: what it gives, how it is recognised, the module that reads it."""

    gives: str
    recognised: Callable[[bytes], bool]
    module: str


def _is_tiff(start: bytes) -> bool:
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _is_parquet(start: bytes) -> bool:
    return start[:4] == b"PAR1"


def _is_text(start: bytes) -> bool:
    return b"\0" not in start and not start.lstrip().startswith((b"<", b"{")) and bool(start)


FAMILIES: dict[str, Family] = {
    "geotiff": Family("image", _is_tiff, "inversion.readers.geotiff"),
    "parquet": Family("table", _is_parquet, "inversion.readers.table"),
    "csv": Family("table", _is_text, "inversion.readers.table"),
}

_EXPECTED = "expected a table (CSV, Parquet) or an image (GeoTIFF)"
_RECOGNISED_AS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; save a spreadsheet as CSV",
    b"<VRT": "a VRT, which points at other files and is not followed; use gdal_translate first",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89HDF": "an HDF5 or NetCDF file",
    b"CDF": "a NetCDF file",
    b"%PDF": "a PDF",
}


def detect(path: Path) -> Family:
    """Return the family of an input, judged by its first bytes.

    Raises
    ------
    InputError
        The file is not there, is empty, or is none of the families; the sentence says what it is.
    """
    start = head(path)
    refused = next((what for sign, what in _RECOGNISED_AS.items() if start.startswith(sign)), None)
    family = next((family for family in FAMILIES.values() if family.recognised(start)), None)
    if refused or family is None:
        raise InputError(f"{path}: {_EXPECTED}, found {refused or 'something else'}")
    return family


def reader(family: Family) -> Callable:
    """Return the function `read` of a family's module, loaded at first use."""
    return import_module(family.module).read
