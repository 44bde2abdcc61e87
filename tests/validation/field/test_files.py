"""Field tables of every kind come in alike; what cannot be used is told row by row."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError, UsageError
from validation.field import units
from validation.field.dates import parse_date
from validation.field.files import Reading, read_field

FRAME = pd.DataFrame(
    {
        "Site": ["A", "A", "B"],
        "plot_id": ["1", "2", "1"],
        "date": ["2021-06-01", "17.6.2021", "06-12"],
        "lai": [1.5, 0.0, 3.25],
        "Latitude": [47.0, 47.001, 47.002],
        "Longitude": [9.0, 9.001, 9.002],
    }
)


def written(tmp_path, kind: str):
    """The same table as a file of each kind."""
    path = tmp_path / f"field.{kind}"
    if kind == "csv":
        FRAME.to_csv(path, index=False)
    elif kind == "txt":
        FRAME.to_csv(path, index=False, sep=";", decimal=",")
    elif kind == "xlsx":
        FRAME.to_excel(path, index=False)
    elif kind == "parquet":
        FRAME.to_parquet(path)
    else:
        import geopandas

        points = geopandas.points_from_xy(FRAME["Longitude"], FRAME["Latitude"], crs="EPSG:4326")
        shapes = geopandas.GeoDataFrame(FRAME.iloc[:, :4], geometry=points)
        shapes.to_crs("EPSG:32632").to_file(path, driver={"gpkg": "GPKG", "shp": None}[kind])
    return path


@pytest.mark.parametrize("kind", ["csv", "txt", "xlsx", "parquet", "gpkg", "shp"])
def test_every_kind_of_file_gives_the_same_table(tmp_path, kind):
    rows, notes = read_field(written(tmp_path, kind))
    assert rows["lai"].tolist() == [1.5, 0.0, 3.25]
    assert rows["site"].tolist() == ["A", "A", "B"]
    assert rows["field_date"].tolist() == ["2021-06-01", "2021-06-17", "06-12"]
    assert rows["lat"].to_numpy() == pytest.approx(FRAME["Latitude"], abs=1e-6)
    assert rows["lon"].to_numpy() == pytest.approx(FRAME["Longitude"], abs=1e-6)
    assert notes == {3: ["field_date: expected a date, got 06-12 (no year)"]}


def test_columns_x_and_y_need_their_reference_system(tmp_path):
    path = tmp_path / "utm.csv"
    path.write_text("plot,lai,x,y\na,1.0,500000,5205000\nb,2.0,,\n", "utf-8")
    with pytest.raises(InputError, match=r"reference system of the columns x and y, got none"):
        read_field(path)
    with pytest.raises(UsageError, match="expected a code such as EPSG:32632, got 'moon'"):
        read_field(path, Reading(crs="moon"))
    rows = read_field(path, Reading(crs="EPSG:32632")).rows
    assert rows["lon"][0] == pytest.approx(9.0, abs=1e-9)  # the zone's central meridian
    assert rows["lat"][0] == pytest.approx(46.998, abs=0.01)
    assert np.isnan(rows["lat"][1])


def test_a_shapefile_without_prj_is_refused_until_told(tmp_path):
    path = written(tmp_path, "shp")
    path.with_suffix(".prj").unlink()
    with pytest.raises(InputError, match="expected a coordinate reference system, got none"):
        read_field(path)
    assert read_field(path, Reading(crs="EPSG:32632")).rows["lat"][0] == pytest.approx(47.0)


def test_a_decimal_comma_between_commas_must_be_declared(tmp_path):
    path = tmp_path / "field.csv"
    path.write_text('plot,lai\na,"1,5"\n', "utf-8")
    with pytest.raises(InputError, match="a decimal comma"):
        read_field(path)
    assert read_field(path, Reading(decimal=",")).rows["lai"][0] == 1.5


def test_units_columns_and_no_data_are_declared(tmp_path):
    path = tmp_path / "field.csv"
    path.write_text("plot,CCC,CCC_err\na,120,12\nb,-999,5\n", "utf-8")
    said = Reading(columns={"ccc": "CCC", "ccc_std": "CCC_err"}, units={"ccc": "µg/cm2"})
    rows, notes = read_field(path, said)
    assert rows["ccc"][0] == pytest.approx(1.2)
    assert rows["ccc_std"].to_numpy() == pytest.approx([0.12, 0.05])
    assert np.isnan(rows["ccc"][1])
    assert notes == {2: ["ccc: -999 is no data"]}
    with pytest.raises(InputError, match="expected a column LAI_x, got plot, CCC, CCC_err"):
        read_field(path, Reading(columns={"lai": "LAI_x"}))


@pytest.mark.parametrize(
    ("trait", "unit", "factor"),
    [
        ("ccc", "µg/cm²", 0.01),
        ("ccc", "g m-2", 1.0),
        ("ccc", "mg m^-2", 1e-3),
        ("cab", "g/m2", 100.0),
        ("cm", "g/m2", 1e-4),
        ("cw", "mm", 0.1),
        ("cwc", "kg m⁻²", 1000.0),
        ("fcover", "%", 0.01),
        ("lai", "m2/m2", 1.0),
    ],
)
def test_units_are_known_by_many_spellings(trait, unit, factor):
    assert units.factor(trait, unit) == pytest.approx(factor, rel=1e-12)


def test_a_unit_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="unit of cab: expected one of"):
        units.factor("cab", "%")


@pytest.mark.parametrize(
    ("cell", "form", "expected"),
    [
        ("2021-06-01", None, date(2021, 6, 1)),
        ("20210601", None, date(2021, 6, 1)),
        (20210601.0, None, date(2021, 6, 1)),
        (pd.Timestamp("2021-06-01 10:00"), None, date(2021, 6, 1)),
        ("13/04/2021", None, date(2021, 4, 13)),
        ("04/13/2021", None, date(2021, 4, 13)),
        ("03/04/2021", None, "day or month first? give --date-format"),
        ("03/04/2021", "%d/%m/%Y", date(2021, 4, 3)),
        ("12 June", None, "no year"),
        ("2021-06", None, "no day"),
        ("2021-02-30", None, "no such day"),
        ("soon", None, "expected year-month-day"),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_date_is_read_or_says_why_not(cell, form, expected):
    assert parse_date(cell, form) == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("field.xlsx", b"no", "expected an Excel file"),
        ("field.gpkg", b"no", "expected a vector file"),
        ("field.csv", b"", "expected a row of names"),
        ("field.csv", b"plot,lai\n", "expected at least one row"),
    ],
)
def test_a_broken_file_is_refused_in_a_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_field(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_field(tmp_path / f"absent-{name}")


def test_a_shapefile_keeps_ten_letters_of_a_name(tmp_path):
    """relative_azimuth_deg is relative_a there; lai_method, of ten letters, stays what it is."""
    import geopandas

    table = {"plot": ["a"], "lai": [1.5], "lai_std": [0.2], "lai_method": ["DHP"]}
    table |= {
        "sun_zenith": [30.0],
        "view_zenit": [5.0],
        "relative_a": [97.0],
        "lai_defini": ["LAI"],
    }
    points = geopandas.GeoSeries.from_xy([9.0], [47.0], crs="EPSG:4326")
    geopandas.GeoDataFrame(table, geometry=points).to_file(tmp_path / "plots.shp")
    rows = read_field(tmp_path / "plots.shp").rows
    angles = ["sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg"]
    assert rows[angles].to_numpy().tolist() == [[30.0, 5.0, 97.0]]
    assert rows["lai_definition"].tolist() == ["LAI"]
    assert rows["lai_method"].tolist() == ["DHP"]


def test_an_unknown_system_is_one_sentence_and_nothing_more(tmp_path, capfd):
    path = tmp_path / "plots.csv"
    path.write_text("plot,x,y,lai\na,500000,5200000,1\n", "utf-8")
    with pytest.raises(
        UsageError, match=r"--crs: expected a code such as EPSG:32632, got 'EPSG:9{8}'"
    ):
        read_field(path, Reading(crs="EPSG:99999999"))
    assert capfd.readouterr().err == ""
