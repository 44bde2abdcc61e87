"""Whatever a format calls no data, and what software leaves unsaid, is NaN with bit 9."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from inversion import retrieve
from inversion.quality import Quality
from inversion.readers import Declaration, detect, reader
from inversion.readers.filling import fillings, stated

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SIDE = 8
NORTH = 5200000.0


def scene(dtype: str, filling: float) -> np.ndarray:
    """A meadow as it is stored, two of its rows without data."""
    spectrum = np.array([0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10])
    shade = 1 + 0.1 * np.sin(np.arange(SIDE * SIDE)).reshape(SIDE, SIDE)
    values = spectrum[:, None, None] * shade
    stored = np.rint(values * 1e4) if np.dtype(dtype).kind in "iu" else values
    stored = stored.astype(dtype)
    stored[:, :2] = filling
    return stored


def tif(folder: Path, dtype="int16", filling=-32768.0, *, tag=None, alpha=False) -> Path:
    path, values = folder / "x.tif", scene(dtype, filling)
    grid = {"driver": "GTiff", "dtype": dtype, "height": SIDE, "width": SIDE, "crs": 32632}
    with rasterio.open(
        path, "w", count=10 + alpha, nodata=tag, transform=from_origin(6e5, NORTH, 20, 20), **grid
    ) as file:
        file.write(values, list(range(1, 11)))
        file.descriptions = [*BANDS, *["alpha"] * alpha]
        if alpha:
            file.colorinterp = [*[ColorInterp.gray] * 10, ColorInterp.alpha]
            there = np.full((SIDE, SIDE), 255)
            there[:2] = 0
            file.write(there.astype(dtype), 11)
    return path


def masked_tif(folder: Path) -> Path:
    """What is hidden looks like a meadow too."""
    path = tif(folder, "float32", 0.2)
    there = np.full((SIDE, SIDE), 255, np.uint8)
    there[:2] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(there)
    return path


def netcdf(folder: Path, *, form="NETCDF4", attribute="missing_value", filling=-9999) -> Path:
    path, values = folder / "x.nc", scene("int16", filling)
    with netCDF4.Dataset(path, "w", format=form) as file:
        for name, start, step in (("y", NORTH, -20.0), ("x", 6e5, 20.0)):
            file.createDimension(name, SIDE)
            file.createVariable(name, "f8", (name,))[:] = start + step * (np.arange(SIDE) + 0.5)
        for band, layer in zip(BANDS, values, strict=True):
            fill = filling if attribute == "_FillValue" else None
            variable = file.createVariable(band, "i2", ("y", "x"), fill_value=fill)
            variable.set_auto_maskandscale(False)
            variable.scale_factor = 1e-4
            if attribute == "missing_value":
                variable.missing_value = np.int16(filling)
            variable[:] = layer
        file.createVariable("crs", "i4", ()).crs_wkt = rasterio.CRS.from_epsg(32632).to_wkt()
    return path


def zarr(folder: Path, *, version: int) -> Path:
    path = folder / "x.zarr"
    center = 20 * (np.arange(SIDE) + 0.5)
    values = zip(BANDS, scene("int16", -9999), strict=True)
    data = {b: (("y", "x"), v, {"scale_factor": 1e-4}) for b, v in values}
    cube = xr.Dataset(data, {"y": NORTH - center, "x": 6e5 + center})
    cube["crs"] = ((), 0, {"crs_wkt": rasterio.CRS.from_epsg(32632).to_wkt()})
    key = "fill_value" if version == 3 else "_FillValue"
    encoding = {band: {key: np.int16(-9999)} for band in BANDS}
    cube.to_zarr(path, zarr_format=version, consolidated=False, encoding=encoding)
    return path


def envi(folder: Path, *, line="", filling=-32768.0) -> Path:
    path = folder / "x.bsq"
    grid = {"driver": "ENVI", "dtype": "int16", "height": SIDE, "width": SIDE, "crs": 32632}
    with rasterio.open(
        path, "w", count=10, transform=from_origin(6e5, NORTH, 20, 20), **grid
    ) as file:
        file.write(scene("int16", filling))
        file.descriptions = BANDS
    header = path.with_suffix(".hdr")
    header.write_text(f"{header.read_text()}reflectance scale factor = 10000\n{line}")
    return path


SCALED = Declaration(scale=1e-4)
CASES = {
    "GeoTIFF, tagged": (lambda f: tif(f, filling=-7, tag=-7), SCALED),
    "GeoTIFF, -32768 untagged": (tif, SCALED),
    "GeoTIFF, 32767 untagged": (lambda f: tif(f, filling=32767), SCALED),
    "GeoTIFF, 2147483647": (lambda f: tif(f, "int32", 2147483647), SCALED),
    "GeoTIFF, -9999 in floats": (lambda f: tif(f, "float32", -9999), Declaration()),
    "GeoTIFF, least float": (lambda f: tif(f, "float32", -3.4028235e38), Declaration()),
    "GeoTIFF, declared": (lambda f: tif(f, filling=5), Declaration(scale=1e-4, nodata=5.0)),
    "GeoTIFF, mask inside": (masked_tif, Declaration()),
    "GeoTIFF, alpha": (lambda f: tif(f, filling=3000, alpha=True), SCALED),
    "NetCDF-4, missing_value": (netcdf, Declaration()),
    "NetCDF-3, missing_value": (lambda f: netcdf(f, form="NETCDF3_CLASSIC"), Declaration()),
    "NetCDF-4, _FillValue": (
        lambda f: netcdf(f, attribute="_FillValue", filling=-5),
        Declaration(),
    ),
    "NetCDF-4, its default": (
        lambda f: netcdf(f, attribute="", filling=-32767),
        Declaration(),
    ),
    "NetCDF-4, 0 untagged": (lambda f: netcdf(f, attribute="", filling=0), Declaration()),
    "Zarr 2": (lambda f: zarr(f, version=2), Declaration()),
    "Zarr 3": (lambda f: zarr(f, version=3), Declaration()),
    "ENVI, data ignore value": (
        lambda f: envi(f, filling=-5, line="data ignore value = -5\n"),
        Declaration(),
    ),
    "ENVI, -32768 untagged": (envi, Declaration()),
}


@pytest.mark.parametrize("case", CASES)
def test_no_data_of_every_convention_has_bit_9(tmp_path, stand_in, case):
    make, declaration = CASES[case]
    path = make(tmp_path)
    image = reader(detect(path))(path, declaration, bands=BANDS, sensor="sentinel-2a")
    assert not image["reflectance"][:, :2].notnull().any()
    result = retrieve(image, stand_in, ["lai"]).compute()
    assert (result["quality"][:2] == Quality.NO_DATA).all()
    assert result["lai"][:2].isnull().all()
    assert result["lai"][2:].notnull().all()
    assert stand_in.pixels == SIDE * (SIDE - 2)


def test_a_filling_in_a_single_band_leaves_the_others(tmp_path):
    path = tif(tmp_path)
    with rasterio.open(path, "r+") as file:
        file.write(np.full((1, SIDE, SIDE), -9999, np.int16), [4])
    image = reader(detect(path))(path, SCALED, bands=BANDS, sensor="sentinel-2a")
    assert image["reflectance"].sel(band="B5").isnull().all()
    assert image["reflectance"].sel(band="B4")[2:].notnull().all()


def test_what_a_zarr_array_fills_with_by_default_says_nothing():
    assert stated({}, {"fill_value": 0.0}) == []
    assert stated({"missing_value": np.array([-1, -2])}, {"fill_value": 9}) == [-1, -2, 9]


def test_zeros_of_narrow_bands_are_measurements():
    assert 0.0 in fillings("int16")
    assert 0.0 not in fillings("int16", zero=False)
    assert fillings("float32", [float("nan"), None])[0] == -9999.0
