"""The canopy: what energy, symmetry and the limits demand, and the two forms of its solution."""

import numpy as np
import pytest
import torch

from rtm import foursail as sail

F64 = torch.float64


def draw(n: int, low: float, high: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, 1, generator=generator, dtype=F64)


def random_layers(n: int):
    rho, tau = draw(n, 0.05, 0.5, 0), draw(n, 0.05, 0.45, 1)
    bf, lai = draw(n, 0.1, 0.9, 2), draw(n, 0.1, 6.0, 3)
    ks, ko = draw(n, 0.3, 2.0, 4), draw(n, 0.3, 2.0, 5)
    h, p = 0.5 * (rho + tau), 0.5 * bf * (rho - tau)
    absorbed = 1.0 - 2.0 * h
    layer = sail._Layer(h, p, absorbed, ((1 + 2 * p) * absorbed).sqrt(), lai)
    return layer, sail.Extinction(ks, ko, bf, ks, ko)


def test_both_forms_of_the_solution_agree_where_both_hold():
    """|k - m| > 0.05 and m > 0.2: each form is off by rounding over a few hundredths there."""
    layer, geometry = random_layers(2000)
    tss, too = (-geometry.ks * layer.lai).exp(), (-geometry.ko * layer.lai).exp()
    tdd, rdd = sail._diffuse(layer)
    every = torch.ones_like(geometry.ks, dtype=torch.bool)
    near = sail._beams_weak(layer, geometry, tss, too, tdd, rdd, every)
    far = sail._beams(layer, geometry, tss, too)
    apart = ((layer.m - geometry.ks).abs() > 0.05) & ((layer.m - geometry.ko).abs() > 0.05)
    for name in far._fields:
        difference = (getattr(near, name) - getattr(far, name))[apart & (layer.m > 0.2)]
        assert difference.abs().max() < 1e-12, name


def test_the_layer_obeys_the_flux_equations():
    """Forward Euler's fourth-order cousin on dE/dy, 4000 steps: 1e-9; nothing else is shared."""
    layer, geometry = random_layers(20)
    h, p, _, _, lai = layer
    ks = geometry.ks
    a, sigma, sf, sb = 1 - h + p, h + p, ks * h - p, ks * h + p
    matrix = torch.zeros(20, 3, 3, dtype=F64)
    matrix[:, 0, 0] = -ks[:, 0]
    matrix[:, 1] = torch.cat([sf, -a, sigma], -1)
    matrix[:, 2] = torch.cat([-sb, -sigma, a], -1)
    transfer = torch.linalg.matrix_exp(matrix * lai[..., None])
    top_down = torch.tensor([1.0, 0.0, 0.0], dtype=F64)
    up = -(transfer[:, 2] @ top_down) / transfer[:, 2, 2]
    down = transfer[:, 1, 0] + transfer[:, 1, 2] * up
    tss, too = (-ks * lai).exp(), (-geometry.ko * lai).exp()
    found = sail._beams(layer, geometry, tss, too)
    np.testing.assert_allclose(found.rsd[:, 0], up, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.tsd[:, 0], down, rtol=0, atol=1e-11)


def test_reflection_is_the_same_both_ways():
    """Reciprocity: exchanging sun and view leaves the beam-to-beam term as it is."""
    layer, geometry = random_layers(500)
    swapped = geometry._replace(ks=geometry.ko, ko=geometry.ks)
    tss, too = (-geometry.ks * layer.lai).exp(), (-geometry.ko * layer.lai).exp()
    there = sail._beams(layer, geometry, tss, too)
    back = sail._beams(layer, swapped, too, tss)
    # per unit of extinction: the scattering coefficients are per beam
    np.testing.assert_allclose(there.rsod, back.rsod, rtol=0, atol=1e-13)
    np.testing.assert_allclose(there.rsd, back.rdo, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_volume_scattering_sums_to_the_intercepted_light(dtype):
    """A flat leaf seen from the nadir: all light falls on it, ks = ko = 1, back-scatter ρ only."""
    angles = torch.tensor([[1.0], [0.0]], dtype=dtype)
    one = torch.ones(1, 1, dtype=dtype)
    zero = torch.zeros(1, 1, dtype=dtype)
    found = sail.extinction(tts=zero, tto=zero, psi=zero, angles=angles, shares=one)
    for name, truth in {"ks": 1.0, "ko": 1.0, "bf": 1.0, "sob": 1.0, "sof": 0.0}.items():
        assert getattr(found, name).item() == pytest.approx(truth, abs=1e-6), name


def test_extinction_of_a_sphere_of_leaves_is_one_half_over_the_cosine():
    """The classical result for leaves of all directions; 90 classes of one degree."""
    middle = torch.deg2rad(torch.arange(0.5, 90.0, dtype=F64))
    angles = torch.stack([middle.cos(), middle.sin()])
    shares = (middle.sin() / middle.sin().sum())[None]
    tts = torch.tensor([[0.0], [30.0], [60.0], [80.0]], dtype=F64)
    found = sail.extinction(
        tts=tts, tto=tts, psi=torch.zeros_like(tts), angles=angles, shares=shares
    )
    truth = 0.5 / torch.deg2rad(tts).cos()
    np.testing.assert_allclose(found.ks, truth, rtol=1e-4)
    np.testing.assert_array_equal(found.ks, found.ko)
