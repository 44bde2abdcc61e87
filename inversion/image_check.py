"""The guard of `inversion.radiometry` for an image in memory: date by date, on a sample."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from inversion.readers.declaration import Declaration
from inversion.readers.scene import guard

DATES = 8
"""Images of a stack that are looked at, spread over it."""


def check_image(dataset: xr.Dataset, keep_classes: Sequence[int]) -> None:
    """Refuse reflectance whose scale or offset cannot be right.

    Every image of a stack is judged by itself, since a forgotten offset may be that of some dates.
    Of a lazy image no more than the guard's windows are computed.

    Raises
    ------
    InputError
        As `inversion.radiometry.check_reflectance`.
    """
    declared = Declaration(keep_classes=keep_classes)
    names = [name for name in ("reflectance", "scene_class") if name in dataset]
    for part, source in _images(dataset[names]):
        guard(part, declared, source)


def _images(dataset: xr.Dataset) -> Iterator[tuple[xr.Dataset, str]]:
    """Yield images over y and x, and how to name each of them."""
    dims = [str(dim) for dim in dataset["reflectance"].dims if dim != "band"]
    plane = ["y", "x"] if {"y", "x"} <= set(dims) else dims[-2:]
    others = [dim for dim in dims if dim not in plane]
    pairs = zip(plane, ("y", "x")[2 - len(plane) :], strict=True)
    flat = dataset.rename({dim: name for dim, name in pairs if dim != name})
    flat = flat.expand_dims([dim for dim in ("y", "x") if dim not in flat.dims])
    count = int(np.prod([dataset.sizes[dim] for dim in others], dtype=int))
    for number in np.unique(np.linspace(0, max(count - 1, 0), min(count, DATES)).astype(int)):
        where = np.unravel_index(number, [dataset.sizes[dim] for dim in others]) if others else ()
        place = dict(zip(others, map(int, where), strict=True))
        text = "".join(f", {dim} {_label(dataset, dim, at)}" for dim, at in place.items())
        yield flat.isel(place), f"dataset{text}"


def _label(dataset: xr.Dataset, dim: str, at: int) -> str:
    return str(dataset[dim].to_numpy()[at])[:10] if dim in dataset.coords else str(at)
