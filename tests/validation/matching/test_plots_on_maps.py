"""Plots find their pixels: places, weights, dates and the reasons why there is nothing."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine

from physvae.errors import InputError, UsageError
from validation import evaluate
from validation.matching import pixels, timing
from validation.matching.map_files import day_in, open_product
from validation.matching.plots_on_maps import Rules, match_maps
from validation.report import plots_series
from validation.report.plot_time_series import courses

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_200_000)
VALUES = np.arange(20.0).reshape(4, 5)
"""Value r·5 + c at row r and column c."""


def geotiff(path, values=VALUES, quality=None, sd=0.5):
    """A map as `physvae retrieve` writes it: lai, lai_sd and the ends of its interval."""
    layers = {"lai": values, "lai_sd": values * 0 + sd}
    layers |= {"lai_p025": values - 1, "lai_p975": values + 1}
    profile = {"driver": "GTiff", "height": 4, "width": 5, "crs": "EPSG:32632", "nodata": np.nan}
    with rasterio.open(
        path, "w", count=4, dtype="float32", transform=TRANSFORM, **profile
    ) as image:
        for index, (name, layer) in enumerate(layers.items(), start=1):
            image.write(layer.astype("float32"), index)
            image.set_band_description(index, name)
    if quality is not None:
        beside = path.with_name(f"{path.stem}_quality.tif")
        profile["nodata"] = None
        with rasterio.open(
            beside, "w", count=1, dtype="uint16", transform=TRANSFORM, **profile
        ) as image:
            image.write(quality.astype("uint16"), 1)
            image.set_band_description(1, "quality")
    return path


def plots(xy, **columns) -> pd.DataFrame:
    """A field table with plots at coordinates of the map."""
    import geopandas

    points = geopandas.GeoSeries.from_xy(*np.transpose(xy), crs="EPSG:32632").to_crs("EPSG:4326")
    table = {"plot": [str(i) for i in range(len(xy))], "lat": points.y, "lon": points.x}
    return pd.DataFrame(table | {"lai": 1.0, "field_date": "2022-05-15"} | columns)


def centre(row: int, column: int) -> tuple[float, float]:
    return TRANSFORM @ (column + 0.5, row + 0.5)


def test_a_point_takes_its_pixel_and_a_window_its_neighbours(tmp_path):
    products = open_product(geotiff(tmp_path / "lai_20220514.tif"), "lai")
    field = plots([centre(1, 2), centre(2, 3)])
    one = match_maps(field, products, "lai", Rules())
    assert one.estimates["lai"].tolist() == [7.0, 13.0]
    assert one.estimates["lai_sd"].tolist() == [0.5, 0.5]
    assert one.estimates["lai_p975"].tolist() == [8.0, 14.0]
    assert one.estimates["delta_days"].tolist() == [-1, -1]
    assert one.estimates[["map_row", "map_column"]].to_numpy().tolist() == [[1, 2], [2, 3]]
    nine = match_maps(field, products, "lai", Rules(window=3)).estimates
    assert nine["lai"].tolist() == [7.0, 13.0]  # a plane: the mean is the middle
    assert nine["pixels"].tolist() == [9, 9]
    around = VALUES[0:3, 1:4]
    assert nine["cv"][0] == pytest.approx(around.std() / 7.0, abs=1e-9)


def test_a_polygon_is_weighed_by_area():
    """Half of pixel (1, 1), all of (1, 2): (6 · 0.5 + 7) / 1.5."""
    corners = [TRANSFORM @ p for p in ((1.5, 1), (3, 1), (3, 2), (1.5, 2))]
    where = pixels.window((4, 5), TRANSFORM, shapely.Polygon(corners))
    assert where is not None
    assert where.weights == pytest.approx(np.array([[0.5, 1.0]]), abs=1e-9)
    found = pixels.sample({"": VALUES[where.rows, where.columns]}, where)
    assert found.values[""] == pytest.approx(10 / 1.5, abs=1e-9)
    variance = (0.5 * (6 - 10 / 1.5) ** 2 + (7 - 10 / 1.5) ** 2) / 1.5
    assert found.cv == pytest.approx(np.sqrt(variance) / (10 / 1.5), abs=1e-9)


def test_every_row_without_an_estimate_has_its_reason(tmp_path):
    values = VALUES + 1.0
    values[3, 4] = np.nan
    quality = np.zeros((4, 5))
    quality[2, 2] = 1 << 8
    products = open_product(geotiff(tmp_path / "lai_20220514.tif", values, quality), "lai")
    field = plots(
        [centre(1, 1), centre(9, 9), centre(0, 0), centre(3, 4), centre(2, 2), centre(1, 3)],
        field_date=["2022-05-15"] * 5 + ["2022-07-15"],
    )
    found = match_maps(field, products, "lai", Rules())
    assert found.reasons == {
        2: "outside the map",
        4: "no data in the map",
        5: "no data in the map",
        6: "no map within 5 days",
    }
    wide = match_maps(field, products, "lai", Rules(window=3, most_cv=0.3))
    assert wide.reasons[3].startswith("at the map's edge (44% of the plot")
    assert wide.reasons[1] == "uneven plot (coefficient of variation above 0.3)"
    nowhere = plots([centre(9, 9)])
    with pytest.raises(InputError, match=r"expected plots on the map .*, got none on it"):
        match_maps(nowhere, products, "lai", Rules())
    with pytest.raises(InputError, match="expected lat and lon, or x and y"):
        match_maps(nowhere[["lai"]], products, "lai", Rules())


def test_the_nearest_map_or_the_two_around(tmp_path):
    before = geotiff(tmp_path / "lai_20220510.tif", VALUES * 0 + 2.0)
    after = geotiff(tmp_path / "lai_20220520.tif", VALUES * 0 + 4.0)
    products = [p for path in (before, after) for p in open_product(path, "lai")]
    field = plots([centre(1, 1)], field_date="2022-05-14")
    near = match_maps(field, products, "lai", Rules(most_days=10)).estimates
    assert (near["lai"][0], near["image_date"][0]) == (2.0, "2022-05-10")
    both = match_maps(field, products, "lai", Rules(most_days=10, time="interpolate")).estimates
    assert both["lai"][0] == pytest.approx(2.0 * 0.6 + 4.0 * 0.4, abs=1e-6)


def test_interpolation_weighs_by_the_precision_of_the_maps(tmp_path):
    """Half way between the dates, sd 0.5 before and 1 after: 0.8 and 0.2 of the whole."""
    products = []
    for day, value, sd in (("20220510", 2.0, 0.5), ("20220520", 4.0, 1.0)):
        path = geotiff(tmp_path / f"lai_{day}.tif", VALUES * 0 + value, sd=sd)
        products += open_product(path, "lai")
    field = plots([centre(1, 1)], field_date="2022-05-15")
    found = match_maps(field, products, "lai", Rules(most_days=10, time="interpolate")).estimates
    assert found["lai"][0] == pytest.approx(0.8 * 2 + 0.2 * 4, abs=1e-6)
    assert found["lai_sd"][0] == pytest.approx(0.8 * 0.5 + 0.2 * 1.0, abs=1e-6)
    assert found["map"][0] == "lai_20220510.tif + lai_20220520.tif"


def test_a_plot_is_followed_over_all_maps_and_drawn(tmp_path):
    """Five maps, two field dates: every map is in the figure, near the field's dates or not."""
    days = [f"20220{month}14" for month in range(3, 8)]
    products = []
    for number, day in enumerate(days):
        path = geotiff(tmp_path / f"lai_{day}.tif", VALUES * 0 + number)
        products += open_product(path, "lai")
    dates = ["2022-05-15", "2022-06-15", "2022-06-15"]
    field = plots([centre(1, 1), centre(1, 1), centre(9, 9)], field_date=dates)
    field["plot"], field["site"] = ["a", "a", "off"], "s"
    found = match_maps(field, products, "lai", Rules())
    course = courses(field, products, set(found.reasons), Rules())
    assert course["plot"].unique().tolist() == ["a"]
    assert course["estimate"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert course["image_date"].tolist() == [f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in days]
    assert course["estimate_p975"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    report = evaluate(found.estimates, field, reasons=found.reasons, courses=course)
    names = {path.name for path in report.write(tmp_path / "report")}
    assert {"courses.csv", "lai_series.png"} <= names
    figure = plots_series.series(report.metrics, report.pairs, course, [("s", "a")])
    points = {line.get_label(): len(line.get_xdata()) for line in figure.axes[0].lines}
    assert points["every map"] == 5
    assert points["compared"] == 2
    low, high = figure.axes[0].get_ylim()
    assert low <= 0
    assert high >= course["estimate_p975"].max()
    assert courses(field, products[:1], set(), Rules()).empty


def test_the_more_precise_of_two_dates_weighs_more():
    """w ∝ (1 − t)/sd²: 0.5/0.25 and 0.5/1 are 2 and 0.5, 0.8 and 0.2 of the whole."""
    values = [{"": 2.0, "_sd": 0.5, "quality": 1.0}, {"": 4.0, "_sd": 1.0, "quality": 4.0}]
    found = timing.combine(values, 0.5)
    assert found[""] == pytest.approx(0.8 * 2 + 0.2 * 4, abs=1e-12)
    assert found["_sd"] == pytest.approx(0.8 * 0.5 + 0.2 * 1.0, abs=1e-12)
    assert found["quality"] == 5.0


def test_a_map_of_the_day_itself_needs_no_other():
    days = [date(2022, 5, 1), date(2022, 5, 10), date(2022, 5, 20)]
    assert timing.choose(days, days[1], most=30, method="interpolate") == ((1,), 0.0)
    assert timing.choose(days, None, most=30) is None
    assert timing.choose([None], date(2022, 5, 1), most=0) == ((0,), 0.0)


def test_another_products_netcdf_with_several_dates(tmp_path):
    data = xr.Dataset(
        {"LAI": (("time", "lat", "lon"), np.stack([VALUES, VALUES + 10]))},
        {
            "time": pd.to_datetime(["2022-05-14", "2022-06-14"]),
            "lat": ("lat", 47 - 0.01 * np.arange(4), {"units": "degrees_north"}),
            "lon": ("lon", 9 + 0.01 * np.arange(5), {"units": "degrees_east"}),
        },
    )
    data.assign(other=data["LAI"] * 0).to_netcdf(tmp_path / "product.nc")
    with pytest.raises(InputError, match=r"expected a layer cab, got LAI, other \(give --map-var"):
        open_product(tmp_path / "product.nc", "cab")
    products = open_product(tmp_path / "product.nc", "lai", variable="LAI")
    assert [p.day for p in products] == [date(2022, 5, 14), date(2022, 6, 14)]
    field = pd.DataFrame({"lat": [46.98], "lon": [9.03], "field_date": ["2022-06-12"]})
    found = match_maps(field, products, "lai", Rules()).estimates
    assert found["lai"].tolist() == [VALUES[2, 3] + 10]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("map.tif", b"no", "expected a map"),
        ("map.nc", b"no", "expected a map"),
        ("map.vrt", b"<VRTDataset/>", "got a VRT"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        open_product(tmp_path / name, "lai")
    with pytest.raises(InputError, match="no such file"):
        open_product(tmp_path / "absent.tif", "lai")


def test_s5_a_map_that_points_at_another_is_refused_under_any_name(tmp_path):
    """GDAL would follow the VRT to the map that is there; so would the file of quality."""
    there = tmp_path / "there.tif"
    geotiff(there)
    vrt = (
        '<VRTDataset rasterXSize="5" rasterYSize="4"><VRTRasterBand dataType="Float32" band="1">'
        f"<SimpleSource><SourceFilename>{there}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "map.tif").write_text(vrt)
    with pytest.raises(InputError, match=r"map\.tif: expected a map"):
        open_product(tmp_path / "map.tif", "lai")
    (tmp_path / "there_quality.tif").write_text(vrt)
    with pytest.raises(InputError, match=r"there_quality\.tif: expected a map"):
        open_product(there, "lai")


def test_s10_a_map_whose_codec_runs_code_is_refused_unread(tmp_path):
    xr.Dataset({"lai": (("y", "x"), VALUES)}).to_zarr(tmp_path / "map.zarr", zarr_format=2)
    document = tmp_path / "map.zarr" / "lai" / ".zarray"
    about = json.loads(document.read_text()) | {"compressor": {"id": "pickle", "protocol": 4}}
    document.write_text(json.dumps(about))
    with pytest.raises(InputError, match="found 'pickle', which is not run"):
        open_product(tmp_path / "map.zarr", "lai")


def test_f12_a_damaged_netcdf_is_looked_at_by_a_child_first(tmp_path, monkeypatch):
    def lost(path):
        raise InputError(f"{path}: expected a readable NetCDF")

    xr.Dataset({"lai": (("y", "x"), VALUES)}).to_netcdf(tmp_path / "map.nc")
    monkeypatch.setattr("validation.matching.map_files.probe", lost)
    with pytest.raises(InputError, match=r"map\.nc: expected a readable NetCDF"):
        open_product(tmp_path / "map.nc", "lai")


@pytest.mark.parametrize("rules", [{"window": 2}, {"window": 0}, {"time": "mean"}])
def test_rules_that_make_no_sense_are_refused(rules):
    with pytest.raises(UsageError, match="expected"):
        Rules(**rules)


def test_a_date_is_found_in_a_file_name():
    assert day_in("S2A_MSIL2A_20220514T102601_lai.tif") == date(2022, 5, 14)
    assert day_in("lai_2022-05-14.tif") == date(2022, 5, 14)
    assert day_in("lai.tif") is None
