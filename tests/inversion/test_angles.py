"""Angles of every pixel from coarse grids, against the geometry that the grids were made from."""

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS

from inversion.quality import Quality
from inversion.readers.angles import Outlines, angles, azimuth_of, nodes, vector, zenith_of
from inversion.readers.rasters import Grid

GRID = Grid(CRS.from_epsg(32632), Affine(200.0, 0, 600000.0, 0, -200.0, 5300040.0), 549, 549)
NODE = np.arange(23) * 5000.0


def truth(x, detector):
    """View of a detector: 12 columns of nodes wide, zenith rising from its middle."""
    middle = 20000.0 + 45000.0 * detector
    zenith = 2.0 + 6.0 * np.abs(x - middle + 60000.0) / 120000.0
    azimuth = 100.0 if detector % 2 else 290.0
    return zenith, np.full_like(zenith, azimuth)


def grids(overlap=2):
    view = {}
    for detector in range(3):
        x = np.broadcast_to(NODE, (23, 23))
        zenith, azimuth = truth(x, detector)
        left, right = 8 * detector - overlap, 8 * detector + 8 + overlap
        hidden = (np.arange(23) < left) | (np.arange(23) > right)
        view[detector + 1] = [
            (np.where(hidden, np.nan, zenith), np.where(hidden, np.nan, azimuth))
        ]
    return view


def sun(zenith=40.0, azimuth=150.0):
    return np.full((23, 23), zenith), np.full((23, 23), azimuth)


def outlines():
    polygons = []
    for detector in range(3):
        left, right = 600000.0 + 40000.0 * detector, 600000.0 + 40000.0 * (detector + 1)
        corners = ((left, 5300040.0), (right, 5300040.0), (right, 5100000.0), (left, 5100000.0))
        polygons.append((corners, detector + 1))
    return Outlines(tuple(polygons))


def test_g1_gaps_and_overlaps_stay_within_half_a_degree():
    named, bits = angles(nodes(sun(), grids(overlap=0)), GRID, 128, outlines())
    x = (np.arange(549) + 0.5) * 200.0
    detector = np.minimum(x // 40000.0, 2).astype(int)
    expected = np.array(
        [truth(np.array([at]), d)[0][0] for at, d in zip(x, detector, strict=True)]
    )
    found = named["view_zenith_deg"].compute()
    assert np.abs(found - expected).max() < 0.5
    azimuth = np.where(detector % 2, 50.0, 140.0)
    assert np.abs(named["relative_azimuth_deg"].compute() - azimuth).max() < 0.5
    assert not bits.compute().any()


def test_g1_a_missing_detector_takes_the_mean_and_bit_10():
    view = grids()
    del view[2]
    named, bits = angles(nodes(sun(), view), GRID, 128, outlines())
    flagged = bits.compute() == Quality.ANGLE_FILLED_IN
    assert flagged[:, 205:395].all()
    assert not flagged[:, :195].any()
    assert np.isfinite(named["view_zenith_deg"].compute()).all()


def test_without_footprints_only_the_overlap_is_flagged():
    _, bits = angles(nodes(sun(), grids(overlap=1)), GRID, 128)
    share = (bits.compute() > 0).mean(0)
    assert share[100] == share[300] == 0
    assert share[200] == 1


def test_without_any_view_the_angle_is_unknown_and_the_sun_known():
    named, _ = angles(nodes(sun(), {1: [(np.full((23, 23), np.nan),) * 2]}), GRID, 128)
    assert np.isnan(named["view_zenith_deg"].compute()).all()
    np.testing.assert_allclose(named["sun_zenith_deg"].compute(), 40.0, atol=1e-4)


def test_g2_azimuths_359_and_1_meet_at_0():
    azimuth = np.where(np.arange(23)[None, :] % 2, 359.0, 1.0) * np.ones((23, 1))
    view = {1: [(np.full((23, 23), 5.0), np.zeros((23, 23)))]}
    named, _ = angles(nodes((np.full((23, 23), 40.0), azimuth), view), GRID, 256)
    assert named["relative_azimuth_deg"].compute().max() <= 1.0 + 1e-3


@pytest.mark.parametrize("zenith", [0.0, 5.0, 40.0, 89.0])
@pytest.mark.parametrize("azimuth", [0.5, 90.0, 180.0, 359.5])
def test_vectors_hold_their_angles(zenith, azimuth):
    found = vector(np.array(zenith), np.array(azimuth))
    np.testing.assert_allclose(zenith_of(found), zenith, atol=1e-9)
    if zenith:
        np.testing.assert_allclose(azimuth_of(found), azimuth, atol=1e-9)
