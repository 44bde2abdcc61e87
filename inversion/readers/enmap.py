"""EnMAP L2A, as the folder or zip archive that DLR delivers.

    ρ = DN · GainOfBand + OffsetOfBand,   backgroundValue taken out first

Specification: EnMAP Ground Segment, HSI Product Specification Level 1/Level 2,
EN-PCV-ICD-2009-2. Reflectance of land in *-SPECTRAL_IMAGE.TIF with wavelength, width, gain and
offset of each band in *-METADATA.XML; clouds, shadow and snow in *-QL_QUALITY_*.TIF.
"""

from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from inversion.geometry import fold
from inversion.radiometry import Radiometry
from inversion.readers.content import Product, product
from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from inversion.readers.metadata import Metadata, as_number, read_xml
from inversion.readers.rasters import Grid, Layer, cube, grid_of, ratio
from inversion.readers.scene import (
    CLOUD,
    SHADOW,
    SNOW,
    VEGETATION,
    WATER,
    add_angles,
    guard,
    no_declared_bands,
    note_no_classes,
)
from inversion.readers.spectrometer import Narrow, in_order, same_step, spectral_scene
from physvae.errors import InputError

CHUNK = 256
FILL = -32768.0
MASKS = {"CLASSES": WATER, "SNOW": SNOW, "CLOUDSHADOW": SHADOW, "CIRRUS": CLOUD, "CLOUD": CLOUD}
"""Quality layers by what they say; of CLASSES only water (2) is told. The last one wins."""


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a product lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        Not an EnMAP L2A product, incomplete, or reflectance that cannot be right.
    """
    folder = product(path.parent if path.suffix.lower() == ".xml" else path)
    no_declared_bands(declaration, path.name)
    about = read_xml(folder, folder.one("-METADATA.XML"))
    level = about.need("base/level", "level")
    if level != "L2A":
        raise InputError(f"{path}: expected an EnMAP product of level L2A, found {level}")
    image = folder.raster(folder.one("-SPECTRAL_IMAGE.TIF"))
    grid = grid_of(image)
    narrow, steps = _narrow(about, image)
    dataset = spectral_scene(
        narrow,
        grid,
        bands=bands,
        sensor=sensor,
        chunk=chunk or CHUNK,
        radiometry=same_step(steps),
        attributes={
            "product": path.name,
            "sensor": "enmap",
            "acquired": about.get("temporalCoverage/startTime") or "",
        },
        source=str(path),
    )
    classes = _classes(folder, grid, chunk or CHUNK)
    if classes is None:
        note_no_classes(str(path), "*-QL_QUALITY_CLOUD.TIF and the others")
    else:
        where = "*-QL_QUALITY_*.TIF"
        dataset["scene_class"] = (("y", "x"), classes, {"source": where})
    add_angles(dataset, _angles(about), declaration, about.name)
    return guard(dataset, declaration, str(path))


def _narrow(about: Metadata, image: str) -> tuple[Narrow, list[Radiometry]]:
    """Read wavelength, width, gain and offset of each band; those without data are skipped."""
    stated = about.get("specific/backgroundValue", "backgroundValue") or str(FILL)
    fill = as_number(stated, "backgroundValue", about.source)
    layers, center, fwhm, steps = [], [], [], []
    with opened(image, "GTiff") as source:
        count = source.count
    parts = list(about.all("bandCharacterisation/bandID"))
    if len(parts) < count:
        raise InputError(
            f"{about.source}: expected {count} bands in bandCharacterisation, found {len(parts)}"
        )
    expected = {
        int(as_number(text, "expectedChannelsList", about.source))
        for entry in about.all("expectedChannelsList")
        for text in entry.text.split(",")
        if text.strip()
    }
    numbers = [part.index("number") for part in parts[:count]]
    if sorted(numbers) != list(range(1, count + 1)):
        raise InputError(f"{about.source}: expected every bandID from 1 to {count} once")
    for number, part in zip(numbers, parts, strict=False):
        if expected and number not in expected:
            continue
        offset = as_number(part.get("OffsetOfBand") or "0", "OffsetOfBand", about.source)
        gain = part.number("GainOfBand", low=1e-9, high=10)
        if abs(offset) > 1:
            raise InputError(f"{about.source}: expected OffsetOfBand within 1, found {offset:g}")
        step = Radiometry(gain, offset, fill, "METADATA.XML")
        layers.append(Layer(image, number, "GTiff", step.scale, step.offset, (fill,)))
        center.append(part.number("wavelengthCenterOfBand", low=100, high=20_000))
        fwhm.append(part.number("FWHMOfBand", low=1e-3, high=1000))
        steps.append(step)
    return in_order(layers, center, fwhm), steps


def _angles(about: Metadata) -> dict[str, float]:
    """Angles of the scene's centre."""
    sun = about.number("sunElevationAngle/center", "sunElevationAngle", low=-90, high=90)
    found = {"sun_zenith_deg": 90.0 - sun}
    view = about.get("viewingZenithAngle/center", "acrossOffNadirAngle/center")
    if view is not None:
        found["view_zenith_deg"] = abs(as_number(view, "viewingZenithAngle", about.source))
    azimuths = [about.get(f"{name}AzimuthAngle/center") for name in ("sun", "viewing")]
    if all(azimuths):
        sun_azimuth, view_azimuth = (as_number(a or "", "azimuth", about.source) for a in azimuths)
        found["relative_azimuth_deg"] = float(fold(np.float64(sun_azimuth - view_azimuth)))
    return found


def _classes(folder: Product, grid: Grid, chunk: int) -> da.Array | None:
    codes, layers = [], []
    for kind, code in MASKS.items():
        names = folder.find(f"-QL_QUALITY_{kind}.TIF")
        if len(names) == 1:
            at = folder.raster(names[0])
            layers.append(Layer(at, ratio=ratio(grid_of(at), grid, at)))
            codes.append((kind, code))
    if not layers:
        return None
    return da.map_blocks(
        _scene_class, cube(layers, grid, chunk), codes=tuple(codes), drop_axis=0,
        dtype=np.float32, meta=np.empty((0, 0), np.float32),
    )  # fmt: skip


def _scene_class(masks: np.ndarray, codes: tuple[tuple[str, int], ...]) -> np.ndarray:
    out = np.full(masks.shape[1:], VEGETATION, np.float32)
    for (kind, code), mask in zip(codes, masks, strict=True):
        out[mask == 2 if kind == "CLASSES" else mask > 0] = code
    return out
