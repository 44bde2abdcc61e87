"""The demonstration on a small landscape: the scene is what it says, the table counts right."""

import numpy as np
import pytest
import torch

import demo
import landscape
import quicklook
import rtm
from inversion.quality import Quality
from inversion.readers import Declaration, geotiff

SHAPE = (40, 48)


@pytest.fixture(scope="module")
def scene() -> landscape.Scene:
    return landscape.make_scene(shape=SHAPE)


def test_the_same_seed_gives_the_same_scene(scene):
    again = landscape.make_scene(shape=SHAPE)
    np.testing.assert_array_equal(again.reflectance, scene.reflectance)
    other = landscape.make_scene(shape=SHAPE, seed=8)
    assert not np.array_equal(other.truth["lai"], scene.truth["lai"], equal_nan=True)


def test_the_truth_lies_within_the_ranges_of_the_tables(scene):
    for name, image in scene.truth.items():
        parameter = (rtm.TRAITS | rtm.PRODUCTS)[name]
        assert np.nanmin(image) >= parameter.low
        assert np.nanmax(image) <= parameter.high


def test_no_data_has_no_truth_and_water_is_seen_without_one(scene):
    unseen = np.isnan(scene.reflectance).any(axis=0)
    unknown = np.isnan(scene.truth["lai"])
    assert unseen.any()
    assert (unknown & ~unseen).any()
    assert not (unseen & ~unknown).any()
    assert np.isnan(scene.reflectance[:, unseen]).all()


def test_reflectance_is_that_of_prosail_within_the_stated_errors(scene):
    """A pixel's error has a relative and an absolute part; four standard deviations hold it."""
    rng = np.random.default_rng(7)
    parcel, kind = landscape.lay_out(rng, SHAPE)
    traits = landscape.grow(rng, parcel, kind)
    model = rtm.Prosail(sensor="sentinel-2a", crowns=True, products=False)
    y, x = np.argwhere(np.isfinite(scene.truth["lai"]))[17]
    theta = model.space.stack(**{name: float(image[y, x]) for name, image in traits.items()})
    clean = model(theta, torch.tensor(list(landscape.ANGLES.values()), dtype=theta.dtype)).rso
    clean = clean[[model.sensor.bands.index(band) for band in landscape.BANDS]].numpy()
    relative = np.hypot(landscape.NOISE_COMMON, landscape.NOISE_BAND)
    spread = np.hypot(relative * clean, landscape.NOISE_FLOOR)
    assert np.all(np.abs(scene.reflectance[:, y, x] - clean) < 4 * spread)


def test_the_file_says_all_that_a_reader_needs(tmp_path):
    scene = demo.simulated(tmp_path, seed=7, shape=SHAPE)
    found = geotiff.read(tmp_path / "scene.tif", Declaration(), bands=landscape.BANDS)
    stored = found["reflectance"].to_numpy()
    np.testing.assert_allclose(stored, scene.reflectance, atol=0.51 * demo.SCALE)
    assert found.rio.crs.to_epsg() == 32632


def test_the_table_scores_a_perfect_retrieval_as_perfect(scene):
    retrieved = {}
    for name, image in scene.truth.items():
        retrieved |= {name: image, f"{name}_p025": image - 1, f"{name}_p975": image + 1}
    land = np.isfinite(scene.truth["lai"])
    row = demo.figures("lai", scene.truth, retrieved, land)
    assert row[0] == f"{land.sum():,}"
    assert row[2:] == ["0.00", "0.00", "1.00", "100.0%", "2.00"]


def test_the_picture_is_drawn(scene, tmp_path):
    lai = np.nan_to_num(scene.truth["lai"])
    unseen = np.isnan(scene.reflectance[0])
    quality = np.where(unseen, Quality.NO_DATA.value, 0).astype(np.uint16)
    retrieved = {"lai": lai, "lai_sd": 0.1 * lai, "lai_p025": 0.8 * lai, "lai_p975": 1.2 * lai}
    quicklook.draw(
        tmp_path / "quicklook.png",
        reflectance=scene.reflectance[:3],
        truth=scene.truth["lai"],
        retrieved=retrieved,
        quality=quality,
        scored=np.isfinite(scene.truth["lai"]),
        pixel=landscape.PIXEL,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["quicklook.png"]


def test_what_must_not_be_used_is_hatched_and_has_no_value_in_the_picture():
    """Bits 5 and 6 together, as in summaries and composites; one of them alone is shown."""
    bits = [0, Quality.OUTSIDE_TRAINING_DOMAIN, Quality.SPECTRUM_MISFIT]
    bits += [bits[1] | bits[2], Quality.MASKED_BY_SCENE_CLASS, Quality.NO_DATA]
    quality = np.array([bits], np.uint16)
    lai = np.array([[1.0, 2.0, 3.0, 0.0, 0.0, np.nan]])
    scene = {"reflectance": np.full((3, 1, 6), 0.1), "truth": np.ones((1, 6)), "pixel": 20.0}
    retrieved = dict.fromkeys(("lai", "lai_sd", "lai_p025", "lai_p975"), lai)
    figure = quicklook.picture(
        **scene, retrieved=retrieved, quality=quality, scored=np.zeros((1, 6), bool)
    )
    (_, _, shown), (flags, _, spread) = np.reshape(figure.axes[:6], (2, 3))
    for axes in (shown, spread):
        hatch, values = (image.get_array().filled(np.nan)[0] for image in axes.images)
        np.testing.assert_array_equal(np.isnan(values), [False] * 3 + [True] * 3)
        np.testing.assert_array_equal(np.isfinite(hatch), [False] * 3 + [True] * 2 + [False])
        assert axes.get_legend().texts[0].get_text() == "not to be used (33.3 %)"
    labels = [text.get_text() for text in flags.get_legend().texts]
    assert {"no issues (16.7 %)", "unlike the training (16.7 %)"} < set(labels)
