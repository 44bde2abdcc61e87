"""The band noise against the dense Gaussian it abbreviates."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from physvae.likelihoods import BandNoise
from physvae.plans import Likelihood, Noise


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
