"""What the latent space tells, against what is known of it."""

import pytest
import torch

import physvae
from physvae.config import parse_config
from physvae.inference import (
    change_score,
    dropout_posterior,
    importance_bound,
    latent_distance,
    latent_vector,
    out_of_domain,
    predictive,
    traverse,
)
from physvae.simulation import simulate
from physvae.training import build

from .conftest import SMALL
from .test_shipped import STRANGERS


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture(scope="module")
def drawn(model):
    ranges = parse_config(model.config["training"], "sentinel-2").angles
    return simulate(model, 400, ranges, torch.Generator().manual_seed(12))


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_more_draws_give_a_tighter_bound(model, drawn):
    x, angles = drawn.reflectance[:100], drawn.angles[:100]
    bounds = [importance_bound(model, x, angles, n, random()).mean() for n in (1, 10, 60)]
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("bands", [("B6", "B11"), ("B3", "B8A", "B12")])
def test_hidden_bands_are_filled_with_intervals_that_hold(model, drawn, bands):
    whole = drawn.reflectance[:200]
    hidden = whole.clone()
    columns = [model.bands.index(band) for band in bands]
    hidden[:, columns] = torch.nan
    found = predictive(model, hidden, drawn.angles[:200], random(), draws=384)
    truth = whole[:, columns]
    inside = (truth >= found.p025[:, columns]) & (truth <= found.p975[:, columns])
    assert 0.90 <= inside.float().mean() <= 0.995  # 95 % or a little more: weights are tempered
    error = (found.mean[:, columns] - truth).square().mean(0)
    assert (error < 0.3 * truth.var(0)).all()  # far better than the mean spectrum


def test_intervals_of_many_narrow_bands_hold_and_rest_on_many_draws():
    """A sixth of 209 bands hidden: of 512 draws of the amortised posterior 1.5 count."""
    model = physvae.load("hyperspectral-10nm")
    ranges = parse_config(model.config["training"], model.name).angles
    drawn = simulate(model, 8, ranges, random(77))
    seen, hidden = drawn.reflectance.clone(), slice(69, 103)
    seen[:, hidden] = torch.nan
    found = predictive(model, seen, drawn.angles, random(), draws=384)
    truth = drawn.reflectance[:, hidden]
    inside = (truth >= found.p025[:, hidden]) & (truth <= found.p975[:, hidden])
    assert inside.float().mean() >= 0.90
    assert (found.effective_draws > 95).all()
    assert ((found.power > 0) & (found.power <= 1)).all()
    error = (found.mean[:, hidden] - truth).square().mean().sqrt()
    assert error < 0.016  # 0.010; with the draws of the amortised posterior alone 0.036


def test_spectra_that_no_canopy_has_get_finite_predictions():
    """Black water: the encoder says a covariance whose density is not a number."""
    model = physvae.load("hyperspectral-10nm")
    black = torch.zeros(2, len(model.bands))
    black[1, :10] = 0.004
    angles = torch.tensor([[36.0, 0.0, 0.0]]).expand(2, 3)
    found = predictive(model, black, angles, torch.Generator().manual_seed(2), draws=96)
    for part in found:
        assert part.isfinite().all()


def test_a_code_book_can_be_filled_from_too(made_up):
    plan = SMALL | {"residual": {"latents": 2, "rank": 2, "latent": "vector-quantised"}}
    small = build(parse_config(plan, "codes"), made_up).eval()
    x, angles = torch.rand(5, 3), torch.tensor([30.0, 5.0, 90.0]).expand(5, 3)
    found = predictive(small, x, angles, random(), draws=64)
    assert found.mean.shape == (5, 3)
    assert (found.p025 <= found.mean).all()
    assert (found.mean <= found.p975).all()


def test_a_traversal_moves_one_variable(model, drawn):
    values = torch.tensor([0.5, 2.0, 5.0])
    found = traverse(model, drawn.theta[:4], drawn.angles[:4], "lai", values)
    assert found.total.shape == (3, 4, 10)
    same = traverse(model, drawn.theta[0], drawn.angles[0], "lai", drawn.theta[:1, 0])
    expected = model.physical(drawn.theta[:1], drawn.angles[:1])
    torch.testing.assert_close(same.physical, expected, rtol=1e-4, atol=1e-6)
    red = found.physical[:, :, model.bands.index("B4")]
    assert (red[0] != red[2]).all()


def test_change_is_none_for_the_same_spectrum_and_more_for_another(model, drawn):
    z = latent_vector(model, drawn.reflectance, drawn.angles)
    assert z.shape == (400, len(model.space) + model.residual.latents)
    torch.testing.assert_close(change_score(z, z.unsqueeze(0)), 0 * z[:, 0], atol=1e-6, rtol=0)
    none, noisy = torch.zeros(400), drawn.reflectance * 1.01
    small = change_score(latent_vector(model, noisy, drawn.angles), z.unsqueeze(0))
    large = change_score(z.roll(1, 0), z.unsqueeze(0))
    assert small.median() < 0.05 < large.median()
    past = torch.stack((z.roll(1, 0), z))
    torch.testing.assert_close(change_score(z, past), none, atol=1e-6, rtol=0)


def test_simulations_are_at_home_and_strangers_are_not(model, drawn):
    alarm = out_of_domain(model, drawn.reflectance, drawn.angles) > 1
    assert alarm.float().mean() <= 0.065  # 5 % and a standard error and a half of 400
    for spectrum in STRANGERS.values():
        some = torch.tensor(spectrum) * (1 + 0.05 * torch.randn(200, 10, generator=random(3)))
        strange = out_of_domain(model, some, drawn.angles[:200]) > 1
        assert strange.float().mean() >= 0.95


def test_the_latent_distance_keeps_its_share_of_simulations(model, drawn):
    for kept in (0.9, 0.98):
        scores = model.posterior(drawn.reflectance, drawn.angles).scores
        alarm = float((latent_distance(scores, kept) > 1).double().mean())
        assert abs(alarm - (1 - kept)) < 0.015 + 2 * (kept * (1 - kept) / 400) ** 0.5


def test_red_roofs_are_strangers_though_their_colours_are_those_of_soil(model, drawn):
    for tile in (
        [0.08, 0.12, 0.24, 0.28, 0.30, 0.32, 0.33, 0.34, 0.42, 0.42],
        [0.10, 0.16, 0.33, 0.37, 0.39, 0.41, 0.42, 0.43, 0.50, 0.48],
    ):
        some = torch.tensor(tile) * (1 + 0.05 * torch.randn(200, 10, generator=random(3)))
        strange = out_of_domain(model, some, drawn.angles[:200]) > 1
        assert strange.float().mean() >= 0.9


def test_a_model_without_dropout_has_no_passes(model, drawn):
    with pytest.raises(ValueError, match="expected an encoder trained with dropout"):
        dropout_posterior(model, drawn.reflectance, drawn.angles, 3, 0)


@pytest.fixture(scope="module")
def uncertain(made_up):
    plan = SMALL | {"encoder": {"width": 16, "depth": 1, "dropout": 0.3, "members": 2}}
    return build(parse_config(plan, "uncertain"), made_up).eval()


def test_passes_with_dropout_widen_the_posterior_and_repeat_by_seed(uncertain):
    x, angles = torch.rand(6, 3), torch.tensor([30.0, 5.0, 90.0]).expand(6, 3)
    one, two = (dropout_posterior(uncertain, x, angles, 20, seed=4) for _ in range(2))
    assert torch.equal(one.mean, two.mean)
    assert not uncertain.encoder.training
    estimate = uncertain.summarise(one, x, angles, ("lai",))
    each = torch.stack([m.mean for m in one.scores.members])
    assert each.std(0).max() > 0.01
    assert estimate.mean["lai"].isfinite().all()


def test_an_ensemble_is_the_mean_of_its_members(uncertain):
    x, angles = torch.rand(6, 3), torch.tensor([30.0, 5.0, 90.0]).expand(6, 3)
    members = uncertain.encode_members(x, angles)
    whole = uncertain.encode(x, angles).scores
    u = torch.zeros(6, len(uncertain.space))
    expected = torch.stack([m.scores.log_prob(u).exp() for m in members]).mean(0).log()
    torch.testing.assert_close(whole.log_prob(u), expected)
    assert uncertain.estimate(x, angles, ("lai",)).sd["lai"].gt(0).all()
