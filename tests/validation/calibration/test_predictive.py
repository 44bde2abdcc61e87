"""The quantiles that are judged are those of the distribution that users are given."""

import numpy as np
import pandas as pd
import pytest
import torch

from inversion.calibration import Calibration, Factors
from inversion.kernel import load_model
from physvae.errors import InputError
from physvae.field_interval import without_field
from physvae.user_priors import Bounds, UserPrior
from validation import evaluate
from validation.calibration.predictive import retrieve_with_quantiles, stated, trait_quantiles
from validation.metrics import probabilistic
from validation.pipeline import adjusted


@pytest.fixture(scope="module")
def model():
    return load_model("sentinel-2", "cpu")


@pytest.fixture(scope="module")
def field():
    """Three spectra of vegetation and one without data."""
    bands = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
    green = [0.03, 0.06, 0.04, 0.10, 0.31, 0.40, 0.42, 0.44, 0.19, 0.09]
    bare = [0.08, 0.11, 0.15, 0.18, 0.20, 0.22, 0.24, 0.26, 0.33, 0.29]
    mixed = (np.array(green) + bare) / 2
    rows = np.stack([green, bare, mixed, np.full(10, np.nan)])
    table = pd.DataFrame(rows, columns=list(bands))
    named = {"plot": list("abcd"), "site": "s", "lai": [3.0, 0.2, 1.0, 1.0]}
    return table.assign(sun_zenith_deg=30.0, **named)


def test_quantiles_of_a_trait_are_those_of_the_estimates(model, field):
    """Where the model states an interval of quantiles, ours at 2.5 and 97.5 % are its ends."""
    plain = without_field(model)
    assert stated(plain, "cab") == "2.5 % and 97.5 % quantile"
    found = retrieve_with_quantiles(field, plain, "cab")
    for end in ("025", "975"):
        np.testing.assert_allclose(found[f"cab_q{end}"][:3], found[f"cab_p{end}"][:3], rtol=1e-5)
    assert found.filter(like="cab_q").shape == (4, 199)
    assert found.filter(like="cab_q").iloc[3].isna().all()


def test_a_stated_interval_and_the_quantiles_are_kept_apart(model, field):
    """The shipped interval of LAI is meant for measurements; PIT and CRPS never see it."""
    assert "set with field measurements" in stated(model, "lai")
    found = retrieve_with_quantiles(field, model, "lai")
    high = (found["lai"] + 1.959964 * found["lai_sd"])[:3]
    np.testing.assert_allclose(found["lai_p975"][:3], high, rtol=1e-5)
    quantiles = found.filter(like="lai_q").to_numpy()
    assert (np.diff(quantiles[:3]) >= 0).all()
    report = evaluate(found, field)
    calibration = report.metrics["calibration"]
    known = field["lai"].to_numpy()[:3]
    inside = (quantiles[:3, 4] <= known) & (known <= quantiles[:3, 194])
    assert calibration["levels"]["0.95"]["coverage"] == inside.mean()
    assert calibration["levels"]["0.95"]["width"] == pytest.approx(
        (quantiles[:3, 194] - quantiles[:3, 4]).mean()
    )
    assert calibration["stated_95"]["width"] == pytest.approx(report.metrics["pooled"]["width_95"])
    expected = probabilistic.crps(known, quantiles[:3], np.array(probabilistic.GRID)).mean()
    assert calibration["crps"] == pytest.approx(expected, abs=1e-9)


def test_a_model_without_marginals_is_asked_for_its_posterior(model):
    class Bare:
        summaries = None

        def __getattr__(self, name):
            return getattr(model, name)

    spectrum = torch.tensor([[0.03, 0.06, 0.04, 0.10, 0.31, 0.40, 0.42, 0.44, 0.19, 0.09]])
    angles = torch.tensor([[30.0, 5.0, 90.0]])
    flow = trait_quantiles(Bare(), spectrum, angles, "lai", (0.1, 0.5, 0.9))
    law = trait_quantiles(model, spectrum, angles, "lai", (0.1, 0.5, 0.9))
    assert flow.shape == law.shape == (1, 3)
    assert (np.diff(flow) > 0).all()
    assert flow == pytest.approx(law, rel=0.3)  # two networks, one simulator


def test_columns_of_the_distribution_come_before_those_that_are_stated():
    names = ["lai", "lai_sd", "lai_p025", "lai_p975", "lai_q500", "lai_q100", "cab_q900"]
    assert probabilistic.quantile_columns(names, "lai") == {0.1: "lai_q100", 0.5: "lai_q500"}
    assert list(probabilistic.quantile_columns(names[:4], "lai")) == [0.025, 0.975]


def test_an_adjustment_stretches_the_stated_interval_and_the_quantiles_alike():
    """Twice as wide around the mean of 3: 2 becomes 1, 4.2 becomes 5.4."""
    table = {"lai": [3.0], "lai_sd": [0.5], "lai_p025": [2.0], "lai_p975": [4.0]}
    table |= {"lai_q025": [2.2], "lai_q500": [3.1], "lai_q975": [4.2]}
    twice = Calibration({"lai": Factors((0.95,), (2.0,), 2.0)})
    found = adjusted(pd.DataFrame(table), twice, "lai").iloc[0]
    assert found[["lai_p025", "lai_p975"]].tolist() == pytest.approx([1.0, 5.0])
    assert found[["lai_q025", "lai_q500", "lai_q975"]].tolist() == pytest.approx([1.4, 3.2, 5.4])
    assert found["lai_sd"] == 1.0
    with pytest.raises(InputError, match="expected quantiles of lai to adjust, got none"):
        adjusted(pd.DataFrame({"lai": [3.0]}), twice, "lai")


def test_quantiles_under_a_prior_are_those_of_its_estimates():
    """Of a prior that leaves LAI alone in 2-4, all lie there; the median is near the mean."""
    model = without_field(load_model("sentinel-2", "cpu"))
    prior = UserPrior("bounds", (("lai", Bounds(low=2.0, high=4.0)),))
    seen = torch.tensor([[0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10]])
    angles = torch.tensor([[40.0, 5.0, 90.0]])
    found = trait_quantiles(model, seen, angles, "lai", (0.025, 0.5, 0.975), prior)
    estimate = model.estimate(seen, angles, "lai", prior=prior)
    assert found[0].tolist() == sorted(found[0])
    assert found.min() >= 2.0
    assert found.max() <= 4.0
    assert found[0, 0] == pytest.approx(float(estimate.p025["lai"]), abs=1e-4)
    assert found[0, 1] == pytest.approx(float(estimate.mean["lai"]), abs=0.2)
