"""4SAIL: a flat, homogeneous canopy over a soil, four fluxes.

    θs, θo, ψ   sun zenith, view zenith, relative azimuth;  θ_l leaf inclination, f its shares
    ks, ko      extinction of the sun's and of the view's beam per leaf area
    bf          Σ f·cos² θ_l
    sob, sof    bidirectional area scattering by leaf reflectance and by leaf transmittance
    ρ, τ        leaf;  α = 1 - ρ - τ its absorptance
    h, p        = (ρ + τ)/2, bf·(ρ - τ)/2,  β = 1 + 2p
    σ, a        = h + p, 1 - h + p     diffuse backscatter and attenuation
    s, s′       = ks·h - p, ks·h + p   sun's beam scattered forward and backward
    v, v′       = ko·h - p, ko·h + p   the same for the view's beam
    m           = √((a + σ)(a - σ)) = √(αβ),  r∞ = σ/(a + m)
    L, y        leaf area index, and that above a level

The fluxes obey E⁻′ = -aE⁻ + σE⁺ + s·e^{-ks·y} and E⁺′ = aE⁺ - σE⁻ - s′·e^{-ks·y}; the sum and the
difference of both decouple. With T = tanh(mL)/m, D = 1 + aT, e = e^{-mL} and, over cosh mL,

    c↓, s↓ = ∫ cosh(my)·e^{-ky} dy, ∫ sinh(my)/m·e^{-ky} dy      c↑, s↑ the same with L - y for y

    τdd = sech(mL)/D                     ρdd = σT/D
    τsd = (s·c↓ + (ks·hβ - pα)·s↓)/D     ρsd = (s′·c↑ + (ks·hβ + pα)·s↑)/D,  τdo and ρdo with ko

which are the results of Verhoef et al. 2007, 10.1109/TGRS.2007.895844, in letters that stay finite
without absorption; s and v are forward here, s′ and v′ backward. Hot spot: Kuusk 1985 with Bréon's
factor 2/(ks + ko).

    J1(k) = ∫ e^{-ky}·e^{-m(L-y)} dy      J2(k) = ∫ e^{-(k+m)y} dy

Departures: s↓ and s↑ are written in two ways, by J1 and J2, exact at k = m, and over k² - m²,
exact at m = 0; so is the beam-to-beam term, as in Verhoef 2007 and as in Verhoef 1984,
10.1016/0034-4257(84)90057-9: the flux equations times e^{-ko·y}, integrated and solved. The leaf's
absorptance is an argument, as 1 - ρ - τ loses its digits.
The hot-spot integral is a Gauss-Legendre quadrature.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.numerics import choose, expm1c, fall, floor, loss, safe_acos, safe_sqrt
from rtm.prospect import Leaf

_RADIAN = math.pi / 180.0


class Extinction(NamedTuple):
    """Geometry summed over leaf inclinations, every field [canopy]."""

    ks: Tensor
    ko: Tensor
    bf: Tensor
    sob: Tensor
    sof: Tensor


class HotSpot(NamedTuple):
    """Joint view of sun and sensor [canopy]: integral over depth, share that reaches the soil."""

    integral: Tensor
    tsstoo: Tensor


class Layer(NamedTuple):
    """A layer of leaves alone: what it lets through (t) and sends back (r), from (s d) into (d o).

    tss, too [canopy]; all others [wavelength, canopy]. rdd is seen from above, rdd_below from the
    soil; rsod is what is scattered more than once.
    """

    tss: Tensor
    too: Tensor
    tdd: Tensor
    rdd: Tensor
    rdd_below: Tensor
    tsd: Tensor
    rsd: Tensor
    tdo: Tensor
    rdo: Tensor
    rsod: Tensor


class Canopy(NamedTuple):
    """Reflectance factors of canopy and soil [wavelength, canopy], and the light on the soil.

    rso bidirectional, rdo hemispherical-directional, rsd directional-hemispherical, rdd
    bihemispherical; `sun_to_soil` and `sky_to_soil` are all light that falls on the soil per unit
    of direct and of diffuse light.
    """

    rso: Tensor
    rdo: Tensor
    rsd: Tensor
    rdd: Tensor
    sun_to_soil: Tensor
    sky_to_soil: Tensor


def extinction(
    *, tts: Tensor, tto: Tensor, psi: Tensor, angles: Tensor, shares: Tensor
) -> Extinction:
    """Extinction and scattering of a canopy with given leaf inclinations.

    Parameters
    ----------
    tts, tto, psi : Tensor [canopy]
        Sun zenith, view zenith (below 90) and relative azimuth (0-180) [degree].
    angles : Tensor [2, class, 1]
        Cosine and sine of the inclination of each class.
    shares : Tensor [class, canopy]
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
        return (x * shares).sum(0)

    both = math.pi / (cos_s * cos_o)
    return Extinction(
        mean(chi_s) / cos_s, mean(chi_o) / cos_o, mean(angles[0] ** 2),
        mean(frho) * both, mean(ftau) * both,
    )  # fmt: skip


def slant_extinction(*, zenith: Tensor, angles: Tensor, shares: Tensor) -> Tensor:
    """Extinction k of beams per leaf area [direction, canopy].

    Parameters
    ----------
    zenith : Tensor [direction]
        Below 90 [degree].
    angles, shares
        See `extinction`.
    """
    beam = zenith * _RADIAN
    chi, _, _ = _interception(angles[0] * beam.cos(), angles[1] * beam.sin())
    return (chi / beam.cos()).T @ shares


def _interception(c: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Interception, transition angle β and amplitude, from c = cos·cos and s = sin·sin."""
    ratio = -c / torch.where(s > 1e-6, s, 1.0)
    crosses = (s > 1e-6) & (ratio > -1.0)
    beta = torch.where(crosses, safe_acos(ratio), math.pi)
    chi = 2.0 / math.pi * ((beta - math.pi / 2.0) * c + beta.sin() * s)
    return chi, beta, torch.where(crosses, s, c)


def separation(*, tts: Tensor, tto: Tensor, psi: Tensor) -> Tensor:
    """Distance dso between the beams of sun and view one unit below where they meet [canopy]."""
    s, o = tts * _RADIAN, tto * _RADIAN
    apart = ((tts - tto) * _RADIAN).sin() / (s.cos() * o.cos())  # tan θs - tan θo, uncancelled
    half = (psi * (0.5 * _RADIAN)).sin()
    return safe_sqrt(apart * apart + 4.0 * s.tan() * o.tan() * half * half)


def hot_spot(
    *, tts: Tensor, tto: Tensor, psi: Tensor, hspot: Tensor, lai: Tensor, ks: Tensor, ko: Tensor,
    integrate: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> HotSpot:  # fmt: skip
    """The joint view of sun and sensor into a canopy.

    Parameters
    ----------
    tts, tto, psi : Tensor [canopy]
        Sun zenith, view zenith, relative azimuth [degree].
    hspot : Tensor [canopy]
        Leaf size over canopy height, ≥ 0; 0 is taken as 1e-12.
    lai, ks, ko : Tensor [canopy]
        Leaf area index and the extinctions.
    integrate : callable
        (alpha, b, c) -> integral, one of the quadratures of numerics.py.
    """
    dso = separation(tts=tts, tto=tto, psi=psi)
    alpha = dso / floor(hspot, 1e-12) * 2.0 / (ks + ko)
    b, c = (ks + ko) * lai, (ks * ko).sqrt() * lai
    return HotSpot(integrate(alpha, b, c), fall(b - c * expm1c(alpha)))


def scatter(*, leaf: Leaf, lai: Tensor, geometry: Extinction) -> Layer:
    """What a layer of leaves lets through and sends back.

    Parameters
    ----------
    leaf : Leaf [wavelength, canopy]
        Its absorptance above 0, at least 1e-9 in float64.
    lai : Tensor [canopy]
        Leaf area index, ≥ 0 [m² m⁻²].
    geometry : Extinction
    """
    rho, tau, alpha = leaf
    ks, ko, bf = geometry.ks, geometry.ko, geometry.bf
    h, p = 0.5 * (rho + tau), 0.5 * bf * (rho - tau)
    beta, sigma, a = 1.0 + 2.0 * p, h + p, 1.0 - h + p
    m2 = alpha * beta
    m = m2.sqrt()

    gone = loss(m * lai)
    e = 1.0 - gone
    over_m, even = 1.0 / m, 1.0 + e * e
    odd = gone * (1.0 + e) * over_m
    both = 1.0 / (even + a * odd)
    over, t, tdd, share = even * both, odd * both, 2.0 * e * both, both * over_m
    w = _Scattering(h, p, h * beta, p * alpha, sigma, a + m, m, m2, e, share, over, t, tdd)
    limit = 0.5 * torch.minimum(ks, ko)
    tss, too = fall(ks * lai), fall(ko * lai)
    sun, view = _beam(w, ks, tss, lai, limit), _beam(w, ko, too, lai, limit)
    rsod = _beam_to_beam(w, sun, view, lai, limit)
    rdd = sigma * t
    return Layer(tss, too, tdd, rdd, rdd, sun.t, sun.r, view.t, view.r, rsod)


class _Scattering(NamedTuple):
    """The leaves of a layer, in the letters above.

    hb is hβ, pa pα, am a + m, m2 m², share 1/(m·(1 + e²)·D), over 1/D, t T/D and tdd sech(mL)/D.
    """

    h: Tensor
    p: Tensor
    hb: Tensor
    pa: Tensor
    sigma: Tensor
    am: Tensor
    m: Tensor
    m2: Tensor
    e: Tensor
    share: Tensor
    over: Tensor
    t: Tensor
    tdd: Tensor


class _Beam(NamedTuple):
    """A beam of extinction k, let through as diffuse light (t) and sent back as such (r).

    s, s_back are s, s′ or v, v′; k_m is 1/(k + m), apart 1/(k² - m²) where m < k/2.
    """

    k: Tensor
    through: Tensor
    s: Tensor
    s_back: Tensor
    j1: Tensor
    j2: Tensor
    k_m: Tensor
    apart: Tensor
    t: Tensor
    r: Tensor


def _beam(w: _Scattering, k: Tensor, through: Tensor, lai: Tensor, limit: Tensor) -> _Beam:
    """τsd and ρsd of the beam k, of which `through` = e^{-kL} is not intercepted."""
    less = k - w.m
    far, over_k = torch.maximum(less, 0.5 * k), 1.0 / k
    apart = 1.0 / ((k + w.m) * far)
    k_m = apart * far
    j1 = lai * torch.maximum(through, w.e) * expm1c(less.abs() * lai)
    j2 = (1.0 - w.e * through) * k_m
    kt, kh, khb = k * w.t, k * w.h, k * w.hb
    down, up = w.tdd - through * w.over, w.over - through * w.tdd
    s_down = choose(w.m, limit, (down - through * kt) * apart, (j1 - w.e * j2) * w.share)
    s_up = choose(w.m, limit, (kt - up) * apart, (j2 - w.e * j1) * w.share)
    c_down = (down + w.m2 * s_down) * over_k
    c_up = (up - w.m2 * s_up) * over_k
    s, s_back = kh - w.p, kh + w.p
    return _Beam(
        k, through, s, s_back, j1, j2, k_m, apart,
        s * c_down + (khb - w.pa) * s_down,
        s_back * c_up + (khb + w.pa) * s_up,
    )  # fmt: skip


def _beam_to_beam(w: _Scattering, sun: _Beam, view: _Beam, lai: Tensor, limit: Tensor) -> Tensor:
    """ρsod, the sun's beam scattered more than once into the view's."""
    ks, ko, tss, too = sun.k, view.k, sun.through, view.through
    z = lai * expm1c((ks + ko) * lai)

    s1, s2 = sun.s * w.am + sun.s_back * w.sigma, sun.s * w.sigma + sun.s_back * w.am
    v1, v2 = view.s * w.am + view.s_back * w.sigma, view.s * w.sigma + view.s_back * w.am
    t1 = v2 * s1 * (z - sun.j1 * too) * view.k_m
    t2 = v1 * s2 * (z - view.j1 * tss) * sun.k_m
    t3 = (view.r * s2 * sun.j2 + view.t * s1 * sun.j1) * w.sigma
    strong = (t1 + t2 - t3) / (2.0 * w.m * w.am)

    passed = too * sun.t
    up = sun.r - passed - 2.0 * z * w.p
    down = 2.0 * ks * z * w.h - sun.r - passed
    weak = ((ko * ko * w.h - w.pa) * up - ko * (w.hb - w.p) * down) * view.apart
    return choose(w.m, limit, weak, strong)


def foursail(
    *, leaf: Leaf, lai: Tensor, geometry: Extinction, hot: HotSpot, soil: Tensor
) -> Canopy:
    """Reflectance factors of a canopy over a soil.

    Parameters
    ----------
    leaf : Leaf [wavelength, canopy]
        Its absorptance above 0, at least 1e-9 in float64.
    lai : Tensor [canopy]
        Leaf area index, ≥ 0 [m² m⁻²].
    geometry, hot
        From `extinction` and `hot_spot`.
    soil : Tensor [wavelength, canopy]
        Soil reflectance, 0 ≤ soil < 1.
    """
    layer = scatter(leaf=leaf, lai=lai, geometry=geometry)
    seen = lai * hot.integral
    single = geometry.sob * seen * leaf.reflectance + geometry.sof * seen * leaf.transmittance
    return over_soil(layer, single, hot.tsstoo, soil)


def over_soil(layer: Layer, single: Tensor, tsstoo: Tensor, soil: Tensor) -> Canopy:
    """A canopy from its leaves, what they scatter once, and the soil seen in sunlight."""
    tss, too, tdd, rdd, rdd_below, tsd, rsd, tdo, rdo, rsod = layer
    down = tss + tsd
    bounce = 1.0 / (1.0 - soil * rdd_below)
    up = soil * bounce
    below = down * tdo + (tsd + tss * soil * rdd_below) * too
    return Canopy(
        rso=single + rsod + tsstoo * soil + below * up,
        rdo=rdo + tdd * (tdo + too) * up,
        rsd=rsd + down * tdd * up,
        rdd=rdd + tdd * tdd * up,
        sun_to_soil=down * bounce,
        sky_to_soil=tdd * bounce,
    )
