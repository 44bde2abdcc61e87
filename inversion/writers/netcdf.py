"""Maps as NetCDF-4 after CF-1.11."""

from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from inversion.provenance import history, with_summary
from inversion.summary import Summary
from inversion.writers.layout import block_side
from physvae.files import disk_errors

CACHE = 1 << 20
"""Memory [byte] for a variable's blocks; whole rows of blocks are written, none is met again."""


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`."""
    return (output,)


class Sink:
    """Takes the rows of a map from top to bottom; the file is laid out before the first."""

    def __init__(self, paths: list[Path], template: xr.Dataset, provenance: str) -> None:
        (path,) = paths
        self._provenance = provenance
        dataset = template.assign_attrs(history=history(provenance), provenance=provenance)
        with disk_errors(RuntimeError):
            dataset.to_netcdf(path, engine="netcdf4", compute=False, encoding=_encoding(dataset))
            self._file = netCDF4.Dataset(path, "a")
        self._file.set_auto_maskandscale(False)
        self._names = [str(name) for name in template.data_vars]
        for name in self._names:
            self._file.variables[name].set_var_chunk_cache(size=CACHE)

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *raised: object) -> None:
        with disk_errors(RuntimeError):
            self._file.close()

    def conclude(self, summary: Summary) -> None:
        """Put what the map came to into its provenance."""
        self._file.setncattr("provenance", with_summary(self._provenance, summary))

    def write(self, top: int, rows: xr.Dataset) -> None:
        """Write a portion of computed rows, the first of them being row `top`."""
        for name in self._names:
            values = rows[name].to_numpy()
            with disk_errors(RuntimeError):
                self._file.variables[name][top : top + len(values), :] = values


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
