"""A map's STAC item lies where the map lies, also where the longitudes meet."""

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rioxarray  # noqa: F401 registers the accessor `rio`
import xarray as xr
from shapely.geometry import box, shape

from inversion.writers.style import item

CROSSING = {
    "zone 1": ("EPSG:32601", 200_000, 5_100_000, 110_000),
    "Mercator": ("EPSG:3857", 20_030_000, 1_000_000, 20_000),
    "degrees over 180": ("EPSG:4326", 179.0, 10.0, 2.0),
    "degrees below -180": ("EPSG:4326", -181.0, 10.0, 2.0),
}
WITHIN = {
    "zone 32": ("EPSG:32632", 600_000, 5_100_000, 110_000, 10.3),
    "zone 60, all beyond 180": ("EPSG:32660", 770_000, 5_100_000, 90_000, -179.5),
    "degrees from 0 to 360": ("EPSG:4326", 200.0, 10.0, 1.0, -160.0),
    "up to 180": ("EPSG:4326", 178.0, 10.0, 2.0, 178.0),
}


def outlined(crs, left, bottom, side) -> Any:
    centres = (np.arange(10) + 0.5) * side / 10
    template = xr.Dataset(
        {"lai": (("y", "x"), np.zeros((10, 10), np.float32))},
        coords={"y": bottom + side - centres, "x": left + centres},
        attrs={"acquired": "2022-06-18T10:25:59Z"},
    ).rio.write_crs(crs)
    about = item(Path("out.tif"), template, {}, "image/tiff")
    assert about.geometry is not None
    assert about.bbox is not None
    return about


def core(about: pystac.Item) -> pystac.Item:
    """The item without extensions, whose schemas lie on the network."""
    about.stac_extensions = []
    about.set_self_href("/tmp/out.stac.json")
    return about


@pytest.mark.parametrize("name", CROSSING)
def test_a_map_across_180_degrees_is_two_polygons(name):
    about = outlined(*CROSSING[name])
    assert about.geometry["type"] == "MultiPolygon"
    west, south, east, north = about.bbox
    assert 178 < west <= 180
    assert -180 <= east < -178
    outline = shape(about.geometry)
    assert outline.is_valid
    assert outline.bounds == (-180.0, south, 180.0, north)
    assert outline.area == pytest.approx((360 - west + east) * (north - south))
    core(about).validate()


@pytest.mark.parametrize("name", WITHIN)
def test_a_map_on_one_side_is_one_polygon(name):
    *place, first = WITHIN[name]
    about = outlined(*place)
    assert about.geometry["type"] == "Polygon"
    west, south, east, north = about.bbox
    assert west == pytest.approx(first, abs=0.1)
    assert west < east <= 180
    assert shape(about.geometry).equals(box(west, south, east, north))


def test_a_map_of_the_whole_earth_is_one_polygon():
    about = outlined("EPSG:4326", 0.0, -90.0, 360.0)
    assert about.bbox[::2] == [-180.0, 180.0]
    assert about.geometry["type"] == "Polygon"
