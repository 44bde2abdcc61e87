"""`physvae validate`: exit codes, one sentence on stderr, and a report that is all there."""

import json

import numpy as np
import pandas as pd
import pytest

from physvae.__main__ import run


@pytest.fixture
def field(tmp_path):
    """A small field table with bands, and estimates of it."""
    generator = np.random.default_rng(0)
    lai = generator.uniform(0.3, 5, 12)
    table = pd.DataFrame({"site": ["A", "B"] * 6, "plot": range(12), "lai": lai})
    table.to_csv(tmp_path / "field.csv", index=False)
    estimates = table[["site", "plot"]].assign(lai=lai + 0.3, lai_p025=lai - 1, lai_p975=lai + 1)
    estimates.to_csv(tmp_path / "est.csv", index=False)
    return tmp_path / "field.csv"


def test_estimates_beside_the_field_table_give_a_report(field, tmp_path, capsys):
    estimates, report = str(tmp_path / "est.csv"), tmp_path / "report"
    assert run(["validate", str(field), "--estimates", estimates, "-o", str(report)]) == 0
    metrics = json.loads((report / "metrics.json").read_text("utf-8"))
    assert metrics["pooled"]["n"] == 12
    assert metrics["pooled"]["bias"] == pytest.approx(0.3)
    assert metrics["name"] == "est"
    shown = capsys.readouterr().out
    assert "pooled" in shown
    assert "+0.30" in shown
    for path in report.iterdir():
        assert str(path) in shown


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--estimates", "absent.csv"], 3, "absent.csv: no such file"),
        (["--estimates", "est.csv", "--model", "sentinel-2"], 2, "--model: expected none"),
        (["--estimates", "est.csv", "--trait", "mood"], 2, "trait: expected one of lai"),
        (["--estimates", "est.csv", "--trait", "ccc"], 3, "expected one measured column ccc"),
        (["--estimates", "est.csv", "--baseline", "est.csv"], 3, "expected a network in JSON"),
        (["--surprise"], 2, "No such option"),
        (["--model", "weights.pt"], 3, "weights.pt"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_no_report(
    field, tmp_path, monkeypatch, capsys, options, code, said
):
    monkeypatch.chdir(tmp_path)
    assert run(["validate", "field.csv", *options, "-o", "report"]) == code
    message = capsys.readouterr().err
    assert said in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_the_help_has_an_example(capsys):
    assert run(["validate", "--help"]) == 0
    assert "physvae validate field.csv -o report" in capsys.readouterr().out


def test_the_shipped_model_is_compared_with_sl2p_on_real_fields(data_dir, tmp_path, capsys):
    """The goals set for the shipped model on this table; SL2P has RMSE 1.15 and no interval."""
    field, net = data_dir / "field" / "field_dev.csv", data_dir / "sl2p" / "snap_v2_1_LAI.json"
    arguments = ["validate", str(field), "--baseline", str(net), "-o", str(tmp_path / "report")]
    assert run(arguments) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text("utf-8"))
    pooled = metrics["pooled"]
    assert pooled["n"] == pooled["n_interval"] == 267
    assert pooled["rmse"] <= 1.05
    assert abs(pooled["bias"]) <= 0.3
    assert pooled["coverage_95"] >= 0.88
    assert metrics["baselines"]["snap_v2_1_LAI"]["pooled"]["rmse"] > pooled["rmse"]
    assert len(metrics["sites"]) == 5
