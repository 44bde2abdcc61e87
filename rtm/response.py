"""Spectral responses on the grid 400, 401 … 2500 nm, whatever they were published on.

A reflectance spectrum ρ is linear between whole nm. A response r on other wavelengths therefore
has exact weights on the grid,

    ∫ r(λ) ρ(λ) dλ = Σ_j w_j ρ(λ_j),   w_j = ∫ r(λ) h(λ − λ_j) dλ,   h(x) = max(0, 1 − |x|)

however narrow the band. For a Gaussian of mean c and standard deviation σ = fwhm/√(8 ln 2)

    w_j = H(λ_j + 1) − 2 H(λ_j) + H(λ_j − 1),   H(λ) = (λ − c) Φ(u) + σ φ(u),   u = (λ − c)/σ

since H″ is the Gaussian; a response given as a table is linear between its samples. One given on
whole nm stays as it is, as its publisher sums it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from rtm.dialect import Rows, quotable, read_rows

GRID = np.arange(400.0, 2501.0)
OUTSIDE = 0.01  # share of a response that may lie outside the grid


class Responses(NamedTuple):
    """Responses [band, GRID] by band id; centre and width [nm] where a source states them."""

    bands: tuple[str, ...]
    rows: np.ndarray
    center: np.ndarray | None = None
    fwhm: np.ndarray | None = None


def gaussian(center: np.ndarray, fwhm: np.ndarray) -> np.ndarray:
    """Weights [band, GRID] of Gaussian responses of area 1.

    Parameters
    ----------
    center, fwhm : array [band]
        nm; the part of a response outside the grid is left out.

    Examples
    --------
    >>> row = gaussian(np.array([700.25]), np.array([0.01]))[0]
    >>> row[300:302]
    array([0.75, 0.25])
    """
    sigma = fwhm[:, None] / np.sqrt(8.0 * np.log(2.0))
    at = np.concatenate([GRID[:1] - 1.0, GRID, GRID[-1:] + 1.0]) - center[:, None]
    u = at / sigma
    ramp = at * ndtr(u) + sigma * np.exp(-(u**2) / 2.0) / np.sqrt(2.0 * np.pi)
    rows = np.maximum(np.diff(ramp, 2), 0.0)
    return np.where(rows > 1e-6 * rows.max(1, keepdims=True), rows, 0.0)


def on_grid(wavelength: np.ndarray, response: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [GRID] of a response table, and the share of it outside the grid.

    Parameters
    ----------
    wavelength : array [sample]
        nm, rising.
    response : array [sample]
        0 before the first and after the last.

    Examples
    --------
    >>> row, outside = on_grid(np.array([399.0, 400.0, 401.0]), np.array([0.0, 1.0, 1.0]))
    >>> row[:3], outside
    (array([1., 1., 0.]), 0.0)
    """
    first = np.floor(wavelength[0])
    whole = np.arange(first, np.floor(wavelength[-1]) + 2.0)
    if np.array_equal(wavelength, np.round(wavelength)):
        weights = np.zeros(len(whole))
        weights[(wavelength - first).astype(int)] = response
        if (np.diff(wavelength) > 1.0).any():
            weights = np.interp(whole, wavelength, response, 0.0, 0.0)
    else:
        weights = _moments(wavelength, response, whole)
    row = np.zeros(len(GRID))
    inside = (whole >= GRID[0]) & (whole <= GRID[-1])
    row[(whole[inside] - GRID[0]).astype(int)] = weights[inside]
    total = weights.sum()
    return row, float(1.0 - weights[inside].sum() / total) if total > 0.0 else 0.0


def _moments(wavelength: np.ndarray, response: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Integral of the response times every hat; both are linear on every piece."""
    edges = np.union1d(wavelength, whole[(whole > wavelength[0]) & (whole < wavelength[-1])])
    r = np.interp(edges, wavelength, response)
    left = np.floor(edges[:-1] + 1e-12)
    step = np.diff(edges)
    start, end = edges[:-1] - left, edges[1:] - left
    right = step / 6.0 * ((2.0 * r[:-1] + r[1:]) * start + (r[:-1] + 2.0 * r[1:]) * end)
    area = step / 2.0 * (r[:-1] + r[1:])
    weights = np.zeros(len(whole))
    cell = (left - whole[0]).astype(int)
    np.add.at(weights, cell, area - right)
    np.add.at(weights, cell + 1, right)
    return weights


def inside(name: str, bands: tuple[str, ...], share: np.ndarray) -> None:
    """ValueError where more than one part in a hundred of a response lies outside the grid."""
    beyond = [band for band, out in zip(bands, share, strict=True) if out > OUTSIDE]
    if beyond:
        raise ValueError(
            f"{name}: expected responses within 400-2500 nm, got {', '.join(beyond)} with more "
            f"than {OUTSIDE:.0%} outside; leave them out"
        )


def half_width(wavelength: np.ndarray, row: np.ndarray) -> float:
    """Full width at half maximum [nm] of a response, linear between its samples."""
    half = row.max() / 2.0
    above = np.flatnonzero(row >= half)
    first, last = above[0], above[-1]
    low, high = wavelength[first], wavelength[last]
    if first > 0:
        share = (row[first] - half) / (row[first] - row[first - 1])
        low -= share * (wavelength[first] - wavelength[first - 1])
    if last < len(row) - 1:
        share = (row[last] - half) / (row[last] - row[last + 1])
        high += share * (wavelength[last + 1] - wavelength[last])
    return float(high - low)


def read(path: Path) -> Responses:
    """Responses from a text table: `wavelength` and a column a band, or `band, center, fwhm`.

    Raises
    ------
    ValueError
        One sentence: the file, what was expected, what was found.
    """
    return from_rows(path, read_rows(path))


def from_rows(path: Path, rows: Rows) -> Responses:
    """Responses from the rows of a table; as `read`."""
    names = ["center" if name.lower() == "centre" else name.lower() for name in rows.names]
    if sorted(names) == ["band", "center", "fwhm"]:
        return _read_gaussian(path, names, rows)
    if names[0] == "wavelength" and len(names) > 1:
        return _read_table(path, rows)
    raise ValueError(
        f"{path}: expected the columns band, center, fwhm or the column wavelength and one a "
        f"band, found {', '.join(quotable(list(rows.names), 6))}"
    )


def _read_gaussian(path: Path, names: list[str], rows: Rows) -> Responses:
    order = [names.index(name) for name in ("band", "center", "fwhm")]
    values = rows.numbers(path, order[1:])
    bands = tuple(row[order[0]] for row in rows.cells)
    if len(set(bands)) < len(bands):
        raise ValueError(f"{path}: expected distinct bands, found one twice")
    if not (values[:, 1] > 0.0).all():
        raise ValueError(f"{path}: expected fwhm above 0, found {values[:, 1].min():g}")
    weights = gaussian(values[:, 0], values[:, 1])
    inside(str(path), bands, 1.0 - weights.sum(1))
    return Responses(bands, weights, values[:, 0], values[:, 1])


def _read_table(path: Path, rows: Rows) -> Responses:
    bands = rows.names[1:]
    values = rows.numbers(path, range(len(rows.names)))
    at, columns = values[:, 0], values[:, 1:].T
    if len(at) < 2 or not (np.diff(at) > 0.0).all():
        raise ValueError(f"{path}: expected rising wavelengths in nm, found another order")
    if at[0] < 100.0:
        raise ValueError(f"{path}: expected wavelengths in nm, found {at[0]:g}")
    for band, column in zip(bands, columns, strict=True):
        if not ((column >= 0.0).all() and column.any()):
            raise ValueError(f"{path}: expected responses ≥ 0, not all 0, found others in {band}")
    placed = [on_grid(at, column) for column in columns]
    inside(str(path), bands, np.array([share for _, share in placed]))
    return Responses(bands, np.stack([row for row, _ in placed]))
