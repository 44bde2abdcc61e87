"""The canonical Dataset that every image reader returns, and the guard in front of it.

reflectance(band, y, x)   0-1, NaN where missing, `band` ids such as B2
sun_zenith_deg, view_zenith_deg, relative_azimuth_deg   scalars or (y, x) [degree]
scene_class(y, x)         codes of Sentinel-2's scene classification, where there are any
input_quality(y, x)       bits that the reader sets, where there are any
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute

from inversion.geometry import COLUMNS
from inversion.kernel import scene_mask
from inversion.naming import listing
from inversion.radiometry import Radiometry, check_reflectance
from inversion.readers.declaration import Declaration, option_of
from inversion.readers.rasters import Grid, Readable, cube, georeferenced
from physvae.errors import InputError, UsageError

LOG = logging.getLogger(__name__)
VEGETATION, SOIL, CLOUD, SHADOW, SNOW, WATER, UNKNOWN, NOTHING = 4, 5, 9, 3, 11, 6, 7, 0
"""Codes of Sentinel-2's scene classification, into which other products' masks are told."""
SAMPLE_SIDE, SAMPLE_WINDOWS = 256, 4
"""The guard looks at every other one of 4 x 4 windows of 256 x 256 pixels at most."""


def scene(
    bands: Mapping[str, Readable],
    grid: Grid,
    *,
    chunk: int,
    radiometry: Sequence[Radiometry],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Lay bands over a grid.

    Parameters
    ----------
    bands
        A layer for every band id.
    chunk
        Largest side of the blocks [pixel].
    radiometry
        How stored numbers became reflectance, a record for each different step.
    attributes
        What the product says of itself: sensor, platform, product, baseline.
    """
    values = cube(list(bands.values()), grid, chunk)
    dataset = xr.Dataset(
        {"reflectance": (("band", "y", "x"), values, {"units": "1"})},
        coords={"band": list(bands)},
        attrs={"radiometry": [asdict(step) for step in radiometry], **attributes},
    )
    return georeferenced(dataset, grid)


def add_classes(dataset: xr.Dataset, classes: Readable, grid: Grid, chunk: int) -> None:
    """Add the scene classes, with the place where they were read."""
    values = cube([classes], grid, chunk)[0]
    dataset["scene_class"] = (("y", "x"), values, {"source": classes.source})


def add_angles(
    dataset: xr.Dataset, angles: Mapping[str, Any], declared: Declaration, source: str
) -> None:
    """Add angles by their column names, with the place where they were read.

    What the user declares stands in for what is missing.
    """
    for name in COLUMNS.values():
        value = angles.get(name)
        given = declared.angles[name]
        about = {"units": "degree", "source": source}
        if isinstance(value, da.Array):
            dataset[name] = (("y", "x"), value, about)
        elif value is not None and np.isfinite(value):
            dataset[name] = ((), np.float32(value), about)
        elif given is not None:
            dataset[name] = ((), np.float32(given), about | {"source": option_of(name)})


def wanted_bands(found: Sequence[str], wanted: Sequence[str], source: str) -> list[str]:
    """Return the wanted bands that are there; note those that are not; refuse none.

    Raises
    ------
    InputError
        None of the wanted bands is there.
    """
    there = [band for band in wanted if band in found]
    absent = [band for band in wanted if band not in found]
    if not there:
        raise InputError(f"{source}: expected bands {listing(wanted)}, found {listing(found)}")
    if absent:
        LOG.warning("%s: no band %s; estimated from the rest", source, listing(absent))
    return there


def no_side(declared: Declaration, source: str) -> None:
    """Refuse a pixel side for a product that has one alone."""
    if declared.pixel is not None:
        raise UsageError(
            f"--pixel: expected none, {source} has pixels of one side; it is for Sentinel-2's own"
        )


def no_declared_bands(declared: Declaration, source: str) -> None:
    """Refuse options that a product answers itself."""
    given = {
        "--bands": declared.bands,
        "--scale": declared.scale,
        "--offset": declared.offset,
        "--nodata": declared.nodata,
        "--scl": declared.scene_classes,
    }
    said = [name for name, value in given.items() if value is not None]
    if said:
        raise UsageError(f"{listing(said)}: expected none, {source} has its own metadata")


def note_no_classes(source: str, names: str) -> None:
    """Say that the mask which the family delivers is not there, so that clouds are estimated."""
    LOG.warning("%s: no scene classes (%s); clouds and water are estimated too", source, names)


def guard(dataset: xr.Dataset, declared: Declaration, source: str) -> xr.Dataset:
    """Refuse reflectance whose scale or offset cannot be right, by windows over the image."""
    if not declared.check_radiometry:
        return dataset
    sample = _sample(dataset)
    spectra = np.concatenate([_spectra(part) for part in sample])
    land = None
    if "scene_class" in dataset and declared.keep_classes:
        classes = np.concatenate([part["scene_class"].to_numpy().ravel() for part in sample])
        land = ~scene_mask(classes, declared.keep_classes)
    bands = [str(band) for band in dataset["band"].to_numpy()]
    check_reflectance(spectra, bands, source=source, land=land)
    return dataset


def _sample(dataset: xr.Dataset) -> list[xr.Dataset]:
    """Windows over the image, computed; every other one of the board where both sides are long."""
    wanted = dataset[[name for name in ("reflectance", "scene_class") if name in dataset]]
    rows, columns = (_spread(wanted, axis) for axis in ("y", "x"))
    apart = 2 if len(rows) > 1 and len(columns) > 1 else 1
    board = ((i, j) for i in range(len(rows)) for j in range(len(columns)) if (i + j) % apart == 0)
    return list(compute(*(wanted.isel(y=rows[i], x=columns[j]) for i, j in board)))


def _spread(dataset: xr.Dataset, axis: str) -> list[slice]:
    """Windows spread over an axis, or all of it where it is short.

    They begin at multiples of their side, so that few lie in two tiles of a file.
    """
    length = dataset.sizes[axis]
    if length <= SAMPLE_SIDE * SAMPLE_WINDOWS:
        return [slice(0, length)]
    starts = np.linspace(0, length - SAMPLE_SIDE, SAMPLE_WINDOWS) // SAMPLE_SIDE * SAMPLE_SIDE
    return [slice(int(start), int(start) + SAMPLE_SIDE) for start in starts]


def _spectra(part: xr.Dataset) -> np.ndarray:
    """Spectra [pixel, band] of a window."""
    spectra = part["reflectance"].transpose("y", "x", "band").to_numpy()
    return spectra.reshape(-1, spectra.shape[-1])
