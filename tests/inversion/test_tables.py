"""Tables in, tables out: what is ours is found and checked, everything else is left alone."""

import logging

import numpy as np
import pandas as pd
import pytest

from inversion import retrieve_table
from inversion.quality import Quality
from inversion.readers.declaration import Declaration
from inversion.tables import MISSING
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SPECTRUM = (0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10)
ANGLES = {"sun_zenith_deg": 30.0, "view_zenith_deg": 5.0, "relative_azimuth_deg": 100.0}
STATISTICS = ("", "_sd", "_p025", "_p975")


@pytest.fixture
def frame() -> pd.DataFrame:
    row = dict(zip(BANDS, SPECTRUM, strict=True)) | ANGLES
    return pd.DataFrame([row] * 3, index=[7, 3, 5])


def test_columns_come_in_the_promised_order(frame, stand_in):
    result = retrieve_table(frame, stand_in)
    variables = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
    estimates = [name + statistic for name in variables for statistic in STATISTICS]
    assert list(result.columns) == [*frame.columns, *estimates, "quality"]
    assert result["quality"].dtype == np.uint16
    assert result["quality"].eq(0).all()
    np.testing.assert_allclose(result["lai"], 10 * np.mean(SPECTRUM), rtol=1e-5)


def test_rows_and_index_are_kept(frame, stand_in):
    frame.loc[3, list(BANDS)] = 0.2
    result = retrieve_table(frame, stand_in)
    assert result.index.tolist() == [7, 3, 5]
    assert result["lai"].to_numpy()[1] == pytest.approx(2.0)


def test_other_columns_pass_through_untouched(frame, stand_in):
    frame["plot"] = ["007", "=1+1", ""]
    frame["day"] = pd.to_datetime("2020-06-01")
    before = frame.copy(deep=True)
    result = retrieve_table(frame, stand_in)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(result[list(frame.columns)], before)


def test_columns_with_an_outputs_name_are_set_aside(frame, stand_in):
    frame = frame.assign(lai=[1.0, 2.0, 3.0], lai_sd=0.5, quality="good", lai_input=9.0)
    result = retrieve_table(frame, stand_in, ["lai"])
    assert result["lai_input"].eq(9.0).all()
    assert result["lai_input_2"].tolist() == [1.0, 2.0, 3.0]
    assert result["lai_sd_input"].eq(0.5).all()
    assert result["quality_input"].eq("good").all()
    assert result.columns.is_unique


@pytest.mark.parametrize("cell", MISSING)
def test_an_empty_cell_is_a_missing_band(frame, stand_in, cell):
    text = frame.astype(str)
    text.loc[3, "B8"] = cell.upper()
    result = retrieve_table(text, stand_in)
    rest = np.delete(SPECTRUM, BANDS.index("B8")).mean()
    assert result.loc[3, "lai"] == pytest.approx(10 * rest, rel=1e-5)
    assert result.loc[7, "lai"] == pytest.approx(10 * np.mean(SPECTRUM), rel=1e-5)


def test_a_row_without_reflectance_is_no_data(frame, stand_in):
    frame.loc[5, list(BANDS)] = np.nan
    result = retrieve_table(frame, stand_in)
    assert result.loc[5, "quality"] == Quality.NO_DATA
    assert result.loc[5, ["lai", "lai_sd", "lai_p025", "lai_p975"]].isna().all()


def test_a_missing_band_column_is_said_and_the_rest_used(frame, stand_in, caplog):
    with caplog.at_level(logging.WARNING):
        result = retrieve_table(frame.drop(columns="B8"), stand_in, source="plots.csv")
    assert caplog.messages == ["plots.csv: no column B8; estimated from the rest"]
    assert result["lai"].notna().all()


@pytest.mark.parametrize("name", ["B02", "b2", "Band 2", " B2 "])
def test_bands_under_other_spellings(frame, stand_in, name, caplog):
    result = retrieve_table(frame.rename(columns={"B2": name}), stand_in)
    assert not caplog.messages
    assert name in result.columns


def test_a_band_under_two_spellings_is_refused(frame, stand_in):
    with pytest.raises(InputError, match="one column for B2, found B2 and B02"):
        retrieve_table(frame.assign(B02=0.1), stand_in)


def test_a_table_without_bands_is_refused(frame, stand_in):
    with pytest.raises(InputError, match=r"plots\.csv: expected columns B2, .* found sun_zenith"):
        retrieve_table(frame[list(ANGLES)], stand_in, source="plots.csv")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("cloudy", "row 2, column B4: expected a number, or an empty cell, got 'cloudy'"),
        ("0,05", "decimal comma"),
        ("3000", "expected reflectance 0-1 in column B4 row 2, found 3000; .* --scale"),
        ("-8888", "found -8888"),
    ],
)
def test_an_impossible_cell_is_named(frame, stand_in, cell, said):
    text = frame.astype(str)
    text.loc[3, "B4"] = cell
    with pytest.raises(InputError, match=said):
        retrieve_table(text, stand_in)


def test_digital_numbers_with_scale_offset_and_nodata(frame, stand_in):
    stored = frame.copy()
    stored[list(BANDS)] = (stored[list(BANDS)] + 0.1) * 1e4
    stored.loc[5, list(BANDS)] = 0
    declaration = Declaration(scale=1e-4, offset=-0.1, nodata=0.0)
    result = retrieve_table(stored, stand_in, declaration=declaration)
    assert result.loc[7, "lai"] == pytest.approx(10 * np.mean(SPECTRUM), rel=1e-4)
    assert result.loc[5, "quality"] == Quality.NO_DATA


def test_a_missing_angle_is_flagged_unless_it_is_declared(frame, stand_in, caplog):
    nadir = frame.drop(columns="view_zenith_deg")
    nadir.loc[3, "sun_zenith_deg"] = np.nan
    with caplog.at_level(logging.WARNING):
        result = retrieve_table(nadir, stand_in)
    assert "no column view_zenith_deg" in caplog.text
    assert result["quality"].eq(int(Quality.ANGLE_FILLED_IN)).all()
    declared = Declaration(view_zenith=4.0)
    result = retrieve_table(nadir, stand_in, declaration=declared)
    assert result["quality"].tolist() == [0, Quality.ANGLE_FILLED_IN, 0]
    assert stand_in.seen[-1][1][:, 1].tolist() == [4.0, 4.0, 4.0]


def test_two_azimuths_make_a_relative_one(frame, stand_in):
    pair = frame.drop(columns="relative_azimuth_deg")
    pair = pair.assign(sun_azimuth_deg=[359.0, 10.0, 160.0], view_azimuth_deg=[1.0, 350.0, 287.0])
    retrieve_table(pair, stand_in)
    np.testing.assert_allclose(stand_in.seen[0][1][:, 2], [2, 20, 127], atol=1e-4)


def test_radians_are_recognised(frame, stand_in):
    radians = pd.concat([frame] * 2).assign(sun_zenith_deg=np.linspace(0.4, 0.9, 6))
    with pytest.raises(InputError, match="looks like radians"):
        retrieve_table(radians, stand_in)


def test_the_guard_can_be_put_off(frame, stand_in):
    bright = pd.concat([frame] * 2)
    bright[list(BANDS)] += 0.1
    with pytest.raises(InputError, match="offset forgotten"):
        retrieve_table(bright, stand_in)
    retrieve_table(bright, stand_in, declaration=Declaration(check_radiometry=False))


def test_an_unknown_variable_is_wrong_usage(frame, stand_in):
    with pytest.raises(UsageError, match="expected some of lai"):
        retrieve_table(frame, stand_in, ["biomass"])
