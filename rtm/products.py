"""Canopy products: what follows from the parameters and the fluxes of a canopy.

fAPAR is the share of photosynthetically active photons (400-700 nm, the same number of photons at every
wavelength) that the canopy absorbs, leaves, stems and all, under a direct beam at the sun's zenith and
a black sky; light that the soil sends back and the canopy then absorbs counts, what the soil absorbs
does not:  a(λ) = 1 - rsd - (1 - soil)·to_soil,  fAPAR = mean of a over 400-700 nm.
"""

import torch
from torch import Tensor


def ccc(lai: Tensor, cab: Tensor) -> Tensor:
    """Canopy chlorophyll [g m⁻²] from lai [m² m⁻²] and cab [µg cm⁻²].

    >>> ccc(3.0, 50.0)
    1.5
    """
    return lai * cab / 100.0


def cwc(lai: Tensor, cw: Tensor) -> Tensor:
    """Canopy water [g m⁻²] from lai [m² m⁻²] and cw [cm].

    >>> cwc(2.0, 0.01)
    200.0
    """
    return lai * cw * 1e4


def fcover(lai: Tensor, k_nadir: Tensor) -> Tensor:
    """Share of ground hidden from the nadir, 1 - exp(-ko(0)·lai), from the extinction at nadir."""
    return -torch.expm1(-k_nadir * lai)


def absorbed(rsd: Tensor, to_soil: Tensor, soil: Tensor) -> Tensor:
    """Share of direct sunlight that the canopy absorbs [..., wavelength], the energy balance above."""
    return 1.0 - rsd - (1.0 - soil) * to_soil


def fapar(spectrum: Tensor, weights: Tensor) -> Tensor:
    """Mean of the absorbed share [..., node] over 400-700 nm, by the weights of `par_quadrature`."""
    return spectrum @ weights


def par_quadrature() -> tuple[Tensor, Tensor]:
    """Wavelengths [node] in nm and weights [node] of the mean over 400-700 nm, float64."""
    nodes = torch.arange(400.0, 701.0, 10.0, dtype=torch.float64)
    weights = torch.ones_like(nodes)
    weights[0] = weights[-1] = 0.5
    return nodes, weights / weights.sum()
