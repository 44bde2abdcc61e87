"""Canopy products: what follows from the parameters and the fluxes of a canopy.

fAPAR is the share of photosynthetically active photons (400-700 nm, the same number of photons at
every wavelength) that the canopy absorbs under a direct beam at the sun's zenith and a black sky.
Light that the soil sends back and the canopy then absorbs counts; what the soil absorbs does not:

    a(λ) = 1 - rsd - (1 - soil)·to_soil,    fAPAR = mean of a over 400-700 nm

The mean over 301 wavelengths is replaced by 14 weights, chosen with `Sensor.reduce` on simulated
canopies: off by at most 2e-4 inside the parameter box, 1e-3 in its corners.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Number = TypeVar("Number", float, np.ndarray, Tensor)

_PAR = {
    412: 0.093510, 445: 0.096673, 467: 0.084894, 497: 0.088273, 517: 0.050639, 532: 0.054549,
    548: 0.046621, 562: 0.041620, 576: 0.079156, 610: 0.123061, 640: 0.075494, 664: 0.085262,
    682: 0.042735, 695: 0.037512,
}  # fmt: skip


def ccc(lai: Number, cab: Number) -> Number:
    """Canopy chlorophyll [g m⁻²] from lai [m² m⁻²] and cab [µg cm⁻²].

    >>> ccc(3.0, 50.0)
    1.5
    """
    return lai * cab / 100.0


def cwc(lai: Number, cw: Number) -> Number:
    """Canopy water [g m⁻²] from lai [m² m⁻²] and cw [cm].

    >>> cwc(2.0, 0.01)
    200.0
    """
    return lai * cw * 1e4


def fcover(lai: Tensor, k_nadir: Tensor) -> Tensor:
    """Share of the ground that leaves hide from the nadir, 1 - exp(-k·lai).

    Parameters
    ----------
    lai : Tensor [...]
        Leaf area index [m² m⁻²].
    k_nadir : Tensor [...]
        Extinction of a vertical beam per leaf area, the mean cosine of leaf inclination.
    """
    return -torch.expm1(-k_nadir * lai)


def absorbed(rsd: Tensor, to_soil: Tensor, soil: Tensor) -> Tensor:
    """Share of direct sunlight that the canopy absorbs [..., wavelength]: a(λ) above.

    Parameters
    ----------
    rsd, to_soil : Tensor [..., wavelength]
        Of `rtm.foursail.Canopy`.
    soil : Tensor [..., wavelength]
        Soil reflectance.
    """
    return 1.0 - rsd - (1.0 - soil) * to_soil


def fapar(spectrum: Tensor, weights: Tensor) -> Tensor:
    """Mean of the absorbed share [..., node] over 400-700 nm, weights from `par_quadrature`."""
    return spectrum @ weights


def par_quadrature() -> tuple[Tensor, Tensor]:
    """Wavelengths [nm] and weights of the mean over 400-700 nm, [node] both, float64.

    >>> float(par_quadrature()[1].sum())
    1.0
    """
    weights = torch.tensor(list(_PAR.values()), dtype=torch.float64)
    return torch.tensor(list(_PAR), dtype=torch.float64), weights / weights.sum()
