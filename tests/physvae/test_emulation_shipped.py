"""The shipped emulators against the exact model, at their goals, in both precisions."""

from pathlib import Path

import pytest
import torch

import physvae
import rtm
from physvae.emulation.scores import score
from physvae.emulation.store import SHIPPED, emulators, load_emulator

FACTORS = ("rso", "rdo", "rsd", "rdd")


def draws(emulator, n: int, seed: int = 0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for space in (emulator.space, emulator.geometry):
        low, high = space.low, space.high
        parts.append(low + (high - low) * torch.rand(n, len(low), generator=generator).double())
    return [part.to(dtype) for part in parts]


def exact(emulator) -> rtm.Prosail:
    return rtm.Prosail(wavelength=emulator.wavelength)


@pytest.fixture(scope="module")
def emulator():
    return load_emulator("prosail-d")


def test_two_are_shipped_and_are_small():
    assert emulators() == ["prosail-d", "prosail-d-1nm"]
    assert sum(f.stat().st_size for f in SHIPPED.rglob("*") if f.is_file()) < 10e6


@pytest.mark.parametrize(
    ("name", "size", "n"), [("prosail-d", 211, 2000), ("prosail-d-1nm", 2101, 300)]
)
def test_the_goals_are_met_on_draws_that_trained_nothing(name, size, n):
    """The goals of the card, on other draws of the whole box with all angles."""
    emulator = physvae.load_emulator(name)
    theta, angles = draws(emulator, n, seed=99)
    found = emulator(theta, angles)
    assert found.rso.shape == (n, size)
    truth = exact(emulator)(theta, angles).rso
    figures = score([(truth, found.rso)]).figures()
    assert figures["rmse"] < 3e-4
    assert figures["sam"] < 0.05
    assert figures["r2_least"] > 0.9998
    assert figures["worst"] < 2e-3
    stated = emulator.record["figures"]
    assert figures["rmse"] < 2.0 * stated["rmse"]


def test_all_factors_and_the_products_are_those_of_the_exact_model(emulator):
    """Factors within 1e-3 rms; products are computed exactly, so to rounding of float32."""
    theta, angles = draws(emulator, 500, seed=5)
    found, truth = emulator.with_factors(*FACTORS)(theta, angles), exact(emulator)(theta, angles)
    for factor in FACTORS:
        gap = getattr(found, factor) - getattr(truth, factor)
        assert gap.square().mean().sqrt() < 3e-4, factor
    for name in ("fapar", "fapar_diffuse", "fcover"):
        torch.testing.assert_close(getattr(found, name), getattr(truth, name), atol=2e-5, rtol=0.0)
    assert torch.equal(found.wavelength, truth.wavelength)


def test_it_is_called_like_prosail(emulator):
    """Broadcasting, any sign of psi, and what is not decoded is None."""
    theta = emulator.space.stack(lai=torch.tensor([[1.0], [4.0]]))
    angles = torch.tensor([[30.0, 10.0, -40.0], [30.0, 10.0, 40.0], [30.0, 10.0, 320.0]])
    found = emulator(theta, angles)
    assert found.rso.shape == (2, 3, 211)
    assert found.rdo is None
    torch.testing.assert_close(found.rso[:, 0], found.rso[:, 1])
    torch.testing.assert_close(found.rso[:, 0], found.rso[:, 2], atol=1e-5, rtol=0.0)
    with pytest.raises(ValueError, match=r"theta: expected a last axis of 12 \(n_leaf"):
        emulator(theta[..., :3], angles)
    with pytest.raises(ValueError, match=r"angles: expected a last axis \(tts, tto, psi\)"):
        emulator(theta, angles[..., :2])
    with pytest.raises(ValueError, match="theta: expected float32 or float64"):
        emulator(theta.long(), angles)


def test_compiled_it_is_the_same(emulator):
    theta, angles = draws(emulator, 300, seed=2)
    before = emulator(theta, angles).rso
    fast = load_emulator("prosail-d")
    fast.compile()
    torch.testing.assert_close(fast(theta, angles).rso, before, atol=3e-5, rtol=0.0)


def test_its_gradient_is_that_of_the_exact_model(emulator):
    """Slopes of the mean reflectance by trait, in float64; scaled by the width of the box."""
    theta, angles = draws(emulator, 100, seed=3, dtype=torch.float64)
    slopes = []
    for model in (emulator, exact(emulator)):
        x, a = theta.clone().requires_grad_(), angles.clone().requires_grad_()
        model(x, a).rso.mean(-1).sum().backward()
        width = torch.cat([model.space.high - model.space.low, torch.tensor([85.0, 85.0, 180.0])])
        slopes.append(torch.cat([x.grad, a.grad], -1) * width)
    gap = (slopes[0] - slopes[1]).square().mean().sqrt()
    assert gap < 5e-3 * slopes[1].square().mean().sqrt()


def test_the_slope_is_that_of_its_own_values(emulator):
    """Central differences, to the rounding of a step of 1e-6."""
    theta, angles = draws(emulator, 20, seed=4, dtype=torch.float64)
    x = theta.clone().requires_grad_()
    emulator(x, angles).rso.sum().backward()
    lai = emulator.space.index("lai")
    step = torch.zeros_like(theta)
    step[:, lai] = 1e-5
    up, down = (emulator(theta + s, angles).rso.sum(-1) for s in (step, -step))
    torch.testing.assert_close(x.grad[:, lai], (up - down) / 2e-5, rtol=1e-5, atol=1e-6)


def test_the_standard_error_fits_errors_and_tells_good_from_bad(emulator):
    """About 68 and 95 % of errors within one and two; the stated order is that of the errors."""
    theta, angles = draws(emulator, 2000, seed=7)
    sd = emulator.standard_error(theta, angles)
    gap = (emulator(theta, angles).rso - exact(emulator)(theta, angles).rso).abs()
    assert 0.6 < (gap <= sd).float().mean() < 0.8
    assert 0.92 < (gap <= 2.0 * sd).float().mean() < 0.99
    order = sd.square().mean(-1).argsort()
    own = gap.square().mean(-1).sqrt()[order]
    assert own[-500:].mean() > 3.0 * own[:500].mean()


def test_it_says_where_the_box_ends(emulator):
    theta = emulator.space.stack(lai=torch.tensor([-0.1, 0.0, 15.0, 15.1, torch.nan]))
    angles = torch.tensor([30.0, 0.0, -170.0])
    assert emulator.outside(theta, angles).tolist() == [True, False, False, True, True]
    assert emulator.outside(theta[1], torch.tensor([86.0, 0.0, 0.0])).item()


@pytest.mark.parametrize(("corners", "most"), [(False, 5e-6), (True, 2e-5)])
def test_the_windows_of_a_decoder_give_what_the_whole_gives(corners, most):
    """Directions of less than 2e-6 are left out: a hundredth of the error of the emulator."""
    emulator = load_emulator("prosail-d-1nm")
    generator = torch.Generator().manual_seed(4)
    share = torch.rand(300, len(emulator.space) + 3, generator=generator)
    share = share.round() if corners else share
    low, high = (
        torch.cat([getattr(emulator.space, e), getattr(emulator.geometry, e)]).float()
        for e in ("low", "high")
    )
    theta, angles = (low + (high - low) * share).split([len(emulator.space), 3], 1)
    with torch.no_grad():
        found = emulator(theta, angles).rso
        z = emulator.interpolator(theta.double(), angles.double(), ("rso",)).z["rso"]
        last = emulator.decoders["rso"].last
        whole = z @ last.weight.double().T + last.bias.double()
    assert len(emulator._folded("rso", theta).onward) > 10
    assert (found - whole).square().mean().sqrt() < most


def test_a_sensor_goes_into_the_decoder():
    """The bands of the emulated spectrum, without computing the spectrum."""
    emulator = load_emulator("prosail-d-1nm")
    sensor = rtm.load_sensor("sentinel-2a")
    theta, angles = draws(emulator, 50, seed=8)
    seen = emulator.seen_by(sensor)
    found = seen(theta, angles)
    assert found.band == sensor.bands
    at = torch.isin(emulator.wavelength, sensor.wavelength)
    torch.testing.assert_close(
        found.rso, sensor.apply(emulator(theta, angles).rso[:, at]), atol=2e-6, rtol=0.0
    )
    truth = rtm.Prosail(sensor=sensor)(theta, angles).rso
    assert (found.rso - truth).square().mean().sqrt() < 5e-4
    assert seen.standard_error(theta, angles).shape == found.rso.shape
    with pytest.raises(ValueError, match="one of bands"):
        seen.seen_by(sensor)
    with pytest.raises(ValueError, match="prosail-d-1nm has every nm"):
        load_emulator("prosail-d").seen_by(sensor)


def test_factors_that_are_not_there_are_refused(emulator):
    with pytest.raises(ValueError, match="factors: expected some of rso, rdo, rsd, rdd, got rxx"):
        emulator.with_factors("rso", "rxx")


def test_cards_hold_the_figures_of_the_record():
    for name in emulators():
        card = (Path(SHIPPED) / name / "card.md").read_text("utf-8")
        figures = load_emulator(name).record["figures"]
        assert f"| RMSE | {figures['rmse']:.2e} |" in card
        assert figures["n"] == 100_000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_the_same(emulator):
    theta, angles = draws(emulator, 200, seed=9)
    there = load_emulator("prosail-d", device="cuda")
    found = there(theta.cuda(), angles.cuda()).rso.cpu()
    torch.testing.assert_close(found, emulator(theta, angles).rso, atol=1e-4, rtol=0.0)
