"""Forests: crowns, clumps, energy, limits; and the Monte Carlo reference of RAMI4PILPS."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rtm import Prosail, clumping_index, forest, prosail
from rtm.forest import sky_directions

F64 = torch.float64
LEAF = {"reflectance": [0.07, 0.25, 0.47], "transmittance": [0.05, 0.12, 0.47]}
SOIL = {"soil_reflectance": [0.1, 0.2, 0.4]}
SPHERICAL = {"ala": 58.43}  # Campbell's ellipsoid is a sphere
CROWNED = {**LEAF, **SOIL, **SPHERICAL}
DATA = Path(os.environ.get("PHYSVAE_DATA", Path(__file__).parents[3] / "shared" / "data"))
RAMI = DATA / "rtm_reference" / "rami4pilps_open_forest_red.csv"


def rmse(found: torch.Tensor, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found[:, 0].numpy() - truth) ** 2)))


@pytest.mark.skipif(not RAMI.exists(), reason="needs the reference data")
def test_open_forests_of_rami4pilps():
    """27 cases of a Monte Carlo code: spheres with leaf area 5 on the ground that each covers,
    centres 7 to 11 m high and radii of 5 m; nothing is fitted. Turbid leaves err by 0.2."""
    with RAMI.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    at = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "soil"}
    spectra = {
        "reflectance": at["leaf_reflectance"][:, None],
        "transmittance": at["leaf_transmittance"][:, None],
        "soil_reflectance": at["soil_albedo"][:, None],
    }  # fmt: skip
    scene = {**spectra, **SPHERICAL, "lai": at["lai"], "tts": at["sun_zenith_deg"]}
    found = forest(**scene, crown_area=at["lai"] / 5.0, crown_spread=0.4)
    assert len(rows) == 27
    assert rmse(found.absorbed, at["absorbed"]) < 0.013
    assert rmse(found.rsd, at["albedo"]) < 0.0085
    assert rmse(found.transmitted, at["transmitted"]) < 0.016
    turbid = forest(**scene, clumping=1.0, diffuse="mean")
    assert rmse(turbid.absorbed, at["absorbed"]) > 0.19


def test_leaves_without_clumps_are_4sail():
    """Ω = 1 with the diffuse light of 4SAIL: the same numbers as PROSAIL, hot spot and all."""
    wavelength = torch.tensor([560.0, 670.0, 865.0])
    leaf = Prosail(wavelength=wavelength)
    canopy = {"lai": torch.tensor([0.3, 3.0, 8.0], dtype=F64), "ala": 50.0, "hspot": 0.2}
    view = {"tts": 40.0, "tto": 25.0, "psi": 70.0}
    there = prosail(wavelength=wavelength, **canopy, **view)
    optics = leaf._leaf(leaf.space.stack(lai=1.0).unsqueeze(-1))
    soil = prosail(wavelength=wavelength, lai=0.0).rso
    here = forest(
        reflectance=optics.reflectance[:3, 0], transmittance=optics.transmittance[:3, 0],
        soil_reflectance=soil, clumping=1.0, diffuse="mean", **canopy, **view,
    )  # fmt: skip
    for name in ("rso", "rdo", "rsd", "rdd"):
        np.testing.assert_allclose(getattr(here, name), getattr(there, name), atol=1e-9)


def test_many_small_crowns_are_a_turbid_canopy():
    """Crowns of leaf area 0.001 each, 3,000 above one another: Ω is 1 up to their own shade."""
    kind = {**CROWNED, "lai": 3.0, "tts": 35.0, "tto": 20.0, "psi": 120.0, "diffuse": "mean"}
    crowns = forest(crown_area=3000.0, crown_spread=1e5, **kind)
    turbid = forest(clumping=1.0, hspot=0.0, **kind)
    for name in ("rsd", "rdd", "rdo", "absorbed", "absorbed_diffuse", "gap", "clumping"):
        np.testing.assert_allclose(getattr(crowns, name), getattr(turbid, name), atol=2e-3)


@pytest.mark.parametrize("how", [{"crown_area": 0.5}, {"clumping": 0.6}])
def test_no_leaves_leave_the_soil_and_energy_closes(how):
    bare = forest(lai=0.0, tts=30.0, tto=20.0, **how, **CROWNED)
    for factor in bare[:4]:
        np.testing.assert_allclose(factor, SOIL["soil_reflectance"], atol=1e-8)
    assert bare.absorbed.abs().max() < 1e-8
    assert bare.gap == pytest.approx(1.0, abs=1e-8)

    lai = torch.tensor([0.1, 1.0, 3.0, 9.0], dtype=F64)[:, None]
    tts = torch.tensor([0.0, 30.0, 60.0, 83.0], dtype=F64)
    found = forest(lai=lai, tts=tts, ala=40.0, **how, **LEAF, **SOIL)
    ground = 1.0 - torch.tensor(SOIL["soil_reflectance"], dtype=F64)
    for back, taken, down in (
        (found.rsd, found.absorbed, found.transmitted),
        (found.rdd, found.absorbed_diffuse, found.transmitted_diffuse),
    ):
        np.testing.assert_allclose(back + taken + ground * down, 1.0, atol=1e-12)
        assert back.min() > 0.0
        assert taken.min() > 0.0
        assert (down > found.gap[..., None] - 1e-12).all() or down is found.transmitted_diffuse


def test_leaves_without_absorption_send_everything_back():
    white = {"reflectance": [0.6], "transmittance": [0.4], "soil_reflectance": [0.999999]}
    found = forest(lai=4.0, crown_area=0.5, tts=40.0, **white)
    assert found.rsd.item() == pytest.approx(1.0, abs=1e-4)
    assert found.absorbed.item() == pytest.approx(0.0, abs=1e-4)


def test_sun_and_view_may_be_exchanged():
    one = forest(lai=3.0, crown_area=0.6, tts=50.0, tto=20.0, psi=60.0, **CROWNED)
    two = forest(lai=3.0, crown_area=0.6, tts=20.0, tto=50.0, psi=-60.0, **CROWNED)
    np.testing.assert_allclose(one.rso, two.rso, atol=1e-12)
    np.testing.assert_allclose(one.rdo, two.rsd, atol=1e-12)


def test_a_black_canopy_lets_the_gaps_through():
    """What is transmitted is what meets no leaf; of the sky the mean over all directions."""
    zenith, weight = sky_directions()
    black = {"reflectance": [0.0], "transmittance": [0.0], "soil_reflectance": [0.0]}
    crowns = {"lai": 2.5, "crown_area": 0.5, **SPHERICAL}
    found = forest(tts=zenith, **black, **crowns)
    np.testing.assert_allclose(found.transmitted[:, 0], found.gap, atol=1e-9)
    sky = (weight * found.gap).sum()
    np.testing.assert_allclose(found.transmitted_diffuse[:, 0], sky.expand(16), atol=1e-6)
    np.testing.assert_allclose(found.clumping, clumping_index(zenith=zenith, **crowns), atol=1e-12)
    effective = 2.5 * clumping_index(**crowns)
    np.testing.assert_allclose(found.lai_effective, effective.expand(16), atol=1e-12)


def test_wood_takes_its_part_of_the_light():
    """Wood with the spectra of leaves is more leaves; black wood absorbs, and shades leaves."""
    opaque = {
        "reflectance": [0.12, 0.5],
        "transmittance": [0.0, 0.0],
        "soil_reflectance": [0.1, 0.2],
    }
    scene = {**opaque, "crown_area": 0.5, "tts": 30.0}
    leaves = forest(lai=3.0, **scene)
    some = forest(lai=2.0, wai=1.0, wood_reflectance=opaque["reflectance"], **scene)
    np.testing.assert_allclose(some.rso, leaves.rso, atol=1e-12)
    np.testing.assert_allclose(some.leaf_share, 2.0 / 3.0, atol=1e-12)
    assert float(some.pai) == 3.0
    assert float(some.lai_effective) == pytest.approx(float(leaves.lai_effective) * 2.0 / 3.0)
    black = forest(lai=2.0, wai=1.0, wood_reflectance=[0.0, 0.0], **scene)
    assert (black.absorbed > some.absorbed).all()
    assert (black.absorbed * black.leaf_share < some.absorbed * some.leaf_share).all()


def test_the_hot_spot_of_crowns_is_seen():
    """No shadow is seen along the sun's beam; wide crowns near the ground have a wide hot spot."""
    view = torch.arange(0.0, 71.0, 10.0, dtype=F64)
    scene = {**CROWNED, "lai": 2.5, "crown_area": 0.5, "tts": 40.0, "tto": view}
    low, high = (forest(crown_base=base, **scene).rso[:, 0] for base in (0.0, 3.0))
    assert low.argmax() == high.argmax() == 4
    assert (low[[3, 5]] > high[[3, 5]] + 0.003).all()
    np.testing.assert_allclose(low[4], high[4], atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    def seen(lai, area, shape, spread, base, wai, angles, leaf, soil):
        found = forest(
            reflectance=leaf[0], transmittance=leaf[1], wood_reflectance=leaf[2], lai=lai,
            soil_reflectance=soil, crown_area=area, crown_shape=shape, crown_spread=spread,
            crown_base=base, wai=wai, tts=angles[0], tto=angles[1], psi=angles[2], ala=48.0,
        )  # fmt: skip
        return torch.cat([found.rso, found.rdd, found.absorbed, found.clumping[..., None]], -1)

    values = [2.5, 0.5, 1.3, 0.4, 0.2, 0.5]
    inputs = [torch.tensor([x], dtype=F64, requires_grad=True) for x in values]
    inputs.append(torch.tensor([35.0, 21.0, 67.0], dtype=F64, requires_grad=True))
    leaf = [[0.07, 0.45], [0.05, 0.44], [0.15, 0.3]]
    inputs.append(torch.tensor(leaf, dtype=F64, requires_grad=True))
    inputs.append(torch.tensor([0.1, 0.3], dtype=F64, requires_grad=True))
    assert torch.autograd.gradcheck(seen, inputs, atol=1e-6)


def test_second_derivatives_and_jacobians_are_there():
    near = {name: values[2:] for name, values in (LEAF | SOIL).items()}

    def rso(lai, tts):
        return forest(lai=lai, tts=tts, tto=10.0, psi=40.0, crown_area=0.5, **near).rso

    lai, tts = (torch.tensor([x], dtype=F64, requires_grad=True) for x in (2.0, 35.0))

    def slope(lai):
        return torch.autograd.grad(rso(lai, tts).sum(), lai, create_graph=True)[0]

    (second,) = torch.autograd.grad(slope(lai).sum(), lai)
    near_by = [slope((lai + step).detach().requires_grad_()) for step in (1e-4, -1e-4)]
    np.testing.assert_allclose(second, (near_by[0] - near_by[1]).detach() / 2e-4, rtol=1e-6)
    assert torch.func.jacrev(rso)(lai, tts).shape == (1, 1, 1)


def test_gradients_are_finite_at_the_edges_and_float32_is_near():
    corners = torch.cartesian_prod(
        torch.tensor([0.0, 1e-6, 15.0]), torch.tensor([0.02, 0.9]), torch.tensor([0.0, 5.0]),
        torch.tensor([0.0, 80.0]), torch.tensor([0.0, 80.0]),
    )  # fmt: skip
    found = {}
    for dtype in (F64, torch.float32):
        lai, area, spread, tts, tto = (x.clone().requires_grad_() for x in corners.to(dtype).T)
        spectra = {n: torch.tensor(x, dtype=dtype) for n, x in (LEAF | SOIL).items()}
        seen = forest(lai=lai, crown_area=area, crown_spread=spread, tts=tts, tto=tto, **spectra)
        for field in seen:
            assert field.isfinite().all()
        slopes = torch.autograd.grad(sum(x.sum() for x in seen), (lai, area, spread, tts, tto))
        assert all(slope.isfinite().all() for slope in slopes)
        found[dtype] = seen
    for one, other in zip(found[F64], found[torch.float32], strict=True):
        assert other.dtype == torch.float32
        np.testing.assert_allclose(one.detach(), other.detach(), atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "crown_area, clumping: expected one of them, got neither"),
        ({"crown_area": 0.5, "clumping": 1.0}, "got both"),
        ({"crown_area": 1.2, "crown_spread": 0.1}, "crown_area: expected crowns that fit"),
        ({"crown_area": 0.5, "hspot": 0.1}, "parameter: expected one of lai, wai, crown_area"),
        ({"crown_area": 0.5, "tts": 90.0}, "tts: expected at least 0 and below 90, got 90"),
        ({"clumping": 0.0}, "clumping: expected above 0, got 0"),
        ({"clumping": 1.0, "wai": 1.0}, "wood_reflectance: expected that of the wood"),
        ({"clumping": 1.0, "reflectance": [0.7, 0.7, 0.7]}, "a sum of at most 1"),
        ({"clumping": 1.0, "soil_reflectance": [0.1, 1.0, 0.1]}, "expected numbers below 1"),
        ({"clumping": 1.0, "transmittance": [0.1, np.nan, 0.1]}, "transmittance: expected a"),
        ({"clumping": 1.0, "reflectance": [0.1, 0.1]}, "expected shapes that broadcast"),
        ({"clumping": [1.0, 1.0], "lai": [1.0, 2.0, 3.0]}, "expected shapes that broadcast"),
        ({"clumping": 1.0, "diffuse": "none"}, "diffuse: expected one of gap, mean"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        forest(**{"transmittance": [0.2, 0.2, 0.5], "lai": 2.0, **LEAF, **SOIL, **wrong})


def test_batches_in_blocks_are_the_canopies_one_by_one():
    lai = torch.linspace(0.5, 4.0, 700, dtype=F64)
    many = forest(lai=lai, crown_area=0.4, tts=35.0, **CROWNED)
    few = forest(lai=lai[::100], crown_area=0.4, tts=35.0, **CROWNED)
    for one, other in zip(many, few, strict=True):
        np.testing.assert_allclose(one[::100], other, atol=1e-13)
