"""From stored numbers to reflectance, and the guard that refuses a wrong scale or offset.

    ρ = DN · scale + offset

The guard rests on what plants do in every scene. A canopy whose near infrared exceeds its red by
0.2 (a difference that an offset does not change) holds chlorophyll enough to keep one of the
blue, green or red bands well under 0.1. So when 95 % of such pixels stay above 0.1 in all of
them, an offset of -0.1 was forgotten (Sentinel-2 since processing baseline 04.00); where it was
taken off twice, the dark bands fall below -0.02.

Numbers that stand for no data are left out first. They are told from a wrong scale by being few:
an image holds at most `FILLINGS_MOST` different ones, and wrongly scaled reflectance differs from
pixel to pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from inversion.quality import REFLECTANCE_MIN, SPECTRUM_MAX
from physvae.errors import InputError, UsageError

SCALE_HINT = "check --scale, --offset and --nodata"
FILLINGS_MOST = 3
AS_THEY_ARE = "values used as they are"
"""Source of a step that no file states: what is not 1 and 0 comes from an option."""
TOO_BRIGHT, TOO_BRIGHT_SHARE = 2.0, 0.01
TOO_DARK = 0.005
NEGATIVE, NEGATIVE_SHARE, NEGATIVE_LEAST = -0.02, 0.05, 3
PLANT_STEP, PLANT_DARKEST, PLANT_SHARE, PLANT_LEAST = 0.2, 0.1, 0.05, 5
_COLOURS = (
    (("B2", "B3", "B4"), "B4", ("B8", "B8A"), "-0.1 (Sentinel-2 since baseline 04.00)"),
    (("B2", "B3", "B4"), "B4", ("B5",), "-0.2 (Landsat Collection 2)"),
    (("B490", "B560", "B670"), "B670", ("B850",), "as the product states it"),
)
"""Visible bands, red and near infrared of Sentinel-2, Landsat 8 and 10 nm bands; usual offset."""


@dataclass(frozen=True)
class Radiometry:
    """How stored numbers became reflectance: kept with the result."""

    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    source: str = AS_THEY_ARE

    def __post_init__(self) -> None:
        own = self.source == AS_THEY_ARE or self.source.startswith("--")
        kind, said = (UsageError, "") if own else (InputError, f" in {self.source}")
        if not 0 < self.scale < np.inf:
            raise kind(f"scale: expected a number above 0, got {self.scale:g}{said}")
        if not abs(self.offset) <= 1:
            raise kind(
                f"offset: expected reflectance units (ρ = DN·scale + offset), got {self.offset:g}"
                f"{said}; with scale {self.scale:g} write --offset {self.offset * self.scale:g}"
            )


def check_reflectance(
    reflectance: Float[np.ndarray, "pixel band"],
    bands: Sequence[str],
    *,
    source: str,
    land: Bool[np.ndarray, " pixel"] | None = None,
) -> None:
    """Refuse reflectance whose scale or offset cannot be right.

    Parameters
    ----------
    reflectance
        A sample of the pixels [0-1], NaN where missing.
    source
        The file's or table's name, for the sentence.
    land
        Pixels known to be vegetation or soil; only they are asked about offsets.

    Raises
    ------
    InputError
        One sentence: what was expected, what was found, which option is likely to be wrong.
    """
    measured = without_fillings(reflectance)
    there = np.isfinite(measured).any(axis=-1)
    spectra = measured[there]
    ground = spectra if land is None else measured[land & there]
    for fault in (
        _bright(spectra),
        _dark(spectra),
        _negative(ground),
        _offset_forgotten(ground, bands),
    ):
        if fault:
            raise InputError(f"{source}: {fault}")


def without_fillings(
    reflectance: Float[np.ndarray, "pixel band"],
) -> Float[np.ndarray, "pixel band"]:
    """Return reflectance with NaN for numbers that cannot be measured and are few different ones.

    >>> without_fillings(np.array([[0.1, 0.2], [-9999.0, -9999.0]])).tolist()
    [[0.1, 0.2], [nan, nan]]
    """
    impossible = (reflectance < REFLECTANCE_MIN) | (reflectance > SPECTRUM_MAX)
    if not impossible.any() or len(np.unique(reflectance[impossible])) > FILLINGS_MOST:
        return reflectance
    return np.where(impossible, np.nan, reflectance)


def _bright(spectra: Float[np.ndarray, "pixel band"]) -> str | None:
    share = _share((spectra > TOO_BRIGHT).any(axis=-1))
    if share <= TOO_BRIGHT_SHARE:
        return None
    return (
        f"expected reflectance 0-1, found values above 2 in {share:.0%} of the pixels"
        f" (largest {np.nanmax(spectra):g}); {SCALE_HINT}"
    )


def _dark(spectra: Float[np.ndarray, "pixel band"]) -> str | None:
    filled = spectra[(spectra != 0).any(axis=-1)]
    if not filled.size:
        return None
    brightest = np.quantile(np.nanmax(filled, axis=-1), 0.99)
    if not 0 <= brightest < TOO_DARK:
        return None
    return (
        f"expected reflectance 0-1, found nothing above {brightest:.2g} in 99 % of the pixels;"
        " was a scale applied twice? check --scale"
    )


def _negative(spectra: Float[np.ndarray, "pixel band"]) -> str | None:
    below = (spectra < NEGATIVE).any(axis=-1)
    share = _share(below)
    if share <= NEGATIVE_SHARE or below.sum() < NEGATIVE_LEAST:
        return None
    return (
        f"expected reflectance 0-1, found values below {NEGATIVE} in {share:.0%} of the pixels;"
        " was an offset applied twice? check --offset and --nodata"
    )


def _offset_forgotten(
    spectra: Float[np.ndarray, "pixel band"], bands: Sequence[str]
) -> str | None:
    column = {band: spectra[:, index] for index, band in enumerate(bands)}
    colours = (c for c in _COLOURS if c[1] in column and set(c[2]) & set(column))
    names, red, near, usual = next(colours, ((), "", (), ""))
    if not red:
        return None
    visible = [column[band] for band in names if band in column]
    infrared = [column[band] for band in near if band in column]
    step = np.fmax.reduce(infrared) - column[red]
    darkest = np.fmin.reduce(visible)[step > PLANT_STEP]
    if len(darkest) < PLANT_LEAST or np.quantile(darkest, PLANT_SHARE) < PLANT_DARKEST:
        return None
    return (
        f"expected green plants to be dark in blue, green or red, found no less than"
        f" {darkest.min():.2f} in {len(darkest)} vegetated pixels; was the offset forgotten?"
        f" give --offset {usual}, or --no-radiometry-check"
    )


def _share(holds: ArrayLike) -> float:
    held = np.asarray(holds, dtype=bool)
    return float(held.mean()) if held.size else 0.0
