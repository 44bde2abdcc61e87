"""The bits: their numbers are a contract with other people's scripts, their meaning is tested."""

import numpy as np
import pytest

from inversion.quality import (
    DESCRIPTIONS,
    Quality,
    clip_near,
    diagnostic_flags,
    flag_attributes,
    input_flags,
    range_flags,
)
from inversion.summary import Summary

GOOD = np.full((1, 10), 0.2)
ANGLES = np.array([[30.0, 5.0, 100.0]])
UNMASKED = np.zeros(1, bool)


def flags(reflectance=GOOD, angles=ANGLES, masked=UNMASKED) -> Quality:
    return Quality(int(input_flags(np.asarray(reflectance), np.asarray(angles, float), masked)[0]))


def test_bits_stand_where_the_contract_puts_them():
    assert [flag.value for flag in Quality] == [2**bit for bit in range(15)]
    assert Quality.NO_DATA == 512
    assert set(DESCRIPTIONS) == set(Quality)


def test_attributes_name_every_bit_once():
    attributes = flag_attributes()
    assert attributes["flag_masks"].dtype == np.uint16
    assert len(attributes["flag_meanings"].split()) == len(attributes["flag_masks"]) == 15


def test_nothing_to_say_is_zero():
    assert flags() == 0


@pytest.mark.parametrize(
    ("band", "expected"),
    [
        (1.01, Quality.INPUT_OUT_OF_RANGE),
        (np.inf, Quality.INPUT_OUT_OF_RANGE),
        (-0.001, Quality.NEGATIVE_REFLECTANCE),
        (np.nan, Quality(0)),
    ],
)
def test_one_odd_band(band, expected):
    reflectance = GOOD.copy()
    reflectance[0, 3] = band
    assert flags(reflectance) == expected


@pytest.mark.parametrize("filling", [np.nan, 0.0])
def test_a_pixel_of_fillings_has_no_data_and_nothing_else(filling):
    assert flags(np.full((1, 10), filling), np.full((1, 3), np.nan)) == Quality.NO_DATA


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ([75.1, 5, 0], Quality.INPUT_OUT_OF_RANGE),
        ([75.0, 5, 0], Quality(0)),
        ([30, 5, 725], Quality(0)),
        ([30, np.nan, 0], Quality.ANGLE_FILLED_IN),
        ([95, 5, 0], Quality.INPUT_OUT_OF_RANGE | Quality.ANGLE_FILLED_IN),
        ([30, -3, 0], Quality.INPUT_OUT_OF_RANGE | Quality.ANGLE_FILLED_IN),
    ],
)
def test_angles(angles, expected):
    assert flags(angles=[angles]) == expected


def test_scene_class_masks_pixels_that_have_data():
    assert flags(masked=np.ones(1, bool)) == Quality.MASKED_BY_SCENE_CLASS
    assert flags(GOOD * np.nan, masked=np.ones(1, bool)) == Quality.NO_DATA


def test_estimates_to_their_range():
    mean = np.array([-0.2, -0.05, 0.0, 5.0, 10.0, 10.05, 10.2])
    expected = [
        Quality.TOO_LOW,
        Quality.CLIPPED_TO_MINIMUM,
        0,
        0,
        0,
        Quality.CLIPPED_TO_MAXIMUM,
        Quality.TOO_HIGH,
    ]
    assert range_flags(mean, low=0.0, high=10.0).tolist() == expected
    clipped = clip_near(mean, low=0.0, high=10.0)
    np.testing.assert_array_equal(clipped, [-0.2, 0, 0, 5, 10, 10, 10.2])


def test_diagnostics_set_a_bit_each():
    bits = diagnostic_flags(
        misfit=np.array([1.0, 1.1, 0, 0]),
        novelty=np.array([1.0, 0, 1.1, 0]),
        prior_width=np.array([0.94, 0, 0, 0.95]),
    )
    assert bits.tolist() == [
        0,
        Quality.SPECTRUM_MISFIT,
        Quality.OUTSIDE_TRAINING_DOMAIN,
        Quality.AS_WIDE_AS_PRIOR,
    ]


def test_a_summary_counts_every_bit_of_a_pixel():
    both = Quality.NO_DATA.value | Quality.ANGLE_FILLED_IN.value
    summary = Summary(["lai", "lai_sd", "quality"])
    for quality in ([both, 0, Quality.NO_DATA.value], [both, both, 0]):
        lai = np.array([np.nan, 1.0, 3.0], np.float32)
        summary.add({"lai": lai, "lai_sd": lai, "quality": np.array(quality, np.uint16)})
    assert summary.total == 6
    assert summary.flagged[Quality.NO_DATA] == 4
    assert summary.flagged[Quality.ANGLE_FILLED_IN] == 3
    assert sum(summary.flagged.values()) == 7
    about = summary.statistics()
    assert list(about) == ["lai"]
    assert about["lai"] == {"count": 2, "mean": 2.0, "sd": 1.0, "minimum": 1.0, "maximum": 3.0}


def test_the_statistics_of_a_summary_leave_out_what_must_not_be_used():
    """A lake of LAI 0, strange and not explained, moves no mean; a canopy that is rare does."""
    summary = Summary(["lai", "quality"])
    rare = Quality.OUTSIDE_TRAINING_DOMAIN.value
    lake = rare | Quality.SPECTRUM_MISFIT.value
    lai = np.array([0.0, 2.0, 4.0], np.float32)
    summary.add({"lai": lai, "quality": np.array([lake, rare, 0], np.uint16)})
    assert summary.estimated == 3
    assert summary.mean == 3.0
    assert summary.statistics()["lai"]["minimum"] == 2.0
    assert summary.lines("pixels")[0] == "3 of 3 pixels estimated, mean lai 3"
