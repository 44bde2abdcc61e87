"""Vector files get in by what they hold; none of them points at another file or the network."""

import json
import sqlite3

import geopandas
import pytest

from inversion.readers.vector import read_vector
from physvae.errors import InputError

POINTS = geopandas.GeoDataFrame(
    {"plot": ["a", "b"]}, geometry=geopandas.points_from_xy([9.0, 9.1], [47.0, 47.1]), crs=4326
)
VRT = "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer>"
KML = (
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}<Placemark><name>a</name><Point>'
    "<coordinates>9.0,47.0,0</coordinates></Point></Placemark></Document></kml>"
)


@pytest.mark.parametrize("kind", ["gpkg", "shp", "fgb", "geojson", "parquet", "csv", "kml"])
def test_every_allowed_kind_gives_its_points(tmp_path, kind):
    path = tmp_path / f"plots.{kind}"
    if kind == "parquet":
        POINTS.to_parquet(path)
    elif kind == "csv":
        path.write_text("plot;lon;lat\na;9,0;47,0\nb;9,1;47,1\n")
    elif kind == "kml":
        path.write_text(KML.format(""))
    else:
        POINTS.to_file(path)
    frame = read_vector(path)
    assert frame.crs.to_epsg() == 4326 or frame.crs.to_string() == "OGC:CRS84"
    assert frame.geometry.x.min() == pytest.approx(9.0)
    assert frame.geometry.y.min() == pytest.approx(47.0)


def test_an_attribute_beyond_64_bits_is_a_text(tmp_path):
    path = tmp_path / "plots.geojson"
    place = {"type": "Point", "coordinates": [9.0, 47.0]}
    feature = {"type": "Feature", "properties": {"a": 10**30, "b": 3}, "geometry": place}
    path.write_text(json.dumps(feature))
    frame = read_vector(path)
    assert frame["a"].tolist() == [str(10**30)]
    assert frame["b"].tolist() == [3]


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "kml", "csv", "json"])
@pytest.mark.parametrize(
    "content",
    [
        VRT.format("/vsicurl/http://127.0.0.1:9/x.geojson"),
        VRT.format("/etc/passwd"),
        "<OGRWFSDataSource><URL>http://127.0.0.1:9/wfs</URL></OGRWFSDataSource>",
        '{"type": "FeatureCollection", "x": "' + VRT.format("/etc/passwd") + '"}',
        '{"type": "Topology", "objects": {}}',
        "WFS:http://127.0.0.1:9/wfs",
    ],
)
def test_a_file_that_points_elsewhere_is_refused_whatever_its_name(tmp_path, suffix, content):
    path = tmp_path / f"plots.{suffix}"
    path.write_text(content)
    with pytest.raises(InputError, match=r"plots\.\w+: expected") as raised:
        read_vector(path)
    assert "127.0.0.1" not in str(raised.value)


def test_a_geopackage_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "plots.gpkg"
    POINTS.to_file(path)
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW spy AS SELECT ogr_geocode('Paris') AS x")
    database.close()
    with pytest.raises(InputError, match="found a view that runs other code"):
        read_vector(path)
    with sqlite3.connect(tmp_path / "other.gpkg") as database:
        database.execute("CREATE TABLE x (y)")
    database.close()
    with pytest.raises(InputError, match="found another SQLite database"):
        read_vector(tmp_path / "other.gpkg")


def test_entities_of_kml_are_refused(tmp_path):
    path = tmp_path / "plots.kml"
    path.write_text('<!DOCTYPE x [<!ENTITY a "b">]>' + KML.format("&a;"))
    with pytest.raises(InputError, match="expected KML, found no plain XML"):
        read_vector(path)


def test_a_geojson_without_attributes_or_with_nested_ones(tmp_path):
    path = tmp_path / "area.geojson"
    path.write_text('{"type": "Point", "coordinates": [9.0, 47.0]}')
    assert len(read_vector(path)) == 1
    feature = {"type": "Feature", "properties": {"x": {"y": 1}}}
    feature["geometry"] = {"type": "Point", "coordinates": [9.0, 47.0]}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_vector(path)["x"][0] == '{"y": 1}'
