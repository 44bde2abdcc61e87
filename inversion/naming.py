"""What people call a band or an angle, and what we call it."""

import re
from collections.abc import Iterable, Sequence

from inversion.geometry import COLUMNS

_BAND = re.compile(r"B(?:AND)?[ _-]?0*(\d{1,2})(A?)", re.IGNORECASE)


def band_id(text: str, known: Sequence[str] = ()) -> str | None:
    """Return the band's id, or None where the text names no band.

    One of the `known` ids is found whatever its case; besides, ``B02``, ``b2``, ``Band 2`` are B2.

    >>> [band_id(text) for text in ("B02", "b8a", "band_11", "B8A", "lai")]
    ['B2', 'B8A', 'B11', 'B8A', None]
    """
    name = text.strip()
    for band in known:
        if name.lower() == band.lower():
            return band
    match = _BAND.fullmatch(name)
    return f"B{match[1]}{match[2].upper()}" if match else None


def angle_name(text: str) -> str | None:
    """Return the angle's name (``sun_zenith_deg``, ...) whatever its case, or None.

    The names of PROSAIL, as `physvae simulate` writes them, are angles too.

    >>> [angle_name(text) for text in ("Sun_Zenith_deg", "tts", "saa")]
    ['sun_zenith_deg', 'sun_zenith_deg', None]
    """
    name = text.strip().lower()
    return name if name in COLUMNS.values() else COLUMNS.get(name)


def listing(names: Iterable[object], most: int = 12) -> str:
    """Join names for a sentence, cut where there are many.

    >>> listing("abcd", most=2)
    'a, b, ... (4 in all)'
    """
    texts = [str(name) for name in names]
    if len(texts) <= most:
        return ", ".join(texts) or "none"
    return f"{', '.join(texts[:most])}, ... ({len(texts)} in all)"
