"""Canopy products: what follows from the parameters and the fluxes of a canopy.

Under a clear sky the direct beam (rsd) and the sky's light (rdd) mix, with f the diffuse share:

    albedo(λ) = (1 - f)·rsd + f·rdd        (blue-sky albedo, Lewis & Barnsley 1994)

Effective leaf area index: the L_e of a canopy without crowns that lets as much light through at
57.5°, where leaves of any inclination have nearly the extinction 0.5/cos θ (Wilson 1963):

    e^{-G·L_e} = 1 - Cv + Cv·e^{-G·L/Cv},  G = 0.5 / cos 57.5°

fAPAR is the share of photosynthetically active photons (400-700 nm, the same number of photons at
every wavelength) that the canopy absorbs under a direct beam at the sun's zenith and a black sky.
Light that the soil sends back and the canopy then absorbs counts; what the soil absorbs does not.
`fapar_diffuse` is the same under a white sky, with rdd for rsd:

    a(λ) = 1 - rsd - (1 - soil)·to_soil,    fAPAR = mean of a over 400-700 nm

The mean over 301 wavelengths is replaced by 14 weights, chosen with `Sensor.reduce` on simulated
canopies: off by at most 2e-4 inside the parameter box, 1e-3 in its corners.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rtm.clumping import patches
from rtm.modes import lasting

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


def albedo(
    rsd: Tensor, rdd: Tensor, diffuse_fraction: Tensor | float, irradiance: Tensor | None = None
) -> Tensor:
    """Blue-sky albedo, by wavelength or band, or broadband under a given irradiance.

    Parameters
    ----------
    rsd, rdd : Tensor [..., wavelength | band]
        Of a `CanopyReflectance`.
    diffuse_fraction : Tensor [..., 1] or float
        Share of the sky's light in all light, 0-1; may differ by wavelength.
    irradiance : Tensor [wavelength | band], optional
        Weights of the broadband mean, in any unit.

    Returns
    -------
    Tensor
        [..., wavelength | band], or [...] where an irradiance is given.

    Examples
    --------
    >>> albedo(torch.tensor([0.2, 0.4]), torch.tensor([0.3, 0.5]), 0.5, torch.tensor([3.0, 1.0]))
    tensor(0.3000)
    """
    mixed = rsd + diffuse_fraction * (rdd - rsd)
    return mixed if irradiance is None else mixed @ (irradiance / irradiance.sum())


def effective_lai(lai: Tensor, cv: Tensor) -> Tensor:
    """Effective leaf area index [m² m⁻²] of a canopy in crowns, L_e above.

    Parameters
    ----------
    lai : Tensor [...]
        True leaf area index per ground area [m² m⁻²].
    cv : Tensor [...]
        Share of ground under crowns, above 0 and at most 1.

    Examples
    --------
    >>> effective_lai(torch.tensor(4.0), torch.tensor([1.0, 0.5]))
    tensor([4.0000, 0.7442])
    """
    g = 0.5 / math.cos(math.radians(57.5))
    return patches(lai=lai, cv=cv, k=g) / g


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


@lasting
def par_quadrature() -> tuple[Tensor, Tensor]:
    """Wavelengths [nm] and weights of the mean over 400-700 nm, [node] both, float64.

    >>> float(par_quadrature()[1].sum())
    1.0
    """
    weights = torch.tensor(list(_PAR.values()), dtype=torch.float64)
    return torch.tensor(list(_PAR), dtype=torch.float64), weights / weights.sum()
