"""Which calls go through loops made for the model, and that nobody sees it in the results."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from rtm import Prosail
from rtm.fused import loops
from rtm.fused.kernel import Kernel

FIELDS = ("rso", "rdo", "rsd", "rdd", "fapar", "fapar_diffuse", "fcover")


def draws(model: Prosail, n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    low, high = model.space.low.to(dtype), model.space.high.to(dtype)
    theta = low + (high - low) * torch.rand(n, len(low), generator=generator, dtype=dtype)
    unit = torch.rand(n, 3, generator=generator, dtype=dtype)
    return theta, unit * torch.tensor([70.0, 30.0, 180.0], dtype=dtype)


def stacked(result) -> Tensor:
    return torch.cat([x.reshape(len(x), -1) for x in result[:7] if x is not None], -1)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Canopies of each call of machine code; 500 numbers pay."""
    found: list[int] = []
    run = Kernel.__call__

    def counted(self, *inputs):
        found.append(inputs[0].shape[-1])
        return run(self, *inputs)

    monkeypatch.setattr(Kernel, "__call__", counted)
    monkeypatch.setattr(loops, "PAYS", 500)
    loops.shared.cache_clear()
    return found


def small(**options) -> Prosail:
    """Ten wavelengths and those of fapar: 24 numbers a canopy, or 10."""
    return Prosail(wavelength=torch.linspace(450.0, 2400.0, 10), **options)


def test_the_size_of_a_call_alone_decides(calls):
    """Ten numbers a canopy: 49 canopies go by torch, 50 by loops, before and after each other."""
    model = small(products=False)
    theta, angles = draws(model, 60)
    first = model(theta[:49], angles[:49]).rso
    assert calls == []
    model(theta[:50], angles[:50])
    assert torch.equal(model(theta[:49], angles[:49]).rso, first)
    assert calls == [50]


def test_a_gradient_is_a_loop_too(calls):
    model = small(products=False)
    theta, angles = draws(model, 60)
    model(theta.requires_grad_(), angles).rso.sum().backward()
    assert calls == [60, 60]


def test_they_can_be_switched_off_and_on(calls):
    theta, angles = draws(small(), 60)
    small(fused=False)(theta, angles)
    model = small()
    model.fused = False
    model(theta, angles)
    assert calls == []
    small(fused=True)(theta[:1], angles[:1])
    model.compile()
    model(theta[:2], angles[:2])
    assert calls == [1, 2]
    with pytest.raises(ValueError, match="fused: expected one of auto, True, False, got 'never'"):
        small(fused="never")


def test_models_of_one_kind_share_loops_and_others_do_not(calls, monkeypatch):
    theta, angles = draws(small(), 60)
    made = []
    init = Kernel.__init__
    monkeypatch.setattr(Kernel, "__init__", lambda s, *p: (made.append(p), init(s, *p))[1])
    first = small()
    for model in (first, copy.deepcopy(first), small(), first.to("cpu")):
        model(theta, angles)
    assert (len(made), len(calls)) == (1, 4)
    for model in (small(alpha=50.0), small(hotspot="classic"), small(classes=12)):
        model(theta, angles)
    assert (len(made), len(calls)) == (4, 7)


def test_a_copy_of_a_compiled_model_is_compiled_and_a_moved_one_knows_its_constants(calls):
    model = small(products=False)
    theta, angles = draws(model, 3)
    model.compile()
    twin = copy.deepcopy(model)
    assert torch.equal(stacked(twin(theta, angles)), stacked(model(theta, angles)))
    assert len(calls) == 2
    model._plate.add_(0.01)
    changed = model.float()(theta, angles).rso
    assert (changed - twin(theta, angles).rso).abs().max() > 1e-4
    assert model.state_dict() == {}


def test_threads_may_make_them_at_the_same_time(calls):
    model = small()
    theta, angles = draws(model, 60)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: stacked(model(theta, angles)), range(8)))
    assert calls == [60] * 8
    assert all(torch.equal(found[0], x) for x in found)


@pytest.mark.parametrize("options", [
    {"leaf": "D"}, {"leaf": "PRO", "layers": 2}, {"leaf": "5", "crowns": True, "lidf": "verhoef"},
])  # fmt: skip
def test_a_plain_call_is_as_near_to_float64_as_torch(calls, options):
    """Values, and gradients in units of the largest: float32 holds no more with or without."""
    model = small(**options)
    theta, angles = draws(model, 60)
    exact = run(small(**options), theta.double(), angles.double())
    plain = run(small(fused=False, **options), theta, angles)
    model(theta, angles)
    found = run(model, theta, angles)
    assert len(calls) == 3
    for mine, other, true, limit in zip(found, plain, exact, (1e-6, 2e-4, 2e-4), strict=True):
        scale = true.abs().amax(0).clamp(min=1e-3)
        errors = [((x - true).abs() / scale).max().item() for x in (mine, other)]
        assert errors[0] < max(limit, 3.0 * errors[1])


def run(model: Prosail, theta: Tensor, angles: Tensor) -> list[Tensor]:
    """Results and gradients of their sum of squares."""
    leaves = [x.clone().requires_grad_() for x in (theta, angles)]
    whole = stacked(model(*leaves))
    return [whole.detach(), *torch.autograd.grad(whole.square().sum(), leaves)]


def test_float64_is_computed_by_torch_to_the_last_bit(calls):
    model = small()
    theta, angles = draws(model, 60, torch.float64)
    found = run(model, theta, angles)
    assert calls == []
    for mine, true in zip(found, run(small(fused=False), theta, angles), strict=True):
        assert torch.equal(mine, true)


def test_a_second_derivative_through_loops_is_that_of_torch(calls):
    """∂/∂θ Σ (∂ rso / ∂θ)²: float32, so to 1e-3 of the largest of a column."""
    theta, angles = draws(small(), 60)
    steep = []
    for fused in (True, False):
        model, leaf = small(products=False, fused=fused), theta.clone().requires_grad_()
        rso = model(leaf, angles).rso
        (slope,) = torch.autograd.grad(rso.sum(), leaf, create_graph=True)
        steep.append((slope.detach(), *torch.autograd.grad(slope.square().sum(), leaf)))
    assert calls == [60]
    for mine, true in zip(*steep, strict=True):
        assert (mine - true).abs().amax(0).le(1e-3 * true.abs().amax(0) + 1e-6).all()


def test_what_transforms_torch_gets_torch(calls):
    """vmap, jacrev, rows of a Jacobian at once, and fake tensors."""
    model = small(products=False, fused=True)
    theta, angles = draws(model, 4)

    def rso(t):
        return model(t, angles).rso

    whole = rso(theta)
    assert len(calls) == 1
    assert (
        torch.func.vmap(lambda t, a: model(t, a).rso)(theta, angles) - whole
    ).abs().max() < 1e-5
    slopes = torch.func.jacrev(rso)(theta)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert rso(mode.from_tensor(theta)).shape == whole.shape
    assert len(calls) == 1
    rows = torch.autograd.functional.jacobian(rso, theta, vectorize=True)
    assert len(calls) == 2
    assert isinstance(rows, Tensor)
    assert (rows - slopes).abs().max() < 1e-3 * slopes.abs().max()


def test_they_are_made_in_inference_mode_too_and_give_gradients_later(calls):
    model = small(products=False, fused=True)
    theta, angles = draws(model, 60)
    with torch.inference_mode():
        model(theta, angles)
    run(model, theta, angles)
    assert calls == [60, 60, 60]


def test_what_has_no_loop_is_left_to_torch(calls):
    """The beta distribution, for which there are no expressions."""
    theta, angles = draws(small(lidf="beta"), 60)
    for _ in range(2):
        found = small(lidf="beta")(theta, angles)
    assert calls == []
    assert found.rso.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"layers": 2}, {"lidf": "verhoef"}])
def test_what_is_missing_stays_missing(options):
    """NaN in one input at a time: NaN wherever torch gives it, also in gradients."""
    plain, looped = (Prosail(sensor="landsat-8", fused=x, **options) for x in (False, True))
    low, high = plain.space.low.float(), plain.space.high.float()
    inputs = torch.cat([low + 0.3 * (high - low), torch.tensor([30.0, 10.0, 40.0])])
    inputs = inputs.repeat(len(inputs), 1).fill_diagonal_(float("nan"))
    theta, angles = inputs.split([len(low), 3], -1)
    for true, found in zip(run(plain, theta, angles), run(looped, theta, angles), strict=True):
        assert true.isnan().any()
        assert found.isnan()[true.isnan()].all()
    seen = looped(theta, angles)
    assert seen.rdd[plain.space.index("hspot")].isfinite().all()
