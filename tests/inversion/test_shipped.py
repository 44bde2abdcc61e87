"""The shipped model on real pixels: every table and image of the reference data goes through."""

import socket
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest
import rasterio
from rio_cogeo import cog_validate

import physvae
import products
from inversion.kernel import retrieve_block
from inversion.quality import Quality
from physvae.__main__ import run

COMMAND = EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands")
VARIABLES = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
BARBELLINO = ("20170703", "20190723")
STRICKHOF = (
    "S2A_MSIL2A_20220322T101711_R065",
    "S2A_MSIL2A_20220421T101601_R065",
    "S2A_MSIL2A_20220514T102601_R108",
    "S2A_MSIL2A_20220713T103041_R108",
    "S2B_MSIL2A_20220618T102559_R108",
)


def retrieve(*arguments) -> int:
    return run(["retrieve", *map(str, arguments)], [COMMAND])


def bands(path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as file:
        return dict(zip(file.descriptions, file.read(), strict=True))


def test_field_plots(data_dir, tmp_path):
    source = data_dir / "field" / "field_dev.csv"
    assert retrieve(source, "-o", tmp_path / "out.csv") == 0
    table, result = pd.read_csv(source), pd.read_csv(tmp_path / "out.csv")
    assert len(result) == len(table)
    pd.testing.assert_series_equal(result["lai_input"], table["lai"], check_names=False)
    for name in VARIABLES:
        mean, sd = result[name], result[f"{name}_sd"]
        low, high = result[f"{name}_p025"], result[f"{name}_p975"]
        assert (sd > 0).all()
        assert ((low <= mean) & (mean <= high)).all()
    assert np.corrcoef(result["lai"], table["lai"])[0, 1] > 0.6


@pytest.mark.parametrize("day", BARBELLINO)
def test_alpine_chips(data_dir, tmp_path, day):
    folder = data_dir / "rasters"
    source = folder / f"S2A2A_{day}_022_Barbellino_BOA_10.tif"
    classes = folder / f"S2A2A_{day}_022_Barbellino_SCL_10.tif"
    options = ["--bands", "B01,B02,B03,B04,B05,B06,B07,B08,B8A,B11,B12", "--scale", 1e-4]
    options += ["--sun-zenith", 28.0, "--scl", classes]
    assert retrieve(source, "-o", tmp_path / "out.tif", *options) == 0
    found = bands(tmp_path / "out.tif") | bands(tmp_path / "out_quality.tif")
    masked = (found["quality"] & Quality.MASKED_BY_SCENE_CLASS) != 0
    with rasterio.open(classes) as file:
        scene = file.read(1).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(masked, (scene != 4) & (scene != 5))
    np.testing.assert_array_equal(np.isnan(found["lai"]), masked)


@pytest.mark.parametrize("scene", STRICKHOF)
def test_farmland_chips(data_dir, tmp_path, scene):
    source = data_dir / "rasters" / f"Strickhof_{scene}_T32TMT.tif"
    assert retrieve(source, "-o", tmp_path / "out.tif", "--scale", 1e-4) == 0
    assert cog_validate(tmp_path / "out.tif", strict=True)[0]
    found = bands(tmp_path / "out.tif") | bands(tmp_path / "out_quality.tif")
    valid = bands(source)["B02"] != -9999
    np.testing.assert_array_equal(np.isfinite(found["lai"]), valid)
    assert (found["quality"][~valid] == Quality.NO_DATA).all()
    assert (found["lai_sd"][valid] > 0).all()


def test_cutting_changes_nothing():
    """Beyond rounding: sums of float32 in another order, 1.2e-5 of a trait's range at most."""
    model = physvae.load("sentinel-2")
    spectra = np.random.default_rng(0).uniform(0.01, 0.5, (300, 10)).astype(np.float32)
    angles = np.tile([35.0, 5.0, np.nan], (300, 1))
    whole = retrieve_block(model, spectra, angles, variables=VARIABLES)
    parts = retrieve_block(model, spectra, angles, variables=VARIABLES, batch=7)
    span = np.repeat([model.traits[name].high - model.traits[name].low for name in VARIABLES], 4)
    np.testing.assert_allclose(parts.estimates / span, whole.estimates / span, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(parts.quality, whole.quality)


@pytest.mark.parametrize("ending", ["tif", "nc", "zarr"])
def test_s8_a_map_is_made_without_the_network(tmp_path, monkeypatch, ending):
    """Whoever would connect or look up a name fails, and nobody does."""

    def refuse(*arguments, **options):
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    safe = products.safe(tmp_path)
    options = ["--variables", "lai,fapar"]
    assert retrieve(safe, "-o", tmp_path / f"out.{ending}", *options) == 0


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".ckpt", ".joblib"])
def test_a_pickled_model_is_refused(tmp_path, capsys, suffix):
    table = tmp_path / "in.csv"
    table.write_text("B2\n0.1\n")
    model = tmp_path / f"model{suffix}"
    model.write_bytes(b"\x80\x04.")
    assert retrieve(table, "-o", tmp_path / "out.csv", "--model", model) == 3
    assert model.name in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
