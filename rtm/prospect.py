"""PROSPECT: a leaf as N absorbing plates.

    k      optical depth of one plate, Σ content·specific absorption / N
    τ      = 2·E₃(k), transmission of diffuse light through the inside of a plate
    t_α, t₉₀   transmissivity of the leaf surface for light within α (40°) and 90° (Stern 1964)
    r₂₁    = 1 - t₉₀/n², reflectivity from inside
    r, t   one plate in diffuse light; R_α, T_α the first plate, lit within α
    d²     = (1+r+t)(1+r-t)(1-r+t)(1-r-t)
    R, T   of the N - 1 plates below the first (Stokes 1862), with x = (N-1)·asinh(d/2t):
           R = 2r·tanh x / (d + (1+r²-t²)·tanh x),  T = d·sech x / (d + (1+r²-t²)·tanh x)

Jacquemoud & Baret 1990, 10.1016/0034-4257(90)90100-Z; Féret et al. 2017,
10.1016/j.rse.2017.03.004.

Departures: Stokes' powers of b = (1-r²+t²+d)/2t = e^{x/(N-1)} are written as hyperbolic functions,
in which nothing cancels where absorption is weak; the absorptance 1 - r - t = t₉₀(1-τ)/(1-r₂₁τ)
and that of the leaf are written out and not left to a difference; 1 - τ is kept above a floor, so
that the leaf without absorber is the limit and has a gradient.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rtm.numerics import fall, floor, least, one_minus_2e3


class Leaf(NamedTuple):
    """Hemispherical reflectance, transmittance and absorptance of leaves [wavelength, leaf]."""

    reflectance: Tensor
    transmittance: Tensor
    absorptance: Tensor


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


def plate_constants(index: Tensor, alpha: float = 40.0) -> Tensor:
    """What a plate needs of the refractive index: rows t_α, t₉₀, r₂₁ [3, wavelength], float64."""
    ta, t90 = surface_transmissivity(alpha, index), surface_transmissivity(90.0, index)
    return torch.stack([ta, t90, 1.0 - t90 / index.double() ** 2])


def prospect(*, depth: Tensor, n_leaf: Tensor, plate: Tensor) -> Leaf:
    """Leaf reflectance and transmittance.

    Parameters
    ----------
    depth : Tensor [wavelength, leaf]
        Absorption of the whole leaf, Σ content·specific absorption, ≥ 0 [-].
    n_leaf : Tensor [leaf]
        Number of plates, ≥ 1.
    plate : Tensor [3, wavelength, 1]
        From `plate_constants`.

    Returns
    -------
    Leaf
        [wavelength, leaf], 0-1; the three sum to 1.
    """
    ta, t90, r21 = plate.unbind(0)
    absorbed = floor(one_minus_2e3(depth / n_leaf), least(depth.dtype))
    tau = 1.0 - absorbed
    inner = r21 * tau
    unit = (1.0 - r21) * tau / (1.0 - inner * inner)
    inside = absorbed / (1.0 - inner)
    t, first_t = t90 * unit, ta * unit
    r, first_r = (1.0 - t90) + inner * t, (1.0 - ta) + inner * first_t

    lost = t90 * inside
    plus, minus = 1.0 + (r + t), r - t
    d = (plus * (1.0 - minus * minus) * lost).sqrt()
    z = d / (2.0 * t).clamp(min=1e-18)
    x = (n_leaf - 1.0) * torch.log1p(z + z * z / (1.0 + (1.0 + z * z).sqrt()))
    tanh, e = x.tanh(), fall(x)
    sech = 2.0 * e / (1.0 + e * e)
    over = 1.0 / (d + (1.0 + minus * (r + t)) * tanh)
    rest_r, rest_t = 2.0 * r * tanh * over, d * sech * over
    rest_a = tanh * (d * tanh / (1.0 + sech) + lost * (1.0 - minus)) * over

    bounced = first_t / (1.0 - rest_r * r)
    return Leaf(
        first_r + bounced * rest_r * t,
        bounced * rest_t,
        ta * inside + bounced * (rest_a + rest_r * lost),
    )
