"""Maps of traits to cubes: the emulator cell by cell, lazy, with its error and its flag."""

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr

import rtm
from inversion.emulation import emulate_map
from physvae.emulation.store import load_emulator
from physvae.errors import InputError

REST = {"n_leaf": 1.5, "car": 8.0, "ant": 0.0, "cbrown": 0.0, "cw": 0.01, "cm": 0.009, "ala": 57.0,
        "hspot": 0.1, "psoil": 0.5, "rsoil": 1.0, "tts": 30.0, "psi": 0.0}  # fmt: skip


@pytest.fixture
def traits():
    lai = np.linspace(0.0, 8.0, 12).reshape(3, 4)
    lai[0, 1], lai[2, 3] = np.nan, 15.5
    return xr.Dataset(
        {"lai": (("y", "x"), lai), "cab": (("x",), np.array([20.0, 40.0, 60.0, 80.0])),
         "tto": (("y",), np.array([0.0, 5.0, 10.0]))},
        coords={"y": [30.0, 20.0, 10.0], "x": [1.0, 2.0, 3.0, 4.0]},
    )  # fmt: skip


def test_every_cell_is_the_emulator(traits):
    cube = emulate_map(traits, **REST)
    assert cube["rso"].dims == ("y", "x", "wavelength")
    emulator = load_emulator("prosail-d")
    named = {"lai": traits["lai"].values[1, 2], "cab": 60.0, **REST}
    theta = emulator.space.stack(**{k: v for k, v in named.items() if k in emulator.space.names})
    angles = torch.tensor([30.0, 5.0, 0.0])
    found = cube.isel(y=1, x=2)
    np.testing.assert_allclose(found["rso"], emulator(theta.float(), angles).rso, atol=2e-6)
    np.testing.assert_allclose(
        found["rso_sd"], emulator.standard_error(theta.float(), angles), rtol=1e-3
    )
    assert cube["wavelength"].values[0] == 400.0
    assert cube.attrs["emulator"] == "prosail-d"


def test_missing_cells_are_empty_and_those_outside_are_flagged(traits):
    cube = emulate_map(traits, **REST)
    empty = cube["rso"].isnull().all("wavelength").values
    assert np.argwhere(empty).tolist() == [[0, 1], [2, 3]]
    assert np.argwhere(cube["outside"].values).tolist() == [[2, 3]]
    further = emulate_map(traits, extrapolate=True, **REST)
    assert np.argwhere(further["rso"].isnull().all("wavelength").values).tolist() == [[0, 1]]


def test_dask_stays_lazy_and_gives_the_same(traits):
    lazy = emulate_map(traits.chunk({"x": 2}), error=False, **REST)
    assert isinstance(lazy["rso"].data, da.Array)
    assert "rso_sd" not in lazy
    whole = emulate_map(traits, error=False, **REST)
    xr.testing.assert_allclose(lazy.compute(), whole, atol=1e-6)


def test_bands_of_a_sensor_and_other_factors(traits):
    sensor = rtm.load_sensor("sentinel-2a").select(("B4", "B8"))
    model = load_emulator("prosail-d-1nm").with_factors("rso", "rdd").seen_by(sensor)
    cube = emulate_map(traits, model, **REST)
    assert cube["band"].values.tolist() == ["B4", "B8"]
    assert cube["rdd"].shape == (3, 4, 2)
    assert float(cube["rso"].isel(y=1, x=1, band=1)) > float(cube["rso"].isel(y=1, x=1, band=0))


@pytest.mark.parametrize(
    ("constant", "said"),
    [
        ({k: v for k, v in REST.items() if k != "cw"}, "found none for cw"),
        (REST | {"lia": 3.0}, "lia: expected one of n_leaf"),
        (REST | {"lai": 3.0}, "lai: expected in the map or as a constant, got both"),
    ],
)
def test_names_that_do_not_fit_are_told(traits, constant, said):
    with pytest.raises(InputError, match=said):
        emulate_map(traits, **constant)
