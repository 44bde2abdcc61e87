"""Soil reflectance: a dry and a wet soil, or a mean and a few shapes."""

import numpy as np
import torch
from torch import Tensor

from rtm.parameters import TRAITS, Parameter
from rtm.spectra import resample, table


def cap(reflectance: Tensor) -> Tensor:
    """The identity up to 0.9, smooth and below 0.99 above: a soil never returns more than it gets.

    >>> cap(torch.tensor([0.5, 5.0]))
    tensor([0.5000, 0.9900])
    """
    above = torch.relu(reflectance - 0.9)
    return reflectance.clamp(max=0.9) + 0.09 * torch.tanh(above / 0.09)


def lift(reflectance: Tensor) -> Tensor:
    """The identity from 0.01 up, smooth and not negative below.

    >>> lift(torch.tensor([-1.0, 0.0, 0.5]))
    tensor([0.0000, 0.0037, 0.5000])
    """
    below = torch.relu(0.01 - reflectance)
    return reflectance.clamp(min=0.01) + 0.01 * (torch.exp(below / -0.01) - 1.0)


class DryWetSoil:
    """rsoil·(psoil·dry + (1 - psoil)·wet), capped: the soil of the PROSAIL codes."""

    parameters = (TRAITS["psoil"], TRAITS["rsoil"])

    def shapes(self, wavelength: Tensor) -> Tensor:
        """Spectra to be combined [2, wavelength]: wet, and dry less wet; float64."""
        columns = table("soil")
        spectra = np.stack([columns["wet"], columns["dry"] - columns["wet"]])
        return resample(wavelength, columns["wavelength"], spectra)

    def reflectance(self, values: Tensor, shapes: Tensor) -> Tensor:
        """Soil reflectance [wavelength, canopy] from values[(psoil, rsoil), canopy]."""
        psoil, rsoil = values
        return cap(shapes.T @ torch.stack([rsoil, rsoil * psoil]))


class SpectralSoil:
    """rsoil·(mean + Σ soil_i·basis_i), kept within (0, 1).

    Parameters
    ----------
    wavelength : array [wavelength]
        Rising, nm; must span the wavelengths the model runs on.
    basis : array [shape, wavelength]
        Shapes; a coefficient of 1 adds the shape once.
    mean : array [wavelength]
        Reflectance where all coefficients are 0.
    low, high : float
        Bounds of every coefficient.

    Raises
    ------
    ValueError
        Shapes that do not fit, or wavelengths that do not rise.
    """

    def __init__(self, wavelength, basis, mean, *, low: float = -3.0, high: float = 3.0) -> None:
        self.wavelength = np.asarray(wavelength, dtype=np.float64)
        self.basis = np.atleast_2d(np.asarray(basis, dtype=np.float64))
        self.mean = np.asarray(mean, dtype=np.float64)
        n = self.wavelength.size
        if self.basis.shape[1:] != (n,) or self.mean.shape != (n,):
            raise ValueError(
                f"basis: expected [shape, {n}] and mean [{n}], "
                f"got {self.basis.shape} and {self.mean.shape}"
            )
        if not (np.diff(self.wavelength) > 0).all():
            raise ValueError("wavelength: expected rising values in nm, got unordered ones")
        shapes = tuple(
            Parameter(f"soil_{i + 1}", f"s{i + 1}", "-", low, high, 0.0, (), "soil shape")
            for i in range(len(self.basis))
        )
        self.parameters = (*shapes, TRAITS["rsoil"])

    @classmethod
    def from_spectra(cls, wavelength, spectra, components: int) -> "SpectralSoil":
        """Mean and principal components of measured spectra[soil, wavelength].

        A coefficient of 1 is one standard deviation along its component.
        """
        spectra = np.asarray(spectra, dtype=np.float64)
        mean = spectra.mean(0)
        _, size, axes = np.linalg.svd(spectra - mean, full_matrices=False)
        scale = size[:components, None] / np.sqrt(max(len(spectra) - 1, 1))
        return cls(wavelength, axes[:components] * scale, mean)

    def shapes(self, wavelength: Tensor) -> Tensor:
        """The basis, then the mean, on the model's wavelengths [shape + 1, wavelength]."""
        both = np.concatenate([self.basis, self.mean[None]])
        return resample(wavelength, self.wavelength, both)

    def reflectance(self, values: Tensor, shapes: Tensor) -> Tensor:
        """Soil reflectance [wavelength, canopy] from values[(soil_1 … soil_k, rsoil), canopy]."""
        rsoil = values[-1:]
        return cap(lift(shapes.T @ torch.cat([rsoil * values[:-1], rsoil])))
