"""Every family of products reads as the same landscape, and its faults are told or survived."""

import numpy as np
import pytest
import rasterio

import inversion
import more_products as more
import products
from inversion.quality import Quality
from inversion.readers import FAMILIES, Declaration, detect, reader
from inversion.readers.handles import close_files
from physvae.errors import InputError, UsageError

BANDS = products.BANDS
HALF = 0.51e-4  # of the step of the stored numbers
MADE = {
    "sentinel-2": products.safe,
    "sentinel-2 before 04.00": lambda folder: products.safe(folder, baseline="02.12"),
    "sentinel-2 reprocessed": lambda folder: products.safe(folder, baseline="05.00"),
    "sentinel-2 zip": lambda folder: products.zipped(products.safe(folder)),
    "sentinel-2 zip before 04.00": lambda folder: products.zipped(
        products.safe(folder, baseline="02.12")
    ),
    "maja": products.maja,
    "maja zip": lambda folder: products.zipped(products.maja(folder)),
    "maja native": products.maja_native,
    "maja native zip": lambda folder: products.zipped(products.maja_native(folder)),
    "eopf": products.eopf,
    "eopf zip": lambda folder: products.zipped(products.eopf(folder)),
    "hls": more.hls,
    "stac": more.stac,
    "envi": lambda folder: more.envi(folder, spectral=False),
    "netcdf": lambda folder: more.labelled(folder, ".nc"),
    "zarr": lambda folder: more.labelled(folder, ".zarr"),
}
SAME = [name for name in MADE if name.split()[0] in ("sentinel-2", "maja", "eopf")]


def opened(path, sensor="sentinel-2a", bands=BANDS, chunk=0, **said):
    family = detect(path)
    return reader(family)(path, Declaration(**said), bands=bands, sensor=sensor, chunk=chunk)


def test_every_family_has_its_reader():
    assert all(callable(reader(family)) for family in FAMILIES.values())
    assert {family.gives for family in FAMILIES.values()} == {"image", "table"}


@pytest.mark.parametrize("name", MADE)
def test_a_product_is_known_by_its_content_and_read_to_half_a_step(tmp_path, name):
    dataset = opened(MADE[name](tmp_path), chunk=20, sun_zenith=products.SUN)
    assert dataset["reflectance"].chunks is not None
    assert list(dataset["band"].to_numpy()) == list(BANDS)
    np.testing.assert_allclose(dataset["reflectance"], products.landscape(), atol=HALF)
    assert dataset.rio.crs.to_epsg() == 32632
    assert float(dataset["y"][0]) > float(dataset["y"][-1])
    np.testing.assert_allclose(dataset["sun_zenith_deg"], products.SUN, atol=1e-4)
    if "scene_class" in dataset:
        assert np.unique(dataset["scene_class"][:2]).tolist() == [9]
        assert np.unique(dataset["scene_class"][3:]).tolist() == [4]


@pytest.mark.parametrize("name", SAME)
def test_r1_the_same_scene_of_any_processor_gives_the_same_lai(tmp_path, name):
    """LAI is that of the plain reflectance to 1e-4; the numbers differ by half a step of none."""
    exact = products.stored(products.landscape()) * 1e-4
    dataset = opened(MADE[name](tmp_path))
    for angle, value in (("sun", 40.0), ("view", 5.0)):
        np.testing.assert_allclose(dataset[f"{angle}_zenith_deg"], value, atol=1e-4)
    np.testing.assert_allclose(dataset["relative_azimuth_deg"], 45.0, atol=1e-3)
    np.testing.assert_allclose(dataset["reflectance"], exact, atol=1e-6)


@pytest.mark.parametrize("name", ["sentinel-2", "maja", "eopf"])
def test_r1_lai_of_the_shipped_model(tmp_path, name):
    part = {"y": slice(20, 24), "x": slice(0, 48, 4)}
    plain = opened(MADE["sentinel-2 before 04.00"](tmp_path / "plain")).isel(part)
    other = opened(MADE[name](tmp_path / "other")).isel(part)
    expected = inversion.retrieve(plain, variables=["lai"]).compute()
    found = inversion.retrieve(other, variables=["lai"]).compute()
    np.testing.assert_allclose(found["lai"], expected["lai"], atol=1e-4)
    assert float(found["lai"].max() - found["lai"].min()) > 2


@pytest.mark.parametrize(
    "faults", [{"offset": -1000, "stated": 0}, {"offset": 0, "stated": -1000}]
)
def test_r2_an_offset_forgotten_or_doubled_is_refused(tmp_path, faults):
    path = products.safe(tmp_path, **faults)
    with pytest.raises(InputError, match=r"offset (forgotten|applied twice)"):
        opened(path)


def test_r2_an_eopf_product_without_its_attributes_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected scale_factor"):
        opened(products.eopf(tmp_path, stated=None))


def test_r2_a_stac_item_whose_pixels_contradict_it_is_refused(tmp_path):
    with pytest.raises(InputError, match="offset"):
        opened(more.stac(tmp_path / "a", applied=False, pixels=0.0))
    with pytest.raises(InputError, match="offset"):
        opened(more.stac(tmp_path / "b", applied=True, pixels=-0.1))
    close_files()
    dataset = opened(more.stac(tmp_path / "c", applied=True, pixels=0.0))
    np.testing.assert_allclose(dataset["reflectance"], products.landscape(), atol=HALF)


def test_r3_fillings_are_no_data_and_never_zero(tmp_path, stand_in):
    def holes(band, numbers):
        numbers = numbers.copy()
        numbers[10:20] = 0
        numbers[20:22] = 65535
        return numbers

    dataset = opened(products.safe(tmp_path, holes=holes))
    result = inversion.retrieve(dataset, stand_in, ["lai"]).compute()
    assert result["lai"][10:22].isnull().all()
    assert (result["quality"][10:22] == Quality.NO_DATA).all()
    assert result["lai"][22:].notnull().all()


@pytest.mark.parametrize("valid", [0, 1])
def test_r3_an_empty_scene_and_a_single_pixel(tmp_path, stand_in, valid):
    def holes(band, numbers):
        out = np.zeros_like(numbers)
        out[30, 30] = numbers[30, 30] * valid
        return out

    dataset = opened(products.safe(tmp_path, holes=holes))
    result = inversion.retrieve(dataset, stand_in, ["lai"]).compute()
    assert int(result["lai"].notnull().sum()) == valid


def test_r5_a_missing_band_is_named_and_the_rest_is_used(tmp_path, caplog):
    dataset = opened(products.safe(tmp_path, missing=("B11",)))
    assert "no band B11; estimated from the rest" in caplog.text
    assert "B11" not in dataset["band"]
    with pytest.raises(InputError, match="expected bands B1, B9, found B2"):
        opened(products.safe(tmp_path / "other"), bands=("B1", "B9"))


def test_r5_swapped_bands_lie_outside_of_what_the_model_knows(tmp_path):
    swapped = products.landscape()[[0, 1, 6, 3, 4, 5, 2, 7, 8, 9]]
    dataset = opened(products.safe(tmp_path, values=swapped), check_radiometry=False)
    part = dataset.isel(y=slice(20, 24), x=slice(20, 48, 4))
    result = inversion.retrieve(part, variables=["lai"]).compute()
    odd = Quality.OUTSIDE_TRAINING_DOMAIN | Quality.SPECTRUM_MISFIT
    assert float(((result["quality"] & odd) != 0).mean()) > 0.9


@pytest.mark.parametrize("quantification", ["1", "100000000", "none", "1000"])
def test_r6_a_scale_that_cannot_be_is_refused(tmp_path, quantification):
    with pytest.raises(InputError, match=r"QUANTIFICATION|expected reflectance 0-1"):
        opened(products.safe(tmp_path, quantification=quantification))


def test_g3_a_low_sun_is_flagged(tmp_path, stand_in):
    result = inversion.retrieve(opened(products.safe(tmp_path, sun=78.0)), stand_in, ["lai"])
    assert ((result["quality"] & Quality.INPUT_OUT_OF_RANGE)[3:] != 0).all()


def test_g4_ten_and_twenty_metres_share_their_centres(tmp_path):
    """A blob of 10 m pixels keeps its centre of mass within a tenth of a pixel at 20 m."""
    row, column = np.indices((48, 48))
    blob = np.exp(-((row - 20.3) ** 2 + (column - 27.6) ** 2) / 30)
    path = products.safe(tmp_path, values=0.02 + 0.4 * blob[None] * np.ones((10, 1, 1)))
    twenty, ten = (
        opened(path, check_radiometry=False),
        opened(path, pixel=10.0, check_radiometry=False),
    )

    def centre(dataset, band):
        weight = dataset["reflectance"].sel(band=band) - 0.02
        return [float((weight * dataset[a]).sum() / weight.sum()) for a in ("x", "y")]

    for band in ("B2", "B8", "B5", "B12"):
        np.testing.assert_allclose(centre(ten, band), centre(twenty, band), atol=1.0)


def test_g5_southern_hemisphere_and_missing_reference_system(tmp_path):
    south = opened(products.safe(tmp_path / "a", epsg="EPSG:32732"))
    assert south.rio.crs.to_epsg() == 32732
    with pytest.raises(InputError, match=r"MTD_TL\.xml: expected .*HORIZONTAL_CS_CODE"):
        opened(products.safe(tmp_path / "b", epsg=""))
    path = products.safe(tmp_path / "c")
    tile = next(path.rglob("MTD_TL.xml"))
    tile.write_text(tile.read_text().replace("32632", "32633"))
    with pytest.raises(InputError, match="expected EPSG:32633, found EPSG:32632"):
        opened(path)


@pytest.mark.parametrize(
    ("ending", "cut"), [("B05_20m.jp2", 0.6), ("SCL_20m.jp2", 0.0), ("MTD_TL.xml", 0.5)]
)
def test_f3_a_cut_file_is_named(tmp_path, ending, cut):
    path = products.safe(tmp_path)
    file = next(path.rglob(f"*{ending}"))
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(InputError, match=ending.replace(".", r"\.")):
        opened(path).load()


def test_f3_a_corrupt_chunk_is_named(tmp_path):
    path = products.eopf(tmp_path)
    chunk = path / "measurements" / "reflectance" / "r20m" / "b05" / "0.0"
    chunk.write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="a block of b05 cannot be read"):
        opened(path).load()


def test_other_units_of_the_series_are_noted_other_sensors_refused(tmp_path, caplog):
    opened(products.safe(tmp_path, platform="C"))
    assert "an image of sentinel-2c, estimated as sentinel-2a" in caplog.text
    with pytest.raises(InputError, match=r"expected an image of sentinel-2a, .* landsat-8"):
        opened(more.landsat(tmp_path))


@pytest.mark.parametrize("name", [name for name in SAME if "zip" not in name])
@pytest.mark.parametrize("pixel", [10.0, 60.0])
def test_r9_every_sentinel_2_family_at_every_pixel_side_has_classes_that_are_codes(
    tmp_path, name, pixel
):
    """Two rows of 20 m of cloud are four of 10 m, and two thirds of one of 60 m."""
    dataset = opened(MADE[name](tmp_path), pixel=pixel)
    plain = products.landscape()
    if pixel == 10.0:
        expected, cloudy = products.finer(plain), 4
    else:
        expected, cloudy = plain.reshape(10, 16, 3, 16, 3).mean((2, 4)), 1
    np.testing.assert_allclose(dataset["reflectance"], expected, atol=HALF)
    assert np.unique(dataset["scene_class"][:cloudy]).tolist() == [9]
    assert np.unique(dataset["scene_class"][cloudy:]).tolist() == [4]
    assert int(dataset["input_quality"].max()) == 0
    np.testing.assert_allclose(dataset["view_zenith_deg"], products.VIEW, atol=1e-4)


def test_r9_the_classes_of_the_wanted_pixel_side_are_taken(tmp_path):
    path = products.safe(tmp_path)
    scl = next(path.rglob("*_SCL_20m.jp2"))
    coarse = scl.parents[1] / "R60m" / scl.name.replace("20m", "60m")
    products.write(coarse, np.full((16, 16), 5, np.uint8), 60, **products.JP2)
    assert np.unique(opened(path, pixel=60.0)["scene_class"]).tolist() == [5]
    assert np.unique(opened(path, pixel=10.0)["scene_class"]).tolist() == [4, 9]


@pytest.mark.parametrize(("baseline", "ending"), [("05.09", "jp2"), ("02.12", "gml")])
def test_g1_an_empty_footprint_of_the_detectors_takes_the_mean_and_bit_10(
    tmp_path, caplog, baseline, ending
):
    path = products.safe(tmp_path, baseline=baseline)
    mask = next(path.rglob(f"MSK_DETFOO_B8A.{ending}"))
    content = mask.read_bytes()
    mask.write_bytes(b"")
    dataset = opened(path)
    np.testing.assert_allclose(dataset["view_zenith_deg"], products.VIEW, atol=1e-4)
    assert (dataset["input_quality"] == Quality.ANGLE_FILLED_IN).all()
    assert "no footprint of the detectors; view angles of several are averaged" in caplog.text
    mask.with_name(f"MSK_DETFOO_B05.{ending}").write_bytes(content)
    assert (opened(path)["input_quality"] == 0).all()


def test_landsat_9_is_read_with_the_model_of_landsat_8_and_noted(tmp_path, caplog):
    path = more.landsat(tmp_path, platform="LANDSAT_9")
    dataset = opened(path, "landsat-8", more.OLI)
    np.testing.assert_allclose(
        dataset["reflectance"], products.landscape("landsat-8", more.OLI), atol=1.4e-5
    )
    assert "an image of landsat-9, estimated as landsat-8" in caplog.text
    with pytest.raises(InputError, match="found one of landsat-9; give --model landsat-8"):
        opened(path)
    caplog.clear()
    dataset = opened(more.hls(tmp_path, kind="L30"), "landsat-8", more.OLI)
    np.testing.assert_allclose(
        dataset["reflectance"], products.landscape("landsat-8", more.OLI), atol=HALF
    )
    assert dataset.attrs["sensor"] == "landsat-9"
    assert "an image of landsat-9, estimated as landsat-8" in caplog.text


def test_landsat(tmp_path):
    dataset = opened(more.landsat(tmp_path), "landsat-8", more.OLI)
    np.testing.assert_allclose(
        dataset["reflectance"], products.landscape("landsat-8", more.OLI), atol=1.4e-5
    )
    assert np.unique(dataset["scene_class"]).tolist() == [4, 6, 9]
    np.testing.assert_allclose(dataset["relative_azimuth_deg"], 45.0, atol=1e-3)
    bare = opened(more.landsat(tmp_path / "bare", angles=False), "landsat-8", more.OLI)
    assert float(bare["sun_zenith_deg"]) == products.SUN
    assert "view_zenith_deg" not in bare


def test_landsat_as_delivered_is_read_without_unpacking(tmp_path):
    packed = products.packed(more.landsat(tmp_path))
    dataset = opened(packed, "landsat-8", more.OLI)
    np.testing.assert_allclose(
        dataset["reflectance"], products.landscape("landsat-8", more.OLI), atol=1.4e-5
    )
    np.testing.assert_allclose(dataset["sun_zenith_deg"], products.SUN, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [packed.name]
    packed.write_bytes(packed.read_bytes()[:30_000])
    with pytest.raises(InputError, match=r"LC08.*\.tar"):
        opened(packed, "landsat-8", more.OLI).load()


def test_of_several_native_maja_products_one_is_named(tmp_path):
    folder = products.maja_native(tmp_path)
    first = next(folder.glob("*.HDR"))
    second = first.with_name(first.name.replace("20220618", "20220620"))
    second.write_text(first.read_text())
    with pytest.raises(InputError, match=r"expected one \*_L2VALD_\*\.HDR, found 2"):
        opened(folder)
    assert opened(first).attrs["product"] == first.stem


@pytest.mark.parametrize("value", ["0", "7", "-1"])
def test_r6_a_native_maja_scale_that_cannot_be_is_refused(tmp_path, value):
    header = next(products.maja_native(tmp_path).glob("*.HDR"))
    header.write_text(header.read_text().replace("0.000100000", value))
    with pytest.raises(InputError, match=r"Quantification_Value near 0\.0001, found"):
        opened(header)


@pytest.mark.parametrize("make", [more.enmap, more.prisma, more.envi])
def test_spectrometers_are_seen_as_the_sensor_of_the_model(tmp_path, make):
    """Narrow bands smooth a spectrum by their width: 0.006 at the red edge, 0.001 elsewhere."""
    dataset = opened(make(tmp_path))
    gap = np.abs(dataset["reflectance"].to_numpy() - products.landscape())[:, 3:]
    assert gap.max() < 6e-3
    assert np.median(gap) < 1e-3
    if make is not more.envi:
        np.testing.assert_allclose(dataset["relative_azimuth_deg"], 45.0, atol=1e-3)


def test_a_band_in_a_gap_of_the_spectrometer_is_left_out(tmp_path, caplog):
    from inversion.readers.spectrometer import in_order, weights

    center, fwhm = more.narrow(420, 1000)
    found = weights(in_order([None] * len(center), center, fwhm), BANDS, "sentinel-2a")
    assert set(BANDS) - set(found) == {"B11", "B12"}
    assert all(abs(row.sum() - 1) < 1e-6 for row in found.values())


def test_options_that_the_product_answers_are_refused(tmp_path):
    path = products.safe(tmp_path)
    with pytest.raises(UsageError, match="--scale: expected none"):
        opened(path, scale=1e-4)
    with pytest.raises(UsageError, match="expected one of 10, 20, 60 m, got 15"):
        opened(path, pixel=15.0)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_store_without_a_scale_asks_for_it(tmp_path, suffix):
    path = more.labelled(tmp_path, suffix, scale=False)
    with pytest.raises(InputError, match="give --scale and --offset"):
        opened(path)
    dataset = opened(path, scale=1e-4)
    np.testing.assert_allclose(dataset["reflectance"], products.landscape(), atol=HALF)


def test_an_asset_elsewhere_is_refused(tmp_path):
    for href in ("https://example.org/B02.tif", "s3://bucket/B02.tif", "/vsicurl/http://x/y.tif"):
        with pytest.raises(InputError, match="expected assets on this machine"):
            opened(more.stac(tmp_path, href=href))


def test_a_spectral_geotiff_is_read_by_its_wavelengths(tmp_path):
    center, fwhm = more.narrow()
    path = tmp_path / "cube.tif"
    products.write(path, more.spectral_landscape(center, fwhm).astype(np.float32), 20)
    with rasterio.open(path, "r+") as file:
        for number, (c, w) in enumerate(zip(center, fwhm, strict=True), 1):
            file.update_tags(number, wavelength=str(c), wavelength_units="nm", fwhm=str(w))
    dataset = opened(path)
    assert np.abs(dataset["reflectance"].to_numpy() - products.landscape())[:, 3:].max() < 6e-3
