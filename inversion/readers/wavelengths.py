"""Wavelengths of bands as files state them [nm], and whether names or wavelengths tell the bands.

A unit that is not stated is that in which the numbers can be wavelengths at all: from 200 to 20000
they are nm, from 0.2 to 20 they are µm.
"""

import re
import reprlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inversion.naming import band_ids, listing
from inversion.readers.scene import LOG
from physvae.errors import InputError

SPECTRAL_LEAST = 20
"""Bands from which an image is a spectrometer's, although it does not state their widths."""
NEAR = 30.0
"""Distance [nm] of a stated wavelength from the centre of the band of that name."""
SHORTEST, LONGEST = 400.0, 2500.0
PLAUSIBLE = {1.0: (200.0, 20000.0), 1000.0: (0.2, 20.0)}
"""Numbers that can be the wavelengths of an optical image, by what makes them nm."""
_UNITS = {"nm": 1.0, "nanomet": 1.0, "um": 1000.0, "micromet": 1000.0, "micron": 1000.0}
_UNSTATED = ("", "unknown", "index", "none")
_IN_NAME = re.compile(
    r"(\d+(?:\.\d+)?)\s*(nm|nanomet\w*|[uµμ]m|micromet\w*|microns?)\b", re.IGNORECASE
)


class Spectrum(NamedTuple):
    """Centres and widths [nm] of an image's bands, and whether the file states the widths."""

    center: np.ndarray
    fwhm: np.ndarray
    widths_stated: bool


def spectrum(
    wavelengths: Sequence[float], widths: Sequence[float], unit: str, count: int, source: str
) -> Spectrum:
    """Return what a file states, in nm; a width that is not stated is the distance to the next.

    Parameters
    ----------
    count
        Bands of the image.

    Raises
    ------
    InputError
        Another number of wavelengths or widths than bands, an unknown unit, or numbers that are
        no wavelengths.
    """
    for what, numbers in (("wavelengths", wavelengths), ("widths (fwhm)", widths)):
        if len(numbers) != count and (len(numbers) or what == "wavelengths"):
            raise InputError(
                f"{source}: expected {count} {what}, as many as bands, got {len(numbers)}"
            )
    center = np.asarray(wavelengths, float)
    factor = _factor(center, unit, source)
    center = center * factor
    spacing = np.abs(np.gradient(center)) if count > 1 else np.full(count, np.nan)
    if not len(widths):
        return Spectrum(center, spacing, False)
    fwhm = np.asarray(widths, float) * factor
    return Spectrum(center, np.where(fwhm > 0, fwhm, spacing), True)


def _factor(numbers: np.ndarray, unit: str, source: str) -> float:
    """Return what makes the numbers nm, by the unit or by what they can be."""
    plain = re.sub(r"[µμ]", "u", unit.strip().lower())
    plain = re.sub(r"^[^a-z0-9]{1,2}m$", "um", plain)  # a µ in another encoding
    used = numbers[np.isfinite(numbers) & (numbers > 0)]
    fits = [
        f
        for f, (low, high) in PLAUSIBLE.items()
        if len(used) and low <= used.min() and used.max() <= high
    ]
    if plain not in _UNSTATED:
        named = next((f for text, f in _UNITS.items() if plain.startswith(text)), None)
        if named is None:
            raise InputError(
                f"{source}: expected wavelength units nm or um, got {reprlib.repr(unit)}"
            )
        fits = [f for f in fits if f == named]
    if not fits:
        extent = f"{used.min():g} to {used.max():g}" if len(used) else "none"
        stated = f" {unit}" if plain not in _UNSTATED else ""
        raise InputError(
            f"{source}: expected wavelengths from 200 to 20000 nm or 0.2 to 20 um, got"
            f" {extent}{stated}"
        )
    return fits[0]


def of_names(names: Sequence[str]) -> tuple[list[float], str]:
    """Return the wavelengths that all bands have in their names, and their unit; else none.

    >>> of_names(["418.240 nm", "Band 2 (424.0 nm)"])
    ([418.24, 424.0], 'nm')
    """
    matches = [_IN_NAME.search(name) for name in names]
    if not matches or not all(matches):
        return [], ""
    units = {match[2].lower() for match in matches if match}
    return [float(match[1]) for match in matches if match], units.pop() if len(units) == 1 else ""


def names_win(
    names: Sequence[str], stated: Spectrum, bands: Sequence[str], sensor: str, source: str
) -> bool:
    """Say whether an image's bands are known by their names, not by their wavelengths.

    They are where names are those of the sensor and the wavelengths do not contradict. A few bands
    without names and widths are neither a sensor's nor a spectrometer's.

    Raises
    ------
    InputError
        A few bands whose names and wavelengths contradict each other.
    """
    named = {b: i for i, b in enumerate(band_ids(names, bands)) if b and b in bands}
    many = len(stated.center) >= SPECTRAL_LEAST
    if not named:
        return not many and not stated.widths_stated
    wrong = _contradicting(named, stated, sensor)
    if not wrong or many:
        return not wrong
    band, (expected, got) = next(iter(wrong.items()))
    raise InputError(
        f"{source}: expected band {band} at {expected:.0f} nm as on {sensor}, got {got:.0f} nm;"
        " name the bands with --bands"
    )


def _contradicting(
    named: dict[str, int], stated: Spectrum, sensor: str
) -> dict[str, tuple[float, float]]:
    """Return the bands whose stated wavelength is far from that of the sensor: both, in nm."""
    import rtm

    try:
        known = rtm.load_sensor(sensor)
    except ValueError:  # no sensor to compare with
        return {}
    centers = dict(zip(known.bands, known.center.tolist(), strict=True))
    pairs = {b: (centers[b], float(stated.center[i])) for b, i in named.items() if b in centers}
    return {b: pair for b, pair in pairs.items() if not abs(pair[0] - pair[1]) <= NEAR}


def usable(stated: Spectrum, good: Sequence[bool], source: str) -> list[int]:
    """Return the places of the bands that are good and within what sensors' responses cover.

    A note says where their widths are not stated.

    Raises
    ------
    InputError
        Fewer than two.
    """
    if not stated.widths_stated:
        LOG.warning("%s: no fwhm; the distance between neighbouring bands is taken", source)
    use = [
        i
        for i, center in enumerate(stated.center)
        if good[i] and SHORTEST <= center <= LONGEST and stated.fwhm[i] > 0
    ]
    if len(use) < 2:
        raise InputError(
            f"{source}: expected bands from {SHORTEST:.0f} to {LONGEST:.0f} nm, got"
            f" {listing(f'{center:g} nm' for center in stated.center)}"
        )
    return use
