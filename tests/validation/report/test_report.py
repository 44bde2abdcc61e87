"""`evaluate` compares what belongs together; a report is valid, complete and safe to open."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError, UsageError
from validation import Report, evaluate
from validation.baselines.networks import load_net

KINDS = ("scatter", "sites", "coverage", "calibration", "residuals")
EVIL = '=cmd|"<script>alert(1)</script>$x_{^'


def tables(n: int = 40, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A field table of four sites and estimates of it with normal errors and honest intervals."""
    generator = np.random.default_rng(seed)
    lai = generator.uniform(0.2, 6, n)
    field = pd.DataFrame(
        {
            "site": [f"site {i % 4}" for i in range(n)],
            "plot": [f"p{i}" for i in range(n)],
            "field_date": "2021-06-01",
            "lai": lai,
            "lai_std": 0.2,
        }
    )
    mean = lai + generator.normal(0, 0.5, n)
    estimates = field[["site", "plot", "field_date"]].assign(
        lai_input=lai,
        lai=mean,
        lai_sd=0.5,
        lai_p025=mean - 0.98,
        lai_p975=mean + 0.98,
        quality=np.tile([0, 32, 1024, 64], n // 4),
    )
    return estimates, field


def strict(text: str) -> dict:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_pooled_and_per_site_are_numpys_numbers():
    estimates, field = tables()
    report = evaluate(estimates, field)
    error = (estimates["lai"] - field["lai"]).to_numpy()
    assert report.metrics["pooled"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert list(report.metrics["sites"]) == [f"site {i}" for i in range(4)]
    for i in range(4):
        scores = report.metrics["sites"][f"site {i}"]
        assert scores["n"] == 10
        assert scores["bias"] == pytest.approx(error[i::4].mean())
    assert report.metrics["pooled"]["coverage_95"] == np.mean(np.abs(error) <= 0.98)


def test_the_order_of_the_estimates_does_not_matter():
    estimates, field = tables()
    shuffled = estimates.drop(columns="lai_input").sample(frac=1, random_state=1)
    assert evaluate(shuffled, field).metrics == evaluate(estimates, field).metrics


def test_rows_left_out_are_counted_with_their_reason():
    estimates, field = tables()
    field.loc[[0, 3], "lai"] = np.nan
    estimates.loc[5, ["lai", "lai_p025", "lai_p975"]] = np.nan
    report = evaluate(estimates.drop(index=[7, 8], columns="lai_input"), field)
    assert {why: d["rows"] for why, d in report.metrics["dropped"].items()} == {
        "no measured lai": [1, 4],
        "no matching row in the estimates": [8, 9],
        "no estimate (no data)": [6],
    }
    assert report.metrics["rows"] == {"field": 40, "compared": 35, "estimates": 38}
    assert len(report.pairs) == report.metrics["pooled"]["n"] == 35


def test_unflagged_rows_are_those_the_estimates_trust_themselves():
    """32 and 64 are bits 5 and 6; a filled-in angle (1024) is no doubt about the estimate."""
    estimates, field = tables()
    metrics = evaluate(estimates, field).metrics
    assert metrics["unflagged"]["n"] == 20
    assert metrics["quality"] == {
        "outside_training_domain": 10,
        "spectrum_misfit": 10,
        "angle_filled_in": 10,
    }
    assert evaluate(estimates.drop(columns="quality"), field).metrics["unflagged"] is None


def test_estimates_without_intervals_have_no_coverage(tmp_path):
    estimates, field = tables()
    report = evaluate(estimates[["site", "plot", "field_date", "lai"]], field)
    assert report.metrics["pooled"]["coverage_95"] is None
    names = {path.name for path in report.write(tmp_path / "report")}
    assert "lai_coverage.png" not in names
    assert "lai_scatter.png" in names


def test_a_baseline_is_measured_on_the_same_rows_and_ours_again_on_those(data_dir):
    field = pd.read_csv(data_dir / "field" / "field_dev.csv")
    net = load_net(data_dir / "sl2p" / "snap_v2_1_LAI.json")
    field.loc[0, "B5"] = np.nan
    estimates = field.assign(lai=field["lai"] + 0.5, lai_input=field["lai"])
    metrics = evaluate(estimates, field, baselines=[net]).metrics
    baseline = metrics["baselines"]["snap_v2_1_LAI"]
    assert (metrics["pooled"]["n"], baseline["pooled"]["n"]) == (267, 266)
    assert baseline["estimates_on_same_rows"]["n"] == 266
    assert metrics["pooled"]["bias"] == pytest.approx(0.5)


def test_sl2p_has_its_known_errors_on_the_field_table(data_dir):
    """Known from an independent evaluation of the same network, given to 0.01."""
    field = pd.read_csv(data_dir / "field" / "field_dev.csv")
    net = load_net(data_dir / "sl2p" / "snap_v2_1_LAI.json")
    estimates = field.assign(lai=net(field), lai_input=field["lai"])
    metrics = evaluate(estimates, field, baselines=[net]).metrics
    found = metrics["baselines"]["snap_v2_1_LAI"]
    assert found["pooled"]["rmse"] == metrics["pooled"]["rmse"]
    assert found["pooled"]["rmse"] == pytest.approx(1.15, abs=0.005)
    assert found["pooled"]["bias"] == pytest.approx(-0.15, abs=0.005)
    assert found["pooled"]["r"] == pytest.approx(0.78, abs=0.005)
    expected = {"france": 0.84, "italy": 0.71, "spain": 1.39, "Swiss": 1.01, "Arenen": 1.15}
    for part, rmse in expected.items():
        (scores,) = (s for site, s in found["sites"].items() if part in site)
        assert scores["rmse"] == pytest.approx(rmse, abs=0.006)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"lai": None}, InputError, "estimates: expected a column lai, got site, plot"),
        ({"lai": np.nan}, InputError, "expected a number in column lai, got none"),
        ({"lai": "high"}, InputError, "estimates, row 1, column lai: expected a finite number"),
        ({"quality": 0.5}, InputError, "quality: expected whole numbers"),
    ],
)
def test_estimates_that_cannot_be_compared_are_refused(change, error, said):
    estimates, field = tables()
    ((column, value),) = change.items()
    wrong = estimates.drop(columns=column) if value is None else estimates.assign(**change)
    with pytest.raises(error, match=said):
        evaluate(wrong, field)


def test_baselines_of_another_trait_or_of_one_name_are_refused(data_dir):
    estimates, field = tables()
    fapar = load_net(data_dir / "sl2p" / "snap_v2_1_FAPAR.json")
    with pytest.raises(UsageError, match="expected estimates of lai, got fapar"):
        evaluate(estimates, field, baselines=[fapar])
    with pytest.raises(UsageError, match="expected different names"):
        evaluate(estimates, field, baselines=[fapar, fapar])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Report, Path]:
    """A report and the folder it was written to."""
    folder = tmp_path_factory.mktemp("written") / "new" / "report"
    report = evaluate(*tables())
    assert sorted(report.write(folder)) == sorted(folder.iterdir())
    return report, folder


def test_the_report_says_the_same_in_every_file(written):
    report, folder = written
    paths = {path.name: path for path in folder.iterdir()}
    assert set(paths) == {
        "metrics.json",
        "pairs.csv",
        "rows.csv",
        "report.html",
        "summary.md",
        *(f"lai_{k}.{f}" for k in KINDS for f in ("png", "svg")),
    }
    assert strict(paths["metrics.json"].read_text("utf-8")) == report.metrics
    pairs = pd.read_csv(paths["pairs.csv"])
    assert pairs["error"].std(ddof=0) == pytest.approx(report.metrics["pooled"]["ubrmse"])
    rmse = f"{report.metrics['pooled']['rmse']:.2f}"
    assert rmse in paths["summary.md"].read_text("utf-8")
    assert paths["lai_scatter.png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:overflow")
def test_json_is_valid_where_nothing_is_defined(tmp_path, monkeypatch):
    """One row: no correlation, no slope, no bootstrap; huge values overflow to infinity."""
    monkeypatch.setattr("validation.report.plots.figures", lambda *_: {})
    field = pd.DataFrame({"plot": ["a", "b"], "lai": [1.0, 1.0]})
    for values in ([2.0, np.nan], [1e200, 1e300]):
        report = evaluate(field.assign(lai=values), field)
        report.write(tmp_path / "report")
        found = strict((tmp_path / "report" / "metrics.json").read_text("utf-8"))
        assert found["pooled"]["r"] is None


def test_texts_of_the_input_cannot_act(tmp_path):
    estimates, field = tables()
    for table in (estimates, field):
        table["site"] = table["site"].replace("site 0", EVIL)
        table["plot"] = "@" + table["plot"]
        table["crop"] = "\t=1+1"
    paths = {path.name: path for path in evaluate(estimates, field).write(tmp_path / "report")}
    summary = paths["summary.md"].read_text("utf-8")
    assert "<script>" not in summary
    row = next(line for line in summary.splitlines() if "cmd" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"\|", summary.split("| ---")[0]))
    pairs = pd.read_csv(paths["pairs.csv"])
    texts = pairs.select_dtypes(exclude="number").stack().astype(str)
    assert not texts.str.contains(r"^\s*[=+@-]").any()
    for kind in ("scatter", "sites", "coverage"):
        tree = ElementTree.parse(paths[f"lai_{kind}.svg"])
        assert not [e for e in tree.iter() if str(e.tag).endswith("script")]


def test_a_failure_leaves_the_earlier_report_as_it_was(written, tmp_path, monkeypatch):
    report, folder = written
    shutil.copytree(folder, tmp_path / "report")
    before = {p.name: p.read_bytes() for p in (tmp_path / "report").iterdir()}

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("validation.report.plots.save", fail)
    with pytest.raises(OSError, match="no space"):
        Report(report.metrics | {"name": "other"}, report.pairs).write(tmp_path / "report")
    with pytest.raises(OSError, match="no space"):
        report.write(tmp_path / "second")
    assert {p.name: p.read_bytes() for p in (tmp_path / "report").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "report").write_text("mine")
    with pytest.raises(UsageError, match="expected a folder, got the file"):
        evaluate(*tables()).write(tmp_path / "report")
    assert (tmp_path / "report").read_text() == "mine"


def test_the_same_report_twice_is_the_same_bytes(written, tmp_path):
    evaluate(*tables()).write(tmp_path)
    for path in written[1].iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_another_trait_is_compared_in_its_own_unit(tmp_path):
    estimates = pd.DataFrame({"plot": list("abc"), "ccc": [0.5, 1.0, 2.5]})
    field = pd.DataFrame({"plot": list("abc"), "ccc_g_m2": [0.4, 1.2, 2.0]})
    report = evaluate(estimates, field, trait="ccc")
    assert report.metrics["unit"] == "g m⁻²"
    assert "gcos_goal_share" not in report.metrics["pooled"]
    assert (tmp_path / "ccc_scatter.png") in report.write(tmp_path)
