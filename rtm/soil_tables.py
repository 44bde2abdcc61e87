"""Measured soils: their table, and a soil that has their spectra as they are."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rtm.arguments import array, file_of
from rtm.dialect import Rows, read_rows
from rtm.parameters import TRAITS, Parameter
from rtm.soil_limits import cap
from rtm.spectra import full_grid, resample, within_range


class Soils(NamedTuple):
    """Measured soils: names, nm [wavelength], reflectance [soil, wavelength]."""

    names: tuple[str, ...]
    wavelength: np.ndarray
    spectra: np.ndarray


def read_soils(path: str | Path) -> Soils:
    """The soils of a text table, see `SpectralSoil.from_file`; ValueError for another form."""
    path = file_of("soil", path)
    if not path.is_file():
        raise ValueError(f"soil: expected a CSV file, found no {path}")
    return soils_of(path, read_rows(path, bare=True))


def soils_of(path: Path, rows: Rows) -> Soils:
    """The soils of the rows of a table; as `read_soils`."""
    if len(rows.names) < 2:
        raise ValueError(f"{path}: expected a wavelength and a soil a row, got one column")
    nm, *columns = rows.numbers(path, range(len(rows.names))).T
    spectra = _possible(str(path), np.stack(columns))
    if len(nm) < 2 or not (np.diff(nm) > 0).all():
        raise ValueError(f"{path}: expected rising wavelengths, got others")
    bare = rows.names[0] == "column 1"
    names = tuple(f"soil_{k}" for k in range(1, len(columns) + 1))
    return Soils(names if bare else rows.names[1:], nm, spectra)


def _possible(name: str, spectra: np.ndarray) -> np.ndarray:
    """The spectra, where they are reflectance."""
    wrong = spectra[~((spectra >= 0.0) & (spectra <= 1.0))]
    if wrong.size:
        raise ValueError(f"{name}: expected reflectance 0-1, got {wrong[0]:g}")
    return spectra


class MeasuredSoils:
    """rsoil·spectrum, capped, of one or of several measured soils.

    Several have the parameter `soil_number`, 1 for the first; between two whole numbers the soil
    is a mixture of the two.

    Parameters
    ----------
    soils : Soils

    Examples
    --------
    >>> soil = as_soil(([400.0, 2500.0], [[0.1, 0.3], [0.2, 0.2]]))
    >>> values = torch.tensor([[1.0, 2.0, 1.5], [1.0, 1.0, 2.0]])
    >>> soil.reflectance(values, soil.shapes(torch.tensor([400.0])).float())
    tensor([[0.1000, 0.2000, 0.3000]])
    """

    def __init__(self, soils: Soils) -> None:
        self.names, self.wavelength, self.spectra = soils
        which = Parameter(
            "soil_number", "-", "-", 1.0, float(len(self.names)), 1.0, (), "which of the soils"
        )
        self.parameters = (*((which,) if len(self.names) > 1 else ()), TRAITS["rsoil"])

    def shapes(self, wavelength: Tensor) -> Tensor:
        """The spectra [soil, wavelength], float64; ValueError where they do not reach."""
        nm = self.wavelength
        if wavelength.min() < nm[0] or wavelength.max() > nm[-1]:
            raise ValueError(
                f"soil: expected a spectrum over {wavelength.min():g}-{wavelength.max():g} nm, "
                f"got {nm[0]:g}-{nm[-1]:g}"
            )
        return resample(wavelength, nm, self.spectra)

    def reflectance(self, values: Tensor, shapes: Tensor) -> Tensor:
        """Soil reflectance [wavelength, canopy] from values[(soil_number, rsoil), canopy]."""
        if len(self.names) == 1:
            return cap(shapes.T @ values[-1:])
        order = torch.arange(1.0, len(shapes) + 1.0, device=values.device, dtype=values.dtype)
        number, rsoil = values[0].clamp(1.0, float(len(shapes))), values[1]
        return cap(shapes.T @ (torch.relu(1.0 - (number - order.unsqueeze(-1)).abs()) * rsoil))


def as_soil(given: Any, wavelength: Any = None) -> Any:
    """A soil as a model takes it, from what people have.

    Parameters
    ----------
    given : soil, array, pair or path
        A soil as it is; reflectance [wavelength] or [soil, wavelength], 0-1; a pair (nm,
        reflectance); or the path of a table, see `SpectralSoil.from_file`.
    wavelength : array [wavelength], optional
        nm of an array; every nm from 400 to 2500 without.

    Raises
    ------
    ValueError
        Another length, a gap, reflectance outside 0-1.

    Examples
    --------
    >>> soil = as_soil(([400.0, 2500.0], [0.1, 0.3]))
    >>> soil.reflectance(torch.ones(1, 1).double(), soil.shapes(torch.tensor([1450.0])))
    tensor([[0.2000]], dtype=torch.float64)
    """
    if all(hasattr(given, part) for part in ("parameters", "shapes", "reflectance")):
        return given
    if isinstance(given, str | Path):
        return MeasuredSoils(read_soils(given))
    if isinstance(given, tuple) and len(given) == 2:
        nm, values = (array("soil", part) for part in given)
    else:
        grid = full_grid() if wavelength is None else within_range(wavelength)
        nm, values = grid.cpu().numpy(), array("soil", given)
    if nm.ndim != 1 or values.ndim not in (1, 2) or values.shape[-1:] != nm.shape:
        raise ValueError(
            f"soil: expected reflectance at {nm.size} wavelengths, got shape {values.shape}"
        )
    if len(nm) < 2 or not (np.diff(nm) > 0).all():
        raise ValueError("soil: expected two wavelengths or more that rise, got others")
    spectra = np.atleast_2d(_possible("soil", values))
    names = tuple(f"soil_{k}" for k in range(1, len(spectra) + 1))
    return MeasuredSoils(Soils(names, nm, spectra))
