"""Refinement and least squares on simulated pixels of the shipped model, against references."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

import physvae
from inversion import marquardt
from inversion.laplace import around, inputs, negative_log
from inversion.marquardt import LeastSquares, minimise
from inversion.methods import estimator
from inversion.refine import Refined, descend
from physvae.field_interval import without_field
from physvae.plans import BandErrors

TRAITS = ("lai", "cab", "cw", "ccc")
COUNT = 20
CHAINS, ROUNDS, LEAPS, STEP = 32, 60, 8, 0.22


class Pixels(NamedTuple):
    spectra: torch.Tensor
    angles: torch.Tensor


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture(scope="module")
def pixels(model):
    return drawn_pixels(model)


def drawn_pixels(model) -> Pixels:
    """Draws of the prior with the model's noise: what the model says of them is right."""
    generator = torch.Generator().manual_seed(7)
    kind = next(model.parameters())
    with torch.no_grad():
        scores = torch.randn(COUNT, len(model.space), generator=generator).to(kind)
        angles = torch.tensor([40.0, 5.0, 90.0]).expand(COUNT, 3).to(kind)
        seen = model.likelihood.draw(model.physical(model.prior(scores), angles), generator)
    return Pixels(*inputs(model, seen, angles))


@pytest.mark.slow
def test_least_squares_end_at_the_optimum(model, pixels, monkeypatch):
    """Of all but one pixel in twenty; Adam, from the network's answer, gets no further down.

    Both searches know nothing of each other; their costs agree to 0.01 for nine pixels
    in ten, which leaves room for two optima.
    """
    ends, model = [], without_field(model)
    monkeypatch.setattr(marquardt, "minimise", lambda *a: ends.append(minimise(*a)) or ends[0])
    found = LeastSquares(model, 60).estimate(*pixels, ("lai",))
    assert found.converged.float().mean() >= 0.95
    (end,) = ends
    with torch.no_grad():
        amortised = model.encode(*pixels).scores.mean.clone()
    other = descend(model, amortised, *pixels, 300)
    with torch.no_grad():
        above = end.cost - negative_log(model, other, *pixels)
    assert (above < 0.01).float().mean() >= 0.9


def trajectory(model, pixels, roots, scores, momentum, step):
    """Leapfrog in coordinates in which the posterior is about round."""

    def slope(at):
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            cost = negative_log(model, at, *pixels)
            (gradient,) = torch.autograd.grad(cost.sum(), at)
        return cost.detach(), (roots.mT @ gradient.unsqueeze(-1)).squeeze(-1)

    first, gradient = slope(scores)
    energy = first + 0.5 * momentum.square().sum(-1)
    for _ in range(LEAPS):
        momentum = momentum - 0.5 * step * gradient
        scores = scores + step * (roots @ momentum.unsqueeze(-1)).squeeze(-1)
        last, gradient = slope(scores)
        momentum = momentum - 0.5 * step * gradient
    return scores, energy - last - 0.5 * momentum.square().sum(-1)


def sampled(model, pixels) -> torch.Tensor:
    """Draws of p(u | x) by Hamiltonian Monte Carlo (Neal 2011, arXiv 1206.1901).

    Many short chains for each pixel, from draws of the amortised posterior; the first third of
    each is left out.
    """
    generator = torch.Generator().manual_seed(3)
    many = Pixels(*(part.repeat(CHAINS, 1) for part in pixels))
    amortised = model.encode(*pixels).scores
    with torch.enable_grad():
        optimum = descend(model, amortised.mean.clone(), *pixels, 150)
        precision = around(model, optimum, *pixels).precision
    roots = torch.linalg.cholesky(torch.linalg.inv(precision)).repeat(CHAINS, 1, 1)
    scores = amortised.fixed(CHAINS).flatten(0, 1)
    kept = []
    for _ in range(ROUNDS):
        momentum = torch.randn(scores.shape, generator=generator)
        step = STEP * (0.8 + 0.4 * torch.rand(len(scores), 1, generator=generator))
        moved, gain = trajectory(model, many, roots, scores, momentum, step)
        taken = torch.rand(len(scores), generator=generator).log() < gain
        scores = torch.where(taken.unsqueeze(-1), moved, scores)
        kept.append(scores)
    return torch.stack(kept[ROUNDS // 3 :]).reshape(-1, len(pixels.spectra), scores.shape[-1])


@pytest.mark.slow
def test_the_refined_posterior_is_that_of_hamiltonian_monte_carlo():
    """Where it says that it converged, with the prior of one piece of `sentinel-2-crops`.

    Where mixtures bend a posterior, as in `sentinel-2`, a Gaussian at the mode lacks its spread.

    Mean within half an sd, a quarter at the median; sd within a factor of 1.6, 1.35 at the
    median. The chains themselves are sure to a tenth of an sd, 512 weighted draws to a fifth.
    """
    model = physvae.load("sentinel-2-crops")
    some = Pixels(*(part[:5].contiguous() for part in drawn_pixels(model)))
    with torch.no_grad():
        draws = sampled(model, some)
        named = model.space.split(model.prior(draws))
    named["ccc"] = named["lai"] * named["cab"] / 100
    found = Refined(without_field(model), 200).estimate(*some, TRAITS)
    assert found.converged.sum() >= 2
    off, wide = [], []
    for name in TRAITS:
        mean, sd = named[name].mean(0), named[name].std(0)
        off.append(((found.mean[name] - mean) / sd).abs()[found.converged])
        wide.append((found.sd[name] / sd).log().abs()[found.converged])
    assert torch.cat(off).max() < 0.5
    assert torch.cat(off).median() < 0.25
    assert torch.cat(wide).max() < np.log(1.6)
    assert torch.cat(wide).median() < np.log(1.35)


@pytest.mark.parametrize("method", ["refined", "lut", "lm"])
def test_a_method_takes_the_errors_that_the_model_states_for_it(model, method):
    """Added to the noise of bands: another posterior by the method; the model keeps its own."""
    seen = torch.tensor([[0.03, 0.05, 0.03, 0.08, 0.25, 0.32, 0.34, 0.35, 0.16, 0.08]])
    angles = torch.tensor([[35.0, 5.0, 100.0]])
    plain, wide = without_field(model), without_field(model)
    wide.errors = {method: BandErrors(floor=0.02, relative=3.0)}
    one, other = (
        estimator(m, method, 50).estimate(seen, angles, ("fcover",)) for m in (plain, wide)
    )
    change = (other.mean["fcover"] - one.mean["fcover"]).abs() / one.sd["fcover"]
    assert change > 0.02 or other.sd["fcover"] > 1.2 * one.sd["fcover"]
    assert wide.likelihood.floor == model.likelihood.floor
