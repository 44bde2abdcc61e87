"""Maps as Zarr (format 3) after CF-1.11."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from inversion.provenance import history, with_summary
from inversion.summary import Summary
from inversion.writers.layout import block_side
from inversion.writers.work import Work


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`."""
    return (output,)


def write(
    paths: list[Path], template: xr.Dataset, work: Work, summary: Callable[[], Summary]
) -> None:
    """Lay the store out, then write the portions, from top to bottom.

    How many chunks there are stands in its attributes.
    """
    (path,) = paths
    record = with_summary(work.begun(), summary())
    dataset = template.assign_attrs(history=history(record), provenance=record)
    dataset.to_zarr(
        path,
        mode="w",
        compute=False,
        zarr_format=3,
        consolidated=False,
        encoding=_encoding(dataset),
    )
    for top, rows in work.read():
        rows.to_zarr(path, region={"y": slice(top, top + rows.sizes["y"])}, consolidated=False)
    chunks = [file for file in path.rglob("*") if "c" in file.parts and file.is_file()]
    zarr.open_group(path, mode="r+").attrs["completion"] = {
        "chunks": len(chunks),
        "bytes": sum(file.stat().st_size for file in chunks),
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
        zarr.consolidate_metadata(path)


def _encoding(dataset: xr.Dataset) -> dict[str, dict]:
    chunks = tuple(block_side(dataset, axis) for axis in ("y", "x"))
    return {
        str(name): {"chunks": chunks} | ({"_FillValue": np.nan} if v.dtype.kind == "f" else {})
        for name, v in dataset.data_vars.items()
    }
