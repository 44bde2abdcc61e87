"""Maps as NetCDF-4 after CF-1.11."""

from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from inversion.provenance import history, with_summary
from inversion.summary import Summary
from inversion.writers.layout import block_side
from inversion.writers.work import Work
from physvae.io.files import disk_errors

CACHE = 1 << 20
"""Memory [byte] for a variable's blocks; whole rows of blocks are written, none is met again."""


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`."""
    return (output,)


def write(
    paths: list[Path], template: xr.Dataset, work: Work, summary: Callable[[], Summary]
) -> None:
    """Lay the file out, then write the portions, from top to bottom."""
    (path,) = paths
    record = with_summary(work.begun(), summary())
    dataset = template.assign_attrs(history=history(record), provenance=record)
    with disk_errors(RuntimeError):
        dataset.to_netcdf(path, engine="netcdf4", compute=False, encoding=_encoding(dataset))
        with netCDF4.Dataset(path, "a") as file:
            file.set_auto_maskandscale(False)
            for name in template.data_vars:
                file.variables[str(name)].set_var_chunk_cache(size=CACHE)
            for top, rows in work.read():
                for name, values in rows.items():
                    file.variables[str(name)][top : top + rows.sizes["y"], :] = values.to_numpy()


def _encoding(dataset: xr.Dataset) -> dict[str, dict]:
    chunks = tuple(block_side(dataset, axis) for axis in ("y", "x"))
    encoding = {}
    for name, variable in dataset.data_vars.items():
        filling = np.float32(np.nan) if variable.dtype.kind == "f" else None
        encoding[str(name)] = {
            "zlib": True,
            "complevel": 1,
            "chunksizes": chunks,
            "_FillValue": filling,
        }
    return encoding | {str(name): {"_FillValue": None} for name in dataset.coords}
