"""The field table is read as written; what is wrong with it is told by row and column."""

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError, UsageError
from rtm.parameters import PRODUCTS, TRAITS
from validation.field import table


def written(tmp_path, text: str):
    path = tmp_path / "field.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_become_numbers_and_texts_stay(tmp_path):
    frame = table.read_table(written(tmp_path, "site,plot,lai,B3\nA,p_1,1.5,0.1\nNA,p_2, ,n/a\n"))
    assert list(frame["site"]) == ["A", "NA"]
    assert frame["lai"].dtype == frame["B3"].dtype == np.float64
    assert frame["lai"].tolist()[0] == 1.5
    assert frame[["lai", "B3"]].iloc[1].isna().all()


@pytest.mark.parametrize("cell", ["abc", "1,5", "inf", "--", "1.5 m2"])
def test_a_text_among_the_numbers_is_told_by_row_and_column(tmp_path, cell):
    path = written(tmp_path, f'plot,lai\na,1\nb,"{cell}"\n')
    with pytest.raises(InputError, match=r"field\.csv, row 2, column lai: expected a finite"):
        table.read_table(path)


def test_a_decimal_comma_is_recognised(tmp_path):
    with pytest.raises(InputError, match="decimal comma"):
        table.read_table(written(tmp_path, 'lai\n"1,5"\n'))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a row of names"),
        (b"plot,lai\n", "expected at least one row"),
        (b"\xff\xfe\x00\x01", "expected at least one row"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, said):
    path = tmp_path / "field.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        table.read_table(path)


def test_a_column_twice_is_refused():
    with pytest.raises(InputError, match="expected one column lai, got two"):
        table.parse_numbers(pd.DataFrame([[1, 2]], columns=["lai", "lai"]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        table.read_table(tmp_path / "nowhere.csv")


def test_parquet_gives_the_same_rows_as_csv(tmp_path):
    frame = pd.DataFrame({"site": ["a", "b"], "lai": [1.0, np.nan]})
    frame.to_parquet(tmp_path / "field.parquet")
    frame.to_csv(tmp_path / "field.csv", index=False)
    rows = [table.read_table(tmp_path / f"field.{kind}") for kind in ("csv", "parquet")]
    pd.testing.assert_frame_equal(*rows, check_dtype=False)


def test_rows_without_a_usable_value_are_counted_with_their_reason():
    frame = pd.DataFrame({"lai": [1.0, np.nan, -9999.0, 0.0, None]})
    data = table.select(frame, "lai")
    assert data.rows["row"].tolist() == [0, 3]
    assert data.dropped == {"no measured lai": [2, 5], "measured lai below 0": [3]}


def test_only_a_measured_trait_is_required():
    data = table.select(pd.DataFrame({"ccc_g_m2": [1.2]}), "ccc")
    assert data.column == "ccc_g_m2"
    assert data.rows["site"].tolist() == [table.WHOLE]
    assert data.rows["measured_std"].isna().all()


@pytest.mark.parametrize(
    ("frame", "trait", "error", "said"),
    [
        ({"plot": ["a"]}, "lai", InputError, "expected one measured column lai, got columns plot"),
        ({"ccc": [1], "ccc_g_m2": [1]}, "ccc", InputError, "got ccc and ccc_g_m2"),
        ({"lai": [1]}, "hspot", UsageError, "expected one of lai, cab"),
        (
            {"lai": [np.nan]},
            "lai",
            InputError,
            "expected a measured value in column lai, got none",
        ),
    ],
)
def test_a_table_that_cannot_be_compared_is_refused(frame, trait, error, said):
    with pytest.raises(error, match=said):
        table.select(pd.DataFrame(frame), trait)


def test_sites_are_texts_and_an_empty_one_has_a_name():
    frame = pd.DataFrame({"site": [1.0, None, " a "], "lai": [1, 2, 3]})
    assert table.site_names(frame).tolist() == ["1", "unnamed", "a"]


def test_every_trait_that_can_be_measured_has_a_unit():
    assert set(table.MEASURED) <= {*TRAITS, *PRODUCTS}
