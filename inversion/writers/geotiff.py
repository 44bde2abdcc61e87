"""Maps as Cloud-Optimized GeoTIFF: the traits, the quality beside them, and how they came about.

    OUT.tif          float32, a band for every estimate (lai, lai_sd, lai_p025, lai_p975, cab, ...)
    OUT_quality.tif  uint16, the quality bits
    OUT.tif.json     input, model, versions, options, and what the map came to
    OUT.qml          how QGIS shows it
    OUT.stac.json    a STAC item of the files

Rows arrive in any portions; they go to a working file first, which is given overviews and copied
into the order a COG asks for when it is complete.
"""

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.shutil import copy

from inversion.kernel import STATISTICS
from inversion.provenance import with_summary
from inversion.readers.rasters import bound_cache
from inversion.summary import Summary
from inversion.writers.style import item, qml
from physvae.files import disk_errors

BLOCK = 512
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
WHOLE = ("quality", "number_of_dates")
"""Layers of whole numbers, which go to the file beside the estimates."""
PACKED_MAX, PACKED_NODATA = 32767, -32768
TILES = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
COMPRESSION = {"compress": "zstd", "zstd_level": 1}
"""Estimates are as noisy as reflectance: level 3 takes half as long again and saves 0.6 %."""
STRIP = 16
"""Rows in a block of the working file, which is as wide as the map and not compressed: it is
read twice soon after."""
THREADS = "ALL_CPUS"
"""Threads that compress and that average overviews."""


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`, the main file last."""
    quality = output.with_name(f"{output.stem}_quality{output.suffix}")
    beside = [output.with_suffix(suffix) for suffix in (".qml", ".stac.json")]
    return (output.with_name(output.name + ".json"), *beside, quality, output)


class Sink:
    """Takes the rows of a map from top to bottom and leaves finished files."""

    def __init__(
        self,
        paths: list[Path],
        template: xr.Dataset,
        provenance: str,
        packing: Mapping[str, float] | None = None,
    ) -> None:
        self._sidecar, self._style, self._item, quality, estimates = paths
        self._provenance, self._template = provenance, template
        names = [str(name) for name in template.data_vars if name not in WHOLE]
        flags = [name for name in WHOLE if name in template]
        profile = {"dtype": "float32", "nodata": np.nan}
        if packing is not None:
            profile = {"dtype": "int16", "nodata": PACKED_NODATA}
        self._layers = [
            _Layer(estimates, template[names], profile, packing),
            _Layer(quality, template[flags], {"dtype": "uint16"}),
        ]

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for layer in self._layers:
            layer.close(complete=kind is None)

    def conclude(self, summary: Summary) -> None:
        """Write what lies beside the map: how it came about and what it came to."""
        text = with_summary(self._provenance, summary)
        self._sidecar.write_text(text + "\n", encoding="utf-8")
        self._style.write_text(qml(summary), encoding="utf-8")
        output = _named_as(self._layers[0].path)
        record, _, _, quality, estimates = files(output)
        assets = {"estimates": estimates, "quality": quality, "provenance": record}
        about = item(output, self._template, assets, COG_TYPE).to_dict(include_self_link=False)
        self._item.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    def write(self, top: int, rows: xr.Dataset) -> None:
        """Write a portion of computed rows, the first of them being row `top`."""
        for layer in self._layers:
            layer.write(top, rows)


class _Layer:
    """One GeoTIFF in the making: a working file that becomes the COG when it is complete."""

    def __init__(
        self,
        path: Path,
        template: xr.Dataset,
        profile: dict[str, Any],
        packing: Mapping[str, float] | None = None,
    ) -> None:
        self.path, self._names, self._packing = path, list(template.data_vars), packing
        self._work = path.with_name(path.name + ".work")
        bound_cache()
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
            blockysize=STRIP,
            **profile,
        )
        if packing is not None:
            self._file.scales = [packing[str(name)] for name in self._names]
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
        place = ((top, top + rows.sizes["y"]), (0, rows.sizes["x"]))
        with disk_errors(CPLE_BaseError, RasterioError):
            for index, name in enumerate(self._names, start=1):
                self._file.write(self._stored(name, rows[name].to_numpy()), index, window=place)

    def _stored(self, name: Hashable, values: np.ndarray) -> np.ndarray:
        """Return the numbers that stand for the values, packed where that is wanted."""
        if self._packing is None:
            return values
        steps = np.rint(values / self._packing[str(name)])
        whole = np.where(
            np.isfinite(steps), np.clip(steps, -PACKED_MAX, PACKED_MAX), PACKED_NODATA
        )
        return whole.astype(np.int16)

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
        options["num_threads"] = THREADS
        with (
            rasterio.Env(GDAL_NUM_THREADS=THREADS),
            disk_errors(CPLE_BaseError, RasterioError),
        ):
            with rasterio.open(self._work, "r+") as work:
                resampling = Resampling.nearest if kind == "u" else Resampling.average
                work.build_overviews(_factors(max(work.height, work.width)), resampling)
            copy(self._work, self.path, **options, **COMPRESSION)


def _named_as(temporary: Path) -> Path:
    """Return the name that a temporary file will bear: .out-1f2e3d4c.part.tif is out.tif."""
    stem = temporary.name.removeprefix(".").rsplit(".part", 1)[0].rsplit("-", 1)[0]
    return temporary.with_name(stem + temporary.suffix)


def packing_of(traits: Mapping[str, Any], variables: Sequence[str]) -> dict[str, float]:
    """Return the step of 16-bit numbers for every estimate: a power of ten that fits its range.

    LAI up to 15 is stored in steps of 0.001; chlorophyll up to 100 in steps of 0.01.
    """
    steps = {}
    for name in variables:
        largest = max(abs(float(traits[name].low)), abs(float(traits[name].high)))
        step = 10.0 ** math.ceil(math.log10(1.2 * largest / PACKED_MAX))
        steps |= {name + statistic: step for statistic in STATISTICS}
    return steps


def _factors(side: int) -> list[int]:
    """Return the overviews' factors, halved until one block holds the map."""
    return [2**step for step in range(1, 16) if side > BLOCK * 2 ** (step - 1)]
