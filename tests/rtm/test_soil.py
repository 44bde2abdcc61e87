"""Soils: the mixture, the cap that keeps them physical, and spectra measured elsewhere."""

import numpy as np
import pytest
import torch

from rtm import Prosail, SpectralSoil
from rtm.soil import DryWetSoil, cap, lift

F64 = torch.float64


def test_the_cap_is_the_identity_up_to_0_9_and_below_one_above():
    x = torch.linspace(0.0, 10.0, 10_001, dtype=F64)
    for dtype in (F64, torch.float32):
        y = cap(x.to(dtype))
        assert torch.equal(y[x <= 0.9], x[x <= 0.9].to(dtype))
        assert y.max() < 1.0
        assert (y.diff() >= 0.0).all()
    edge = torch.tensor([0.9 - 1e-9, 0.9 + 1e-9], dtype=F64, requires_grad=True)
    slope = torch.autograd.grad(cap(edge).sum(), edge)[0]
    np.testing.assert_allclose(slope, 1.0, atol=1e-8)


def test_the_lift_is_the_identity_from_0_01_and_positive_below():
    x = torch.tensor([-5.0, -0.1, 0.0, 0.01, 0.3], dtype=F64, requires_grad=True)
    y = lift(x)
    assert y.min() >= 0.0
    np.testing.assert_array_equal(y[3:].tolist(), [0.01, 0.3])
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_psoil_one_is_the_dry_soil():
    soil = DryWetSoil()
    shapes = soil.shapes(torch.arange(400.0, 2501.0, dtype=F64))
    dry, wet = (
        soil.reflectance(torch.tensor([[p], [1.0]], dtype=F64), shapes) for p in (1.0, 0.0)
    )
    assert (dry > wet).all()
    library = pytest.importorskip("prosail").spectral_lib.soil
    np.testing.assert_allclose(dry, library.rsoil1[:, None], rtol=1e-14)


def test_components_give_the_measured_soils_back(data_dir):
    """46 components and the mean span 47 spectra; eight leave less than 0.01 on average."""
    values = np.loadtxt(data_dir / "soils/ossl_47_soils_400_2500.csv", delimiter=",", skiprows=1).T
    for components, tolerance in ((46, 1e-9), (8, 0.01)):
        soil = SpectralSoil.from_spectra(values[0], values[1:], components)
        scale = (soil.basis**2).sum(1)
        c = (values[1:] - soil.mean) @ soil.basis.T / scale
        theta = torch.from_numpy(np.column_stack([c, np.ones(len(c))]).T)
        found = soil.reflectance(theta, soil.shapes(torch.from_numpy(values[0]))).numpy().T
        bright = values[1:] > 0.02
        assert np.abs(found - values[1:])[bright].mean() < tolerance


def test_a_spectral_soil_under_a_canopy_has_named_coefficients():
    grid = np.linspace(400.0, 2500.0, 50)
    soil = SpectralSoil(grid, np.stack([np.ones(50), grid / 2500.0]), np.full(50, 0.2))
    model = Prosail(sensor="sentinel-2a", soil=soil)
    assert model.space.names[-3:] == ("soil_1", "soil_2", "rsoil")
    theta = model.space.stack(lai=0.0, soil_1=0.1, rsoil=2.0)
    np.testing.assert_allclose(model(theta, torch.zeros(3)).rso, 0.6, rtol=1e-12)
    theta = model.space.stack(lai=2.0, soil_1=torch.tensor([-3.0, 3.0], dtype=F64))
    assert model(theta, torch.zeros(3)).rso.isfinite().all()


def test_a_wrong_soil_is_told():
    with pytest.raises(ValueError, match="basis: expected"):
        SpectralSoil([400.0, 500.0], [[1.0, 2.0, 3.0]], [0.1, 0.1])
    with pytest.raises(ValueError, match="wavelength: expected rising"):
        SpectralSoil([500.0, 400.0], [[1.0, 2.0]], [0.1, 0.1])
    narrow = SpectralSoil([400.0, 500.0], [[1.0, 2.0]], [0.1, 0.1])
    with pytest.raises(ValueError, match="wavelength: expected 400-500 nm"):
        Prosail(soil=narrow)
