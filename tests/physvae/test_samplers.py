"""Points in the unit cube: even as promised, the same for a seed, whatever the blocks."""

import numpy as np
import pytest
from scipy.stats import chi2

from physvae.samplers import SAMPLERS, lhs, permuted, sobol


def points(name: str, n: int, dimensions: int, seed: int, rows: int = 1000) -> np.ndarray:
    return np.concatenate(list(SAMPLERS[name](n, dimensions, seed, rows)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_points_depend_on_the_seed_and_not_on_the_blocks(name):
    whole = points(name, 500, 4, 7)
    assert whole.shape == (500, 4)
    assert ((whole >= 0) & (whole <= 1)).all()
    np.testing.assert_array_equal(points(name, 500, 4, 7, rows=33), whole)
    assert (points(name, 500, 4, 8) != whole).any()


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_a_latin_hypercube_has_one_point_in_every_cell(n):
    cells = np.floor(points("lhs", n, 5, 0) * n).astype(int)
    np.testing.assert_array_equal(np.sort(cells, 0), np.arange(n)[:, None].repeat(5, 1))


def test_a_sobol_sequence_has_one_point_in_every_dyadic_cell():
    cells = np.floor(points("sobol", 256, 6, 0) * 256).astype(int)
    np.testing.assert_array_equal(np.sort(cells, 0), np.arange(256)[:, None].repeat(6, 1))


@pytest.mark.parametrize("n", [5, 12])
def test_permutations_are_all_equally_likely(n):
    """Where 0 and 1 go: χ² over all pairs of places, with 600 keys; fails once in 10 000."""
    random = np.random.default_rng(1)
    count = np.zeros((n, n))
    for keys in random.integers(2**63, size=(600, 6), dtype=np.uint64):
        count[tuple(permuted(np.arange(2, dtype=np.uint64), n, keys).astype(int))] += 1
    assert np.trace(count) == 0
    pairs = count[~np.eye(n, dtype=bool)]
    statistic = ((pairs - pairs.mean()) ** 2 / pairs.mean()).sum()
    assert statistic < chi2.isf(1e-4, pairs.size - 1)


def test_dimensions_of_a_latin_hypercube_do_not_depend_on_each_other():
    """Correlation of independent uniforms has a standard deviation of 1/√n; five are allowed."""
    correlation = np.corrcoef(np.concatenate(list(lhs(4096, 10, 3, 512))), rowvar=False)
    assert np.abs(correlation - np.eye(10)).max() < 5 / np.sqrt(4096)


def test_sobol_integrates_better_than_independent_points():
    """∫ Π x_i over five dimensions is 1/32; the error of 4096 points, over 20 seeds."""
    error = {
        name: np.std([points(name, 4096, 5, seed).prod(1).mean() - 1 / 32 for seed in range(20)])
        for name in ("sobol", "random")
    }
    assert error["sobol"] < 0.1 * error["random"]


def test_a_number_that_is_no_power_of_two_is_no_reason_to_warn(recwarn):
    list(sobol(100, 3, 0, 100))
    assert not recwarn.list
