"""What people call a band or an angle, and what we call it."""

import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from inversion.geometry import COLUMNS
from rtm import GEOMETRY
from rtm.parameters import bare_angle, canonical

_BAND = re.compile(r"B(?:AND)?[ _-]?0*(\d{1,2})(A?)", re.IGNORECASE)
_COUNTED = re.compile(r"(?:BAND[ _-]?)?([1-9]\d*)", re.IGNORECASE)
_SENTINEL2 = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "rededge1": "B5",
    "rededge2": "B6", "rededge3": "B7", "rededge071": "B5", "rededge075": "B6",
    "rededge078": "B7", "nir": "B8", "nir08": "B8A", "nir09": "B9", "swir16": "B11",
    "swir22": "B12",
}  # fmt: skip
_LANDSAT = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "nir08": "B5", "nir": "B5",
    "swir16": "B6", "swir22": "B7",
}  # fmt: skip
COMMON_NAMES = MappingProxyType(
    {"sentinel-2": _SENTINEL2, "landsat-8": _LANDSAT, "landsat-9": _LANDSAT}
)
"""Common names of STAC's extension eo, by the series of the sensor: one name, another band."""
_AZIMUTHS = {
    "sun_azimuth_deg": ("saa", "sun_azimuth", "solar_azimuth"),
    "view_azimuth_deg": ("vaa", "oaa", "view_azimuth", "viewing_azimuth", "sensor_azimuth"),
}
_AZIMUTH_NAMES = {also: azimuth for azimuth, names in _AZIMUTHS.items() for also in names}
ANGLES = (*COLUMNS.values(), *_AZIMUTHS)
"""Names of angles, and of the azimuths whose difference is the relative one."""
_CLASSES = ("scl", "scl20m", "sceneclass", "sceneclasses", "sceneclassification")
OTHER_MASKS = ("qa_pixel", "fmask", "qa60", "cloud", "cloud_mask", "msk_cldprb", "cld", "clm")
"""Masks that are not told in Sentinel-2's scene classes."""


def band_id(text: str, known: Sequence[str] = ()) -> str | None:
    """Return the band's id, or None where the text names no band.

    One of the `known` ids is found whatever its case; besides, ``B02``, ``b2``, ``Band 2`` are B2.
    Names of all bands of an image go through `band_ids`, which tells a name from a number.

    >>> [band_id(text) for text in ("B02", "b8a", "band_11", "B8A", "lai")]
    ['B2', 'B8A', 'B11', 'B8A', None]
    """
    name = _bare(text)
    for band in known:
        if name.lower() == band.lower():
            return band
    match = _BAND.fullmatch(name)
    return f"B{match[1]}{match[2].upper()}" if match else None


def band_ids(texts: Sequence[str], known: Sequence[str] = ()) -> list[str | None]:
    """Return the id of every band of one image or table, None where a text names no band.

    ``Band 1`` … ``Band N`` is how GDAL and ENVI count the bands of any file: a place, no colour.

    >>> band_ids(["B2", "Band 3", "SCL"])
    ['B2', 'B3', None]
    >>> band_ids(["Band 1", "Band 2", "Band 3"])
    [None, None, None]
    """
    count = counted(texts)
    return [None if text in count else band_id(text, known) for text in texts]


def _bare(text: str) -> str:
    """Return a name without what software writes behind it: ``B2 (492 nm)``, ``B2, blue``."""
    return re.sub(r"\s*[(,].*$", "", text.strip())


def counted(texts: Iterable[str]) -> frozenset[str]:
    """Return the names that only count from 1 on, in any order, or none.

    >>> sorted(counted(["Band 1", "Band 2", "sun_zenith_deg"]))
    ['Band 1', 'Band 2']
    >>> counted(["Band 2", "Band 3", "Band 4", "Band 8A"])
    frozenset()
    """
    numbers = {text: int(m[1]) for text in texts if (m := _COUNTED.fullmatch(_bare(str(text))))}
    counts = sorted(numbers.values()) == list(range(1, len(numbers) + 1))
    return frozenset(numbers if counts else ())


def counting(texts: Iterable[str]) -> str:
    """Return a remark for the sentence about names that only count, else nothing."""
    return ", which count the bands and name none" if counted(texts) else ""


def common_band(text: str, sensor: str) -> str | None:
    """Return the band that a common name means on a sensor, or None.

    >>> [common_band("nir08", sensor) for sensor in ("sentinel-2a", "landsat-8", "enmap")]
    ['B8A', 'B5', None]
    """
    table = next((names for key, names in COMMON_NAMES.items() if sensor.startswith(key)), {})
    return table.get(re.sub(r"[ _-]", "", text.strip().lower()))


def angle_name(text: str) -> str | None:
    """Return the angle's name (``sun_zenith_deg``, ...) whatever its case, or None.

    The names of PROSAIL, as `physvae simulate` writes them, are angles too; so are those of
    docs/nomenclature.md and what satellites' products call them.

    >>> [angle_name(text) for text in ("Sun_Zenith_deg", "tts", "VZA", "solar zenith angle", "x")]
    ['sun_zenith_deg', 'sun_zenith_deg', 'view_zenith_deg', 'sun_zenith_deg', None]
    """
    name = any_angle_name(text)
    return name if name in COLUMNS.values() else None


def any_angle_name(text: str) -> str | None:
    """Return the name of an angle or of an azimuth whose difference is an angle, or None.

    >>> [any_angle_name(text) for text in ("saa", "viewAzimuthMean", "raa", "azimuth")]
    ['sun_azimuth_deg', 'view_azimuth_deg', 'relative_azimuth_deg', None]
    """
    known = canonical(text, GEOMETRY)
    return _AZIMUTH_NAMES.get(bare_angle(text)) if known is None else COLUMNS[known]


def is_class(text: str) -> bool:
    """Say whether a name is that of scene classes, as Sentinel-2's processors write them.

    >>> [is_class(text) for text in ("SCL", "SCL_20m", "scene_classification", "scale")]
    [True, True, True, False]
    """
    return re.sub(r"[ _-]", "", _bare(text).lower()) in _CLASSES


def listing(names: Iterable[object], most: int = 12) -> str:
    """Join names for a sentence, cut where there are many.

    >>> listing("abcd", most=2)
    'a, b, ... (4 in all)'
    """
    texts = [str(name) for name in names]
    if len(texts) <= most:
        return ", ".join(texts) or "none"
    return f"{', '.join(texts[:most])}, ... ({len(texts)} in all)"
