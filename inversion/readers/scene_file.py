"""Codes in a file of their own, brought onto the grid of an image: scene classes, crops."""

from pathlib import Path

import xarray as xr
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from inversion.readers.declaration import Declaration
from inversion.readers.handles import opened
from physvae.errors import InputError


def add_scene_file(dataset: xr.Dataset, declared: Declaration) -> None:
    """Add the classes of the declared file, each pixel the class that it lies in.

    Raises
    ------
    InputError
        Not a GeoTIFF, no reference system, or of another place.
    """
    if declared.scene_classes is not None:
        path = Path(declared.scene_classes)
        dataset["scene_class"] = layer_of(dataset, path, "scene classes", "--scl")


def layer_of(dataset: xr.Dataset, path: Path, what: str, option: str) -> xr.DataArray:
    """Codes of a GeoTIFF on the grid of an image, 0 where it has none; nearest pixel.

    Raises
    ------
    InputError
        As `add_scene_file`; `what` is expected and `option` names the file.
    """
    reflectance = dataset["reflectance"]
    crs, transform = dataset.rio.crs, dataset.rio.transform()
    height, width = reflectance.sizes["y"], reflectance.sizes["x"]
    with opened(str(path), "GTiff") as source:
        if source.crs is None or crs is None:
            raise InputError(f"{path}: expected a coordinate reference system, found none")
        with WarpedVRT(
            source,
            crs=crs,
            transform=transform,
            height=height,
            width=width,
            resampling=Resampling.nearest,
            nodata=0,
        ) as warped:
            codes = warped.read(1)
    if not codes.any():
        raise InputError(f"{path}: expected {what} over the image, found none there")
    chunks = {axis: reflectance.chunksizes[axis] for axis in ("y", "x")}
    about = {"source": f"{path.name}, by {option}"}
    return xr.DataArray(codes, dims=("y", "x"), attrs=about).chunk(chunks)
