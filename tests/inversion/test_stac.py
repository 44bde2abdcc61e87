"""STAC items of the catalogues people use: the bands, the mask and the angles are found."""

import json
from pathlib import Path

import numpy as np
import pytest

import more_products as more
import products
from inversion.quality import Quality
from inversion.readers import Declaration, detect, reader
from physvae.errors import InputError, UsageError

SIDE, BANDS, OLI = products.SIDE, products.BANDS, more.OLI
LEVELS = {"sentinel-2a": (0.03, 0.05, 0.04, 0.1, 0.3, 0.36, 0.38, 0.4, 0.2, 0.11),
          "landsat-8": (0.03, 0.05, 0.04, 0.4, 0.2, 0.11)}  # fmt: skip
SHADE = 1 + 0.1 * np.sin(np.arange(SIDE * SIDE)).reshape(SIDE, SIDE)
S2, L8 = (np.multiply.outer(levels, SHADE) for levels in LEVELS.values())
LANDSAT = {"platform": "landsat-8", "view:sun_elevation": 50, "view:off_nadir": 0}
SENTINEL = {"platform": "sentinel-2a", "view:sun_elevation": 50}
COMMON = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16",
          "swir22")  # fmt: skip
OLI_COMMON = ("blue", "green", "red", "nir08", "swir16", "swir22")
CLOUDY = {"scl": (4, 9), "qa_pixel": (1 << 6, 1 << 3), "fmask": (0, 2)}


@pytest.fixture(scope="module")
def pixels(tmp_path_factory) -> Path:
    """Files of bands, masks and angles, of which the items of all tests choose."""
    folder = tmp_path_factory.mktemp("pixels")
    for sensor, bands, shown, scale, offset in (
        ("sentinel-2a", BANDS, S2, 1e-4, -0.1), ("landsat-8", OLI, L8, 2.75e-5, -0.2)
    ):  # fmt: skip
        for band, values in zip(bands, shown, strict=True):
            numbers = products.stored(values, scale, offset)
            products.write(folder / f"{sensor}_{band}.tif", numbers, 20)
    fine = products.finer(products.stored(S2[0], 1e-4, -0.1))
    products.write(folder / "sentinel-2a_B2_10m.tif", fine, 10)
    for kind, (clear, cloud) in CLOUDY.items():
        codes = np.full((SIDE, SIDE), clear, np.uint16)
        codes[: SIDE // 2] = cloud
        products.write(folder / f"{kind}.tif", codes, 20)
    for kind, value in (("SZA", 40), ("SAA", 150), ("VZA", 5), ("VAA", 105)):
        products.write(folder / f"{kind}.tif", np.full((SIDE, SIDE), value * 100, np.int16), 20)
    return folder


def written(pixels: Path, assets: dict, properties: dict, /, **about) -> Path:
    """Write an item; an asset is its file's name or what it says of itself."""
    assets = {
        key: {"href": f"./{value}.tif", "type": "image/tiff"} if isinstance(value, str) else value
        for key, value in assets.items()
    }
    path = pixels / "item.json"
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": properties}
    path.write_text(json.dumps(item | {"assets": assets} | about))
    return path


def opened(path: Path, sensor="sentinel-2a", bands=BANDS, **said):
    return reader(detect(path))(path, Declaration(**said), bands=bands, sensor=sensor)


def described(name: str, band: dict | None = None, **about) -> dict:
    asset = {"href": f"./{name}.tif", "type": "image/tiff", "raster:scale": 1e-4}
    return asset | {"raster:offset": -0.1, "nodata": 0, "bands": [band or {}]} | about


def bands_of_sentinel(keys, names=None, **about) -> dict[str, dict]:
    names = names or [{}] * len(keys)
    return {
        key: described(f"sentinel-2a_{band}", name, **about)
        for key, name, band in zip(keys, names, BANDS, strict=True)
    }


def padded(band: str) -> str:
    return f"B{int(band[1:]):02d}" if band[1:].isdigit() else band


CATALOGUES = {
    "earth-search v0": (map(padded, BANDS), [{"name": padded(b)} for b in BANDS], "SCL"),
    "earth-search v1": (COMMON, [{"name": name, "common_name": name} for name in COMMON], "scl"),
    "earth-search c1": (COMMON, [{"name": padded(b)} for b in BANDS], "scl"),
    "earth-search jp2": ([f"{name}-jp2" for name in COMMON], None, "scl-jp2"),
    "planetary computer": (map(padded, BANDS), None, "SCL"),
    "cdse": ([f"{padded(b)}_20m" for b in BANDS], [{"name": padded(b)} for b in BANDS], "SCL_20m"),
    "common names alone": ([f"x{b}" for b in BANDS],
                           [{"eo:common_name": name} for name in COMMON], "SCL_20m"),
    "classes by their file": (BANDS, None, "classification"),
}  # fmt: skip


@pytest.mark.parametrize("name", CATALOGUES)
def test_sentinel_2_of_any_catalogue(pixels, name, caplog):
    keys, names, mask = CATALOGUES[name]
    assets = bands_of_sentinel(list(keys), names)
    assets["visual"] = described("none", roles=["visual"])
    assets[mask] = {"href": "./scl.tif"}
    if mask == "classification":
        (pixels / "T32TMT_SCL_20m.tif").write_bytes((pixels / "scl.tif").read_bytes())
        assets[mask] = {"href": "./T32TMT_SCL_20m.tif"}
    dataset = opened(written(pixels, assets, SENTINEL | {"platform": "Sentinel-2A"}))
    assert list(dataset["band"].to_numpy()) == list(BANDS)
    np.testing.assert_allclose(dataset["reflectance"], S2, atol=0.51e-4)
    assert int((dataset["scene_class"] == 9).sum()) == SIDE * SIDE // 2
    assert "no scene classes" not in caplog.text


@pytest.mark.parametrize("platform", ["landsat-8", "LANDSAT_8", "LANDSAT_9"])
@pytest.mark.parametrize("names", ["common", "OLI_B", "SR_B", "B"])
def test_landsat_of_any_catalogue(pixels, names, platform, caplog):
    """nir08, swir16 and swir22 are B5, B6 and B7 there; all six bands and the mask are used."""
    keys = OLI_COMMON if names != "SR_B" else [f"SR_{b}.TIF" for b in OLI]
    assets = {
        key: described(
            f"landsat-8_{band}", {"name": f"OLI_{band}"} if names == "OLI_B" else {},
            **{"raster:scale": 2.75e-5, "raster:offset": -0.2},
        )
        for key, band in zip(keys if names != "B" else OLI, OLI, strict=True)
    }  # fmt: skip
    assets["lwir11"] = described("none", {"name": "TIRS_B10"})
    assets["qa_pixel"] = {"href": "./qa_pixel.tif", "type": "image/tiff"}
    path = written(pixels, assets, LANDSAT | {"platform": platform})
    dataset = opened(path, "landsat-8", OLI)
    np.testing.assert_allclose(dataset["reflectance"], L8, atol=1.4e-5)
    assert int((dataset["scene_class"] == 9).sum()) == SIDE * SIDE // 2
    assert ("an image of landsat-9, estimated as landsat-8" in caplog.text) == ("9" in platform)
    with pytest.raises(InputError, match="give --model landsat-8"):
        opened(path)


@pytest.mark.parametrize(
    "about", [{"collection": "HLSL30.v2.0"}, {"id": "HLS.L30.T32TMT.2022169"}]
)
def test_hls_l30_without_a_platform_is_landsat(pixels, about):
    """B5 is the near infrared there; the sun comes from SZA, the view from above."""
    assets = {padded(b): described(f"landsat-8_{b}", **{"raster:scale": 2.75e-5}) for b in OLI}
    for asset in assets.values():
        asset["raster:offset"] = -0.2
    assets |= {"Fmask": "fmask", "SZA": "SZA", "VZA": "VZA", "SAA": "SAA", "VAA": "VAA"}
    path = written(pixels, assets, {"datetime": "2022-06-18T10:25:59Z"}, **about)
    with pytest.raises(InputError, match="found one of landsat-8; give --model landsat-8"):
        opened(path)
    dataset = opened(path, "landsat-8", OLI)
    assert int((dataset["scene_class"] == 9).sum()) == SIDE * SIDE // 2
    np.testing.assert_allclose(dataset["sun_zenith_deg"], 40.0)
    assert float(dataset["view_zenith_deg"]) == 0.0


def test_angle_assets_of_landsat(pixels):
    assets = {b: described(f"landsat-8_{b}", **{"raster:scale": 2.75e-5}) for b in OLI}
    for asset in assets.values():
        asset["raster:offset"] = -0.2
    assets |= {"qa_pixel": "qa_pixel", "SZA": "SZA", "VZA": "VZA", "SAA": "SAA", "VAA": "VAA"}
    dataset = opened(written(pixels, assets, LANDSAT), "landsat-8", OLI)
    np.testing.assert_allclose(dataset["view_zenith_deg"], 5.0)
    np.testing.assert_allclose(dataset["relative_azimuth_deg"], 45.0, atol=1e-3)


def test_r8_an_item_without_scene_classes_says_so(pixels, caplog):
    path = written(pixels, bands_of_sentinel(BANDS), SENTINEL)
    dataset = opened(path)
    assert "scene_class" not in dataset
    assert (
        "item.json: no scene classes (no asset scl, qa_pixel or Fmask; give --scl)" in caplog.text
    )
    caplog.clear()
    dataset = opened(path, scene_classes=str(pixels / "scl.tif"))
    assert int((dataset["scene_class"] == 9).sum()) == SIDE * SIDE // 2
    assert "no scene classes" not in caplog.text


def test_r8_scene_classes_elsewhere_are_refused_unless_all_are_kept(pixels):
    assets = bands_of_sentinel(BANDS) | {"scl": {"href": "https://example.org/scl.tif"}}
    path = written(pixels, assets, SENTINEL)
    with pytest.raises(InputError, match="expected assets on this machine"):
        opened(path)
    assert "scene_class" not in opened(path, keep_classes=())


def test_the_finest_of_several_assets_of_a_band_that_lie_here_is_taken(pixels):
    assets = bands_of_sentinel(BANDS)
    fine = described("sentinel-2a_B2_10m", {"name": "B02"})
    elsewhere = described("none", {"name": "B02"}, gsd=5)
    for keys in (("B02_20m", "B02_10m", "B02_5m"), ("B02_5m", "B02_10m", "B02_20m")):
        several = dict(zip(keys, (assets["B2"], fine, elsewhere), strict=True))
        if keys[0] == "B02_5m":
            several = dict(zip(keys, (elsewhere, fine, assets["B2"]), strict=True))
        others = {key: value for key, value in assets.items() if key != "B2"}
        dataset = opened(written(pixels, several | others, SENTINEL), pixel=10.0)
        assert dataset.sizes["x"] == 2 * SIDE
        np.testing.assert_allclose(
            dataset["reflectance"].sel(band="B2"), products.finer(S2[0]), atol=0.51e-4
        )


@pytest.mark.parametrize(
    "stated",
    [
        {"raster:bands": [{"scale": 1e-4, "offset": -0.1, "nodata": 0}]},
        {"raster:scale": 1e-4, "raster:offset": -0.1, "nodata": "nan"},
        {"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]},
        {"bands": [{"scale": 1e-4, "offset": -0.1}]},
    ],
)
def test_scale_and_offset_in_every_form_of_the_specification(pixels, stated):
    assets = {b: {"href": f"./sentinel-2a_{b}.tif"} | stated for b in BANDS}
    dataset = opened(written(pixels, assets, SENTINEL))
    np.testing.assert_allclose(dataset["reflectance"], S2, atol=0.51e-4)


def test_scale_and_offset_of_the_products_own_metadata(pixels):
    """Planetary Computer and USGS state none; MTD_MSIL2A.xml and MTL.xml do."""
    assets: dict = {b: f"sentinel-2a_{b}" for b in BANDS}
    path = written(pixels, assets, SENTINEL)
    with pytest.raises(InputError, match=r"--scale 0\.0001, and --offset -0\.1 from .* 04\.00 on"):
        opened(path)
    xml = products.product_xml("05.09", "A", -1000.0, "10000", "x")
    (pixels / "MTD_MSIL2A.xml").write_text(xml)
    assets["product-metadata"] = {"href": "./MTD_MSIL2A.xml", "type": "application/xml"}
    dataset = opened(written(pixels, assets, SENTINEL))
    np.testing.assert_allclose(dataset["reflectance"], S2, atol=0.51e-4)
    assert dataset.attrs["radiometry"][0]["source"] == "MTD_MSIL2A.xml"


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"raster:scale": "x"}, "expected a number for scale, found 'x'"),
        ({"raster:scale": float("nan")}, "expected a number for scale, found 'nan'"),
        ({"raster:scale": -1e-4}, "expected a scale above 0"),
        ({"raster:scale": True}, "expected a number for scale"),
        ({"raster:offset": -1000}, "an offset in reflectance"),
    ],
)
def test_r6_numbers_that_cannot_be_are_refused(pixels, stated, said):
    assets = bands_of_sentinel(BANDS, **stated)
    with pytest.raises(InputError, match=f"item.json: .*{said}"):
        opened(written(pixels, assets, SENTINEL))


@pytest.mark.parametrize(
    ("properties", "about", "said"),
    [
        ({}, {}, "expected a platform such as sentinel-2a or landsat-8, found none"),
        (SENTINEL | {"view:sun_elevation": 500}, {}, "view:sun_elevation in degrees, found 500"),
        (SENTINEL | {"view:sun_elevation": "high"}, {}, "a number for view:sun_elevation"),
        (SENTINEL, {"collection": "sentinel-2-l1c"}, "expected level 2 .* found sentinel-2-l1c"),
        (SENTINEL | {"s2:product_type": "S2MSI1C"}, {}, "expected level 2"),
        (SENTINEL, {"assets": {"B2": 7}}, "expected assets by their names"),
    ],
)
def test_items_that_cannot_be_right_are_refused(pixels, properties, about, said):
    with pytest.raises(InputError, match=said):
        opened(written(pixels, bands_of_sentinel(BANDS), properties, **about))


def test_a_constellation_alone_is_noted(pixels, caplog):
    opened(written(pixels, bands_of_sentinel(BANDS), {"constellation": "sentinel-2"}))
    assert "an image of sentinel-2, estimated as sentinel-2a" in caplog.text


def test_options_that_mean_nothing_are_refused(pixels):
    path = written(pixels, bands_of_sentinel(BANDS), SENTINEL)
    with pytest.raises(UsageError, match="--bands: expected none"):
        reader(detect(path))(path, Declaration(bands=BANDS), bands=BANDS)
    path = written(pixels, bands_of_sentinel(BANDS), LANDSAT)
    with pytest.raises(UsageError, match="--pixel: expected none"):
        opened(path, "landsat-8", OLI, pixel=10.0)


def test_angles_of_an_item_are_flagged_where_they_are_missing(pixels, stand_in):
    import inversion

    dataset = opened(written(pixels, bands_of_sentinel(BANDS), SENTINEL)).isel(y=slice(0, 2))
    result = inversion.retrieve(dataset, stand_in, ["lai"]).compute()
    assert ((result["quality"] & Quality.ANGLE_FILLED_IN) != 0).all()
