"""The kernel: what reaches the model, what does not, and that cutting changes nothing."""

import numpy as np
import pytest

from inversion.kernel import check_variables, estimate_names, pick_device, retrieve_block
from inversion.quality import Quality
from physvae.errors import UsageError


@pytest.fixture
def block():
    rng = np.random.default_rng(3)
    reflectance = rng.uniform(0.02, 0.45, (7, 9, 10)).astype(np.float32)
    angles = np.broadcast_to([30.0, 5.0, 100.0], (7, 9, 3))
    return reflectance, angles


def test_shapes_follow_the_pixels(stand_in, block):
    estimates, quality = retrieve_block(stand_in, *block, variables=("lai", "cab"))
    assert estimates.shape == (7, 9, 8)
    assert estimates.dtype == np.float32
    assert quality.shape == (7, 9)
    assert quality.dtype == np.uint16
    np.testing.assert_allclose(estimates[..., 0], 10 * block[0].mean(-1), rtol=1e-5)


def test_batches_change_nothing(stand_in, block):
    whole = retrieve_block(stand_in, *block)
    parts = retrieve_block(stand_in, *block, batch=5)
    np.testing.assert_array_equal(whole.estimates, parts.estimates)
    np.testing.assert_array_equal(whole.quality, parts.quality)


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf, 1e30, -9999.0, -0.9999])
def test_a_fault_in_one_band_touches_that_pixel_only(stand_in, block, fault):
    reflectance, angles = block
    clean = retrieve_block(stand_in, reflectance, angles)
    faulty = reflectance.copy()
    faulty[2, 3, 4] = fault
    result = retrieve_block(stand_in, faulty, angles)
    others = np.ones((7, 9), bool)
    others[2, 3] = False
    np.testing.assert_array_equal(result.estimates[others], clean.estimates[others])
    np.testing.assert_array_equal(result.quality[others], clean.quality[others])
    rest = np.delete(reflectance[2, 3], 4).mean()
    np.testing.assert_allclose(result.estimates[2, 3, 0], 10 * rest, rtol=1e-5)


def test_the_model_sees_no_empty_and_no_masked_pixel(stand_in, block):
    reflectance = block[0].copy()
    reflectance[0] = np.nan
    reflectance[1, 0] = 0.0
    masked = np.zeros((7, 9), bool)
    masked[2] = True
    estimates, quality = retrieve_block(stand_in, reflectance, block[1], masked=masked)
    assert stand_in.pixels == 63 - 9 - 1 - 9
    assert np.isnan(estimates[:1]).all()
    assert np.isnan(estimates[1, 0]).all()
    assert np.isnan(estimates[2]).all()
    assert (quality[0] == Quality.NO_DATA).all()
    assert quality[1, 0] == Quality.NO_DATA
    assert (quality[2] == Quality.MASKED_BY_SCENE_CLASS).all()


FILLINGS = (-9999.0, -0.9999, -3.2768, 6.5535, -3.4028235e38, 2147483647.0, -32768.0)


@pytest.mark.parametrize("filling", FILLINGS)
def test_what_cannot_be_reflectance_in_any_band_is_no_data(stand_in, block, filling):
    reflectance = block[0].copy()
    reflectance[0] = filling
    reflectance[1, 0, :5], reflectance[1, 0, 5:] = np.nan, filling
    estimates, quality = retrieve_block(stand_in, reflectance, block[1])
    empty = np.zeros((7, 9), bool)
    empty[0], empty[1, 0] = True, True
    np.testing.assert_array_equal(quality == Quality.NO_DATA, empty)
    np.testing.assert_array_equal(np.isnan(estimates).all(-1), empty)
    assert stand_in.pixels == 63 - 9 - 1


def test_slightly_negative_pixels_are_estimated(stand_in):
    _, quality = retrieve_block(stand_in, np.full((2, 10), -0.05), np.full((2, 3), 20.0))
    assert (quality & Quality.NEGATIVE_REFLECTANCE).all()
    assert stand_in.pixels == 2


def test_a_block_without_data_never_calls_the_model(stand_in, block):
    _, quality = retrieve_block(stand_in, block[0] * np.nan, block[1])
    assert stand_in.pixels == 0
    assert (quality == Quality.NO_DATA).all()


def test_angles_reach_the_model_folded_or_missing(stand_in, block):
    angles = np.array([[95.0, 5.0, 359.0], [30.0, np.nan, -90.0]])
    retrieve_block(stand_in, block[0][0, :2], angles)
    seen = stand_in.seen[0][1].numpy()
    np.testing.assert_allclose(seen, [[np.nan, 5, 1], [30, np.nan, 90]], atol=1e-4)


def test_bits_of_the_posterior_arrive(stand_in):
    reflectance = np.full((3, 10), 0.1, np.float32)
    reflectance[0, 9], reflectance[1, 8] = 0.6, 0.6
    reflectance[2, 1:] = np.nan
    quality = retrieve_block(stand_in, reflectance, np.full((3, 3), 20.0)).quality
    assert quality.tolist() == [
        Quality.OUTSIDE_TRAINING_DOMAIN,
        Quality.SPECTRUM_MISFIT,
        Quality.AS_WIDE_AS_PRIOR,
    ]


def test_an_estimate_over_its_range_is_clipped_and_said(stand_in):
    reflectance = np.full((2, 10), 1.0, np.float32) * [[1.005], [1.02]]
    estimates, quality = retrieve_block(stand_in, reflectance, np.full((2, 3), 20.0))
    np.testing.assert_allclose(estimates[:, 0], [10.0, 10.2], rtol=1e-5)
    assert quality[0] & Quality.CLIPPED_TO_MAXIMUM
    assert quality[1] & Quality.TOO_HIGH


def test_names():
    assert estimate_names(["lai"]) == ["lai", "lai_sd", "lai_p025", "lai_p975"]


def test_an_unknown_variable_is_told_with_those_there_are(stand_in):
    with pytest.raises(UsageError, match=r"expected some of lai, cab, .*got 'height'"):
        check_variables(["lai", "height"], stand_in)
    with pytest.raises(UsageError, match="got none"):
        check_variables([], stand_in)


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        pick_device("tpu")
    assert pick_device("cpu") == "cpu"
