"""Conformal factors are order statistics, hold on new rows, and say what they cannot promise."""

import numpy as np
import pytest

from validation.calibration import conformal


def test_a_score_is_the_stretch_that_reaches_the_measurement():
    score = conformal.scores(
        np.array([4.0, 1.0, 2.0, np.nan]), np.full(4, 2.0), np.full(4, 1.5), np.full(4, 3.0)
    )
    assert score[:3].tolist() == [2.0, 2.0, 0.0]
    assert np.isnan(score[3])


def test_split_takes_the_order_statistic():
    """n = 19, L = 0.9: the ⌈20 · 0.9⌉ = 18th smallest; L = 0.95 the 19th; 18 rows are too few."""
    score = np.arange(1.0, 20.0)
    assert conformal.factor(score, level=0.9).factor == 18.0
    assert conformal.factor(score, level=0.95) == (19.0, "95% of new rows like these")
    assert conformal.factor(score[:18], level=0.95) == (18.0, "none: 18 rows, 19 needed")


def test_split_holds_on_new_rows_on_average():
    """500 times 60 rows, and one new: covered within 4 standard errors of 90 %, not below."""
    generator = np.random.default_rng(2)
    factors = (conformal.factor(generator.exponential(size=60), level=0.9) for _ in range(500))
    hits = [generator.exponential() <= found.factor for found in factors]
    assert np.mean(hits) == pytest.approx(0.9 + 0.5 / 61, abs=4 * np.sqrt(0.09 / 500))


def test_every_site_weighs_the_same():
    """A site of 100 small scores and one of 2 large ones: half the weight is large."""
    score = np.concatenate([np.full(100, 1.0), np.full(2, 5.0)])
    sites = np.repeat(["big", "small"], [100, 2])
    found = conformal.factor(score, level=0.9, sites=sites, method="site")
    assert found == (5.0, "none: 2 sites, 9 needed")
    assert conformal.factor(score, level=0.9).factor == 1.0


def test_with_enough_sites_a_new_site_is_covered():
    """30 sites with a spread of their own, 300 times: a new site's rows within 2 % of 90 %."""
    generator = np.random.default_rng(3)
    shares = []
    for _ in range(300):
        scale = generator.lognormal(0, 0.5, 31)
        score = np.abs(generator.normal(0, scale, (20, 31)))
        sites = np.tile(np.arange(30), 20)
        found = conformal.factor(score[:, :30].ravel(), level=0.9, sites=sites, method="site")
        assert found.guarantee == "90% at a new site"
        shares.append(np.mean(score[:, 30] <= found.factor))
    assert 0.9 - 0.02 <= np.mean(shares) <= 0.97


def test_a_site_left_out_is_judged_by_the_others():
    score = np.array([1.0, 1.0, 3.0, 3.0])
    found = conformal.leave_one_site_out(score, np.array(["a", "a", "b", "b"]), level=0.5)
    assert found["a"] == {"n": 2, "factor": 3.0, "before": 1.0, "after": 1.0}
    assert found["b"] == {"n": 2, "factor": 1.0, "before": 0.0, "after": 0.0}
    assert conformal.leave_one_site_out(score, np.zeros(4), level=0.5) == {}
