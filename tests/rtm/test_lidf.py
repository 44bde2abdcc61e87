"""Leaf angles against integrals, roots found with 30 digits, and the prosail package."""

from itertools import pairwise, product

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from rtm.lidf import Beta, Campbell, Verhoef, axis_ratio, check_verhoef, class_edges

F64 = torch.float64
ANGLES = [0.0, 10.0, 30.0, 57.0, 58.43, 58.4345, 58.44, 70.0, 90.0]
FAMILIES = [Campbell(), Verhoef(), Beta()]
PAIRS = [(-0.35, -0.15), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.3, -0.7), (0.0, -0.9), (0.0, 0.0)]
UNEVEN = [*range(0, 81, 10), 82, 84, 86, 88, 90]
DE_WIT = {
    "planophile": (2.770, 1.172, 26.76), "erectophile": (1.172, 2.770, 63.24),
    "plagiophile": (3.326, 3.326, 45.00), "extremophile": (0.433, 0.433, 45.00),
    "uniform": (1.000, 1.000, 45.00), "spherical": (1.101, 1.930, 57.30),
}  # fmt: skip


def shares(family, *values, classes: int = 18, dtype=F64) -> torch.Tensor:
    """Shares [canopy, class] of lists of values, or [class] of numbers."""
    columns = torch.stack([torch.as_tensor(v, dtype=dtype).reshape(-1) for v in values])
    return family.shares(columns, class_edges(classes)).T.squeeze(0)


def inside(u: torch.Tensor) -> torch.Tensor:
    """Unit square -> the diamond |a| + |b| < 1."""
    return torch.stack([u[0] + u[1] - 1.0, u[0] - u[1]])


@pytest.mark.parametrize("ala", ANGLES)
def test_campbell_is_the_integral_of_the_density(ala):
    chi = axis_ratio(torch.tensor(ala, dtype=F64)).item()

    def density(t):
        return np.sin(t) / (np.cos(t) ** 2 + chi**2 * np.sin(t) ** 2) ** 2

    edges = np.radians(class_edges(18).numpy())
    parts = [quad(density, a, b, epsabs=0, epsrel=1e-13)[0] for a, b in pairwise(edges)]
    np.testing.assert_allclose(shares(Campbell(), ala), parts / np.sum(parts), rtol=0, atol=1e-14)


@pytest.mark.parametrize("ala", [5.0, 30.0, 57.0, 65.0, 85.0])
def test_campbell_is_that_of_the_prosail_package(ala):
    fortran = pytest.importorskip("prosail.FourSAIL")
    np.testing.assert_allclose(
        shares(Campbell(), ala), fortran.campbell(ala, 18), rtol=0, atol=1e-13
    )


def verhoef_cumulative(a: float, b: float, degree: float):
    """F by bisection with 30 digits."""
    with mp.workdps(30):
        twice = 2 * mp.radians(mp.mpf(degree))
        low, high = mp.mpf(0), mp.pi
        for _ in range(100):
            x = (low + high) / 2
            above = x - a * mp.sin(x) - mp.mpf(b) / 2 * mp.sin(2 * x) > twice
            low, high = (low, x) if above else (x, high)
        return (2 * x - twice) / mp.pi


@pytest.mark.parametrize("edges", [class_edges(18), torch.tensor(UNEVEN, dtype=F64)])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_verhoef_is_the_root_found_by_bisection(a, b, edges):
    """The uneven edges are the 13 classes of the Fortran code."""
    found = Verhoef().shares(torch.tensor([[a], [b]], dtype=F64), edges)[:, 0]
    expected = np.diff([float(verhoef_cumulative(a, b, t)) for t in edges.tolist()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_verhoef_is_the_integral_of_its_density():
    """f = 2/π·(2/s - 1), s = 1 - a·cos x - b·cos 2x, integrated along x: dθ = s/2 dx."""
    a, b = -0.35, -0.15

    def along_x(x):
        return (2.0 - (1.0 - a * np.cos(x) - b * np.cos(2 * x))) / np.pi

    def theta(x):
        return np.degrees(x - a * np.sin(x) - b / 2 * np.sin(2 * x)) / 2.0

    x = np.linspace(0.0, np.pi, 7)
    edges = torch.from_numpy(theta(x)).clamp(max=90.0)
    found = Verhoef().shares(torch.tensor([[a], [b]], dtype=F64), edges)[:, 0]
    expected = [quad(along_x, *ends, epsabs=1e-15)[0] for ends in pairwise(x)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("a", "b"), [(-0.35, -0.15), (0.7, 0.2), (0.0, 0.8)])
def test_verhoef_is_that_of_the_prosail_package(a, b):
    """Its fixed point stops at a step of 1e-8."""
    fortran = pytest.importorskip("prosail.FourSAIL")
    np.testing.assert_allclose(
        shares(Verhoef(), a, b), fortran.verhoef_bimodal(a, b, 18), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("a", [-1.0, -0.999, -0.5, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_verhoef_stays_finite_where_its_slope_vanishes(a, sign):
    """|a| + |b| = 1; at (0, -1) all leaves stand at 45°, an edge."""
    for dtype in (F64, torch.float32):
        pair = torch.tensor([[a], [sign * (1.0 - abs(a))]], dtype=dtype, requires_grad=True)
        found = Verhoef().shares(pair, class_edges(18))
        assert abs(found.sum().item() - 1.0) < 4 * torch.finfo(dtype).eps
        assert found.min() >= 0.0
        weighted = (found[:, 0] @ torch.arange(18.0, dtype=dtype)).sum()
        assert torch.autograd.grad(weighted, pair)[0].isfinite().all()


def test_verhoef_beyond_its_domain_is_the_pair_on_the_border():
    for a, b in [(1.0, 1.0), (-1.0, 0.5), (0.6, -0.8)]:
        scale = abs(a) + abs(b)
        found, expected = shares(Verhoef(), a, b), shares(Verhoef(), a / scale, b / scale)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_a_pair_beyond_verhoefs_domain_is_told():
    check_verhoef(torch.tensor([0.5, -0.1]), 0.5)
    for pair in [(0.5, 0.6), (-1.0, [0.0, -0.1]), (float("nan"), 0.0)]:
        with pytest.raises(ValueError, match="lidf_a, lidf_b: expected"):
            check_verhoef(*pair)


@pytest.mark.parametrize("classes", [2, 3, 18, 72])
def test_beta_is_the_incomplete_beta_function(classes):
    exponents = [0.2, 0.5, 1.0, 1.101, 2.77, 8.0]
    pairs = list(product(exponents, exponents))
    found = shares(Beta(), *zip(*pairs, strict=True), classes=classes)
    edges = class_edges(classes).tolist()
    for row, (mu, nu) in zip(found, pairs, strict=True):
        cumulative = [mp.betainc(nu, mu, 0, t / 90.0, regularized=True) for t in edges]
        expected = np.diff([float(value) for value in cumulative])
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", DE_WIT)
def test_de_wits_types_have_their_mean_inclination(name):
    """Goel & Strebel 1984, table 1; the mean of a class is its middle, off by 1/classes²."""
    mu, nu, mean = DE_WIT[name]
    edges = class_edges(720)
    middle = (edges[1:] + edges[:-1]) / 2.0
    found = (shares(Beta(), mu, nu, classes=720) @ middle).item()
    assert found == pytest.approx(mean, abs=0.01)
    assert found == pytest.approx(90.0 * nu / (mu + nu), abs=2e-3)


def test_beta_stays_finite_far_outside_the_box():
    mu, nu = zip((1000.0, 300.0), (0.01, 5.0), (500.0, 500.0), (0.05, 0.05), strict=True)
    for dtype in (F64, torch.float32):
        found = shares(Beta(), mu, nu, dtype=dtype)
        assert (found.sum(-1) - 1.0).abs().max() < 8 * torch.finfo(dtype).eps
        assert found.min() >= 0.0


@settings(max_examples=40)
@given(st.data())
def test_every_distribution_is_one_over_the_whole_box(data):
    for family in FAMILIES:
        numbers = [data.draw(st.floats(p.low, p.high)) for p in family.parameters]
        for dtype in (F64, torch.float32):
            values = torch.tensor(numbers, dtype=dtype).unsqueeze(-1).requires_grad_()
            found = family.shares(values, class_edges(18))
            assert found.shape == (18, 1)
            assert found.dtype == dtype
            assert abs(found.sum().item() - 1.0) < 8 * torch.finfo(dtype).eps
            assert found.min() >= 0.0
            weighted = (found[:, 0] * torch.arange(18.0, dtype=dtype)).sum()
            assert torch.autograd.grad(weighted, values)[0].isfinite().all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_first_and_second_derivatives_are_right(family):
    """Against finite differences, also on both sides of Campbell's sphere."""
    points = {
        "Campbell": torch.tensor([[20.0, 58.40, 58.4345, 58.47, 80.0]], dtype=F64),
        "Verhoef": inside(torch.tensor([[0.3, 0.9, 0.5, 0.02], [0.4, 0.2, 0.1, 0.9]], dtype=F64)),
        "Beta": torch.tensor([[0.25, 1.1, 7.5, 2.0], [0.3, 1.9, 3.0, 0.2]], dtype=F64),
    }
    values = points[type(family).__name__].requires_grad_()
    edges = class_edges(6)
    assert torch.autograd.gradcheck(lambda v: family.shares(v, edges), values, eps=1e-5, atol=1e-7)
    assert torch.autograd.gradgradcheck(
        lambda v: family.shares(v, edges), values, eps=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_jacobians_under_vmap_are_those_of_single_canopies(family):
    edges = class_edges(18)
    low, high = (
        torch.tensor([getattr(p, end) for p in family.parameters], dtype=F64)
        for end in ("low", "high")
    )
    values = low + (high - low) * torch.tensor([[0.4], [0.55], [0.7]], dtype=F64)

    def one(value):
        return family.shares(value.unsqueeze(-1), edges)[:, 0]

    found = torch.func.vmap(torch.func.jacrev(one))(values)
    alone = torch.stack([torch.autograd.functional.jacobian(one, v) for v in values])
    np.testing.assert_allclose(found, alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_shares_are_one_graph(family):
    edges = class_edges(18)
    values = torch.tensor([[0.4, 0.3]] * len(family.parameters), dtype=F64)
    whole = torch.compile(lambda v: family.shares(v, edges), fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(whole(values), family.shares(values, edges), rtol=1e-13)


def fortran_verhoef(a: float, b: float) -> np.ndarray:
    """dladgen of the Fortran code, with its iteration carried to the last digit."""

    def cumulative(degree):
        x = twice = 2.0 * np.radians(degree)
        for _ in range(2000):
            y = a * np.sin(x) + 0.5 * b * np.sin(2.0 * x)
            step = 0.5 * (y - x + twice)
            x += step
            if abs(step) < 1e-16:
                break
        return (2.0 * y + twice) / np.pi

    edges = [10.0 * i for i in range(1, 9)] + [80.0 + 2.0 * (i - 8) for i in range(9, 13)]
    return np.diff([0.0, *map(cumulative, edges), 1.0])


def fortran_campbell(ala: float) -> np.ndarray:
    """calc_lidf_ellipsoid of the Fortran code, its classes from tl to tu, as printed there."""
    lower = np.radians([0, 10, 20, 30, 40, 50, 60, 70, 80, 82, 84, 86, 88])
    upper = np.radians([10, 20, 30, 40, 50, 60, 70, 80, 82, 84, 86, 88, 90])
    chi = np.exp(-1.6184e-5 * ala**3 + 2.1145e-3 * ala**2 - 1.2390e-1 * ala + 3.2491)

    def half(angle):
        x = chi / np.sqrt(1.0 + chi**2 * np.tan(angle) ** 2)
        if chi > 1.0:
            alpha = chi / np.sqrt(chi**2 - 1.0)
            root = np.sqrt(alpha**2 + x**2)
            return x * root + alpha**2 * np.log(x + root)
        alpha = chi / np.sqrt(1.0 - chi**2)
        return x * np.sqrt(alpha**2 - x**2) + alpha**2 * np.arcsin(x / alpha)

    shares = np.array([abs(half(u) - half(t)) for t, u in zip(lower, upper, strict=True)])
    return shares / shares.sum()


def test_thirteen_classes_are_the_unequal_ones_of_the_fortran_code():
    """Shares by its formulas to 1e-12, and classes counted with its angles litab."""
    for a, b in [(-0.35, -0.15), (0.3, -0.2), (0.6, 0.1)]:
        found = shares(Verhoef(), a, b, classes=13)
        np.testing.assert_allclose(found, fortran_verhoef(a, b), rtol=0, atol=1e-12)
    for ala in (20.0, 57.0, 70.0, 85.0):
        found = shares(Campbell(), ala, classes=13)
        np.testing.assert_allclose(found, fortran_campbell(ala), rtol=0, atol=1e-12)
    middle = (class_edges(13)[1:] + class_edges(13)[:-1]) / 2.0
    assert middle.tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 81, 83, 85, 87, 89]
    assert class_edges(12).diff().unique().tolist() == [7.5]
