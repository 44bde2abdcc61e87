"""A user's prior: what a file may say, what it changes, and that estimates under it are right."""

import numpy as np
import pytest
import torch
from scipy.stats import norm, truncnorm

import physvae
from physvae.config import parse_config
from physvae.errors import InputError, UsageError
from physvae.evaluation import true_traits
from physvae.marginals import Marginal, within
from physvae.named_priors import BOX, prior_names
from physvae.prior_change import PriorChange
from physvae.prior_parts import model_under
from physvae.reweighting import Gaussian, draw, weights_of
from physvae.simulation import simulate
from physvae.under_prior import estimate_under, weighted_draws
from physvae.user_priors import Bounds, UserPrior, change_for, load_user_prior

NAMES = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")


def user(**given) -> UserPrior:
    return UserPrior("test", tuple(given.items()))


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture(scope="module")
def seen(model):
    config = parse_config(model.config["training"], "sentinel-2")
    drawn = simulate(model, 60, config.angles, torch.Generator().manual_seed(3))
    return drawn.reflectance, drawn.angles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prior]\n", r"prior: expected at least 1 item"),
        ("[prior]\nlai = 3\n", r"prior\.lai: expected a table"),
        ("[prior]\nlai = { low = 3.0, high = 1.0 }", r"prior\.lai\.low: expected below high"),
        ("[prior]\nlai = { low = 0.0, high = 'x' }", r"prior\.lai\.high: expected a number"),
        ("[prior]\nlai = { mean = 3.0, low = 0.0, high = 8.0 }", r"sd: expected for a normal"),
        (
            "[prior]\nlai = { kind = 'gauss', low = 0.0, high = 8.0 }",
            r"prior\.lai\.kind: expected",
        ),
        (
            "[prior]\nleaf = { low = 0.0, high = 8.0 }",
            r"expected parameters of PROSAIL .* got leaf",
        ),
        ("[prior]\nccc = { low = 0.0, high = 2.0 }", r"got ccc, which follows from them"),
        (
            "[prior]\nlai = { low = 20.0, high = 30.0 }",
            r"lai: expected bounds that overlap .* 0 to",
        ),
        ("[prior]\ncar = { low = 2.0, high = 9.0 }", r"the model's is a multiple of cab"),
        ("[prior]\npsoil = { low = 0.0, high = 1.0 }", r"expected some of lai, .* got psoil"),
        (
            "[prior]\nlai = { mean = 90.0, sd = 1.0, low = 0.0, high = 99.0 }",
            r"expected a mean within 8 sd of 0 to 10",
        ),
        (
            "[prior]\nlai = { mean = nan, sd = 1.0, low = 0, high = 8 }",
            "mean: expected a finite num",
        ),
        (
            "[prior]\nlai = { low = -inf, high = 8.0 }",
            "lai.low: expected a finite number, got -inf",
        ),
        (
            "[prior]\nlai = { mean = 3, sd = 1e-9, low = 0, high = 8 }",
            r"lai\.sd: expected 0.001 to",
        ),
        ("[prior]\nlai = { mean = 1e300, sd = 1e300, low = 0, high = 8 }", r"lai\.sd: expected 0"),
        (
            "[prior]\nlai = { low = 3.0, high = 3.0001 }",
            "expected bounds at least 0.01 apart, got 3",
        ),
        ("about = 3\n[prior]\nlai = { low = 0.0, high = 8.0 }", r"about: expected text"),
        ("[prior\n", "expected TOML"),
    ],
)
def test_a_bad_prior_is_told_in_one_sentence(model, tmp_path, text, said):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as error:
        change_for(model, str(path))
    assert "\n" not in str(error.value)
    assert "own.toml" in str(error.value)


@pytest.mark.parametrize("name", ["wheet", BOX])
def test_an_unknown_prior_names_those_there_are(model, name):
    with pytest.raises(UsageError, match="expected"):
        change_for(model, name)


@pytest.mark.parametrize("name", [name for name in prior_names() if name != BOX])
def test_every_prior_that_comes_along_has_a_source_with_a_doi(name):
    prior = load_user_prior(name)
    assert prior.about
    assert len(prior.sha256) == 64
    assert prior.sources
    assert all("10." in source for source in prior.sources)


@pytest.mark.parametrize("name", physvae.models())
def test_every_prior_goes_with_every_model(name):
    loaded = physvae.load(name)
    for prior in prior_names():
        if prior != BOX:
            new = change_for(loaded, prior).new
            assert new.sample(10).isfinite().all()


def test_a_note_says_what_is_left_out_and_what_is_cut(model, tmp_path, caplog):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[prior]\npsoil = { low = 0.0, high = 1.0 }\ncab = { low = 0.0, high = 200.0 }"
    )
    change_for(model, str(path))
    assert "sentinel-2 has no psoil; left out" in caplog.text
    assert "prior.cab: 0 to 200 is cut to the model's range, 1 to 90" in caplog.text


def test_bounds_alone_are_the_models_distribution_within_them(model):
    """Chlorophyll: normal (55, 20) within 1-90 becomes normal (55, 20) within 40-60."""
    own = model.prior.marginals["cab"]
    assert (own.mean, own.sd) == (55.0, 20.0)
    new = change_for(model, user(cab=Bounds(low=40.0, high=60.0))).new
    cab = new.sample(4000, torch.Generator().manual_seed(0))[:, new.space.index("cab")].numpy()
    law = truncnorm(-15 / 20, 5 / 20, 55, 20)
    assert cab.min() >= 40
    assert cab.max() <= 60
    assert cab.mean() == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(4000))


def test_a_mixture_within_bounds_keeps_the_densities_of_its_parts():
    parts = [
        {"share": 0.3, "mean": 0.0, "sd": 0.5, "high": 4.0},
        {"share": 0.7, "mean": 1.0, "sd": 3.3},
    ]
    whole = Marginal(kind="mixture", low=0.0, high=10.0, parts=parts)
    cut = within(whole, 1.0, 3.0)
    mass = [
        share * np.diff(norm.cdf([1, 3], m, s))[0] / np.diff(norm.cdf(ends, m, s))[0]
        for share, m, s, ends in ((0.3, 0, 0.5, (0, 4)), (0.7, 1, 3.3, (0, 10)))
    ]
    assert [p.share for p in cut.parts] == pytest.approx(np.array(mass) / sum(mass))


def test_the_ratio_is_that_of_the_two_priors_with_their_correlations(model):
    """Over all variables, by `Prior.log_prob`, up to the tables' steps."""
    change = change_for(model, "wheat")
    theta = change.new.sample(200, torch.Generator().manual_seed(1))
    w = change.old.own_score(change.old.undo(theta))
    found = change.log_ratio(theta[:, change.own], w[:, change.linked])
    exact = change.new.log_prob(theta) - change.old.log_prob(theta)
    inside = exact.isfinite()
    assert inside.sum() > 150
    assert (found - exact)[inside].abs().quantile(0.99) < 0.02  # the table is coarse at its ends


def test_draws_of_a_gaussian_give_the_exact_conditional():
    """A measurement of one score: mean and covariance of the conditional, by Bayes' rule."""
    root = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    q = Gaussian(torch.tensor([[0.5, -0.2]]), root[None])
    change = PriorChange(
        physvae.load("sentinel-2").prior, {"lai": Marginal(mean=3.0, sd=0.4, low=0.0, high=10.0)}
    )
    aim = change.measured._replace(value=torch.tensor([[2.0]]), variance=torch.tensor([[0.25]]))
    drawn = draw(q, torch.eye(2), aim, [0, 1], 4096)
    log_likelihood = -0.5 * (drawn.w[..., 0] - 2.0).square() / 0.25
    weights = weights_of(log_likelihood - drawn.log_density).weights[0, :, None]
    mean = (weights * drawn.w[0]).sum(0)
    gap = drawn.w[0] - mean
    gain = torch.tensor([1.0, 0.8]) / 1.25
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]]) - 1.25 * gain[:, None] * gain
    assert mean.tolist() == pytest.approx((q.mean[0] + 1.5 * gain).tolist(), abs=0.02)
    assert torch.allclose((weights * gap).T @ gap, covariance, atol=0.02)


def test_lai_is_the_networks_marginal_times_the_ratio(model, seen):
    """By quadrature over the marginal: a change of LAI alone needs no joint posterior."""
    change = change_for(model, user(lai=Marginal(mean=3.0, sd=0.5, low=0.0, high=10.0)))
    found = model.marginals(*seen, ("lai",))
    scores = torch.special.ndtri((torch.arange(2000) + 0.5) / 2000)
    lai = torch.stack([found.quantile(float(z))[:, 0] for z in scores])
    own = PriorChange(model.prior, {"lai": change.new.marginals["lai"]})
    weights = own.log_ratio(lai[..., None], lai[..., :0]).softmax(0)
    mean = (weights * lai).sum(0)
    sd = (weights * (lai - mean).square()).sum(0).sqrt()
    draws, _ = weighted_draws(model, *seen, ("lai",), change)
    assert ((draws.mean("lai") - mean) / sd).abs().max() < 0.15
    assert (draws.sd("lai") / sd - 1).abs().max() < 0.2


def test_the_models_own_prior_changes_nothing_but_by_the_draws(model, seen):
    same = user(lai=model.prior.marginals["lai"])
    without = physvae.field_interval.without_field(model)
    before, after = without.estimate(*seen, NAMES), without.estimate(*seen, NAMES, prior=same)
    for name in ("lai", "fapar", "fcover"):
        away = (after.mean[name] - before.mean[name]).abs() / before.sd[name]
        assert away.max() < 0.05, name
    assert not after.contradicted.any()


@pytest.mark.parametrize(
    "prior",
    [
        user(lai=Marginal(mean=3.0, sd=0.4, low=0.0, high=10.0)),
        user(lai=Bounds(low=0.0, high=2.0)),
        load_user_prior("wheat"),
    ],
    ids=["narrow", "bounds", "crop"],
)
def test_simulations_of_the_new_prior_lie_in_the_intervals(model, prior):
    """1000 draws: the share within the 90 % interval has a standard error of 0.95 %."""
    change, config = change_for(model, prior), parse_config(model.config["training"], "s2")
    generator = torch.Generator().manual_seed(11)
    drawn = simulate(model_under(model, change), 1000, config.angles, generator)
    own = change.old.to_score(change.new(drawn.scores))
    names = ("lai", "cab", "cw")
    truth = true_traits(model, own, drawn.angles, names)
    before = model.estimate(drawn.reflectance, drawn.angles, names).mean["lai"]
    draws, _ = weighted_draws(model, drawn.reflectance, drawn.angles, names, change)
    for name in names:
        low, high = draws.quantiles(name, (0.05, 0.95))
        inside = ((low <= truth[name]) & (truth[name] <= high)).double().mean()
        assert 0.86 < inside < 0.94, name
    errors = (found - truth["lai"] for found in (before, draws.mean("lai")))
    rmse, less = (error.square().mean().sqrt() for error in errors)
    assert less < 0.97 * rmse


def test_a_spectrum_that_contradicts_the_prior_is_said_so(model):
    """A dense green canopy, of which a prior says that it is nearly bare, or without green."""
    dense = torch.tensor([[0.02, 0.05, 0.025, 0.08, 0.35, 0.45, 0.47, 0.48, 0.22, 0.10]])
    angles = torch.tensor([[40.0, 5.0, 90.0]])
    bare = user(lai=Marginal(mean=0.2, sd=0.05, low=0.0, high=10.0))
    yellow = user(cab=Marginal(mean=7.0, sd=0.5, low=5.0, high=90.0))
    for prior in (bare, yellow):
        found = model.estimate(dense, angles, NAMES, prior=prior)
        assert found.contradicted.all()
        assert all(torch.isfinite(part[name]).all() for part in found[:4] for name in NAMES)
    assert not model.estimate(dense, angles, NAMES, prior="wheat").contradicted.any()


def test_intervals_for_measurements_still_apply(model, seen):
    law = model.field["amortised"]["lai"]
    found = model.estimate(*seen, ("lai",), prior="wheat")
    bare = physvae.field_interval.without_field(model).estimate(*seen, ("lai",), prior="wheat")
    far = torch.maximum(bare.novelty, bare.misfit).clamp_min(1.0).log()
    sd = law.factor * (law.floor**2 + bare.sd["lai"] ** 2).sqrt() * (1 + law.widening * far) / 1.96
    assert torch.allclose(found.sd["lai"], sd, rtol=1e-3)
    assert torch.equal(found.mean["lai"], bare.mean["lai"])


def test_estimates_do_not_depend_on_the_batch(model, seen):
    whole = model.estimate(*seen, NAMES, prior="wheat")
    part = model.estimate(seen[0][7:9], seen[1][7:9], NAMES, prior="wheat")
    for name in NAMES:
        assert torch.allclose(whole.mean[name][7:9], part.mean[name], rtol=1e-4)


def test_a_model_without_a_network_of_marginals_is_weighed_too(model, seen):
    bare = physvae.field_interval.without_field(model)
    bare._modules = {**bare._modules}
    bare.summaries = None
    change = change_for(bare, user(lai=Marginal(mean=3.0, sd=0.3, low=0.0, high=10.0)))
    found = estimate_under(bare, *seen, ("lai", "cab"), change)
    agree = ~found.contradicted
    assert agree.sum() > 20
    assert ((found.mean["lai"] - 3.0).abs() < 1.0)[agree].all()
    assert (found.sd["lai"] < 0.4)[agree].all()
