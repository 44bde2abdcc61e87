"""Resampling draws whole clusters; a difference of a method with itself is nothing."""

import numpy as np
import pytest

from validation.metrics import bootstrap

RNG = np.random.default_rng(0)
MEASURED = RNG.uniform(0, 6, 300)
GOOD = MEASURED + RNG.normal(0, 0.5, 300)
POOR = MEASURED + RNG.normal(0, 1.0, 300)
SITES = np.repeat(np.arange(30), 10)


def test_means_of_draws_are_ratios_of_cluster_sums():
    """Clusters of unlike size: a draw's mean is Σ of its rows over their number, by hand."""
    values, clusters = np.array([1.0, 2.0, 3.0, 10.0, 20.0]), np.array(["a", "b", "c", "d", "d"])
    drawn = bootstrap.cluster_means({"v": values}, clusters=clusters, draws=3, seed=4)
    times = np.random.default_rng(4).multinomial(4, np.full(4, 0.25), size=3)
    sums, counts = times @ np.array([1.0, 2.0, 3.0, 30.0]), times @ np.array([1, 1, 1, 2])
    assert drawn is not None
    assert drawn["v"] == pytest.approx(sums / counts, abs=1e-12)


def test_many_clusters_have_the_spread_of_those_that_are_drawn(monkeypatch):
    """Normal sums beside multinomial ones: the same mean and spread within three per cent."""
    values = RNG.normal(3.0, 1.0, 3000)
    clusters = np.repeat(np.arange(600), 5)
    found = []
    for many in (1000, 100):
        monkeypatch.setattr(bootstrap, "MANY", many)
        drawn = bootstrap.cluster_means({"v": values}, clusters=clusters, draws=20_000, seed=1)
        assert drawn is not None
        found.append((drawn["v"].mean(), drawn["v"].std()))
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-3)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.03)


def test_a_difference_is_ours_minus_theirs_on_common_rows():
    theirs = POOR.copy()
    theirs[:5] = np.nan
    found = bootstrap.difference(MEASURED, GOOD, theirs, clusters=SITES)
    d, b = (GOOD - MEASURED)[5:], (theirs - MEASURED)[5:]
    assert found["n"] == 295
    assert found["rmse"] == pytest.approx(
        np.sqrt(np.mean(d**2)) - np.sqrt(np.mean(b**2)), abs=1e-9
    )
    assert found["mae"] == pytest.approx(np.mean(np.abs(d)) - np.mean(np.abs(b)), abs=1e-9)
    assert found["rmse_ci95"][1] < 0
    assert found["rmse_p"] < 0.01


def test_a_method_does_not_differ_from_itself():
    found = bootstrap.difference(MEASURED, GOOD, GOOD, clusters=SITES)
    assert (found["rmse"], found["rmse_p"], found["rmse_ci95"]) == (0.0, 1.0, [0.0, 0.0])


def test_few_clusters_bound_the_p_value():
    """A sign test of five sites cannot give less than 2/2⁵."""
    sites = np.repeat(np.arange(5), 60)
    found = bootstrap.difference(MEASURED, GOOD, POOR, clusters=sites)
    assert found["rmse_p"] == pytest.approx(2 / 32)
    few = bootstrap.difference(MEASURED, GOOD, POOR, clusters=sites % 2)
    assert few["rmse_p"] is None
    assert few["rmse_ci95"] is None


def test_nothing_in_common_says_nothing():
    found = bootstrap.difference(MEASURED, GOOD, MEASURED * np.nan, clusters=SITES)
    assert (found["n"], found["rmse"]) == (0, None)
