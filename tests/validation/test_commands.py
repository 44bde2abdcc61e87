"""`physvae calibrate`, and `physvae validate` with maps and bad tables: codes and sentences."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from physvae.__main__ import run as run_registered
from validation.cli import calibrate, validate

COMMANDS = [
    SimpleNamespace(name="validate", load=lambda: validate),
    SimpleNamespace(name="calibrate", load=lambda: calibrate),
]
"""As pyproject.toml registers them."""


def run(arguments: list) -> int:
    return run_registered([str(a) for a in arguments], COMMANDS)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Thirty plots of three sites, estimates of them, and the folder as the working one."""
    rng = np.random.default_rng(0)
    lai = rng.uniform(0.5, 6, 30)
    mean = lai + rng.normal(0, 0.6, 30)
    field = pd.DataFrame(
        {"site": ["A", "B", "C"] * 10, "plot": range(30), "field_date": "2022-05-15", "lai": lai}
    )
    estimates = field[["site", "plot", "field_date"]].assign(
        lai=mean, lai_sd=0.3, lai_p025=mean - 0.6, lai_p975=mean + 0.6
    )
    field.to_csv(tmp_path / "field.csv", index=False)
    estimates.to_csv(tmp_path / "est.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return field


def test_calibrate_writes_a_file_that_validate_applies(tables, tmp_path, capsys):
    assert run(["calibrate", "est.csv", "field.csv", "-o", "adjustment.json"]) == 0
    said = capsys.readouterr().out
    assert "lai 95%: factor" in said
    assert "guarantee: 95% of new rows like these" in said
    content = json.loads((tmp_path / "adjustment.json").read_text("utf-8"))
    assert content["traits"]["lai"]["levels"]["0.95"]["factor"] > 1.2
    assert content["source"]["estimates"]["file"] == "est.csv"
    for name, more in (("before", []), ("after", ["--calibration", "adjustment.json"])):
        command = ["validate", "field.csv", "--estimates", "est.csv", "-o", name, *more]
        assert run(command) == 0
    before, after = (
        json.loads((tmp_path / name / "metrics.json").read_text("utf-8"))["pooled"]
        for name in ("before", "after")
    )
    assert before["coverage_95"] < 0.9 < after["coverage_95"]
    assert before["rmse"] == after["rmse"]


def test_plots_are_looked_up_on_a_map_and_every_loss_is_told(tables, tmp_path, capsys):
    import rasterio

    values = np.full((10, 10), 3.0, "float32")
    profile = {"driver": "GTiff", "height": 10, "width": 10, "dtype": "float32", "count": 1}
    transform = rasterio.Affine(0.001, 0, 9.0, 0, -0.001, 47.01)
    path = tmp_path / "lai_20220514.tif"
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as image:
        image.write(values, 1)
        image.set_band_description(1, "lai")
    table = pd.DataFrame(
        {
            "plot": list("abcdefg"),
            "lon": [9.0005, 9.0025, 9.5, 9.0045, 9.0065, 9.0025, None],
            "lat": [47.0095, 47.0075, 47.0, 47.0055, 47.0035, 47.0075, 47.0],
            "field_date": ["2022-05-15"] * 3 + ["15 May", "2022-05-15", "2022-05-15", ""],
            "lai": [2.5, 0.0, 1.0, 1.0, -1.0, 2.0, 1.0],
        }
    )
    table.to_csv("plots.csv", index=False)
    assert run(["validate", "plots.csv", "--map", path, "-o", "report"]) == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text("utf-8"))
    assert metrics["pooled"]["n"] == 3
    assert metrics["pooled"]["bias"] == pytest.approx(np.mean([0.5, 3.0, 1.0]))
    assert {why: d["rows"] for why, d in metrics["dropped"].items()} == {
        "measured lai below 0": [5],
        "outside the map": [3],
        "no field date": [4],
        "no coordinates": [7],
    }
    rows = pd.read_csv(tmp_path / "report" / "rows.csv", keep_default_na=False)
    assert rows["used"].tolist() == [1, 1, 0, 0, 0, 1, 0]
    assert "measured 0" in rows["notes"][1]
    assert "no uncertainty" in rows["notes"][0]
    assert "no year" in rows["notes"][3]
    assert "left out: 1 × outside the map" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--map", "absent.tif"], 3, "absent.tif: no such file"),
        (["--map", "field.csv", "--estimates", "est.csv"], 2, "--map: expected none beside"),
        (["--estimates", "est.csv", "--unit", "lai"], 2, "--unit: expected NAME=VALUE, got 'lai'"),
        (["--estimates", "est.csv", "--unit", "lai=kg"], 2, "unit of lai: expected one of"),
        (["--estimates", "est.csv", "--column", "lai=x"], 3, "expected a column x, got site"),
        (["--estimates", "est.csv", "--window", "2"], 2, "--window: expected an odd number"),
        (["--estimates", "est.csv", "--campaign", "x"], 2, "--campaign: expected one of frm4veg"),
        (["--estimates", "est.csv", "--baseline", "index:x"], 2, "expected one of index:ndvi"),
        (["--estimates", "est.csv", "--calibration", "est.csv"], 3, "expected a calibration"),
        (["--estimates", "est.csv", "--date-format", "%d"], 0, ""),
    ],
)
def test_what_is_wrong_is_one_sentence(tables, tmp_path, capsys, options, code, said):
    assert run(["validate", "field.csv", *options, "-o", "report"]) == code
    message = capsys.readouterr().err
    assert said in message
    if code:
        assert message.startswith("error: ")
        assert message.count("\n") == 1
        assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["est.csv", "field.csv", "-o", "a.txt"], 2, "expected a file name ending in .json"),
        (["absent.csv", "field.csv", "-o", "a.json"], 3, "absent.csv: no such file"),
        (["est.csv", "absent.csv", "-o", "a.json"], 3, "absent.csv: no such file"),
        (["field.csv", "field.csv", "-o", "a.json"], 3, "is this the field table itself"),
        (["est.csv", "field.csv", "-o", "a.json", "--method", "x"], 2, "expected split or site"),
    ],
)
def test_what_gives_no_adjustment_is_one_sentence(tables, tmp_path, capsys, arguments, code, said):
    assert run(["calibrate", *arguments]) == code
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "a.json").exists()


def test_an_adjustment_from_a_table_that_is_written_otherwise(tables, tmp_path):
    """Other names and decimal commas change nothing."""
    assert run(["calibrate", "est.csv", "field.csv", "-o", "a.json"]) == 0
    other = tables.rename(columns={"lai": "leaves"})
    other.to_csv("other.csv", index=False, sep=";", decimal=",")
    said = ["--column", "lai=leaves", "--decimal", ","]
    assert run(["calibrate", "est.csv", "other.csv", "-o", "b.json", *said]) == 0
    found = [json.loads((tmp_path / name).read_text())["traits"] for name in ("a.json", "b.json")]
    assert found[0] == found[1]
    other.assign(lia=1.0).to_csv("near.csv", index=False)
    assert run(["calibrate", "est.csv", "near.csv", "-o", "c.json", "--strict", *said[:2]]) == 3
    assert not (tmp_path / "c.json").exists()


def test_several_measurements_of_a_plot_become_one(tables, tmp_path):
    """Two of one plot and day: their mean, and √(s² + var/2) of equal s = 0.2 and values ± 0.3."""
    field = pd.concat([tables, tables.head(1).assign(lai=tables["lai"][0] + 0.6)])
    field.assign(lai_std=0.2).to_csv("field.csv", index=False)
    assert run(["validate", "field.csv", "--estimates", "est.csv", "-o", "report"]) == 0
    pairs = pd.read_csv(tmp_path / "report" / "pairs.csv")
    assert len(pairs) == 30
    assert pairs["measured"][0] == pytest.approx(tables["lai"][0] + 0.3, abs=1e-9)
    assert pairs["measured_std"][0] == pytest.approx(np.sqrt(0.04 + 0.18 / 2), abs=1e-9)
    rows = pd.read_csv(tmp_path / "report" / "rows.csv", keep_default_na=False)
    assert "one of 2 measurements, averaged as row 1" in rows["notes"][30]


def test_the_same_row_twice_counts_once(tables, tmp_path):
    pd.concat([tables, tables.head(2)]).to_csv("field.csv", index=False)
    assert run(["validate", "field.csv", "--estimates", "est.csv", "-o", "report"]) == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text("utf-8"))
    assert metrics["dropped"] == {"the same row twice": {"count": 2, "rows": [31, 32]}}
