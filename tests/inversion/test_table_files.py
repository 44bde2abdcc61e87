"""Tables on disk: what passes through, what the aliases mean, nulls and fillings."""

import geopandas
import numpy as np
import pandas as pd
import pytest

from inversion import retrieve_table, table_files
from inversion.naming import angle_name
from inversion.readers.declaration import Declaration
from inversion.table_files import retrieve_rows
from inversion.writers import table
from rtm import GEOMETRY

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SPECTRUM = (0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10)


@pytest.fixture
def plots(tmp_path):
    path = tmp_path / "plots.csv"
    row = ";".join(str(value).replace(".", ",") for value in SPECTRUM)
    head = "plot;" + ";".join(BANDS) + ";SZA;vza;raa;note"
    rows = [f"00{i};{row};30;5;100;x{i}" for i in range(7)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_blocks_change_nothing_and_columns_stay(plots, stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "ROWS", 3)
    monkeypatch.setattr(table_files, "_step", lambda file: 3)
    summary = retrieve_rows(plots, tmp_path / "out.csv", stand_in, ["lai"], Declaration())
    back = pd.read_csv(tmp_path / "out.csv", dtype={"plot": str})
    names = ["plot", *BANDS, "SZA", "vza", "raa", "note"]
    assert list(back) == [*names, "lai", "lai_sd", "lai_p025", "lai_p975", "quality"]
    assert back["plot"].tolist() == [f"00{i}" for i in range(7)]
    assert back["quality"].eq(0).all()
    assert back["lai"].to_numpy() == pytest.approx(10 * np.mean(SPECTRUM), rel=1e-5)
    assert summary.total == 7


def test_parquet_of_a_text_table_has_types_and_keeps_codes(plots, stand_in, tmp_path):
    retrieve_rows(plots, tmp_path / "out.parquet", stand_in, ["lai"], Declaration())
    back = pd.read_parquet(tmp_path / "out.parquet")
    assert back["plot"].tolist()[0] == "000"
    assert back["B2"].dtype == np.float64
    assert back["lai"].dtype == np.float32


def test_a_null_in_a_text_column_is_an_empty_cell(plots, stand_in, tmp_path):
    frame = pd.read_csv(plots, sep=";", decimal=",")
    frame["note"] = [None, "=1", *"abcde"]
    frame.to_parquet(tmp_path / "plots.parquet")
    retrieve_rows(tmp_path / "plots.parquet", tmp_path / "o.csv", stand_in, ["lai"], Declaration())
    back = pd.read_csv(tmp_path / "o.csv", keep_default_na=False)
    assert back["note"].tolist() == ["", "'=1", *"abcde"]


def test_attributes_of_points_may_be_null(tmp_path):
    shapes = geopandas.points_from_xy([9.0, 9.1], [47.0, 47.1])
    frame = pd.DataFrame({"crop": ["maize", None], "n": [1, None], "mixed": [1, "x"]})
    geopandas.GeoDataFrame(frame[["crop", "n"]], geometry=shapes, crs=4326).to_file(
        tmp_path / "p.gpkg"
    )
    read = geopandas.read_file(tmp_path / "p.gpkg").drop(columns="geometry")
    for each in (read, frame):
        table.write(each, tmp_path / "out.csv")
        back = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
        assert back["crop"].tolist() == ["maize", ""]


@pytest.mark.parametrize("parameter", GEOMETRY.values(), ids=list(GEOMETRY))
def test_every_alias_of_the_page_is_understood(parameter):
    ours = {"tts": "sun_zenith_deg", "tto": "view_zenith_deg", "psi": "relative_azimuth_deg"}
    for alias in (parameter.name, *parameter.aliases):
        assert angle_name(alias) == angle_name(alias.upper()) == ours[parameter.name]


def test_a_filling_number_is_missing_and_said(stand_in, caplog):
    frame = pd.DataFrame([dict(zip(BANDS, SPECTRUM, strict=True))] * 3)
    frame.loc[1, "B8"] = -9999
    rest = np.delete(SPECTRUM, BANDS.index("B8")).mean()
    result = retrieve_table(frame, stand_in, ["lai"])
    assert result["lai"][1] == pytest.approx(10 * rest, rel=1e-5)
    assert "1 cells hold -9999" in caplog.text


def test_columns_that_only_count_are_named_in_their_order(stand_in):
    row = {f"Band {i}": value for i, value in enumerate(SPECTRUM, 1)}
    declared = Declaration(bands=BANDS)
    result = retrieve_table(pd.DataFrame([row]), stand_in, ["lai"], declaration=declared)
    assert result["lai"][0] == pytest.approx(10 * np.mean(SPECTRUM), rel=1e-5)
