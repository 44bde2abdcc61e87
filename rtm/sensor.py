"""A sensor as weights: band = Σ weight[band, wavelength]·spectrum[wavelength].

Response functions: ESA, Sentinel-2 Spectral Response Functions, COPE-GSEG-EOPG-TN-15-0007.

Reduced quadrature: the weights of a band are replaced by few non-negative ones on a subset of its
wavelengths, chosen such that the band values of given model spectra stay as they are. Model
spectra are smooth and span few dimensions, so a handful of wavelengths a band is enough.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from rtm.spectra import table

_MSI = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
_SENSORS = {"sentinel-2a": _MSI, "sentinel-2b": _MSI, "sentinel-2c": _MSI}
_ALIASES = {"sentinel-2": "sentinel-2a"}


@dataclass(frozen=True, eq=False)
class Sensor:
    """The bands of a sensor.

    Attributes
    ----------
    name : str
    bands : tuple of str
        Band ids.
    wavelength : Tensor [wavelength]
        nm, rising, float64.
    weights : Tensor [band, wavelength]
        Normalised responses: ≥ 0, every row sums to 1; float64.
    center, fwhm : Tensor [band]
        Mean wavelength under the response, and full width at half its maximum [nm].
    """

    name: str
    bands: tuple[str, ...]
    wavelength: Tensor
    weights: Tensor
    center: Tensor
    fwhm: Tensor

    @classmethod
    def from_responses(cls, name: str, wavelength, responses: dict) -> "Sensor":
        """A sensor from response functions {band: values[wavelength]} on a rising 1-D grid [nm].

        A band is the plain mean under its response: the grid is regular wherever it is not 0.

        Raises
        ------
        ValueError
            An unordered grid, or a response that is negative, empty or of another length.
        """
        grid = np.asarray(wavelength, dtype=np.float64)
        if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
            raise ValueError("wavelength: expected a rising 1-D grid in nm, got something else")
        rows, center, width = [], [], []
        for band, values in responses.items():
            response = np.asarray(values, dtype=np.float64)
            if response.shape != grid.shape or not (response >= 0).all() or not response.any():
                raise ValueError(f"{band}: expected {len(grid)} responses ≥ 0, not all 0")
            rows.append(response / response.sum())
            center.append((rows[-1] * grid).sum())
            half = grid[response >= response.max() / 2]
            width.append(half[-1] - half[0])
        weights = torch.from_numpy(np.stack(rows))
        at = torch.from_numpy(grid.copy())
        return cls(name, tuple(responses), at, weights, torch.tensor(center), torch.tensor(width))

    def select(self, bands: tuple[str, ...] | list[str]) -> "Sensor":
        """The same sensor with these bands in this order, on the wavelengths they need."""
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise ValueError(
                f"bands: expected some of {', '.join(self.bands)}, got {', '.join(missing)}"
            )
        rows = [self.bands.index(band) for band in bands]
        weights = self.weights[rows]
        used = (weights > 0).any(0)
        return replace(
            self, bands=tuple(bands), wavelength=self.wavelength[used], weights=weights[:, used],
            center=self.center[rows], fwhm=self.fwhm[rows],
        )  # fmt: skip

    def apply(self, spectrum: Tensor) -> Tensor:
        """Band values [..., band] of a spectrum [..., wavelength] on this sensor's wavelengths."""
        if spectrum.shape[-1] != len(self.wavelength):
            raise ValueError(
                f"spectrum: expected a last axis of {len(self.wavelength)} wavelengths, "
                f"got shape {tuple(spectrum.shape)}"
            )
        return spectrum @ self.weights.to(spectrum).T

    def reduce(self, spectra: Tensor, tolerance: float = 1e-4) -> "Sensor":
        """The same bands on few wavelengths, exact to `tolerance` on the given spectra.

        Parameters
        ----------
        spectra : Tensor [..., wavelength]
            Model spectra on this sensor's wavelengths that span what the sensor is to see: a
            thousand draws over the whole parameter box will do.
        tolerance : float
            Largest absolute error of a band value of any of them [reflectance].

        Returns
        -------
        Sensor
            With fewer wavelengths; weights ≥ 0, rows sum to 1, center and fwhm unchanged.
        """
        sample = spectra.detach().double().cpu().reshape(-1, spectra.shape[-1])
        truth = self.apply(sample).numpy()
        rows = [
            _few_nodes(sample.numpy(), row, truth[:, i], tolerance)
            for i, row in enumerate(self.weights.numpy())
        ]
        weights = torch.from_numpy(np.stack(rows))
        used = (weights > 0).any(0)
        return replace(self, wavelength=self.wavelength[used], weights=weights[:, used])


def _few_nodes(spectra: np.ndarray, row: np.ndarray, truth: np.ndarray, tolerance: float):
    """Greedy choice of nodes for one band, non-negative least squares for their weights."""
    support = np.flatnonzero(row)
    # rows of R carry all that least squares needs of the spectra; the last asks for Σ weights = 1
    stacked = np.concatenate([spectra[:, support], truth[:, None]], 1)
    triangle = np.asarray(np.linalg.qr(stacked, mode="r"))
    unity = 1e3 * np.abs(triangle).max()
    matrix = np.vstack([triangle[:, :-1], np.full(len(support), unity)])
    target = np.append(triangle[:, -1], unity)
    chosen: list[int] = []
    while len(chosen) < len(support):
        chosen = _exchange(matrix, target, _add(matrix, target, chosen))
        weights = np.zeros(len(row))
        weights[support[chosen]] = nnls(matrix[:, chosen], target)[0]
        weights /= weights.sum()
        if np.abs(spectra @ weights - truth).max() <= tolerance:
            return weights
    return row


def _add(matrix: np.ndarray, target: np.ndarray, chosen: list[int]) -> list[int]:
    """The chosen columns and the one more that leaves the least residual."""
    rest = [j for j in range(matrix.shape[1]) if j not in chosen]
    left = [nnls(matrix[:, [*chosen, j]], target)[1] for j in rest]
    return [*chosen, rest[int(np.argmin(left))]]


def _exchange(matrix: np.ndarray, target: np.ndarray, chosen: list[int]) -> list[int]:
    """One round of taking every earlier choice back and choosing it again."""
    for j in chosen[:-1]:
        chosen = _add(matrix, target, [i for i in chosen if i != j])
    return chosen


def sensors() -> tuple[str, ...]:
    """The names `load_sensor` knows."""
    return (*_SENSORS, *_ALIASES)


def load_sensor(name: str) -> Sensor:
    """A sensor by name.

    Parameters
    ----------
    name : str
        One of `sensors()`; "sentinel-2" is Sentinel-2A.

    Raises
    ------
    ValueError
        Unknown name; the message lists the known ones.

    Examples
    --------
    >>> load_sensor("sentinel-2a").select(("B8", "B8A")).center
    tensor([832.7943, 864.7112], dtype=torch.float64)
    """
    key = _ALIASES.get(name, name)
    if key not in _SENSORS:
        raise ValueError(f"sensor: expected one of {', '.join(sensors())}, got {name!r}")
    columns = table(key)
    responses = {band: columns[band] for band in _SENSORS[key]}
    return Sensor.from_responses(key, columns["wavelength"], responses)
