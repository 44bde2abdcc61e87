"""What decodings leave of real spectra: a Gaussian in few numbers, and no trait hears of it."""

import pytest
import torch

from physvae.config import parse_config
from physvae.errors import InputError
from physvae.finishing import finish, fit_remainder
from physvae.inference import physics_alone
from physvae.real_spectra import read_spectra
from physvae.remainder import Remainder
from physvae.scaling import filled
from physvae.store import load_model
from physvae.training import Trainer


@pytest.fixture(scope="module")
def settings(small):
    raw = small.model_dump(mode="json", exclude_unset=True)
    return parse_config(raw | {"remainder": {"components": 1}}, "remainder")


@pytest.fixture(scope="module")
def model(settings, made_up, tmp_path_factory):
    """Trained, finished, written and read again."""
    folder = tmp_path_factory.mktemp("remainder")
    finish(Trainer(settings, made_up, folder).run(), settings, made_up, folder)
    return load_model(folder)


@pytest.fixture(scope="module")
def real(settings, made_up):
    return read_spectra(made_up / "spectra.csv", settings.spectra[0], settings.bands)


@pytest.fixture(scope="module")
def fitted():
    """Of 50,000 gaps of rank 2 in six bands, noise 0.1 beside axes of 3 and 1."""
    random = torch.Generator().manual_seed(1)
    axes = torch.linalg.qr(torch.randn(6, 2, generator=random)).Q
    code = torch.randn(50_000, 2, generator=random) * torch.tensor([3.0, 1.0])
    gaps = 0.5 + code @ axes.T + 0.1 * torch.randn(50_000, 6, generator=random)
    remainder = Remainder(6, 2)
    remainder.fit([gaps], [torch.ones(6)])
    return remainder, gaps


def test_the_covariance_is_the_sample_one(fitted):
    """Maximum likelihood keeps it but for the noise outside of the plane: 1 % of the largest."""
    remainder, gaps = fitted
    found = remainder.basis @ remainder.basis.T + remainder.noise * torch.eye(6)
    torch.testing.assert_close(found, gaps.T.cov(), rtol=0.0, atol=0.01)
    assert float(remainder.noise) == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("seen", [[0, 1, 2, 3, 4, 5], [1, 4, 5], [3], []])
def test_hidden_bands_have_their_conditional_mean(fitted, seen):
    """By the inverse over the bands seen, where the module has one over the components."""
    remainder, gaps = fitted
    basis, mean = remainder.basis.double(), remainder.mean.double()
    part = basis[seen]
    covariance = part @ part.T + remainder.noise.double() * torch.eye(len(seen))
    code = part.T @ torch.linalg.solve(covariance, (gaps[:7, seen] - mean[seen]).double().T)
    given = torch.full((7, 6), torch.nan).index_copy(1, torch.tensor(seen).long(), gaps[:7, seen])
    expected = mean + (basis @ code).T
    torch.testing.assert_close(remainder(given).double(), expected, rtol=1e-4, atol=1e-4)


def test_sources_count_alike(fitted):
    """Ten rows against fifty thousand: the mean is in the middle of both."""
    remainder = Remainder(6, 2)
    other = torch.full((10, 6), -2.5)
    remainder.fit([fitted[1], other], [torch.ones(6), torch.ones(6)])
    torch.testing.assert_close(remainder.mean, torch.full((6,), -1.0), rtol=0.0, atol=0.02)


def test_held_out_spectra_are_decoded_better(model, real):
    held = real[0].take(~real[1])
    with_it = model.reconstruct(*held).total
    kept, model.remainder = model.remainder, None
    without = model.reconstruct(*held).total
    model.remainder = kept
    error = [(part - held.reflectance).square().mean() for part in (with_it, without)]
    assert error[0] < 0.5 * error[1]


def test_no_estimate_changes(model, real):
    """Bit for bit: traits, intervals, misfit, physical decoding."""
    given = (real[0].reflectance, real[0].angles)
    kept = model.remainder
    found = []
    for model.remainder in (kept, None):
        told = model.estimate(*given, ("lai", "ccc", "fapar"))
        parts = [told.misfit, told.novelty, model.reconstruct(*given).physical]
        for column in (told.mean, told.sd, told.p025, told.p975):
            parts += column.values()
        found.append(torch.stack([part.flatten()[:60] for part in parts]))
    model.remainder = kept
    assert torch.equal(*found)


def test_fitting_again_gives_the_same(model, settings, made_up):
    """The gaps are those of physics and residual, whatever remainder there was."""
    before = model.remainder
    fit_remainder(model, settings, made_up)
    torch.testing.assert_close(
        model.remainder.basis.abs(), before.basis.abs(), rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(model.remainder.mean, before.mean, rtol=1e-3, atol=1e-4)
    model.remainder = before


@pytest.mark.parametrize("change", [{"spectra": []}, {"remainder": {"components": 3}}])
def test_it_needs_spectra_and_fewer_numbers_than_bands(settings, change):
    raw = settings.model_dump(mode="json", exclude_unset=True)
    with pytest.raises(InputError, match="remainder: expected real spectra and fewer"):
        parse_config(raw | change, "bad")


def test_physics_alone_is_the_mean_over_the_prior_weighed_by_the_fit(model, real):
    """Against 200,000 draws of the prior with the weights written out; 0.006 of reflectance."""
    x, angles = real[0].reflectance[:4], real[0].angles[:4]
    found = physics_alone(model, x, angles, draws=4096)
    u = torch.randn(200_000, len(model.space), generator=torch.Generator().manual_seed(2))
    theta = model.prior(u)
    for i in range(4):
        physical = model.physical(theta, filled(angles[i]).expand(len(u), 3))
        variance = model.likelihood.variance(physical)
        fit = -0.5 * ((x[i] - physical).square() / variance + variance.log()).sum(-1)
        expected = fit.softmax(0) @ physical
        torch.testing.assert_close(found[i], expected, rtol=0.0, atol=0.006)
