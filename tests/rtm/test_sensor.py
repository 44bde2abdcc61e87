"""Bands against pyrsr, and few wavelengths against full integration on spectra unseen."""

import numpy as np
import pytest
import torch

from rtm import Prosail, load_sensor, sensors
from rtm.sensor import Sensor

F64 = torch.float64
TEN = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


def draws(model: Prosail, n: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, len(model.space) + 3, generator=generator, dtype=F64)
    theta = model.space.low + (model.space.high - model.space.low) * unit[:, :-3]
    return theta, unit[:, -3:] * torch.tensor([80.0, 60.0, 180.0], dtype=F64)


@pytest.mark.parametrize("name", sensors())
def test_every_sensor_loads_with_normalised_weights(name):
    sensor = load_sensor(name)
    assert len(sensor.bands) == 13
    assert (sensor.weights >= 0.0).all()
    assert (sensor.weights.sum(-1) - 1.0).abs().max() < 1e-14
    flat = sensor.apply(torch.full((len(sensor.wavelength),), 0.3, dtype=F64))
    np.testing.assert_allclose(flat, 0.3, rtol=1e-14)


@pytest.mark.parametrize("unit", ["A", "B"])
def test_responses_are_those_of_pyrsr(unit):
    """Read from the package's files, which hold ESA's numbers: nm and response."""
    pyrsr = pytest.importorskip("pyrsr")
    sensor = load_sensor(f"sentinel-2{unit.lower()}")
    for i, band in enumerate(sensor.bands):
        path = f"{pyrsr.__path__[0]}/data/Sentinel-2{unit}/MSI/band_{band[1:]}"
        nm, response = np.loadtxt(path, skiprows=1).T
        at = np.searchsorted(sensor.wavelength.numpy(), nm)
        np.testing.assert_array_equal(sensor.wavelength[at], nm)
        np.testing.assert_allclose(sensor.weights[i, at], response / response.sum(), rtol=1e-14)
        assert sensor.center[i] == pytest.approx((nm * response).sum() / response.sum())


def test_centers_and_widths_are_esas():
    """Sentinel-2 user handbook, S2A: centre and width [nm]; the handbook rounds and averages."""
    sensor = load_sensor("sentinel-2")
    truth = {"B2": (492.4, 66), "B4": (664.6, 31), "B8A": (864.7, 21), "B12": (2202.4, 175)}
    for band, (center, width) in truth.items():
        i = sensor.bands.index(band)
        assert sensor.center[i].item() == pytest.approx(center, abs=0.2)
        assert sensor.fwhm[i].item() == pytest.approx(width, abs=3)


def test_select_keeps_order_and_values():
    sensor = load_sensor("sentinel-2a")
    some = sensor.select(("B8A", "B2"))
    assert some.bands == ("B8A", "B2")
    spectrum = torch.linspace(0.0, 1.0, len(sensor.wavelength), dtype=F64)
    used = torch.isin(sensor.wavelength, some.wavelength)
    full = sensor.apply(spectrum)
    found = some.apply(spectrum[used])
    np.testing.assert_allclose(found, full[[sensor.bands.index("B8A"), sensor.bands.index("B2")]])
    with pytest.raises(ValueError, match=r"bands: expected some of B1, B2.*got B99"):
        sensor.select(("B99",))


@pytest.mark.slow
def test_few_wavelengths_are_exact_to_1e_4_on_spectra_they_never_saw():
    """Chosen on 1,000 draws of the whole box to 5e-5; held to 1e-4 on 1,000 others."""
    sensor = load_sensor("sentinel-2a").select(TEN)
    full = Prosail(sensor=sensor, products=False)
    plain = Prosail(wavelength=sensor.wavelength, products=False)
    reduced = sensor.reduce(plain(*draws(plain, 1000, 0)).rso, tolerance=5e-5)
    assert len(reduced.wavelength) <= 70
    assert (reduced.weights >= 0.0).all()
    assert (reduced.weights.sum(-1) - 1.0).abs().max() < 1e-14
    few = Prosail(sensor=reduced, products=False)
    unseen = draws(plain, 1000, 1)
    assert (few(*unseen).rso - full(*unseen).rso).abs().max() < 1e-4


def test_reduce_finds_the_two_wavelengths_that_are_enough_for_lines():
    """For spectra linear in wavelength any two nodes with the right mean will do."""
    grid = torch.arange(500.0, 521.0, dtype=F64)
    sensor = Sensor.from_responses("one", grid, {"a": np.hanning(21) + 1e-3})
    slope = torch.linspace(-1.0, 1.0, 50, dtype=F64)[:, None]
    reduced = sensor.reduce(0.5 + slope * (grid - 510.0) / 50.0, tolerance=1e-9)
    assert len(reduced.wavelength) <= 2
    assert reduced.apply(reduced.wavelength).item() == pytest.approx(510.0, abs=1e-6)


@pytest.mark.parametrize(
    ("grid", "response", "words"),
    [
        ([1.0, 1.0], [1.0, 1.0], "wavelength: expected a rising 1-D grid"),
        ([1.0, 2.0], [0.0, 0.0], "a: expected 2 responses ≥ 0, not all 0"),
        ([1.0, 2.0], [1.0, -1.0], "a: expected 2 responses"),
    ],
)
def test_a_wrong_response_is_told(grid, response, words):
    with pytest.raises(ValueError, match=words):
        Sensor.from_responses("x", grid, {"a": response})


def test_an_unknown_sensor_is_told_with_the_names():
    with pytest.raises(ValueError, match="sentinel-2a, sentinel-2b, sentinel-2c, sentinel-2, got"):
        load_sensor("landsat")
