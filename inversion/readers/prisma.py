"""PRISMA L2D, the HDF-EOS5 file that ASI delivers.

    ρ = Min + DN · (Max − Min) / 65535,   Min and Max of VNIR and SWIR in L2ScaleVnirMin, ...

Specification: ASI, PRISMA Products Specification Document, issue 2.3. Cubes lie as rows, bands,
columns; a centre of 0 nm or a flag of 0 marks a band without data.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rasterio import Affine

from inversion.radiometry import Radiometry
from inversion.readers.declaration import Declaration
from inversion.readers.rasters import Grid, crs_of
from inversion.readers.scene import add_angles, guard, no_declared_bands
from inversion.readers.spectrometer import Narrow, in_order, same_step, spectral_scene
from inversion.readers.stores import StoredLayer, raw
from physvae.errors import InputError

CHUNK = 256
GROUP = "HDFEOS/SWATHS/PRS_L2D_HCO"
SHORTEST, LONGEST = 400.0, 2500.0
"""Wavelengths [nm] that the responses of sensors are given for."""


def read(
    path: Path,
    declaration: Declaration,
    *,
    bands: tuple[str, ...],
    sensor: str = "",
    chunk: int = 0,
) -> xr.Dataset:
    """Open a product lazily as the canonical Dataset; parameters as for `sentinel2.read`.

    Raises
    ------
    InputError
        Not a PRISMA L2D product, incomplete, or reflectance that cannot be right.
    """
    no_declared_bands(declaration, path.name)
    about = raw(str(path), "netcdf4").attrs
    fields = raw(str(path), "netcdf4", f"{GROUP}/Data Fields")
    narrow, steps = _narrow(path, fields, about)
    dataset = spectral_scene(
        narrow,
        _grid(path, fields, about),
        bands=bands,
        sensor=sensor,
        chunk=chunk or CHUNK,
        radiometry=same_step(steps),
        attributes={
            "product": path.name,
            "sensor": "prisma",
            "acquired": str(about.get("Product_StartTime", "")),
        },
        source=str(path),
    )
    where = "the file's attributes and the means of its geometry"
    add_angles(dataset, _angles(path, about), declaration, where)
    return guard(dataset, declaration, str(path))


def _need(about: Any, name: str, path: Path) -> Any:
    if name not in about:
        raise InputError(f"{path}: expected the attribute {name}, found none")
    return about[name]


def _narrow(path: Path, fields: xr.Dataset, about: Any) -> tuple[Narrow, list[Radiometry]]:
    layers: list[Any] = []
    center: list[float] = []
    fwhm: list[float] = []
    steps = []
    for kind in ("Vnir", "Swir"):
        name = f"{kind.upper()}_Cube"
        if name not in fields:
            raise InputError(f"{path}: expected {GROUP}/Data Fields/{name}, found none")
        rows, along, columns = (str(dim) for dim in fields[name].dims)
        low = float(_need(about, f"L2Scale{kind}Min", path))
        high = float(_need(about, f"L2Scale{kind}Max", path))
        step = Radiometry((high - low) / 65535, low, 0.0, f"L2Scale{kind}Min and Max")
        steps.append(step)
        centres = np.atleast_1d(_need(about, f"List_Cw_{kind}", path)).astype(float)
        widths = np.atleast_1d(_need(about, f"List_Fwhm_{kind}", path)).astype(float)
        flags = np.atleast_1d(about.get(f"List_Cw_{kind}_Flags", np.ones(len(centres))))
        for index in range(min(len(centres), fields.sizes[along])):
            if flags[index] and SHORTEST <= centres[index] <= LONGEST and widths[index] > 0:
                where = ((along, index),)
                layers.append(
                    StoredLayer(
                        str(path), "netcdf4", f"{GROUP}/Data Fields", name, (rows, columns),
                        where, step.scale, step.offset, (0.0,),
                    )
                )  # fmt: skip
                center.append(float(centres[index]))
                fwhm.append(float(widths[index]))
    return in_order(layers, center, fwhm), steps


def _grid(path: Path, fields: xr.Dataset, about: Any) -> Grid:
    """Lay the cube between the centres of its corner pixels."""
    crs = crs_of(f"EPSG:{int(_need(about, 'Epsg_Code', path))}", str(path))
    height, _, width = fields["VNIR_Cube"].shape
    left, top = (
        float(_need(about, f"Product_ULcorner_{n}", path)) for n in ("easting", "northing")
    )
    right, low = (
        float(_need(about, f"Product_LRcorner_{n}", path)) for n in ("easting", "northing")
    )
    x, y = (right - left) / (width - 1), (low - top) / (height - 1)
    return Grid(crs, Affine(x, 0.0, left - x / 2, 0.0, y, top - y / 2), height, width)


def _angles(path: Path, about: Any) -> dict[str, float]:
    """Sun of the scene's centre; view and relative azimuth as means over the image."""
    found = {"sun_zenith_deg": float(_need(about, "Sun_zenith_angle", path))}
    try:
        geometry = raw(str(path), "netcdf4", f"{GROUP}/Geometric Fields")
    except InputError:
        return found
    for name, column in (
        ("Observing_Angle", "view_zenith_deg"),
        ("Rel_Azimuth_Angle", "relative_azimuth_deg"),
    ):
        if name in geometry:
            found[column] = float(np.nanmean(np.abs(geometry[name].to_numpy())))
    return found
