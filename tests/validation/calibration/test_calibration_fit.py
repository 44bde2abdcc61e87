"""An adjustment found on plots is read back, applied, and makes the intervals hold."""

import json

import numpy as np
import pandas as pd
import pytest

from inversion.calibration import load_calibration
from physvae.errors import InputError, UsageError
from validation import evaluate
from validation.calibration.calibration_fit import calibrate, write_calibration
from validation.pipeline import adjusted


def tables(n: int = 240, seed: int = 0):
    """Six sites; intervals half as wide as they should be."""
    rng = np.random.default_rng(seed)
    lai = rng.uniform(1, 6, n)
    mean = lai + rng.normal(0, 0.5, n)
    field = pd.DataFrame({"site": [f"s{i % 6}" for i in range(n)], "plot": range(n), "lai": lai})
    ends = {"lai_p025": mean - 0.49, "lai_p975": mean + 0.49}
    ends |= {"lai_p250": mean - 0.17, "lai_p750": mean + 0.17}
    return field[["site", "plot"]].assign(lai=mean, lai_sd=0.25, **ends), field


def test_the_factor_doubles_intervals_that_are_half_as_wide():
    """1.96 · 0.5 / 0.49 = 2; with 240 rows the 95 % quantile is within 15 %."""
    found = calibrate(*tables())["traits"]["lai"]
    assert found["levels"]["0.95"]["factor"] == pytest.approx(2.0, rel=0.15)
    assert found["levels"]["0.5"]["factor"] == pytest.approx(2.0, rel=0.25)
    assert found["levels"]["0.95"]["guarantee"] == "95% of new rows like these"
    assert set(found["levels"]["0.95"]["left_out"]["sites"]) == {f"s{i}" for i in range(6)}


def test_an_adjustment_makes_new_rows_hold(tmp_path):
    path = tmp_path / "adjustment.json"
    write_calibration(calibrate(*tables()), path)
    estimates, field = tables(seed=1)
    before = evaluate(estimates, field).metrics["pooled"]["coverage_95"]
    after = adjusted(estimates, load_calibration(path), "lai")
    scores = evaluate(after, field).metrics["pooled"]
    assert before < 0.75
    assert scores["coverage_95"] == pytest.approx(0.95, abs=0.045)
    assert scores["rmse"] == evaluate(estimates, field).metrics["pooled"]["rmse"]
    assert after["lai_sd"].iloc[0] > 0.4


def test_few_sites_promise_nothing_at_new_ones():
    found = calibrate(*tables(), method="site")["traits"]["lai"]["levels"]["0.95"]
    assert found["guarantee"] == "none: 6 sites, 19 needed"


@pytest.mark.parametrize(
    ("drop", "keep", "said"),
    [
        (["lai_p025", "lai_p250"], 240, "expected the columns lai_p025 and lai_p975"),
        ([], 6, "expected at least 10 intervals to compare, got 6"),
    ],
)
def test_what_gives_no_factor_is_refused(drop, keep, said):
    estimates, field = tables()
    with pytest.raises(InputError, match=said):
        calibrate(estimates.drop(columns=drop).head(keep), field)
    with pytest.raises(UsageError, match="expected split or site, got 'magic'"):
        calibrate(estimates, field, method="magic")


def test_the_file_is_strict_json_with_its_format(tmp_path):
    write_calibration(calibrate(*tables(), source={"field": "f.csv"}), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert (content["format"], content["schema"]) == ("physvae-calibration", 1)
    assert content["source"] == {"field": "f.csv"}
    assert content["model"] is None
