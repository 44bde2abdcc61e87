"""PROSAIL with 50 digits: the reference of `rtm`, solved by other means.

Nothing is shared with `rtm` but the tables of constants. Where `rtm` has a closed form, this file
integrates, sums or exponentiates:

    t_α     mean of Fresnel's transmissivity over a cone of half-angle α, by quadrature
    τ       = 2·E₃(k), the exponential integral of mpmath
    R, T    of N - 1 plates: the transfer matrix of one plate to the power N - 1,
            Mᵖ = (sinh pη·M - sinh (p-1)η·1)/sinh η, 2·cosh η = (1 + t² - r²)/t
    f       share of leaf area in each of 18 classes of 5°: quadrature of Campbell's density
    ks, ko  mean over the azimuth of the leaf of |cos of the angle to its normal|, bf likewise
    sob, sof  the same mean of the product of both cosines where it is positive, negative
    E       = (Es, E⁻, E⁺, Eo), dE/dx = A·E over the leaf area x from the soil up: E(top) =
            exp(A·L)·E(soil), with the soil as boundary condition
    hot spot  ∫₀¹ exp(-b·x + c·(1 - e^{-αx})/α) dx
            = [F(1) - exp(-b + c·(1 - e^{-α})/α)·F(e^{-α})]/b,  F(y) = Σ_n Π_{j≤n} c·y/(b + α·j)

The exponential needs no case for k = m nor for m = 0. q = 0 stands for its limit: no joint view,
but the whole of it where sun and view are the same.

Stern 1964, 10.1364/AO.3.000111; Jacquemoud & Baret 1990, 10.1016/0034-4257(90)90100-Z; Féret et
al. 2017, 10.1016/j.rse.2017.03.004; Campbell 1990, 10.1016/0168-1923(90)90030-A; Verhoef 1984,
10.1016/0034-4257(84)90057-9; Verhoef et al. 2007, 10.1109/TGRS.2007.895844; Kuusk 1985 with
Bréon's factor 2/(ks + ko).
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import mpmath as mp

from rtm.spectra import table

DIGITS = 50
CLASSES = 18
CONTENTS = {
    "D": ("cab", "car", "ant", "cbrown", "cw", "cm"),
    "5": ("cab", "car", "cbrown", "cw", "cm"),
    "PRO": ("cab", "car", "ant", "cbrown", "cw", "prot", "cbc"),
}
mp.mp.dps = DIGITS


def exactly(function):
    """At 50 digits whatever the caller works with, and each set of arguments once."""
    return cache(mp.workdps(DIGITS)(function))


class Leaf(NamedTuple):
    """Hemispherical reflectance and transmittance."""

    reflectance: mp.mpf
    transmittance: mp.mpf


class Geometry(NamedTuple):
    """Extinctions, mean of cos² of the inclination, bidirectional scattering, nadir extinction."""

    ks: mp.mpf
    ko: mp.mpf
    bf: mp.mpf
    sob: mp.mpf
    sof: mp.mpf
    nadir: mp.mpf


class Fluxes(NamedTuple):
    """Reflectance factors without the joint view, and the light on the soil by sun and by sky."""

    rso: mp.mpf
    rdo: mp.mpf
    rsd: mp.mpf
    rdd: mp.mpf
    sun_to_soil: mp.mpf
    sky_to_soil: mp.mpf


@exactly
def constant(file: str, column: str, wavelength: float) -> mp.mpf:
    """One number of rtm/data at a whole wavelength [nm]."""
    columns = table(file)
    (row,) = (columns["wavelength"] == wavelength).nonzero()[0]
    return mp.mpf(float(columns[column][row]))


@exactly
def transmissivity(degrees: int, index: mp.mpf) -> mp.mpf:
    """Mean of Fresnel's transmissivity, both polarisations, isotropic light within a cone."""

    def fresnel(theta):
        c, s = mp.cos(theta), mp.sin(theta)
        inside = mp.sqrt(index**2 - s**2)
        across = ((c - inside) / (c + inside)) ** 2
        along = ((index**2 * c - inside) / (index**2 * c + inside)) ** 2
        return (1 - (across + along) / 2) * 2 * s * c

    cone = mp.radians(degrees)
    return mp.quad(fresnel, [0, cone / 2, cone]) / mp.sin(cone) ** 2


@exactly
def leaf_optics(leaf: str, wavelength: float, n_leaf: mp.mpf, contents: tuple) -> Leaf:
    """PROSPECT: a plate lit within 40°, and N - 1 plates in diffuse light under it."""
    index = constant("leaf", f"{leaf}.refractive_index", wavelength)
    absorption = (constant("leaf", f"{leaf}.{name}", wavelength) for name in CONTENTS[leaf])
    depth = mp.fdot(absorption, contents) / n_leaf
    tau = 2 * mp.expint(3, depth) if depth > 0 else mp.mpf(1)
    t40, t90 = transmissivity(40, index), transmissivity(90, index)
    r12, t21 = 1 - t90, t90 / index**2
    r21 = 1 - t21
    pass_through = t21 * tau / (1 - (r21 * tau) ** 2)
    t, first_t = t90 * pass_through, t40 * pass_through
    r, first_r = r12 + r21 * tau * t, 1 - t40 + r21 * tau * first_t
    if t == 0 or t < mp.mpf(10) ** (-3 * DIGITS):
        return Leaf(first_r, mp.mpf(0))
    rest_r, rest_t = plates(r, t, n_leaf - 1)
    bounced = first_t / (1 - rest_r * r)
    return Leaf(first_r + bounced * rest_r * t, bounced * rest_t)


def plates(r: mp.mpf, t: mp.mpf, count: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """Reflectance and transmittance of any number of plates, from the power of a matrix."""
    half_trace = (1 + t * t - r * r) / (2 * t)
    if half_trace - 1 < mp.mpf(10) ** (8 - DIGITS):
        one, zero = count, count - 1
    else:
        eta = mp.acosh(half_trace)
        one, zero = mp.sinh(count * eta) / mp.sinh(eta), mp.sinh((count - 1) * eta) / mp.sinh(eta)
    corner, side = one / t - zero, one * r / t
    return side / corner, 1 / corner


@exactly
def leaf_angles(ala: mp.mpf) -> tuple:
    """Campbell's ellipsoid: (inclination of the middle [radian], share of leaf area) by class."""
    chi = mp.exp(
        ((mp.mpf("-1.6184e-5") * ala + mp.mpf("2.1145e-3")) * ala - mp.mpf("1.2390e-1")) * ala
        + mp.mpf("3.2491")
    )
    step = mp.pi / (2 * CLASSES)

    def density(theta):
        return mp.sin(theta) / (mp.cos(theta) ** 2 + (chi * mp.sin(theta)) ** 2) ** 2

    edges = [i * step for i in range(CLASSES + 1)]
    area = [
        mp.quad(density, [low, low + step / 8, low + step / 2, low + 7 * step / 8, high])
        for low, high in pairwise(edges)
    ]
    return tuple(
        (edge + step / 2, x / mp.fsum(area)) for edge, x in zip(edges, area, strict=False)
    )


def zero_crossings(level: mp.mpf, amplitude: mp.mpf) -> list:
    """Azimuths in [0, π] where level + amplitude·cos φ changes its sign."""
    return [mp.acos(-level / amplitude)] if abs(level) < amplitude else []


def interception(level: mp.mpf, amplitude: mp.mpf) -> mp.mpf:
    """Mean over φ of |level + amplitude·cos φ|."""
    edges = [mp.mpf(0), *zero_crossings(level, amplitude), mp.pi]
    parts = [level * x + amplitude * mp.sin(x) for x in edges]
    return mp.fsum(abs(b - a) for a, b in pairwise(parts)) / mp.pi


def joint_scattering(sun: tuple, view: tuple, psi: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """Mean over φ of the positive and of the negative part of (A + B cos φ)(C + D cos(φ - ψ))."""
    (a, b), (c, d) = sun, view
    turns = [sign * x for x in zero_crossings(a, b) for sign in (1, -1)]
    turns += [psi + sign * x for x in zero_crossings(c, d) for sign in (1, -1)]
    edges = sorted(x - 2 * mp.pi * mp.floor(x / (2 * mp.pi)) for x in turns)
    edges = [mp.mpf(0), *edges, 2 * mp.pi]

    def primitive(x):
        twice = b * d / 2 * (x * mp.cos(psi) + mp.sin(2 * x - psi) / 2)
        return a * c * x + b * c * mp.sin(x) + a * d * mp.sin(x - psi) + twice

    values = [primitive(x) for x in edges]
    parts = [high - low for low, high in pairwise(values)]
    up, down = (mp.fsum(x for x in parts if x > 0), -mp.fsum(x for x in parts if x < 0))
    return up / (2 * mp.pi), down / (2 * mp.pi)


@exactly
def geometry(tts: mp.mpf, tto: mp.mpf, psi: mp.mpf, ala: mp.mpf) -> Geometry:
    """Sums over the classes of leaf inclination; angles in degree."""
    s, o, psi = mp.radians(tts), mp.radians(tto), mp.radians(psi)
    sums = [mp.mpf(0)] * 6
    for theta, share in leaf_angles(ala):
        c, d = mp.cos(theta), mp.sin(theta)
        sun, view = (mp.cos(s) * c, mp.sin(s) * d), (mp.cos(o) * c, mp.sin(o) * d)
        up, down = joint_scattering(sun, view, psi)
        terms = (
            interception(*sun) / mp.cos(s), interception(*view) / mp.cos(o), c * c,
            up / (mp.cos(s) * mp.cos(o)), down / (mp.cos(s) * mp.cos(o)), c,
        )  # fmt: skip
        sums = [total + share * term for total, term in zip(sums, terms, strict=True)]
    return Geometry(*sums)


def hot_spot_alpha(tts, tto, psi, hspot, geo: Geometry) -> mp.mpf:
    """α of the joint view; infinite at q = 0, but 0 where sun and view are the same."""
    a, b = mp.tan(mp.radians(tts)), mp.tan(mp.radians(tto))
    half = mp.sin(mp.radians(psi) / 2)
    distance = mp.sqrt((a - b) ** 2 + 4 * a * b * half**2)
    if distance < mp.mpf(10) ** (8 - DIGITS):
        return mp.mpf(0)
    return distance / hspot * 2 / (geo.ks + geo.ko) if hspot > 0 else mp.inf


def hot_spot(alpha: mp.mpf, b: mp.mpf, c: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """Integral of the joint view over depth, and the joint view of the soil."""
    if b == 0:
        return mp.mpf(1), mp.mpf(1)
    if alpha == mp.inf:
        return -mp.expm1(-b) / b, mp.exp(-b)
    near = c if alpha == 0 else -c * mp.expm1(-alpha) / alpha
    below = mp.exp(near - b)

    def series(y):
        total = term = mp.mpf(1)
        j = 0
        while term > mp.mpf(10) ** (-DIGITS - 10):
            j += 1
            term *= c * y / (b + alpha * j)
            total += term
        return total

    return (series(mp.mpf(1)) - below * series(mp.exp(-alpha))) / b, below


def hot_spot_by_quadrature(alpha: mp.mpf, b: mp.mpf, c: mp.mpf) -> mp.mpf:
    """The same integral by mpmath.quad over panels graded towards x = 0."""

    def view(x):
        joint = c * x if alpha == 0 else -c * mp.expm1(-alpha * x) / alpha
        return mp.exp(joint - b * x)

    steepest = max(alpha, b, mp.mpf(1))
    edges = [mp.mpf(0), 1 / steepest]
    while edges[-1] < 1:
        edges.append(min(8 * edges[-1], mp.mpf(1)))
    return mp.quad(view, edges, method="gauss-legendre")


@exactly
def fluxes(rho: mp.mpf, tau: mp.mpf, lai: mp.mpf, geo: Geometry, soil: mp.mpf) -> Fluxes:
    """The four streams over a soil, by the matrix exponential.

    exp(A·L) grows like exp(ks·L), so that many digits cancel: twice as many are added.
    """
    extra = int(2 * max(geo.ks, geo.ko, 1) * lai / mp.log(10)) + 20
    with mp.workdps(DIGITS + extra):
        ks, ko, bf = geo.ks, geo.ko, geo.bf
        back, ahead = (
            (1 + bf) / 2 * rho + (1 - bf) / 2 * tau,
            (1 - bf) / 2 * rho + (1 + bf) / 2 * tau,
        )
        sb, sf = (
            (ks + bf) / 2 * rho + (ks - bf) / 2 * tau,
            (ks - bf) / 2 * rho + (ks + bf) / 2 * tau,
        )
        vb, vf = (
            (ko + bf) / 2 * rho + (ko - bf) / 2 * tau,
            (ko - bf) / 2 * rho + (ko + bf) / 2 * tau,
        )
        system = mp.matrix(
            [
                [ks, 0, 0, 0],
                [-sf, 1 - ahead, -back, 0],
                [sb, back, -(1 - ahead), 0],
                [0, vb, vf, -ko],
            ]
        )
        layer = mp.expm(system * lai, method="taylor")
        return _lit(layer, soil)


def _lit(layer, soil: mp.mpf) -> Fluxes:
    """Unit light from the sun, then from the sky, onto E(top) = layer·E(soil).

    The soil reflects E⁺ = soil·(Es + E⁻); Eo = soil·E⁻ there, as the soil's answer to the sun
    that goes straight to the sensor belongs to the joint view.
    """
    per_sun = [layer[i, 0] + soil * layer[i, 2] for i in range(4)]
    per_sky = [layer[i, 1] + soil * (layer[i, 2] + layer[i, 3]) for i in range(4)]
    es = 1 / per_sun[0]
    down = -per_sun[1] * es / per_sky[1]
    rsd, rso = (per_sun[i] * es + per_sky[i] * down for i in (2, 3))
    sky = 1 / per_sky[1]
    return Fluxes(rso, per_sky[3] * sky, rsd, per_sky[2] * sky, es + down, sky)


def soil_reflectance(wavelength: float, psoil: mp.mpf, rsoil: mp.mpf) -> mp.mpf:
    """rsoil·(psoil·dry + (1 - psoil)·wet), and a tanh above 0.9 that stays below 0.99."""
    dry, wet = constant("soil", "dry", wavelength), constant("soil", "wet", wavelength)
    plain = rsoil * (psoil * dry + (1 - psoil) * wet)
    rest = mp.mpf("0.09")
    top = mp.mpf("0.9")
    return plain if plain <= top else top + rest * mp.tanh((plain - top) / rest)


class Canopy(NamedTuple):
    """One wavelength; `absorbed` are the canopy's shares of sunlight and of skylight."""

    rso: mp.mpf
    rdo: mp.mpf
    rsd: mp.mpf
    rdd: mp.mpf
    leaf_reflectance: mp.mpf
    leaf_transmittance: mp.mpf
    absorbed: tuple[mp.mpf, mp.mpf]


def prosail(leaf: str, wavelength: float, p: dict[str, mp.mpf]) -> Canopy:
    """A canopy at one wavelength [nm]; p holds every parameter and angle, as `rtm` names them."""
    contents = tuple(p[name] for name in CONTENTS[leaf])
    rho, tau = leaf_optics(leaf, wavelength, p["n_leaf"], contents)
    geo = geometry(p["tts"], p["tto"], p["psi"], p["ala"])
    soil = soil_reflectance(wavelength, p["psoil"], p["rsoil"])
    flux = fluxes(rho, tau, p["lai"], geo, soil)
    alpha = hot_spot_alpha(p["tts"], p["tto"], p["psi"], p["hspot"], geo)
    b, c = (geo.ks + geo.ko) * p["lai"], mp.sqrt(geo.ks * geo.ko) * p["lai"]
    integral, joint = hot_spot(alpha, b, c)
    single = (geo.sob * rho + geo.sof * tau) * p["lai"] * integral
    by_sun = 1 - flux.rsd - (1 - soil) * flux.sun_to_soil
    by_sky = 1 - flux.rdd - (1 - soil) * flux.sky_to_soil
    rso = flux.rso + single + joint * soil
    return Canopy(rso, flux.rdo, flux.rsd, flux.rdd, rho, tau, (by_sun, by_sky))


def fcover(p: dict[str, mp.mpf]) -> mp.mpf:
    """1 - exp(-L·Σ f·cos θ_l): the ground that leaves hide from the nadir."""
    return -mp.expm1(-p["lai"] * geometry(p["tts"], p["tto"], p["psi"], p["ala"]).nadir)
