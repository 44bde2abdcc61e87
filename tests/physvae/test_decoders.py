"""The physical decoder is PROSAIL and nothing else; the residual one is closed until opened."""

import numpy as np
import pytest
import torch

from physvae.decoders import PhysicalDecoder, ResidualDecoder
from physvae.plans import Correction, Residual
from rtm import ParameterSpace, load_sensor, prosail

BANDS = ("B3", "B4", "B8A")


@pytest.fixture(scope="module")
def physical():
    decoder = PhysicalDecoder(load_sensor("sentinel-2a").select(BANDS))
    chosen = ("lai", "rsoil", "cab", "psoil", "cv")
    table = {p.name: p for p in decoder.full_space.parameters}
    return decoder.bind(ParameterSpace(tuple(table[name] for name in chosen)))


def test_variables_reach_prosail_by_name_in_any_order(physical):
    theta = torch.tensor([3.0, 1.4, 55.0, 0.2, 0.7], dtype=torch.float64)
    angles = torch.tensor([35.0, 5.0, 120.0], dtype=torch.float64)
    expected = prosail(
        sensor=load_sensor("sentinel-2a").select(BANDS), lai=3.0, rsoil=1.4, cab=55.0, psoil=0.2,
        cv=0.7, tts=35.0, tto=5.0, psi=120.0,
    ).rso  # fmt: skip
    np.testing.assert_allclose(physical(theta, angles), expected, rtol=1e-12)


def test_products_are_those_of_the_physics(physical):
    theta = torch.tensor([[3.0, 1.0, 40.0, 0.5, 1.0]], dtype=torch.float64)
    angles = torch.tensor([[35.0, 0.0, 0.0]], dtype=torch.float64)
    canopy = prosail(lai=3.0, cab=40.0, tts=35.0)
    found = physical.products(theta, angles)
    np.testing.assert_allclose(found[0, 0], canopy.fapar, atol=1e-3)  # PAR nodes against every nm
    np.testing.assert_allclose(found[0, 1], canopy.fcover, rtol=1e-10)


def residual() -> ResidualDecoder:
    torch.manual_seed(0)
    return ResidualDecoder(3, Residual(latents=2, rank=2, width=8), Correction())


def test_a_closed_gate_leaves_pure_physics():
    assert torch.equal(
        residual()(torch.randn(4, 2), torch.rand(4, 3), torch.zeros(4, 3)), torch.zeros(4, 3)
    )


def test_an_open_gate_sends_no_gradient_into_the_physics():
    decoder, physics = residual(), torch.rand(4, 3, requires_grad=True)
    decoder.gate.fill_(1.0)
    out = decoder(torch.randn(4, 2), physics, torch.zeros(4, 3))
    assert out.abs().max() > 0
    out.sum().backward()
    assert physics.grad is None
    assert decoder.basis.grad.abs().max() > 0


def test_the_residual_basis_starts_orthonormal():
    assert residual().orthogonality() < 1e-10
