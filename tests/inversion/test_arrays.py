"""Images in memory: what people have gets in with its angles and clouds, or gets a sentence."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
import xarray as xr

from inversion import from_array, retrieve, retrieve_table
from inversion.quality import Quality
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
COMMON = (
    "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22",
)  # fmt: skip
SPECTRUM = np.array([0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10])
SHAPE = (6, 8)


@pytest.fixture
def values() -> np.ndarray:
    """A meadow [band, y, x], a little different from pixel to pixel."""
    shade = 1 + 0.1 * np.sin(np.arange(48)).reshape(SHAPE)
    return (SPECTRUM[:, None, None] * shade).astype(np.float32)


@pytest.fixture
def numbers(values) -> np.ndarray:
    """The meadow as Sentinel-2 stores it since baseline 04.00."""
    return np.rint(values * 1e4 + 1000).astype(np.uint16)


def stack(values: np.ndarray, names=BANDS, **attributes) -> xr.Dataset:
    """One variable a band, as odc-stac makes it: two dates."""
    dates = np.array(["2022-06-18", "2022-06-20"], "datetime64[ns]")
    dims = ("time", "y", "x")
    layers = {n: (dims, np.stack([v, v]), attributes) for n, v in zip(names, values, strict=True)}
    coords = {"time": dates, "y": np.arange(6.0), "x": np.arange(8.0), "spatial_ref": 32632}
    return xr.Dataset(layers, coords)


def lai(values) -> np.ndarray:
    """What the stand-in makes of a meadow."""
    return 10 * np.asarray(values).mean(0)


def test_integers_without_a_scale_are_refused_as_by_the_command(numbers, stand_in):
    cube = xr.DataArray(numbers, dims=("band", "y", "x"), coords={"band": list(BANDS)})
    for data in (cube.to_dataset(name="reflectance"), stack(numbers)):
        with pytest.raises(InputError, match=r"expected a scale for uint16 numbers, found none"):
            retrieve(data, stand_in)
    with pytest.raises(InputError, match="above 2"):
        retrieve(cube.astype(float).to_dataset(name="reflectance"), stand_in)
    assert stand_in.pixels == 0


@pytest.mark.parametrize("lazy", [False, True])
def test_a_forgotten_offset_is_refused_also_of_a_single_date(values, stand_in, lazy):
    dataset = stack(values)
    dataset = xr.concat([dataset, dataset.isel(time=[0]) + 0.1], "time")
    dataset = dataset.chunk(x=4) if lazy else dataset
    with pytest.raises(InputError, match=r"dataset, time 2022-06-18: .*offset forgotten"):
        retrieve(dataset, stand_in)
    assert retrieve(dataset, stand_in, check_radiometry=False)["lai"].shape == (3, *SHAPE)


def test_a_scale_that_is_given_or_stated_is_applied(numbers, values, stand_in):
    given = from_array(stack(numbers), scale=1e-4, offset=-0.1)
    own = stack(numbers, scale_factor=1e-4, add_offset=-0.1)
    for dataset in (given, own):
        result = retrieve(dataset, stand_in, ["lai"])
        np.testing.assert_allclose(result["lai"][1], lai(values), atol=2e-3)
    with pytest.raises(UsageError, match="expected both or none"):
        from_array(own, scale=1e-4)


@pytest.mark.parametrize("attributes", [{"nodata": 0}, {"_FillValue": 7}, {"missing_value": 9}])
def test_what_the_attributes_call_no_data_is_none(numbers, stand_in, attributes):
    numbers[:, 0] = next(iter(attributes.values()))
    dataset = from_array(stack(numbers, **attributes), scale=1e-4, offset=-0.1)
    result = retrieve(dataset, stand_in, ["lai"])
    assert ((result["quality"] & Quality.NO_DATA) != 0)[:, 0].all()
    assert result["lai"][:, 1:].notnull().all()


def test_what_xarray_has_decoded_is_not_decoded_again(numbers, values, tmp_path, stand_in):
    path = tmp_path / "x.nc"
    numbers[:, 0] = 0
    packed = stack(numbers, scale_factor=1e-4, add_offset=-0.1)
    packed.to_netcdf(path, encoding={band: {"_FillValue": 0} for band in BANDS})
    found = [
        retrieve(xr.open_dataset(path, mask_and_scale=decoded), stand_in, ["lai"])["lai"]
        for decoded in (True, False)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert found[0][:, 0].isnull().all()
    np.testing.assert_allclose(found[0][0, 1:], lai(values)[1:], atol=2e-3)


@pytest.mark.parametrize("masked", [True, False])
def test_a_file_opened_by_rioxarray(geotiff, meadow, stand_in, masked):
    import rioxarray

    layers = {b: np.rint(v * 1e4).astype(np.int16) for b, v in meadow().items()}
    for layer in layers.values():
        layer[0] = -5
    cube = rioxarray.open_rasterio(geotiff(layers, nodata=-5), masked=masked)
    image = from_array(cube, scale=1e-4, offset=0.0)
    assert image["reflectance"][:, 0].isnull().all()
    result = retrieve(image, stand_in, ["lai"])
    assert result["lai"][1:].notnull().all()
    assert result.rio.crs.to_epsg() == 32632


@pytest.mark.parametrize("name", ["scl", "SCL", "scene_class", "scene_classification"])
def test_clouds_get_no_lai(values, stand_in, name):
    dataset = stack(values)
    classes = np.full((2, *SHAPE), 9, np.uint8)
    classes[0, 0] = 4
    dataset[name] = (("time", "y", "x"), classes)
    result = retrieve(dataset, stand_in, ["lai"])
    assert int(result["lai"].notnull().sum()) == 8
    assert ((result["quality"] & Quality.MASKED_BY_SCENE_CLASS) != 0).sum() == 2 * 48 - 8


@pytest.mark.parametrize("name", ["sza", "sun_zenith", "solar_zenith_angle", "tts"])
def test_angles_under_any_name_and_by_date(values, stand_in, name):
    dataset = stack(values)
    dataset[name] = ("time", [30.0, 50.0])
    dataset["saa"], dataset["vaa"], dataset["vza"] = 350.0, 10.0, ((), 500, {"scale_factor": 0.01})
    retrieve(dataset, stand_in, ["lai"])
    seen = np.unique(np.concatenate([angles.numpy() for _, angles in stand_in.seen]), axis=0)
    np.testing.assert_allclose(seen, [[30, 5, 20], [50, 5, 20]])


def test_angles_that_are_given_stand_in_for_those_missing(values, stand_in):
    dataset = stack(values)
    dataset["sza"] = ("time", [30.0, np.nan])
    view = xr.DataArray([1.0, 2.0], dims="time", coords={"time": dataset["time"]})
    image = from_array(dataset, sun_zenith=60, view_zenith=view, relative_azimuth=[100.0, 20.0])
    assert image["sun_zenith_deg"].values.tolist() == [30.0, 60.0]
    assert image["view_zenith_deg"].values.tolist() == [1.0, 2.0]
    assert image["relative_azimuth_deg"].values.tolist() == [100.0, 20.0]
    late = view.assign_coords(time=view["time"] + np.timedelta64(1, "D"))
    with pytest.raises(InputError, match="view_zenith_deg: expected the coordinates of the image"):
        from_array(dataset, view_zenith=late)
    for wrong in ([1.0, 2.0, 3.0], np.zeros((2, 2)), "low"):
        with pytest.raises(InputError, match=r"sun_zenith_deg: expected "):
            from_array(dataset, sun_zenith=wrong)


def test_common_names_mean_what_they_mean_on_the_sensor(values, stand_in, monkeypatch):
    dataset = stack(values, COMMON)
    result = retrieve(dataset.isel(time=0), stand_in, ["lai"])
    np.testing.assert_allclose(result["lai"], lai(values), rtol=1e-5)
    monkeypatch.setattr(stand_in, "sensor", "landsat-8")
    with pytest.raises(InputError, match=r"expected bands B2, .*each once"):
        retrieve(dataset, stand_in)  # two near infrared bands are none of Landsat's
    retrieve(dataset.isel(time=0).drop_vars("nir"), stand_in, ["lai"])
    seen = stand_in.seen[-1][0][0].numpy()
    np.testing.assert_allclose(seen[:6], values[[0, 1, 2, 7, 8, 9], 0, 0], rtol=1e-6)


def test_a_stack_of_stackstac(values, stand_in):
    """Bands by the titles of assets, common names and properties of the items beside them."""
    cube = xr.DataArray(
        np.stack([values, values]).astype(float),
        dims=("time", "band", "y", "x"),
        coords={
            "band": [f"asset-{name}" for name in COMMON],
            "common_name": ("band", np.array(COMMON, object)),
            "view:sun_elevation": ("time", [60.0, 55.0]),
            "view:off_nadir": 3.0,
            "epsg": 32632,
        },
    )
    result = retrieve(from_array(cube), stand_in, ["lai"])
    assert result["lai"].dims == ("time", "y", "x")
    np.testing.assert_allclose(result["lai"][0], lai(values), rtol=1e-5)
    seen = np.unique(stand_in.seen[0][1].numpy()[:, :2], axis=0)
    np.testing.assert_allclose(seen, [[30, 3], [35, 3]])


def test_scene_classes_and_angles_on_the_axis_of_bands(values, stand_in):
    layers = [values, np.full((1, *SHAPE), 9.0), np.full((1, *SHAPE), 33.0)]
    cube = xr.DataArray(
        np.concatenate(layers), dims=("band", "y", "x"), coords={"band": [*BANDS, "SCL", "sza"]}
    )
    image = from_array(cube)
    assert image["reflectance"].sizes["band"] == 10
    assert (image["scene_class"] == 9).all()
    assert (image["sun_zenith_deg"] == 33).all()


def test_bare_arrays(values, stand_in):
    expected = retrieve(from_array(values, BANDS), stand_in, ["lai"])["lai"]
    np.testing.assert_allclose(expected, lai(values), rtol=1e-5)
    for data, axis in (
        (torch.from_numpy(values), 0),
        (da.from_array(values, chunks=(10, 3, 8)), 0),
        (np.moveaxis(values, 0, -1), -1),
    ):
        result = retrieve(from_array(data, BANDS, axis=axis), stand_in, ["lai"])
        assert dask.is_dask_collection(result["lai"]) == isinstance(data, da.Array)
        np.testing.assert_allclose(result["lai"], expected, rtol=1e-6)
    pixels = from_array(values.reshape(10, -1).T, BANDS, axis=-1)
    assert retrieve(pixels, stand_in, ["lai"])["lai"].shape == (48,)
    assert retrieve(from_array(SPECTRUM, BANDS), stand_in, ["lai"])["lai"].shape == ()


def test_masked_arrays_and_wrong_steps(numbers, stand_in):
    """As rasterio reads them: what is masked is missing."""
    masked = np.ma.masked_array(
        numbers, np.broadcast_to(np.arange(6)[:, None] == 0, numbers.shape)
    )
    result = retrieve(from_array(masked, BANDS, scale=1e-4, offset=-0.1), stand_in, "lai")
    assert (result["quality"][0] & Quality.NO_DATA).all()
    assert result["lai"][1:].notnull().all()
    with pytest.raises(UsageError, match=r"write --offset -0\.1"):
        from_array(numbers, BANDS, scale=1e-4, offset=-1000)


def test_what_is_lazy_stays_lazy(values, stand_in):
    dataset = stack(values).chunk(time=1, x=4)
    dataset["scl"] = (("time", "y", "x"), da.full((2, *SHAPE), 4, chunks=(1, 6, 4)))
    image = from_array(dataset, sun_zenith=30)
    assert all(dask.is_dask_collection(image[n]) for n in ("reflectance", "scene_class"))
    result = retrieve(dataset, stand_in)
    assert all(dask.is_dask_collection(result[name]) for name in result.data_vars)
    assert stand_in.pixels == 0
    assert result["lai"].notnull().all()


def test_the_check_computes_a_sample_of_a_large_lazy_image(stand_in):
    """Eight windows of 256 x 256 of a scene of 2048 x 2048, and no more."""
    asked = []

    def block(block_info=None):
        place = block_info[None]["array-location"]
        asked.append(np.prod([stop - start for start, stop in place[1:]]))
        return np.full([stop - start for start, stop in place], 0.1, np.float32)

    cube = da.map_blocks(
        block, chunks=((3,), (128,) * 16, (128,) * 16), dtype=np.float32, meta=np.empty((0,) * 3)
    )
    retrieve(from_array(cube, ["B2", "B4", "B8"]), stand_in)
    assert sum(asked) == 8 * 256**2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda v: retrieve(xr.DataArray(v)), "got DataArray; inversion.from_array makes one"),
        (lambda v: retrieve(v), "expected an xarray.Dataset, got ndarray"),
        (lambda v: from_array(v), "expected the names of the bands of the ndarray, got none"),
        (lambda v: from_array(v, BANDS, axis=-1), "expected 8 names, as many as axis -1"),
        (lambda v: from_array(stack(v), ["B2", "B99"]), "bands: expected some of B2, .*got B99"),
        (lambda v: retrieve(stack(v, scale_factor="x")), "B2: expected .*scale_factor"),
        (lambda v: retrieve(stack(v, scale_factor=1e-4, add_offset=-1000)), "found 0.0001 and -1"),
        (lambda v: retrieve(stack(v).assign(sza=((), 1, {"scale_factor": "x"}))), "dataset: sza"),
        (lambda v: from_array(v, ["sza"] * 10), "bands: expected names of bands, got sza"),
        (lambda v: from_array(v, 10), "bands: expected the names of bands, got 10"),
        (lambda v: retrieve(from_array(v, range(10))), "each once, found 0, 1, 2"),
        (lambda v: from_array(v, BANDS, axis=5), "axis: expected an axis of shape"),
        (lambda v: from_array([[1.0]], ["B2"]), "expected an xarray Dataset or DataArray"),
        (lambda v: from_array(pd.DataFrame(v[0]), BANDS), "tables go to inversion.retrieve_table"),
        (lambda v: from_array(v.astype(complex), BANDS), "expected real numbers, got complex"),
        (lambda v: from_array(v.astype(str), BANDS), "expected real numbers, got <U"),
        (lambda v: from_array(xr.DataArray(v)), "with a dimension band, got dim_0, dim_1, dim_2"),
        (lambda v: from_array(xr.DataArray(v, dims=("band", "y", "x"))), "coordinate band"),
        (lambda v: from_array(xr.Dataset({"ndvi": v[0, 0, 0]})), "found ndvi"),
        (
            lambda v: retrieve(from_array(v, [f"Band {i}" for i in range(10)])),
            "expected bands B2, .*each once, found Band 0",
        ),
        (
            lambda v: from_array(xr.DataArray(v, dims=("band", "y", "x")), BANDS[:3]),
            "expected 10 names, as many as the dimension band has, got 3",
        ),
    ],
)
def test_anything_else_gets_a_sentence(values, shipped, make, said):
    with pytest.raises(InputError, match=said):
        make(values)


def test_bands_that_only_count_are_asked_for(values, stand_in):
    counted = from_array(values, [f"Band {i}" for i in range(1, 11)])
    with pytest.raises(InputError, match="which count the bands and name none"):
        retrieve(counted, stand_in)


def test_one_name_is_one_trait(values, stand_in):
    result = retrieve(from_array(values, BANDS), stand_in, "lai")
    assert list(result.data_vars) == ["lai", "lai_sd", "lai_p025", "lai_p975", "quality"]
    frame = pd.DataFrame([SPECTRUM], columns=list(BANDS))
    assert "cab" not in retrieve_table(frame, stand_in, "lai")
    with pytest.raises(UsageError, match="got 'lai,cab'"):
        retrieve(from_array(values, BANDS), stand_in, "lai,cab")


def test_the_reference_system_of_a_stack_is_kept(values, stand_in):
    dataset = stack(values).rio.write_crs(rasterio.CRS.from_epsg(32632))
    assert retrieve(dataset, stand_in, "lai").rio.crs.to_epsg() == 32632
