"""Maps as Cloud-Optimized GeoTIFF: the traits, the quality beside them, and how they came about.

    OUT.tif          float32, a band for every estimate (lai, lai_sd, lai_p025, lai_p975, cab, ...)
    OUT_quality.tif  uint16, the quality bits
    OUT.tif.json     input, model, versions, options, and what the map came to
    OUT.qml          how QGIS shows it
    OUT.stac.json    a STAC item of the files

GDAL reads the file of the portions as it is (a VRT says where each layer begins), gives it
overviews and copies it into the order that a COG asks for.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import xarray as xr
from rasterio._err import CPLE_BaseError
from rasterio.dtypes import _gdal_typename
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.shutil import copy

from inversion.kernel import STATISTICS
from inversion.provenance import with_summary
from inversion.readers.handles import bound_cache
from inversion.summary import Summary
from inversion.writers.style import item, qml
from inversion.writers.work import Work
from physvae.io.files import disk_errors
from physvae.io.temporary_names import final_name

BLOCK = 512
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
WHOLE = ("quality", "number_of_dates")
"""Layers of whole numbers, which go to the file beside the estimates."""
PACKED_MAX, PACKED_NODATA = 32767, -32768
LAYOUT = {
    "driver": "GTiff", "interleave": "band", "bigtiff": "if_safer",
    "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
}  # fmt: skip
COMPRESSION = {"compress": "zstd", "zstd_level": 1}
"""Estimates are as noisy as reflectance: level 3 takes half as long again and saves 0.6 %."""
THREADS = "ALL_CPUS"
"""Threads that compress and that average overviews."""


def files(output: Path) -> tuple[Path, ...]:
    """Return everything that is written for `output`, the main file last."""
    quality = output.with_name(f"{output.stem}_quality{output.suffix}")
    beside = [output.with_suffix(suffix) for suffix in (".qml", ".stac.json")]
    return (output.with_name(output.name + ".json"), *beside, quality, output)


def write(
    paths: list[Path],
    template: xr.Dataset,
    work: Work,
    summary: Callable[[], Summary],
    packing: Mapping[str, float] | None = None,
) -> None:
    """Write the map from the file of the portions, and what lies beside it.

    `summary` gives what the map comes to, which may take as long as the map; `packing` is the step
    of the numbers of every estimate in 16 bits, None keeps float32.
    """
    sidecar, style, about, quality, estimates = paths
    flags = [str(name) for name in WHOLE if name in template]
    names = [str(name) for name in template.data_vars if name not in WHOLE]
    bound_cache()
    with (
        rasterio.Env(GDAL_NUM_THREADS=THREADS),
        disk_errors(CPLE_BaseError, RasterioError),
    ):
        _lay_out(template[names], work, estimates, packing)
        _lay_out(template[flags], work, quality, None)
    sidecar.write_text(with_summary(work.begun(), summary()) + "\n", encoding="utf-8")
    style.write_text(qml(summary()), encoding="utf-8")
    output = final_name(estimates)
    record, _, _, flagged, main = files(output)
    assets = {"estimates": main, "quality": flagged, "provenance": record}
    described = item(output, template, assets, COG_TYPE).to_dict(include_self_link=False)
    about.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _lay_out(
    template: xr.Dataset, work: Work, path: Path, packing: Mapping[str, float] | None
) -> None:
    """Give layers of the portions' file overviews and copy them in the order of a COG."""
    source = work.folder / f"{path.name}.vrt"
    source.write_bytes(_raw(template, work))
    if packing is not None:
        raw, source = source, source.with_suffix(".packed.vrt")
        source.write_bytes(_packed(template, raw, packing))
    with rasterio.open(source, "r+") as layers:
        _describe(layers, template)
        whole = np.dtype(layers.dtypes[0]).kind == "u"
        resampling = Resampling.nearest if whole else Resampling.average
        layers.build_overviews(_factors(max(layers.shape)), resampling)
    options = {"predictor": 2 if whole or packing is not None else 3, **LAYOUT, **COMPRESSION}
    copy(source, path, copy_src_overviews=True, num_threads=THREADS, **options)


def _raw(template: xr.Dataset, work: Work) -> bytes:
    """Describe layers of the portions' file to GDAL."""
    root = _image(template)
    for name, layer in template.items():
        size = layer.dtype.itemsize
        band = _band(root, str(layer.dtype), np.nan if layer.dtype.kind == "f" else None)
        band.set("subClass", "VRTRawRasterBand")
        _add(band, "SourceFilename", work.rows.name, relativetoVRT="1")
        _add(band, "ImageOffset", work.begin(str(name)))
        _add(band, "PixelOffset", size)
        _add(band, "LineOffset", size * template.sizes["x"])
        _add(band, "ByteOrder", "LSB" if sys.byteorder == "little" else "MSB")
    return ElementTree.tostring(root)


def _packed(template: xr.Dataset, raw: Path, packing: Mapping[str, float]) -> bytes:
    """Describe the numbers of 16 bits that stand for the layers."""
    root = _image(template)
    for index, name in enumerate(template.data_vars, start=1):
        band = _band(root, "int16", PACKED_NODATA)
        _add(band, "Scale", packing[str(name)])
        source = ElementTree.SubElement(band, "ComplexSource")
        _add(source, "SourceFilename", raw.name, relativeToVRT="1")
        _add(source, "SourceBand", index)
        _add(source, "NODATA", "nan")
        _add(source, "ScaleOffset", 0)
        _add(source, "ScaleRatio", 1 / packing[str(name)])
    return ElementTree.tostring(root)


def _image(template: xr.Dataset) -> ElementTree.Element:
    width, height = (str(template.sizes[axis]) for axis in ("x", "y"))
    root = ElementTree.Element("VRTDataset", rasterXSize=width, rasterYSize=height)
    if template.rio.crs is not None:
        _add(root, "SRS", template.rio.crs.to_wkt())
    _add(root, "GeoTransform", ", ".join(map(repr, template.rio.transform().to_gdal())))
    return root


def _band(root: ElementTree.Element, kind: str, nodata: float | None) -> ElementTree.Element:
    band = ElementTree.SubElement(root, "VRTRasterBand", dataType=_gdal_typename(kind))
    if nodata is not None:
        _add(band, "NoDataValue", nodata)
    return band


def _add(parent: ElementTree.Element, tag: str, content: object, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = str(content)


def _describe(layers: Any, template: xr.Dataset) -> None:
    """Say what each layer is."""
    for index, (name, layer) in enumerate(template.items(), start=1):
        attributes = layer.attrs
        layers.set_band_description(index, str(name))
        layers.set_band_unit(index, attributes.get("units", ""))
        layers.update_tags(index, long_name=attributes["long_name"])
        if "flag_masks" in attributes:
            masks = " ".join(map(str, attributes["flag_masks"]))
            tags = {"flag_masks": masks, "flag_meanings": attributes["flag_meanings"]}
            layers.update_tags(index, **tags)


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
