"""Sensors of regular Gaussian bands in a training file, and bands that are missing together."""

import pytest
import torch

from physvae.config import Missing, parse_config
from physvae.errors import InputError
from physvae.simulation import hide
from physvae.training import build, sensor_of

from .conftest import SMALL

GRID = {"first": 450.0, "last": 900.0, "step": 50.0, "fwhm": 20.0}
PLAN = {k: v for k, v in SMALL.items() if k not in ("bands", "spectra")} | {"grid": GRID}


def test_a_grid_names_its_bands_and_makes_its_sensor(made_up):
    config = parse_config(PLAN | {"sensor": "mine"}, "grid")
    assert config.bands[:2] == ("B450", "B500")
    assert len(config.bands) == 10
    sensor = sensor_of(config)
    assert sensor.name == "mine"
    # the mean of a straight line under a symmetric response is its value at the centre
    torch.testing.assert_close(sensor.apply(sensor.wavelength), sensor.center, rtol=0, atol=1e-3)
    model = build(config, made_up)
    assert model.bands == config.bands
    torch.testing.assert_close(model.physical.sensor.center, sensor.center)


def test_some_bands_of_a_grid_can_be_chosen_and_no_others():
    few = parse_config(PLAN | {"bands": ["B500", "B700"]}, "grid")
    assert sensor_of(few).bands == ("B500", "B700")
    with pytest.raises(InputError, match=r"expected bands of the grid, got .'B8A'"):
        parse_config(PLAN | {"bands": ["B500", "B8A"]}, "grid")
    with pytest.raises(InputError, match=r"grid.*step"):
        parse_config(PLAN | {"grid": GRID | {"step": 0.0}}, "grid")


def test_bands_of_a_window_are_missing_together():
    bands = ("B1", "B2", "B3", "B4")
    window = {"first": "B2", "last": "B3", "rate": 0.4}
    rates = Missing(band=0.0, view=0.0, sun=0.0, subset=0.0, windows=(window,))
    seen, _ = hide(
        torch.ones(20_000, 4), torch.zeros(20_000, 3), bands, rates,
        torch.Generator().manual_seed(1),
    )  # fmt: skip
    gone = seen.isnan()
    assert not gone[:, [0, 3]].any()
    assert torch.equal(gone[:, 1], gone[:, 2])
    assert abs(float(gone[:, 1].float().mean()) - 0.4) < 0.011  # three standard errors


def test_a_window_of_unknown_bands_is_refused():
    window = {"first": "B3", "last": "B9", "rate": 0.4}
    with pytest.raises(
        InputError, match=r"missing.windows: expected bands of the model, got .'B9'"
    ):
        parse_config(SMALL | {"missing": {"windows": [window]}}, "window")
