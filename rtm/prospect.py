"""PROSPECT: a leaf as N absorbing plates.

    k      optical depth of one plate, Σ content·specific absorption / N
    τ      = 2·E₃(k), transmission of diffuse light through the inside of a plate
    t₄₀, t₉₀   transmissivity of the leaf surface for light within 40° and 90° (Stern 1964)
    r₂₁    = 1 - t₉₀/n², reflectivity from inside
    r, t   one plate in diffuse light; R_α, T_α the first plate, lit within 40°
    D²     = (1+r+t)(1+r-t)(1-r+t)(1-r-t)
    1/a    = 2r / (1 + r² - t² + D),  1/b = 2t / (1 - r² + t² + D)      (Stokes 1862)
    R      = (1 - e²)/a / (1 - e²/a²),  T = e(1 - 1/a²) / (1 - e²/a²),  e = b^{-(N-1)}

Jacquemoud & Baret 1990, 10.1016/0034-4257(90)90100-Z; Féret et al. 2017,
10.1016/j.rse.2017.03.004.

Departures: the absorptance 1 - r - t = t₉₀(1-τ)/(1 - r₂₁τ) is written out and not left to a
difference, and 1 - τ is kept above a floor, so that the leaf without absorber is the limit and
has a gradient.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rtm.numerics import floor, least, one_minus_2e3


class Leaf(NamedTuple):
    """Hemispherical reflectance and transmittance of a leaf [..., wavelength]."""

    reflectance: Tensor
    transmittance: Tensor


def surface_transmissivity(angle: float, index: Tensor) -> Tensor:
    """Mean transmissivity of a dielectric surface for isotropic light within a cone.

    Parameters
    ----------
    angle : float
        Half-angle of the cone, (0, 90] degree.
    index : Tensor [wavelength]
        Refractive index, > 1, float64.

    Notes
    -----
    Closed form of Stern 1964, 10.1364/AO.3.000111; Allen 1973, 10.1364/JOSA.63.000664.
    """
    n = index.double().numpy()
    n2 = n * n
    plus, minus = n2 + 1.0, n2 - 1.0
    s2 = np.sin(np.radians(angle)) ** 2
    a = (n + 1.0) ** 2 / 2.0
    k = -(minus**2) / 4.0
    root = 0.0 if angle == 90.0 else np.sqrt((s2 - plus / 2.0) ** 2 + k)
    b = root - (s2 - plus / 2.0)
    ts = (k**2 / (6 * b**3) + k / b - b / 2) - (k**2 / (6 * a**3) + k / a - a / 2)
    cb, ca = 2 * plus * b - minus**2, 2 * plus * a - minus**2
    tp = (
        -2 * n2 * (b - a) / plus**2
        - 2 * n2 * plus * np.log(b / a) / minus**2
        + n2 * (1 / b - 1 / a) / 2
        + 16 * n2**2 * (n2**2 + 1) * np.log(cb / ca) / (plus**3 * minus**2)
        + 16 * n2**3 * (1 / cb - 1 / ca) / plus**3
    )
    return torch.from_numpy((ts + tp) / (2 * s2))


def plate_constants(index: Tensor) -> Tensor:
    """What a plate needs of the refractive index: rows t₄₀, t₉₀, r₂₁ [3, wavelength], float64."""
    t40, t90 = surface_transmissivity(40.0, index), surface_transmissivity(90.0, index)
    return torch.stack([t40, t90, 1.0 - t90 / index.double() ** 2])


def prospect(*, depth: Tensor, n_leaf: Tensor, plate: Tensor) -> Leaf:
    """Leaf reflectance and transmittance.

    Parameters
    ----------
    depth : Tensor [..., wavelength]
        Absorption of the whole leaf, Σ content·specific absorption, ≥ 0 [-].
    n_leaf : Tensor [..., 1]
        Number of plates, ≥ 1.
    plate : Tensor [3, wavelength]
        From `plate_constants`.

    Returns
    -------
    Leaf
        reflectance and transmittance [..., wavelength], 0-1, their sum ≤ 1.
    """
    t40, t90, r21 = plate.unbind(0)
    absorbed = floor(one_minus_2e3(depth / n_leaf), least(depth.dtype))
    tau = 1.0 - absorbed
    inner = r21 * tau
    unit = (1.0 - r21) * tau / (1.0 - inner * inner)
    t = t90 * unit
    r = (1.0 - t90) + inner * t
    first_t = t40 * unit
    first_r = (1.0 - t40) + inner * first_t

    d = ((1.0 + r + t) * (1.0 + r - t) * (1.0 - r + t) * (t90 * absorbed / (1.0 - inner))).sqrt()
    difference = r * r - t * t
    inverse_a = 2.0 * r / (1.0 + difference + d)
    inverse_b = (2.0 * t / (1.0 - difference + d)).clamp(min=1e-37)
    e = ((n_leaf - 1.0) * inverse_b.log()).exp()
    damped = inverse_a * e
    rest = 1.0 / (1.0 - damped * damped)
    rest_r = inverse_a * (1.0 - e * e) * rest
    rest_t = e * (1.0 - inverse_a * inverse_a) * rest

    bounced = first_t / (1.0 - rest_r * r)
    return Leaf(first_r + bounced * rest_r * t, bounced * rest_t)
