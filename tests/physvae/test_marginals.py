"""Other kinds of priors, correlated ones and soils of a library, against scipy and draws."""

import numpy as np
import pytest
import torch
from scipy import stats

from physvae.config import Correlation, parse_config
from physvae.marginals import Marginal
from physvae.priors import Prior
from physvae.simulation import simulate
from physvae.training import build, soils_of
from rtm import Prosail

from .conftest import SMALL

SPACE = Prosail("D", "sentinel-2a", crowns=True, products=False).space
LAI = Marginal(mean=2.0, sd=2.5, low=0.0, high=10.0)
KINDS = {
    "uniform": (Marginal(kind="uniform", low=0.1, high=0.9), stats.uniform(0.1, 0.8)),
    "beta": (Marginal(kind="beta", a=1.5, b=1.5, low=0.0, high=1.0), stats.beta(1.5, 1.5)),
    "lognormal": (
        Marginal(kind="lognormal", mean=0.0, sd=0.3, low=0.2, high=3.0),
        stats.lognorm(0.3),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_that_of_scipy(kind):
    marginal, law = KINDS[kind]
    prior = Prior({"lai": LAI, "cv": marginal}, SPACE)
    u = torch.linspace(-3.0, 3.0, 61, dtype=torch.float64).unsqueeze(-1).expand(-1, 2)
    theta = prior(u)
    p = stats.norm.cdf(u[:, 1].numpy())
    if kind == "lognormal":  # truncated, which scipy's is not
        p = law.cdf(0.2) + p * (law.cdf(3.0) - law.cdf(0.2))
    np.testing.assert_allclose(theta[:, 1], law.ppf(p), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(prior.to_score(theta), u, atol=1e-6)
    own = prior.log_prob(theta) - Prior({"lai": LAI}, SPACE).log_prob(theta[:, :1])
    np.testing.assert_allclose(own, law.logpdf(theta[:, 1].numpy()), atol=0.02)


def test_the_density_of_a_table_integrates_to_one():
    prior = Prior({"lai": LAI, "cv": KINDS["beta"][0]}, SPACE)
    cv = torch.linspace(1e-5, 1 - 1e-5, 4001, dtype=torch.float64)
    theta = torch.stack((torch.full_like(cv, 2.0), cv), -1)
    own = prior.log_prob(theta) - Prior({"lai": LAI}, SPACE).log_prob(theta[:, :1])
    np.testing.assert_allclose(torch.trapezoid(own.exp(), cv), 1.0, atol=2e-3)


@pytest.fixture
def joint():
    cab = Marginal(mean=50.0, sd=15.0, low=10.0, high=90.0)
    pair = (Correlation(between=("lai", "cab"), value=0.6),)
    return Prior({"lai": LAI, "cab": cab, "cv": KINDS["uniform"][0]}, SPACE, pair)


def test_a_correlated_prior_has_that_correlation_and_goes_back(joint):
    u = torch.randn(20_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta = joint(u)
    rank = stats.spearmanr(theta[:, 0], theta[:, 1]).statistic
    np.testing.assert_allclose(rank, 6 / np.pi * np.arcsin(0.3), atol=0.02)  # of a Gaussian copula
    np.testing.assert_allclose(joint.to_score(theta[:500]), u[:500], atol=1e-5)
    named = joint.named(u, ("cab",))
    np.testing.assert_allclose(named["cab"], theta[:, 1], rtol=1e-9)


def test_its_density_integrates_to_one(joint):
    lai, cab = torch.linspace(0.01, 9.99, 201), torch.linspace(10.1, 89.9, 201)
    grid = torch.cartesian_prod(lai, cab).double()
    theta = torch.cat((grid, torch.full((len(grid), 1), 0.5, dtype=torch.float64)), -1)
    mass = joint.log_prob(theta).exp().sum() * (lai[1] - lai[0]) * (cab[1] - cab[0])
    np.testing.assert_allclose(mass, 1 / 0.8, rtol=0.01)  # times the density of cv


def test_impossible_correlations_are_refused():
    pairs = [("lai", "cab", 0.9), ("cab", "cw", 0.9), ("lai", "cw", -0.9)]
    wanted = [Correlation(between=(a, b), value=v) for a, b, v in pairs]
    part = {n: Marginal(mean=1.0, sd=1.0, low=0.0, high=3.0) for n in ("lai", "cab", "cw")}
    with pytest.raises(ValueError, match="possible together"):
        Prior(part, SPACE, wanted)


def test_simulated_soils_are_whole_mixtures_known_by_their_coefficients(made_up):
    """The made-up soils are straight lines: two components hold all of them, one does not."""
    soil = {"files": ["soils.csv"], "components": 2, "draw": "mixtures"}
    prior = SMALL["prior"] | {"soil_2": SMALL["prior"]["soil_1"]}
    config = parse_config(SMALL | {"soil": soil, "prior": prior}, "mixtures")
    model = build(config, made_up)
    soils = soils_of(config, made_up, model)
    drawn = simulate(model, 200, config.angles, torch.Generator().manual_seed(1), soils)
    assert soils is not None
    weights = soils.draw((1000,), torch.Generator().manual_seed(2))
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    assert ((weights > 0).sum(-1) == 3).all()
    again = model.physical(drawn.theta, drawn.angles)
    inside = (drawn.theta[:, -2:].abs() < 2.99).all(-1)
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(again[inside], drawn.physical[inside], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(model.prior(drawn.scores), drawn.theta)
