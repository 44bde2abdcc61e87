"""Campbell's ellipsoid against the integral of its density and against the prosail package."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from rtm.lidf import Campbell, axis_ratio, class_edges

F64 = torch.float64
ANGLES = [0.0, 10.0, 30.0, 57.0, 58.43, 58.4345, 58.44, 70.0, 90.0]


def shares(ala, classes: int = 18, dtype=F64) -> torch.Tensor:
    values = torch.as_tensor(ala, dtype=dtype).reshape(1, -1)
    return Campbell().shares(values, class_edges(classes)).T.squeeze(0)


@pytest.mark.parametrize("ala", ANGLES)
def test_shares_are_the_integral_of_the_density(ala):
    chi = axis_ratio(torch.tensor(ala, dtype=F64)).item()

    def density(t):
        return np.sin(t) / (np.cos(t) ** 2 + chi**2 * np.sin(t) ** 2) ** 2

    edges = np.radians(class_edges(18).numpy())
    parts = [quad(density, a, b, epsabs=0, epsrel=1e-13)[0] for a, b in pairwise(edges)]
    np.testing.assert_allclose(shares(ala), parts / np.sum(parts), rtol=0, atol=1e-14)


@pytest.mark.parametrize("ala", [5.0, 30.0, 57.0, 65.0, 85.0])
def test_shares_are_those_of_the_prosail_package(ala):
    fortran = pytest.importorskip("prosail.FourSAIL")
    np.testing.assert_allclose(shares(ala), fortran.campbell(ala, 18), rtol=0, atol=1e-13)


def test_shares_sum_to_one_with_finite_gradients():
    for dtype in (F64, torch.float32):
        ala = torch.tensor(ANGLES, dtype=dtype, requires_grad=True)
        found = shares(ala, dtype=dtype)
        assert (found.sum(-1) - 1.0).abs().max() < 4 * torch.finfo(dtype).eps
        assert found.min() >= 0.0
        weights = torch.arange(18.0, dtype=dtype)
        assert torch.autograd.grad((found @ weights).sum(), ala)[0].isfinite().all()


def test_gradient_is_right_on_both_sides_of_the_sphere():
    ala = torch.tensor([20.0, 58.40, 58.4345, 58.47, 80.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(shares, ala, eps=1e-5, atol=1e-7)
