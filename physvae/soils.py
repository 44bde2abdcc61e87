"""Soils of a model: a library seen through a few shapes, or one of the soil models.

A library is mixed at random: three of its spectra with Dirichlet(1, 1, 1) shares. A model knows a
mixture by the coefficients of a few principal components; with `draw = "mixtures"` simulations
show the mixture itself, so that a posterior allows for what the components leave out.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from physvae.decoders import PhysicalDecoder
from physvae.errors import InputError
from physvae.plans import Physics
from physvae.priors import Prior
from physvae.sensor_files import read_soil_table
from rtm import BSM, DryWetSoil, ParameterSpace, Sensor, SpectralSoil

MIXTURES = 1000  # soil mixtures behind the principal components
MIXED = 3
SOILS = {"dry-wet": DryWetSoil, "bsm": BSM}


class SoilLibrary:
    """Soil spectra of files.

    Parameters
    ----------
    files : list of Path
        Tables, first column the wavelength [nm], one column a soil, reflectance 0-1; one grid
        for all.

    Raises
    ------
    InputError
        Where a file is no such table or the grids differ.
    """

    def __init__(self, files: list[Path]):
        tables = [read_soil_table(path) for path in files]
        self.grid = tables[0].wavelength
        for path, table in zip(files, tables, strict=True):
            if not np.array_equal(table.wavelength, self.grid):
                raise InputError(f"{path}: expected the wavelengths of {files[0]}, got others")
        self.spectra = np.concatenate([table.spectra for table in tables])

    def components(self, count: int, seed: int) -> SpectralSoil:
        """Principal components of random mixtures, in standard deviations."""
        random = np.random.default_rng(seed)
        members = random.random((MIXTURES, len(self.spectra))).argsort(1)[:, :MIXED]
        shares = random.dirichlet(np.ones(MIXED), MIXTURES)
        mixtures = np.einsum("ms,msw->mw", shares, self.spectra[members])
        return SpectralSoil.from_spectra(self.grid, mixtures, count)


class SoilMixtures:
    """Canopies over mixtures of a library, and the coefficients a model knows them by.

    Parameters
    ----------
    library : SoilLibrary
    soil : SpectralSoil
        Its components.
    sensor, physics, prior : Sensor, Physics, Prior
        Of the model.
    """

    def __init__(
        self, library: SoilLibrary, soil: SpectralSoil, sensor: Sensor, physics: Physics,
        prior: Prior,
    ):  # fmt: skip
        whole = SpectralSoil(library.grid, library.spectra, np.zeros_like(library.grid))
        self.decoder, self.prior = PhysicalDecoder(sensor, whole, physics), prior
        shapes = soil.shapes(sensor.wavelength).numpy()
        spectra = whole.shapes(sensor.wavelength).numpy()[:-1]
        found = np.linalg.lstsq(shapes[:-1].T, (spectra - shapes[-1]).T, rcond=None)[0].T
        self.coefficients = torch.from_numpy(found).float()  # [soil, component]
        known = [name for name in prior.space.names if not name.startswith("soil_")]
        self.columns = [prior.space.index(name) for name in known]
        wanted = [f"soil_{i + 1}" for i in range(found.shape[1])]
        self.soil_columns = [prior.space.index(name) for name in wanted]
        weights = [f"soil_{i + 1}" for i in range(len(spectra))]
        table = {p.name: p for p in self.decoder.full_space.parameters}
        self.decoder.bind(ParameterSpace(tuple(table[name] for name in (*known, *weights))))
        self.decoder.float()

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Shares [*shape, soil] of the library's spectra: of three, uniform on the simplex."""
        count = len(self.coefficients)
        chance = torch.rand((*shape, count), generator=generator, device=generator.device)
        members = chance.topk(MIXED, -1).indices
        waiting = torch.rand((*shape, MIXED), generator=generator, device=generator.device)
        share = waiting.clamp_min(1e-12).log()
        share = share / share.sum(-1, keepdim=True)
        return torch.zeros_like(chance).scatter(-1, members, share)

    def known_as(self, scores: Tensor, weights: Tensor) -> Tensor:
        """The scores [..., parameter] with those of the soil replaced by the mixture's."""
        low, high = (getattr(self.prior.space, end)[self.soil_columns] for end in ("low", "high"))
        found = weights @ self.coefficients.to(weights)
        found = torch.minimum(torch.maximum(found, low.to(found)), high.to(found))
        theta = self.prior(scores)
        theta[..., self.soil_columns] = found
        scores = scores.clone()
        scores[..., self.soil_columns] = self.prior.to_score(theta)[..., self.soil_columns]
        return scores

    def reflectance(self, theta: Tensor, weights: Tensor, angles: Tensor) -> Tensor:
        """Physical decoding [..., band] over the mixture itself."""
        return self.decoder(torch.cat((theta[..., self.columns], weights), -1), angles)
