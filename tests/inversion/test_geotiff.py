"""GeoTIFF by declaration: what the file says is used and said, what it does not say is asked."""

import logging

import numpy as np
import pytest
import rasterio

from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
STORED = Declaration(scale=1e-4, sun_zenith=30.0, view_zenith=5.0, relative_azimuth=90.0)


def stored(layers, add=0):
    return {name: np.rint(value * 1e4 + add).astype(np.uint16) for name, value in layers.items()}


def test_float_reflectance_needs_no_declaration(geotiff, meadow, caplog):
    layers = meadow()
    dataset = read(geotiff(layers), Declaration(), bands=BANDS)
    assert dataset["reflectance"].chunks is not None
    assert dataset["reflectance"].dims == ("band", "y", "x")
    np.testing.assert_allclose(dataset["reflectance"], np.stack(list(layers.values())))
    assert dataset.rio.crs.to_epsg() == 32632
    np.testing.assert_allclose(dataset["x"][:2], [465005, 465015])
    np.testing.assert_allclose(dataset["y"][:2], [5249995, 5249985])
    assert "no sun_zenith_deg, view_zenith_deg, relative_azimuth_deg" in caplog.text


def test_any_order_and_any_spelling_of_descriptions(geotiff, meadow):
    layers = meadow()
    shuffled = {name.replace("B", "B0"): layers[name] for name in reversed(BANDS)}
    dataset = read(geotiff(shuffled), Declaration(), bands=BANDS)
    np.testing.assert_array_equal(dataset["reflectance"].sel(band="B8A"), layers["B8A"])


def test_blocks_do_not_change_what_is_read(geotiff, meadow):
    path = geotiff(meadow(70, 50))
    whole = read(path, Declaration(), bands=BANDS)
    parts = read(path, Declaration(), bands=BANDS, chunk=16)
    assert parts["reflectance"].chunks[1:] == ((16, 16, 16, 16, 6), (16, 16, 16, 2))
    np.testing.assert_array_equal(whole["reflectance"], parts["reflectance"])


def test_a_small_image_is_cut_for_several_cores(geotiff, meadow):
    dataset = read(geotiff(meadow(200, 240)), Declaration(), bands=BANDS)
    assert dataset["reflectance"].chunks[1:] == ((128, 72), (128, 112))


def test_integers_without_a_scale_are_refused(geotiff, meadow):
    path = geotiff(stored(meadow()))
    with pytest.raises(InputError, match=r"expected a scale for uint16 .*--scale 0\.0001"):
        read(path, Declaration(), bands=BANDS)
    dataset = read(path, STORED, bands=BANDS)
    np.testing.assert_allclose(dataset["reflectance"][0], meadow()["B2"], atol=6e-5)


def test_the_files_own_scale_is_used_and_said(geotiff, meadow, caplog):
    path = geotiff(stored(meadow(), add=1000), scale=1e-4, offset=-0.1)
    with caplog.at_level(logging.WARNING):
        dataset = read(path, Declaration(), bands=BANDS)
    np.testing.assert_allclose(dataset["reflectance"][3], meadow()["B5"], atol=6e-5)
    assert "as the file says" in caplog.text
    assert dataset.attrs["radiometry"]["source"] == "the file's metadata"


def test_a_declared_scale_wins_over_the_files(geotiff, meadow):
    path = geotiff(stored(meadow()), scale=0.5)
    dataset = read(path, Declaration(scale=1e-4, offset=0.0), bands=BANDS)
    np.testing.assert_allclose(dataset["reflectance"][3], meadow()["B5"], atol=6e-5)


def test_half_a_declaration_beside_the_files_own_is_refused(geotiff, meadow):
    path = geotiff(stored(meadow(), add=1000), scale=1e-4, offset=-0.1)
    for half in (Declaration(scale=1e-4), Declaration(offset=-0.1)):
        with pytest.raises(UsageError, match="expected both or none"):
            read(path, half, bands=BANDS)


@pytest.mark.parametrize("filling", [0, 65535, 7])
def test_fillings_are_missing_before_the_offset(geotiff, meadow, filling):
    layers = stored(meadow(), add=1000)
    for values in layers.values():
        values[1, 2] = filling
    layers["B5"][4, 4] = filling
    path = geotiff(layers, nodata=7)
    reflectance = read(path, Declaration(scale=1e-4, offset=-0.1), bands=BANDS)["reflectance"]
    missing = np.isnan(reflectance.to_numpy())
    assert missing[:, 1, 2].all()
    assert missing[3, 4, 4]
    assert missing.sum() == 11


def test_a_forgotten_and_a_doubled_offset_are_refused(geotiff, meadow):
    with pytest.raises(InputError, match="offset forgotten"):
        read(geotiff(stored(meadow(), add=1000)), STORED, bands=BANDS)
    doubled = Declaration(scale=1e-4, offset=-0.1)
    with pytest.raises(InputError, match="offset applied twice"):
        read(geotiff(stored(meadow())), doubled, bands=BANDS)


def test_bands_are_asked_for_where_the_file_names_none(geotiff, meadow, tmp_path):
    layers = meadow()
    path = geotiff(layers)
    with rasterio.open(path, "r+") as file:
        file.descriptions = [None] * 10
    with pytest.raises(InputError, match=r"found none in its 10 bands.*--bands"):
        read(path, Declaration(), bands=BANDS)
    with pytest.raises(UsageError, match="expected 10 names"):
        read(path, Declaration(bands=["B2", "B3"]), bands=BANDS)
    dataset = read(path, Declaration(bands=list(BANDS)), bands=BANDS)
    np.testing.assert_array_equal(dataset["reflectance"][9], layers["B12"])


def test_other_names_and_a_band_twice_are_refused(geotiff, meadow):
    layers = meadow()
    with pytest.raises(InputError, match=r"expected bands B2, .* found red, green"):
        read(geotiff({"red": layers["B4"], "green": layers["B3"]}), Declaration(), bands=BANDS)
    with pytest.raises(InputError, match="found twice: B4"):
        read(geotiff({"B4": layers["B4"], "B04": layers["B3"]}), Declaration(), bands=BANDS)


def test_angles_from_bands_then_from_options(geotiff, meadow):
    layers = stored(meadow())
    layers["sun_zenith_deg"] = np.full((6, 8), 41, np.uint16)
    dataset = read(geotiff(layers), STORED, bands=BANDS)
    assert dataset["sun_zenith_deg"].dims == ("y", "x")
    assert float(dataset["sun_zenith_deg"].mean()) == 41
    assert float(dataset["view_zenith_deg"]) == 5


def test_scene_classes_from_a_band_or_a_coarser_file(geotiff, meadow):
    layers = stored(meadow())
    classes = np.arange(12, dtype=np.uint16).reshape(3, 4)
    fine = classes.repeat(2, 0).repeat(2, 1)
    banded = read(geotiff(layers | {"SCL": fine}), STORED, bands=BANDS)
    np.testing.assert_array_equal(banded["scene_class"], fine)
    coarse = rasterio.transform.from_origin(465000, 5250000, 20, 20)
    scl = geotiff({"SCL": classes.astype(np.uint8)}, "scl.tif", transform=coarse)
    options = Declaration(scale=1e-4, scene_classes=str(scl))
    dataset = read(geotiff(layers), options, bands=BANDS)
    np.testing.assert_array_equal(dataset["scene_class"], fine)


def test_scene_classes_of_another_place_are_refused(geotiff, meadow):
    away = rasterio.transform.from_origin(1000, 1000, 20, 20)
    scl = geotiff({"SCL": np.full((3, 4), 4, np.uint8)}, "scl.tif", transform=away)
    options = Declaration(scene_classes=str(scl))
    with pytest.raises(InputError, match=r"scl\.tif: expected scene classes over the image"):
        read(geotiff(meadow()), options, bands=BANDS)


@pytest.mark.parametrize("target", ["/etc/passwd", "/vsicurl/http://127.0.0.1:9/x.tif"])
def test_a_vrt_is_never_opened(tmp_path, target):
    path = tmp_path / "image.tif"
    path.write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand band="1" dataType="Byte">'
        f"<SimpleSource><SourceFilename>{target}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(InputError, match="expected a GeoTIFF, found something else"):
        read(path, Declaration(), bands=BANDS)


def test_neighbouring_files_are_not_read(geotiff, meadow):
    path = geotiff(meadow())
    statistics = '<PAMDataset><Metadata domain=""><MDI key="evil">1</MDI></Metadata></PAMDataset>'
    path.with_name(path.name + ".aux.xml").write_text(statistics)
    path.with_name(path.name + ".ovr").write_text("not an overview")
    read(path, Declaration(), bands=BANDS).load()


def test_a_cut_file_is_refused_by_name(geotiff, meadow):
    path = geotiff(meadow(600, 600))
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(InputError, match=r"image\.tif"):
        read(path, Declaration(), bands=BANDS).load()


def test_a_rotated_grid_keeps_its_transform(geotiff, meadow):
    turned = rasterio.Affine(8, 6, 465000, 6, -8, 5250000)
    dataset = read(geotiff(meadow(), transform=turned), Declaration(), bands=BANDS)
    assert "x" not in dataset.coords
    assert dataset.rio.transform() == turned
