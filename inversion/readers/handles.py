"""Raster files that are open: one driver alone, few at a time, shared by the threads.

The files that were used last are kept open, and all threads of a process share them, so that what
one has decoded serves the others.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.env import set_gdal_config
from rasterio.errors import RasterioIOError

from physvae.errors import InputError
from physvae.io.files import check_ordinary

DRIVERS = ("GTiff", "JP2OpenJPEG", "ENVI")
"""The raster drivers that may open a file; a VRT, which points elsewhere, is none of them."""
OPEN_FILES = 32
CACHE = 192
"""Memory [MiB] for blocks that GDAL has decoded; its own default is a share of the machine's.

A row of blocks of a Sentinel-2 tile, with what it shares with the next one, takes 130.
"""
_Key = tuple[str, int, int]
_kept: "OrderedDict[_Key, _Kept]" = OrderedDict()
_turn = threading.Lock()
_masks: "WeakKeyDictionary[Any, int | None]" = WeakKeyDictionary()


@contextmanager
def opened(path: str, driver: str) -> Iterator[Any]:
    """Open a raster file with one driver alone, its neighbours unseen; errors name the file.

    Raises
    ------
    InputError
        Not there, of another format, or damaged.
    """
    if driver not in DRIVERS:
        raise InputError(f"{path}: expected one of {', '.join(DRIVERS)}, found {driver}")
    if os.path.exists(path):  # and not a member of an archive
        check_ordinary(Path(path), f"a readable {driver} file")
    try:
        with (
            rasterio.Env(**_options(driver)),
            rasterio.open(path, driver=driver) as source,
        ):
            yield source
    except RasterioIOError as error:
        raise InputError(f"{path}: expected a readable {driver} file, found: {error}") from error


@dataclass
class _Kept:
    """An open file, which one thread at a time may use, and how many want to."""

    source: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


@contextmanager
def borrowed(path: str, driver: str) -> Iterator[Any]:
    """A file that is open or is opened, for this thread alone."""
    key = _key(path)
    with _turn:
        if key not in _kept:
            bound_cache()
            with rasterio.Env(**_options(driver)):
                _kept[key] = _Kept(rasterio.open(path, driver=driver))
        kept = _kept[key]
        kept.users += 1
        _kept.move_to_end(key)
        idle = [other for other in _kept if not _kept[other].users]
        _close(idle[: max(0, len(_kept) - OPEN_FILES)])
    try:
        with kept.lock:
            yield kept.source
    finally:
        with _turn:
            kept.users -= 1


def mask_of(source: Any) -> int | None:
    """Return the alpha band of an open file, 0 where it has a mask of its own, None without."""
    with _turn:
        if source not in _masks:
            colours = source.colorinterp
            alpha = colours.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colours else 0
            own = MaskFlags.per_dataset in source.mask_flag_enums[0]
            _masks[source] = alpha if own or alpha else None
        return _masks[source]


def _key(path: str) -> _Key:
    """A file as it is now: one that was written anew is another one."""
    try:
        found = os.stat(path)
    except OSError:  # in an archive, or gone
        return path, 0, 0
    return path, found.st_mtime_ns, found.st_size


def bound_cache() -> None:
    """Keep GDAL's blocks within `CACHE`, in the whole process.

    `rasterio.Env` would set it [bytes] for all threads and unset it for all at its end.
    """
    set_gdal_config("GDAL_CACHEMAX", CACHE << 20)


def forget(path: str) -> None:
    """Close a file unless another thread is at it."""
    with _turn:
        _close([key for key in _kept if key[0] == path and not _kept[key].users])


def close_files() -> None:
    """Close all files that nobody is at."""
    with _turn:
        _close([key for key in _kept if not _kept[key].users])


def _close(keys: list[_Key]) -> None:
    for key in keys:
        _kept.pop(key).source.close()


def _options(driver: str) -> dict[str, Any]:
    """Keep GDAL to the file itself; only ENVI needs the header beside it."""
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE" if driver == "ENVI" else "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
    }
