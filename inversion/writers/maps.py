"""Row by row from a lazy map to a file, counting on the way; memory stays at one row of blocks."""

from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from inversion.summary import Summary
from inversion.writers import IMAGES
from inversion.writers.atomic import atomic

ROWS = 512
"""Rows computed at once where the map is not lazy; else the height of its blocks."""


def write(
    result: xr.Dataset,
    output: Path,
    *,
    provenance: str = "{}",
    advance: Callable[[int], None] = lambda pixels: None,
) -> Summary:
    """Compute a map and write it; the suffix of `output` chooses the format.

    Parameters
    ----------
    result
        What `inversion.retrieve` returned, with the dimensions y and x.
    provenance
        JSON text on how the map came about, kept with it.
    advance
        Called with the number of pixels after each portion.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    module = import_module(IMAGES[output.suffix.lower()])
    template = result.transpose("y", "x")
    summary = Summary(next(iter(template.data_vars)))
    with (
        atomic(*module.files(output)) as temporaries,
        module.Sink(temporaries, template, provenance) as sink,
    ):
        for top, bottom in _portions(template):
            rows = template.isel(y=slice(top, bottom)).compute()
            sink.write(top, rows)
            summary.add(rows[summary.variable].to_numpy(), rows["quality"].to_numpy())
            advance(rows["quality"].size)
    return summary


def _portions(template: xr.Dataset) -> list[tuple[int, int]]:
    chunks = template["quality"].chunks
    length = template.sizes["y"]
    heights = chunks[0] if chunks else (ROWS,) * -(-length // ROWS)
    edges = np.minimum(np.cumsum((0, *heights)), length).tolist()
    return list(pairwise(edges))
