"""Imaging spectrometers: from hundreds of narrow bands to those of the sensor a model is made for.

    ρ_b = Σ_λ R_b(λ) ρ(λ),   ρ(λ) linear between the centres of the narrow bands

R_b: response of the wanted band b, its sum 1. A wanted band is missing where more than 1 % of R_b
lies outside of the narrow bands or in a gap of theirs (a water vapour band that was taken out).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr

from inversion.naming import listing
from inversion.radiometry import Radiometry
from inversion.readers.rasters import Grid, Readable, cube, georeferenced
from inversion.readers.scene import LOG
from physvae.errors import InputError

GAP = 3.0
"""Distance of neighbouring centres, in widths of a band, from which there is a gap between."""
OUTSIDE_MAX = 0.01
NEGLIGIBLE = 1e-4
"""A share of a response below which a narrow band without data does not matter."""


class Narrow(NamedTuple):
    """The narrow bands that can be used: layers, centres and widths [nm], rising."""

    layers: list[Readable]
    center: np.ndarray
    fwhm: np.ndarray


def in_order(layers: Sequence[Readable], center: Sequence[float], fwhm: Sequence[float]) -> Narrow:
    """Sort narrow bands by their centres; of two within a fifth of a width the first is kept."""
    order = np.argsort(center, kind="stable")
    kept: list[int] = []
    for index in order:
        if not kept or center[index] - center[kept[-1]] > 0.2 * fwhm[index]:
            kept.append(int(index))
    return Narrow(
        [layers[i] for i in kept],
        np.array([center[i] for i in kept]),
        np.array([fwhm[i] for i in kept]),
    )


def weights(narrow: Narrow, bands: Sequence[str], sensor: str) -> dict[str, np.ndarray]:
    """Weights of the narrow bands for every wanted band that they cover.

    Raises
    ------
    InputError
        The sensor is not known.
    """
    import rtm

    try:
        target = rtm.load_sensor(sensor).select(list(bands))
    except ValueError as error:
        raise InputError(f"sensor: {error}") from error
    grid, response = target.wavelength.numpy(), target.weights.numpy()
    center = narrow.center
    hats = np.stack([np.interp(grid, center, row) for row in np.eye(len(center))], -1)
    place = np.searchsorted(center, grid)
    inside = (place > 0) & (place < len(center))
    at = np.clip(place, 1, len(center) - 1)
    near = center[at] - center[at - 1] <= GAP * np.maximum(narrow.fwhm[at], narrow.fwhm[at - 1])
    covered = response @ (inside & near)
    return {
        band: row
        for band, row, share in zip(bands, response @ hats, covered, strict=True)
        if share >= 1 - OUTSIDE_MAX
    }


def spectral_scene(
    narrow: Narrow,
    grid: Grid,
    *,
    bands: Sequence[str],
    sensor: str,
    chunk: int,
    radiometry: Sequence[dict],
    attributes: dict[str, Any],
    source: str,
) -> xr.Dataset:
    """Lay the wanted bands over a grid, each made of the narrow ones.

    Raises
    ------
    InputError
        None of the wanted bands is covered.
    """
    rows = weights(narrow, bands, sensor)
    absent = [band for band in bands if band not in rows]
    if not rows:
        raise InputError(
            f"{source}: expected wavelengths of {listing(bands)} of {sensor}, found"
            f" {narrow.center[0]:.0f} to {narrow.center[-1]:.0f} nm"
        )
    if absent:
        LOG.warning("%s: does not cover band %s; estimated from the rest", source, listing(absent))
    LOG.warning(
        "%s: %d narrow bands seen as %s by its response functions",
        source,
        len(narrow.center),
        sensor,
    )
    matrix = np.stack(list(rows.values())).astype(np.float32)
    used = np.flatnonzero((matrix > 0).any(0))
    values = da.map_blocks(
        _resampled,
        cube([narrow.layers[i] for i in used], grid, chunk),
        matrix=matrix[:, used],
        chunks=((len(rows),), *cube(narrow.layers[:1], grid, chunk).chunks[1:]),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    dataset = xr.Dataset(
        {"reflectance": (("band", "y", "x"), values, {"units": "1"})},
        coords={"band": list(rows)},
        attrs={"radiometry": list(radiometry), **attributes},
    )
    return georeferenced(dataset, grid)


def same_step(steps: Sequence[Radiometry]) -> list[dict]:
    """Return the records without repetition."""
    return [vars(step) for step in dict.fromkeys(steps)]


def _resampled(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0).reshape(len(values), -1)
    out = matrix @ filled
    lost = (matrix > NEGLIGIBLE).astype(np.float32) @ (~there).reshape(len(values), -1)
    out[lost > 0] = np.nan
    return out.reshape(len(matrix), *values.shape[1:])
