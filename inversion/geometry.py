"""Angles as they come, folded to what the model knows.

ψ = | φ − 360·round(φ/360) |,   φ = sun azimuth − view azimuth [degree],   ψ ∈ [0, 180]
"""

from types import MappingProxyType

import numpy as np

COLUMNS = MappingProxyType(
    {"tts": "sun_zenith_deg", "tto": "view_zenith_deg", "psi": "relative_azimuth_deg"}
)
"""What the model calls an angle, and what tables and images call it."""


def fold(azimuth):
    """Fold a relative azimuth [degree] to [0, 180]: 359 and 1 are both 1; NaN stays NaN.

    >>> fold(np.array([359.0, 1.0, -90.0, 200.0])).tolist()
    [1.0, 1.0, 90.0, 160.0]
    """
    with np.errstate(invalid="ignore"):
        return np.abs(azimuth - 360.0 * np.rint(azimuth / 360.0))


def relative_azimuth(angles):
    """Return the relative azimuth [degree] of the azimuths of sun and view in a mapping, or None.

    >>> float(relative_azimuth({"sun_azimuth_deg": 150.0, "view_azimuth_deg": 290.0}))
    140.0
    """
    pair = [angles.get(name) for name in ("sun_azimuth_deg", "view_azimuth_deg")]
    return None if any(part is None for part in pair) else fold(pair[0] - pair[1])
