"""Special functions against 50 digits and scipy, gradients against finite differences."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import expn

from rtm import numerics as num

F64 = torch.float64
DEPTHS = torch.cat([torch.tensor([0.0, 1.0]), torch.logspace(-12, 2.5, 400, dtype=F64)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 4e-16), (torch.float32, 2e-7)])
def test_layer_absorption_is_one_minus_twice_e3(dtype, tolerance):
    """scipy's expn is good to the last digits; near 0 the difference itself would not be."""
    k = DEPTHS.to(dtype)
    truth = 1.0 - 2.0 * expn(3, k.double().numpy())
    found = num.one_minus_2e3(k).double().numpy()
    np.testing.assert_allclose(found, truth, rtol=0, atol=tolerance)


def test_layer_absorption_keeps_its_digits_near_zero():
    """mpmath with 50 digits; a relative error, where 1 - 2·E3 has lost all digits at k = 1e-12."""
    with mpmath.workdps(50):
        for k in (1e-12, 1e-6, 1e-3, 0.3, 1.0, 1.5, 8.0):
            truth = float(1 - 2 * mpmath.expint(3, mpmath.mpf(k)))
            found = num.one_minus_2e3(torch.tensor(k, dtype=F64)).item()
            assert found == pytest.approx(truth, rel=1e-14)


def test_gradients_of_the_layer_are_those_of_the_integral():
    k = DEPTHS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(num.one_minus_2e3(k).sum(), k)
    np.testing.assert_allclose(slope.numpy(), 2.0 * expn(2, DEPTHS.numpy()), atol=1e-15)
    k = torch.tensor([0.01, 0.5, 0.999, 1.001, 3.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(num.one_minus_2e3, k)
    assert torch.autograd.gradgradcheck(num.one_minus_2e3, k)


def test_expm1c_is_smooth_through_zero():
    z = torch.tensor([0.0, 1e-9, 5e-3, 0.0099, 0.0101, 1.0, 50.0], dtype=F64, requires_grad=True)
    series = 1.0 - z[:2] / 2.0
    np.testing.assert_allclose(num.expm1c(z)[:2].tolist(), series.tolist(), rtol=1e-15)
    assert torch.autograd.gradcheck(num.expm1c, z[2:].detach().requires_grad_())
    (slope,) = torch.autograd.grad(num.expm1c(z).sum(), z)
    with mpmath.workdps(50):
        for value, found in zip(z.tolist()[1:], slope.tolist()[1:], strict=True):
            truth = mpmath.diff(lambda x: (1 - mpmath.exp(-x)) / x, mpmath.mpf(value))
            assert found == pytest.approx(float(truth), rel=1e-12)
    assert slope[0] == -0.5


def hot_spot_cases(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    ks, ko = (10 ** (2 * torch.rand(n, generator=draw, dtype=F64) - 1) for _ in range(2))
    lai = 15 * torch.rand(n, generator=draw, dtype=F64) ** 2
    alpha = 10 ** (15 * torch.rand(n, generator=draw, dtype=F64) - 3)
    alpha[: n // 20] = 0.0
    return alpha, (ks + ko) * lai, (ks * ko).sqrt() * lai


def hot_spot_truth(alpha: float, b: float, c: float) -> float:
    with mpmath.workdps(30):

        def integrand(x):
            inner = (1 - mpmath.exp(-alpha * x)) / alpha if alpha else x
            return mpmath.exp(-b * x + c * inner)

        step = 1.0 / max(alpha, b, 1.0)
        edges = [0.0, *(step * 4.0**i for i in range(60) if step * 4.0**i < 1.0), 1.0]
        return float(mpmath.quad(integrand, edges))


def test_hot_spot_integral_by_32_nodes_is_good_to_2e_10():
    alpha, b, c = hot_spot_cases(60)
    found = num.hot_spot_exact(alpha, b, c, num.gauss_rule(32)).tolist()
    truth = [
        hot_spot_truth(*case) for case in zip(alpha.tolist(), b.tolist(), c.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, truth, rtol=0, atol=2e-10)


def test_twenty_nodes_are_good_to_1e_6_and_twenty_classic_steps_to_1e_3():
    alpha, b, c = hot_spot_cases(5000)
    truth = num.hot_spot_exact(alpha, b, c, num.gauss_rule(32))
    short = num.hot_spot_exact(alpha, b, c, num.gauss_rule(20))
    assert (short - truth).abs().max() < 1e-6
    assert (num.hot_spot_classic(alpha, b, c) - truth).abs().max() < 1e-3


def test_hot_spot_integral_has_the_gradient_of_the_integral():
    """The map of the nodes is held fixed, so finite differences may see its error, 1e-9."""
    alpha = torch.tensor([0.0, 0.5, 40.0, 3e3], dtype=F64, requires_grad=True)
    b = torch.tensor([1.0, 5.0, 0.1, 9.0], dtype=F64, requires_grad=True)
    c = torch.tensor([0.5, 2.0, 0.05, 3.0], dtype=F64, requires_grad=True)
    rule = num.gauss_rule(32)
    assert torch.autograd.gradcheck(
        lambda a, b, c: num.hot_spot_exact(a + 1e-3, b, c, rule), (alpha, b, c), atol=1e-6
    )


def test_safe_functions_have_no_infinite_slope():
    x = torch.tensor([-1.0, 0.0, 4.0], dtype=F64, requires_grad=True)
    y = num.safe_sqrt(x)
    assert y.tolist() == [0.0, 0.0, 2.0]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0.0, 0.0, 0.25]
    x = torch.tensor([-1.5, -1.0, 0.5, 1.0, 2.0], dtype=F64, requires_grad=True)
    y = num.safe_acos(x)
    np.testing.assert_allclose(y.tolist(), np.arccos(np.clip(x.tolist(), -1, 1)), rtol=1e-15)
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_floor_keeps_the_slope():
    x = torch.tensor([0.0, 1.0], dtype=F64, requires_grad=True)
    y = num.floor(x, 0.5)
    assert y.tolist() == [0.5, 1.0]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [1.0, 1.0]
