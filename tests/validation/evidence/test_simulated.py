"""Simulations as a field campaign: truths in their posteriors, and a test that sees the rest."""

import numpy as np
import pytest

from inversion.kernel import load_model
from validation.evidence import simulated
from validation.metrics import probabilistic


@pytest.fixture(scope="module")
def model():
    return load_model("sentinel-2", "cpu")


def test_simulations_are_a_field_table(model):
    found = simulated.table(model, 50, seed=3)
    assert set(model.bands) < set(found.columns)
    assert found["site"].nunique() == simulated.GROUPS
    assert (found["lai"] > 0).all()
    again = simulated.table(model, 50, seed=3)
    np.testing.assert_array_equal(found["lai"], again["lai"])


@pytest.mark.parametrize("gaps", [False, True])
def test_the_shipped_model_holds_on_its_own_simulations(model, gaps):
    """2,000 draws: a share of 90 % has a standard error of 0.7 %; five of them are allowed."""
    found = simulated.ranks(model, ("lai", "cab"), 2000, seed=5, gaps=gaps)
    for trait in ("lai", "cab"):
        assert found[trait].coverage[0.9] == pytest.approx(0.9, abs=0.035)
        assert found[trait].pits.mean() == pytest.approx(0.5, abs=0.035)
        assert 0 < found[trait].crps < found[trait].prior_crps


def test_the_test_of_uniformity_sees_what_is_not():
    """Even places have p near 1, a posterior half as wide as it should be none."""
    even = (np.arange(2000) + 0.5) / 2000
    assert probabilistic.chi_square(even) == pytest.approx(1.0)
    narrow = np.where(np.random.default_rng(0).random(2000) < 0.2, 0.001, even)
    assert probabilistic.chi_square(narrow) < 1e-12
    assert probabilistic.chi_square(even[:50]) is None


def test_the_prior_itself_is_calibrated_and_no_better_than_itself():
    truth = np.random.default_rng(0).normal(size=4000)
    levels = np.array(probabilistic.GRID)
    found = simulated._ranked(truth, np.tile(np.quantile(truth, levels), (4000, 1)))
    assert found.coverage[0.5] == pytest.approx(0.5, abs=1e-3)
    assert found.crps == found.prior_crps
    assert found.p > 0.99
