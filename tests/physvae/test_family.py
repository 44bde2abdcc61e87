"""Every word of a training file builds a model that takes a step, is saved and is loaded."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
import torch

from physvae import plans
from physvae.config import parse_config
from physvae.decoders import DECODERS
from physvae.encoders import ENCODERS
from physvae.errors import InputError
from physvae.heads import POSTERIORS
from physvae.latents import LATENTS
from physvae.objective import decode_draws, loss_terms
from physvae.real_spectra import RealSpectra
from physvae.regularisers import OF_REAL, REGULARISERS, Step
from physvae.simulation import hide, simulate
from physvae.store import assemble, load_model, save_model
from physvae.structured_likelihoods import LIKELIHOODS
from rtm import DryWetSoil, load_sensor

from .conftest import SMALL

SIZES = {
    "mlp": {"width": 8, "depth": 1},
    "transformer": {"width": 8, "depth": 1, "heads": 2},
    "spatial": {"width": 8, "depth": 2, "patch": 3},
    "temporal": {"width": 8, "depth": 1, "heads": 2, "dates": 3},
}
FLOW = {"context": 8, "transforms": 1, "width": 8, "bins": 4}
EVERY = dict.fromkeys(REGULARISERS, 0.5)
BROWN = {"kind": "uniform", "low": 0.0, "high": 0.9}
ATTRIBUTES = {"attributes": [{"dimension": 1, "bands": ["B8A", "B4"]}]}


RAW = SMALL | {
    "soil": {"kind": "dry-wet"},
    "prior": {k: v for k, v in SMALL["prior"].items() if k != "soil_1"},
    "physics": {"classes": 3},
    "spectra": [],
}


def words(plan, key: str = "kind") -> set[str]:
    return set(get_args(plan.model_fields[key].annotation))


def kinds(union) -> set[str]:
    members = get_args(get_args(union)[0])
    return {member.model_fields["kind"].default for member in members}


def test_every_word_has_its_class():
    assert kinds(plans.EncoderPlan) == set(ENCODERS)
    assert kinds(plans.PosteriorPlan) == set(POSTERIORS)
    assert words(plans.Decoder) == set(DECODERS)
    assert words(plans.Residual, "latent") == set(LATENTS)
    assert words(plans.Likelihood) == set(LIKELIHOODS)
    assert set(REGULARISERS) <= set(plans.Regularisers.model_fields)


def plan(encoder="mlp", posterior="gaussian", decoder="residual", latent="gaussian", **more):
    sizes = FLOW if posterior == "flow" else {"components": 2}
    latents = DECODERS[decoder].latents if decoder in ("physical", "correction") else 2
    raw = RAW | {
        "encoder": {"kind": encoder, **SIZES[encoder]},
        "posterior": {"kind": posterior, **sizes},
        "decoder": {"kind": decoder},
        "residual": {"latents": 2, "rank": 2, "width": 8, "latent": latent, "codes": 4},
        "regularisers": EVERY | (ATTRIBUTES if latents else {"attribute": 0.0}),
        "loss": {"wake_sleep": False, "real": 1.0},
    }
    return parse_config(raw | more, "plan")


@pytest.fixture(scope="module")
def sensor():
    """Three bands at one wavelength each: enough to take a step."""
    full = load_sensor("sentinel-2a", reduced=True).select(tuple(SMALL["bands"]))
    keep = full.weights.argmax(1)
    nodes, place = keep.unique(return_inverse=True)
    return replace(
        full,
        wavelength=full.wavelength[nodes],
        weights=torch.nn.functional.one_hot(place, len(nodes)).double(),
    )


def one_step(config, sensor, mode="elbo"):
    """A model after one step on simulations and on spectra that are simulations too."""
    torch.manual_seed(0)
    model = assemble(config, sensor, DryWetSoil())
    model.residual.open(1.0)
    generator = torch.Generator().manual_seed(1)
    drawn = simulate(model, 4, config.angles, generator)
    model.features.fit(drawn.reflectance.flatten(0, -2))
    seen = hide(
        drawn.reflectance, drawn.angles, config.bands, config.missing, generator, model.layout
    )
    real = RealSpectra(drawn.reflectance, drawn.angles, drawn.days)
    loss = config.loss.model_copy(update={"reconstruction": mode})
    decoded = decode_draws(model, real, seen, loss, generator)
    terms = loss_terms(Step(model, drawn, seen, decoded, config.regularisers), loss)
    total = sum(terms.values())
    total.backward()
    grads = [p.grad for n, p in model.named_parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in grads)
    torch.optim.SGD(model.parameters(), 1e-4).step()
    model.likelihood.constrain = torch.no_grad()(model.likelihood.constrain)
    model.likelihood.constrain()
    return model.eval(), terms, drawn


COMBINATIONS = [
    combination
    for combination in product(ENCODERS, POSTERIORS, DECODERS, LATENTS)
    if combination[3] == "gaussian" or combination[2] in ("residual", "combined")
]


THIRD = 3
"""Each combination is built with every third likelihood, and each likelihood with all words."""


def with_likelihood(kind: str) -> list[tuple[str, ...]]:
    tables = (ENCODERS, POSTERIORS, DECODERS, LATENTS)
    places = [
        sum(list(t).index(w) for t, w in zip(tables, words, strict=True)) for words in COMBINATIONS
    ]
    turn = list(LIKELIHOODS).index(kind)
    return [
        c for c, place in zip(COMBINATIONS, places, strict=True) if (place + turn) % THIRD == 0
    ]


def test_all_combinations_and_all_pairs_with_a_likelihood_are_built():
    made = {kind: with_likelihood(kind) for kind in LIKELIHOODS}
    assert {words for part in made.values() for words in part} == set(COMBINATIONS)
    every = {(place, word) for words in COMBINATIONS for place, word in enumerate(words)}
    assert all({x for words in part for x in enumerate(words)} == every for part in made.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_every_combination_takes_a_step_is_saved_and_loaded(kind, sensor, tmp_path):
    """Encoders, posteriors, decoders and latents that go together, with this likelihood."""
    for words in with_likelihood(kind):
        config = plan(*words, likelihood={"kind": kind, "width": 4, "bandwidth": 1})
        model, terms, drawn = one_step(config, sensor)
        assert all(term.isfinite() for term in terms.values()), words
        assert {"fit", "self_supervised", "beta"} <= set(terms)
        folder = tmp_path / "-".join(words)
        save_model(model, config, folder, {})
        again = load_model(folder)
        x, angles, days = drawn.reflectance, drawn.angles, drawn.days
        ours, theirs = (m.estimate(x, angles, ("lai", "ccc"), days) for m in (model, again))
        torch.testing.assert_close(ours.mean["ccc"], theirs.mean["ccc"])
        assert ours.mean["lai"].shape == x.shape[:-1]
        rebuilt = again.reconstruct(x, angles, days)
        assert rebuilt.total.isfinite().all()
        if words[2] == "physical":
            assert torch.equal(rebuilt.total, rebuilt.physical)
        else:
            assert not torch.equal(rebuilt.total, rebuilt.physical)


@pytest.mark.parametrize("mode", ["elbo", "mcrl", "importance"])
@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_bound_takes_a_step(mode, posterior, encoder, sensor):
    _, terms, _ = one_step(plan(encoder, posterior), sensor, mode)
    assert ("beta" in terms) == (mode != "importance")
    assert set(terms) <= {"fit", *REGULARISERS}
    assert set(OF_REAL) - {"beta"} <= set(terms)


@pytest.mark.parametrize(
    ("physics", "extra"),
    [
        ({"leaf": "5"}, {}),
        ({"leaf": "PRO"}, {}),
        ({"crowns": False}, {}),
        ({"layers": 2, "crowns": False}, {"fraction_brown": BROWN}),
        ({"lidf": "verhoef"}, {}),
        ({"hotspot": "classic"}, {}),
    ],
)  # fmt: skip
def test_every_canopy_is_a_decoder(physics, extra, sensor):
    prior = {k: v for k, v in SMALL["prior"].items() if k != "soil_1"}
    prior = {k: v for k, v in prior.items() if k != "ala" or physics.get("lidf") is None}
    prior = {k: v for k, v in prior.items() if k != "cv" or physics.get("crowns") is not False}
    config = plan(prior=prior | extra, physics={"classes": 3, **physics})
    model, _, drawn = one_step(config, sensor)
    assert set(extra) <= set(model.traits)
    assert ((drawn.physical > 0) & (drawn.physical < 1)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": {"kind": "transformer", "width": 9}}, r"encoder\.?.*width"),
        ({"posterior": {"kind": "flow", "components": 2}}, "posterior.components"),
        ({"posterior": {"kind": "normal"}}, "posterior.kind"),
        ({"likelihood": {"kind": "laplace"}}, "likelihood.kind"),
        ({"decoder": {"kind": "magic"}}, "decoder.kind"),
        ({"residual": {"latent": "discrete"}}, "residual.latent"),
        ({"regularisers": {"gamma": 1.0}}, "regularisers.gamma"),
        ({"soil": {"kind": "sand"}}, "soil.kind"),
        ({"physics": {"leaf": "7"}}, "physics.leaf"),
        ({"correlation": [{"between": ["lai", "x"], "value": 0.1}]}, "correlation"),
        ({"correlation": [{"between": ["lai", "cab"], "value": 1.1}]}, "correlation.0.value"),
        ({"regularisers": {"beta_of": {"lai": 2}}, "posterior": {"kind": "flow"}}, "beta_of"),
        (
            {"physics": {"layers": 2, "crowns": False}, "products": {"also": ["lai_effective"]}},
            "expected crowns of one layer",
        ),
    ],
)
def test_a_wrong_word_is_named(change, words):
    with pytest.raises(InputError, match=words):
        parse_config(RAW | change, "plan.toml")
