"""4SAIL: a flat, homogeneous canopy over a soil, four fluxes.

    θs, θo, ψ   sun zenith, view zenith, relative azimuth;  θ_l leaf inclination, f its shares
    ks, ko      extinction of the sun's and of the view's beam per leaf area
    bf          Σ f·cos² θ_l
    sob, sof    bidirectional area scattering by leaf reflectance and by leaf transmittance
    ρ, τ        leaf;  h = (ρ + τ)/2,  p = bf·(ρ - τ)/2
    σ, a        = h + p, 1 - h + p     diffuse backscatter and attenuation
    s, s′       = ks·h - p, ks·h + p   sun's beam scattered forward and backward
    v, v′       = ko·h - p, ko·h + p   the same for the view's beam
    m           = √((a + σ)(a - σ)) = √((1 + 2p)(1 - 2h)),  r∞ = σ/(a + m)
    L           leaf area index

Verhoef et al. 2007, 10.1109/TGRS.2007.895844; hot spot Kuusk 1985 with Bréon's factor 2/(ks + ko).

Departures: J1 without a threshold (numerics.py); where 2m < k the beams take the form of Verhoef
1984, 10.1016/0034-4257(84)90057-9, which is exact at m = 0 and singular at k = m, the reverse of
the form with J1; 1 - 2h is kept above a floor, so that leaves without absorption are the limit and
have a gradient; the hot-spot integral by Gauss-Legendre quadrature.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.numerics import expm1c, floor, least, safe_acos, safe_sqrt

_RADIAN = math.pi / 180.0


class Extinction(NamedTuple):
    """Geometry summed over leaf inclinations, every field [..., 1]."""

    ks: Tensor
    ko: Tensor
    bf: Tensor
    sob: Tensor
    sof: Tensor


class HotSpot(NamedTuple):
    """Joint view of sun and sensor [..., 1]: integral over depth, share that reaches the soil."""

    integral: Tensor
    tsstoo: Tensor


class Canopy(NamedTuple):
    """Reflectance factors of canopy and soil [..., wavelength], and the sun's light on the soil.

    rso bidirectional, rdo hemispherical-directional, rsd directional-hemispherical, rdd
    bihemispherical; `to_soil` is all light that falls on the soil per unit of direct sunlight.
    """

    rso: Tensor
    rdo: Tensor
    rsd: Tensor
    rdd: Tensor
    to_soil: Tensor


def extinction(
    *, tts: Tensor, tto: Tensor, psi: Tensor, angles: Tensor, shares: Tensor
) -> Extinction:
    """Extinction and scattering of a canopy with given leaf inclinations.

    Parameters
    ----------
    tts, tto, psi : Tensor [..., 1]
        Sun zenith, view zenith (below 90) and relative azimuth (0-180) [degree].
    angles : Tensor [2, class]
        Cosine and sine of the inclination of each class.
    shares : Tensor [..., class]
        Share of leaf area in each class.
    """
    psi = psi * _RADIAN
    cos_s, sin_s = (tts * _RADIAN).cos(), (tts * _RADIAN).sin()
    cos_o, sin_o = (tto * _RADIAN).cos(), (tto * _RADIAN).sin()
    cs, co = angles[0] * cos_s, angles[0] * cos_o
    ss, so = angles[1] * sin_s, angles[1] * sin_o
    chi_s, bts, ds = _interception(cs, ss)
    chi_o, bto, do = _interception(co, so)

    near, far = (bts - bto).abs(), math.pi - (bts + bto - math.pi).abs()
    bt1, bt3 = torch.minimum(psi, near), torch.maximum(psi, far)
    bt2 = torch.maximum(near, torch.minimum(psi, far))
    t1 = 2.0 * cs * co + ss * so * psi.cos()
    t2 = bt2.sin() * (2.0 * ds * do + ss * so * bt1.cos() * bt3.cos())
    frho = (((math.pi - bt2) * t1 + t2) / (2.0 * math.pi**2)).clamp(min=0.0)
    ftau = ((-bt2 * t1 + t2) / (2.0 * math.pi**2)).clamp(min=0.0)

    def mean(x: Tensor) -> Tensor:
        return (x * shares).sum(-1, keepdim=True)

    both = math.pi / (cos_s * cos_o)
    return Extinction(
        mean(chi_s) / cos_s, mean(chi_o) / cos_o, mean(angles[0] ** 2),
        mean(frho) * both, mean(ftau) * both,
    )  # fmt: skip


def _interception(c: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Interception, transition angle β and amplitude, from c = cos·cos and s = sin·sin."""
    ratio = -c / torch.where(s > 1e-6, s, 1.0)
    crosses = (s > 1e-6) & (ratio > -1.0)
    beta = torch.where(crosses, safe_acos(ratio), math.pi)
    chi = 2.0 / math.pi * ((beta - math.pi / 2.0) * c + beta.sin() * s)
    return chi, beta, torch.where(crosses, s, c)


def hot_spot(
    *, tts: Tensor, tto: Tensor, psi: Tensor, hspot: Tensor, lai: Tensor, ks: Tensor, ko: Tensor,
    integrate: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> HotSpot:  # fmt: skip
    """The joint view of sun and sensor into a canopy.

    Parameters
    ----------
    tts, tto, psi : Tensor [..., 1]
        Sun zenith, view zenith, relative azimuth [degree].
    hspot : Tensor [..., 1]
        Leaf size over canopy height, ≥ 0; 0 is taken as 1e-9.
    lai, ks, ko : Tensor [..., 1]
        Leaf area index and the extinctions.
    integrate : callable
        (alpha, b, c) -> integral, one of the quadratures of numerics.py.
    """
    tan_s, tan_o = (tts * _RADIAN).tan(), (tto * _RADIAN).tan()
    half = (psi * (0.5 * _RADIAN)).sin()
    dso = safe_sqrt((tan_s - tan_o) ** 2 + 4.0 * tan_s * tan_o * half * half)
    alpha = dso / floor(hspot, 1e-9) * 2.0 / (ks + ko)
    b, c = (ks + ko) * lai, (ks * ko).sqrt() * lai
    return HotSpot(integrate(alpha, b, c), (c * expm1c(alpha) - b).exp())


def foursail(
    *, reflectance: Tensor, transmittance: Tensor, lai: Tensor, geometry: Extinction,
    hot: HotSpot, soil: Tensor,
) -> Canopy:  # fmt: skip
    """Reflectance factors of a canopy over a soil.

    Parameters
    ----------
    reflectance, transmittance : Tensor [..., wavelength]
        Of the leaf, their sum ≤ 1.
    lai : Tensor [..., 1]
        Leaf area index, ≥ 0 [m² m⁻²].
    geometry, hot
        From `extinction` and `hot_spot`.
    soil : Tensor [..., wavelength]
        Soil reflectance, 0 ≤ soil < 1.
    """
    absorbed = floor(1.0 - reflectance - transmittance, least(lai.dtype))
    h = 0.5 - 0.5 * absorbed
    p = 0.5 * geometry.bf * (reflectance - transmittance)
    layer = _Layer(h, p, absorbed, ((1.0 + 2.0 * p) * absorbed).sqrt(), lai)
    tss, too = (-geometry.ks * lai).exp(), (-geometry.ko * lai).exp()
    tdd, rdd = _diffuse(layer)
    weak = 2.0 * layer.m < torch.minimum(geometry.ks, geometry.ko)
    near = _beams_weak(layer, geometry, tss, too, tdd, rdd, weak)
    far = _beams(layer, geometry, tss, too)
    tsd, rsd, tdo, rdo, rsod = (torch.where(weak, a, b) for a, b in zip(near, far, strict=True))

    single = geometry.sob * reflectance + geometry.sof * transmittance
    rsos = single * (lai * hot.integral)
    down = tss + tsd
    up = soil / (1.0 - soil * rdd)
    below = down * tdo + (tsd + tss * soil * rdd) * too
    return Canopy(
        rso=rsos + rsod + hot.tsstoo * soil + below * up,
        rdo=rdo + tdd * (tdo + too) * up,
        rsd=rsd + down * tdd * up,
        rdd=rdd + tdd * tdd * up,
        to_soil=down / (1.0 - soil * rdd),
    )


class _Layer(NamedTuple):
    """The leaves of the canopy, in the letters above."""

    h: Tensor
    p: Tensor
    absorbed: Tensor
    m: Tensor
    lai: Tensor


class _Beams(NamedTuple):
    """How the canopy alone turns beams into diffuse light, and one beam into the other."""

    tsd: Tensor
    rsd: Tensor
    tdo: Tensor
    rdo: Tensor
    rsod: Tensor


def _diffuse(layer: _Layer) -> tuple[Tensor, Tensor]:
    """The layer: tdd = 1/(cosh mL + a·sinh mL/m) and rdd = tdd·σ·sinh mL/m, exact at m = 0."""
    h, p, _, m, lai = layer
    q = lai * expm1c(2.0 * m * lai)
    denominator = 1.0 + (1.0 - h + p - m) * q
    return (-m * lai).exp() / denominator, (h + p) * q / denominator


def _beams(layer: _Layer, geometry: Extinction, tss: Tensor, too: Tensor) -> _Beams:
    """The form with J1 and J2, exact at k = m, a quotient of small numbers where m → 0."""
    h, p, absorbed, m, lai = layer
    ks, ko = geometry.ks, geometry.ko
    e = (-m * lai).exp()
    r = (h + p) / (1.0 - h + p + m)
    one_r2 = (absorbed + m) / (1.0 - h + p + m) * (1.0 + r)
    re = r * e
    inverse = 1.0 / (1.0 - re * re)
    j1s, j1o = _j1(ks, m, lai, tss, e), _j1(ko, m, lai, too, e)
    j2s, j2o = (1.0 - e * tss) / (ks + m), (1.0 - e * too) / (ko + m)
    sf, sb, vf, vb = ks * h - p, ks * h + p, ko * h - p, ko * h + p
    s1, s2, v1, v2 = sf + sb * r, sf * r + sb, vf + vb * r, vf * r + vb
    ps, qs, po, qo = s1 * j1s, s2 * j2s, v1 * j1o, v2 * j2o
    tdo, rdo = (po - re * qo) * inverse, (qo - re * po) * inverse
    z = lai * expm1c((ks + ko) * lai)
    t1 = v2 * s1 * (z - j1s * too) / (ko + m)
    t2 = v1 * s2 * (z - j1o * tss) / (ks + m)
    rsod = (t1 + t2 - (rdo * qs + tdo * ps) * r) / one_r2
    return _Beams((ps - re * qs) * inverse, (qs - re * ps) * inverse, tdo, rdo, rsod)


def _beams_weak(
    layer: _Layer, geometry: Extinction, tss: Tensor, too: Tensor, tdd: Tensor, rdd: Tensor,
    weak: Tensor,
) -> _Beams:  # fmt: skip
    """The form of Verhoef 1984, exact at m = 0, singular at k = m; meant where 2m < k."""
    h, p, _, m, lai = layer
    ks, ko = geometry.ks, geometry.ko
    a, sigma = 1.0 - h + p, h + p
    m2 = torch.where(weak, m * m, 0.0)
    sf, sb, vf, vb = ks * h - p, ks * h + p, ko * h - p, ko * h + p
    over_s, over_o = 1.0 / (ks * ks - m2), 1.0 / (ko * ko - m2)
    cs, ds = (sb * (ks - a) - sf * sigma) * over_s, (sf * (ks + a) + sb * sigma) * over_s
    co, do = (vb * (ko - a) - vf * sigma) * over_o, (vf * (ko + a) + vb * sigma) * over_o
    tsd = ds * (tdd - tss) - cs * tss * rdd
    rsd = cs * (1.0 - tss * tdd) + ds * rdd
    tdo = do * (tdd - too) - co * too * rdd
    rdo = co * (1.0 - too * tdd) + do * rdd
    rsod = (sf * co - sb * do) * (lai * expm1c((ks + ko) * lai)) - co * tsd * too + do * rsd
    return _Beams(tsd, rsd, tdo, rdo, rsod)


def _j1(k: Tensor, m: Tensor, lai: Tensor, beam: Tensor, e: Tensor) -> Tensor:
    return lai * torch.maximum(beam, e) * expm1c((k - m).abs() * lai)
