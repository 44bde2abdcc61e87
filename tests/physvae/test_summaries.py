"""Moments and quantiles that a network says at once, on a small model."""

import pytest
import torch

from physvae.config import parse_config
from physvae.errors import InputError
from physvae.field_interval import without_field
from physvae.finishing import finish
from physvae.simulation import hide
from physvae.store import load_model
from physvae.summaries import NOMINAL, Summaries
from physvae.summarising import known_pairs
from physvae.training import Trainer

PLAN = {"hidden": ["B3"], "width": 24, "depth": 2, "simulations": 6000, "steps": 500, "batch": 512}


@pytest.fixture(scope="module")
def settings(small):
    raw = small.model_dump(mode="json", exclude_unset=True)
    raw |= {"summaries": PLAN, "calibration": {"field": {"lai": 1.5}}}
    return parse_config(raw | {"evaluation": {"simulations": 4000}}, "summaries")


@pytest.fixture(scope="module")
def model(settings, made_up, tmp_path_factory):
    """Trained, finished, written and read again."""
    folder = tmp_path_factory.mktemp("summaries")
    trained = Trainer(settings, made_up, folder).run()
    finish(trained, settings, made_up, folder)
    return load_model(folder)


@pytest.fixture(scope="module")
def unseen(model, settings):
    """Simulations that neither training nor calibration has seen."""
    generator = torch.Generator().manual_seed(77)
    reflectance, angles, traits, physical = known_pairs(model, settings, 4000, generator, None)
    seen = hide(reflectance, angles, settings.bands, settings.missing, generator)
    return *seen, traits, physical


@pytest.mark.parametrize("level", [0.5, 0.68, 0.9, 0.95])
def test_intervals_hold_on_simulations(model, unseen, level):
    """Every trait within three standard errors of the share and those of the calibration."""
    reflectance, angles, traits, _ = unseen
    edge = float(torch.special.ndtri(torch.tensor((1 + level) / 2)))
    found = model.marginals(reflectance, angles)
    inside = (found.quantile(-edge) <= traits) & (traits <= found.quantile(edge))
    allowed = 3 * (2 * level * (1 - level) / len(traits)) ** 0.5 + 0.003
    assert (inside.double().mean(0) - level).abs().max() < allowed


def test_ranks_of_the_truth_are_uniform(model, unseen):
    """Twenty bins, χ² at one in ten thousand, for traits without mass at a bound."""
    reflectance, angles, traits, _ = unseen
    ranks = torch.special.ndtr(model.marginals(reflectance, angles).score(traits))
    for name in ("cab", "ala", "rsoil", "ccc"):
        count = torch.histc(ranks[:, list(model.traits).index(name)], 20, 0.0, 1.0)
        expected = len(traits) / 20
        assert ((count - expected).square() / expected).sum() < 60.0


def test_moments_are_those_of_random_draws(model, unseen):
    """Draws through the quantiles; the quadrature is off by less than 2 % of the deviation."""
    found = model.marginals(unseen[0][:20], unseen[1][:20], ("lai", "ccc"))
    mean, sd = found.moments()
    scores = torch.randn(4000, generator=torch.Generator().manual_seed(5)).tolist()
    draws = torch.stack([found.quantile(score) for score in scores])
    assert ((draws.mean(0) - mean) / sd).abs().max() < 0.06
    assert ((draws.std(0) - sd) / sd).abs().max() < 0.08


def test_scores_invert_quantiles(model, unseen):
    found = model.marginals(unseen[0][:50], unseen[1][:50], ("cab", "cw"))
    for score in (-2.5, 0.0, 1.2):
        assert (found.score(found.quantile(score)) - score).abs().max() < 1e-3


def test_the_mean_physical_spectrum_is_nearer_than_the_one_seen(model, unseen):
    """Noise goes out: half of the squared distance and less."""
    reflectance, angles, _, physical = unseen
    whole = reflectance.isfinite().all(-1)
    found = model.physical_mean(reflectance, angles)[whole]
    left = (found - physical[whole]).square().mean()
    assert left < 0.8 * (reflectance[whole] - physical[whole]).square().mean()


def test_a_hidden_band_changes_no_trait(model, unseen):
    reflectance, angles = unseen[0][:9].nan_to_num(0.1), unseen[1][:9]
    other = reflectance.clone()
    other[:, 0] += 0.05
    one, two = model.estimate(reflectance, angles), model.estimate(other, angles)
    assert all(torch.equal(one.mean[name], two.mean[name]) for name in one.mean)
    assert not torch.equal(one.misfit, two.misfit)


def test_the_interval_for_the_field_is_the_mean_and_deviations(model, unseen):
    found = model.estimate(unseen[0][:50], unseen[1][:50], ("cab", "lai"))
    posterior = without_field(model).estimate(unseen[0][:50], unseen[1][:50], ("cab", "lai"))
    assert torch.equal(found.mean["lai"], posterior.mean["lai"])
    low = (found.mean["lai"] - 1.5 * posterior.sd["lai"]).clamp_min(0.0)
    torch.testing.assert_close(found.p025["lai"], low, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.sd["lai"], 1.5 * posterior.sd["lai"] / 1.959964)
    quantile = model.marginals(unseen[0][:50], unseen[1][:50], ("cab",)).quantile(-1.959964)
    assert (found.p025["cab"] - quantile[..., 0]).abs().max() < 1e-3


def test_the_table_takes_out_what_the_law_lacks():
    net = Summaries(4, 1, torch.zeros(1), torch.ones(1), [], width=8, depth=1)
    raw = torch.randn(50_000, 1, generator=torch.Generator().manual_seed(0)) * 1.4 + 0.3
    net.calibrate(raw)
    found = net(torch.zeros(1, 4)).marginals
    assert (found._nominal(1.4 * NOMINAL.unsqueeze(-1) + 0.3)[:, 0] - NOMINAL).abs().max() < 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"summaries": {"hidden": ["B9"]}}, "summaries.hidden: expected bands of the model"),
        ({"summaries": {}, "encoder": {"kind": "temporal"}}, "expected an encoder of pixels"),
        ({"noise": {"relative_of": {"B1": 0.1}}}, "noise.relative_of: expected bands"),
    ],
)
def test_a_file_that_does_not_fit_says_where(small, change, words):
    raw = small.model_dump(mode="json", exclude_unset=True) | change
    with pytest.raises(InputError, match=words):
        parse_config(raw, "broken")
