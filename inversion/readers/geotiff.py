"""GeoTIFF (COGs included) by declaration: what the file does not say is asked for, never guessed.

Bands are known by their descriptions or `--bands`, the step from stored numbers to reflectance
by the file's own scale and offset or `--scale` and `--offset`. Pixels are read lazily, block by
block, each by its own handle, with no other driver than GTiff, no side file and no network.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import rasterio
import xarray as xr
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.vrt import WarpedVRT

from inversion.geometry import COLUMNS
from inversion.naming import angle_name, band_id, listing
from inversion.radiometry import Radiometry
from inversion.readers.content import head
from inversion.readers.declaration import Declaration
from inversion.readers.envi import spectral_image, tags_of
from inversion.readers.rasters import cuts, grid_of
from inversion.readers.scene import add_angles, guard
from physvae.errors import InputError, UsageError

LOG = logging.getLogger(__name__)
SCENE_CLASS = "SCL"
SPECTRAL_LEAST = 20
"""Bands from which an image that states wavelengths is a spectrometer's."""
SIDE = 256
"""Side of a block [pixel] where none is asked for."""
FILLINGS = (0, 65535)
"""Stored integers that mean no data in every Sentinel-2 product, whatever the file's tag says."""


@dataclass(frozen=True)
class Layout:
    """Which band of the file is what (numbers count from 1), and how it becomes reflectance."""

    path: str
    bands: dict[str, int]
    angles: dict[str, int]
    scene_class: int | None
    radiometry: Radiometry
    angle_scales: tuple[float, ...] = ()


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: Sequence[str],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open an image lazily as the canonical Dataset.

    Parameters
    ----------
    path
        The GeoTIFF.
    declaration
        What the user says about it.
    bands
        The band ids the model knows; other bands of the file are left aside.
    sensor
        What the model is made for; the file is taken to be of it.
    chunk
        Largest side of the blocks [pixel] in which the image is read; 0 is 256.

    Raises
    ------
    InputError
        Not a GeoTIFF, bands or scale not known, or a reflectance that cannot be right.
    """
    narrow = _narrow(path, declaration, bands, sensor, chunk or SIDE)
    if narrow is not None:
        return guard(narrow, declaration, str(path))
    with _open(path) as source:
        layout = _layout(source, path, declaration, bands)
        dataset = _dataset(source, layout, declaration, chunk)
    if declaration.scene_classes is not None:
        dataset["scene_class"] = _scene_file(Path(declaration.scene_classes), dataset)
    return guard(dataset, declaration, str(path))


def _narrow(
    path: Path, declared: Declaration, bands: Sequence[str], sensor: str, chunk: int
) -> xr.Dataset | None:
    """Read the image of a spectrometer, whose bands state wavelengths; None where it is none."""
    with _open(path) as source:
        known = {_name(text or "") for text in source.descriptions} & set(bands)
        if source.count < SPECTRAL_LEAST or known or declared.bands is not None:
            return None
        fields = tags_of(str(path))
        if not fields:
            return None
        radiometry = _radiometry(source, path, declared, [1])
    grid = grid_of(str(path))
    dataset = spectral_image(
        path, path, fields, grid, radiometry, tuple(bands), sensor, chunk, "GTiff"
    )
    add_angles(dataset, {}, declared)
    return dataset


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a file with the GTiff driver alone, its neighbours in the folder unseen."""
    if head(path)[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise InputError(f"{path}: expected a GeoTIFF, found something else")
    try:
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(path, driver="GTiff") as source,
        ):
            yield source
    except RasterioIOError as error:
        raise InputError(f"{path}: expected a readable GeoTIFF, found: {error}") from error


def _layout(source: Any, path: Path, declared: Declaration, known: Sequence[str]) -> Layout:
    names = _names(source, path, declared)
    numbered = {name: number for number, name in enumerate(names, start=1) if name}
    bands = {band: numbered[band] for band in known if band in numbered}
    if not bands:
        raise InputError(
            f"{path}: expected bands {listing(known)}, found {listing(names)};"
            " name the file's bands with --bands"
        )
    angles = {name: numbered[name] for name in COLUMNS.values() if name in numbered}
    if any(np.dtype(dtype).kind == "c" for dtype in source.dtypes):
        raise InputError(f"{path}: expected real numbers, found {source.dtypes[0]}")
    radiometry = _radiometry(source, path, declared, list(bands.values()))
    absent = [band for band in known if band not in bands]
    if absent:
        LOG.warning("%s: no band %s; estimated from the rest", path, listing(absent))
    return Layout(
        path=str(path),
        bands=bands,
        angles=angles,
        scene_class=numbered.get(SCENE_CLASS),
        radiometry=radiometry,
        angle_scales=tuple(source.scales[number - 1] for number in angles.values()),
    )


def _names(source: Any, path: Path, declared: Declaration) -> list[str | None]:
    """Name every band of the file by its description or by the declaration."""
    if declared.bands is not None and len(declared.bands) != source.count:
        raise UsageError(
            f"--bands: expected {source.count} names, as many as {path.name} has bands,"
            f" got {len(declared.bands)}"
        )
    texts = declared.bands if declared.bands is not None else source.descriptions
    if not any(texts):
        raise InputError(
            f"{path}: expected band descriptions, found none in its {source.count} bands; name"
            " them in their order, for example --bands B2,B3,B4,B8"
        )
    names = [_name(text or "") for text in texts]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected every band once, found twice: {listing(twice)}")
    return names


def _name(text: str) -> str | None:
    if text.strip().upper() == SCENE_CLASS:
        return SCENE_CLASS
    return band_id(text) or angle_name(text) or text.strip() or None


def _radiometry(
    source: Any, path: Path, declared: Declaration, numbers: Sequence[int]
) -> Radiometry:
    """Settle scale, offset and no data: declared, else the file's, else float as it is."""
    stored = {(source.scales[n - 1], source.offsets[n - 1]) for n in numbers}
    nodata = source.nodata if declared.nodata is None else declared.nodata
    if len(stored) > 1 and declared.scale is None:
        raise InputError(
            f"{path}: expected one scale and offset for all bands, found"
            f" {listing(sorted(stored))}; give --scale and --offset"
        )
    scale, offset = next(iter(stored))
    if (scale, offset) != (1.0, 0.0) and (declared.scale is None) != (declared.offset is None):
        raise UsageError(
            f"--scale and --offset: expected both or none, since {path.name} has its own"
            f" ({scale:g} and {offset:g}), got one"
        )
    if declared.scale is not None:
        said = Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
    elif (scale, offset) != (1.0, 0.0):
        said = Radiometry(scale, offset, nodata, "the file's metadata")
        LOG.warning("%s: scale %g and offset %g, as the file says", path, scale, offset)
    elif any(np.dtype(source.dtypes[n - 1]).kind != "f" for n in numbers):
        raise InputError(
            f"{path}: expected a scale for {source.dtypes[numbers[0] - 1]} numbers, found none in"
            " the file; give --scale and --offset (for Sentinel-2 --scale 0.0001, and"
            " --offset -0.1 from processing baseline 04.00 on)"
        )
    else:
        said = Radiometry(1.0, declared.offset or 0.0, nodata)
    return said


def _dataset(source: Any, layout: Layout, declared: Declaration, chunk: int) -> xr.Dataset:
    """Lay lazily read blocks over the grid of the file."""
    numbers = [*layout.bands.values(), *layout.angles.values()]
    if layout.scene_class is not None:
        numbers.append(layout.scene_class)
    side = min(chunk or SIDE, _quarter(source.height, source.width))
    rows, columns = cuts(source.height, side), cuts(source.width, side)
    blocks = da.map_blocks(
        _block,
        layout=layout,
        numbers=tuple(numbers),
        chunks=((len(numbers),), rows, columns),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    last = len(layout.bands)
    dataset = xr.Dataset(
        {"reflectance": (("band", "y", "x"), blocks[:last], {"units": "1"})},
        coords={"band": list(layout.bands), **_coordinates(source)},
    )
    for name, value in declared.angles.items():
        if name in layout.angles:
            layer = blocks[last + list(layout.angles).index(name)]
            dataset[name] = (("y", "x"), layer, {"units": "degree"})
        elif value is not None:
            dataset[name] = ((), value, {"units": "degree"})
    unknown = [name for name in declared.angles if name not in dataset]
    if unknown:
        LOG.warning(
            "%s: no %s; the model averages over what is missing", layout.path, listing(unknown)
        )
    if layout.scene_class is not None:
        dataset["scene_class"] = (("y", "x"), blocks[-1])
    dataset.attrs["radiometry"] = vars(layout.radiometry)
    return _georeferenced(dataset, source)


def _quarter(height: int, width: int) -> int:
    """Return the side of blocks, a multiple of 16, that give a small image to several cores."""
    return max(64, -(-max(height, width) // 32) * 16)


def _coordinates(source: Any) -> dict[str, Any]:
    """Return the centres of the columns and rows, or nothing where the grid is rotated."""
    transform = source.transform
    if transform.b or transform.d:
        return {}
    x = transform.c + transform.a * (np.arange(source.width) + 0.5)
    y = transform.f + transform.e * (np.arange(source.height) + 0.5)
    return {"y": y, "x": x}


def _georeferenced(dataset: xr.Dataset, source: Any) -> xr.Dataset:
    import rioxarray  # noqa: F401 registers the accessor `rio`

    if source.crs is None:
        LOG.warning("%s: no coordinate reference system; the result has none either", source.name)
        return dataset.rio.write_transform(source.transform)
    georeferenced = dataset.rio.write_crs(source.crs).rio.write_transform(source.transform)
    return georeferenced.rio.write_coordinate_system()


def _block(*, layout: Layout, numbers: tuple[int, ...], block_info: Any = None) -> np.ndarray:
    """Read one block: reflectance, angles, scene class, each with its own idea of no data."""
    (_, rows, columns) = block_info[None]["array-location"]
    with _open(Path(layout.path)) as source:
        try:
            stored = source.read(list(numbers), window=(rows, columns))
        except RasterioIOError as error:
            raise InputError(f"{layout.path}: a block cannot be read, {error}") from error
        tags = [source.nodatavals[number - 1] for number in numbers]
    block = np.empty(stored.shape, np.float32)
    last, others = len(layout.bands), len(layout.angles)
    block[:last] = _to_reflectance(stored[:last], layout.radiometry)
    for index in range(last, len(numbers)):
        layer = stored[index].astype(np.float32)
        layer[stored[index] == tags[index]] = np.nan
        scale = layout.angle_scales[index - last] if index < last + others else 1.0
        block[index] = layer * scale
    return block


def _to_reflectance(stored: np.ndarray, radiometry: Radiometry) -> np.ndarray:
    """Apply no data, then scale and offset; in integers the customary fillings are no data too."""
    missing = ~np.isfinite(stored)
    if radiometry.nodata is not None:
        missing |= stored == radiometry.nodata
    if stored.dtype.kind in "iu":
        for filling in FILLINGS:
            missing |= stored == filling
    reflectance = stored * np.float64(radiometry.scale) + radiometry.offset
    return np.where(missing, np.nan, reflectance).astype(np.float32)


def _scene_file(path: Path, dataset: xr.Dataset) -> xr.DataArray:
    """Read scene classes onto the grid of the image, each pixel the class it lies in."""
    reflectance = dataset["reflectance"]
    crs, transform = dataset.rio.crs, dataset.rio.transform()
    height, width = reflectance.sizes["y"], reflectance.sizes["x"]
    with _open(path) as source:
        if source.crs is None or crs is None:
            raise InputError(f"{path}: expected a coordinate reference system, found none")
        with WarpedVRT(
            source,
            crs=crs,
            transform=transform,
            height=height,
            width=width,
            resampling=Resampling.nearest,
            nodata=0,
        ) as warped:
            classes = warped.read(1)
    if not classes.any():
        raise InputError(f"{path}: expected scene classes over the image, found none there")
    chunks = {axis: reflectance.chunksizes[axis] for axis in ("y", "x")}
    return xr.DataArray(classes, dims=("y", "x")).chunk(chunks)
