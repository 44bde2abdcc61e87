"""Seeded simulation: variables from the prior, spectra by PROSAIL, noise by the likelihood."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from physvae.config import Angles, Missing
from physvae.errors import InputError
from physvae.priors import Prior
from physvae.tables import read_table
from physvae.vae import PhysVAE
from rtm import Prosail, Sensor, SpectralSoil

MIXTURES = 1000  # soil mixtures behind the principal components


class Simulation(NamedTuple):
    """n simulated observations.

    Attributes
    ----------
    scores, theta : Tensor [n, parameter]
        Standard normal scores and the variables they stand for.
    latent : Tensor [n, latent]
        Residual latents, standard normal.
    angles : Tensor [n, 3]
        Degree.
    physical, reflectance : Tensor [n, band]
        PROSAIL alone; with the residual of the latents and noise.
    """

    scores: Tensor
    theta: Tensor
    latent: Tensor
    angles: Tensor
    physical: Tensor
    reflectance: Tensor


def draw_angles(n: int, ranges: Angles, generator: torch.Generator) -> Tensor:
    """n sets of angles [n, (tts, tto, psi)] in degrees, uniform in their ranges."""
    low, high = torch.tensor([ranges.tts, ranges.tto, ranges.psi]).unbind(-1)
    return low + (high - low) * torch.rand(n, 3, generator=generator)


def simulate(model: PhysVAE, n: int, ranges: Angles, generator: torch.Generator) -> Simulation:
    """n observations of a model: its prior, its physics, its residual, its noise.

    The residual of random latents is what the model has learned about its own discrepancy from
    real spectra, so that a posterior trained on these simulations allows for it.

    Examples
    --------
    >>> import physvae
    >>> from physvae.config import Angles
    >>> model = physvae.load("sentinel-2")
    >>> simulate(model, 3, Angles(), torch.Generator().manual_seed(1)).reflectance.shape
    torch.Size([3, 10])
    """
    with torch.no_grad():
        scores = torch.randn(n, len(model.space), generator=generator)
        latent = torch.randn(n, model.head.residual, generator=generator)
        theta = model.prior(scores)
        angles = draw_angles(n, ranges, generator)
        decoded = model.decode(theta, angles, latent)
        noisy = model.likelihood.draw(decoded.total, generator)
        return Simulation(scores, theta, latent, angles, decoded.physical, noisy)


def hide(
    reflectance: Tensor, angles: Tensor, bands: tuple[str, ...], rates: Missing,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same observations with inputs missing at random (NaN)."""
    n, nan = len(reflectance), torch.tensor(torch.nan)
    band = torch.tensor([rates.often.get(name, rates.band) for name in bands])
    rate = torch.cat((band, torch.tensor([rates.sun, rates.view]))).expand(n, -1)
    any_share = torch.rand(n, 1, generator=generator)
    chosen = torch.rand(n, 1, generator=generator) < rates.subset
    gone = torch.rand(rate.shape, generator=generator) < torch.where(chosen, any_share, rate)
    unknown = gone[:, [-2, -1, -1]]  # both view angles are known or neither is
    return (
        torch.where(gone[:, :-2], nan, reflectance),
        torch.where(unknown, nan, angles),
    )


def soil_from_library(files: list[Path], components: int, seed: int) -> SpectralSoil:
    """Soil shapes of a library: principal components of random mixtures of three of its spectra.

    Parameters
    ----------
    files : list of Path
        CSV, first column `wavelength` [nm], one column a soil, reflectance 0-1.
    components : int
        Shapes kept; a coefficient of 1 is one standard deviation over the mixtures.
    """
    tables = [read_table(path) for path in files]
    grid = tables[0]["wavelength"]
    for path, table in zip(files, tables, strict=True):
        if not np.array_equal(table["wavelength"], grid):
            raise InputError(f"{path}: expected the wavelengths of {files[0]}, got others")
    library = np.stack([v for t in tables for k, v in t.items() if k != "wavelength"])
    random = np.random.default_rng(seed)
    members = random.random((MIXTURES, len(library))).argsort(1)[:, :3]
    shares = random.dirichlet(np.ones(3), MIXTURES)
    mixtures = np.einsum("ms,msw->mw", shares, library[members])
    return SpectralSoil.from_spectra(grid, mixtures, components)


def reduced_sensor(
    sensor: Sensor, prior: Prior, soil: SpectralSoil, *, crowns: bool, ranges: Angles,
    tolerance: float, seed: int,
) -> Sensor:  # fmt: skip
    """A sensor on few wavelengths, exact to `tolerance` on draws of the prior."""
    generator = torch.Generator().manual_seed(seed)
    prosail = Prosail("D", None, sensor.wavelength, soil=soil, crowns=crowns, products=False)
    theta = prior.double().sample(1000, generator)
    names = dict(zip(prior.space.names, theta.unbind(-1), strict=True))
    full = prosail.space.stack(**names)
    angles = draw_angles(len(theta), ranges, generator).double()
    with torch.no_grad():
        return sensor.reduce(prosail(full, angles).rso, tolerance)
