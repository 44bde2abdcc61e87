"""Tables are read cell by cell as they were written, in every dialect people save them in."""

import pandas as pd
import pytest

from inversion.readers import detect
from inversion.readers.table import read
from physvae.errors import InputError


def written(tmp_path, text, name="table.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_cells_stay_text(tmp_path):
    frame = read(written(tmp_path, "plot,B2,note\n007,0.10,NA\n008,,Ähre\n"))
    assert frame.to_dict("list") == {
        "plot": ["007", "008"],
        "B2": ["0.10", ""],
        "note": ["NA", "Ähre"],
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    frame = read(written(tmp_path, "B2,note\n0.1,Weizenähre\n", encoding=encoding))
    assert list(frame.columns) == ["B2", "note"]
    assert frame["note"][0] == "Weizenähre"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_become_points(tmp_path, separator):
    text = "plot;B2;B3;note\n1;0,0432;1,2e-1;a,b\n2;;,5;3\n".replace(";", separator)
    frame = read(written(tmp_path, text))
    assert frame["B2"].tolist() == ["0.0432", ""]
    assert frame["B3"].tolist() == ["1.2e-1", ".5"]
    assert frame["note"].tolist() == ["a,b", "3"]


def test_quoted_cells_may_hold_separators_and_line_breaks(tmp_path):
    frame = read(written(tmp_path, 'B2,note\n0.1,"a, b\nc"\n'))
    assert frame["note"][0] == "a, b\nc"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("B2,B3,B2\n1,2,3\n", "every column once, found twice: B2"),
        ("B2,B3\n0.1,0.2,0.3\n", "expected 2 cells in row 1, .* found 3"),
        ("B2,B3\n0.1,0.2\n0.1,0.2,0.3\n", "expected 2 cells in row 2, .* found 3"),
        ("B2,B3\n0.1,0.2\n\n0.1\n", "expected 2 cells in row 2, .* found 1"),
        ('B2,B3\n0.1,"0.2\n', "expected a closed quotation mark"),
        ("B2,B3\n", "at least one row"),
    ],
)
def test_a_broken_table_is_refused_in_words(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=said) as raised:
        read(path)
    assert "table.csv" in str(raised.value)


def test_parquet(tmp_path):
    frame = pd.DataFrame({"B2": [0.1, None], "day": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    frame.to_parquet(tmp_path / "table.parquet")
    assert detect(tmp_path / "table.parquet").gives == "table"
    pd.testing.assert_frame_equal(read(tmp_path / "table.parquet"), frame)


def test_a_cut_parquet_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"B2": [0.1]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="expected a Parquet table"):
        read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"<VRTDataset/>", "VRT"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"<html></html>", "something else"),
        (b"B2\0B3", "something else"),
        (b"  \n ", "empty file"),
    ],
)
def test_other_files_are_told_for_what_they_are(tmp_path, content, said):
    path = tmp_path / "input.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"input\.csv: expected .*{said}"):
        detect(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="found none of that name"):
        detect(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="found a folder"):
        detect(tmp_path)
