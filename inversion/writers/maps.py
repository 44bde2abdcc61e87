"""Row by row from a lazy map to a file, counting on the way; memory stays at one row of blocks."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import xarray as xr

from inversion.summary import Summary
from inversion.writers import IMAGES
from inversion.writers.atomic import atomic
from inversion.writers.layout import in_blocks, portions


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
    template = in_blocks(result)
    summary = Summary(str(next(iter(template.data_vars))))
    with (
        atomic(*module.files(output)) as temporaries,
        module.Sink(temporaries, template, provenance) as sink,
    ):
        for top, bottom in portions(template):
            rows = template.isel(y=slice(top, bottom)).compute()
            sink.write(top, rows)
            summary.add(rows[summary.variable].to_numpy(), rows["quality"].to_numpy())
            advance(rows["quality"].size)
    return summary
