"""Clumping: how much light slips through leaves that stand in crowns.

    L, k        leaf area per ground; extinction of a beam per leaf area, G/cos θ
    P(θ)        share of a beam that meets no leaf, e^{-Ω·k·L}: this defines Ω, 1 for even leaves
    C           crown area per ground, all crowns seen from above one by one
    a, b        horizontal and vertical semi-axis of a crown; shape b/a
    H           range of the heights of crown centres, over a crown's length 2b: spread
    θ′          zenith where heights are scaled to make spheres, tan θ′ = tan θ·a/b
    D           optical depth of a crown along its axis in the beam, 3/2·L/C·k·cos θ′
    κ           share of the beam on a crown that its leaves take, 1 - 2·∫₀¹ x·e^{-Dx} dx
    η(z)        share of the area at height z (over b) that is inside crowns

Crowns have even leaves inside. A beam enters C/cos θ′ of them, P = exp(-κ·C/cos θ′), if they may
intersect. If they may not, it can enter one only from outside all others, at a rate higher by
1/(1 - η). With the light lost in crowns on the way, of which a share 1 - κ·η is left outside,

    ln P = -κ·C/cos θ′ · ⟨1 / (1 - κ·η(z))⟩,

the mean being over where the beam enters a crown and over the heights of crowns. It is exact for a
vertical beam on crowns of one height, P = 1 - κ·C. The rate 1/(1 - η) is that of chords between
hard spheres (Lu & Torquato 1992, 10.1103/PhysRevA.45.922). Nilson 1971,
10.1016/0002-1571(71)90092-6, for Ω and for gaps of regular stands; the regularity here follows
from the room that crowns take, and is no parameter.

`within` is Ω inside crowns: that of shoots, 1/γ_E of Chen et al. 1997, 10.1029/97JD01107, whose
Ω_E is then that of the crowns. Two other laws of crowns have k and L/Cv in the same place:

    side by side   P = 1 - Cv + Cv·e^{-k·L/Cv}             `Prosail(crowns=True)`, a beam of any θ
    4SAIL2         P = 1 - c + c·e^{-k·L/Cv},  c = 1 - (1 - Cv)^{1/cos θ}
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.modes import lasting
from rtm.numerics import expm1c, floor, gauss_rule

_RADIAN = math.pi / 180.0
_LEAST_SPREAD = 1e-3  # below, η moves by less than 1e-7


class Stand(NamedTuple):
    """Crowns, every field [canopy] and float64: C, b/a, H and Ω inside them."""

    area: Tensor
    shape: Tensor
    spread: Tensor
    within: Tensor


def patches(*, lai: Tensor, cv: Tensor, k: Tensor | float) -> Tensor:
    """-ln P = Ω·k·L of crowns side by side with bare ground, cv the share that they hide."""
    return -torch.log1p(cv * torch.expm1(-k * lai / cv))


def foursail2_cover(cv: Tensor, zenith: Tensor | float) -> Tensor:
    """The share c of a beam [degree] that meets crowns in 4SAIL2."""
    cosine = torch.as_tensor(zenith * _RADIAN, dtype=cv.dtype, device=cv.device).cos()
    return -torch.expm1(floor(1.0 - cv, 1e-30).log() / cosine)


def foursail2_depth(*, lai: Tensor, cv: Tensor, k: Tensor, zenith: Tensor) -> Tensor:
    """-ln P of 4SAIL2."""
    return -torch.log1p(foursail2_cover(cv, zenith) * torch.expm1(-k * lai / cv))


def crown_omega(*, lai: Tensor, k: Tensor, zenith: Tensor, stand: Stand) -> Tensor:
    """Ω of crowns that do not intersect.

    Parameters
    ----------
    lai : Tensor [canopy]
        Above 0.
    k, zenith : Tensor [..., canopy]
        Extinction per leaf area, and zenith of the beam [degree], below 90.
    stand : Stand

    Returns
    -------
    Tensor [..., canopy]
    """
    kappa, opaque, turned = _crossed(lai=lai, k=k, zenith=zenith, stand=stand)
    spread = floor(stand.spread, _LEAST_SPREAD)
    *places, weights = (x.reshape(-1, *(1,) * k.ndim) for x in _lit_face().to(lai))
    up, toward, centre = places
    z = turned.cos() * up + turned.sin() * toward + centre * spread
    crowded = (weights / (1.0 - kappa * _filled(z, spread, stand.area))).sum(0)
    return stand.within * opaque * crowded


def crown_interception(*, lai: Tensor, k: Tensor, zenith: Tensor, stand: Stand) -> Tensor:
    """κ [..., canopy]; arguments as those of `crown_omega`."""
    return _crossed(lai=lai, k=k, zenith=zenith, stand=stand)[0]


def _crossed(*, lai: Tensor, k: Tensor, zenith: Tensor, stand: Stand) -> tuple[Tensor, ...]:
    """κ, κ over 2/3·D and θ′ [radian]."""
    turned = torch.atan((zenith * _RADIAN).tan() / stand.shape)
    third = 0.5 * stand.within * lai / stand.area * k * turned.cos()  # D/3
    opaque = _opacity(3.0 * third)
    return 2.0 * third * opaque, opaque, turned


def most_filled(stand: Stand) -> Tensor:
    """The largest share of any height that is inside crowns [canopy]: at most 1 where they fit."""
    return _filled(torch.zeros_like(stand.area), floor(stand.spread, _LEAST_SPREAD), stand.area)


def _opacity(depth: Tensor) -> Tensor:
    """κ over its value without shade, 2/3·D: 3·∫₀¹ x²·f₀(Dx) dx, smooth through D = 0."""
    x, w = gauss_rule(10).to(depth)
    shape = (-1, *(1,) * depth.ndim)
    return (3.0 * (w * x * x).reshape(shape) * expm1c(x.reshape(shape) * depth)).sum(0)


def _filled(z: Tensor, spread: Tensor, area: Tensor) -> Tensor:
    """η: the mean of C·(1 - x²), 0 outside ±1, over centres within ± spread of z."""
    low, high = (z - spread).clamp(-1.0, 1.0), (z + spread).clamp(-1.0, 1.0)
    mean = 1.0 - (low * low + low * high + high * high) / 3.0
    return area * mean * (high - low) / (2.0 * spread)


@lasting
def _lit_face() -> Tensor:
    """Where a beam enters spheres [up, toward, centre, weight; node].

    Points of a disc across the beam, by equal areas: `up` is how far the sphere stands out of it
    towards the sun, `toward` the part along the sky's vertical; `centre` is a height in (-1, 1).
    """
    (r2, disc), (turn, half), (centre, height) = (gauss_rule(n) for n in (5, 5, 3))
    r2, turn, centre = torch.meshgrid(r2, math.pi * turn, 2.0 * centre - 1.0, indexing="ij")
    weights = disc[:, None, None] * half[:, None] * height
    face = torch.stack([(1.0 - r2).sqrt(), r2.sqrt() * turn.cos(), centre, weights])
    return face.reshape(4, -1)
