"""Coverage, PIT and scores equal hand calculations and are right for a right distribution."""

import numpy as np
import pytest
from scipy import stats

from validation.metrics import probabilistic

GRID = np.array(probabilistic.GRID)


def normal(n: int = 4000, wrong: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draws of normals with unlike means and sds, and their quantiles, `wrong` times as wide."""
    generator = np.random.default_rng(1)
    mean, sd = generator.normal(3, 1, n), generator.uniform(0.3, 1.5, n)
    drawn = generator.normal(mean, sd)
    return drawn, mean[:, None] + wrong * sd[:, None] * stats.norm.ppf(GRID)


def test_pit_is_the_place_between_the_quantiles():
    """Quantiles 1, 2, 4 at 0.25, 0.5, 0.75: 3 is half way, 1 is on one, 0 and 9 are beyond."""
    q = np.tile([1.0, 2.0, 4.0], (5, 1))
    q[4, 1] = np.nan
    found = probabilistic.pit(np.array([3.0, 1.0, 0.0, 9.0, 2.0]), q, np.array([0.25, 0.5, 0.75]))
    assert found[:4] == pytest.approx([0.625, 0.125, 0.125, 0.875], abs=1e-12)
    assert np.isnan(found[4])


def test_pit_is_the_distribution_function_of_a_normal():
    drawn, quantiles = normal(500)
    mean = quantiles[:, 99]
    sd = (quantiles[:, 167] - mean) / stats.norm.ppf(GRID[167])
    exact = stats.norm.cdf(drawn, mean, sd)
    inner = (exact > 0.02) & (exact < 0.98)
    found = probabilistic.pit(drawn, quantiles, GRID)
    assert found[inner] == pytest.approx(exact[inner], abs=1e-3)


def test_a_right_distribution_is_flat_and_a_narrow_one_is_not():
    """4000 draws: the mean of the PIT within 4 standard errors of 1/2, its variance of 1/12."""
    drawn, quantiles = normal()
    right = probabilistic.uniformity(probabilistic.pit(drawn, quantiles, GRID))
    assert right["pit_mean"] == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 4000))
    assert right["pit_variance"] == pytest.approx(1 / 12, abs=0.004)
    drawn, narrow = normal(wrong=0.5)
    wrong = probabilistic.uniformity(probabilistic.pit(drawn, narrow, GRID))
    assert wrong["pit_variance"] > 0.12
    counts = probabilistic.histogram(probabilistic.pit(drawn, narrow, GRID))
    assert counts[0] > 2 * counts[5]
    assert sum(counts) == 4000


@pytest.mark.parametrize(("wrong", "expected"), [(1.0, 0.9), (0.5, 0.589)])
def test_reliability_is_the_normals(wrong, expected):
    """Half as wide, the nominal 90 % interval holds 2 Φ(0.5 · 1.645) − 1 = 58.9 %."""
    drawn, quantiles = normal(wrong=wrong)
    curve = {round(e["nominal"], 3): e for e in probabilistic.reliability(drawn, quantiles, GRID)}
    assert len(curve) == 99
    assert curve[0.9]["observed"] == pytest.approx(expected, abs=0.03)
    assert curve[0.9]["width"] == pytest.approx(np.mean(quantiles[:, 189] - quantiles[:, 9]))


def test_crps_equals_the_closed_form_of_a_normal():
    """Gneiting & Raftery 2007, eq. 21; 199 levels miss the tails by less than 1 %."""
    drawn, quantiles = normal(400)
    mean = quantiles[:, 99]
    sd = (quantiles[:, 167] - mean) / stats.norm.ppf(GRID[167])
    z = (drawn - mean) / sd
    exact = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    found = probabilistic.crps(drawn, quantiles, GRID)
    assert found.mean() == pytest.approx(exact.mean(), rel=0.01)


def test_crps_and_interval_score_by_hand():
    """Quantiles 1, 2, 3 at 1/4, 1/2, 3/4 of m = 2.5: pinball 0.375, 0.25, 0.125; mean doubled."""
    levels, q = np.array([0.25, 0.5, 0.75]), np.array([[1.0, 2.0, 3.0]])
    assert probabilistic.crps(np.array([2.5]), q, levels)[0] == pytest.approx(0.5, abs=1e-12)
    found = probabilistic.winkler(np.array([4.0]), q[:, 0], q[:, 2], level=0.5)
    assert np.ravel(found)[0] == pytest.approx((3 - 1) + 2 / 0.5 * (4 - 3), abs=1e-12)


def test_names_of_quantiles_come_back():
    for level in (*probabilistic.GRID, 0.025, 0.975):
        assert probabilistic.probability_of(probabilistic.quantile_name(level)) == pytest.approx(
            level
        )
    assert probabilistic.even_steps(GRID)
    assert not probabilistic.even_steps(np.array([0.025, 0.5, 0.975]))


def test_groups_by_predicted_sd_hold_all_rows():
    spread = np.linspace(0.1, 2, 80)
    error = np.where(np.arange(80) % 2, spread, -spread)
    groups = probabilistic.by_spread(error, spread)
    assert sum(g["n"] for g in groups) == 80
    assert [g["sd"] for g in groups] == pytest.approx([g["rmse"] for g in groups])
    assert probabilistic.by_spread(error[:9], spread[:9]) == []
