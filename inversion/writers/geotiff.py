"""Maps as Cloud-Optimized GeoTIFF: the traits, the quality beside them, and how they came about.

    OUT.tif          float32, a band for every estimate (lai, lai_sd, lai_p025, lai_p975, cab, ...)
    OUT_quality.tif  uint16, the quality bits
    OUT.tif.json     input, model, versions, options

Rows arrive in any portions; they go to a working file first, which is given overviews and copied
into the order a COG asks for when it is complete.
"""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.shutil import copy

from inversion.writers.atomic import disk_errors

BLOCK = 512
TILES = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
COMPRESSION = {"compress": "zstd", "zstd_level": 3}
"""Estimates are as noisy as reflectance: a higher level takes thrice the time and saves 1 %."""
STRIP = 16
"""Rows in a block of the working file, which is as wide as the map."""
CACHE = 256
"""Memory [MiB] that GDAL may keep blocks in; its own default grows with the machine's."""


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`, the main file last."""
    quality = output.with_name(f"{output.stem}_quality{output.suffix}")
    return (output.with_name(output.name + ".json"), quality, output)


class Sink:
    """Takes the rows of a map from top to bottom and leaves finished files."""

    def __init__(self, paths: list[Path], template: xr.Dataset, provenance: str) -> None:
        sidecar, quality, estimates = paths
        sidecar.write_text(provenance + "\n", encoding="utf-8")
        names = [str(name) for name in template.data_vars if name != "quality"]
        self._layers = [
            _Layer(estimates, template[names], {"dtype": "float32", "nodata": np.nan}),
            _Layer(quality, template[["quality"]], {"dtype": "uint16"}),
        ]

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for layer in self._layers:
            layer.close(complete=kind is None)

    def write(self, top: int, rows: xr.Dataset) -> None:
        """Write a portion of computed rows, the first of them being row `top`."""
        for layer in self._layers:
            layer.write(top, rows)


class _Layer:
    """One GeoTIFF in the making: a working file that becomes the COG when it is complete."""

    def __init__(self, path: Path, template: xr.Dataset, profile: dict[str, Any]) -> None:
        self._path, self._names = path, list(template.data_vars)
        self._work = path.with_name(path.name + ".work")
        height, width = template.sizes["y"], template.sizes["x"]
        self._file = rasterio.open(
            self._work,
            "w",
            driver="GTiff",
            count=len(self._names),
            height=height,
            width=width,
            crs=template.rio.crs,
            transform=template.rio.transform(),
            interleave="band",
            bigtiff="if_safer",
            compress="zstd",
            zstd_level=1,
            blockysize=STRIP,
            **profile,
        )
        for index, name in enumerate(self._names, start=1):
            attributes = template[name].attrs
            self._file.set_band_description(index, str(name))
            self._file.set_band_unit(index, attributes.get("units", ""))
            self._file.update_tags(index, long_name=attributes["long_name"])
            if "flag_masks" in attributes:
                masks = " ".join(map(str, attributes["flag_masks"]))
                tags = {"flag_masks": masks, "flag_meanings": attributes["flag_meanings"]}
                self._file.update_tags(index, **tags)

    def write(self, top: int, rows: xr.Dataset) -> None:
        values = np.stack([rows[name].to_numpy() for name in self._names])
        height, width = values.shape[1:]
        with rasterio.Env(GDAL_CACHEMAX=CACHE), disk_errors(CPLE_BaseError, RasterioError):
            self._file.write(values, window=((top, top + height), (0, width)))

    def close(self, *, complete: bool) -> None:
        try:
            self._file.close()
            if complete:
                self._finish()
        finally:
            self._work.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Add overviews, then lay the file out as a COG: overviews first, data in blocks."""
        kind = np.dtype(self._file.dtypes[0]).kind
        options = {"driver": "GTiff", "interleave": "band", "bigtiff": "if_safer", **TILES}
        options |= {"copy_src_overviews": True, "predictor": 3 if kind == "f" else 2}
        with rasterio.Env(GDAL_CACHEMAX=CACHE), disk_errors(CPLE_BaseError, RasterioError):
            with rasterio.open(self._work, "r+") as work:
                resampling = Resampling.average if kind == "f" else Resampling.nearest
                work.build_overviews(_factors(max(work.height, work.width)), resampling)
            copy(self._work, self._path, **options, **COMPRESSION)


def _factors(side: int) -> list[int]:
    """Return the overviews' factors, halved until one block holds the map."""
    return [2**step for step in range(1, 16) if side > BLOCK * 2 ** (step - 1)]
