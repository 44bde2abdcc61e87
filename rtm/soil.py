"""Soil reflectance: a dry and a wet soil, or a mean and a few shapes.

A soil is an object with `parameters`, `shapes(wavelength)` (its constants, float64) and
`reflectance(values, shapes)`, which is 0-1 and below 1 wherever the values lie.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtm.arguments import array, count
from rtm.parameters import TRAITS, Parameter
from rtm.soil_limits import cap, lift
from rtm.soil_tables import read_soils
from rtm.spectra import resample, table


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
        psoil, rsoil = values.unbind(0)
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
        self.wavelength = array("wavelength", wavelength)
        self.basis = np.atleast_2d(array("basis", basis))
        self.mean = array("mean", mean)
        n = self.wavelength.size
        if self.basis.shape[1:] != (n,) or self.mean.shape != (n,):
            raise ValueError(
                f"basis: expected [shape, {n}] and mean [{n}], "
                f"got {self.basis.shape} and {self.mean.shape}"
            )
        for name, values in (("basis", self.basis), ("mean", self.mean)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: expected finite numbers, got a gap")
        if n < 2 or not (np.diff(self.wavelength) > 0).all():
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

        Raises
        ------
        ValueError
            More components than spectra less one.
        """
        spectra = np.atleast_2d(array("spectra", spectra))
        components = count("components", components, 0)
        if not np.isfinite(spectra).all():
            raise ValueError("spectra: expected finite numbers, got a gap")
        if not 0 <= components < len(spectra):
            raise ValueError(
                f"components: expected 0-{len(spectra) - 1} for {len(spectra)} spectra, "
                f"got {components}"
            )
        mean = spectra.mean(0)
        _, size, axes = np.linalg.svd(spectra - mean, full_matrices=False)
        scale = size[:components, None] / np.sqrt(max(len(spectra) - 1, 1))
        return cls(wavelength, axes[:components] * scale, mean)

    @classmethod
    def from_file(cls, path: str | Path, components: int) -> "SpectralSoil":
        """Mean and principal components of the soils of a table, as `from_spectra`.

        Parameters
        ----------
        path : str or Path
            CSV: a row of names or none, then a row a wavelength: nm, rising, and the reflectance
            (0-1) of one soil a column.
        components : int
            How many shapes to keep, below the number of soils; 0 leaves the mean and `rsoil`.

        Raises
        ------
        ValueError
            A table of another form, or more components than it allows.
        """
        measured = read_soils(path)
        return cls.from_spectra(measured.wavelength, measured.spectra, components)

    def shapes(self, wavelength: Tensor) -> Tensor:
        """The basis, then the mean, on the model's wavelengths [shape + 1, wavelength]."""
        both = np.concatenate([self.basis, self.mean[None]])
        return resample(wavelength, self.wavelength, both)

    def reflectance(self, values: Tensor, shapes: Tensor) -> Tensor:
        """Soil reflectance [wavelength, canopy] from values[(soil_1 … soil_k, rsoil), canopy]."""
        rsoil = values[-1:]
        return cap(lift(shapes.T @ torch.cat([rsoil * values[:-1], rsoil])))
