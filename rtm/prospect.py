"""PROSPECT: a leaf as N absorbing plates.

    k      optical depth of one plate, Σ content·specific absorption / N
    τ      = 2·E₃(k), transmission of diffuse light through the inside of a plate
    t_α, t₉₀   transmissivity of the leaf surface for light within α (40°) and 90° (Stern 1964)
    r₂₁    = 1 - t₉₀/n², reflectivity from inside
    r, t   one plate in diffuse light; R_α, T_α the first plate, lit within α
    d²     = (1+r+t)(1+r-t)(1-r+t)(1-r-t)
    b      = (1 - r² + t² + d)/2t
    R, T   of the N - 1 plates below the first (Stokes 1862), with e = b^-(N-1):
           R = 2r·(1 - e²)/Δ,  T = 2d·e/Δ,  Δ = d·(1 + e²) + (1 + r² - t²)·(1 - e²)
    leaf   R_α + T_α·R·t/(1 - R·r) and T_α·T/(1 - R·r), in which
           Δ·(1 - R·r) = d·(1 + e²) + (1 - r² - t²)·(1 - e²)

Jacquemoud & Baret 1990, 10.1016/0034-4257(90)90100-Z; Féret et al. 2017,
10.1016/j.rse.2017.03.004.

Departures: nothing cancels where absorption is weak, as b - 1 = (d + (1-r-t)(1+r-t))/2t and 1 - e
are computed and not b and e; the absorptance 1 - r - t = t₉₀(1-τ)/(1-r₂₁τ) and that of the leaf,
A = (d·(1 - e)² + (1-r-t)(1-r+t)(1 - e²))/Δ below the first plate, so that A + R·(1-r-t) is
(d·(1 - e)² + (1-r-t)(1+r+t)(1 - e²))/Δ, are written out and not left to a difference; 1 - τ is
kept above a floor, so that the leaf without absorber is the limit and has a gradient.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rtm.numerics import floor, least, loss, one_minus_2e3


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
    between = 1.0 / (1.0 - inner * inner)
    unit = (1.0 - r21) * tau * between
    inside = absorbed * (1.0 + inner) * between
    t, first_t = t90 * unit, ta * unit
    r, first_r = (1.0 - t90) + inner * t, (1.0 - ta) + inner * first_t

    lost, both, minus = t90 * inside, r + t, r - t
    d = ((1.0 + both) * (1.0 - minus * minus) * lost).sqrt()
    b = (d + lost * (1.0 + minus)) / (2.0 * t).clamp(min=1e-18)  # less 1
    gone = loss((n_leaf - 1.0) * torch.log1p(b))
    e = 1.0 - gone
    even, odd = 1.0 + e * e, gone * (1.0 + e)
    bounced = first_t / (d * even + (1.0 - r * r - t * t) * odd)
    return Leaf(
        first_r + bounced * (2.0 * r * odd) * t,
        bounced * (2.0 * d * e),
        ta * inside + bounced * (d * gone * gone + lost * odd * (1.0 + both)),
    )
