"""Parts of an image: the pixels that lie in an area, the windows around points."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
from shapely import Point, Polygon
from test_runs import command

import products

LEFT, TOP = products.CORNER


def at(column, row):
    return LEFT + 20 * column, TOP - 20 * row


@pytest.fixture
def scene(tmp_path):
    return products.safe(tmp_path / "in")


def vector(path, shapes, crs=32632, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_crs(4326 if path.suffix == ".geojson" else crs).to_file(path)
    return path


@pytest.mark.parametrize("name", ["area.gpkg", "area.geojson", "area.shp"])
def test_an_area_in_any_format_and_system(shipped, scene, tmp_path, name):
    """A triangle: the map is its box; inside are the pixels whose centres lie in it."""
    corners = [at(10, 10), at(30, 10), at(10, 30)]
    area = vector(tmp_path / name, [Polygon(corners)])
    assert command(scene, "-o", tmp_path / "out.tif", "--aoi", area, "--variables", "lai") == 0
    with rasterio.open(tmp_path / "out.tif") as file:
        lai, origin = file.read(1), (file.transform.c, file.transform.f)
    slack = 1 if name.endswith("json") else 0
    assert abs(lai.shape[0] - 20) <= slack
    shift = round((origin[0] - at(10, 0)[0]) / 20), round((at(0, 10)[1] - origin[1]) / 20)
    row, column = np.indices(lai.shape)
    inside = (row + shift[1] + 0.5) + (column + shift[0] + 0.5) < 20
    off = np.isfinite(lai) != inside
    assert off.sum() <= 20 * (1 + slack)  # centres on the line itself
    np.testing.assert_allclose(
        lai[5, 5], 10 * products.landscape().mean(0)[15 + shift[1], 15 + shift[0]], atol=2e-3
    )


def test_windows_around_points(shipped, scene, tmp_path):
    x, y = zip(at(20.5, 20.5), at(0.5, 30.5), at(500, 0), strict=True)
    points = vector(
        tmp_path / "p.gpkg", [Point(*xy) for xy in zip(x, y, strict=True)], plot=["a", "b", "c"],
        lai=[1.0, 2.0, 3.0],
    )  # fmt: skip
    goal = tmp_path / "out.csv"
    assert command(scene, "-o", goal, "--points", points, "--window", 3) == 0
    found = pd.read_csv(goal)
    assert found["plot"].tolist() == ["a", "b", "c"]
    assert found["lai_input"].tolist() == [1.0, 2.0, 3.0]
    assert found["pixels"].tolist() == [9, 6, 0]
    expected = 10 * products.landscape().mean(0)
    assert found["lai"][0] == pytest.approx(expected[19:22, 19:22].mean(), abs=2e-3)
    assert found["lai"][1] == pytest.approx(expected[29:32, 0:2].mean(), abs=2e-3)
    assert found["lai_spread"][0] == pytest.approx(expected[19:22, 19:22].std(), abs=2e-3)
    assert np.isnan(found["lai"][2])
    assert found["quality"][2] & 512


@pytest.mark.parametrize(
    ("shapes", "option", "said"),
    [
        ([Polygon([(0, 0), (9, 0), (9, 9)])], "--aoi", "expected an area that meets the image"),
        ([Point(0, 0)], "--points", "found all 1 outside"),
        ([Polygon([(0, 0), (9, 0), (9, 9)])], "--points", "expected points, found Polygon"),
        ([], "--aoi", "expected at least one geometry"),
    ],
)
def test_what_does_not_meet_the_image_is_told(
    shipped, scene, tmp_path, capsys, shapes, option, said
):
    path = vector(tmp_path / "v.gpkg", shapes, plot=["a"] * len(shapes))
    goal = tmp_path / ("out.csv" if option == "--points" else "out.tif")
    assert command(scene, "-o", goal, option, path) == 3
    assert said in capsys.readouterr().err
    assert not goal.exists()


def test_other_files_than_vectors_are_told(shipped, scene, tmp_path, capsys):
    (tmp_path / "v.gpkg").write_text("no")
    assert command(scene, "-o", tmp_path / "out.tif", "--aoi", tmp_path / "v.gpkg") == 3
    assert command(scene, "-o", tmp_path / "out.tif", "--aoi", "https://x/y.gpkg") == 3
    assert command(scene, "-o", tmp_path / "out.csv", "--points", scene, "--window", 2) == 2


def test_g5_an_area_in_the_coordinates_of_the_next_zone(shipped, scene, tmp_path):
    """Over a zone's edge fields are drawn in either zone; the map is the same but for its rim."""
    square = geopandas.GeoDataFrame(
        geometry=[Polygon([at(10, 10), at(30, 10), at(30, 30), at(10, 30)])], crs=32632
    )
    maps = []
    for zone in (32632, 32633):
        square.to_crs(zone).to_file(tmp_path / f"{zone}.gpkg")
        goal = tmp_path / f"{zone}.tif"
        area = tmp_path / f"{zone}.gpkg"
        assert command(scene, "-o", goal, "--aoi", area, "--variables", "lai") == 0
        with rasterio.open(goal) as file:
            assert file.crs.to_epsg() == 32632
            window = rasterio.windows.from_bounds(
                *at(12, 28), *at(28, 12), transform=file.transform
            )
            maps.append(file.read(1, window=window))
    assert maps[0].shape == (16, 16)
    assert np.isfinite(maps[0]).all()
    np.testing.assert_array_equal(*maps)


def test_g5_dates_of_two_zones_are_not_put_into_one_map(shipped, scene, tmp_path, capsys):
    """The same ground in the next zone is another grid: refused, and no file is left."""
    other = products.safe(tmp_path / "next", epsg="EPSG:32633")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{scene}\n{other}\n")
    assert command(listed, "-o", tmp_path / "out.tif", "--composite") == 3
    assert "expected the grid of" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()
