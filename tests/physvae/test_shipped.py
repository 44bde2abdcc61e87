"""The shipped Sentinel-2 model: what its card promises, and that it says when it does not know."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import physvae
from physvae.config import parse_config, read_config
from physvae.evaluation import (
    interval_coverage,
    physics_alone_error,
    product_error,
    reconstruction_error,
)
from physvae.field_interval import without_field
from physvae.finishing import decodings
from physvae.simulation import simulate
from physvae.training import read_spectra

TRAITS = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
ANGLES = torch.tensor([35.0, 5.0, 100.0])
FOLDER = Path(physvae.__file__).parent / "models" / "sentinel-2"
# B2 B3 B4 B5 B6 B7 B8 B8A B11 B12 of things that are no canopy: means of published library spectra
STRANGERS = {
    "snow": [0.95, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.88, 0.12, 0.10],
    "clear water": [0.05, 0.04, 0.02, 0.015, 0.01, 0.008, 0.007, 0.006, 0.003, 0.002],
    "cloud": [0.75, 0.74, 0.74, 0.75, 0.76, 0.77, 0.78, 0.78, 0.65, 0.55],
    "white roof": [0.60, 0.65, 0.68, 0.69, 0.69, 0.69, 0.69, 0.68, 0.60, 0.52],
}


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture(scope="module")
def config(model):
    return parse_config(model.config["training"], "sentinel-2")


@pytest.fixture(scope="module")
def drawn(model, config):
    return simulate(model, 1000, config.angles, torch.Generator().manual_seed(987))


@pytest.mark.parametrize("name", physvae.models())
def test_a_shipped_model_is_made_by_its_preset(name):
    record = physvae.load(name).config["training"]
    preset = FOLDER.parents[1] / "presets" / f"{name}.toml"
    assert parse_config(record, name) == read_config(preset)


def test_it_is_small_and_complete():
    assert "sentinel-2" in physvae.models()
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(sizes) == {"config.json", "weights.safetensors", "card.md"}
    assert sum(sizes.values()) <= 2_000_000


def test_the_card_is_that_of_these_weights(model):
    text = (FOLDER / "card.md").read_text()
    figures = json.loads((FOLDER / "config.json").read_text())["figures"]
    for name, value in figures["coverage_90"].items():
        assert f"| {name} | {model.traits[name].unit} | {100 * value:.1f} % |" in text


def test_intervals_cover_what_they_say_on_simulations(model, config):
    found = interval_coverage(
        model, ranges=config.angles, missing=config.missing, n=4000, seed=31, level=0.9
    )
    assert set(found) == set(model.traits)
    wrong = {k: v for k, v in found.items() if not 0.865 <= v <= 0.935}
    assert not wrong  # 0.88-0.92 and three standard errors of 4,000 draws


def test_lai_and_chlorophyll_are_jointly_distributed(model, drawn):
    posterior = model.posterior(drawn.reflectance[:200], drawn.angles[:200])
    values = model.draw_traits(posterior, drawn.angles[:200, 0], ("lai", "cab", "ccc"))
    lai, cab = (values[k] - values[k].mean(0) for k in ("lai", "cab"))
    correlation = (lai * cab).mean(0) / (lai.std(0) * cab.std(0))
    assert correlation.abs().max() > 0.3  # dense: zero for independent marginals
    torch.testing.assert_close(values["ccc"], values["lai"] * values["cab"] / 100)


def test_the_posterior_learns_from_the_spectrum(model, drawn):
    estimate = model.estimate(drawn.reflectance, drawn.angles, ("lai", "fcover"))
    cover = model.physical.products(drawn.theta, drawn.angles)[:, 1]
    assert np.corrcoef(estimate.mean["fcover"], cover)[0, 1] > 0.9
    # LAI in clumps of any density is what a spectrum tells least about: fcover is the judge
    assert np.corrcoef(estimate.mean["lai"], drawn.theta[:, 0])[0, 1] > 0.5
    assert estimate.prior_width.median() < 0.9


def test_without_any_input_the_posterior_is_the_prior(model):
    nothing = torch.full((1, 10), torch.nan), torch.full((1, 3), torch.nan)
    estimate = model.estimate(*nothing, ("lai",))
    assert 0.85 < float(estimate.prior_width) < 1.15


def test_a_batch_changes_nothing(model, drawn):
    whole = model.estimate(drawn.reflectance[:50], drawn.angles[:50], TRAITS)
    for i in (0, 17, 49):
        one = model.estimate(drawn.reflectance[i : i + 1], drawn.angles[i : i + 1], TRAITS)
        for name in TRAITS:
            torch.testing.assert_close(
                one.mean[name][0], whole.mean[name][i], rtol=1e-5, atol=1e-6
            )
            torch.testing.assert_close(
                one.p975[name][0], whole.p975[name][i], rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("missing", [["B8"], ["B11", "B12"], ["B2"], ["B5", "B6", "B7"]])
def test_a_missing_band_is_allowed_and_costs_certainty(model, drawn, missing):
    gaps = drawn.reflectance.clone()
    gaps[:, [model.bands.index(band) for band in missing]] = torch.nan
    full = model.estimate(drawn.reflectance, drawn.angles, TRAITS)
    part = model.estimate(gaps, drawn.angles, TRAITS)
    for name in TRAITS:
        assert torch.isfinite(part.mean[name]).all()
        assert part.sd[name].mean() >= 0.97 * full.sd[name].mean()


def test_missing_angles_are_allowed(model, drawn):
    estimate = model.estimate(drawn.reflectance, torch.full((1000, 3), torch.nan), TRAITS)
    assert all(torch.isfinite(estimate.mean[name]).all() for name in TRAITS)


def test_means_and_intervals_are_in_order_and_in_range(model, drawn):
    e = model.estimate(drawn.reflectance, drawn.angles, TRAITS)
    for name in TRAITS:
        low, high = model.traits[name].low, model.traits[name].high
        assert (e.p025[name] <= e.p975[name]).all()
        assert (e.p025[name] >= low - 1e-4).all()
        assert (e.p975[name] <= high + 1e-4 * high).all()
        assert (e.sd[name] > 0).all()


def test_effective_leaf_area_is_at_most_leaf_area(model):
    spectra = torch.tensor([[0.03, 0.05, 0.03, 0.08, 0.25, 0.32, 0.34, 0.35, 0.16, 0.08]])
    estimate = model.estimate(spectra, ANGLES[None], ("lai", "lai_effective"))
    assert 0 < float(estimate.mean["lai_effective"]) < float(estimate.mean["lai"])


@pytest.mark.parametrize("name", list(STRANGERS))
def test_what_is_no_canopy_is_flagged(model, name):
    random = torch.Generator().manual_seed(5)
    spectra = torch.tensor(STRANGERS[name]) * (1 + 0.05 * torch.randn(200, 10, generator=random))
    estimate = model.estimate(spectra, ANGLES.expand(200, 3), ("lai",))
    flagged = (estimate.misfit > 1) | (estimate.novelty > 1)
    assert flagged.float().mean() >= 0.95


def test_simulations_from_the_prior_are_rarely_flagged(model, drawn):
    estimate = model.estimate(drawn.reflectance, drawn.angles, ("lai",))
    flagged = (estimate.misfit > 1) | (estimate.novelty > 1)
    assert flagged.float().mean() <= 0.06  # 5 % and a standard error and a half


def test_fapar_and_fcover_are_those_of_the_physics(model, config):
    error = product_error(model, ranges=config.angles, n=4000, seed=77)
    assert error["fapar"] < 0.01
    assert error["fcover"] < 0.01


def test_the_residual_leaves_the_physics_its_part(model, config, data_dir):
    for entry in config.spectra:
        real, _ = read_spectra(data_dir / entry.file, entry, config.bands)
        error = decodings(model, real.take(torch.arange(0, 10_000, 20)))
        assert (
            error["total"] < error["residual"] <= error["physical"] < 2 * error["residual"] + 0.05
        )


@pytest.mark.parametrize(
    ("name", "total", "physics"),
    [("sentinel-2", 0.0195, 0.094), ("sentinel-2-crops", 0.015, 0.0856)],
)
def test_held_out_forest_is_decoded_well_and_by_physics_alone_too(name, total, physics, data_dir):
    """Spectra of pixels that no training saw; a plain auto-encoder has 0.019, physics 0.0856.

    Physics of `sentinel-2` gives B2 an error of 50 %, so it follows it less.
    """
    model = physvae.load(name)
    entry = parse_config(model.config["training"], name).spectra[1]
    real, training = read_spectra(data_dir / entry.file, entry, model.bands)
    held = real.take(~training)
    assert reconstruction_error(model, *held)["total"] < total
    part = held.take(torch.arange(0, len(held.angles), 4))
    assert physics_alone_error(model, *part) < physics


def test_one_set_of_angles_serves_all_spectra_in_any_dtype(model, drawn):
    angles = drawn.angles[:1].expand(20, 3)
    expected = model.estimate(drawn.reflectance[:20], angles, ("lai",))
    found = model.estimate(drawn.reflectance[:20].double(), angles[0].double(), ("lai",))
    torch.testing.assert_close(found.mean["lai"], expected.mean["lai"], rtol=1e-6, atol=1e-6)


def test_a_single_spectrum_without_a_batch_has_a_posterior(model, drawn):
    posterior = model.posterior(drawn.reflectance[0], drawn.angles[0])
    assert posterior.mean.shape == posterior.stddev.shape == (len(model.space),)
    assert (posterior.icdf(0.025) <= posterior.icdf(0.975)).all()
    assert torch.isfinite(posterior.log_prob(drawn.theta[0]))


def test_the_sampler_is_seeded(model, drawn):
    posterior = model.posterior(drawn.reflectance[:3], drawn.angles[:3])
    one, two = (posterior.sample((4,), torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (4, 3, len(model.space))
    assert torch.equal(one, two)


def test_the_density_prefers_the_truth_to_another_canopy(model, drawn):
    posterior = model.posterior(drawn.reflectance, drawn.angles)
    gain = posterior.log_prob(drawn.theta) - posterior.log_prob(drawn.theta.roll(1, 0))
    assert (gain > 0).float().mean() > 0.9


def test_the_shape_of_the_input_is_checked(model):
    with pytest.raises(ValueError, match="expected a last axis of 10 bands"):
        model.posterior(torch.zeros(2, 9), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="expected a last axis of 3"):
        model.posterior(torch.zeros(2, 10), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="expected some of lai"):
        model.estimate(torch.zeros(2, 10), torch.zeros(2, 3), ("leaf_area",))


def test_the_landsat_model_covers_and_sees_leaves():
    """Trained on simulations alone; judged on others, and by the cover that a spectrum shows."""
    landsat = physvae.load("landsat-8")
    plan = parse_config(landsat.config["training"], "landsat-8")
    found = interval_coverage(landsat, ranges=plan.angles, missing=plan.missing, n=4000, seed=31)
    assert not {k: v for k, v in found.items() if not 0.865 <= v <= 0.935}
    drawn = simulate(landsat, 1000, plan.angles, torch.Generator().manual_seed(987))
    estimate = landsat.estimate(drawn.reflectance, drawn.angles, ("fcover",))
    cover = landsat.physical.products(drawn.theta, drawn.angles)[:, 1]
    assert np.corrcoef(estimate.mean["fcover"], cover)[0, 1] > 0.9
    assert set(landsat.bands) == {"B2", "B3", "B4", "B5", "B6", "B7"}


@pytest.fixture(scope="module")
def spectrometer():
    model = physvae.load("hyperspectral-10nm")
    return model, parse_config(model.config["training"], "hyperspectral-10nm")


def test_the_spectrometer_model_covers_at_every_level(spectrometer):
    """Windows of water vapour and detectors are missing as often as in training."""
    model, plan = spectrometer
    given = {"ranges": plan.angles, "missing": plan.missing, "n": 4000, "seed": 31}
    for level in (0.5, 0.68, 0.9, 0.95):
        found = interval_coverage(model, level=level, **given)
        room = 0.02 + 3 * (level * (1 - level) / 4000) ** 0.5
        assert not {k: v for k, v in found.items() if abs(v - level) > room}
    folder = FOLDER.parent / "hyperspectral-10nm"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000


def test_a_spectrometer_tells_more_than_ten_bands_and_less_without_its_windows(
    model, spectrometer
):
    narrow, plan = spectrometer
    drawn = simulate(narrow, 500, plan.angles, torch.Generator().manual_seed(987))
    center = narrow.physical.sensor.center
    dry = (center > 1335) & (center < 1465) | (center > 1785) & (center < 1975)
    infrared = center > 1005
    found = {}
    for name, gone in (("all", dry & False), ("dry", dry), ("visible", infrared)):
        seen = torch.where(gone, torch.nan, drawn.reflectance)
        estimate = without_field(narrow).estimate(seen, drawn.angles, ("cab", "cw", "fcover"))
        found[name] = {k: float(v.mean()) for k, v in estimate.sd.items()}
        cover = narrow.physical.products(drawn.theta, drawn.angles)[:, 1]
        assert np.corrcoef(estimate.mean["fcover"], cover)[0, 1] > 0.9
    assert found["all"]["cw"] <= 1.02 * found["dry"]["cw"] < 0.8 * found["visible"]["cw"]
    assert found["visible"]["cab"] < 1.3 * found["all"]["cab"]  # pigments show in the visible
    ten = simulate(model, 500, plan.angles, torch.Generator().manual_seed(987))
    broad = without_field(model).estimate(ten.reflectance, ten.angles, ("cab", "cw"))
    for name in ("cab", "cw"):
        assert found["all"][name] < float(broad.sd[name].mean())


def test_arrays_of_numpy_are_as_good_as_tensors(model, drawn):
    reflectance, angles = drawn.reflectance[:5], drawn.angles[:5]
    expected = model.estimate(reflectance, angles, ("lai",))
    found = model.estimate(reflectance.numpy().astype("f8"), angles.tolist(), "lai")
    assert list(found.mean) == ["lai"]
    torch.testing.assert_close(found.mean["lai"], expected.mean["lai"])
    with pytest.raises(ValueError, match="reflectance: expected a tensor or an array of numbers"):
        model.estimate({"B2": 0.1}, angles)
    with pytest.raises(ValueError, match="angles: expected a tensor or an array of numbers, got"):
        model.posterior(reflectance, "35")
