"""Forests from named numbers: leaves of one's own spectra in crowns or clumps."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rtm.arguments import joined, numbers, one_of
from rtm.blocks import in_blocks
from rtm.clumping import crown_interception, crown_omega
from rtm.forest import Medium, crown_hot_spot, medium, sky_directions, sky_gap, sky_mean
from rtm.forest import forest as physics
from rtm.foursail import Extinction, HotSpot, extinction, hot_spot, slant_extinction
from rtm.modes import own_precision
from rtm.named import lidf_of
from rtm.named_clumping import CROWNS, NO_LEAVES, WILSON, checked, columns, leaf_angles, stand_of
from rtm.numerics import fall, floor, gauss_rule, hot_spot_exact, least
from rtm.parameters import GEOMETRY
from rtm.products import absorbed
from rtm.prosail import LIDF, fold
from rtm.prospect import Leaf

_BLOCK, _SPECTRA = 1024, 65536  # canopies worked on at a time, numbers of their spectra
_WHOLE = 1e-6  # by which rounded ρ + τ may exceed 1


class ForestReflectance(NamedTuple):
    """What a forest reflects, absorbs and lets through.

    Attributes
    ----------
    rso, rdo, rsd, rdd : Tensor [..., wavelength]
        Bidirectional, hemispherical-directional, directional-hemispherical (black-sky albedo) and
        bihemispherical reflectance factor (white-sky albedo).
    absorbed, absorbed_diffuse : Tensor [..., wavelength]
        Share of the sun's and of an even sky's light that leaves and wood absorb.
    leaf_share : Tensor [..., wavelength]
        Share of it that leaves absorb.
    transmitted, transmitted_diffuse : Tensor [..., wavelength]
        All light that falls on the soil, from the sun and from an even sky.
    gap, gap_view : Tensor [...]
        Share of the sun's and of the view's beam that meets neither leaf nor wood.
    clumping, clumping_view : Tensor [...]
        Ω of the sun's and of the view's beam.
    pai, lai_effective : Tensor [...]
        Area of leaves and wood; leaf area times Ω at 57.5 degree.
    """

    rso: Tensor
    rdo: Tensor
    rsd: Tensor
    rdd: Tensor
    absorbed: Tensor
    absorbed_diffuse: Tensor
    leaf_share: Tensor
    transmitted: Tensor
    transmitted_diffuse: Tensor
    gap: Tensor
    gap_view: Tensor
    clumping: Tensor
    clumping_view: Tensor
    pai: Tensor
    lai_effective: Tensor


@own_precision
def forest(
    *, reflectance: Any, transmittance: Any, soil_reflectance: Any, wood_reflectance: Any = None,
    diffuse: str = "gap", classes: int = 18, **values,
) -> ForestReflectance:  # fmt: skip
    """Reflectance, absorption and transmission of leaves in crowns, or in clumps.

    Crowns are ellipsoids with even leaves that do not intersect, in random places. Instead of
    crowns, `clumping` gives Ω itself, the same at every angle; 1 is a canopy of even leaves.

    Parameters
    ----------
    reflectance, transmittance : array or Tensor [..., wavelength]
        Of leaves, 0-1; their sum is at most 1.
    soil_reflectance : array or Tensor [..., wavelength]
        At least 0 and below 1.
    wood_reflectance : array or Tensor [..., wavelength], optional
        Of the area `wai`, through which no light goes, even among the leaves.
    diffuse : {"gap", "mean"}
        Sky light passes by its mean gap, or by the mean clumping in the diffuse light of 4SAIL,
        which is 4SAIL itself where Ω is 1, and lets less sky light through.
    classes : int
        Classes of leaf inclination, as in `Prosail`.
    **values : float, array or Tensor
        `lai` (green leaves), leaf angles (`ala`, or the names of another family), `tts`, `tto`,
        `psi`, `wai`, with `crown_area` those of crowns, with `clumping` `hspot`, the size of a
        clump over the depth of the canopy. Units and defaults stand in `TRAITS`, `GEOMETRY` and
        `FOREST`. They broadcast together and with the spectra without their last axis.

    Returns
    -------
    ForestReflectance
        Tensors; float64 unless spectra of another dtype are given; gradients are kept.

    Raises
    ------
    ValueError
        Unknown name, both or neither of `crown_area` and `clumping`, a value without a physical
        meaning, crowns for which there is no room.

    Notes
    -----
    Sources and equations: `rtm.forest` and `rtm.clumping`. Held against RAMI4PILPS (Widlowski et
    al. 2011, 10.1029/2010JG001511), see docs/rtm.md.

    Examples
    --------
    >>> seen = forest(
    ...     reflectance=[0.07, 0.45], transmittance=[0.05, 0.45], soil_reflectance=[0.1, 0.2],
    ...     lai=2.5, crown_area=0.5, tts=[27.0, 60.0],
    ... )
    >>> seen.rso.shape, seen.clumping.shape
    (torch.Size([2, 2]), torch.Size([2]))
    """
    one_of("diffuse", diffuse, ("gap", "mean"))
    kind, names = _names(values)
    given = checked(values, names, "lai")
    spectra = _spectra(reflectance, transmittance, soil_reflectance, wood_reflectance)
    if "wai" in given and len(spectra) == 3:
        raise ValueError("wood_reflectance: expected that of the wood (wai), got nothing")
    theta, shape = columns(given, names, [x[..., 0] for x in spectra])
    flat = [x.expand(*shape, x.shape[-1]).reshape(-1, x.shape[-1]).T for x in spectra]

    def compute(theta: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        p = dict(zip(names, theta, strict=True))
        return _seen(p, leaf_angles(p, kind, classes), diffuse, *parts)

    block = max(16, min(_BLOCK, _SPECTRA // flat[0].shape[0]))
    found = in_blocks(compute, (theta, *flat), block=block)
    return ForestReflectance(*(x.reshape((*shape, *x.shape[1:])) for x in found if x is not None))


def _names(values: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Leaf angles, and the names of everything that a forest has."""
    kind = lidf_of(values)
    if ("crown_area" in values) == ("clumping" in values):
        got = "both" if "clumping" in values else "neither"
        raise ValueError(f"crown_area, clumping: expected one of them, got {got}")
    clumps = CROWNS if "crown_area" in values else ("clumping", "hspot")
    return kind, ("lai", "wai", *clumps, *(p.name for p in LIDF[kind].parameters), *GEOMETRY)


def _spectra(leaf: Any, through: Any, soil: Any, wood: Any) -> list[Tensor]:
    """The spectra [..., wavelength] of one dtype; ValueError in words."""
    given = {"reflectance": leaf, "transmittance": through, "soil_reflectance": soil}
    given |= {} if wood is None else {"wood_reflectance": wood}
    found = {name: numbers(name, x) for name, x in given.items()}
    for name, x in found.items():
        if x.ndim == 0 or bool((~x.isfinite() | (x < 0.0) | (x > 1.0)).any()):
            raise ValueError(f"{name}: expected a spectrum of numbers from 0 to 1, got another")
    if (found["soil_reflectance"] >= 1.0).any():
        raise ValueError("soil_reflectance: expected numbers below 1, got 1")
    joined(found)
    if (found["reflectance"] + found["transmittance"] > 1.0 + _WHOLE).any():
        raise ValueError("reflectance, transmittance: expected a sum of at most 1, got more")
    short = all(x.dtype == torch.float32 for x in found.values())
    same = [x if short else x.double() for x in found.values()]
    size = max(x.shape[-1] for x in same)
    return [x.expand(*x.shape[:-1], size) for x in same]


def _seen(
    p: dict[str, Tensor], inclined: tuple[Tensor, Tensor], diffuse: str, reflectance: Tensor,
    transmittance: Tensor, soil: Tensor, wood: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The fields of a result [canopy, ...]: p [canopy], spectra [wavelength, canopy]."""
    tts, tto, psi = p["tts"], p["tto"], fold(p["psi"])
    angles, shares = inclined
    geometry = extinction(tts=tts, tto=tto, psi=psi, angles=angles, shares=shares)
    pai = p["lai"] + p["wai"]
    area = floor(pai, NO_LEAVES)
    omega, sky_depth = _omega(p, area, inclined, geometry, diffuse)
    clumps = medium(lai=area, geometry=geometry, omega=(omega[0], omega[1]), sky_depth=sky_depth)
    hot = _hot_spot(p, (tts, tto, psi), clumps, area, geometry)
    green = None if wood is None else p["lai"] / area
    leaf, share = _elements(Leaf(reflectance, transmittance, 1.0 - reflectance - transmittance),
                            wood, green)  # fmt: skip
    dtype = soil.dtype
    canopy = physics(
        leaf=leaf, geometry=Extinction(*(x.to(dtype) for x in geometry)),
        clumps=Medium(*(x.to(dtype) for x in clumps)), hot=HotSpot(*(x.to(dtype) for x in hot)),
        angles=(tts.to(dtype), tto.to(dtype), psi.to(dtype)), soil=soil,
    )  # fmt: skip
    taken = [absorbed(back, down, soil) for back, down in
             ((canopy.rsd, canopy.sun_to_soil), (canopy.rdd, canopy.sky_to_soil))]  # fmt: skip
    spectral = (*canopy[:4], *taken, share.expand_as(soil), canopy.sun_to_soil, canopy.sky_to_soil)
    beams = [fall(k * clumps.depth) for k in (clumps.ks, clumps.ko)]
    single = (*beams, omega[0], omega[1], pai, omega[2] * p["lai"])
    return (*(x.T for x in spectral), *(x.to(dtype) for x in single))


def _omega(
    p: dict[str, Tensor], area: Tensor, inclined: tuple[Tensor, Tensor], geometry: Extinction,
    diffuse: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Ω of the sun's beam, of the view's and at 57.5 degree [3, canopy], and Λ [canopy]."""
    angles, shares = inclined
    fixed = torch.cat([p["lai"].new_tensor([WILSON]), sky_directions()[0].to(area)])
    sky = slant_extinction(zenith=fixed, angles=angles, shares=shares)
    k = torch.cat([geometry.ks.unsqueeze(0), geometry.ko.unsqueeze(0), sky])
    if "clumping" in p:
        omega = p["clumping"].expand_as(k)
    else:
        beams = fixed.unsqueeze(-1).expand_as(sky)
        zenith = torch.cat([p["tts"].unsqueeze(0), p["tto"].unsqueeze(0), beams])
        omega = crown_omega(lai=area, k=k, zenith=zenith, stand=stand_of(p))
    of_sky = sky_gap if diffuse == "gap" else sky_mean
    return omega[:3], of_sky(lai=area, k=k[3:], omega=omega[3:])


def _hot_spot(
    p: dict[str, Tensor], angles: tuple[Tensor, Tensor, Tensor], clumps: Medium, area: Tensor,
    geometry: Extinction,
) -> HotSpot:  # fmt: skip
    tts, tto, psi = angles
    if "clumping" not in p:
        stand, beams = stand_of(p), torch.stack([geometry.ks, geometry.ko])
        zenith = torch.stack([tts, tto])
        taken = crown_interception(lai=area, k=beams, zenith=zenith, stand=stand).prod(0).sqrt()
        return crown_hot_spot(
            angles=angles, clumps=clumps, stand=stand, base=p["crown_base"], taken=taken
        )
    rule = gauss_rule(40).to(clumps.depth)
    return hot_spot(
        tts=tts, tto=tto, psi=psi, hspot=p["hspot"], lai=clumps.depth, ks=clumps.ks, ko=clumps.ko,
        integrate=lambda alpha, b, c: hot_spot_exact(alpha, b, c, rule),
    )  # fmt: skip


def _elements(leaf: Leaf, wood: Tensor | None, green: Tensor | None) -> tuple[Leaf, Tensor]:
    """The mean of leaves and wood, green the share of leaves, and what leaves absorb of it."""
    taken = floor(leaf.absorptance, least(leaf.absorptance.dtype))
    if wood is None or green is None:
        return leaf._replace(absorptance=taken), torch.ones_like(taken)
    green = green.to(wood.dtype)
    part, rest = green * taken, (1.0 - green) * (1.0 - wood)
    whole = floor(part + rest, least(part.dtype))
    mean = Leaf(green * leaf.reflectance + (1.0 - green) * wood, green * leaf.transmittance, whole)
    return mean, part / whole
