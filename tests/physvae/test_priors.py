"""The prior: exact inverse, exact density, and a co-distribution that really is applied."""

import numpy as np
import pytest
import torch

from physvae.priors import Marginal, Prior, standard_normal_log_prob
from rtm import Prosail

SPACE = Prosail("D", "sentinel-2a", crowns=True, products=False).space
MARGINALS = {
    "lai": Marginal(mean=2, sd=2.5, low=0, high=10),
    "cab": Marginal(mean=50, sd=15, low=10, high=90, at_lai_15=(35, 90)),
    "car": Marginal(mean=0.222, sd=0.04, low=0.1, high=0.4, times="cab"),
    "cw": Marginal(mean=0.025, sd=0.02, low=0.0075, high=0.075),
    "psoil": Marginal(mean=0.5, sd=0.5, low=0, high=1),
    "rsoil": Marginal(mean=1.0, sd=0.3, low=0.3, high=2.2),
}


@pytest.fixture(scope="module")
def prior():
    return Prior(MARGINALS, SPACE)


def scores(n: int, d: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g, dtype=torch.float64).clamp(-4, 4)


def test_scores_and_variables_are_two_names_of_one_thing(prior):
    u = scores(2000, len(prior.space))
    np.testing.assert_allclose(prior.to_score(prior(u)), u, atol=1e-6)


def test_a_part_of_the_variables_is_the_same_as_all(prior):
    u = scores(50, len(prior.space))
    whole = prior.space.split(prior(u))
    for name, value in prior.named(u, ("car", "cw")).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-12)


def test_the_density_is_the_normal_density_over_the_jacobian(prior):
    u = scores(20, len(prior.space))
    jacobian = torch.stack([torch.autograd.functional.jacobian(prior, row) for row in u])
    expected = standard_normal_log_prob(u) - torch.linalg.slogdet(jacobian).logabsdet
    np.testing.assert_allclose(prior.log_prob(prior(u)), expected, atol=1e-7)


def test_chlorophyll_of_dense_canopies_keeps_to_the_bounds_of_the_atbd(prior):
    theta = prior.sample(20_000, torch.Generator().manual_seed(1))
    values = prior.space.split(theta)
    low = 10 + (35 - 10) * values["lai"] / 15
    assert (values["cab"] >= low - 1e-9).all()
    assert values["cab"][values["lai"] < 0.5].min() < low.max() - 5  # sparse ones may be paler


def test_carotenoids_follow_chlorophyll(prior):
    values = prior.space.split(prior.sample(5000, torch.Generator().manual_seed(2)))
    ratio = values["car"] / values["cab"]
    assert ratio.min() >= 0.1
    assert ratio.max() <= 0.4


def test_soil_brightness_and_dryness_are_not_swapped(prior):
    values = prior.space.split(prior.sample(5000, torch.Generator().manual_seed(3)))
    assert values["psoil"].max() <= 1.0 < values["rsoil"].max() <= 2.2


def test_every_variable_stays_in_the_space_it_declares(prior):
    theta = prior.sample(20_000, torch.Generator().manual_seed(4))
    assert (theta >= prior.space.low - 1e-9).all()
    assert (theta <= prior.space.high + 1e-9).all()


def test_the_same_seed_draws_the_same(prior):
    one, two = (prior.sample(5, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(one, two)


def test_lai_comes_first():
    with pytest.raises(ValueError, match="expected lai as the first variable, got cab"):
        Prior({"cab": MARGINALS["cab"], "lai": MARGINALS["lai"]}, SPACE)


def test_an_unknown_variable_is_named():
    with pytest.raises(ValueError, match="got chlorophyll"):
        Prior({"lai": MARGINALS["lai"], "chlorophyll": MARGINALS["cab"]}, SPACE)
