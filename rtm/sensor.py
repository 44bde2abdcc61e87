"""A sensor as weights: band = Σ weight[band, wavelength]·spectrum[wavelength].

A sensor comes from the package (`load_sensor`), from a CSV file of one's own
(`Sensor.from_file`), from centres and widths (`Sensor.gaussian`) or from response functions
(`Sensor.from_responses`). `rtm.response` puts them on the grid of whole nm.

Reduced quadrature: the weights of a band are replaced by few non-negative ones on a subset of its
wavelengths, chosen such that the band values of given model spectra stay as they are
(`rtm.reduction`). Model spectra are smooth and span few dimensions, so a handful of wavelengths a
band is enough. `load_sensor(name, reduced=True)` has the choice made for all of `Prosail`'s box.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtm import response
from rtm.arguments import array, file_of, numbers, tensors
from rtm.arguments import names as names_of
from rtm.catalogue import ALIASES, REGULAR, SENSORS, SensorInfo, sensors
from rtm.modes import constant, lasting, own_precision
from rtm.reduction import few_nodes
from rtm.spectra import table

TABLES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".parquet", ".pq")
"""Endings of what is a table and no name; Excel and Parquet are read by `physvae.sensor_files`."""
__all__ = ["Sensor", "SensorInfo", "load_sensor", "sensors"]


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

    def __post_init__(self) -> None:
        for name in ("wavelength", "weights", "center", "fwhm"):
            object.__setattr__(self, name, lasting(constant)(getattr(self, name)))

    @classmethod
    def from_responses(cls, name: str, wavelength, responses: dict) -> "Sensor":
        """A sensor from response functions {band: values[wavelength]} on a rising 1-D grid [nm].

        A band is the plain mean under its response: the grid is regular wherever it is not 0.

        Raises
        ------
        ValueError
            An unordered grid, or a response that is negative, empty or of another length.
        """
        grid = array("wavelength", wavelength)
        if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
            raise ValueError("wavelength: expected a rising 1-D grid in nm, got something else")
        rows = []
        for band, values in responses.items():
            row = array(str(band), values)
            if row.shape != grid.shape or not (row >= 0).all() or not row.any():
                raise ValueError(f"{band}: expected {len(grid)} responses ≥ 0, not all 0")
            rows.append(row)
        return _sensor(name, tuple(responses), grid, np.stack(rows))

    @classmethod
    def gaussian(cls, name: str, center, fwhm, bands=None) -> "Sensor":
        """A sensor with Gaussian bands, as imaging spectrometers state them.

        Parameters
        ----------
        name : str
        center, fwhm : array or Tensor [band]
            nm; a band may be narrower than the 1 nm of the grid 400, 401 … 2500 nm, on which the
            spectrum is taken as linear.
        bands : sequence of str, optional
            Band ids; B1, B2 … where none are given.

        Raises
        ------
        ValueError
            Lengths that differ, a width that is not above 0, or bands with more than 1 % of their
            response outside 400-2500 nm; the message names them.

        Examples
        --------
        >>> sensor = Sensor.gaussian("mine", [550.0, 670.5], [10.0, 0.5])
        >>> sensor.bands, sensor.apply(sensor.wavelength)
        (('B1', 'B2'), tensor([550.0000, 670.5000], dtype=torch.float64))
        """
        at, width = (np.atleast_1d(array(n, x)) for n, x in (("center", center), ("fwhm", fwhm)))
        ids = tuple(f"B{i + 1}" for i in range(len(at))) if bands is None else bands
        names = names_of("bands", ids)
        if at.ndim != 1 or at.shape != width.shape or len(names) != len(at):
            raise ValueError(
                f"{name}: expected as many centres, widths and bands, "
                f"got {len(at)}, {len(width)} and {len(names)}"
            )
        if not (np.isfinite(at).all() and np.isfinite(width).all() and (width > 0.0).all()):
            raise ValueError(f"{name}: expected finite centres and widths above 0 in nm")
        rows = response.gaussian(at, width)
        response.inside(name, names, 1.0 - rows.sum(1))
        return _on_grid(name, names, rows, at, width)

    @classmethod
    def from_file(cls, path: str | Path) -> "Sensor":
        """A sensor from a text table: comma, semicolon or tab, decimal point or comma.

        Parameters
        ----------
        path : str or Path
            A table with the column `wavelength` [nm, rising] and one column a band (responses,
            any scale), or one with the columns `band`, `center`, `fwhm` [nm]. The name of the
            sensor is that of the file.

        Raises
        ------
        ValueError
            Another content, or bands with more than 1 % of their response outside 400-2500 nm.
        FileNotFoundError
            No such file.
        """
        path = file_of("sensor", path)
        if not path.is_file():
            raise FileNotFoundError(f"sensor: expected a CSV file, found no {path}")
        return cls.from_rows(path.stem, response.read(path))

    @classmethod
    def from_rows(cls, name: str, found: response.Responses) -> "Sensor":
        """A sensor from responses [band, 400 … 2500 nm]."""
        return _on_grid(name, found.bands, found.rows, found.center, found.fwhm)

    def select(self, bands: tuple[str, ...] | list[str]) -> "Sensor":
        """The same sensor with these bands in this order, on the wavelengths they need."""
        bands = names_of("bands", bands)
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

    @own_precision
    def apply(self, spectrum: Tensor) -> Tensor:
        """Band values [..., band] of a spectrum [..., wavelength] on this sensor's wavelengths."""
        tensors(spectrum=spectrum)
        if not spectrum.is_floating_point():
            raise ValueError(f"spectrum: expected real numbers, got {spectrum.dtype}")
        if spectrum.ndim == 0 or spectrum.shape[-1] != len(self.wavelength):
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
        spectra = numbers("spectra", spectra)
        if spectra.shape[-1:] != self.wavelength.shape:
            raise ValueError(
                f"spectra: expected a last axis of {len(self.wavelength)} wavelengths, "
                f"got shape {tuple(spectra.shape)}"
            )
        sample = spectra.detach().double().cpu().reshape(-1, spectra.shape[-1])
        weights = torch.from_numpy(few_nodes(sample.numpy(), self.weights.numpy(), tolerance))
        used = (weights > 0).any(0)
        return replace(self, wavelength=self.wavelength[used], weights=weights[:, used])


def _sensor(name, bands, grid, rows, center=None, fwhm=None) -> Sensor:
    """A sensor from responses [band, grid]; centre and width computed where not stated."""
    if len(set(bands)) < len(bands):
        raise ValueError(f"{name}: expected distinct bands, got one twice")
    weights = rows / rows.sum(1, keepdims=True)
    middle = weights @ grid if center is None else center
    width = [response.half_width(grid, row) for row in rows] if fwhm is None else fwhm
    numbers = (grid, weights, middle, np.asarray(width))
    return Sensor(name, tuple(bands), *(torch.from_numpy(part.copy()) for part in numbers))


def _on_grid(name, bands, rows, center=None, fwhm=None) -> Sensor:
    """A sensor from responses [band, GRID], on the wavelengths they use."""
    return _sensor(name, bands, response.GRID, rows, center, fwhm).select(bands)


def load_sensor(name: str | Path, reduced: bool = False) -> Sensor:
    """A sensor by name.

    Parameters
    ----------
    name : str or Path
        The name of one of `sensors()`; "sentinel-2" is Sentinel-2A, "modis" that on Terra, "viirs"
        that on NOAA-20. Or the path of a CSV file, see `Sensor.from_file`.
    reduced : bool
        The same bands on few wavelengths: band values of all reflectance factors within 1e-4 over
        the box of `Prosail`, for a fraction of the work.

    Raises
    ------
    ValueError
        Unknown name; the message lists the known ones. A file with reduced: the choice of
        wavelengths needs spectra, see `Sensor.reduce`.

    Examples
    --------
    >>> load_sensor("sentinel-2a").select(("B8", "B8A")).center
    tensor([832.7943, 864.7112], dtype=torch.float64)
    >>> few = load_sensor("landsat-8", reduced=True)
    >>> len(few.wavelength) < 60, few.bands[:3]
    (True, ('B1', 'B2', 'B3'))
    """
    key = ALIASES.get(str(name), str(name))
    if key not in SENSORS and (Path(key).suffix.lower() in TABLES or Path(key).is_file()):
        if reduced:
            raise ValueError(
                f"reduced: expected a sensor of the package, got the file {name}; "
                "Sensor.reduce does it for given spectra"
            )
        return Sensor.from_file(name)
    if key not in SENSORS:
        raise ValueError(
            f"sensor: expected one of {', '.join(SENSORS)} or a CSV file, got {str(name)!r}"
        )
    full = _shipped(SENSORS[key])
    return _reduced(full) if reduced else full


def sensor_of(given: Any) -> Sensor | None:
    """A sensor, or that of a name or path; None stays None. ValueError for anything else."""
    if given is None or isinstance(given, Sensor):
        return given
    if isinstance(given, str | Path):
        return load_sensor(given)
    raise ValueError(f"sensor: expected a name, a CSV file or a Sensor, got {given!r}")


def _shipped(info: SensorInfo) -> Sensor:
    if info.name in REGULAR:
        first, step, fwhm = REGULAR[info.name]
        count = len(info.bands)
        center = first + step * np.arange(count)
        return Sensor.gaussian(info.name, center, np.full(count, fwhm), info.bands)
    columns = table("responses")
    if f"{info.name}.center" in columns:
        center = columns[f"{info.name}.center"].astype(np.float64).round(3)
        fwhm = columns[f"{info.name}.fwhm"].astype(np.float64).round(3)
        return Sensor.gaussian(info.name, center, fwhm, info.bands)
    rows = np.zeros((len(info.bands), len(response.GRID)))
    for row, band, first in zip(rows, info.bands, columns[f"{info.name}.first"], strict=True):
        values = columns[f"{info.name}.{band}"]
        start = int(first - response.GRID[0])
        row[start : start + len(values)] = values
    return _on_grid(info.name, info.bands, rows)


def _reduced(full: Sensor) -> Sensor:
    columns = table("reduced")
    parts = ("wavelength", "band", "node", "weight")
    if f"{full.name}.weight" not in columns:
        raise ValueError(f"reduced: expected another sensor, {full.name} has no such choice")
    nodes, band, node, weight = (columns[f"{full.name}.{part}"] for part in parts)
    weights = np.zeros((len(full.bands), len(nodes)))
    weights[band, node] = weight
    weights /= weights.sum(1, keepdims=True)
    wavelength = torch.from_numpy(nodes.astype(np.float64))
    return replace(full, wavelength=wavelength, weights=torch.from_numpy(weights))
