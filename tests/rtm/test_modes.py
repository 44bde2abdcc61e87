"""Physics whatever mode torch is in, and without the library that makes loops."""

import subprocess
import sys

import pytest
import torch
from torch.func import vmap

import rtm
from rtm.modes import constant, lasting, own_precision

ANGLES = torch.tensor([30.0, 10.0, 40.0])


def like(**options) -> tuple[rtm.Prosail, torch.Tensor]:
    model = rtm.Prosail(wavelength=[550.0, 670.0, 865.0, 1610.0], **options)
    return model, model.space.stack(lai=torch.linspace(0.5, 5.0, 6)).float()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_model_built_in_a_mode_can_be_trained_afterwards(mode, fused):
    """Of its own, and one that shares loops with it; the hot spot makes them new ones."""
    with mode():
        first, theta = like(fused=fused, alpha=41.0 if fused else 42.0)
        first(theta, ANGLES)
    for model in (first, like(fused=fused, alpha=41.0 if fused else 42.0)[0]):
        x = theta.clone().requires_grad_()
        model(x, ANGLES).rso.square().sum().backward()
        assert x.grad.isfinite().all()


def test_what_else_is_made_in_inference_mode_takes_part_in_gradients():
    with torch.inference_mode():
        sensor = rtm.load_sensor("sentinel-2a")
        leaf = rtm.Prospect(wavelength=torch.tensor([550.0, 865.0]))
        moved = rtm.Prosail(wavelength=[670.0]).double()
        fit = rtm.invert_leaf(wavelength=[1700.0, 2000.0, 2300.0], reflectance=[0.3, 0.1, 0.1],
                              free=("cw",), domain=(1600.0, 2400.0))  # fmt: skip
    assert fit.parameters["cw"].isfinite()
    x = torch.rand(len(sensor.wavelength), dtype=torch.float64, requires_grad=True)
    sensor.apply(x).square().sum().backward()
    for model in (leaf, moved):
        theta = model.space.stack().requires_grad_()
        args = (theta,) if model is leaf else (theta, ANGLES)
        model(*args)[0].square().sum().backward()
        assert theta.grad.isfinite().all()


@pytest.mark.parametrize("fused", [True, False])
def test_autocast_changes_no_bit(fused):
    """bfloat16 moved rso by 5e-3; what a network hands over in it counts as float32."""
    model, theta = like(fused=fused)
    leaf = rtm.Prospect(sensor="sentinel-2a")
    expected, optics = model(theta, ANGLES).rso, leaf(theta[:, :7]).reflectance
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(theta, ANGLES).rso, expected)
        assert torch.equal(leaf(theta[:, :7]).reflectance, optics)
        assert model(theta.bfloat16(), ANGLES).rso.dtype == torch.float32
        x = theta.clone().requires_grad_()
        found = model(x, ANGLES).rso
    found.sum().backward()
    y = theta.clone().requires_grad_()
    model(y, ANGLES).rso.sum().backward()
    assert torch.equal(x.grad, y.grad)


def test_own_precision_reaches_named_arguments():
    @own_precision
    def product(a, *, b):
        return a @ b

    x = torch.rand(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(product(x, b=x), product(a=x, b=x))
        assert product(x.bfloat16(), b=x).dtype == torch.float32
    with torch.inference_mode():
        made = lasting(constant)(torch.ones(2))
    assert not made.is_inference()


@pytest.mark.parametrize(
    "options", [{}, {"lidf": "verhoef", "crowns": True}], ids=["one", "crowns"]
)
def test_prosail_is_exported_and_mapped(options):
    model, theta = like(**options)
    expected = model(theta, ANGLES).rso
    program = torch.export.export(model, (theta, ANGLES))
    torch.testing.assert_close(program.module()(theta, ANGLES).rso, expected, atol=1e-6, rtol=0.0)
    found = vmap(lambda t: model(t, ANGLES).rso)(theta)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0.0)


def test_without_llvmlite_torch_computes_the_same():
    """In a process of its own, where it cannot be imported."""
    code = (
        "import sys; sys.modules['llvmlite'] = sys.modules['llvmlite.binding'] = None\n"
        "import torch, rtm\n"
        "model = rtm.Prosail(wavelength=[670.0, 865.0], fused=True); model.compile()\n"
        "theta = model.space.stack(lai=torch.tensor([1.0, 4.0])).float().requires_grad_()\n"
        "rso = model(theta, torch.tensor([30.0, 10.0, 40.0])).rso; rso.sum().backward()\n"
        "print(*rso.flatten().tolist(), bool(theta.grad.isfinite().all()))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *numbers, finite = run.stdout.split()
    model = rtm.Prosail(wavelength=[670.0, 865.0])
    expected = model(model.space.stack(lai=torch.tensor([1.0, 4.0])).float(), ANGLES).rso
    torch.testing.assert_close(torch.tensor([float(x) for x in numbers]), expected.flatten())
    assert finite == "True"
