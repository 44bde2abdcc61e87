"""Published tables become field tables; small files are made here as the campaigns write them."""

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError, UsageError
from validation.campaigns import CAMPAIGNS, read_campaign


def frm4veg(tmp_path):
    """Sheet GroundData: a title row, then columns each followed by its Uncertainty."""
    path = tmp_path / "FRM_Veg_Barrax_20180605.xlsx"
    head = ["Plot ID", "Date", "Northing Coord. ", "Easting Coord. ", "LAIeff", "Uncertainty",
            "LAI", "Uncertainty", "CCC (g m-2)", "Uncertainty (g m-2)", "Comments"]  # fmt: skip
    rows = [
        ["A1", pd.Timestamp("2018-06-05"), 39.05, -2.1, 2.0, 0.2, 2.5, 0.3, 1.1, 0.1, ""],
        ["B2", pd.Timestamp("2018-06-05"), 39.06, -2.2, 0.5, 0.1, 0.6, 0.1, None, None, "dry"],
    ]
    table = pd.DataFrame([["Barrax", *[None] * 10], head, *rows])
    table.to_excel(path, sheet_name="GroundData", index=False, header=False)
    return path


def belsar(tmp_path):
    """Sheets of wheat (PAI) and maize (GAI), a title row each."""
    path = tmp_path / "BelSAR_agriculture_database.xlsx"
    with pd.ExcelWriter(path) as book:
        for crop, kind in (("wheat", "PAI"), ("maize", "GAI")):
            rows = [[f"{crop[0].upper()}1", pd.Timestamp("2018-06-21"), v] for v in (3.0, 4.0)]
            table = pd.DataFrame([[crop, None, None], ["Field ID", "Date", kind], *rows])
            table.to_excel(book, sheet_name=f"BelSAR_{crop}", index=False, header=False)
    return path


def gbov(tmp_path):
    """RM07 V2: semicolons, -999, overstorey and understorey, a flag each."""
    path = tmp_path / "GBOV_RM07_Bartlett_047.csv"
    path.write_text(
        "GBOV_ID;Site;Network;PLOT_ID;Lat_IS;Lon_IS;TIME_IS;LAI_Miller_up;LAI_Miller_up_err;"
        "LAI_Miller_down;LAI_Miller_down_err;up_flag;down_flag\n"
        "1;Bartlett;NEON;BART_047;44.06;-71.28;20160601T000000Z;6.14;0.15;1.52;0.05;8;4\n"
        "2;Bartlett;NEON;BART_047;44.06;-71.28;20160615T000000Z;5.0;0.12;-999;-999;0;0\n"
        "3;Bartlett;NEON;BART_047;44.06;-71.28;20160628T000000Z;5.53;0.23;0.96;0.03;8;68\n",
        "utf-8",
    )
    return path


def neon(tmp_path):
    """cfc_LMA: 0.9 g fresh, 0.3 g dry on 5000 mm², and one without its area."""
    path = tmp_path / "cfc_LMA.csv"
    path.write_text(
        "namedLocation,siteID,collectDate,sampleID,leafArea,freshMass,dryMass,leafMassPerArea\n"
        "BART_001.basePlot.cfc,BART,2020-07-01T14:00Z,s1,5000,0.9,0.3,60\n"
        "BART_002.basePlot.cfc,BART,2020-07-02T14:00Z,s2,,0.9,0.3,55\n",
        "utf-8",
    )
    return path


def test_frm4veg_takes_true_lai_and_the_uncertainty_beside_it(tmp_path):
    rows = read_campaign(frm4veg(tmp_path), "frm4veg").rows
    assert rows["lai"].tolist() == [2.5, 0.6]
    assert rows["lai_std"].tolist() == [0.3, 0.1]
    assert rows["ccc"][0] == 1.1
    assert rows["ccc_std"][0] == 0.1
    assert rows["lai_definition"].tolist() == ["LAI", "LAI"]
    assert rows["field_date"].tolist() == ["2018-06-05"] * 2
    assert (rows["lat"][0], rows["lon"][0]) == (39.05, -2.1)
    assert rows["site"][0] == "FRM_Veg_Barrax_20180605"


def test_belsar_keeps_plant_and_green_area_apart(tmp_path):
    rows = read_campaign(belsar(tmp_path), "belsar").rows
    assert rows["lai_definition"].tolist() == ["PAI", "PAI", "GAI", "GAI"]
    assert rows["plot"].tolist() == ["W1", "W1", "M1", "M1"]
    assert rows["crop"].tolist() == ["wheat", "wheat", "maize", "maize"]


def test_gbov_adds_both_storeys_and_drops_what_it_flags_itself(tmp_path):
    rows, notes = read_campaign(gbov(tmp_path), "gbov")
    assert rows["lai"][0] == pytest.approx(6.14 + 1.52)
    assert rows["lai_std"][0] == pytest.approx(np.hypot(0.15, 0.05))
    assert (rows["lai"][1], rows["lai_std"][1]) == (5.0, 0.12)
    assert np.isnan(rows["lai"][2])
    assert notes[3] == ["down_flag 68: high impact"]
    assert rows["field_date"].tolist() == ["2016-06-01", "2016-06-15", "2016-06-28"]


def test_neon_gives_dry_matter_and_water_in_our_units(tmp_path):
    """60 g m⁻² is 0.006 g cm⁻²; 0.6 g of water on 50 cm² is 0.012 cm."""
    rows = read_campaign(neon(tmp_path), "neon").rows
    assert rows["cm"].to_numpy() == pytest.approx([0.006, 0.0055])
    assert rows["cw"][0] == pytest.approx(0.012)
    assert np.isnan(rows["cw"][1])
    assert rows["plot"].tolist() == ["BART_001", "BART_002"]


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
