"""Products against full integration and plain arithmetic."""

import numpy as np
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
