"""Many dates into one map, each weighted by how well it knows.

For one trait with means m_i and standard deviations s_i over the dates i that can be used

    w_i = s_i⁻² / Σ s_j⁻²,   m = Σ w_i m_i,   s² = Σ w_i (s_i² + (m_i − m)²),   q = Σ w_i q_i

s does not shrink with the number of dates: they share the errors of one model, and the trait may
have changed between them. A date is left out where it has no estimate or one that should not be
used (bits 3, 4 and 5); `quality` keeps the bits that all the used dates have.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from inversion.kernel import STATISTICS
from inversion.naming import listing
from inversion.quality import usable
from physvae.errors import InputError

COUNT = "number_of_dates"


def composite(
    results: Sequence[xr.Dataset], variables: Sequence[str], names: Sequence[str]
) -> xr.Dataset:
    """Combine maps of several dates on one grid.

    Parameters
    ----------
    results
        Maps as `inversion.retrieve` returns them, lazy or not.
    variables
        Traits to combine.
    names
        What the maps are called in messages.

    Raises
    ------
    InputError
        Maps of different grids.
    """
    _same_grid(results, names)
    plain = [result.drop_vars("spatial_ref", errors="ignore") for result in results]
    series = xr.concat(plain, dim="date", coords="minimal", compat="override", join="override")
    if series["quality"].chunks:
        series = series.chunk(date=-1)
    first = results[0]
    combined = first[[f"{variables[0]}"]].drop_vars(str(variables[0]))
    kept = xr.apply_ufunc(usable, series["quality"], dask="allowed")
    for name in variables:
        stacked = [series[name + statistic] for statistic in STATISTICS]
        outputs = xr.apply_ufunc(
            _weighted,
            kept,
            *stacked,
            input_core_dims=[["date"]] * (1 + len(STATISTICS)),
            output_core_dims=[[]] * len(STATISTICS),
            dask="parallelized",
            output_dtypes=[np.float32] * len(STATISTICS),
        )
        for statistic, values in zip(STATISTICS, outputs, strict=True):
            combined[name + statistic] = values.assign_attrs(first[name + statistic].attrs)
    quality, count = xr.apply_ufunc(
        _flags,
        kept,
        series["quality"],
        input_core_dims=[["date"], ["date"]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[np.uint16, np.uint16],
    )
    combined["quality"] = quality.assign_attrs(first["quality"].attrs)
    combined[COUNT] = count.assign_attrs(
        {"long_name": "dates that the estimates are made of", "units": "1"}
    )
    if "grid_mapping" in first["quality"].attrs:
        combined[COUNT].attrs["grid_mapping"] = first["quality"].attrs["grid_mapping"]
    return combined.assign_attrs(first.attrs)


def _same_grid(results: Sequence[xr.Dataset], names: Sequence[str]) -> None:
    import rioxarray  # noqa: F401 registers the accessor `rio`

    first = results[0]
    for name, other in zip(names, results, strict=True):
        same = first["quality"].shape == other["quality"].shape and first.rio.crs == other.rio.crs
        if not same or first.rio.transform() != other.rio.transform():
            raise InputError(
                f"{name}: expected the grid of {names[0]}, found another; composites are made of"
                f" images of one tile: {listing(names)}"
            )


def _weighted(
    usable: np.ndarray, mean: np.ndarray, sd: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Combine along the last axis."""
    usable = usable & np.isfinite(mean) & (sd > 0)
    weight = np.where(usable, 1.0 / np.square(np.where(usable, sd, 1.0), dtype=np.float64), 0.0)
    total = weight.sum(-1, keepdims=True)
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)

    def average(values: np.ndarray) -> np.ndarray:
        return (weight * np.where(usable, values, 0.0)).sum(-1)

    centre = average(mean)
    variance = average(np.square(sd) + np.square(mean - centre[..., None]))
    none = ~usable.any(-1)
    outputs = (centre, np.sqrt(variance), average(low), average(high))
    return tuple(np.where(none, np.nan, values).astype(np.float32) for values in outputs)


def _flags(usable: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = np.uint16(0xFFFF)
    kept = np.bitwise_and.reduce(np.where(usable, quality, every), -1)
    alone = np.bitwise_and.reduce(quality, -1)
    count = usable.sum(-1)
    return np.where(count > 0, kept, alone).astype(np.uint16), count.astype(np.uint16)
