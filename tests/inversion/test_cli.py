"""`physvae retrieve` as it is called: exit codes, one sentence, the files it leaves."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rasterio

from inversion.kernel import load_model
from inversion.quality import Quality
from physvae.__main__ import run
from physvae.errors import InputError

HEADER = "plot,B2,B3,B4,B5,B6,B7,B8,B8A,B11,B12,sun_zenith_deg,lai\n"
ROW = "007,0.03,0.05,0.03,0.1,0.3,0.36,0.38,0.4,0.2,0.1,30,2.5\n"

COMMAND = EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands")


@pytest.fixture
def plots(tmp_path):
    path = tmp_path / "plots.csv"
    path.write_text(HEADER + ROW + ROW.replace("0.38", ""))
    return path


def retrieve(*arguments) -> int:
    return run(["retrieve", *map(str, arguments)], [COMMAND])


def test_a_table(shipped, plots, tmp_path, capsys):
    assert retrieve(plots, "-o", tmp_path / "out.csv") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "2 of 2 rows estimated, mean lai 1.85"
    assert "bit 10: an angle was not given" in out
    assert out.splitlines()[-1] == f"written: {tmp_path / 'out.csv'}"
    absent = (
        "no column view_zenith_deg, relative_azimuth_deg; the model averages over what is missing"
    )
    assert err.splitlines() == [f"note: {plots}: {absent}"]
    result = pd.read_csv(tmp_path / "out.csv", dtype={"plot": str})
    assert result["plot"].tolist() == ["007", "007"]
    assert result["lai_input"].tolist() == [2.5, 2.5]
    assert list(result.columns)[-1] == "quality"
    assert len(result.columns) == 13 + 7 * 4 + 1


def test_chosen_variables_and_angles(shipped, plots, tmp_path):
    options = ["--variables", "cab,lai", "--view-zenith", 3, "--relative-azimuth", 400]
    assert retrieve(plots, "-o", tmp_path / "out.parquet", *options) == 0
    result = pd.read_parquet(tmp_path / "out.parquet")
    assert list(result.columns)[13:17] == ["cab", "cab_sd", "cab_p025", "cab_p975"]
    assert result["quality"].eq(0).all()


def test_an_image(shipped, geotiff, meadow, tmp_path, capsys):
    layers = meadow()
    stored = {name: np.rint(value * 1e4).astype(np.uint16) for name, value in layers.items()}
    stored["SCL"] = np.full((6, 8), 4, np.uint16)
    stored["SCL"][0] = 9
    stored["B2"][:, 0] = stored["B3"][:, 0] = 0
    source = geotiff(stored)
    output = tmp_path / "out.tif"
    assert retrieve(source, "-o", output, "--scale", 1e-4, "--sun-zenith", 30) == 0
    assert "40 of 48 pixels estimated" in capsys.readouterr().out
    with rasterio.open(output) as file:
        assert file.count == 28
        assert np.isnan(file.read(1)[0]).all()
    with rasterio.open(tmp_path / "out_quality.tif") as file:
        assert (file.read(1)[0] & Quality.MASKED_BY_SCENE_CLASS).all()
    record = json.loads((tmp_path / "out.tif.json").read_text())
    assert record["inputs"][0]["file"] == "image.tif"
    assert record["model"]["name"] == "stand-in"
    assert record["options"]["radiometry"]["scale"] == 1e-4
    for suffix in ("nc", "zarr"):
        assert retrieve(source, "-o", tmp_path / f"out.{suffix}", "--scale", 1e-4) == 0


def test_an_image_without_any_data_is_written_as_such(shipped, geotiff, meadow, tmp_path):
    source = geotiff({name: values * 0 for name, values in meadow().items()})
    assert retrieve(source, "-o", tmp_path / "out.nc") == 0
    assert shipped.pixels == 0


def test_a_single_valid_pixel_is_the_only_estimate(shipped, geotiff, meadow, tmp_path):
    layers = {name: np.full((6, 8), 65535, np.uint16) for name in meadow()}
    for name, values in meadow().items():
        layers[name][3, 5] = np.rint(values[3, 5] * 1e4)
    assert retrieve(geotiff(layers), "-o", tmp_path / "out.tif", "--scale", 1e-4) == 0
    with rasterio.open(tmp_path / "out.tif") as file:
        assert np.argwhere(np.isfinite(file.read(1))).tolist() == [[3, 5]]
    with rasterio.open(tmp_path / "out_quality.tif") as file:
        assert (file.read(1) == Quality.NO_DATA).sum() == 47


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--variables", "lai,height"], 2, "expected some of lai, cab"),
        (["--device", "tpu"], 2, "expected auto, cpu or cuda"),
        (["--sun-zenith", 95], 2, "sun_zenith: expected degrees in [0, 90), got 95"),
        (["--keep-classes", "green"], 2, "--keep-classes: expected numbers or all"),
        (["--bands", "B2,B3"], 2, "expected as many names as"),
        (["--offset", -1000, "--scale", 1e-4], 2, "write --offset -0.1"),
        (["--scale", "much"], 2, "valid number"),
        (["--unknown"], 2, "unknown"),
        (["--scale", 1000], 3, "expected reflectance 0-1"),
    ],
)
def test_wrong_options(shipped, plots, tmp_path, capsys, options, code, said):
    assert retrieve(plots, "-o", tmp_path / "out.csv", *options) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert [file.name for file in tmp_path.iterdir()] == ["plots.csv"]


@pytest.mark.parametrize("output", ["out.xlsx", "out", "out.tif", "absent/out.csv", "plots.csv"])
def test_wrong_outputs(shipped, plots, tmp_path, capsys, output):
    assert retrieve(plots, "-o", tmp_path / output) == 2
    assert capsys.readouterr().err.startswith("error: output: expected")
    assert [file.name for file in tmp_path.iterdir()] == ["plots.csv"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.05", "green", "got 'green'"),
        ("0.05", "3000", "found 3000"),
        (",B3,", ",B2,", "found twice: B2"),
        ("B", "C", "expected columns B2"),
    ],
)
def test_refused_tables(shipped, plots, tmp_path, capsys, old, new, said):
    plots.write_text(plots.read_text().replace(old, new))
    assert retrieve(plots, "-o", tmp_path / "out.csv") == 3
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {plots}: ")
    assert "expected" in error
    assert said in error
    assert "\n" not in error
    assert [file.name for file in tmp_path.iterdir()] == ["plots.csv"]


def test_no_such_input(shipped, tmp_path, capsys):
    assert retrieve(tmp_path / "absent.csv", "-o", tmp_path / "out.csv") == 3
    assert "found none of that name" in capsys.readouterr().err


def test_help_is_quick_and_its_example_is_a_command():
    command = [sys.executable, "-X", "importtime", "-m", "physvae", "retrieve", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "physvae retrieve field.csv -o estimates.csv" in result.stdout
    for module in ("torch", "xarray", "pandas", "rasterio"):
        assert f" {module}\n" not in result.stderr


def adjustment(tmp_path, **change):
    content = {
        "format": "physvae-calibration", "schema": 1, "model": None, "method": "split",
        "traits": {
            "lai": {"unit": "m² m⁻²", "sd_factor": 1.5, "levels": {"0.95": {"factor": 0.5}}},
        },
    }  # fmt: skip
    path = tmp_path / "adjustment.json"
    path.write_text(json.dumps(content | change), "utf-8")
    return path


def test_a_calibration_adjusts_intervals_and_is_recorded(shipped, geotiff, meadow, tmp_path):
    """Half the interval, the mean as it was, the file in the sidecar."""
    scene, given = geotiff(meadow()), ("--variables", "lai,cab", "--calibration")
    adjusted = adjustment(tmp_path)
    assert retrieve(scene, "-o", tmp_path / "plain.tif", *given[:2]) == 0
    assert retrieve(scene, "-o", tmp_path / "adjusted.tif", *given, adjusted) == 0
    with rasterio.open(tmp_path / "plain.tif") as a, rasterio.open(tmp_path / "adjusted.tif") as b:
        plain, found = a.read(), b.read()
    seen = np.isfinite(plain[0])
    assert np.array_equal(plain[0][seen], found[0][seen])
    assert np.allclose(found[1][seen], 1.5 * plain[1][seen], rtol=1e-5)
    assert np.array_equal(plain[4:8, seen], found[4:8, seen])
    half = plain[0] + 0.5 * (plain[3] - plain[0])
    assert np.allclose(found[3][seen], half[seen], atol=1e-5)
    record = json.loads((tmp_path / "adjusted.tif.json").read_text("utf-8"))
    assert record["options"]["calibration"]["file"] == "adjustment.json"


def test_a_calibration_that_does_not_fit_is_refused(shipped, plots, tmp_path, capsys):
    other = adjustment(tmp_path, model={"name": "other", "sha256": "abc"})
    out = tmp_path / "out.csv"
    assert retrieve(plots, "-o", out, "--calibration", other) == 3
    assert (
        "expected a calibration of the model 000000000000, got one of abc"
        in capsys.readouterr().err
    )
    assert retrieve(plots, "-o", out, "--calibration", adjustment(tmp_path), "--refine", 5) == 2
    assert "expected the method amortised, got refined" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--refine", 5, "--method", "lut"), "--refine: expected the method refined"),
        (("--refine", 5, "--method", "nonsense"), "method: expected one of amortised"),
        (("--window", 3), "--window: expected --points"),
        (("--format", "nc"), "--format: expected a list of products"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    shipped, plots, tmp_path, capsys, options, reason
):
    assert retrieve(plots, "-o", tmp_path / "out.csv", *options) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("layout", ["patch", "series"])
def test_a_model_of_patches_or_series_is_refused_in_words(monkeypatch, layout):
    model = SimpleNamespace(layout=layout)
    monkeypatch.setattr("physvae.load", lambda path, device: model)
    with pytest.raises(InputError, match="spatial: expected a model of single pixels"):
        load_model("spatial", "cpu")
