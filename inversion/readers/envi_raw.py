"""ENVI images whose header GDAL does not read, since a byte-order mark stands before its text.

GDAL is given the same header as plain text, to say where the pixels lie and what they are; the
numbers are then read from the raw file itself.
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError
from rasterio.io import ZipMemoryFile

from inversion.readers.rasters import Grid, Span
from physvae.errors import InputError

AXES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
"""The order in which bands, rows and columns (0, 1, 2) lie in the file."""


PLACE = ("map info", "projection info", "coordinate system string")
"""Fields that say where the pixels lie."""


@dataclass(frozen=True)
class Raw:
    """What a raw file holds: where it lies, its shape [band, y, x] and how it is stored."""

    path: str
    shape: tuple[int, int, int]
    dtype: str
    interleave: str
    start: int

    def open(self) -> np.ndarray:
        """Return the numbers [band, y, x], not yet read."""
        axes = AXES[self.interleave]
        stored = np.memmap(
            self.path, self.dtype, "r", self.start, tuple(self.shape[axis] for axis in axes)
        )
        return stored.transpose(np.argsort(axes))


@dataclass(frozen=True)
class RawLayer:
    """One band of a raw file; see `rasters.Layer` for scale, offset, missing, ratio and codes."""

    raw: Raw
    index: int
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    ratio: float = 1.0
    codes: bool = False

    @property
    def source(self) -> str:
        """Name of the file."""
        return self.raw.path.rsplit("/", 1)[-1]

    def stored(self, place: tuple[Span, Span]) -> np.ndarray:
        """Return the numbers of the file [y, x] between two rows and two columns."""
        rows, columns = (slice(*span) for span in place)
        try:
            return np.array(self.raw.open()[self.index - 1, rows, columns])
        except (OSError, ValueError) as error:
            raise InputError(f"{self.raw.path}: a block cannot be read, {error}") from error


def open_raw(image: Path, fields: dict[str, str]) -> tuple[Grid, Raw]:
    """Return where the pixels of an image lie, and what its file holds, by the header's fields.

    Raises
    ------
    InputError
        No header that GDAL reads, no reference system, or a file shorter than it says.
    """
    sizes = [_whole(fields, name, image) for name in ("bands", "lines", "samples")]
    shape = (sizes[0], sizes[1], sizes[2])
    crs, transform, dtype = _described(image, fields)
    grid = Grid(crs, transform, shape[1], shape[2])
    order = ">" if fields.get("byte order", "0").strip() == "1" else "<"
    interleave = fields.get("interleave", "bsq").strip().lower()
    start = _whole(fields, "header offset", image) if "header offset" in fields else 0
    compression = fields.get("file compression", "0").strip()
    if interleave not in AXES or compression != "0":
        raise InputError(
            f"{image}: expected an uncompressed file in bsq, bil or bip, got {interleave} and file"
            f" compression {compression}"
        )
    size = math.prod(shape) * np.dtype(dtype).itemsize + start
    if image.stat().st_size < size:
        raise InputError(
            f"{image}: expected {size} bytes as its header says, got {image.stat().st_size}"
        )
    stored = np.dtype(dtype).newbyteorder(order).str
    return grid, Raw(str(image), shape, stored, interleave, start)


def _whole(fields: dict[str, str], name: str, image: Path) -> int:
    text = fields.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{image}: expected a whole number for {name}, found {text[:40]!r}")
    return int(text)


def _described(image: Path, fields: dict[str, str]) -> tuple[CRS, Affine, str]:
    """Let GDAL say reference system, place and type, by a header in memory of a single pixel."""
    lines = ["ENVI", "samples = 1", "lines = 1", "bands = 1", "interleave = bsq"]
    lines += [f"data type = {fields.get('data type', '')}"]
    lines += [f"{name} = {{{fields[name]}}}" for name in PLACE if name in fields]
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("image.bsq", bytes(64))
        archive.writestr("image.hdr", "\n".join(lines).encode("utf-8"))
    options: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE", "GDAL_PAM_ENABLED": "NO"}
    try:
        with (
            rasterio.Env(**options),
            ZipMemoryFile(packed.getvalue()) as memory,
            memory.open("image.bsq", driver="ENVI") as source,
        ):
            crs, transform, dtype = source.crs, source.transform, source.dtypes[0]
    except RasterioIOError as error:
        raise InputError(f"{image}: expected a readable ENVI header, found: {error}") from error
    if crs is None or transform.b or transform.d:
        raise InputError(
            f"{image}: expected a coordinate reference system and a grid along its axes"
        )
    return crs, transform, dtype
