"""The posterior families: densities that integrate to one, draws that follow them."""

import numpy as np
import pytest
import torch
import zuko
from scipy import stats

from physvae.distributions import TruncatedNormal, log_quantile
from physvae.scores import (
    FlowScores,
    MarginalScores,
    MemberMixture,
    SampledScores,
    ScoreMixture,
    Scores,
    TruncatedMixture,
    together,
)


def random_like(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def gaussian(seed: int = 0) -> ScoreMixture:
    normal = random_like(seed)
    tril = 0.2 * normal(3, 2, 2, 2).tril(-1) + (0.3 + 0.2 * normal(3, 2, 2).abs()).diag_embed()
    return ScoreMixture(normal(3, 2), 0.5 * normal(3, 2, 2), tril)


def truncated(seed: int = 0) -> TruncatedMixture:
    normal = random_like(seed)
    alpha = torch.tensor([-0.8, -4.0], dtype=torch.float64)
    beta = torch.tensor([2.5, 0.3], dtype=torch.float64)
    mixing = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    place = alpha + (beta - alpha) * torch.sigmoid(normal(3, 2, 2))
    return TruncatedMixture(normal(3, 2), place, 0.3 + normal(3, 2, 2).abs(), alpha, beta, mixing)


def flow(seed: int = 0) -> FlowScores:
    torch.manual_seed(seed)
    net = zuko.flows.NSF(2, 4, transforms=2, hidden_features=(16, 16)).double()
    return FlowScores(net(random_like(seed)(3, 4)))


def members() -> MemberMixture:
    return MemberMixture([gaussian(1), truncated(2), flow(3)])


FAMILIES = {"gaussian": gaussian, "truncated": truncated, "flow": flow, "members": members}


@pytest.mark.parametrize("name", FAMILIES)
def test_densities_integrate_to_one(name):
    q, edge = FAMILIES[name](), torch.linspace(-9, 9, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(edge, edge).unsqueeze(1)  # [point, 1, parameter]
    with torch.no_grad():
        mass = q.log_prob(grid).exp().sum(0) * (edge[1] - edge[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=0.01)


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_follow_the_density(name):
    """Random and fixed draws, and those by component, have the moments of the density."""
    q, edge = FAMILIES[name](), torch.linspace(-9, 9, 226, dtype=torch.float64)
    grid = torch.cartesian_prod(edge, edge).unsqueeze(1)
    with torch.no_grad():
        weight = q.log_prob(grid).exp()
        weight = (weight / weight.sum(0)).unsqueeze(-1)
        mean, square = (weight * grid).sum(0), (weight * grid.square()).sum(0)
        drawn = q.rsample((10_000,), torch.Generator().manual_seed(1))
        each = q.per_component(5_000, torch.Generator().manual_seed(2))
        share = q.log_weights.exp().T.unsqueeze(-1)
        fixed, centre = q.fixed(4096), q.mean
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(drawn.square().mean(0), square, atol=0.15)
    np.testing.assert_allclose((share * each.mean(0)).sum(0), mean, atol=0.06)
    np.testing.assert_allclose(fixed.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(centre, mean, atol=0.08)


@pytest.mark.parametrize("name", FAMILIES)
def test_marginal_quantiles_hold_their_share(name):
    q = FAMILIES[name]()
    with torch.no_grad():
        drawn = q.rsample((20_000,), torch.Generator().manual_seed(3))[..., 0]
        for p in (0.05, 0.5, 0.95):
            share = (drawn <= q.marginal_quantile(p, 0)).double().mean(0)
            np.testing.assert_allclose(share, p, atol=0.035)  # 128 fixed draws


@pytest.mark.parametrize("name", ["gaussian", "truncated"])
def test_marginal_densities_integrate_to_one(name):
    q, edge = FAMILIES[name](), torch.linspace(-6, 6, 2401, dtype=torch.float64)
    mass = q.marginal_log_prob(edge[:, None, None].expand(-1, 1, 2)).exp()
    if name == "truncated":  # the second is a density of w = L u, here w₂ = 0.6 u + 0.8 u
        mass = mass[..., :1]
    np.testing.assert_allclose(mass.sum(0) * (edge[1] - edge[0]), 1.0, atol=0.01)


def test_a_base_is_no_distribution_by_itself():
    for base in (Scores, SampledScores, MarginalScores):
        with pytest.raises(TypeError, match="abstract"):
            base()


def test_members_have_marginals_where_all_of_them_do():
    both, u = together([gaussian(1), gaussian(2)]), torch.zeros(3, 2, dtype=torch.float64)
    each = torch.stack([gaussian(seed).marginal_log_prob(u) for seed in (1, 2)])
    assert isinstance(both, MarginalScores)
    np.testing.assert_allclose(both.marginal_log_prob(u), each.exp().mean(0).log())
    assert not isinstance(together([gaussian(1), flow(3)]), MarginalScores)


def test_a_truncated_posterior_of_the_prior_itself_is_the_prior():
    zero = torch.zeros(1, 1, 2, dtype=torch.float64)
    alpha = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    q = TruncatedMixture(
        zero[..., 0], zero, zero + 1, alpha, alpha + 2, torch.eye(2, dtype=torch.float64)
    )
    u = torch.linspace(-4, 4, 81, dtype=torch.float64)[:, None, None].expand(-1, 1, 2)
    expected = stats.norm.logpdf(u).sum(-1)
    np.testing.assert_allclose(q.log_prob(u), expected, atol=1e-6)


PLANE = [(a, w) for a in np.linspace(-60, 60, 25) for w in (0.01, 0.3, 2.0, 15.0, 70.0)]


def test_the_truncated_normal_agrees_with_scipy_over_the_whole_plane():
    """Every interval from 60 standard deviations below the mean to 60 above."""
    alpha, width = torch.tensor(PLANE, dtype=torch.float64).unbind(-1)
    beta = alpha + width
    p = torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999], dtype=torch.float64).unsqueeze(-1)
    q = TruncatedNormal(torch.zeros(()).double(), torch.ones(()).double(), alpha, beta)
    found, law = q.icdf(p), stats.truncnorm(alpha.numpy(), beta.numpy())
    expected = law.ppf(p.numpy())
    assert (found >= alpha).all()
    assert (found <= beta).all()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    inside = torch.from_numpy(expected)
    np.testing.assert_allclose(q.log_prob(inside), law.logpdf(expected), rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(q.cdf(inside), p.expand_as(inside), rtol=1e-4, atol=1e-9)


def test_its_draws_have_finite_gradients_over_the_whole_plane_in_float32():
    alpha, width = torch.tensor(PLANE, dtype=torch.float32).unbind(-1)
    loc = torch.zeros(len(alpha), requires_grad=True)
    scale = torch.ones(len(alpha), requires_grad=True)
    q = TruncatedNormal(loc, scale, alpha, alpha + width)
    u = torch.linspace(-4, 4, 9).unsqueeze(-1)
    value = q.from_score(u)
    value.sum().backward()
    assert loc.grad.isfinite().all()
    assert scale.grad.isfinite().all()
    expected = stats.truncnorm.ppf(
        stats.norm.cdf(u.double().numpy()),
        alpha.double().numpy(),
        (alpha + width).double().numpy(),
    )
    np.testing.assert_allclose(value.detach(), expected, rtol=2e-3, atol=2e-4)


def test_the_slope_of_the_log_quantile_is_that_of_a_difference():
    log_p = torch.tensor([-0.8, -3.0, -30.0, -3000.0], dtype=torch.float64, requires_grad=True)
    log_quantile(log_p).sum().backward()
    step = 1e-5
    with torch.no_grad():
        expected = (log_quantile(log_p + step) - log_quantile(log_p - step)) / (2 * step)
    np.testing.assert_allclose(log_p.grad, expected, rtol=1e-6)
