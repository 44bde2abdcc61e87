"""Names: what counts bands names no colour, and an angle has the names that people give it."""

import pandas as pd
import pytest

from inversion.naming import angle_name, any_angle_name, band_ids, common_band
from inversion.tables import retrieve_table
from physvae.errors import InputError


@pytest.mark.parametrize("word", ["Band {}", "Band_{}", "band{}", "BAND-{}"])
@pytest.mark.parametrize("order", [1, -1])
def test_bands_that_only_count_have_no_name(word, order):
    names = [word.format(number) for number in range(1, 11)][::order]
    assert band_ids(names) == [None] * 10


@pytest.mark.parametrize(
    "names", [["Band 2", "Band 3"], ["Band 02", "B8a"], ["B1", "B2", "B3"], ["Band 1", "band 8A"]]
)
def test_bands_that_do_not_count_from_one_have_names(names):
    assert any(band_ids(names))


def test_a_table_whose_columns_only_count_is_refused():
    frame = pd.DataFrame({f"Band {number}": [0.1] for number in range(1, 11)})
    with pytest.raises(InputError, match=r"expected columns B2, .*found 10 .*--bands"):
        retrieve_table(frame)


def test_angles_have_the_names_of_the_nomenclature():
    for ours, names in {
        "sun_zenith_deg": ("tts", "SZA", "sun_zenith", "Solar Zenith Angle", "mean_solar_zenith"),
        "view_zenith_deg": ("tto", "vza", "View_Zenith_deg", "viewing_zenith", "sensor-zenith"),
        "relative_azimuth_deg": ("psi", "RAA", "relative_azimuth", "relative_azimuth_angle"),
    }.items():
        assert {angle_name(name) for name in names} == {ours}
    assert [angle_name(name) for name in ("saa", "lai", "azimuth", "zenith")] == [None] * 4
    assert any_angle_name("SAA") == "sun_azimuth_deg"


def test_a_common_name_means_the_band_of_its_sensor():
    assert [common_band("nir08", s) for s in ("sentinel-2b", "landsat-9")] == ["B8A", "B5"]
    assert common_band("red_edge_1", "sentinel-2a") == "B5"
    assert common_band("red", "landsat-5") is None
