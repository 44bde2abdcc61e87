"""Images in, maps out: lazy stays lazy, and a map says in CF terms what it is."""

import dask
import numpy as np
import pytest
import xarray as xr

from inversion import retrieve
from inversion.geometry import fold
from inversion.quality import Quality
from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


@pytest.fixture
def image(meadow) -> xr.Dataset:
    values = np.stack(list(meadow().values()))
    return xr.Dataset(
        {
            "reflectance": (("band", "y", "x"), values),
            "sun_zenith_deg": 30.0,
            "view_zenith_deg": (("y", "x"), np.full((6, 8), 5.0)),
            "relative_azimuth_deg": 100.0,
        },
        coords={"band": list(BANDS), "x": np.arange(8.0), "y": np.arange(6.0)},
    )


def test_a_map_for_every_estimate(image, stand_in):
    result = retrieve(image, stand_in, ["lai", "cab"])
    names = [name + end for name in ("lai", "cab") for end in ("", "_sd", "_p025", "_p975")]
    assert list(result.data_vars) == [*names, "quality"]
    assert result["lai"].dims == ("y", "x")
    assert result["lai"].dtype == np.float32
    assert result["quality"].dtype == np.uint16
    assert "band" not in result.coords
    expected = 10 * image["reflectance"].mean("band")
    np.testing.assert_allclose(result["lai"], expected, rtol=1e-5)
    assert (result["quality"] == 0).all()


def test_lazy_in_lazy_out_and_the_same_numbers(image, stand_in):
    eager = retrieve(image, stand_in)
    stand_in.pixels = 0
    lazy = retrieve(image.chunk(band=3, y=4, x=3), stand_in)
    assert all(dask.is_dask_collection(lazy[name]) for name in lazy.data_vars)
    assert stand_in.pixels == 0
    computed = lazy.compute()
    assert stand_in.pixels == 48
    xr.testing.assert_identical(computed, eager)


def test_bands_in_any_order_and_spelling_some_missing(image, stand_in):
    shuffled = image.isel(band=[9, 0, 3, 7, 1, 2, 4, 5])
    shuffled = shuffled.assign_coords(band=[f"{b[0]}0{b[1:]}" for b in shuffled["band"].values])
    result = retrieve(shuffled, stand_in, ["lai"])
    rest = image["reflectance"].sel(band=[b for b in BANDS if b not in ("B8", "B11")])
    np.testing.assert_allclose(result["lai"], 10 * rest.mean("band"), rtol=1e-5)


def test_angles_are_optional(image, stand_in):
    result = retrieve(image[["reflectance"]], stand_in, ["lai"])
    assert (result["quality"] == Quality.ANGLE_FILLED_IN).all()


def test_other_dimensions_are_kept(image, stand_in):
    series = xr.concat([image, image * 1.1], dim="time")
    result = retrieve(series.transpose("time", "band", ...), stand_in, ["lai"])
    assert dict(result["lai"].sizes) == {"time": 2, "y": 6, "x": 8}
    np.testing.assert_allclose(result["lai"][1], 1.1 * result["lai"][0], rtol=1e-5)


def test_scene_classes_are_masked_unless_all_are_kept(image, stand_in):
    classes = np.full((6, 8), 4.0)
    classes[0], classes[1, 0], classes[2, 0] = 9, np.nan, 5
    image["scene_class"] = (("y", "x"), classes)
    result = retrieve(image, stand_in, ["lai"])
    masked = (result["quality"] & Quality.MASKED_BY_SCENE_CLASS) != 0
    assert int(masked.sum()) == 9
    np.testing.assert_array_equal(masked, result["lai"].isnull())
    everything = retrieve(image, stand_in, ["lai"], keep_classes=())
    assert everything["lai"].notnull().all()


def test_names_and_units_follow_cf(image, stand_in):
    result = retrieve(image, stand_in)
    lai = result["lai"].attrs
    assert lai["standard_name"] == "leaf_area_index"
    assert lai["units"] == "m2 m-2"
    assert lai["ancillary_variables"] == "lai_sd lai_p025 lai_p975 quality"
    assert result["cab"].attrs["units"] == "ug cm-2"
    assert result["fapar"].attrs["units"] == "1"
    assert result["quality"].attrs["standard_name"] == "quality_flag"
    assert result.attrs["model"] == "stand-in"
    assert all("long_name" in result[name].attrs for name in result.data_vars)


def test_the_grid_mapping_is_kept(geotiff, meadow, stand_in):
    image = read(geotiff(meadow()), Declaration(), bands=BANDS)
    result = retrieve(image, stand_in, ["lai"])
    assert result.rio.crs.to_epsg() == 32632
    assert result["lai"].attrs["grid_mapping"] == "spatial_ref"
    assert result.rio.transform() == image.rio.transform()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.rename(reflectance="rho"), "expected a variable reflectance"),
        (lambda d: d.drop_vars("band"), "coordinate band"),
        (lambda d: d.assign_coords(band=list("abcdefghij")), "expected bands B2, .*found a, b"),
        (lambda d: d.assign_coords(band=["B2", "B02", *BANDS[2:]]), "each once"),
    ],
)
def test_another_dataset_is_refused_in_words(image, stand_in, spoil, said):
    with pytest.raises(InputError, match=said):
        retrieve(spoil(image), stand_in)


def test_an_unknown_variable_is_refused_before_any_work(image, stand_in):
    with pytest.raises(UsageError, match="expected some of lai"):
        retrieve(image, stand_in, ["lai", "height"])


def test_azimuths_around_north():
    np.testing.assert_allclose(fold(np.array([359.0 - 1.0, 1.0 - 359.0, 0.0])), [2, 2, 0])
