"""What every leaf and canopy obeys, on 12,500 draws of the whole box, its faces and corners.

hypothesis chooses the seeds and where the draws stand; every example is a batch of 250 canopies.
Energy: light that falls in is sent back, absorbed by the soil or absorbed by the canopy, each a
share of at least 0, up to rounding and to what a floor of the absorbed share lets through (1e-6).
rso is no share: light goes down between upright leaves and comes back the same way. With white
leaves over bright soil it reaches 4 at the nadir, also with 50 digits, and more at grazing angles;
5 over the greater cosine of sun and view holds it.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rtm import GEOMETRY, Prosail
from rtm.products import par_quadrature
from rtm.prospect import plate_constants, prospect
from rtm.spectra import LEAF_CONTENTS, leaf_constants

F64 = torch.float64
WAVELENGTHS = torch.tensor([400.0, 450, 550, 670, 720, 800, 1100, 1450, 1940, 2500])
SHARES = ("rdo", "rsd", "rdd", "fapar", "fapar_diffuse", "fcover")
ROUNDING = 1e-6
BATCH = 250
MODELS = {leaf: Prosail(leaf, wavelength=WAVELENGTHS) for leaf in LEAF_CONTENTS}
NODES, PAR = par_quadrature()
VISIBLE = {leaf: Prosail(leaf, wavelength=NODES) for leaf in LEAF_CONTENTS}
LEAF = {
    leaf: (plate_constants(index).unsqueeze(-1), absorption.T)
    for leaf in LEAF_CONTENTS
    for index, absorption in [leaf_constants(leaf, WAVELENGTHS)]
}

seeds = st.integers(0, 2**32 - 1)
leaves = st.sampled_from(sorted(LEAF_CONTENTS))
# How many in a hundred numbers stand at a bound of their box, and how strongly the rest crowds it.
edges = st.integers(0, 60)
crowding = st.sampled_from([1.0, 3.0, 9.0])


def draw(leaf: str, seed: int, at_edge: int, crowd: float) -> tuple[Tensor, Tensor]:
    """theta [canopy, parameter] and angles [canopy, 3] in the box, psi from 0 to 360."""
    space = MODELS[leaf].space
    generator = torch.Generator().manual_seed(seed)
    shape = (BATCH, len(space) + 3)
    unit, place, side = (torch.rand(shape, generator=generator, dtype=F64) for _ in range(3))
    unit = torch.where(side < 0.5, unit**crowd, 1.0 - unit**crowd)
    unit = torch.where(100.0 * place < at_edge, (side < 0.5).double(), unit)
    low = torch.cat([space.low, torch.tensor([p.low for p in GEOMETRY.values()], dtype=F64)])
    high = torch.cat([space.high, torch.tensor([p.high for p in GEOMETRY.values()], dtype=F64)])
    high[-1] *= 2.0
    theta, angles = (low + (high - low) * unit).tensor_split([-3], -1)
    same = torch.rand(BATCH, generator=generator) < 0.05
    angles[same, 1] = angles[same, 0]
    return theta, angles


@settings(max_examples=8)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
def test_a_leaf_sends_back_and_lets_through_no_more_than_it_gets(leaf, seed, at_edge, crowd):
    theta, _ = draw(leaf, seed, at_edge, crowd)
    plate, absorption = LEAF[leaf]
    contents = theta[:, 1 : 1 + len(LEAF_CONTENTS[leaf])]
    found = prospect(depth=absorption @ contents.T, n_leaf=theta[:, 0], plate=plate)
    assert found.reflectance.min() >= 0.0
    assert found.transmittance.min() >= 0.0
    assert (found.reflectance + found.transmittance).max() <= 1.0 + 1e-15


@settings(max_examples=16)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
def test_energy_closes_and_every_share_is_one(leaf, seed, at_edge, crowd):
    """What the soil does not take and the canopy does not send back is absorbed: a share too."""
    theta, angles = draw(leaf, seed, at_edge, crowd)
    found = MODELS[leaf](theta, angles)
    for name in SHARES:
        value = getattr(found, name)
        assert value.isfinite().all(), name
        assert value.min() >= -ROUNDING, name
        assert value.max() <= 1.0 + ROUNDING, name
    cosine = torch.deg2rad(angles[:, :2]).cos().amax(1, keepdim=True)
    assert found.rso.isfinite().all()
    assert found.rso.min() >= -ROUNDING
    assert (found.rso * cosine).max() <= 5.0


@settings(max_examples=4)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
def test_what_neither_sky_nor_soil_gets_is_fapar(leaf, seed, at_edge, crowd):
    """The light on the soil, from rsd and rdd over this soil and over a black one (index 0):

    rdd - rdd₀ = tdd²·ρ/(1 - ρ·rdd₀) gives tdd, and rsd - rsd₀ = E·ρ·tdd gives that light, E.
    """
    model = VISIBLE[leaf]
    theta, angles = draw(leaf, seed, at_edge, crowd)
    lai, psoil, rsoil = (model.space.index(name) for name in ("lai", "psoil", "rsoil"))
    theta[:, lai], theta[:, psoil] = theta[:, lai].clamp(max=3.0), 0.5
    theta[:, rsoil] = theta[:, rsoil].clamp(0.5, 2.0)
    bare, black = theta.clone(), theta.clone()
    bare[:, lai], black[:, rsoil] = 0.0, 0.0
    found, over_black, soil = model(theta, angles), model(black, angles), model(bare, angles).rsd
    tdd = ((found.rdd - over_black.rdd) * (1.0 - soil * over_black.rdd) / soil).sqrt()
    on_soil = (found.rsd - over_black.rsd) / (soil * tdd)
    absorbed = 1.0 - found.rsd - (1.0 - soil) * on_soil
    assert absorbed.min() >= -ROUNDING
    assert (absorbed @ PAR - found.fapar).abs().max() < ROUNDING


@settings(max_examples=6)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
def test_sun_and_view_may_be_exchanged(leaf, seed, at_edge, crowd):
    """Helmholtz: rso is symmetric, rsd of one beam is rdo of the other; rdd knows no beam."""
    theta, angles = draw(leaf, seed, at_edge, crowd)
    there, back = MODELS[leaf](theta, angles), MODELS[leaf](theta, angles[:, [1, 0, 2]])
    assert (there.rso - back.rso).abs().max() < 1e-9
    assert (there.rsd - back.rdo).abs().max() < 1e-9
    assert (there.rdo - back.rsd).abs().max() < 1e-9
    assert (there.rdd - back.rdd).abs().max() < 1e-12


@settings(max_examples=6)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_every_slope_is_a_number(dtype, leaf, seed, at_edge, crowd):
    theta, angles = (x.to(dtype).requires_grad_() for x in draw(leaf, seed, at_edge, crowd))
    found = MODELS[leaf](theta, angles)
    total = sum(getattr(found, name).sum() for name in ("rso", *SHARES))
    assert total.isfinite()
    for slopes in torch.autograd.grad(total, (theta, angles)):
        assert slopes.isfinite().all()


@settings(max_examples=4)
@given(leaf=leaves, seed=seeds, at_edge=edges, crowd=crowding)
def test_float32_is_float64_all_over_the_box(leaf, seed, at_edge, crowd):
    """Leaves without absorber are left to test_exact: they amplify rounding."""
    theta, angles = (x.float() for x in draw(leaf, seed, at_edge, crowd))
    theta[:, 1 : 1 + len(LEAF_CONTENTS[leaf])].clamp_(min=1e-3)
    single = MODELS[leaf](theta, angles)
    double = MODELS[leaf](theta.double(), angles.double())
    for name in ("rso", *SHARES):
        assert (getattr(single, name) - getattr(double, name)).abs().max() < 2e-5, name
