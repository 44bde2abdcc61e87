"""Mixtures of canopy types, some closing as LAI grows: exact, one to one, checked in words."""

import numpy as np
import pytest
import torch
from scipy import stats

from physvae.config import Correlation
from physvae.errors import InputError
from physvae.marginals import Marginal, Part
from physvae.named_priors import load_prior
from physvae.priors import Prior, standard_normal_log_prob
from physvae.products import trait_table
from rtm import Prosail
from rtm.products import effective_lai

SPACE = Prosail("D", "sentinel-2a", crowns=True, products=False).space
LAI = Marginal(
    kind="mixture", low=0.0, high=10.0,
    parts=(Part(share=0.3, mean=0.0, sd=0.5, high=4.0), Part(share=0.7, mean=1.0, sd=3.0)),
)  # fmt: skip
CV = Marginal(
    kind="mixture", low=0.02, high=1.0,
    parts=(
        Part(share=0.6, mean=1.0, sd=0.5),
        Part(share=0.4, kind="uniform", low=0.05, closing=0.5),
    ),
)  # fmt: skip
MARGINALS = {"lai": LAI, "cab": Marginal(mean=50, sd=20, low=1, high=90), "cv": CV}


@pytest.fixture(scope="module")
def prior():
    return Prior(MARGINALS, SPACE, (Correlation(between=("cab", "cv"), value=0.3),))


@pytest.fixture(scope="module")
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2000, 3, generator=generator, dtype=torch.float64).clamp(-4, 4)


def test_scores_and_variables_are_two_names_of_one_thing(prior, scores):
    np.testing.assert_allclose(prior.to_score(prior(scores)), scores, atol=1e-6)


def test_the_density_is_the_normal_density_over_the_jacobian(prior, scores):
    u = scores[:20]
    jacobian = torch.stack([torch.autograd.functional.jacobian(prior, row) for row in u])
    expected = standard_normal_log_prob(u) - torch.linalg.slogdet(jacobian).logabsdet
    # LAI goes by a table, whose density is constant between nodes
    np.testing.assert_allclose(prior.log_prob(prior(u)), expected, atol=1e-6)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two samples may be of one distribution (Kolmogorov and Smirnov, level 0.001)."""
    _, p = stats.ks_2samp(a, b)
    return float(p) > 0.001  # pyright: ignore[reportArgumentType]


def test_draws_are_those_of_the_parts(prior):
    """Against scipy: a part is chosen, then drawn from; closing is 1 - u exp(-0.5 LAI)."""
    theta = prior.sample(40_000, torch.Generator().manual_seed(1)).numpy()
    lai, cv = theta[:, 0], theta[:, 2]
    random = np.random.default_rng(2)
    few = stats.truncnorm(0.0, 8.0, 0.0, 0.5).rvs(40_000, random_state=random)
    many = stats.truncnorm(-1 / 3, 3.0, 1.0, 3.0).rvs(40_000, random_state=random)
    expected = np.where(random.random(40_000) < 0.3, few, many)
    assert same(lai, expected)
    apart = stats.truncnorm(-0.98 / 0.5, 0.0, 1.0, 0.5).rvs(40_000, random_state=random)
    closing = 1.0 - 0.95 * random.random(40_000) * np.exp(-0.5 * lai)
    expected = np.where(random.random(40_000) < 0.6, apart, closing)
    assert same(cv, expected)
    dense = lai > 5
    assert same(cv[dense], expected[dense])
    assert cv[dense].mean() > cv[~dense].mean() + 0.1


def test_a_part_of_the_variables_is_the_same_as_all(prior, scores):
    whole = prior.space.split(prior(scores))
    np.testing.assert_allclose(prior.named(scores, ("cv",))["cv"], whole["cv"], rtol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"parts": [{"share": 0.5, "mean": 0.5, "sd": 0.1}]}, "sum to 1"),
        ({"parts": [{"share": 1.0, "mean": 0.5}]}, "sd: expected for a normal part"),
        ({"parts": []}, "parts: expected for a mixture"),
        ({"parts": [{"share": 1.0, "mean": 0.5, "sd": 0.1, "high": 1.5}]}, "bounds within"),
        ({"parts": [{"share": 1.0, "mean": 99.0, "sd": 0.1}]}, "within 8 sd"),
        ({"parts": [{"share": 1.0, "kind": "uniform"}], "at_lai_15": [0, 1]}, "at_lai_15"),
    ],
)
def test_a_wrong_mixture_is_refused_in_a_sentence(wrong, says):
    with pytest.raises(ValueError, match=says):
        Marginal.model_validate({"kind": "mixture", "low": 0.0, "high": 1.0, **wrong})


def test_lai_itself_cannot_close():
    with pytest.raises(ValueError, match=r"prior\.lai: expected no part that closes"):
        Prior({"lai": CV}, SPACE)


def test_a_prior_file_may_hold_mixtures(tmp_path):
    path = tmp_path / "mine.toml"
    part = '{ share = 1.5, kind = "uniform" }'
    path.write_text(
        f'[prior]\nlai = {{ kind = "mixture", low = 0.0, high = 8.0, parts = [{part}] }}\n'
    )
    with pytest.raises(InputError, match=r"mine\.toml: prior\.lai\.parts\.0\.share"):
        load_prior(str(path))
    path.write_text(path.read_text().replace("1.5", "1"))
    file = load_prior(str(path)).file
    assert file is not None
    assert file.prior["lai"].parts[0].kind == "uniform"


def test_effective_lai_is_a_trait_only_where_asked_for():
    assert "lai_effective" not in trait_table(SPACE)
    table = trait_table(SPACE, ("lai_effective",))
    assert table["lai_effective"].high == SPACE.split(SPACE.high)["lai"]
    assert float(effective_lai(torch.tensor(3.0), torch.tensor(1.0))) == pytest.approx(3.0)
