"""One file means one thing: every dialect of a table, its cells, columns and dates."""

import zipfile
from datetime import date, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from physvae.config import Spectra
from physvae.errors import InputError, UsageError
from physvae.io.messages import plain, plain_streams
from physvae.real_spectra import read_spectra
from physvae.sensor_files import read_sensor, read_soil_table
from physvae.tables.cells import numbers, without_fills
from physvae.tables.columns import assignments, match, nearest, strangers
from physvae.tables.csv_files import write_header, write_rows
from physvae.tables.dates import parse_date
from physvae.tables.reader import TableOptions, open_table, read_table
from rtm import load_sensor

CELLS = {"plot": ["007", "a#1"], "B2": ["0.03", None]}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plot,B2\n007,0.03\na#1,\n", "utf-8"),
        ("plot;B2\r\n007;0,03\r\na#1;\r\n", "utf-8-sig"),
        ("plot\tB2\n007\t0,03\na#1\t\n", "utf-16"),
        ("plot|B2\n007|0.03\na#1|\n", "utf-16-le"),
        ("sep=;\nplot;B2\n007;0,03\na#1;\n", "utf-8"),
        ("# ähre\nplot;B2\n# a remark\n007;0,03\na#1;\n", "cp1252"),
        ("plot,B2\r007,0.03\ra#1,\r", "utf-8"),
        ('plot,B2\n"007","0.03"\n"a#1",""\n', "utf-8"),
    ],
)
def test_every_dialect_gives_the_same_cells(tmp_path, text, encoding):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    assert open_table(path).read().to_pydict() == CELLS


def test_excel_gives_the_same_cells(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    for row in (["plot", "B2", None], ["007", 0.03, None], [None] * 3, ["a#1", None, None]):
        book.active.append(row)
    book.create_sheet("days").append(["day"])
    book["days"].append([datetime(2021, 6, 1)])
    book.save(tmp_path / "table.xlsx")
    assert open_table(tmp_path / "table.xlsx").read().to_pydict() == CELLS
    days = open_table(tmp_path / "table.xlsx", TableOptions(sheet="days")).read()
    assert days.to_pydict() == {"day": ["2021-06-01"]}
    with pytest.raises(InputError, match="expected a sheet 'x', got Sheet, days"):
        open_table(tmp_path / "table.xlsx", TableOptions(sheet="x"))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "found a document type"),
        (b" " * 40_000_000, "bytes unpacked"),
    ],
)
def test_a_hostile_workbook_is_refused(tmp_path, part, said):
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", part)
    with pytest.raises(InputError, match=said):
        open_table(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"secret,0.1\n1\n", "expected 2 cells in row 1, as many as in the header, found 1"),
        (b'a,b\n1,"secret\n', "expected a closed quotation mark"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n", "found another kind of file"),
        (b"\x7fELF\0\1\2secret\0", "found a binary file"),
        (b"PAR1secret", "found a damaged file"),
        (b"secret:x:0/root,secret:x:0/root\n1,2\n", "found twice: a column without a plain name"),
    ],
)
def test_no_error_of_a_parser_and_no_content_is_shown(tmp_path, content, said):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        read_table(path)
    assert "secret" not in str(raised.value)


def test_missing_words_and_fillings_are_no_numbers():
    words = pa.chunked_array([["1", "NA", " n/a ", "#N/A", "NULL", "-", "nan", None]])
    assert np.isnan(numbers(words)[1:]).all()
    assert numbers(pa.chunked_array([["1", "x"]])) is None
    held = np.array([0.1, -9999.0])
    assert np.isnan(without_fills(held, 10.0)[1])
    assert (without_fills(np.array([3000.0, -9999.0]), 10.0) == [3000.0, -9999.0]).all()


@pytest.mark.parametrize(
    ("cell", "form", "expected"),
    [
        ("2021-6-1", None, date(2021, 6, 1)),
        ("13-Jun-2018", None, date(2018, 6, 13)),
        ("June 13, 2018", None, date(2018, 6, 13)),
        ("13. Juni 2018", None, date(2018, 6, 13)),
        ("13.06.18", "dmy", date(2018, 6, 13)),
        ("06/05/18", "mdy", date(2018, 6, 5)),
        ("13.06.18", None, "which of the numbers is the year? give --date-format"),
        ("13-Jun-18", None, "which of the numbers is the year? give --date-format"),
        ("43264", None, date(2018, 6, 13)),
        (43264.0, None, date(2018, 6, 13)),
        ("2018-164", None, date(2018, 6, 13)),
        ("21152", None, "expected year-month-day"),
    ],
)
def test_dates_as_people_write_them(cell, form, expected):
    assert parse_date(cell, form) == expected


def test_a_close_name_is_told_and_never_taken():
    known = {"b2": "B2", "lai": "lai", "red": "B4"}
    assert match(["B2_mean", "lia"], {"B2": "B2"}.get, {}, "t.csv") == {}
    assert strangers(["B2_mean", "lia", "red", "plot", "lat"], known, "t.csv") == [
        "t.csv: column B2_mean is not used; where it is B2, give --column B2=B2_mean",
        "t.csv: column lia is not used; where it is lai, give --column lai=lia",
        "t.csv: column red is not used; where it is B4, give --column B4=red",
    ]
    assert nearest("B8_B4_ratio", {"b8": "B8", "b4": "B4"}) is None
    with pytest.raises(InputError, match=r"--strict: .*lia \(near lai\)"):
        strangers(["plot", "lia"], known, "t.csv", strict=True)
    assert strangers(["plot", "site"], known, "t.csv", strict=True) == []


def test_a_declared_column_wins():
    declared = assignments(["B4=red"], "--column")
    assert match(["B4", "red"], {"B4": "B4"}.get, declared, "t.csv") == {"B4": "red"}
    with pytest.raises(InputError, match="expected a column blue, got red"):
        match(["red"], {"B4": "B4"}.get, {"B4": "blue"}, "t.csv")
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        assignments(["red"], "--column")


def test_a_cell_stays_one_cell_and_runs_nothing(tmp_path):
    texts = ["x\r=cmd|calc", "a;=b", "\t=c", "a\x1bb", 'q"', "-1.5", "-", None]
    with (tmp_path / "out.csv").open("wb") as file:
        write_header(file, ["=n", "x"])
        write_rows(file, pa.table({"=n": texts, "x": pa.array(range(8))}))
    back = open_table(tmp_path / "out.csv").read().to_pydict()
    assert back["'=n"] == ["x\r'=cmd|calc", "a;'=b", "'\t'=c", "a\x1bb", 'q"', "-1.5", "-", None]
    assert back["x"] == [str(i) for i in range(8)]


def test_control_characters_never_reach_the_terminal(capsys):
    with plain_streams():
        print("a\x1b]0;title\x07b\u202ec")
    assert capsys.readouterr().out == "a\\x1b]0;title\\x07b\\u202ec\n"
    assert plain("two\nlines\t") == "two\nlines\t"


def test_a_sensor_comes_from_a_table_of_any_dialect(tmp_path):
    plain = tmp_path / "plain.csv"
    plain.write_text("band,center,fwhm\nB1,550.5,20\nB2,665,30\n")
    other = tmp_path / "other.csv"
    other.write_bytes("sep=;\n# mine\nband;centre;fwhm\nB1;550,5;20\nB2;665;30\n".encode("utf-16"))
    assert read_sensor(str(other)).bands == ("B1", "B2")
    assert torch.equal(read_sensor(str(other)).weights, load_sensor(plain).weights)


def test_responses_and_soils_come_from_excel_and_parquet(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    for row in (["wavelength", "a"], [500, 0.5], [510, 0.5]):
        book.active.append(row)
    book.save(tmp_path / "mine.xlsx")
    table = pa.table({"wavelength": [500.0, 510.0], "a": [0.5, 0.5]})
    pyarrow.parquet.write_table(table, tmp_path / "mine.parquet")
    for path in (tmp_path / "mine.xlsx", tmp_path / "mine.parquet"):
        assert read_sensor(str(path)).center.item() == pytest.approx(505.0)
        assert read_soil_table(path).spectra.tolist() == [[0.5, 0.5]]
        with pytest.raises(ValueError, match="found another kind of file"):
            load_sensor(path)
    with pytest.raises(InputError, match=r"found no none\.xlsx"):
        read_sensor("none.xlsx")
    with pytest.raises(UsageError, match="expected one of sentinel-2a"):
        read_sensor("none")


def test_spectra_for_training_go_by_aliases_fillings_and_dates(tmp_path):
    path = tmp_path / "spectra.csv"
    path.write_text("field;day;B4;SZA;vza\na;13-Jun-2018;0,1;30;5\na;2018-6-3;-9999;31;6\n")
    entry = Spectra(file="spectra.csv", group="field", date="day")
    real, _ = read_spectra(path, entry, ("B4",), SimpleNamespace(kind="temporal"))
    assert real.days.tolist() == [[0.0, 10.0]]
    assert real.reflectance[0, :, 0].isnan().tolist() == [True, False]
    assert real.angles[0, :, :2].tolist() == [[31.0, 6.0], [30.0, 5.0]]


def test_columns_of_training_spectra_are_declared(tmp_path):
    path = tmp_path / "spectra.csv"
    path.write_text("B4_mean,B5\n0.1,0.2\n")
    with pytest.raises(
        InputError, match=r'where B4_mean is B4, say columns = \{ B4 = "B4_mean" \}'
    ):
        read_spectra(path, Spectra(file="x"), ("B4", "B5"))
    real, _ = read_spectra(path, Spectra(file="x", columns={"B4": "B4_mean"}), ("B4", "B5"))
    assert real.reflectance.tolist() == [[pytest.approx(0.1), pytest.approx(0.2)]]
    with pytest.raises(InputError, match="expected a column red, got B4_mean, B5"):
        read_spectra(path, Spectra(file="x", columns={"B4": "red"}), ("B4", "B5"))
