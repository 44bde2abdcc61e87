"""An adjustment stretches around the mean, stays in the range, and fits only its model."""

import json
import os
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from inversion.calibration import (
    Calibrated,
    Calibration,
    Factors,
    adjust,
    adjust_quantiles,
    load_calibration,
)
from physvae.errors import InputError

CONTENT = {
    "format": "physvae-calibration",
    "schema": 1,
    "model": {"name": "m", "sha256": "abc"},
    "method": "split",
    "traits": {
        "lai": {
            "unit": "m² m⁻²",
            "sd_factor": 1.5,
            "levels": {"0.95": {"factor": 2.0}, "0.5": {"factor": 1.0}},
        }
    },
}


def written(tmp_path, content):
    path = tmp_path / "adjustment.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_what_was_written_is_read(tmp_path):
    found = load_calibration(written(tmp_path, CONTENT))
    assert found.traits["lai"] == Factors((0.5, 0.95), (1.0, 2.0), 1.5)
    assert (found.model_sha256, found.method, len(found.sha256)) == ("abc", "split", 64)


def test_the_interval_is_stretched_around_the_mean():
    """Mean 3, [2, 5], factor 2: [1, 7], cut at 6.5; NaN stays NaN."""
    factors = Factors((0.5, 0.95), (1.0, 2.0), 1.5)
    mean, low, high = np.array([3.0, np.nan]), np.array([2.0, np.nan]), np.array([5.0, np.nan])
    found = adjust(factors, mean=mean, sd=mean / 3, p025=low, p975=high, low=0.0, high=6.5)
    assert found.p025[0] == 1.0
    assert found.p975[0] == 6.5
    assert found.sd[0] == 1.5
    assert all(np.isnan(part[1]) for part in found)


def test_quantiles_in_between_use_factors_in_between_and_stay_in_order():
    """Level 0.725 is half way from 0.5 to 0.95: factor 1.5."""
    factors = Factors((0.5, 0.95), (1.0, 2.0), 1.5)
    levels = np.array([0.025, 0.1375, 0.25, 0.75, 0.975])
    given = np.array([1.0, 2.0, 3.0, 5.0, 6.0])
    found = adjust_quantiles(factors, mean=4.0, quantiles=given, levels=levels)
    assert found == pytest.approx([-2.0, 1.0, 3.0, 5.0, 8.0], abs=1e-12)
    wild = adjust_quantiles(
        Factors((0.5, 0.95), (9.0, 0.1), 1.0), mean=4.0, quantiles=given, levels=levels
    )
    assert (np.diff(wild) >= 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "expected a calibration in JSON"),
        ("[]", "expected the format physvae-calibration"),
        ({"schema": 2}, "expected the format physvae-calibration, schema 1"),
        ({"traits": {}}, "expected at least one"),
        ({"traits": {"lai": {"levels": {}}}}, "expected levels with a factor each"),
        ({"traits": {"lai": {"levels": {"0.95": {"factor": -1}}}}}, "factors above 0"),
        ({"traits": {"lai": {"levels": {"95": {"factor": 1}}}}}, "levels in \\(0, 1\\)"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, change, said):
    content = change if isinstance(change, str) else CONTENT | change
    with pytest.raises(InputError, match=said):
        load_calibration(written(tmp_path, content))
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.json"):
        with pytest.raises(InputError, match="got something that is not an ordinary file"):
            load_calibration(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        load_calibration(tmp_path / "absent.json")


class Estimate(NamedTuple):
    mean: dict
    sd: dict
    p025: dict
    p975: dict


class Model:
    """Estimates of two traits that are the same for every pixel."""

    name, sha256 = "m", "abc"

    def __init__(self):
        self.traits = {k: SimpleNamespace(low=0.0, high=6.5) for k in ("lai", "cab")}

    def estimate(self, reflectance, angles, variables):
        n = len(reflectance)
        values = {"mean": 3.0, "sd": 1.0, "p025": 2.0, "p975": 5.0}
        return Estimate(
            *({v: torch.full((n,), values[p]) for v in variables} for p in Estimate._fields)
        )


def test_a_calibrated_model_adjusts_what_the_file_names_and_nothing_else(tmp_path):
    model = Calibrated(Model(), load_calibration(written(tmp_path, CONTENT)))
    found = model.estimate(torch.zeros(2, 10), torch.zeros(2, 3), ("lai", "cab"))
    assert found.p025["lai"].tolist() == [1.0, 1.0]
    assert found.p975["lai"].tolist() == [6.5, 6.5]
    assert found.sd["lai"].tolist() == [1.5, 1.5]
    assert found.mean["lai"].tolist() == [3.0, 3.0]
    assert found.p975["cab"].tolist() == [5.0, 5.0]
    assert found.p025["lai"].dtype == torch.float32
    assert model.name == "m"


def test_another_models_calibration_is_refused():
    with pytest.raises(InputError, match="expected a calibration of the model abc"):
        Calibrated(Model(), Calibration({}, model_sha256="xyz"))
