"""Maps as Zarr (format 3) after CF-1.11."""

import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from inversion.provenance import history, with_summary
from inversion.summary import Summary
from inversion.writers.layout import block_side


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`."""
    return (output,)


class Sink:
    """Takes the rows of a map from top to bottom; the store is laid out before the first."""

    def __init__(self, paths: list[Path], template: xr.Dataset, provenance: str) -> None:
        (self._path,) = paths
        self._provenance = provenance
        dataset = template.assign_attrs(history=history(provenance), provenance=provenance)
        dataset.to_zarr(
            self._path,
            mode="w",
            compute=False,
            zarr_format=3,
            consolidated=False,
            encoding=_encoding(dataset),
        )

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
                zarr.consolidate_metadata(self._path)

    def conclude(self, summary: Summary) -> None:
        """Put what the map came to, and how many chunks there are, beside the provenance."""
        chunks = [file for file in self._path.rglob("*") if "c" in file.parts and file.is_file()]
        group = zarr.open_group(self._path, mode="r+")
        group.attrs["provenance"] = with_summary(self._provenance, summary)
        group.attrs["completion"] = {
            "chunks": len(chunks),
            "bytes": sum(file.stat().st_size for file in chunks),
        }

    def write(self, top: int, rows: xr.Dataset) -> None:
        """Write a portion of computed rows, the first of them being row `top`."""
        height = rows.sizes["y"]
        portion = rows.drop_vars([name for name in rows.variables if name not in rows.data_vars])
        portion.to_zarr(self._path, region={"y": slice(top, top + height)}, consolidated=False)


def _encoding(dataset: xr.Dataset) -> dict[str, dict]:
    chunks = tuple(block_side(dataset, axis) for axis in ("y", "x"))
    return {
        str(name): {"chunks": chunks} | ({"_FillValue": np.nan} if v.dtype.kind == "f" else {})
        for name, v in dataset.data_vars.items()
    }
