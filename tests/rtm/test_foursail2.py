"""Two layers and crowns: what they must be where they are one layer and no crowns."""

import numpy as np
import pytest
import torch

from rtm import GEOMETRY, TRAITS, Prosail, prosail
from rtm import foursail as sail
from rtm import foursail2 as two
from rtm.prospect import Leaf

F64 = torch.float64
WAVELENGTHS = torch.tensor([450.0, 550, 670, 720, 800, 1100, 1450, 1650, 2200])
FACTORS = ("rso", "rdo", "rsd", "rdd")
FULL = {"cv": 1.0, "zeta": 0.0, "fraction_brown": 0.0, "diss": 0.0}
ANGLES = torch.tensor([[40.0, 10.0, 30.0], [25.0, 25.0, 0.0], [60.0, 5.0, 150.0]], dtype=F64)


def run(angles=ANGLES, dtype=F64, **values):
    model = Prosail(wavelength=WAVELENGTHS, layers=2)
    return model(model.space.stack(**values).to(dtype), angles.to(dtype))


def plain(angles=ANGLES, **values):
    model = Prosail(wavelength=WAVELENGTHS)
    return model(model.space.stack(**values), angles)


def test_without_brown_leaves_and_gaps_it_is_4sail():
    for name in (*FACTORS, "fapar", "fapar_diffuse", "fcover"):
        found, truth = (getattr(x, name) for x in (run(**FULL, lai=3.0), plain(lai=3.0)))
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_two_layers_of_the_same_leaves_are_one_canopy(share):
    """Brown leaves as green ones: the border between the layers must not be seen, hot spot too."""
    same = {f"brown_{name}": TRAITS[name].default for name in ("n_leaf", "cab", "car", "cbrown")}
    same |= {"brown_cw": TRAITS["cw"].default, "brown_cm": TRAITS["cm"].default}
    for diss in (0.0, 0.7, 1.0):
        found = run(cv=1.0, zeta=0.0, fraction_brown=share, diss=diss, lai=4.0, **same)
        truth = plain(lai=4.0)
        for name in FACTORS:
            np.testing.assert_allclose(
                getattr(found, name), getattr(truth, name), rtol=0, atol=1e-11, err_msg=name
            )


def test_layers_stack_as_the_flux_equations_say():
    """Any two layers over each other against the same layers as one slab, term by term."""
    generator = torch.Generator().manual_seed(0)
    alpha = 0.05 + 0.5 * torch.rand(1, 100, generator=generator, dtype=F64)
    leaf = Leaf(0.6 * (1 - alpha), 0.4 * (1 - alpha), alpha)
    k = 0.4 + torch.rand(3, 100, generator=generator, dtype=F64)
    geometry = sail.Extinction(k[0], k[1], 0.5 * k[2], k[0], k[1])
    lai = 5.0 * torch.rand(100, generator=generator, dtype=F64)
    top, low = (sail.scatter(leaf=leaf, lai=s * lai, geometry=geometry) for s in (0.3, 0.7))
    both, whole = two.stacked(top, low), sail.scatter(leaf=leaf, lai=lai, geometry=geometry)
    once = geometry.ks * 0  # the light scattered once is not part of rsod on either side
    for name in whole._fields:
        np.testing.assert_allclose(
            getattr(both, name) + once, getattr(whole, name), rtol=0, atol=1e-12, err_msg=name
        )


def test_brown_leaves_below_are_seen_less_than_brown_leaves_among_the_green():
    mixed, below = (run(lai=5.0, fraction_brown=0.4, diss=d, cv=1.0).rso[0, 4] for d in (0.0, 1.0))
    assert below > mixed


def test_light_is_seen_through_every_kind_of_ground_once():
    """Fcd + Fcs + Fod + Fos = 1, shares all; at the hot spot no crown's shade is seen."""
    tts = torch.rand(500, generator=torch.Generator().manual_seed(1), dtype=F64) * 80
    tto, psi, cv = tts.flip(0), 2 * tts, 0.01 + tts / 81
    over = two.crowns(tts=tts, tto=tto, psi=psi, cv=cv, zeta=torch.full_like(cv, 0.5))
    total = over.fcd + over.fcs + over.fod + over.fos
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-14)
    for share in over:
        assert share.min() >= -1e-15
        assert share.max() <= 1.0 + 1e-15
    same = two.crowns(tts=tts, tto=tts, psi=0 * psi, cv=cv, zeta=torch.full_like(cv, 0.5))
    assert same.fcs.abs().max() < 1e-14
    assert same.fod.abs().max() < 1e-14


def test_gaps_brighten_a_dark_canopy_over_bright_soil_and_clumping_saturates_later():
    dense, sparse = (run(lai=6.0, cv=cv, psoil=1.0, fraction_brown=0.0) for cv in (1.0, 0.5))
    assert (sparse.rso[:, 2] > dense.rso[:, 2] + 0.02).all()
    assert (sparse.fcover < 0.51).all()
    assert (sparse.fapar < dense.fapar).all()


def test_energy_closes_in_crowns():
    generator = torch.Generator().manual_seed(2)
    model = Prosail(wavelength=WAVELENGTHS, layers=2)
    unit = torch.rand(2000, len(model.space), generator=generator, dtype=F64)
    theta = model.space.low + (model.space.high - model.space.low) * unit
    angles = torch.rand(2000, 3, generator=generator, dtype=F64) * torch.tensor([80.0, 60, 180])
    found = model(theta, angles)
    for name in ("rsd", "rdd", "rdo", "fapar", "fapar_diffuse", "fcover"):
        value = getattr(found, name)
        assert value.min() > -1e-9, name
        assert value.max() < 1.0 + 1e-9, name
    single = model(theta.float(), angles.float())
    assert (single.rso - found.rso).abs().max() < 5e-5
    assert (single.rdd - found.rdd).abs().max() < 5e-5


def test_gradients_are_those_of_finite_differences_and_finite_in_the_corners():
    model = Prosail(wavelength=WAVELENGTHS[::4], layers=2)
    theta = model.space.stack(
        lai=torch.tensor([0.5, 4.0], dtype=F64), cv=torch.tensor([0.4, 0.8], dtype=F64),
        fraction_brown=0.3, zeta=0.4, ant=1.0, brown_ant=0.5, cbrown=0.1,
    ).requires_grad_()  # fmt: skip
    angles = ANGLES[[0, 2]].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda t, a: torch.cat([model(t, a).rso, model(t, a).rdd], -1), (theta, angles), atol=1e-6
    )
    corners = [
        model.space.stack(lai=n, cv=cv, fraction_brown=fb, diss=d, zeta=z)
        for n in (0.0, 1e-6, 15.0) for cv in (0.01, 1.0) for fb in (0.0, 1.0)
        for d in (0.0, 1.0) for z in (0.0, 2.0)
    ]  # fmt: skip
    for dtype in (F64, torch.float32):
        theta = torch.stack(corners).to(dtype).requires_grad_()
        found = model(theta, torch.zeros(3, dtype=dtype))
        (slope,) = torch.autograd.grad(sum(getattr(found, name).sum() for name in FACTORS), theta)
        assert slope.isfinite().all()


def test_the_names_given_choose_two_layers():
    assert prosail(fraction_brown=0.3, lai=3.0).rso.shape == (2101,)
    with pytest.raises(ValueError, match="diss: expected at least 0 and at most 1, got 2"):
        prosail(diss=2.0)
    with pytest.raises(ValueError, match="crowns: expected False with two layers"):
        Prosail(crowns=True, layers=2)
    assert set(GEOMETRY) == {"tts", "tto", "psi"}
