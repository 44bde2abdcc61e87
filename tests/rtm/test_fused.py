"""Loops made of torch code against the torch code they are made of."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rtm import BSM, GEOMETRY, Prosail, SpectralSoil
from rtm.fused import Fused, Untraceable

TABLE = json.loads(
    (Path(__file__).resolve().parents[1] / "references" / "edge_cases.json").read_text("utf-8")
)
MODELS = {
    "PROSPECT-D, 4SAIL": {"leaf": "D"},
    "PROSPECT-PRO, two layers": {"leaf": "PRO", "layers": 2},
    "PROSPECT-5 in crowns, classic hot spot": {
        "leaf": "5", "crowns": True, "hotspot": "classic", "products": False,
    },
    "Verhoef's pair, BSM": {"lidf": "verhoef", "soil": BSM()},
    "soils by components": {"crowns": True, "soil": SpectralSoil(
        [300.0, 1000.0, 2600.0], [[0.1, 0.0, -0.1], [0.0, 0.1, 0.0]], [0.3] * 3
    )},
}  # fmt: skip


def error(found: Tensor, exact: Tensor) -> float:
    return ((found - exact).abs() / exact.abs().clamp(min=1e-30)).max().item()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("exp", -80.0, 80.0), ("log", 1e-30, 1e30), ("log1p", 0.0, 50.0), ("tanh", -12.0, 12.0),
        ("expm1", -20.0, 20.0), ("sin", 0.0, 3.1), ("cos", 0.0, 1.5), ("acos", -1.0, 0.9),
        ("atan", -50.0, 50.0), ("sqrt", 0.0, 1e6), ("reciprocal", 1e-30, 1e30),
    ],
)  # fmt: skip
def test_functions_are_exact_to_a_few_units_in_the_last_place(name, low, high):
    """Relative to float64; log1p and atan also where their argument is tiny."""
    x = torch.linspace(0.0, 1.0, 4001).pow(3) * high
    if low < 0.0:
        x = torch.cat([torch.linspace(0.0, 1.0, 4001).pow(3) * low, x])
    x = x.clamp(min=low).unsqueeze(0)
    function = getattr(torch, name)
    (found,) = Fused(lambda x: (function(x),), rows=(1,))(x)
    assert error(found.double(), function(x.double())) < 5e-7


def test_sine_and_cosine_near_their_zeros_and_beyond_a_turn():
    x = torch.linspace(-10.0, 10.0, 5001).unsqueeze(0)
    for function in (torch.sin, torch.cos, lambda x: torch.tan(x) * x.cos()):
        (found,) = Fused(lambda x, f=function: (f(x),), rows=(1,))(x)
        assert (found - function(x.double())).abs().max() < 5e-7


WEIGHTS = torch.linspace(0.1, 2.0, 9).unsqueeze(-1)


def rows_joined(x: Tensor) -> tuple[Tensor, ...]:
    ramp = x[0] * WEIGHTS
    inner = (ramp[1:] - ramp[:-1]).tanh()
    return (torch.cat([torch.zeros_like(inner[:1]), inner, inner[:1] + 1.0]).exp(),)


def sums_of_sums(x: Tensor) -> tuple[Tensor, ...]:
    total = (x[0] * WEIGHTS).exp().sum(0)
    again = (total / (x[1] + WEIGHTS)).sqrt().sum(0)
    return again.unsqueeze(0), total * WEIGHTS


def picked_rows(x: Tensor) -> tuple[Tensor, ...]:
    spectrum = (torch.cat([WEIGHTS, WEIGHTS**2], 1).to(x.dtype) @ x[:2]).sin()
    picked = spectrum.index_select(0, torch.tensor([7, 2, 3]))
    return spectrum, (picked.T @ torch.tensor([1.0, 2.0, 4.0]).to(x.dtype)).unsqueeze(0)


def choices(x: Tensor) -> tuple[Tensor, ...]:
    a, b, c = x
    ramp = a * WEIGHTS - b
    chosen = torch.where((ramp > 0.0) & (b < 1.0), ramp**2, c / (1.0 + ramp.abs()))
    turned = torch.lerp(chosen, ramp, torch.sign(ramp).clamp(min=0.0))
    return torch.maximum(turned, 0.3 * c), torch.remainder(a, 0.7).unsqueeze(0)


@pytest.mark.parametrize("function", [rows_joined, sums_of_sums, picked_rows, choices])
@pytest.mark.parametrize("n", [1, 32, 77])
def test_what_goes_over_rows_is_what_torch_computes(function, n):
    """Values and gradients, for whole vectors and for a rest."""
    x = torch.rand(3, n, generator=torch.Generator().manual_seed(1)) + 0.1
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    found, exact = Fused(function, rows=(3,))(single), function(double)
    for mine, true in zip(found, exact, strict=True):
        assert mine.shape == true.shape
        assert (mine - true).abs().max() < 2e-6 * (1 + true.abs().max())
    sum(y.square().sum() for y in found).backward()
    sum(y.square().sum() for y in exact).backward()
    assert single.grad is not None
    assert double.grad is not None
    scale = 1 + double.grad.abs().max()
    assert (single.grad - double.grad).abs().max() < 1e-5 * scale


def test_threads_share_the_work_and_change_nothing():
    x = torch.rand(3, 5000, generator=torch.Generator().manual_seed(2))
    fused, before = Fused(sums_of_sums, rows=(3,)), torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(fused(x))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_what_has_no_expression_says_so():
    with pytest.raises(Untraceable, match="cumsum"):
        Fused(lambda x: (x.cumsum(0),), rows=(3,))


def test_second_derivatives_are_those_of_torch():
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(4)).requires_grad_()
    twice = []
    for function in (Fused(picked_rows, rows=(3,)), picked_rows):
        total = function(x)[0].square().sum()
        (slope,) = torch.autograd.grad(total, x, create_graph=True)
        twice.append(torch.autograd.grad(slope.square().sum(), x)[0])
    assert (twice[0] - twice[1]).abs().max() < 1e-4 * twice[1].abs().max()


def draws(model: Prosail, n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    low, high = model.space.low.float(), model.space.high.float()
    theta = low + (high - low) * torch.rand(n, len(low), generator=generator)
    for k, name in enumerate(model.space.names):
        if name in ("lidf_a", "lidf_b"):
            theta[:, k] *= 0.45  # inside |a| + |b| = 1, where the slope jumps
    angles = torch.rand(n, 3, generator=generator) * torch.tensor([70.0, 60.0, 180.0])
    return theta, angles


@pytest.mark.parametrize("name", MODELS)
def test_the_compiled_model_is_the_model(name):
    """Values to 3e-6 of float64; gradients to 1e-3 of the largest, which float32 holds."""
    model, compiled = (Prosail(sensor="landsat-8", **MODELS[name]) for _ in range(2))
    compiled.compile()
    assert compiled._fused is not None
    results = []
    for run, dtype in ((compiled, torch.float32), (model, torch.float64)):
        theta, angles = (x.to(dtype).requires_grad_() for x in draws(model, 50))
        found = [x for x in run(theta, angles)[:7] if x is not None]
        sum((x * x).sum() for x in found).backward()
        results.append((found, theta.grad, angles.grad))
    (found, *slopes), (exact, *true_slopes) = results
    for mine, true in zip(found, exact, strict=True):
        assert mine.shape == true.shape
        assert (mine - true).abs().max() < 3e-6
    for mine, true in zip(slopes, true_slopes, strict=True):
        assert (mine - true).abs().amax(0).le(1e-3 * true.abs().amax(0) + 1e-6).all()


@cache
def both() -> tuple[Prosail, Prosail]:
    wavelength = torch.tensor(TABLE["wavelength"], dtype=torch.float64)
    compiled = Prosail("D", wavelength=wavelength, products=False)
    compiled.compile()
    return compiled, Prosail("D", wavelength=wavelength, products=False)


@pytest.mark.parametrize("group", dict.fromkeys(c["group"] for c in TABLE["cases"]))
def test_edge_cases_hold_in_the_compiled_model(group):
    """Float32 within 2e-5 of float64, relative where rso is above 1; gradients are numbers."""
    compiled, model = both()
    rows = [c["values"] for c in TABLE["cases"] if (c["leaf"], c["group"]) == ("D", group)]
    if not rows:
        pytest.skip("no case of PROSPECT-D")
    theta, angles = (
        torch.tensor([[row[name] for name in names] for row in rows]).requires_grad_()
        for names in (model.space.names, tuple(GEOMETRY))
    )
    found = torch.cat(compiled(theta, angles)[:4], -1)
    exact = torch.cat(model(theta.double(), angles.double())[:4], -1)
    assert ((found - exact).abs() / exact.abs().clamp(min=1.0)).max() < 2e-5
    found.sum().backward()
    assert theta.grad is not None
    assert angles.grad is not None
    assert theta.grad.isfinite().all()
    assert angles.grad.isfinite().all()


def test_float64_and_a_batch_of_any_shape_go_through_the_compiled_model():
    compiled, model = both()
    theta, angles = (x.reshape(3, 4, -1) for x in draws(model, 12))
    assert compiled(theta, angles).rso.shape == (3, 4, len(TABLE["wavelength"]))
    assert compiled(theta[:0], angles[:0]).rso.shape == (0, 4, len(TABLE["wavelength"]))
    exact = model(theta.double(), angles.double()).rso
    assert torch.equal(compiled(theta.double(), angles.double()).rso, exact)
