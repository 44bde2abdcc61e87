"""Which satellite took an image, however its metadata spell it, and which models suit it."""

import logging
import re
from types import MappingProxyType

from physvae.errors import InputError

LOG = logging.getLogger(__name__)
SERIES = MappingProxyType(
    {
        "sentinel-2": "sentinel-2",
        "sentinel-2a": "sentinel-2",
        "sentinel-2b": "sentinel-2",
        "sentinel-2c": "sentinel-2",
        "sentinel-2d": "sentinel-2",
        "landsat-8": "landsat-8",
        "landsat-9": "landsat-8",
    }
)
"""Satellites whose bands are the same to a few nanometres, and the shipped model for them."""
_SPELLINGS = (
    (re.compile(r"(?:sentinel[-_ ]?|(?<![a-z0-9])s)2([a-d])(?![a-z0-9])", re.I), "sentinel-2{}"),
    (re.compile(r"landsat[-_ ]?0?([4-9])(?!\d)", re.I), "landsat-{}"),
    (re.compile(r"(?<![a-z0-9])l[coet]0([4-9])_", re.I), "landsat-{}"),
    (re.compile(r"HLS[._-]?2?[._-]?L30()", re.I), "landsat-8"),
    (re.compile(r"HLS[._-]?2?[._-]?S30()", re.I), "sentinel-2a"),
    (re.compile(r"sentinel[-_ ]?2(?![0-9])()", re.I), "sentinel-2"),
)
"""A satellite in the words of agencies and catalogues; a product of HLS has the bands of one."""


def platform_name(*texts: object) -> str | None:
    """Return the satellite that the first of the texts that names one names, or None.

    >>> [platform_name(text) for text in ("LANDSAT_9", "Sentinel-2A", "S2B_T32TMT", "HLSL30.v2.0")]
    ['landsat-9', 'sentinel-2a', 'sentinel-2b', 'landsat-8']
    >>> platform_name("", "msi", "sentinel-2-l2a"), platform_name("landsat-c2l2-sr")
    ('sentinel-2', None)
    """
    for text in texts:
        for spelling, name in _SPELLINGS:
            match = spelling.search(str(text or ""))
            if match:
                return name.format(match[1].lower())
    return None


def check_sensor(found: str, wanted: str, source: str) -> None:
    """Refuse a sensor whose bands are not the model's; note another unit of the same series.

    Raises
    ------
    InputError
        Bands of one name would be of another colour.
    """
    if not wanted or found == wanted:
        return
    series = SERIES.get(found, found)
    if series != SERIES.get(wanted, wanted):
        suits = f" {series}" if series in SERIES else ""
        raise InputError(
            f"{source}: expected an image of {wanted}, which the model is made for, found one of"
            f" {found}; give --model{suits}"
        )
    LOG.warning("%s: an image of %s, estimated as %s", source, found, wanted)
