"""Models with an emulated decoder: bands, slopes and estimates against the exact decoder's."""

from types import SimpleNamespace

import pytest
import torch

import physvae
from inversion.emulated import emulated
from inversion.laplace import Local, _whiten, around, whitened
from inversion.methods import estimator
from physvae.config import parse_config
from physvae.emulation.store import load_emulator
from physvae.errors import InputError
from physvae.store import assemble
from rtm import DryWetSoil, Sensor

PRIOR = {
    "lai": {"mean": 2.0, "sd": 2.5, "low": 0.0, "high": 8.0},
    "cab": {"mean": 45.0, "sd": 25.0, "low": 5.0, "high": 90.0},
    "cw": {"mean": 0.015, "sd": 0.012, "low": 0.002, "high": 0.06},
    "psoil": {"mean": 0.5, "sd": 0.4, "low": 0.0, "high": 1.0},
    "rsoil": {"mean": 1.0, "sd": 0.3, "low": 0.3, "high": 1.8},
}


@pytest.fixture(scope="module")
def spectrometer():
    """61 bands of one wavelength each over dry and wet soils, its encoder untrained."""
    grid = torch.arange(400.0, 1001.0, 10.0, dtype=torch.float64)
    bands, eye = tuple(f"B{nm:g}" for nm in grid), torch.eye(len(grid), dtype=torch.float64)
    sensor = Sensor("spectrometer", bands, grid, eye, grid, torch.full_like(grid, 10.0))
    raw = {
        "name": "spectrometer", "sensor": "spectrometer", "bands": bands, "prior": PRIOR,
        "physics": {"crowns": False}, "soil": {"kind": "dry-wet"},
    }  # fmt: skip
    torch.manual_seed(0)
    model = assemble(parse_config(raw, "test"), sensor, DryWetSoil())
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def drawn(spectrometer):
    """Scores, angles and noisy spectra of the prior."""
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(12, len(spectrometer.space), generator=generator)
    angles = torch.tensor([40.0, 5.0, 90.0]).expand(12, 3)
    mean = spectrometer.physical(spectrometer.prior(scores), angles)
    return scores, angles, spectrometer.likelihood.draw(mean, generator)


def test_whitening_is_the_inverse_of_the_covariance_of_the_bands_seen():
    """WᵀW against the dense inverse in float64, with an error common to all bands and gaps."""
    generator = torch.Generator().manual_seed(0)
    mean = 0.1 + torch.rand(4, 7, generator=generator).double()
    seen = torch.rand(4, 7, generator=generator) > 0.3
    noise = SimpleNamespace(common=0.05, variance=lambda x: (0.01 + 0.02 * x) ** 2)
    unit = torch.eye(7, dtype=torch.float64) * seen.unsqueeze(-1)
    found = _whiten(noise, mean, seen, unit)
    for row, kept, x in zip(found, seen, mean, strict=True):
        covariance = torch.diag(noise.variance(x)) + 0.05**2 * torch.outer(x, x)
        expected = torch.zeros(7, 7, dtype=torch.float64)
        expected[kept.outer(kept)] = torch.linalg.inv(covariance[kept][:, kept]).flatten()
        torch.testing.assert_close(row.T @ row, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("emulator", [None, "prosail-d"])
def test_bands_and_slopes_are_those_of_the_exact_decoder(spectrometer, drawn, emulator):
    """Bands near the tolerance asked for, on draws that chose nothing; slopes within 2 %; the
    optimum stays within a third of a posterior sd.
    """
    scores, angles, seen = drawn
    made = emulated(spectrometer, emulator, tolerance=2e-4, draws=4000)
    assert made.physical.few
    assert spectrometer.physical is not made.physical
    theta = spectrometer.prior(scores)
    gap = made.physical(theta, angles) - spectrometer.physical(theta, angles)
    assert gap.square().mean().sqrt() < 4e-4
    truth, found = (whitened(m, scores, seen, angles)[1] for m in (spectrometer, made))
    assert (found - truth).norm() < 0.02 * truth.norm()
    truth, found = (around(m, scores, seen, angles) for m in (spectrometer, made))
    moved = Local(found.gradient - truth.gradient, truth.precision).step
    assert moved.median() < 0.33
    products = [m.physical.products(theta, angles) for m in (spectrometer, made)]
    assert torch.equal(*products)


@pytest.mark.slow
def test_least_squares_end_at_the_same_traits(spectrometer, drawn):
    """Within a tenth of the posterior sd, which 61 bands make narrow."""
    _, angles, seen = drawn
    found = []
    for model in (spectrometer, emulated(spectrometer, "prosail-d")):
        found.append(estimator(model, "lm", 30).estimate(seen, angles, ("lai", "cab")))
    for name in ("lai", "cab"):
        change = (found[1].mean[name] - found[0].mean[name]) / found[0].sd[name]
        assert change.abs().median() < 0.1, name


@pytest.fixture(scope="module")
def sentinel():
    return physvae.load("sentinel-2")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["refined", "lm", "lut"])
def test_the_methods_estimate_what_the_exact_ones_do(sentinel, method):
    """Sentinel-2, fewer bands than nodes: within a quarter of the sd; the model is as it was."""
    exact, generator = sentinel.physical, torch.Generator().manual_seed(2)
    angles = torch.tensor([35.0, 5.0, 90.0]).expand(3, 3)
    scores = 0.7 * torch.randn(3, len(sentinel.space), generator=generator)
    mean = sentinel.physical(sentinel.prior(scores), angles)
    seen = sentinel.likelihood.draw(mean, generator)
    truth, found = (
        estimator(sentinel, name, 40).estimate(seen, angles, ("lai",))
        for name in (method, f"{method}-emulated")
    )
    change = (found.mean["lai"] - truth.mean["lai"]) / truth.sd["lai"]
    assert change.abs().median() < 0.25
    assert sentinel.physical is exact
    assert estimator(sentinel, f"{method}-emulated", 40).sensor == sentinel.sensor


def test_an_emulator_of_other_inputs_or_without_nodes_is_refused(spectrometer, sentinel):
    with pytest.raises(InputError, match=r"expected one by nodes with the inputs n_leaf.*soil_1"):
        emulated(sentinel, "prosail-d-1nm")
    narrow = load_emulator("prosail-d").seen_by(spectrometer.physical.sensor)
    with pytest.raises(InputError, match="expected an emulator of wavelengths, got one of bands"):
        emulated(spectrometer, narrow)
