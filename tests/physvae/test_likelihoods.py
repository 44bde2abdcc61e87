"""The band noise against the dense Gaussian it abbreviates."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from physvae.likelihoods import BandNoise
from physvae.plans import Likelihood, Noise
from physvae.structured_likelihoods import LIKELIHOODS


@pytest.fixture
def noise():
    sensor = Noise(floor=0.003, relative=0.02, common=0.08, discrepancy=0.004)
    model = BandNoise(5, sensor, Likelihood()).double()
    model.requires_grad_(False)
    model.log_discrepancy += torch.linspace(-1, 1, 5)
    return model


def spectra(n: int) -> torch.Tensor:
    return 0.02 + 0.5 * torch.rand(n, 5, generator=torch.Generator().manual_seed(0)).double()


def dense(noise: BandNoise, mean: torch.Tensor) -> MultivariateNormal:
    shared = noise.common * mean
    covariance = noise.variance(mean).diag_embed() + shared.unsqueeze(-1) * shared.unsqueeze(-2)
    return MultivariateNormal(mean, covariance)


def test_it_is_the_dense_gaussian(noise):
    mean, x = spectra(30), spectra(30).flip(0)
    np.testing.assert_allclose(noise.log_prob(x, mean), dense(noise, mean).log_prob(x), rtol=1e-8)


def test_a_missing_band_leaves_the_marginal(noise):
    mean, x = spectra(30), spectra(30).flip(0)
    full = dense(noise, mean)
    keep = [0, 2, 3]
    part = MultivariateNormal(mean[:, keep], full.covariance_matrix[:, keep][:, :, keep])
    x[:, [1, 4]] = torch.nan
    expected = part.log_prob(x[:, keep])
    np.testing.assert_allclose(noise.log_prob(x, mean), expected, rtol=1e-8)


def test_draws_have_the_covariance_of_the_density(noise):
    mean = spectra(1)
    drawn = noise.draw(mean.expand(100_000, 5), torch.Generator().manual_seed(1)) - mean
    expected = dense(noise, mean).covariance_matrix[0]
    scale = expected.diagonal().sqrt()
    found = drawn.T @ drawn / len(drawn) / scale / scale[:, None]
    np.testing.assert_allclose(found, expected / scale / scale[:, None], atol=0.02)


def test_the_variance_never_falls_below_the_floor(noise):
    assert (noise.variance(torch.zeros(1, 5).double()) >= 0.003**2).all()


SENSOR = Noise(floor=0.004, relative=0.02, common=0.05, discrepancy=0.005)


def likelihood(kind: str, bands: int, **sizes):
    torch.manual_seed(2)
    model = LIKELIHOODS[kind](bands, SENSOR, Likelihood(kind=kind, width=8, **sizes)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, dtype=torch.float64))
        model.constrain()
    return model.requires_grad_(False)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_densities_integrate_to_one(kind):
    """Over a plane of two bands, ten standard deviations a side.

    Counts are steps of 1e-4. Every tenth is enough for a density as smooth as a quarter of the
    smallest standard deviation.
    """
    model, mean = likelihood(kind, 2), torch.tensor([0.08, 0.3], dtype=torch.float64)
    half = 10 * float(model.variance(mean).sum().sqrt()) + 0.05
    edge = torch.arange(-half, half, 1e-3 if kind == "logistic-mixture" else half / 400).double()
    grid = (torch.cartesian_prod(edge, edge) / 1e-4).round() * 1e-4 if kind == (
        "logistic-mixture"
    ) else torch.cartesian_prod(edge, edge)  # fmt: skip
    mass = model.log_prob(mean + grid, mean).exp().sum() * (edge[1] - edge[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=0.01)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_draws_have_the_variance_and_respect_the_floor(kind):
    model, mean = likelihood(kind, 4), torch.tensor([0.05, 0.1, 0.3, 0.4], dtype=torch.float64)
    drawn = model.draw(mean.expand(60_000, 4), torch.Generator().manual_seed(4))
    expected = model.variance(mean)
    if kind == "band-noise":
        expected = expected + (model.common * mean).square()
    np.testing.assert_allclose(drawn.var(0), expected, rtol=0.06)
    assert (model.variance(mean) >= SENSOR.floor**2 * (1 - 1e-9)).all()


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_missing_band_is_integrated_out(kind):
    model, mean = likelihood(kind, 3), torch.tensor([0.05, 0.1, 0.3], dtype=torch.float64)
    x = mean + torch.tensor([0.004, torch.nan, -0.006], dtype=torch.float64)
    half = 12 * float(model.variance(mean)[1].sqrt()) + 0.05
    step = 1e-4
    edge = mean[1] + torch.arange(-half, half, step, dtype=torch.float64)
    filled = x.expand(len(edge), 3).clone()
    filled[:, 1] = edge
    expected = model.log_prob(filled, mean).logsumexp(0) + np.log(step)
    np.testing.assert_allclose(model.log_prob(x, mean), expected, atol=2e-3)


def test_the_banded_precision_is_banded_and_dense_enough():
    model, mean = likelihood("banded-cholesky", 6, bandwidth=1), torch.linspace(0.02, 0.4, 6)
    factor = model.factor(mean.double())
    assert torch.equal(factor, factor.tril().triu(-1))
    covariance = torch.linalg.inv(factor @ factor.mT)
    x = mean.double() + 0.01
    expected = MultivariateNormal(mean.double(), covariance).log_prob(x)
    np.testing.assert_allclose(model.log_prob(x, mean.double()), expected, rtol=1e-6)
    assert torch.linalg.eigvalsh(covariance).min() >= SENSOR.floor**2


def test_sigma_learns_the_error_of_what_it_sees():
    model, mean = likelihood("sigma", 3), torch.zeros(500, 3, dtype=torch.float64)
    error = torch.tensor([0.01, 0.02, 0.05], dtype=torch.float64)
    x = error * torch.randn(500, 3, generator=torch.Generator().manual_seed(5)).double()
    for _ in range(1500):
        model.observe(x, mean)
    np.testing.assert_allclose(model.variance(mean[0]), x.square().mean(0) + 0.004**2, rtol=1e-5)


@pytest.mark.parametrize("kind", ["band-noise", "banded-cholesky", "fixed"])
def test_what_is_seen_tells_of_the_error_of_what_is_not(kind):
    """Against the conditional Gaussian of the dense covariance, found from many draws."""
    model, mean = likelihood(kind, 3), torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    generator = torch.Generator().manual_seed(6)
    covariance = torch.cov(model.draw(mean.expand(200_000, 3), generator).T)
    gap = torch.tensor([0.01, torch.nan, -0.015], dtype=torch.float64)
    keep = torch.tensor([0, 2])
    pull = torch.linalg.solve(covariance[keep][:, keep], covariance[keep, 1])
    drawn = model.draw_given(mean + gap, mean.expand(100_000, 3), generator)[:, 1]
    sd = float((covariance[1, 1] - pull @ covariance[keep, 1]).sqrt())
    expected = float(mean[1] + pull @ gap[keep])
    np.testing.assert_allclose(drawn.mean(), expected, atol=0.03 * sd)
    np.testing.assert_allclose(drawn.std(), sd, rtol=0.02)
