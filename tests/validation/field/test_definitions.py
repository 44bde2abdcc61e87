"""What was measured is named, and converted only where the table says by how much."""

import numpy as np
import pandas as pd
import pytest

from validation.field.definitions import converted, definition


@pytest.mark.parametrize(
    ("cell", "method", "expected"),
    [
        ("PAIeff", "", "PAIeff"),
        ("effective pai", "", "PAIeff"),
        ("LAIe", "", "LAIeff"),
        ("true LAI", "", "LAI"),
        ("GLAI", "", "GAI"),
        ("", "DHP_CANEYE_PAIeff_CE", "PAIeff"),
        ("", "ACCUPAR_LP80", "PAIeff"),
        ("LAI", "ACCUPAR_LP80", "LAI"),
        ("", "destructive_green_LAI", "GAI"),
        ("", "by eye", "not stated"),
        (None, float("nan"), "not stated"),
    ],
)
def test_the_column_decides_and_else_the_method(cell, method, expected):
    assert definition(cell, method) == expected


def test_effective_plant_area_becomes_green_area():
    """2.0 / Ω 0.8 · g 0.9 = 2.25; relative spreads 0.1 (value), 0.05 (Ω), 0 (g) in quadrature."""
    frame = pd.DataFrame(
        {
            "clumping_index": [0.8, np.nan],
            "clumping_index_std": [0.04, 0.04],
            "green_fraction": 0.9,
        }
    )
    value, spread, kind = converted(
        np.array([2.0, 2.0]), np.array([0.2, 0.2]), np.array(["PAIeff", "LAI"]), frame
    )
    assert value == pytest.approx([2.25, 2.0], abs=1e-12)
    assert spread == pytest.approx([2.25 * np.hypot(0.1, 0.05), 0.2], abs=1e-12)
    assert kind.tolist() == ["GAI", "LAI"]


def test_a_share_that_cannot_be_converts_nothing():
    frame = pd.DataFrame({"green_fraction": [1.2], "clumping_index": [0.0]})
    value, _, kind = converted(np.ones(1), np.ones(1), np.array(["PAIeff"]), frame)
    assert (value[0], kind[0]) == (1.0, "PAIeff")
