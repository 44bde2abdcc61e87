"""The reconstruction's error is that of the arrays, band by band, missing bands left out."""

import numpy as np
import pandas as pd
import pytest

import physvae
from validation.evidence import simulated
from validation.evidence.reconstruction import (
    DECODINGS,
    Reconstructed,
    by_band,
    reconstruct,
    standardised,
)


def found() -> Reconstructed:
    measured = np.array([[0.1, 0.2, np.nan], [0.3, 0.6, np.nan]])
    total = measured + np.array([[0.01, -0.02, 0.0], [0.01, 0.02, 0.0]])
    physical = measured + np.array([[0.1, 0.0, 0.0], [0.1, 0.0, 0.0]])
    return Reconstructed(measured, total, physical, measured + 0.05, np.zeros(2, bool))


def test_error_and_bias_by_hand():
    table = by_band(found(), ("B2", "B3", "B8"))
    assert table["band"].tolist() == ["B2", "B3"]
    assert table["sd"].tolist() == pytest.approx([0.1, 0.2], abs=1e-12)
    assert table["total_rmse"].tolist() == pytest.approx([0.01, 0.02], abs=1e-12)
    assert table["total_bias"].tolist() == pytest.approx([0.01, 0.0], abs=1e-12)
    assert table["physical_bias"].tolist() == pytest.approx([0.1, 0.0], abs=1e-12)


def test_the_standardised_error_by_hand():
    """(0.01/0.1)² and (0.02/0.2)² are both 0.01; physics: (0.1/0.1)² and 0, half of 1."""
    errors = standardised(found())
    assert errors["total"] == pytest.approx(0.01, abs=1e-12)
    assert errors["physical"] == pytest.approx(0.5, abs=1e-12)
    assert errors["alone"] == pytest.approx(0.5 * (0.25 + 0.0625), abs=1e-12)
    assert standardised(found(), np.array([True, False]))["physical"] == pytest.approx(0.5)


@pytest.mark.filterwarnings("error")
def test_a_single_spectrum_has_no_standardised_error():
    one = found()._replace(**{n: getattr(found(), n)[:1] for n in ("measured", *DECODINGS)})
    assert all(np.isnan(value) for value in standardised(one).values())


def test_simulations_stand_as_a_field_table_and_are_decoded():
    """Rows of the prior: the truth in its range, and a reconstruction closer than the spread."""
    model = physvae.load("sentinel-2")
    table = simulated.table(model, 600, seed=3)
    assert table["lai"].between(0, model.traits["lai"].high).all()
    assert set(model.bands) <= set(table.columns)
    assert table["site"].nunique() == simulated.GROUPS
    errors = standardised(reconstruct(model, table.drop(columns="B8")))
    assert 0 < errors["total"] < 0.5
    assert 0 < errors["alone"] < errors["physical"]
    pd.testing.assert_frame_equal(table, simulated.table(model, 600, seed=3))


def test_the_ranks_of_simulations_fill_the_unit_interval():
    model = physvae.load("sentinel-2")
    found = simulated.ranks(model, ("cab",), 1000, seed=4)["cab"]
    assert ((found.pits > 0) & (found.pits < 1)).all()
    assert found.coverage[0.9] == pytest.approx(0.9, abs=0.05)
