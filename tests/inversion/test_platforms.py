"""A satellite is the same one however its metadata spell it."""

import pytest

from inversion.readers.platforms import check_sensor, platform_name
from physvae.errors import InputError

SPELLINGS = {
    "sentinel-2a": (
        "Sentinel-2A",
        "SENTINEL2A",
        "SENTINEL-2A",
        "S2A",
        "S2A_MSIL2A_20220618T102559",
    ),
    "sentinel-2c": ("sentinel-2c", "S2C_T32TMT_20250618"),
    "sentinel-2": (
        "sentinel-2",
        "Sentinel-2 MSI",
        "sentinel-2-l2a",
        "sentinel-s2-l2a-cogs sentinel-2",
    ),
    "landsat-8": (
        "LANDSAT_8",
        "landsat-8",
        "Landsat 8",
        "LC08_L2SP_195027",
        "HLS.L30.T32TMT.2022",
    ),
    "landsat-9": ("LANDSAT_9", "LC09_L2SP_195027_20220618_20220630_02_T1"),
    "landsat-7": ("LANDSAT_7", "LE07_L2SP_195027"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_agencies_and_catalogues(name):
    assert {platform_name(text) for text in SPELLINGS[name]} == {name}


@pytest.mark.parametrize("text", ["", None, "landsat-c2l2-sr", "PS2A1", "sentinel-1a", "S2", 7])
def test_what_names_no_satellite_is_none(text):
    assert platform_name(text) is None


def test_the_first_text_that_names_one_counts():
    assert platform_name("", "sentinel-2b", "LANDSAT_8") == "sentinel-2b"


def test_units_of_a_series_are_noted_and_other_sensors_refused(caplog):
    for found, wanted in (("landsat-9", "landsat-8"), ("sentinel-2d", "sentinel-2a")):
        check_sensor(found, wanted, "x")
        assert f"x: an image of {found}, estimated as {wanted}" in caplog.text
    for found, hint in (("landsat-9", " landsat-8"), ("landsat-7", ""), ("sentinel-2b", None)):
        wanted = "sentinel-2a" if hint is not None else "landsat-8"
        ending = hint if hint is not None else " sentinel-2"
        with pytest.raises(InputError, match=f"found one of {found}; give --model{ending}$"):
            check_sensor(found, wanted, "x")
