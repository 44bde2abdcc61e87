"""The quality of an estimate, as bits: one table for the code, the files and the documentation.

The first five bits are those of SNAP's biophysical processor; the others say what a posterior
knows about itself and what happened to the pixel before it was looked at.
"""

from collections.abc import Mapping
from enum import IntFlag

import numpy as np
from jaxtyping import Bool, Float, UInt16
from numpy.typing import ArrayLike

SUN_ZENITH_MAX = 75.0
"""Largest sun zenith [degree] that passes without a flag; beyond it a plane-parallel canopy and
the atmospheric correction are both doubtful."""
TOLERANCE = 0.01
"""Share of a trait's range by which an estimate may overshoot and still be clipped."""
PRIOR_WIDTH_MAX = 0.95
"""Posterior over prior standard deviation from which the spectrum has told nothing."""
REFLECTANCE_MIN, REFLECTANCE_MAX = -0.2, 10.0
"""Reflectance beyond which a number is no measurement of a band and is treated as missing."""
SPECTRUM_MAX = 2.0
"""Reflectance above which all bands of a pixel together are no measurement, not even of snow."""


class Quality(IntFlag):
    """The bits of the variable `quality` (uint16); zero means that nothing is to be said."""

    INPUT_OUT_OF_RANGE = 1 << 0
    CLIPPED_TO_MINIMUM = 1 << 1
    CLIPPED_TO_MAXIMUM = 1 << 2
    TOO_LOW = 1 << 3
    TOO_HIGH = 1 << 4
    OUTSIDE_TRAINING_DOMAIN = 1 << 5
    SPECTRUM_MISFIT = 1 << 6
    AS_WIDE_AS_PRIOR = 1 << 7
    MASKED_BY_SCENE_CLASS = 1 << 8
    NO_DATA = 1 << 9
    ANGLE_FILLED_IN = 1 << 10
    NEGATIVE_REFLECTANCE = 1 << 11
    REFINEMENT_NOT_CONVERGED = 1 << 12
    PRIOR_UNKNOWN = 1 << 13
    PRIOR_CONTRADICTED = 1 << 14


_NEVER = np.uint16(
    Quality.TOO_LOW | Quality.TOO_HIGH | Quality.MASKED_BY_SCENE_CLASS | Quality.NO_DATA
)
_STRANGER = np.uint16(Quality.OUTSIDE_TRAINING_DOMAIN | Quality.SPECTRUM_MISFIT)

DESCRIPTIONS: dict[Quality, str] = {
    Quality.INPUT_OUT_OF_RANGE: (
        "a reflectance above 1, below -0.2 or not finite, a sun zenith above 75°, or an angle that"
        " cannot be"
    ),
    Quality.CLIPPED_TO_MINIMUM: "an estimate just below its range was set to the minimum",
    Quality.CLIPPED_TO_MAXIMUM: "an estimate just above its range was set to the maximum",
    Quality.TOO_LOW: "an estimate lies below its range",
    Quality.TOO_HIGH: "an estimate lies above its range",
    Quality.OUTSIDE_TRAINING_DOMAIN: "the spectrum is unlike those the model was trained on",
    Quality.SPECTRUM_MISFIT: "the decoded spectrum misses the measured one by more than the noise",
    Quality.AS_WIDE_AS_PRIOR: "the spectrum did not narrow LAI: the posterior is the prior",
    Quality.MASKED_BY_SCENE_CLASS: "left out because of its scene class (cloud, water, ...)",
    Quality.NO_DATA: "no reflectance at all: missing, 0 or impossible in every band",
    Quality.ANGLE_FILLED_IN: "an angle was not given; the model averaged over what it may be",
    Quality.NEGATIVE_REFLECTANCE: "a slightly negative reflectance, used as it is",
    Quality.REFINEMENT_NOT_CONVERGED: "the refinement stopped before it converged",
    Quality.PRIOR_UNKNOWN: "no prior is known for the crop; the model's own was used",
    Quality.PRIOR_CONTRADICTED: "the spectrum contradicts the prior that was given",
}


def flag_attributes() -> dict[str, object]:
    """Return the CF attributes `flag_masks` and `flag_meanings` of the variable `quality`."""
    return {
        "flag_masks": np.array([flag.value for flag in Quality], dtype=np.uint16),
        "flag_meanings": " ".join(str(flag.name).lower() for flag in Quality),
    }


def input_flags(
    reflectance: Float[np.ndarray, "pixel band"],
    angles: Float[np.ndarray, "pixel angle"],
    masked: Bool[np.ndarray, " pixel"],
) -> UInt16[np.ndarray, " pixel"]:
    """Return what the input alone tells: bits 0, 8, 9, 10 and 11.

    Parameters
    ----------
    reflectance
        As it was given, NaN where missing, infinite values included.
    angles
        Sun zenith, view zenith, relative azimuth [degree], as they were given.
    masked
        Pixels whose scene class is not wanted.
    """
    empty = no_data(reflectance)
    possible = possible_angles(angles)
    impossible = (~np.isnan(angles) & ~possible).any(axis=-1)
    beyond = ((reflectance > 1) | (reflectance < REFLECTANCE_MIN)).any(axis=-1)
    negative = ((reflectance < 0) & (reflectance >= REFLECTANCE_MIN)).any(axis=-1)
    low_sun = angles[..., 0] > SUN_ZENITH_MAX
    return combine(
        {
            Quality.INPUT_OUT_OF_RANGE: (beyond | low_sun | impossible) & ~empty,
            Quality.MASKED_BY_SCENE_CLASS: masked & ~empty,
            Quality.NO_DATA: empty,
            Quality.ANGLE_FILLED_IN: ~possible.all(axis=-1) & ~empty,
            Quality.NEGATIVE_REFLECTANCE: negative & ~empty,
        }
    )


def no_data(reflectance: Float[np.ndarray, "*pixel band"]) -> Bool[np.ndarray, "*pixel"]:
    """Say which pixels hold nothing: every band missing, exactly 0, or no possible reflectance.

    Fillings such as -9999 or 65535 are far from any reflectance, with or without a scale.
    """
    possible = (reflectance >= REFLECTANCE_MIN) & (reflectance <= SPECTRUM_MAX)
    return ~(possible & (reflectance != 0)).any(axis=-1)


def possible_angles(angles: Float[np.ndarray, "pixel angle"]) -> Bool[np.ndarray, "pixel angle"]:
    """Say which angles can be: zeniths in [0, 90), any finite relative azimuth."""
    possible = np.isfinite(angles)
    zenith = angles[..., :2]
    possible[..., :2] &= (zenith >= 0) & (zenith < 90)
    return possible


def usable(quality: np.ndarray) -> np.ndarray:
    """Say which estimates may be used for a mean, a composite or a picture, by their bits.

    Not usable are those without data, of another scene class, beyond the range of the trait, and
    of a spectrum that is both unlike the training and not explained by the physics, as those of
    water, snow, cloud and roofs are. One of these two bits alone marks canopies that are rare in
    the training; their LAI errs no more than that of others (docs/experiments.md).

    Parameters
    ----------
    quality : array of uint16
        As `retrieve` writes it, of any shape.

    Examples
    --------
    >>> usable(np.array([0, 1 << 5, 1 << 6, 1 << 5 | 1 << 6, 1 << 9], np.uint16)).tolist()
    [True, True, True, False, False]
    """
    return ((quality & _NEVER) == 0) & ((quality & _STRANGER) != _STRANGER)


def diagnostic_flags(
    *,
    misfit: Float[np.ndarray, " pixel"],
    novelty: Float[np.ndarray, " pixel"],
    prior_width: Float[np.ndarray, " pixel"],
) -> UInt16[np.ndarray, " pixel"]:
    """Return what the posterior tells about itself: bits 5, 6 and 7."""
    return combine(
        {
            Quality.OUTSIDE_TRAINING_DOMAIN: novelty > 1,
            Quality.SPECTRUM_MISFIT: misfit > 1,
            Quality.AS_WIDE_AS_PRIOR: prior_width >= PRIOR_WIDTH_MAX,
        }
    )


def range_flags(
    mean: Float[np.ndarray, "*trait pixel"], *, low: ArrayLike, high: ArrayLike
) -> UInt16[np.ndarray, "*trait pixel"]:
    """Return how estimates lie to the range [low, high] of their trait: bits 1 to 4."""
    low, high = np.asarray(low), np.asarray(high)
    slack = TOLERANCE * (high - low)
    return combine(
        {
            Quality.CLIPPED_TO_MINIMUM: (mean < low) & (mean >= low - slack),
            Quality.CLIPPED_TO_MAXIMUM: (mean > high) & (mean <= high + slack),
            Quality.TOO_LOW: mean < low - slack,
            Quality.TOO_HIGH: mean > high + slack,
        }
    )


def clip_near(
    value: Float[np.ndarray, "*trait pixel"], *, low: ArrayLike, high: ArrayLike
) -> Float[np.ndarray, "*trait pixel"]:
    """Set a value that overshoots [low, high] by at most the tolerance to the bound it passed."""
    low, high = np.asarray(low), np.asarray(high)
    slack = TOLERANCE * (high - low)
    near = (value >= low - slack) & (value <= high + slack)
    return np.where(near, np.clip(value, low, high), value)


def combine(flags: Mapping[Quality, ArrayLike]) -> UInt16[np.ndarray, " pixel"]:
    """Put the bits that hold together into one number a pixel."""
    shape = np.broadcast_shapes(*(np.shape(holds) for holds in flags.values()))
    bits = np.zeros(shape, dtype=np.uint16)
    for flag, holds in flags.items():
        if np.any(holds):
            bits |= np.where(holds, np.uint16(flag.value), np.uint16(0))
    return bits
