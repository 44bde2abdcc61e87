"""4SAIL2: green and brown leaves in two layers, gathered in crowns, over a soil.

    L, fB, D    leaf area index per ground area, share of brown leaves, dissociation of both: at
                D = 1 all brown leaves stand below all green ones, at 0 both are mixed evenly
    1, 2        the upper layer with (1 - fB)·L and the lower one with fB·L
    Cv, ζ       share of ground under crowns; crown diameter over the height of its centre
    Cs, Co      the same share as seen along the sun's and the view's beam
    F           share of ground per kind: c seen through a crown, o beside one; d in light that
                went through a crown, s beside one: Fcd, Fcs, Fod, Fos

The leaves of layer 1 are a mixture with a share (1 - D)·fB of brown ones, those of layer 2 with a
share 1 - (1 - D)(1 - fB). Crowns hold L/Cv. In Verhoef's equations the shares have fB and 1 - fB
in their denominators; here they are written out and hold at 0 and 1.

Verhoef & Bach 2007, 10.1016/j.rse.2006.12.013; the crowns' contribution weighted with
Fcdc = 1 - (1 - Fcd)^{(1/cos θs + 1/cos θo)/2} is Verhoef's later change of 2008.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.foursail import Canopy, Extinction, Layer, hot_spot, over_soil, scatter, separation
from rtm.numerics import floor
from rtm.prospect import Leaf

_RADIAN = math.pi / 180.0


class Crowns(NamedTuple):
    """How crowns cover the ground, all [canopy]: shares in the letters above."""

    cv: Tensor
    cs: Tensor
    co: Tensor
    fcd: Tensor
    fcs: Tensor
    fod: Tensor
    fos: Tensor
    fcdc: Tensor


def crowns(*, tts: Tensor, tto: Tensor, psi: Tensor, cv: Tensor, zeta: Tensor) -> Crowns:
    """Cover by crowns along the beams.

    Parameters
    ----------
    tts, tto, psi : Tensor [canopy]
        Sun zenith, view zenith, relative azimuth [degree].
    cv, zeta : Tensor [canopy]
        Crown cover, above 0 and at most 1, and crown diameter over centre height, ≥ 0.
    """
    cos_s, cos_o = (tts * _RADIAN).cos(), (tto * _RADIAN).cos()
    bare = floor(1.0 - cv, 1e-30).log()
    cs, co = 1.0 - (bare / cos_s).exp(), 1.0 - (bare / cos_o).exp()
    dso = separation(tts=tts, tto=tto, psi=psi)
    less = torch.minimum(cs * (1.0 - co), co * (1.0 - cs))
    overlap = less * (-dso / floor(zeta, 1e-9)).exp()
    fcd = cs * co + overlap
    open_share = floor(1.0 - fcd, 1e-30)
    fcdc = 1.0 - (open_share.log() * (0.5 / cos_s + 0.5 / cos_o)).exp()
    return Crowns(
        cv, cs, co, fcd, (1.0 - cs) * co - overlap, cs * (1.0 - co) - overlap,
        (1.0 - cs) * (1.0 - co) + overlap, fcdc,
    )  # fmt: skip


def mixed(*, green: Leaf, brown: Leaf, fraction_brown: Tensor, diss: Tensor) -> tuple[Leaf, Leaf]:
    """The mean leaves of the upper and of the lower layer."""
    together = 1.0 - diss
    upper, lower = together * fraction_brown, 1.0 - together * (1.0 - fraction_brown)
    pairs = list(zip(green, brown, strict=True))
    return (
        Leaf(*(g + upper * (b - g) for g, b in pairs)),
        Leaf(*(g + lower * (b - g) for g, b in pairs)),
    )


def stacked(top: Layer, low: Layer) -> Layer:
    """Two layers as one, by adding their bounces; rsod without the light scattered just once."""
    bounce = 1.0 / (1.0 - top.rdd_below * low.rdd)
    up = (top.tss * low.rsd + top.tsd * low.rdd) * bounce
    down = (top.tsd + top.tss * low.rsd * top.rdd_below) * bounce
    seen = (top.tdo + top.too * low.rdo * top.rdd_below) * bounce
    return Layer(
        tss=top.tss * low.tss,
        too=top.too * low.too,
        tdd=top.tdd * low.tdd * bounce,
        rdd=top.rdd + top.tdd * low.rdd * top.tdd * bounce,
        rdd_below=low.rdd_below + low.tdd * top.rdd_below * low.tdd * bounce,
        tsd=top.tss * low.tsd + down * low.tdd,
        rsd=top.rsd + up * top.tdd,
        tdo=top.too * low.tdo + seen * low.tdd,
        rdo=top.rdo + top.tdd * (low.rdd * top.tdo + low.rdo * top.too) * bounce,
        rsod=top.rsod + top.tss * low.rsod * top.too + up * top.tdo + down * low.rdo * top.too,
    )


def clumped(layer: Layer, over: Crowns) -> Layer:
    """The same leaves gathered in crowns."""
    cv, cs, co = over.cv, over.cs, over.co
    return Layer(
        tss=1.0 - cs + cs * layer.tss,
        too=1.0 - co + co * layer.too,
        tdd=1.0 - cv + cv * layer.tdd,
        rdd=cv * layer.rdd,
        rdd_below=cv * layer.rdd_below,
        tsd=cs * layer.tsd,
        rsd=cs * layer.rsd,
        tdo=co * layer.tdo,
        rdo=co * layer.rdo,
        rsod=over.fcdc * layer.rsod,
    )


def foursail2(
    *, green: Leaf, brown: Leaf, lai: Tensor, fraction_brown: Tensor, diss: Tensor, hspot: Tensor,
    geometry: Extinction, over: Crowns, angles: tuple[Tensor, Tensor, Tensor], soil: Tensor,
    integrate: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Canopy:  # fmt: skip
    """Reflectance factors of a canopy of two layers in crowns over a soil.

    Parameters
    ----------
    green, brown : Leaf [wavelength, canopy]
    lai : Tensor [canopy]
        Leaf area index per ground area, ≥ 0 [m² m⁻²].
    fraction_brown, diss, hspot : Tensor [canopy]
        Share of brown leaves, dissociation, leaf size over canopy height.
    geometry, over
        From `extinction` and `crowns`.
    angles : tuple of Tensor [canopy]
        tts, tto, psi [degree].
    soil : Tensor [wavelength, canopy]
    integrate : callable
        See `rtm.foursail.hot_spot`.
    """
    inside = lai / over.cv
    share = 1.0 - fraction_brown
    leaves = mixed(green=green, brown=brown, fraction_brown=fraction_brown, diss=diss)
    sizes = (share * inside, fraction_brown * inside)
    layers = [
        scatter(leaf=x, lai=n, geometry=geometry) for x, n in zip(leaves, sizes, strict=True)
    ]

    tts, tto, psi = angles
    view = {"tts": tts, "tto": tto, "psi": psi, "ks": geometry.ks, "ko": geometry.ko}
    whole = hot_spot(**view, hspot=hspot, lai=inside, integrate=integrate)
    # the upper layer alone reaches down to a share of the height: its leaves are larger by 1/share
    top = hot_spot(**view, hspot=hspot / floor(share, 1e-9), lai=sizes[0], integrate=integrate)
    path = share * top.integral
    singles = [
        inside * part * (geometry.sob * leaf.reflectance + geometry.sof * leaf.transmittance)
        for part, leaf in zip((path, whole.integral - path), leaves, strict=True)
    ]
    layer = stacked(*layers)
    to_soil = over.fcd * whole.tsstoo + over.fcs * layer.too + over.fod * layer.tss + over.fos
    single = over.fcdc * (singles[0] + singles[1])
    return over_soil(clumped(layer, over), single, to_soil, soil)
