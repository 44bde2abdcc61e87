"""NetCDF and Zarr of anybody: one date, packed angles, scene classes, bands that only count."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from inversion import retrieve
from inversion.quality import Quality
from inversion.readers import Declaration, detect, reader
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SIDE = 6
SPECTRUM = np.array([0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10])
VALUES = np.broadcast_to(SPECTRUM[:, None, None], (10, SIDE, SIDE)).astype(np.float32)


def cube(**more) -> xr.Dataset:
    """A variable a band and whatever else a test lays beside it."""
    center = 20 * (np.arange(SIDE) + 0.5)
    dataset = xr.Dataset(
        {band: (("y", "x"), values) for band, values in zip(BANDS, VALUES, strict=True)},
        {"y": 5.2e6 - center, "x": 6e5 + center},
    )
    dataset["crs"] = ((), 0, {"crs_wkt": rasterio.CRS.from_epsg(32632).to_wkt()})
    return dataset.assign(more)


def opened(dataset: xr.Dataset, folder: Path, **said) -> xr.Dataset:
    path = folder / f"{len(list(folder.iterdir()))}.nc"
    dataset.to_netcdf(path)
    return reader(detect(path))(path, Declaration(**said), bands=BANDS, sensor="sentinel-2a")


CLOUDS = np.full((SIDE, SIDE), 9)
CLOUDS[0] = 4


@pytest.mark.parametrize("name", ["SCL", "scl", "SCL_20m", "scene_classification"])
def test_scene_classes_of_one_date_are_used(tmp_path, stand_in, name):
    dataset = cube(**{name: (("y", "x"), CLOUDS)})
    dated = xr.merge([dataset.drop_vars("crs").expand_dims(t=1), dataset["crs"]])
    result = retrieve(opened(dated, tmp_path), stand_in, ["lai"]).compute()
    masked = (result["quality"] & Quality.MASKED_BY_SCENE_CLASS) != 0
    np.testing.assert_array_equal(masked, CLOUDS == 9)
    assert stand_in.pixels == SIDE


def test_scene_classes_on_the_axis_of_bands_are_used(tmp_path):
    stack = np.concatenate([VALUES, CLOUDS[None], np.full((1, SIDE, SIDE), 41.0)])
    dataset = cube().drop_vars(list(BANDS))
    dataset["stack"] = (("band", "y", "x"), stack.astype(np.float32))
    image = opened(dataset.assign_coords(band=[*BANDS, "SCL", "sza"]), tmp_path)
    np.testing.assert_array_equal(image["scene_class"], CLOUDS)
    np.testing.assert_array_equal(image["sun_zenith_deg"], 41.0)
    np.testing.assert_allclose(image["reflectance"], VALUES)


def test_masks_that_are_not_understood_are_noted(tmp_path, caplog):
    opened(cube(qa_pixel=(("y", "x"), CLOUDS)), tmp_path)
    assert "qa_pixel is not read; clouds may be estimated" in caplog.text


def test_a_file_of_scene_classes_is_used(tmp_path):
    scl = tmp_path / "scl.tif"
    grid = {"driver": "GTiff", "dtype": "uint8", "height": SIDE, "width": SIDE, "crs": 32632}
    with rasterio.open(
        scl, "w", count=1, transform=rasterio.transform.from_origin(6e5, 5.2e6, 20, 20), **grid
    ) as file:
        file.write(CLOUDS.astype(np.uint8), 1)
    image = opened(cube(), tmp_path, scene_classes=str(scl))
    np.testing.assert_array_equal(image["scene_class"], CLOUDS)


@pytest.mark.parametrize(
    ("attributes", "stored", "expected"),
    [
        ({"scale_factor": 0.01}, 550, 5.5),
        ({"scale_factor": 0.01, "add_offset": 1.0}, 550, 6.5),
        ({"scale_factor": 1e-4, "units": "radian"}, 5236, 30.0),
        ({"missing_value": np.int16(-9999)}, -9999, np.nan),
        ({}, -32768, np.nan),
        ({}, 0, 0.0),
    ],
)
@pytest.mark.parametrize("shape", [(), (SIDE, SIDE)])
def test_packed_angles_are_unpacked(tmp_path, attributes, stored, expected, shape):
    values = np.full(shape, stored, np.int16)
    image = opened(cube(vza=(("y", "x")[: len(shape)], values, attributes)), tmp_path)
    found = image.get("view_zenith_deg", xr.DataArray(np.nan))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_two_azimuths_make_the_relative_one(tmp_path):
    fine = (("y", "x"), np.full((SIDE, SIDE), 10.0))
    image = opened(cube(saa=350.0, view_azimuth=fine, solar_zenith=33.0), tmp_path)
    np.testing.assert_allclose(image["relative_azimuth_deg"], 20.0)
    assert float(image["sun_zenith_deg"]) == 33.0


def test_variables_that_only_count_are_asked_for(tmp_path):
    counted = cube().rename({band: f"Band{i}" for i, band in enumerate(BANDS, 1)})
    with pytest.raises(InputError, match=r"which count the bands and name none.*--bands"):
        opened(counted, tmp_path)
    image = opened(counted, tmp_path, bands=list(BANDS))
    np.testing.assert_allclose(image["reflectance"], VALUES)
    with pytest.raises(UsageError, match="expected 10 names"):
        opened(counted, tmp_path, bands=["B2"])


def test_an_axis_that_only_counts_is_asked_for(tmp_path):
    dataset = cube().drop_vars(list(BANDS))
    dataset["stack"] = (("band", "y", "x"), VALUES)
    with pytest.raises(InputError, match="which count the bands and name none"):
        opened(dataset, tmp_path)
    image = opened(dataset.expand_dims(time=1), tmp_path, bands=list(BANDS))
    np.testing.assert_allclose(image["reflectance"], VALUES)


def test_the_names_that_rioxarray_keeps_are_used(tmp_path):
    dataset = cube().drop_vars(list(BANDS)).assign_coords(band=np.arange(1, 11))
    dataset["stack"] = (("band", "y", "x"), VALUES, {"long_name": list(BANDS)})
    np.testing.assert_allclose(opened(dataset, tmp_path)["reflectance"], VALUES)


def test_several_dates_are_refused(tmp_path):
    dates = xr.concat([cube()[list(BANDS)]] * 2, "time").assign(crs=cube()["crs"])
    with pytest.raises(InputError, match="expected one image, found 2 along time"):
        opened(dates, tmp_path)


def test_a_scale_of_an_angle_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.nc: vza: expected .*scale_factor"):
        opened(cube(vza=((), 5, {"scale_factor": "x"})), tmp_path)
