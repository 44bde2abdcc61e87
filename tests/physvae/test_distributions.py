"""Bounded distributions against scipy, and the mixture against torch's own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from physvae.distributions import TruncatedNormal
from physvae.draws import draw_quantile, weighted_quantile
from physvae.scores import ScoreMixture

INTERVALS = [
    (-1.0, 1.0),
    (0.0, 6.7),
    (-0.4, 1.2),
    (-7.0, -3.0),
    (3.0, 9.0),
    (-8.0, 8.0),
    (5.0, 5.5),
]


def truncated(alpha: float, beta: float) -> TruncatedNormal:
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return TruncatedNormal(zero, one, zero + alpha, zero + beta)


@pytest.mark.parametrize(("alpha", "beta"), INTERVALS)
def test_quantiles_and_densities_agree_with_scipy(alpha, beta):
    ours, theirs = truncated(alpha, beta), stats.truncnorm(alpha, beta)
    p = torch.linspace(0.001, 0.999, 199, dtype=torch.float64)
    x = torch.tensor(theirs.ppf(p.numpy()))
    np.testing.assert_allclose(ours.icdf(p), x, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.cdf(x), p, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.log_prob(x), theirs.logpdf(x.numpy()), rtol=1e-9, atol=1e-9)


@given(st.floats(-6, 6), st.floats(-9, 9), st.floats(0.05, 9))
def test_a_draw_stays_in_its_interval_and_has_a_gradient(u, alpha, width):
    score = torch.tensor(u, requires_grad=True)
    bounds = torch.tensor(alpha), torch.tensor(alpha + width)
    value = TruncatedNormal(torch.tensor(0.0), torch.tensor(1.0), *bounds).from_score(score)
    value.backward()
    assert bounds[0] <= value <= bounds[1]
    assert torch.isfinite(score.grad)


def test_outside_the_interval_the_density_is_zero():
    assert truncated(-1, 1).log_prob(torch.tensor(1.5, dtype=torch.float64)) == -torch.inf


def mixture(components: int, seed: int = 0) -> ScoreMixture:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, components, generator=g, dtype=torch.float64)
    loc = torch.randn(4, components, 3, generator=g, dtype=torch.float64)
    raw = torch.randn(4, components, 3, 3, generator=g, dtype=torch.float64).tril(-1)
    diagonal = torch.rand(4, components, 3, generator=g, dtype=torch.float64) + 0.3
    return ScoreMixture(logits, loc, raw + diagonal.diag_embed())


@pytest.mark.parametrize("components", [1, 3])
def test_the_mixture_is_that_of_torch(components):
    q = mixture(components)
    reference = MixtureSameFamily(
        Categorical(logits=q.log_weights), MultivariateNormal(q.loc, scale_tril=q.scale_tril)
    )
    u = torch.randn(50, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(q.log_prob(u), reference.log_prob(u), rtol=1e-12)


@pytest.mark.parametrize("components", [1, 3])
def test_random_draws_have_the_moments_of_the_mixture(components):
    q = mixture(components)
    drawn = q.rsample((40_000,), torch.Generator().manual_seed(2))
    weight = q.log_weights.exp().unsqueeze(-1)
    mean = (weight * q.loc).sum(1)
    assert drawn.shape == (40_000, 4, 3)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.04)  # 5 standard errors


def test_marginal_quantiles_hold_their_share_of_draws():
    q = mixture(3)
    drawn = q.rsample((40_000,), torch.Generator().manual_seed(3))[..., 0]
    for p in (0.025, 0.5, 0.975):
        share = (drawn <= q.marginal_quantile(p, 0)).double().mean(0)
        np.testing.assert_allclose(share, p, atol=0.01)


def test_stratified_draws_estimate_the_same_expectation():
    q = mixture(3)
    u = q.per_component(20_000, torch.Generator().manual_seed(4))
    weight = q.log_weights.exp().T.unsqueeze(-1)
    expected = (q.log_weights.exp().unsqueeze(-1) * q.loc).sum(1)
    np.testing.assert_allclose((weight * u.mean(0)).sum(0), expected, atol=0.03)


@pytest.mark.parametrize("p", [0.025, 0.31, 0.5, 0.9, 0.975])
def test_the_quantile_of_draws_is_that_of_numpy(p):
    draws = torch.randn(128, 7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    expected = np.quantile(draws.numpy(), p, axis=0, method="weibull")
    np.testing.assert_allclose(draw_quantile(draws, p), expected, rtol=1e-12)


@pytest.mark.parametrize("p", [0.025, 0.5, 0.9])
def test_a_weighted_quantile_is_that_of_repeated_draws(p):
    random = torch.Generator().manual_seed(6)
    draws = torch.randn(40, 3, 2, generator=random, dtype=torch.float64)
    times = torch.randint(0, 9, (40, 3), generator=random)
    weights = times / times.sum(0)
    found = weighted_quantile(draws, weights.double(), p)
    for i in range(3):
        repeated = draws[:, i].repeat_interleave(times[:, i], 0).numpy()
        low, high = (
            np.quantile(repeated, q, axis=0) for q in (max(0, p - 0.06), min(1, p + 0.06))
        )
        assert ((low <= found[i].numpy()) & (found[i].numpy() <= high)).all()
