"""Densities integrate to one, quantiles invert scores."""

import pytest
import torch

from physvae.sinh_arcsinh import SinhArcsinh

SHAPES = [(0.0, 1.0, 0.0, 1.0), (1.5, 0.3, 0.8, 0.7), (-2.0, 2.0, -0.5, 1.6)]


def law(shape) -> SinhArcsinh:
    return SinhArcsinh(*(torch.tensor(x, dtype=torch.float64) for x in shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_density_integrates_to_one(shape):
    """Trapezoids in z, which the map spreads to the tails."""
    z = torch.linspace(-8.0, 8.0, 4001, dtype=torch.float64)
    w = law(shape).at(z)
    assert torch.trapezoid(law(shape).log_prob(w).exp(), w) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_score_and_quantile_are_inverse(shape):
    z = torch.linspace(-5.0, 5.0, 101, dtype=torch.float64)
    assert (law(shape).score(law(shape).at(z)) - z).abs().max() < 1e-10


def test_without_skewness_and_with_tails_of_one_it_is_the_normal():
    w = torch.linspace(-3.0, 5.0, 9, dtype=torch.float64)
    normal = torch.distributions.Normal(1.0, 2.0)
    assert (law((1.0, 2.0, 0.0, 1.0)).log_prob(w) - normal.log_prob(w)).abs().max() < 1e-8
