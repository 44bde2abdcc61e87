"""Products against full integration and plain arithmetic."""

import numpy as np
import pytest
import torch

from rtm import Prosail, products, prosail

F64 = torch.float64


def draws(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    model = Prosail(wavelength=torch.tensor([500.0]), products=False)
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, len(model.space) + 1, generator=generator, dtype=F64)
    theta = model.space.low + (model.space.high - model.space.low) * unit[:, :-1]
    angles = torch.zeros(n, 3, dtype=F64)
    angles[:, 0] = 80.0 * unit[:, -1]
    return theta, angles


def test_fapar_by_14_wavelengths_is_the_mean_over_301(monkeypatch):
    """The trapezoid at 1 nm in place of the 14 weights, on draws of the whole box."""
    theta, angles = draws(2000, 3)
    few = Prosail(sensor="sentinel-2a")(theta, angles).fapar
    weights = torch.ones(301, dtype=F64)
    weights[0] = weights[-1] = 0.5
    grid = torch.arange(400.0, 701.0, dtype=F64)
    monkeypatch.setattr(products, "par_quadrature", lambda: (grid, weights / 300.0))
    many = Prosail(wavelength=torch.tensor([500.0]))(theta, angles).fapar
    assert (few - many).abs().max() < 5e-4
    assert (few - many).abs().mean() < 5e-5


def test_fcover_is_one_minus_the_gap_seen_from_above():
    """Flat leaves hide exp(-lai) from the nadir, whatever the view of the sensor."""
    flat = prosail(lai=np.array([0.5, 2.0]), ala=0.0, tto=40.0)
    np.testing.assert_allclose(flat.fcover, 1.0 - np.exp([-0.5, -2.0]), atol=5e-3)


def test_the_quadrature_is_a_mean():
    nodes, weights = products.par_quadrature()
    assert (weights > 0.0).all()
    assert abs(weights.sum().item() - 1.0) < 1e-15
    assert nodes.min() > 400.0
    assert nodes.max() < 700.0
    assert abs((nodes * weights).sum().item() - 550.0) < 2.0


def test_products_are_left_out_on_request():
    model = Prosail(sensor="sentinel-2a", products=False)
    result = model(model.space.default, torch.zeros(3))
    assert result.fapar is None
    assert result.fcover is None


def test_albedo_is_that_of_the_light_that_falls():
    canopy = prosail(sensor="sentinel-2a", lai=torch.tensor([0.5, 4.0]))
    for share, truth in ((0.0, canopy.rsd), (1.0, canopy.rdd)):
        np.testing.assert_allclose(
            products.albedo(canopy.rsd, canopy.rdd, share), truth, rtol=1e-6
        )
    light = torch.rand(13)
    broad = products.albedo(canopy.rsd, canopy.rdd, 0.3, light)
    truth = ((0.7 * canopy.rsd + 0.3 * canopy.rdd) * light).sum(-1) / light.sum()
    np.testing.assert_allclose(broad, truth, rtol=1e-6)


def test_effective_lai_is_the_true_one_without_gaps_and_less_with_them():
    """The gap fraction at 57.5 degree of both canopies is the same."""
    lai = torch.tensor([0.0, 0.1, 3.0, 12.0], dtype=torch.float64)
    np.testing.assert_allclose(products.effective_lai(lai, torch.ones_like(lai)), lai, atol=1e-12)
    found = products.effective_lai(lai, torch.full_like(lai, 0.6))
    g = 0.5 / np.cos(np.radians(57.5))
    gap = 0.4 + 0.6 * np.exp(-g * lai.numpy() / 0.6)
    np.testing.assert_allclose(np.exp(-g * found.numpy()), gap)
    assert (found[1:] < lai[1:]).all()
    cv = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: products.effective_lai(lai[1:], c), cv)


def test_fapar_of_the_sky_is_that_of_suns_all_over_it():
    """White sky: the mean over sun zeniths, weighted with cosθ·sinθ. SAIL itself gives the sky's
    light an extinction of 1 whatever the leaves, so that both agree to a tenth only."""
    x, w = np.polynomial.legendre.leggauss(64)
    theta = (x + 1.0) * np.pi / 4.0
    weights = w * np.cos(theta) * np.sin(theta)
    suns = prosail(lai=2.0, tts=np.degrees(theta), sensor="sentinel-2a")
    mean = (suns.fapar.numpy() * weights).sum() / weights.sum()
    sky = prosail(lai=2.0, sensor="sentinel-2a").fapar_diffuse.item()
    assert sky == pytest.approx(mean, abs=0.1)
    assert prosail(lai=0.0, sensor="sentinel-2a").fapar_diffuse.abs() < 1e-15
