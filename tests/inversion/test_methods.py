"""Refinement and the classical inversions, against a model whose posterior is known exactly.

Bands are linear in scores that are N(0, I), with independent noise: the posterior is
N(P⁻¹ Aᵀ D⁻¹ (x − b), P⁻¹), P = I + Aᵀ D⁻¹ A (Bishop 2006, equations 2.113 to 2.117).
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from inversion.kernel import retrieve_block
from inversion.laplace import around, whitened
from inversion.lut import Lookup
from inversion.marquardt import LeastSquares
from inversion.methods import LARGE, MANY, METHODS, check_method, estimator
from inversion.quality import Quality
from inversion.refine import Refined, descend
from physvae.errors import UsageError
from physvae.priors import Prior
from physvae.scores import ScoreMixture
from physvae.weighted_scores import Weighted

BANDS, SIZE, NOISE = 6, 3, 0.02


class Found(NamedTuple):
    mean: dict
    sd: dict
    p025: dict
    p975: dict
    misfit: torch.Tensor
    novelty: torch.Tensor
    prior_width: torch.Tensor


class Noise:
    common = 0.0

    def variance(self, mean):
        return torch.full_like(mean, NOISE**2)

    def log_prob(self, x, mean):
        seen = x.isfinite()
        gap = torch.where(seen, torch.nan_to_num(x) - mean, 0.0)
        return -0.5 * (gap / NOISE).square().sum(-1)


class Scored(Prior):
    """Variables that are their own scores."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.space = range(SIZE)

    def forward(self, u):
        return u


class Linear(torch.nn.Module):
    """Three scores seen by six bands; the first score is called lai."""

    name, sensor, sha256 = "linear", "none", "0" * 64
    bands = tuple(f"B{i}" for i in range(1, BANDS + 1))
    angles = ("tts", "tto", "psi")

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.a = torch.nn.Parameter(0.02 * torch.randn(BANDS, SIZE, generator=generator))
        self.likelihood, self.space, self.prior = Noise(), range(SIZE), Scored()
        self.traits = {"lai": SimpleNamespace(low=-9.0, high=9.0, unit="-", name="lai")}

    def physical(self, theta, angles):
        return 0.3 + theta @ self.a.T

    def exact(self, x):
        seen = x.isfinite()
        a = self.a.detach() * seen.unsqueeze(-1)
        precision = torch.eye(SIZE) + a.mT @ a / NOISE**2
        gap = torch.where(seen, torch.nan_to_num(x) - 0.3, 0.0)
        mean = torch.linalg.solve(precision, (a.mT @ gap.unsqueeze(-1)).squeeze(-1) / NOISE**2)
        return mean, precision

    def encode(self, x, angles):
        """A posterior twice too wide around a place that is off."""
        mean, precision = self.exact(x)
        root = torch.linalg.cholesky(torch.linalg.inv(precision) * 4)
        logits = torch.zeros(len(x), 1)
        return SimpleNamespace(scores=ScoreMixture(logits, mean[:, None] + 0.3, root[:, None]))

    def summarise(self, posterior, x, angles, variables):
        draws = posterior.score_draws()[..., 0]
        rest = torch.zeros(draws.shape[1])
        low, high = (torch.quantile(draws, p, 0) for p in (0.025, 0.975))
        stats = ({"lai": v} for v in (draws.mean(0), draws.std(0), low, high))
        return Found(*stats, rest, rest, rest)

    def estimate(self, x, angles, variables):
        scores = self.encode(x, angles).scores
        return self.summarise(SimpleNamespace(score_draws=scores.fixed), x, angles, variables)


@pytest.fixture
def model():
    return Linear()


@pytest.fixture
def pixels(model):
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(40, SIZE, generator=generator)
    x = model.physical(u, None).detach()
    x = x + NOISE * torch.randn(x.shape, generator=generator)
    x[::5, 2] = torch.nan
    return x, torch.tensor([40.0, 5.0, torch.nan]).expand(40, 3)


def test_the_curvature_is_exact_where_bands_are_linear(model, pixels):
    mean, precision = model.exact(pixels[0])
    local = around(model, mean, *pixels)
    torch.testing.assert_close(local.precision, precision, rtol=1e-4, atol=1e-4)
    assert local.gradient.abs().max() < 1e-3
    assert (local.step < 1e-3).all()
    assert (around(model, mean + 1.0, *pixels).step > 0.5).all()
    gap, slopes = whitened(model, mean, *pixels)
    assert (gap[::5, 2] == 0).all()
    assert (slopes[::5, 2] == 0).all()


def test_adam_ends_at_the_optimum(model, pixels):
    mean, _ = model.exact(pixels[0])
    found = descend(model, torch.zeros_like(mean), *pixels, 300)
    assert (found - mean).abs().max() < 0.02


@pytest.mark.parametrize(
    ("method", "off"), [("refined", 0.12), ("lm", 0.05), ("lut", 0.25)], ids=lambda v: str(v)
)
def test_mean_and_sd_are_those_of_the_exact_posterior(model, pixels, method, off):
    """To shares of the posterior sd: 512 weighted draws, a quasi-random set, 2,000 of 20,000."""
    mean, precision = model.exact(pixels[0])
    sd = torch.linalg.inv(precision)[:, 0, 0].sqrt()
    found = METHODS[method](model, 200).estimate(*pixels, ("lai",))
    assert ((found.mean["lai"] - mean[:, 0]) / sd).abs().median() < off
    assert ((found.sd["lai"] / sd) - 1).abs().median() < off
    assert found.converged.float().mean() > 0.9


def test_too_few_steps_are_flagged(model, pixels):
    shifted = Refined(model, 1)
    x = torch.full((4, BANDS), 0.9)
    result = retrieve_block(shifted, x.numpy(), np.full((4, 3), 20.0), variables=("lai",))
    assert ((result.quality & Quality.REFINEMENT_NOT_CONVERGED) != 0).all()


def test_a_table_is_made_once_for_a_geometry(model, pixels):
    table = Lookup(model, entries=500)
    table.estimate(*pixels, ("lai",))
    assert table._table.cache_info().misses == 1
    table.estimate(*pixels, ("lai",))
    assert table._table.cache_info().misses == 1


def test_points_are_drawn_as_often_as_they_weigh():
    points = torch.arange(4.0).reshape(1, 4, 1)
    cloud = Weighted(points, torch.tensor([[0.5, 0.25, 0.25, 1e-30]]).log())
    drawn = cloud.fixed(8)[:, 0, 0]
    assert drawn.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert cloud.mean.item() == pytest.approx(0.75)
    assert cloud.effective.item() == pytest.approx(1 / (0.25 + 2 * 0.0625))


def test_every_method_can_be_had_and_no_other(model):
    names = [name for name in METHODS if not name.endswith("-emulated")]
    assert all(estimator(model, name, 5).bands == model.bands for name in names)
    assert isinstance(estimator(model, "lm", 500), LeastSquares)
    with pytest.raises(UsageError, match="expected one of amortised, refined, lut, lm"):
        check_method("guess")


@pytest.mark.slow
def test_many_pixels_are_decoded_by_compiled_physics_and_the_model_stays_as_it_was():
    """The same pixels, as many and as few: within a hundredth of the sd, float32 apart."""
    import physvae

    model = physvae.load("sentinel-2")
    generator = torch.Generator().manual_seed(3)
    angles = torch.tensor([35.0, 5.0, 90.0]).expand(3, 3)
    scores = 0.5 * torch.randn(3, len(model.space), generator=generator)
    seen = model.physical(model.prior(scores), angles)
    many, few = (estimator(model, "lm", 15, pixels) for pixels in (MANY + 1, MANY))
    assert many._model.physical.prosail._fused is not None
    assert few._model.physical is model.physical
    assert model.physical.prosail._fused is None
    fast, plain = (made.estimate(seen, angles, ("lai",)) for made in (many, few))
    change = (fast.mean["lai"] - plain.mean["lai"]).abs() / plain.sd["lai"]
    assert change.max() < 0.01


def test_many_pixels_of_a_map_go_through_a_compiled_copy_of_the_model():
    """Also where the model is watched and calibrated, as it is on the command line."""
    import physvae
    from inversion.calibration import Calibrated, Calibration, Factors
    from inversion.progress import Watched

    model = physvae.load("sentinel-2")
    told = []
    adjusted = Calibrated(model, Calibration({"lai": Factors((0.95,), (2.0,), 2.0)}))
    watched = Watched(adjusted, told.append)
    many, few = (estimator(watched, "amortised", 0, pixels) for pixels in (LARGE + 1, LARGE))
    assert few is watched
    assert many.inner.inner._loops is not None
    assert model._loops is None
    assert estimator(watched, "amortised", 0, LARGE + 1).inner.inner is many.inner.inner
    seen = torch.rand(40, 10, generator=torch.Generator().manual_seed(1)) * 0.4
    angles = torch.tensor([35.0, 5.0, 90.0])
    for part in ("mean", "sd", "p975"):
        one, other = (
            getattr(made.estimate(seen, angles, ("lai",)), part)["lai"] for made in (many, few)
        )
        assert torch.allclose(one, other, rtol=0.0, atol=1e-4)
    assert told == [40] * 6
    watched.stop()
    with pytest.raises(InterruptedError):
        many.estimate(seen, angles, ("lai",))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "amortised"])
def test_every_method_works_on_a_watched_model(method):
    """What shows the progress of a map cannot be copied, what it watches can."""
    import physvae
    from inversion.progress import Watched, progress

    model = physvae.load("sentinel-2")
    seen = model.physical(
        model.prior(torch.zeros(2, len(model.space))), torch.tensor([35.0, 5.0, 90.0])
    )
    with progress(MANY + 1) as bar:
        used = estimator(Watched(model, bar.advance), method, 3, MANY + 1)
        found = used.estimate(seen, torch.tensor([[35.0, 5.0, 90.0]] * 2), ("lai",))
    assert bool(found.mean["lai"].isfinite().all())
