"""Forest: leaves in crowns, or in clumps of any kind, as a medium of clumps for 4SAIL.

    L, ρ, τ, ω   leaf area per ground; leaf reflectance, transmittance and their sum
    Ωs, Ωo       clumping index along the sun's and the view's beam
    t            gap of an even sky, 2·∫ e^{-Ω(μ)·k(μ)·L}·μ dμ
    Λ            = -ln t, the leaf area of even leaves of 4SAIL that lets as much sky light through
    Ωd, p        = Λ/L, 1 - Ωd
    ks′, ko′     = Ωs·ks/Ωd, Ωo·ko/Ωd, so that a beam's gap is e^{-k′·Λ}
    x            = p³, share of clumps that scatter as opaque spheres, the rest as their leaves
    Φ(Θ)         = 8/(3π)·(sin Θ - Θ·cos Θ), phase function of an opaque Lambertian sphere

Light scattered by a leaf leaves a canopy of interceptance i = 1 - t with the probability i/L, for
leaves lit evenly (Mõttus 2007, 10.1016/j.rse.2007.02.015). 4SAIL with the leaf area Λ has i/Λ. So
a clump keeps the share p of what its leaves scatter, and is a scatterer of the albedo

    ω′ = ω·(1 - p) / (1 - p·ω)      (Smolander & Stenberg 2005, Remote Sens. Environ. 94, 355)

which absorbs the rest. Half of it goes up and half down, but for p′: h = ω′/2,

    p′ = (1 - x)·bf·(ρ - τ)·ω′/2ω + x·ω′/6

where 1/6 is that of the opaque sphere, whose mean cosine of scattering is -4/9. A sphere of even
scatterers has a mean cosine of -4/9·p³ within 0.03, p its own (benchmarks/forest.py, p from 0.1
to 0.9). Without clumps (Ω = 1) and with Λ = L this is 4SAIL.

Hot spot of crowns: Φ is brightest towards the sun, and soil is seen in sunlight more often than by
chance, where the shadows of one crown, along the sun's and the view's beam, lie over each other by
(2/π)·(u - sin u·cos u),

    cos u = h/b·√(dso′² + (tan θs′·tan θo′·sin ψ)²) / (sec θs′ + sec θo′)

for a crown whose centre is h above the ground (Wanner et al. 1995, 10.1029/95JD02371), in the
letters of `rtm.clumping`. Leaves in crowns have none of their own.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.clumping import Stand
from rtm.foursail import Canopy, Extinction, HotSpot, over_soil, scatter
from rtm.numerics import expm1c, fall, gauss_rule, loss, safe_acos, safe_sqrt
from rtm.prospect import Leaf

_RADIAN = math.pi / 180.0
_SKY = 16  # directions of an even sky
_HEIGHTS = 4  # of crown centres


class Medium(NamedTuple):
    """Clumps in the place of leaves, every field [canopy]: Λ, p, and extinctions per Λ."""

    depth: Tensor
    recollision: Tensor
    ks: Tensor
    ko: Tensor


def sky_directions() -> Tensor:
    """Zenith [degree] and weight 2μ dμ of an even sky, [2, direction], float64."""
    mu, weight = gauss_rule(_SKY)
    return torch.stack([mu.acos() / _RADIAN, 2.0 * mu * weight])


def medium(
    *, lai: Tensor, geometry: Extinction, omega: tuple[Tensor, Tensor], sky_depth: Tensor
) -> Medium:
    """The medium of clumps.

    Parameters
    ----------
    lai : Tensor [canopy]
        Above 0.
    geometry : Extinction
    omega : pair of Tensor [canopy]
        Ωs and Ωo.
    sky_depth : Tensor [canopy]
        Λ, from `sky_gap` or `sky_mean`.
    """
    of_sky = sky_depth / lai
    sun, view = omega
    return Medium(sky_depth, 1.0 - of_sky, geometry.ks * sun / of_sky, geometry.ko * view / of_sky)


def sky_gap(*, lai: Tensor, k: Tensor, omega: Tensor) -> Tensor:
    """Λ of the gap of an even sky; k and omega [direction, canopy] in `sky_directions`."""
    weights = sky_directions()[1].to(lai).unsqueeze(-1)
    return -torch.log1p(-(weights * loss(omega * k * lai)).sum(0))


def sky_mean(*, lai: Tensor, k: Tensor, omega: Tensor) -> Tensor:
    """Λ by the mean of Ω over an even sky, in the diffuse light of 4SAIL: L where Ω = 1."""
    weights = sky_directions()[1].to(lai).unsqueeze(-1) * k
    return lai * (weights * omega).sum(0) / weights.sum(0)


def forest(
    *, leaf: Leaf, geometry: Extinction, clumps: Medium, hot: HotSpot,
    angles: tuple[Tensor, Tensor, Tensor], soil: Tensor,
) -> Canopy:  # fmt: skip
    """Reflectance factors of clumped leaves over a soil.

    Parameters
    ----------
    leaf : Leaf [wavelength, canopy]
        Its absorptance above 0, at least 1e-9 in float64.
    geometry : Extinction
        Of the leaves.
    clumps : Medium
    hot : HotSpot
        From `crown_hot_spot`, or `rtm.foursail.hot_spot` with the medium's extinctions.
    angles : tuple of Tensor [canopy]
        tts, tto, psi [degree].
    soil : Tensor [wavelength, canopy]
    """
    omega = leaf.reflectance + leaf.transmittance
    out = 1.0 - clumps.recollision
    over = 1.0 / (leaf.absorptance + out * omega)
    kept = out * over  # ω′/ω
    sphere = torch.relu(clumps.recollision) ** 3
    half = 0.5 * kept * omega
    leaves = 0.5 * kept * geometry.bf * (leaf.reflectance - leaf.transmittance)
    p = leaves + sphere * (half / 3.0 - leaves)
    same = torch.ones_like(geometry.bf)
    layer = scatter(
        leaf=Leaf(half + p, half - p, leaf.absorptance * over), lai=clumps.depth,
        geometry=Extinction(clumps.ks, clumps.ko, same, same, same),
    )  # fmt: skip
    once = geometry.sob * leaf.reflectance + geometry.sof * leaf.transmittance
    beams = clumps.ks * clumps.ko
    once = kept * once * (1.0 - sphere) * beams / (geometry.ks * geometry.ko)
    once = once + sphere * half * beams * _lambert(*angles)
    return over_soil(layer, once * clumps.depth * hot.integral, hot.tsstoo, soil)


def _lambert(tts: Tensor, tto: Tensor, psi: Tensor) -> Tensor:
    """Φ of the light scattered from the sun's into the view's beam [canopy]."""
    s, o = tts * _RADIAN, tto * _RADIAN
    cosine = -(s.cos() * o.cos() + s.sin() * o.sin() * (psi * _RADIAN).cos())
    angle = safe_acos(cosine)
    return 8.0 / (3.0 * math.pi) * (angle.sin() - angle * cosine)


def crown_hot_spot(
    *, angles: tuple[Tensor, Tensor, Tensor], clumps: Medium, stand: Stand, base: Tensor,
    taken: Tensor,
) -> HotSpot:  # fmt: skip
    """The joint view of sun and sensor into crowns.

    Parameters
    ----------
    angles : tuple of Tensor [canopy]
        tts, tto, psi [degree].
    clumps : Medium
    stand : Stand
    base : Tensor [canopy]
        Height of the lowest crown's lower end over the depth of the layer of crowns.
    taken : Tensor [canopy]
        Share of a beam on a crown that its leaves take: of the sun's and of the view's the
        geometric mean. What passes by chance through a crown is seen by chance.
    """
    tts, tto, psi = angles
    b, c = (clumps.ks + clumps.ko) * clumps.depth, (clumps.ks * clumps.ko).sqrt() * clumps.depth
    heights, weights = (x.to(b).unsqueeze(-1) for x in gauss_rule(_HEIGHTS))
    depth = 2.0 * (1.0 + stand.spread)  # of the layer, over b as all heights here
    centres = depth * base + 1.0 + 2.0 * heights * stand.spread
    cosine = (centres * _shift(tts, tto, psi, stand.shape)).clamp(max=1.0)
    shared = (weights * (safe_acos(cosine) - cosine * safe_sqrt(1.0 - cosine * cosine))).sum(0)
    return HotSpot(expm1c(b), fall(b - 2.0 / math.pi * c * taken * shared))


def _shift(tts: Tensor, tto: Tensor, psi: Tensor, shape: Tensor) -> Tensor:
    """cos u over h/b [canopy]: distance of two shadows over their width."""
    s, o = (tts * _RADIAN).tan() / shape, (tto * _RADIAN).tan() / shape
    half = (psi * (0.5 * _RADIAN)).sin()
    across = s * o * (psi * _RADIAN).sin()
    apart = safe_sqrt((s - o) ** 2 + 4.0 * s * o * half * half + across * across)
    return apart / ((1.0 + s * s).sqrt() + (1.0 + o * o).sqrt())
