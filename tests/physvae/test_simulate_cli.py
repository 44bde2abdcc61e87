"""`physvae simulate`: the model's numbers in three formats, or one sentence and no file."""

import csv
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import zarr

import rtm
from physvae.__main__ import run

TABLE = "id,LAI,cab,sza,lma\nfirst,1,40,30,0.005\nsecond,4,60,45,0.01\n"


@pytest.fixture
def parameters(tmp_path) -> Path:
    path = tmp_path / "parameters.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def truth() -> rtm.CanopyReflectance:
    return rtm.prosail(
        sensor="sentinel-2b", lai=np.array([1.0, 4.0]), cab=np.array([40.0, 60.0]),
        tts=np.array([30.0, 45.0]), cm=np.array([0.005, 0.01]),
    )  # fmt: skip


def simulate(parameters: Path, output: Path, *options: str) -> int:
    return run(["simulate", str(parameters), "-o", str(output), *options])


def test_csv_holds_the_model_and_passes_other_columns(parameters, truth, tmp_path, capfd):
    output = tmp_path / "spectra.csv"
    assert simulate(parameters, output, "--sensor", "sentinel-2b") == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    found = np.array([[float(row[band]) for band in truth.band] for row in rows])
    np.testing.assert_allclose(found, truth.rso.numpy(), rtol=1e-6)  # written with 7 digits
    assert [row["id"] for row in rows] == ["first", "second"]
    told = capfd.readouterr().err
    assert "taken as default: n_leaf 1.5" in told
    assert "not a parameter, passed through: id" in told


def test_netcdf_holds_all_factors(parameters, truth, tmp_path):
    output = tmp_path / "spectra.nc"
    assert simulate(parameters, output, "--sensor", "sentinel-2b") == 0
    with netCDF4.Dataset(output) as file:
        assert tuple(file["band"][:]) == truth.band
        for name in ("rso", "rdo", "rsd", "rdd", "fapar", "fcover"):
            np.testing.assert_array_equal(file[name][:], getattr(truth, name).numpy())
        assert file["cab"].units == "µg cm⁻²"


def test_zarr_without_sensor_has_every_nm_and_replaces_an_old_result(parameters, tmp_path):
    output = tmp_path / "spectra.zarr"
    assert simulate(parameters, output) == 0
    assert simulate(parameters, output) == 0
    group = zarr.open_group(output, mode="r")
    assert group["rso"].shape == (2, 2101)
    np.testing.assert_array_equal(group["wavelength"][:], np.arange(400.0, 2501.0))


def test_a_result_does_not_depend_on_the_block_it_falls_into(tmp_path):
    """600 rows are three blocks; the last rows are simulated again on their own."""
    rows = "".join(f"{0.01 * i},{i % 80}\n" for i in range(600))
    many, few = tmp_path / "many.csv", tmp_path / "few.csv"
    many.write_text("lai,tts\n" + rows)
    few.write_text("lai,tts\n" + "".join(rows.splitlines(keepends=True)[-3:]))
    for path in (many, few):
        assert simulate(path, path.with_suffix(".nc"), "--sensor", "sentinel-2a") == 0
    with (
        netCDF4.Dataset(many.with_suffix(".nc")) as a,
        netCDF4.Dataset(few.with_suffix(".nc")) as b,
    ):
        np.testing.assert_allclose(a["rso"][-3:], b["rso"][:], rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lai,tts\n1,30\n-2,30\n", "row 2, column lai: expected lai at least 0, got -2"),
        ("lai,sza\n1,90\n", "row 1, column sza: expected tts at least 0 and below 90, got 90"),
        ("lai\n1\nthick\n", "row 2, column lai: expected a number, got 'thick'"),
        ("lai,cab\n1,40\n2,\n", "row 2, column cab: expected cab at least 0, got an empty cell"),
        ("lai,n\n1,0.5\n", "row 1, column n: expected n_leaf at least 1, got 0.5"),
        ("cm,lma\n1,1\n", "expected one column for cm, got cm, lma"),
        ("lai\n", "expected a header and at least one row"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(text, words, tmp_path, capfd):
    table = tmp_path / "wrong.csv"
    table.write_text(text)
    assert simulate(table, tmp_path / "spectra.csv") == 3
    told = capfd.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.csv"]


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("s.txt", (), "expected .csv, .nc, .zarr"),
        ("s.csv", ("--leaf", "PRO"), "leaf: expected one of D, 5"),
        ("s.csv", ("--sensor", "eye"), "sensor: expected one of sentinel-2a"),
        ("parameters.csv", (), "expected another file than the input"),
    ],
)
def test_wrong_usage_is_told(output, options, words, parameters, tmp_path, capfd):
    assert simulate(parameters, tmp_path / output, *options) == 2
    assert words in capfd.readouterr().err
    assert parameters.read_text() == TABLE
