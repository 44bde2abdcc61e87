"""Scores equal hand calculations, numpy's and scipy's, and say None where rows define nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from validation.metrics import deterministic

MEASURED = np.array([1.0, 2.0, 3.0, 6.0])
ESTIMATE = np.array([2.0, 2.0, 5.0, 5.0])  # errors 1, 0, 2, -1


ONE_ROW = {"n", "rmse", "bias", "median_bias", "mad"}


def test_agreement_equals_the_hand_calculation():
    scores = deterministic.agreement(MEASURED, ESTIMATE)
    assert scores["n"] == 4
    assert scores["rmse"] == pytest.approx(np.sqrt(6 / 4), abs=1e-12)
    assert scores["bias"] == pytest.approx(0.5, abs=1e-12)
    assert scores["ubrmse"] == pytest.approx(np.sqrt(1.5 - 0.25), abs=1e-12)
    # errors around the mean 0.5: 0.5, -0.5, 1.5, -1.5; around the median 0.5: the same sizes
    assert scores["precision"] == pytest.approx(np.sqrt((0.25 + 0.25 + 2.25 + 2.25) / 3), abs=1e-9)
    assert scores["median_bias"] == pytest.approx(0.5, abs=1e-12)
    assert scores["mad"] == pytest.approx(1.482602218505602 * 1.0, abs=1e-9)
    # ranks 1 2 3 4 and 1.5 1.5 3.5 3.5: Σ of products of deviations 4, of squares 5 and 4
    assert scores["spearman"] == pytest.approx(4 / np.sqrt(5 * 4), abs=1e-9)
    # principal axis of the scatter matrix [[14, 9], [9, 9]]: tan 2φ = 18/5
    slope = np.tan(0.5 * np.arctan2(18, 5))
    assert scores["odr_slope"] == pytest.approx(slope, abs=1e-9)
    assert scores["odr_intercept"] == pytest.approx(3.5 - 3 * slope, abs=1e-9)
    # deviations from the means 3 and 3.5: Σ dm² = 14, Σ de² = 9, Σ dm·de = 9
    assert scores["r2"] == pytest.approx(1 - 6 / 14, abs=1e-12)
    assert scores["r"] == pytest.approx(9 / np.sqrt(14 * 9), abs=1e-12)
    assert scores["slope"] == pytest.approx(9 / 14, abs=1e-12)
    assert scores["intercept"] == pytest.approx(3.5 - 3 * 9 / 14, abs=1e-12)


def test_agreement_equals_scipy_on_random_rows():
    generator = np.random.default_rng(1)
    measured = generator.gamma(2, 1.2, 300)
    estimate = 0.8 * measured + generator.normal(0.3, 0.7, 300)
    scores = deterministic.agreement(measured, estimate)
    line = stats.linregress(measured, estimate)
    assert scores["slope"] == pytest.approx(line.slope, rel=1e-12)
    assert scores["intercept"] == pytest.approx(line.intercept, rel=1e-12)
    assert scores["r"] == pytest.approx(line.rvalue, rel=1e-12)
    assert scores["ubrmse"] ** 2 + scores["bias"] ** 2 == pytest.approx(scores["rmse"] ** 2)


def test_missing_rows_count_nowhere():
    hole = np.array([np.nan, 7.0])
    with_holes = deterministic.agreement(
        np.concatenate([MEASURED, hole]), np.concatenate([ESTIMATE, hole[::-1]])
    )
    assert with_holes == deterministic.agreement(MEASURED, ESTIMATE)


@pytest.mark.parametrize(
    ("measured", "estimate", "defined"),
    [
        ([], [], {"n"}),
        ([np.nan], [1.0], {"n"}),
        ([2.0], [3.0], ONE_ROW),
        ([2.0, 2.0], [3.0, 1.0], ONE_ROW | {"ubrmse", "precision"}),
        (
            [1.0, 2.0],
            [3.0, 3.0],
            ONE_ROW | {"ubrmse", "precision", "r2", "slope", "intercept"},
        ),
    ],
)
def test_what_the_rows_do_not_define_is_none(measured, estimate, defined):
    scores = deterministic.agreement(np.array(measured), np.array(estimate))
    assert {name for name, value in scores.items() if value is not None} == defined


def test_coverage_counts_both_ends_of_the_interval():
    """Measured 1 and 3 sit on an end, 2 inside, 6 is missed by 1: three of four, widths 2."""
    lower, upper = np.array([1.0, 1.0, 1.0, 3.0]), np.array([3.0, 3.0, 3.0, 5.0])
    scores = deterministic.intervals(MEASURED, lower, upper)
    assert scores["n_interval"] == 4
    assert scores["coverage_95"] == 0.75
    assert scores["width_95"] == 2.0
    assert scores["interval_score_95"] == pytest.approx(2 + (2 / 0.05) * 1 / 4)


def test_the_interval_score_is_the_sum_of_two_quantile_scores():
    """Gneiting & Raftery 2007, section 6.2: S = 2/α (ρ_{α/2}(m − l) + ρ_{1−α/2}(m − u))."""
    generator = np.random.default_rng(2)
    m, centre, half = generator.normal(size=(3, 500))
    low, high = centre - np.abs(half), centre + np.abs(half)

    def pinball(x: np.ndarray, tau: float) -> np.ndarray:
        return np.where(x >= 0, tau * x, (tau - 1) * x)

    expected = (2 / 0.05) * np.mean(pinball(m - low, 0.025) + pinball(m - high, 0.975))
    assert deterministic.intervals(m, low, high)["interval_score_95"] == pytest.approx(expected)


def test_a_row_without_an_interval_is_left_out_of_the_coverage():
    lower, upper = np.array([0.0, np.nan, 4.0, 0.0]), np.array([2.0, 9.0, 5.0, np.nan])
    scores = deterministic.intervals(MEASURED, lower, upper)
    assert (scores["n_interval"], scores["coverage_95"]) == (2, 0.5)
    empty = deterministic.intervals(MEASURED, lower * np.nan, upper)
    assert empty.pop("n_interval") == 0
    assert set(empty.values()) == {None}


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (14, 14), (250, 267)])
def test_wilson_is_scipys_interval(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert deterministic.wilson(hits / n, n) == pytest.approx(
        [expected.low, expected.high], abs=1e-12
    )


def test_exact_intervals_cover_95_percent_of_normal_draws():
    generator = np.random.default_rng(3)
    m = generator.normal(size=20_000)
    scores = deterministic.intervals(m, np.full_like(m, -1.959964), np.full_like(m, 1.959964))
    assert scores["coverage_95"] == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 20_000))


def test_gcos_shares_use_the_floor_at_low_lai():
    measured = np.array([0.2, 0.2, 4.0, 4.0, np.nan])
    estimate = np.array([0.29, 0.31, 4.79, 4.81, 1.0])
    assert deterministic.within(measured, estimate, relative=0.2, floor=0.1) == 0.5
    assert deterministic.within(measured * np.nan, estimate, relative=0.2, floor=0.1) is None


def test_a_limit_grows_with_the_measurements_own_uncertainty():
    """|d| = 0.6 against a limit of 0.4: E_n = 0.6/√(0.4² + (2s)²) is 1 at s = √0.05 = 0.2236."""
    m, e = np.array([2.0, 2.0, 2.0]), np.array([2.6, 2.6, 2.6])
    spread = np.array([np.nan, 0.2236, 0.2237])
    inside = deterministic.accepted(m, e, deterministic.relative_limit(0.2, 0.1), spread)
    assert inside.tolist() == [0.0, 0.0, 1.0]
    assert deterministic.within(m, e, relative=0.2, floor=0.1, spread=spread) == pytest.approx(
        1 / 3
    )


def test_orthogonal_regression_is_the_principal_axis():
    """Where both errors weigh alike the solution is known in closed form (first eigenvector)."""
    generator = np.random.default_rng(6)
    m = generator.gamma(2, 1.0, 200)
    e = 1.4 * m - 0.3 + generator.normal(0, 0.5, 200)
    scores = deterministic.agreement(m, e)
    axis = np.linalg.svd(np.stack([m - m.mean(), e - e.mean()]), full_matrices=False)[0][:, 0]
    assert scores["odr_slope"] == pytest.approx(axis[1] / axis[0], rel=1e-9)
    assert deterministic.orthogonal(np.ones(3), np.arange(3.0))["odr_slope"] is None
    weighted = deterministic.weighted_line(m, e, spread=np.ones(200), sd=np.ones(200))
    assert weighted["odr_weighted_slope"] == pytest.approx(scores["odr_slope"], rel=1e-7)
    assert weighted["odr_weighted_n"] == 200


def test_sure_measurements_make_the_line_that_of_least_squares():
    """With s → 0 only errors in e are left: Σ (e − line)² (York et al. 2004, a known limit)."""
    generator = np.random.default_rng(8)
    m = generator.uniform(0, 5, 60)
    e = 0.7 * m + 0.4 + generator.normal(0, 0.4, 60)
    found = deterministic.weighted_line(m, e, spread=np.full(60, 1e-5), sd=np.ones(60))
    slope, intercept = np.polyfit(m, e, 1)
    assert found["odr_weighted_slope"] == pytest.approx(slope, rel=1e-6)
    assert found["odr_weighted_intercept"] == pytest.approx(intercept, rel=1e-6)
    few = deterministic.weighted_line(m, e, spread=np.where(m > 1e9, 1, np.nan), sd=np.ones(60))
    assert few == {
        "odr_weighted_n": 0,
        "odr_weighted_slope": None,
        "odr_weighted_intercept": None,
    }


def test_bootstrap_covers_the_standard_error_of_independent_rows():
    """With a row a cluster the interval of the bias is ±1.96 standard errors, to 10 %."""
    generator = np.random.default_rng(4)
    measured = generator.normal(size=400)
    estimate = measured + generator.normal(0.2, 1, 400)
    low, high = deterministic.bootstrap(measured, estimate, clusters=np.arange(400))["bias_ci95"]
    half = 1.96 * np.std(estimate - measured) / 20
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_bootstrap_is_wider_when_rows_of_a_cluster_err_together():
    generator = np.random.default_rng(5)
    shift = np.repeat(generator.normal(0, 1, 20), 20)
    estimate = shift + generator.normal(0, 0.1, 400)
    measured = np.zeros(400)
    low, high = deterministic.bootstrap(measured, estimate, clusters=np.arange(400))["bias_ci95"]
    rows = high - low
    low, high = deterministic.bootstrap(measured, estimate, clusters=np.repeat(np.arange(20), 20))[
        "bias_ci95"
    ]
    assert high - low > 3 * rows


def test_bootstrap_is_repeatable_and_none_with_few_clusters():
    arguments = (MEASURED, ESTIMATE)
    first = deterministic.bootstrap(*arguments, clusters=np.arange(4))
    assert first == deterministic.bootstrap(*arguments, clusters=np.arange(4))
    few = deterministic.bootstrap(*arguments, clusters=np.array(["a", "a", "b", "b"]))
    assert few == {"rmse_ci95": None, "bias_ci95": None}


numbers = st.floats(-1e6, 1e6) | st.just(np.nan)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=8))
def test_no_score_is_ever_nan(rows):
    m, e, low, high = np.array(rows, dtype=float).reshape(-1, 4).T
    scores = deterministic.agreement(m, e) | deterministic.intervals(m, low, high)
    scores |= deterministic.bootstrap(m, e, clusters=np.arange(len(m)))
    flat = np.array([v for v in scores.values() if isinstance(v, int | float)], dtype=float)
    assert np.isfinite(flat).all()
