"""Published tables become field tables; small files are made here as the campaigns write them.

All values are invented; names of sheets and columns are those of the campaigns' documents and of
published code that reads them. The commands of benchmarks/campaigns.md run on these files.
"""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from physvae.__main__ import run
from physvae.errors import InputError, UsageError
from validation.cli import validate
from validation.field.campaigns import CAMPAIGNS, read_campaign

COMMANDS = Path(__file__).parents[3] / "benchmarks" / "campaigns.md"


def frm4veg(tmp_path, name="FRM_Veg_Barrax_20180605.xlsx"):
    """Sheet GroundData: a title row, then columns each followed by its Uncertainty."""
    path = tmp_path / name
    head = ["Plot ID", "Date (dd/mm/yyyy)", "Northing Coord. ", "Easting Coord. ", "Land Cover",
            "Method", "LAIeff_up", "LAIeff", "Uncertainty", "LAI", "Uncertainty", "CCC (g m-2)",
            "Uncertainty (g m-2)", "Comments"]  # fmt: skip
    day = pd.Timestamp("2018-06-11")
    rows = [
        ["A1", day, 39.05, -2.1, "Wheat", "DHP", 9, 2.0, 0.2, 2.5, 0.3, 1.1, 0.1, ""],
        ["A1", "11/06/2018", 39.05, -2.1, "Wheat", "LAI-2200", 9, 2, 0.2, 2.1, 0.3, 1, 0.1, ""],
        ["B2", day, 39.06, -2.2, "Alfalfa", "DHP", 9, 0.5, 0.1, 0.6, 0.1, 0.4, None, "dry"],
        ["C3", day, 39.07, -2.3, "Maize", "DHP", 9, 3.0, 0.1, 3.6, 0.1, 2.0, 0.2, ""],
    ]
    table = pd.DataFrame([["Barrax", *[None] * 13], head, *rows])
    table.to_excel(path, sheet_name="GroundData", index=False, header=False)
    return path


OUTLINE = "{0},50.5 {1},50.5 {1},50.6 {0},50.6 {0},50.5"


def belsar(tmp_path, name="BelSAR_agriculture_database.xlsx", *, outlines=True):
    """Sheets of wheat (PAI) and maize (GAI), a title row each; outlines named like the fields."""
    path = tmp_path / name
    with pd.ExcelWriter(path) as book:
        for crop, kind in (("wheat", "PAI"), ("maize", "GAI")):
            rows = [[f"{crop[0].upper()}1", pd.Timestamp("2018-06-01"), v] for v in (3.0, 4.0)]
            table = pd.DataFrame([[crop, None, None], ["Field ID", "Date", kind], *rows])
            table.to_excel(book, sheet_name=f"BelSAR_{crop}", index=False, header=False)
    if outlines:
        marks = "".join(
            f"<Placemark><name>{plot}</name><Polygon><outerBoundaryIs><LinearRing><coordinates>"
            f"{OUTLINE.format(west, west + 0.1)}</coordinates></LinearRing></outerBoundaryIs>"
            "</Polygon></Placemark>"
            for plot, west in (("W1", 4.5), ("M1", 4.7))
        )
        kml = f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{marks}</Document></kml>'
        (tmp_path / "BelSAR.kml").write_text(kml, "utf-8")
    return path


def gbov(tmp_path, name="GBOV_RM07_Bartlett.csv"):
    """RM07 V2: semicolons, -999, overstorey and understorey, a flag each."""
    path = tmp_path / name
    path.write_text(
        "GBOV_ID;Site;Network;PLOT_ID;Lat_IS;Lon_IS;TIME_IS;LAI_Miller_up;LAI_Miller_up_err;"
        "LAI_Miller_down;LAI_Miller_down_err;up_flag;down_flag\n"
        "1;Bartlett;NEON;BART_900;44.05;-71.25;20160614T000000Z;3.0;0.3;1.0;0.4;8;4\n"
        "2;Bartlett;NEON;BART_901;44.06;-71.26;20160614T000000Z;5.0;0.12;-999;-999;0;0\n"
        "3;Bartlett;NEON;BART_902;44.07;-71.27;20160614T000000Z;5.5;0.2;0.5;0.1;8;68\n"
        "4;Bartlett;NEON;BART_903;44.08;-71.28;20160614T000000Z;1.7)e-5;0.2;0.5;0.1;0;0\n",
        "utf-8",
    )
    return path


def neon(tmp_path, name="cfc_LMA.csv", *, places=True):
    """cfc_LMA: 0.9 g fresh, 0.3 g dry on 5000 mm², and one without its area."""
    path = tmp_path / name
    path.write_text(
        "namedLocation,siteID,collectDate,sampleID,leafArea,freshMass,dryMass,leafMassPerArea\n"
        "BART_001.basePlot.cfc,BART,2020-07-01T14:00Z,s1,5000,0.9,0.3,60\n"
        "BART_002.basePlot.cfc,BART,2020-07-02T14:00Z,s2,,0.9,0.3,55\n",
        "utf-8",
    )
    if places:
        path.with_name("cfc_fieldData.csv").write_text(
            "sampleID,decimalLatitude,decimalLongitude\ns2,44.06,-71.26\ns1,44.05,-71.25\n",
            "utf-8",
        )
    return path


def test_frm4veg_takes_true_lai_and_the_uncertainty_beside_it(tmp_path):
    rows = read_campaign(frm4veg(tmp_path), "frm4veg").rows
    assert rows["lai"].tolist() == [2.5, 2.1, 0.6, 3.6]
    assert rows["lai_std"].tolist() == [0.3, 0.3, 0.1, 0.1]
    assert rows["ccc"][0] == 1.1
    assert rows["ccc_std"][0] == 0.1
    assert rows["lai_definition"].tolist() == ["LAI"] * 4
    assert rows["lai_method"].tolist() == ["DHP", "LAI-2200", "DHP", "DHP"]
    assert rows["crop"].tolist() == ["Wheat", "Wheat", "Alfalfa", "Maize"]
    assert rows["field_date"].tolist() == ["2018-06-11"] * 4  # the heading says day first
    assert (rows["lat"][0], rows["lon"][0]) == (39.05, -2.1)
    assert rows["site"][0] == "FRM_Veg_Barrax_20180605"


def test_belsar_keeps_plant_and_green_area_apart(tmp_path):
    rows = read_campaign(belsar(tmp_path), "belsar").rows
    assert rows["lai_definition"].tolist() == ["PAI", "PAI", "GAI", "GAI"]
    assert rows["plot"].tolist() == ["W1", "W1", "M1", "M1"]
    assert rows["crop"].tolist() == ["wheat", "wheat", "maize", "maize"]
    assert rows["geometry"][0].bounds == pytest.approx((4.5, 50.5, 4.6, 50.6))


def test_belsar_takes_outlines_from_shapefiles_too(tmp_path):
    import geopandas
    import shapely

    for crop, plot in (("wheat", "W1"), ("maize", "M1")):
        folder = tmp_path / f"BELSAR_{crop}_fields"
        folder.mkdir()
        shapes = geopandas.GeoDataFrame(
            {"id": [plot]}, geometry=[shapely.box(4, 50, 5, 51)], crs="EPSG:4326"
        )
        shapes.to_crs("EPSG:32631").to_file(folder / f"{folder.name}.shp")
    path = belsar(tmp_path, outlines=False)
    rows = read_campaign(path, "belsar").rows
    assert rows["geometry"].map(lambda g: g.geom_type).tolist() == ["Polygon"] * 4
    assert rows["geometry"][3].bounds == pytest.approx((4, 50, 5, 51), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>/etc/passwd</SrcDataSource>"
            "</OGRVRTLayer></OGRVRTDataSource>",
            "found a file that points at others",
        ),
        (
            "<OGRWFSDataSource><URL>http://127.0.0.1:9/</URL></OGRWFSDataSource>",
            "points at others",
        ),
        ("<kml><Placemark/></kml>", "expected a placemark with a shape"),
    ],
)
def test_s9_outlines_of_belsar_point_at_no_other_file(tmp_path, content, said):
    path = belsar(tmp_path)
    (tmp_path / "BelSAR.kml").write_text(content, "utf-8")
    with pytest.raises(InputError, match=said):
        read_campaign(path, "belsar")


def test_gbov_adds_both_storeys_and_drops_what_it_flags_itself(tmp_path):
    """√(0.3² + 0.4²) = 0.5; flags from 16 on are of high impact; a broken cell is no number."""
    rows, notes = read_campaign(gbov(tmp_path), "gbov")
    assert rows["lai"][:2].tolist() == [4.0, 5.0]
    assert rows["lai_std"].to_numpy()[:2] == pytest.approx([0.5, 0.12])
    assert rows["lai"][2:].isna().all()
    assert notes[2] == ["LAI_Miller_down: not measured, counted as 0"]
    assert notes[3] == ["down_flag 68: high impact"]
    assert notes[4] == ["LAI_Miller_up: expected a number, got '1.7)e-5'"]
    assert rows["field_date"].tolist() == ["2016-06-14"] * 4


def test_neon_gives_dry_matter_and_water_in_our_units(tmp_path):
    """60 g m⁻² is 0.006 g cm⁻²; 0.6 g of water on 50 cm² is 0.012 cm."""
    rows = read_campaign(neon(tmp_path), "neon").rows
    assert rows["cm"].to_numpy() == pytest.approx([0.006, 0.0055])
    assert rows["cw"][0] == pytest.approx(0.012)
    assert np.isnan(rows["cw"][1])
    assert rows["plot"].tolist() == ["BART_001", "BART_002"]
    assert rows["lat"].tolist() == [44.05, 44.06]
    bare = tmp_path / "bare"
    bare.mkdir()
    assert "lat" not in read_campaign(neon(bare, places=False), "neon").rows


@pytest.mark.parametrize(("make", "name"), [(gbov, "gbov"), (neon, "neon")])
def test_published_tables_are_read_in_any_dialect(tmp_path, make, name):
    path = make(tmp_path)
    expected = read_campaign(path, name)
    text = path.read_text("utf-8-sig").replace(",", ";").replace(";", "\t")
    path.write_bytes(("sep=\t\n# a remark\n" + text).encode("utf-16"))
    found = read_campaign(path, name)
    pd.testing.assert_frame_equal(found.rows, expected.rows)
    assert found.notes == expected.notes


MADE = {"FRM_Veg": frm4veg, "BelSAR": belsar, "GBOV": gbov, "cfc": neon}
NUMBERS = {
    "barrax": {"n": 4, "bias": 3.0 - 2.2},
    "barrax-ccc": {"n": 4, "bias": 3.0 - 1.125},
    "belsar": {"n": 2, "bias": 3.0 - 3.5},
    "bartlett": {"n": 2, "bias": 3.0 - 4.5},
    "neon": {"n": 2, "bias": 3.0 - 0.00575},
}
"""What maps of 3.0 everywhere give, by report; the samples of a BelSAR field become their mean."""


def constant_map(path):
    """A map of 3.0 over Europe's and America's plots, named after its trait and date."""
    import rasterio

    profile = {"driver": "GTiff", "height": 300, "width": 1200, "count": 2, "dtype": "float32"}
    transform = rasterio.Affine(0.1, 0, -90, 0, -0.1, 60)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as image:
        for band, value in ((1, 3.0), (2, 0.5)):
            image.write(np.full((300, 1200), value, "float32"), band)
            name = path.name.partition("_")[0]
            image.set_band_description(band, name if band == 1 else f"{name}_sd")


def commands() -> list[list[str]]:
    """The commands of the page that read published tables."""
    lines = COMMANDS.read_text("utf-8").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("    physvae validate")]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[-1])
def test_every_command_of_the_page_runs_on_a_file_of_that_form(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = words[2]
    make = next(make for start, make in MADE.items() if name.startswith(start))
    make(tmp_path, name)
    for path in (word for word in words if word.endswith(".tif")):
        constant_map(tmp_path / path)
    registered = [SimpleNamespace(name="validate", load=lambda: validate)]
    assert run(words[1:], registered) == 0
    metrics = json.loads((tmp_path / words[-1] / "metrics.json").read_text("utf-8"))
    expected = NUMBERS[words[-1]]
    assert metrics["pooled"]["n"] == expected["n"]
    assert metrics["pooled"]["bias"] == pytest.approx(expected["bias"], abs=1e-6)
    assert (tmp_path / words[-1] / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", list(CAMPAIGNS))
def test_every_reader_refuses_another_file_in_a_sentence(tmp_path, name):
    path = tmp_path / ("other.xlsx" if name in ("frm4veg", "belsar") else "other.csv")
    frame = pd.DataFrame({"a": [1]})
    frame.to_excel(path) if path.suffix == ".xlsx" else frame.to_csv(path)
    with pytest.raises(InputError, match="expected"):
        read_campaign(path, name)
    with pytest.raises(InputError, match="no such file"):
        read_campaign(tmp_path / "absent", name)


def test_an_unknown_campaign_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected one of frm4veg, belsar, gbov, neon"):
        read_campaign(tmp_path, "valeri")
