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
from rasterio.errors import RasterioIOError

from inversion.geometry import COLUMNS, relative_azimuth
from inversion.naming import ANGLES, any_angle_name, band_ids, counting, is_class, listing
from inversion.radiometry import Radiometry
from inversion.readers import filling
from inversion.readers.content import head
from inversion.readers.declaration import Declaration
from inversion.readers.envi import spectral_image, tags_of
from inversion.readers.filling import fillings
from inversion.readers.rasters import Layer, cuts, grid_of, masked
from inversion.readers.scene import add_angles, guard
from inversion.readers.scene_file import add_scene_file
from inversion.readers.wavelengths import names_win, spectrum
from physvae.errors import InputError, UsageError

LOG = logging.getLogger(__name__)
SCENE_CLASS = "SCL"
SIDE = 256
"""Side of a block [pixel] where none is asked for."""


@dataclass(frozen=True)
class Layout:
    """Which band of the file is what (numbers count from 1), and how it becomes reflectance."""

    path: str
    bands: dict[str, int]
    angles: dict[str, int]
    scene_class: int | None
    radiometry: Radiometry
    missing: tuple[tuple[float, ...], ...]
    angle_steps: tuple[tuple[float, float], ...] = ()


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
    dataset = _narrow(path, declaration, bands, sensor, chunk or SIDE)
    if dataset is None:
        with _open(path) as source:
            layout = _layout(source, path, declaration, bands)
            dataset = _dataset(source, layout, declaration, chunk)
    add_scene_file(dataset, declaration)
    return guard(dataset, declaration, str(path))


def _narrow(
    path: Path, declared: Declaration, bands: Sequence[str], sensor: str, chunk: int
) -> xr.Dataset | None:
    """Read the image of a spectrometer, whose bands state wavelengths; None where it is none."""
    if declared.bands is not None:
        return None
    with _open(path) as source:
        names = [text or "" for text in source.descriptions]
        tags = tags_of(str(path), names)
        named = set(band_ids(names, bands)) & set(bands)
        if not tags.center or (named and len(tags.center) < source.count):
            return None
        stated = spectrum(tags.center, tags.fwhm, tags.unit, source.count, str(path))
        if names_win(names, stated, bands, sensor, str(path)):
            return None
        step = _radiometry(source, path, declared, source.indexes)
        layers = [
            Layer(
                str(path), number, "GTiff", step.scale, step.offset,
                _fillings(source, number, declared, zero=False),
            )
            for number in source.indexes
        ]  # fmt: skip
    grid = grid_of(str(path))
    dataset = spectral_image(
        layers, stated, tags.good, grid, [step], tuple(bands), sensor, chunk, str(path)
    )
    add_angles(dataset, {}, declared, "")
    return dataset


def _fillings(source: Any, number: int, declared: Declaration, *, zero: bool) -> tuple[float, ...]:
    nodata = source.nodatavals[number - 1] if declared.nodata is None else declared.nodata
    return fillings(source.dtypes[number - 1], [nodata], zero=zero)


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
            f"{path}: expected bands {listing(known)}, found {listing(names)}{counting(names)};"
            " name the file's bands with --bands"
        )
    angles = {name: numbered[name] for name in ANGLES if name in numbered}
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
        missing=tuple(_fillings(source, n, declared, zero=True) for n in bands.values()),
        angle_steps=tuple((source.scales[n - 1], source.offsets[n - 1]) for n in angles.values()),
    )


def _names(source: Any, path: Path, declared: Declaration) -> list[str]:
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
    names = _understood([text or "" for text in texts])
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected every band once, found twice: {listing(twice)}")
    return names


def _understood(texts: Sequence[str]) -> list[str]:
    """Return the names of bands, of angles and of the scene classes as we call them."""
    ids = band_ids(texts)
    return [
        band or any_angle_name(text) or (SCENE_CLASS if is_class(text) else text.strip())
        for band, text in zip(ids, texts, strict=True)
    ]


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
    angles = {name: blocks[last + index] for index, name in enumerate(layout.angles)}
    _add_angles(dataset, angles, declared, layout.path)
    if layout.scene_class is not None:
        where = f"band {layout.scene_class} of {Path(layout.path).name}"
        dataset["scene_class"] = (("y", "x"), blocks[-1], {"source": where})
    dataset.attrs["radiometry"] = vars(layout.radiometry)
    return _georeferenced(dataset, source)


def _add_angles(
    dataset: xr.Dataset, angles: dict[str, Any], declared: Declaration, source: str
) -> None:
    """Add the angles of the file's bands, else those declared; note what is missing."""
    relative = relative_azimuth(angles)
    if relative is not None:
        angles = {COLUMNS["psi"]: relative} | angles
    add_angles(dataset, angles, declared, f"bands of {Path(source).name}")
    unknown = [name for name in COLUMNS.values() if name not in dataset]
    if unknown:
        LOG.warning("%s: no %s; the model averages over what is missing", source, listing(unknown))


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
            hidden = ~np.isfinite(masked(source, 1, np.zeros(stored.shape[1:]), (rows, columns)))
        except RasterioIOError as error:
            raise InputError(f"{layout.path}: a block cannot be read, {error}") from error
        tags = [source.nodatavals[number - 1] for number in numbers]
    block = np.empty(stored.shape, np.float32)
    last, others = len(layout.bands), len(layout.angles)
    for index in range(last):
        block[index] = _to_reflectance(stored[index], layout.radiometry, layout.missing[index])
    for index in range(last, len(numbers)):
        layer = stored[index].astype(np.float32)
        is_angle = index < last + others
        none = fillings(stored.dtype if is_angle else np.bool_, [tags[index]], zero=False)
        layer[filling.missing(stored[index], none)] = np.nan
        scale, offset = layout.angle_steps[index - last] if is_angle else (1.0, 0.0)
        block[index] = layer * scale + offset
    block[:, hidden] = np.nan
    return block


def _to_reflectance(
    stored: np.ndarray, radiometry: Radiometry, missing: tuple[float, ...]
) -> np.ndarray:
    """Apply no data, then scale and offset."""
    empty = ~np.isfinite(stored) | filling.missing(stored, missing)
    reflectance = stored * np.float64(radiometry.scale) + radiometry.offset
    return np.where(empty, np.nan, reflectance).astype(np.float32)
