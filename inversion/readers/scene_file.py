"""Scene classes that lie in a file of their own, brought onto the grid of an image."""

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
    if declared.scene_classes is None:
        return
    path = Path(declared.scene_classes)
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
            classes = warped.read(1)
    if not classes.any():
        raise InputError(f"{path}: expected scene classes over the image, found none there")
    chunks = {axis: reflectance.chunksizes[axis] for axis in ("y", "x")}
    dataset["scene_class"] = xr.DataArray(
        classes, dims=("y", "x"), attrs={"source": f"{path.name}, by --scl"}
    ).chunk(chunks)
