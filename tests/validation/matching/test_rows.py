"""Every field row finds its estimate, whatever the order; an ambiguous key is refused."""

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError
from validation.matching.rows import match

FIELD = pd.DataFrame(
    {
        "site": ["A", "A", "B"],
        "plot": ["1", "2", "1"],
        "field_date": ["2020-05-01", "2020-05-01", "2020-05-02"],
        "lai": [1.0, 2.0, 3.0],
    }
)


def test_rows_in_another_order_are_found_by_their_key():
    estimates = FIELD.drop(columns="lai").iloc[[2, 0, 1]]
    assert match(estimates, FIELD, measured="lai").tolist() == [1, 2, 0]


def test_a_row_without_an_estimate_is_minus_one():
    assert match(FIELD.iloc[[1]], FIELD, measured="lai").tolist() == [-1, 0, -1]


def test_a_table_retrieved_row_by_row_needs_no_key():
    estimates = pd.DataFrame({"lai_input": FIELD["lai"], "lai": 9.0})
    assert match(estimates, FIELD[["lai"]], measured="lai").tolist() == [0, 1, 2]


def test_repeated_keys_are_fine_where_the_rows_are_the_same():
    """Two dates of one plot, no date column: only the order tells them apart."""
    field = FIELD.assign(plot="1", site="A").drop(columns="field_date")
    estimates = field.assign(lai_input=field["lai"])
    assert match(estimates, field, measured="lai").tolist() == [0, 1, 2]


def test_keys_match_across_types():
    field = FIELD.assign(plot=[1, 2, 1], field_date=pd.to_datetime(FIELD["field_date"]))
    estimates = FIELD.assign(plot=["01", "2.0", "1"]).iloc[::-1]
    assert match(estimates, field, measured="lai").tolist() == [2, 1, 0]


def test_the_apostrophe_of_our_own_tables_is_no_part_of_a_name():
    field = FIELD.assign(plot=["-1_137", "-1137", "=x"])
    estimates = field.assign(plot=["'-1_137", "'-1137", "'=x"]).iloc[[2, 1, 0]]
    assert match(estimates, field, measured="lai").tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("estimates", "said"),
    [
        (pd.DataFrame({"lai": [1.0, 2.0]}), "got 2 estimates for 3 field rows"),
        (pd.DataFrame({"lai": [1.0] * 3}), "expected the field table's rows in order"),
        (pd.DataFrame({"lai_input": [1.0, 3.0, 2.0]}), "expected the field table's rows in order"),
        (
            FIELD[["plot"]].iloc[:2],
            "field table: expected one row for each plot, got rows 1 and 3",
        ),
        (FIELD.iloc[[0, 0]], "estimates: expected one row for each site, plot, field_date"),
        (FIELD.assign(site="C"), "got none"),
    ],
)
def test_what_cannot_be_matched_is_refused(estimates, said):
    with pytest.raises(InputError, match=said):
        match(estimates, FIELD, measured="lai")


def test_every_row_of_the_real_table_finds_itself_after_shuffling(data_dir):
    field = pd.read_csv(data_dir / "field" / "field_dev.csv")
    order = np.random.default_rng(0).permutation(len(field))
    assert (order[match(field.iloc[order], field, measured="lai")] == np.arange(len(field))).all()
