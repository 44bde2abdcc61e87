"""The clumping index: gaps between crowns, and one effective leaf area everywhere."""

import numpy as np
import pytest
import torch

from rtm import clumping, clumping_index, foursail2, products, prosail

F64 = torch.float64
SPHERICAL = {"ala": 58.43}  # Campbell's ellipsoid is a sphere


def gap(zenith: float, area: float, spread: float) -> float:
    """Share of a beam through spheres of leaf area 5, by Ω."""
    crowns = {"crown_area": area, "crown_spread": spread, "lai": 5.0 * area}
    omega = clumping_index(zenith=zenith, **crowns, **SPHERICAL, classes=90)
    return float(torch.exp(-omega * 0.5 / np.cos(np.radians(zenith)) * 5.0 * area))


def test_crowns_of_one_height_seen_from_above_hide_their_discs():
    """The share κ of a disc is that of chords of a sphere, in closed form for D = 3/2·5·0.5."""
    depth = 3.75
    opaque = 1.0 - 2.0 * (1.0 - (1.0 + depth) * np.exp(-depth)) / depth**2
    assert gap(0.0, 0.5, 0.0) == pytest.approx(1.0 - 0.5 * opaque, abs=2e-4)


@pytest.mark.parametrize(
    ("area", "spread", "gaps"),
    [
        (80, 0.4, (0.904, 0.840, 0.448)), (239, 0.4, (0.708, 0.520, 0.063)),
        (398, 0.4, (0.512, 0.259, 0.003)), (239, 1.0, (0.709, 0.532, 0.077)),
        (398, 1.0, (0.536, 0.323, 0.009)), (398, 2.0, (0.560, 0.355, 0.015)),
    ],
)  # fmt: skip
def test_gaps_are_those_of_rays_through_random_spheres(area, spread, gaps):
    """Rays at 27, 60 and 83 degree through 8 stands of so many spheres of 5 m on 250 m by 250 m,
    which do not intersect (standard error 0.005; benchmarks/forest.py traces such stands)."""
    found = [gap(t, area * np.pi / 2500.0, spread) for t in (27.0, 60.0, 83.0)]
    np.testing.assert_allclose(found, gaps, atol=0.031)
    intersecting = np.exp(-area * np.pi / 2500.0 * 0.8737 / np.cos(np.radians([27, 60, 83])))
    assert (found < intersecting).all()


def test_even_leaves_have_no_clumping():
    """Crowns of little leaf area far apart in height, and patches that cover everything."""
    thin = clumping_index(lai=2.0, crown_area=2e4, crown_spread=1e6, zenith=[0.0, 40.0, 70.0])
    np.testing.assert_allclose(thin, 1.0, atol=1e-3)
    np.testing.assert_allclose(clumping_index(lai=2.0, cv=1.0, zenith=[0.0, 70.0]), 1.0)
    np.testing.assert_allclose(clumping_index(lai=2.0, cv=1.0, zeta=0.2, zenith=70.0), 1.0)
    np.testing.assert_allclose(clumping_index(lai=0.0, cv=0.4), 1.0, atol=1e-6)


def test_shoots_clump_inside_crowns():
    """Where crowns are thin, the indices of shoots and of crowns multiply (Chen's Ω_E/γ_E)."""
    thin = {"lai": 1e-3, "crown_area": 0.3}
    whole, shoots = clumping_index(**thin), clumping_index(**thin, shoot_clumping=0.6)
    np.testing.assert_allclose(shoots, 0.6 * whole, rtol=1e-3)


@pytest.mark.parametrize("law", [{}, {"zeta": 0.3}])
def test_the_index_is_that_of_the_cover_of_prosail(law):
    """1 - fcover is the gap at the nadir, of crowns side by side and of 4SAIL2."""
    lai = torch.tensor([0.5, 2.0, 6.0], dtype=F64)
    leaves = {"lai": lai, "ala": 50.0}
    k = -torch.log1p(-prosail(sensor="sentinel-2a", **leaves).fcover) / lai
    cover = prosail(sensor="sentinel-2a", cv=0.6, **leaves, **law).fcover
    omega = clumping_index(cv=0.6, zenith=0.0, **leaves, **law)
    np.testing.assert_allclose(torch.exp(-omega * k * lai), 1.0 - cover, atol=1e-12)


def test_the_index_of_4sail2_is_that_of_its_slant_beams():
    cv, tts = torch.tensor([0.3, 0.8], dtype=F64), torch.tensor([50.0, 70.0], dtype=F64)
    over = foursail2.crowns(tts=tts, tto=tts, psi=0 * tts, cv=cv, zeta=cv)
    k = 0.5 / torch.cos(torch.deg2rad(tts))
    through = 1.0 - over.cs + over.cs * torch.exp(-k * 2.0 / cv)
    depth = clumping.foursail2_depth(lai=torch.full_like(cv, 2.0), cv=cv, k=k, zenith=tts)
    np.testing.assert_allclose(torch.exp(-depth), through, atol=1e-14)


def test_the_effective_leaf_area_is_the_true_one_times_the_index():
    """`lai_effective` of models and products; spherical leaves have nearly 0.5/cos θ."""
    lai, cv = torch.tensor([0.5, 3.0, 8.0], dtype=F64), torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    omega = clumping_index(lai=lai, cv=cv, **SPHERICAL, classes=90)
    np.testing.assert_allclose(products.effective_lai(lai, cv), omega * lai, rtol=1e-3)


def test_gradients_are_those_of_finite_differences():
    inputs = [torch.tensor(x, dtype=F64, requires_grad=True) for x in (2.5, 0.5, 1.3, 0.4, 0.8)]
    assert torch.autograd.gradcheck(
        lambda lai, area, shape, spread, within: clumping_index(
            lai=lai, crown_area=area, crown_shape=shape, crown_spread=spread,
            shoot_clumping=within, zenith=33.0,
        ), inputs,
    )  # fmt: skip
    assert torch.autograd.gradcheck(
        lambda lai, cv: clumping_index(lai=lai, cv=cv, zeta=0.2, zenith=33.0), inputs[:2]
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "crown_area: expected a number, got nothing"),
        ({"cv": 0.5, "crown_area": 0.5}, "parameter: expected one of lai, tts, cv"),
        ({"cv": 0.0}, "cv: expected above 0 and at most 1, got 0"),
        ({"crown_area": 0.9, "crown_spread": [0.0, 0.2], "crown_shape": -1.0}, "crown_shape"),
        ({"crown_area": 1.5}, "crown_area: expected crowns that fit into their layer"),
        ({"cv": 0.5, "zenith": 90.0}, "tts: expected at least 0 and below 90"),
        ({"cv": 0.5, "classes": 1}, "classes: expected at least 2, got 1"),
    ],
)
def test_wrong_input_is_told_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        clumping_index(lai=2.0, **wrong)
