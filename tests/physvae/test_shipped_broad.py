"""The Sentinel-2 model of several canopies: calibrated on simulations, strangers flagged."""

from pathlib import Path

import pytest
import torch

import physvae
from physvae.config import parse_config, read_config
from physvae.evaluation import interval_coverage

from .test_shipped import ANGLES, STRANGERS

PRESET = Path(physvae.__file__).parent / "presets" / "sentinel-2-broad.toml"


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2-broad")


def test_it_is_made_by_its_preset(model):
    assert parse_config(model.config["training"], "sentinel-2-broad") == read_config(PRESET)


def test_intervals_cover_what_they_say_on_simulations(model):
    config = read_config(PRESET)
    coverage = interval_coverage(
        model, ranges=config.angles, missing=config.missing, n=4000, seed=31, level=0.9
    )
    assert not {k: v for k, v in coverage.items() if not 0.865 <= v <= 0.935}


@pytest.mark.parametrize("name", list(STRANGERS))
def test_what_is_no_canopy_is_flagged(model, name):
    random = torch.Generator().manual_seed(5)
    spectra = torch.tensor(STRANGERS[name]) * (1 + 0.05 * torch.randn(200, 10, generator=random))
    estimate = model.estimate(spectra, ANGLES.expand(200, 3), ("lai",))
    assert ((estimate.misfit > 1) | (estimate.novelty > 1)).float().mean() >= 0.95


def test_effective_leaf_area_is_at_most_leaf_area(model):
    spectra = torch.tensor([[0.03, 0.05, 0.03, 0.08, 0.25, 0.32, 0.34, 0.35, 0.16, 0.08]])
    estimate = model.estimate(spectra, ANGLES[None], ("lai", "lai_effective"))
    assert 0 < float(estimate.mean["lai_effective"]) < float(estimate.mean["lai"])
