"""ENVI images: a raw file and its header, multispectral by names or narrow bands by wavelength.

Specification: ENVI header files (NV5 Geospatial documentation). Used: `wavelength` and its units,
`fwhm`, `bbl` (0 marks a bad band), `band names`, `reflectance scale factor`, `data gain values`
and `data offset values` (those of reflectance first), `data ignore value`, `map info` and
`coordinate system string`. GeoTIFFs whose bands state their wavelength are read the same way.
"""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from inversion.naming import band_ids, counting, listing
from inversion.radiometry import Radiometry
from inversion.readers.declaration import Declaration
from inversion.readers.envi_raw import Raw, RawLayer, open_raw
from inversion.readers.filling import fillings
from inversion.readers.handles import opened
from inversion.readers.metadata import as_number
from inversion.readers.rasters import Grid, Layer, Readable, grid_of
from inversion.readers.scene import add_angles, guard, scene, wanted_bands
from inversion.readers.scene_file import add_scene_file
from inversion.readers.spectrometer import in_order, same_step, spectral_scene
from inversion.readers.wavelengths import Spectrum, names_win, of_names, spectrum, usable
from physvae.errors import InputError, UsageError

CHUNK = 256
HEADER_MAX = 1 << 24
_FIELD = re.compile(r"^\s*([^=;{}\n]+?)\s*=\s*(\{[^}]*\}|[^\n]*)", re.MULTILINE)
_GAINS = (
    ("data reflectance gain values", "data reflectance offset values"),
    ("data gain values", "data offset values"),
)


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
    grid, count, dtype, raw = _stored(image, header, fields)
    steps = _radiometry(fields, declaration, image, count, dtype)
    names = _names(fields, declaration, image, count)
    stated = None if declaration.bands else _spectrum(fields, names, header)
    side = chunk or CHUNK
    if stated is None or names_win(names, stated, bands, sensor, str(header)):
        layers = _layers(image, raw, steps, dtype, zero=True)
        dataset = _named(image, layers, grid, steps, names, bands, side)
    else:
        good = _good(fields, header, count)
        layers = _layers(image, raw, steps, dtype, zero=False)
        dataset = spectral_image(
            layers, stated, good, grid, steps, bands, sensor, side, str(image)
        )
    add_angles(dataset, {}, declaration, "")
    add_scene_file(dataset, declaration)
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
    """Return the fields of a header by their lower-case names, whatever its encoding."""
    text = _decoded(header.read_bytes()[:HEADER_MAX])
    if not text.lstrip().startswith("ENVI"):
        raise InputError(f"{header}: expected an ENVI header, found something else")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return {name.lower(): value.strip(" {}\r\n\t") for name, value in _FIELD.findall(text)}


def _decoded(content: bytes) -> str:
    """Return text in UTF-8, UTF-16 with its mark, or else Latin-1."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


class Tags(NamedTuple):
    """What the bands of a GeoTIFF state: wavelengths, widths, their unit, and which are good."""

    center: list[float]
    fwhm: list[float]
    unit: str
    good: list[bool]


def tags_of(path: str, names: Sequence[str]) -> Tags:
    """Return what the bands of a GeoTIFF state by their tags or names.

    Wavelengths of bands that state none are left out.
    """
    with opened(path, "GTiff") as source:
        tags = [_lower(source.tags(number)) for number in source.indexes]
        imagery = [_lower(source.tags(number, ns="IMAGERY")) for number in source.indexes]
    good = [tag.get("good", tag.get("bbl", "1")).strip() not in ("0", "0.0") for tag in tags]
    for parts, keys, unit in (
        (tags, ("wavelength", "fwhm"), None),
        (imagery, ("central_wavelength_um", "fwhm_um"), "micrometers"),
    ):
        if any(keys[0] in part for part in parts):
            center, fwhm = ([as_number(p[k], k, path) for p in parts if k in p] for k in keys)
            units = next((p["wavelength_units"] for p in parts if "wavelength_units" in p), "")
            return Tags(center, fwhm, unit or units, good)
    numbers, unit = of_names(names)
    return Tags(numbers, [], unit, good)


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


def _stored(
    image: Path, header: Path, fields: dict[str, str]
) -> tuple[Grid, int, str, Raw | None]:
    """Return where the pixels lie, how many bands there are, and the type of their numbers."""
    if header.read_bytes()[:4] == b"ENVI":
        grid, raw = grid_of(str(image), "ENVI"), None
        with opened(str(image), "ENVI") as source:
            count, dtype = source.count, source.dtypes[0]
    else:
        grid, raw = open_raw(image, fields)
        count, dtype = raw.shape[0], np.dtype(raw.dtype).name
    if np.dtype(dtype).kind == "c":
        raise InputError(f"{image}: expected real numbers, found {dtype}")
    return grid, count, dtype, raw


def _radiometry(
    fields: dict[str, str], declared: Declaration, image: Path, count: int, dtype: str
) -> list[Radiometry]:
    """Settle scale, offset and no data of every band: declared, else the header's."""
    ignore = fields.get("data ignore value")
    nodata = declared.nodata
    if nodata is None and ignore is not None:
        nodata = as_number(ignore, "data ignore value", str(image))
    if declared.scale is not None:
        step = Radiometry(declared.scale, declared.offset or 0.0, nodata, "--scale and --offset")
        return [step] * count
    steps = _stated_steps(fields, image, count, nodata)
    if steps:
        return steps
    if np.dtype(dtype).kind == "f":
        return [Radiometry(1.0, declared.offset or 0.0, nodata)] * count
    raise InputError(
        f"{image}: expected a reflectance scale factor in its header, found none;"
        " give --scale and --offset"
    )


def _stated_steps(
    fields: dict[str, str], image: Path, count: int, nodata: float | None
) -> list[Radiometry]:
    """Return what the header states, or nothing."""
    what = "reflectance scale factor"
    gains, offsets = next((pair for pair in _GAINS if pair[0] in fields), ("", ""))
    if what in fields and not gains.startswith("data reflectance"):
        scale = as_number(fields[what], what, str(image))
        if not scale > 0:
            raise InputError(f"{image}: expected a {what} above 0, got {scale:g}")
        return [Radiometry(1 / scale, 0.0, nodata, "the header")] * count
    if not gains:
        return []
    scales, adds = _numbers(fields, gains, image), _numbers(fields, offsets, image)
    adds = adds or [0.0] * count
    if len(scales) != count or len(adds) != count:
        raise InputError(f"{image}: expected {count} {gains}, as many as bands, got {len(scales)}")
    if min(scales) <= 0 or max(map(abs, adds)) > 1:
        raise InputError(
            f"{image}: expected {gains} above 0 and offsets of reflectance, got"
            f" {min(scales):g} and {max(adds, key=abs):g}; give --scale and --offset"
        )
    return [
        Radiometry(scale, add, nodata, f"the header's {gains}")
        for scale, add in zip(scales, adds, strict=True)
    ]


def _numbers(fields: dict[str, str], name: str, header: Path) -> list[float]:
    return [as_number(t, name, str(header)) for t in fields.get(name, "").split(",") if t.strip()]


def _spectrum(fields: dict[str, str], names: Sequence[str], header: Path) -> Spectrum | None:
    """Return the wavelengths that the header or the band names state, or None."""
    numbers, unit = _numbers(fields, "wavelength", header), fields.get("wavelength units", "")
    if not numbers:
        numbers, unit = of_names(names)
    if not numbers:
        return None
    widths = _numbers(fields, "fwhm", header)
    return spectrum(numbers, widths, unit, len(names), str(header))


def _good(fields: dict[str, str], header: Path, count: int) -> list[bool]:
    """Say which bands the header does not call bad."""
    good = _numbers(fields, "bbl", header)
    if good and len(good) != count:
        raise InputError(f"{header}: expected {count} numbers in bbl, got {len(good)}")
    return [number > 0 for number in good] or [True] * count


def _layers(
    image: Path, raw: Raw | None, steps: Sequence[Radiometry], dtype: str, *, zero: bool
) -> list[Readable]:
    """Return a layer for every band of the file."""
    missing = fillings(dtype, [steps[0].nodata], zero=zero)
    if raw is not None:
        numbered = enumerate(steps, start=1)
        return [RawLayer(raw, number, s.scale, s.offset, missing) for number, s in numbered]
    return [
        Layer(str(image), number, "ENVI", step.scale, step.offset, missing)
        for number, step in enumerate(steps, start=1)
    ]


def spectral_image(
    layers: Sequence[Readable], stated: Spectrum, good: Sequence[bool], grid: Grid,
    steps: Sequence[Radiometry], bands: tuple[str, ...], sensor: str, chunk: int, source: str,
) -> xr.Dataset:  # fmt: skip
    """Open narrow bands lazily, seen as the bands of a sensor.

    Parameters
    ----------
    layers, stated, good, steps
        A layer, a wavelength, whether it can be used, and how its numbers become reflectance, for
        every band of the file.
    source
        The file to name where a wavelength is wrong.
    """
    use = usable(stated, good, source)
    return spectral_scene(
        in_order([layers[i] for i in use], stated.center[use].tolist(), stated.fwhm[use].tolist()),
        grid,
        bands=bands,
        sensor=sensor,
        chunk=chunk,
        radiometry=same_step(steps),
        attributes={"product": Path(source).name},
        source=source,
    )


def _names(fields: dict[str, str], declared: Declaration, image: Path, count: int) -> list[str]:
    """Return the names of the bands; without, they only count."""
    stated = [text.strip() for text in fields.get("band names", "").split(",") if text.strip()]
    names = list(declared.bands or stated or [f"Band {i}" for i in range(1, count + 1)])
    if len(names) != count:
        kind = UsageError if declared.bands else InputError
        raise kind(
            f"{image}: expected {count} band names, found {len(names)}; name them with --bands"
        )
    return names


def _named(
    image: Path, layers: Sequence[Readable], grid: Grid, steps: Sequence[Radiometry],
    names: Sequence[str], bands: Sequence[str], chunk: int,
) -> xr.Dataset:  # fmt: skip
    found = {band: index for index, band in enumerate(band_ids(names, bands)) if band}
    if not set(found) & set(bands):
        raise InputError(
            f"{image}: expected bands {listing(bands)}, found {listing(names)}{counting(names)};"
            " name the file's bands with --bands"
        )
    wanted = wanted_bands(list(found), bands, str(image))
    return scene(
        {band: layers[found[band]] for band in wanted},
        grid,
        chunk=chunk,
        radiometry=list(dict.fromkeys(steps[found[band]] for band in wanted)),
        attributes={"product": image.name},
    )
