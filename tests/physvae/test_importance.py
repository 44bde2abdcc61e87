"""Weights of draws, and proposals adapted to a spectrum, against what is known exactly."""

import math

import pytest
import torch

from physvae.importance import Decoded, Weighed, linear_gaussian, temper, truncated, weigh
from physvae.likelihoods import Fixed
from physvae.plans import Likelihood, Noise
from physvae.priors import standard_normal_log_prob
from physvae.scores import MemberMixture

BANDS, SIZE = 60, 3


@pytest.fixture(scope="module")
def likelihood():
    return Fixed(BANDS, Noise(floor=0.01, relative=0.0, common=0.0), Likelihood())


def random(seed):
    return torch.Generator().manual_seed(seed)


def test_where_enough_count_nothing_is_tempered():
    ratio = 0.1 * torch.randn(400, 5, generator=random(0))
    found = temper(ratio, 100.0)
    assert (found.power == 1.0).all()
    assert torch.equal(found.weights, truncated(ratio))
    assert (found.effective > 300).all()


@pytest.mark.parametrize("spread", [3.0, 100.0, 1e4])
def test_else_so_many_count_as_are_asked_for(spread):
    ratio = spread * torch.randn(400, 5, generator=random(0))
    found = temper(ratio, 100.0)
    assert (found.power < 1.0).all()
    torch.testing.assert_close(found.effective, torch.full((5,), 100.0), atol=1.0, rtol=0)
    torch.testing.assert_close(found.weights.sum(0), torch.ones(5))


def test_the_posterior_of_a_linear_decoder_is_the_exact_one(likelihood):
    """N(m, C) by the textbook, with missing bands; draws of it, weighed, have its mean."""
    slope = 0.1 * torch.randn(SIZE, BANDS, generator=random(1))
    truth = torch.randn(2, SIZE, generator=random(2))
    x = 0.3 + truth @ slope + 0.01 * torch.randn(2, BANDS, generator=random(3))
    x[0, ::4] = torch.nan
    u = torch.randn(400, 2, SIZE, generator=random(4))
    spectra = 0.3 + u @ slope
    even = torch.full((400, 2), 1 / 400)
    found = linear_gaussian(u, Weighed(spectra, even, even[0], even[0]), x, likelihood)
    for i in range(2):
        some = slope[:, x[i].isfinite()].double()
        precision = torch.eye(SIZE).double() + some @ some.T / 1e-4
        gap = (x[i][x[i].isfinite()] - 0.3).double()
        mean = torch.linalg.solve(precision, some @ gap / 1e-4).float()
        torch.testing.assert_close(found.loc[i], mean, atol=3e-3, rtol=0)
        wider = found.scale_tril[i] @ found.scale_tril[i].T
        exact = 1.44 * torch.linalg.inv(precision).float()
        torch.testing.assert_close(wider, exact, rtol=0.02, atol=1e-6)


class Prior(MemberMixture):
    """N(0, I) as a posterior that has learned nothing."""

    def __init__(self):
        torch.distributions.Distribution.__init__(self, (2,), (SIZE,), validate_args=False)

    def fixed(self, count=128):
        return torch.randn(count, 2, SIZE, generator=random(7))

    def log_prob(self, value):
        return standard_normal_log_prob(value)


def test_adapted_draws_find_what_those_of_the_prior_miss(likelihood):
    slope = 0.1 * torch.randn(SIZE, BANDS, generator=random(1))
    truth = torch.randn(2, SIZE, generator=random(2))
    x = 0.3 + truth @ slope + 0.01 * torch.randn(2, BANDS, generator=random(3))

    def decode(u):
        spectra = 0.3 + u @ slope
        return Decoded(spectra, likelihood.log_prob(x, spectra))

    found = weigh(Prior(), decode, x, likelihood, draws=600, generator=random(5))
    assert found.spectra.shape == (600, 2, BANDS)
    assert (found.effective > 99).all()
    assert (found.power > 0.9).all()  # of the prior's draws alone about 1e-3
    alone = decode(Prior().fixed(600)).log_likelihood
    assert (temper(alone, 100.0).power < 0.05).all()
    mean = (found.weights.unsqueeze(-1) * found.spectra).sum(0)
    assert (mean - 0.3 - truth @ slope).abs().max() < 0.01
    assert math.isclose(float(found.weights.sum()), 2.0, rel_tol=1e-5)
