"""ENVI images: a raw file and its header, multispectral by names or narrow bands by wavelength.

Specification: ENVI header files (NV5 Geospatial documentation). Used: `wavelength` and its units,
`fwhm`, `bbl` (0 marks a bad band), `band names`, `reflectance scale factor`, `data ignore value`,
`map info` and `coordinate system string`. GeoTIFFs whose bands state their wavelength are read
the same way.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from inversion.naming import band_id, listing
from inversion.radiometry import Radiometry
from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from inversion.readers.metadata import as_number
from inversion.readers.rasters import Grid, Layer, grid_of
from inversion.readers.scene import add_angles, guard, scene, wanted_bands
from inversion.readers.spectrometer import in_order, same_step, spectral_scene
from physvae.errors import InputError

CHUNK = 256
SHORTEST, LONGEST = 400.0, 2500.0
NANOMETRES = {"nanometers": 1.0, "nm": 1.0, "micrometers": 1000.0, "um": 1000.0, "µm": 1000.0}
_FIELD = re.compile(r"^\s*([^=;{}\n]+?)\s*=\s*(\{[^}]*\}|[^\n]*)", re.MULTILINE)


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open an image lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        No pair of header and image, bands that are not known, no scale, or a wrong one.
    """
    image, header = pair(path)
    fields = read_header(header)
    step = _radiometry(fields, declaration, image)
    grid = grid_of(str(image), "ENVI")
    center = _numbers(fields, "wavelength", header)
    if len(center) > 0 and declaration.bands is None:
        dataset = spectral_image(image, header, fields, grid, step, bands, sensor, chunk or CHUNK)
    else:
        dataset = _named(image, fields, grid, step, declaration, bands, chunk or CHUNK)
    add_angles(dataset, {}, declaration)
    return guard(dataset, declaration, str(path))


def pair(path: Path) -> tuple[Path, Path]:
    """Return the image and its header, given either.

    Raises
    ------
    InputError
        One of them is not there.
    """
    if path.suffix.lower() == ".hdr":
        stem = path.with_suffix("")
        images = [
            stem,
            *(stem.with_suffix(s) for s in (".img", ".dat", ".bsq", ".bil", ".bip", ".raw")),
        ]
        found = next((image for image in images if image.is_file()), None)
        if found is None:
            raise InputError(f"{path}: expected the image {stem.name} beside it, found none")
        return found, path
    headers = (path.with_suffix(".hdr"), path.with_name(path.name + ".hdr"))
    header = next((h for h in headers if h.is_file()), None)
    if header is None:
        raise InputError(f"{path}: expected the header {headers[0].name} beside it, found none")
    return path, header


def read_header(header: Path) -> dict[str, str]:
    """Return the fields of a header by their lower-case names."""
    text = header.read_text("utf-8", errors="replace")[: 1 << 24]
    if not text.startswith("ENVI"):
        raise InputError(f"{header}: expected an ENVI header, found something else")
    return {name.lower(): value.strip(" {}\r\n\t") for name, value in _FIELD.findall(text)}


def tags_of(path: str) -> dict[str, str]:
    """Return wavelength and width of the bands of a GeoTIFF as fields, or none."""
    with opened(path, "GTiff") as source:
        tags = [source.tags(number) for number in source.indexes]
        imagery = [source.tags(number, ns="IMAGERY") for number in source.indexes]
    for parts, keys, unit in (
        (tags, ("wavelength", "fwhm"), None),
        (imagery, ("CENTRAL_WAVELENGTH_UM", "FWHM_UM"), "micrometers"),
    ):
        if all(key in part for part in parts for key in keys):
            units = unit or parts[0].get("wavelength_units", "nanometers")
            columns = [",".join(part[key] for part in parts) for key in keys]
            return {"wavelength": columns[0], "fwhm": columns[1], "wavelength units": units}
    return {}


def _radiometry(fields: dict[str, str], declared: Declaration, image: Path) -> Radiometry:
    ignore = fields.get("data ignore value")
    nodata = declared.nodata
    if nodata is None and ignore is not None:
        nodata = as_number(ignore, "data ignore value", str(image))
    if declared.scale is not None:
        return Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
    if "reflectance scale factor" in fields:
        what = "reflectance scale factor"
        return Radiometry(1 / as_number(fields[what], what, str(image)), 0.0, nodata, "the header")
    if fields.get("data type") in ("4", "5"):
        return Radiometry(1.0, declared.offset or 0.0, nodata)
    raise InputError(
        f"{image}: expected a reflectance scale factor in its header, found none;"
        " give --scale and --offset"
    )


def _numbers(fields: dict[str, str], name: str, header: Path) -> list[float]:
    return [as_number(t, name, str(header)) for t in fields.get(name, "").split(",") if t.strip()]


def spectral_image(
    image: Path, header: Path, fields: dict[str, str], grid: Grid, step: Radiometry,
    bands: tuple[str, ...], sensor: str, chunk: int, driver: str = "ENVI",
) -> xr.Dataset:  # fmt: skip
    """Open narrow bands lazily, seen as the bands of a sensor.

    Parameters
    ----------
    image, header
        The file with the numbers, and the one to name where a field is wrong.
    fields
        `wavelength`, `fwhm`, `wavelength units` and `bbl` as texts.
    step
        How stored numbers become reflectance.
    """
    center, fwhm = _centres(fields, header)
    good = _numbers(fields, "bbl", header) or [1.0] * len(center)
    use = [i for i, c in enumerate(center) if SHORTEST <= c <= LONGEST and good[i] > 0]
    missing = () if step.nodata is None else (step.nodata,)
    layers = [Layer(str(image), i + 1, driver, step.scale, step.offset, missing) for i in use]
    return spectral_scene(
        in_order(layers, [center[i] for i in use], [fwhm[i] for i in use]),
        grid,
        bands=bands,
        sensor=sensor,
        chunk=chunk,
        radiometry=same_step([step]),
        attributes={"product": image.name},
        source=str(image),
    )


def _centres(fields: dict[str, str], header: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and widths [nm]; a width that is not stated is the distance to the next."""
    unit = fields.get("wavelength units", "nanometers").strip().lower()
    if unit not in NANOMETRES:
        raise InputError(f"{header}: expected wavelength units nm or um, found {unit!r}")
    center = np.array(_numbers(fields, "wavelength", header)) * NANOMETRES[unit]
    fwhm = np.array(_numbers(fields, "fwhm", header)) * NANOMETRES[unit]
    if len(center) < 2:
        raise InputError(f"{header}: expected wavelengths of several bands, found {len(center)}")
    if len(fwhm) != len(center):
        fwhm = np.abs(np.gradient(center))
    return center, fwhm


def _named(
    image: Path, fields: dict[str, str], grid: Grid, step: Radiometry, declared: Declaration,
    bands: Sequence[str], chunk: int,
) -> xr.Dataset:  # fmt: skip
    texts = declared.bands or [text.strip() for text in fields.get("band names", "").split(",")]
    count = int(float(fields.get("bands", len(texts))))
    if len(texts) != count:
        raise InputError(
            f"{image}: expected {count} band names, found {len(texts)}; name them with --bands"
        )
    found = {b: i for i, text in enumerate(texts, 1) if (b := band_id(text, bands))}
    if not found:
        raise InputError(f"{image}: expected bands {listing(bands)}, found {listing(texts)}")
    missing = () if step.nodata is None else (step.nodata,)
    layers = {
        band: Layer(str(image), found[band], "ENVI", step.scale, step.offset, missing)
        for band in wanted_bands(list(found), bands, str(image))
    }
    return scene(layers, grid, chunk=chunk, radiometry=[step], attributes={"product": image.name})
