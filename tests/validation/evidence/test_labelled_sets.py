"""The labelled sets: what is measured in each, and how narrow bands reach a model."""

import numpy as np
import pandas as pd
import pytest

from validation.evidence.labelled_sets import LabelledSet, Target, labelled_sets, resampled


def small(**changes) -> LabelledSet:
    rows = 4
    frame = pd.DataFrame({"B3": np.linspace(0.05, 0.1, rows), "sun_zenith_deg": 30.0})
    labels = pd.DataFrame({"group": list("aabb"), "place": "p", "cover": ""})
    target = Target(np.arange(rows) * 1.0, np.full(rows, np.nan), np.full(rows, "LAI", object))
    return LabelledSet("small", frame, labels, {"lai": target}, **changes)


def test_broad_bands_are_taken_by_name_and_angles_with_them():
    found = small().inputs(("B3", "B4"), (560.0, 665.0))
    assert found is not None
    assert list(found) == ["B3", "sun_zenith_deg"]


def test_a_band_is_taken_by_its_wavelength_and_not_by_its_name():
    """Landsat's B5 is near infrared, and Sentinel-2's is at the red edge."""
    labelled = small()
    labelled.frame[["B5", "B8A"]] = [[0.1, 0.4]] * 4
    found = labelled.inputs(("B3", "B5"), (561.3, 864.6))
    assert found is not None
    assert found["B5"].tolist() == [0.4] * 4


def test_narrow_bands_are_interpolated_where_measured_ones_lie_close():
    grid = np.array([500.0, 510.0, 520.0, 600.0])
    spectra = np.tile(grid / 1000, (4, 1))  # linear, so that the truth is known
    found = small(wavelength=grid, narrow=spectra).inputs(("B515", "B560"), (515.0, 560.0))
    assert found is not None
    np.testing.assert_allclose(found["B515"], 0.515)
    assert found["B560"].isna().all()


def test_a_set_without_a_models_bands_has_no_inputs():
    assert small().inputs(("B410", "B420"), (410.0, 420.0)) is None


def test_nothing_is_extrapolated():
    grid = np.array([500.0, 510.0])
    found = resampled(grid, np.array([[0.1, 0.2]]), np.array([499.0, 500.0, 510.0, 511.0]))
    assert np.isnan(found).tolist() == [[True, False, False, True]]


@pytest.fixture(scope="module")
def sets(data_dir):
    return {s.name: s for s in labelled_sets(data_dir)}


def test_every_labelled_set_is_read_with_its_quantities(sets):
    assert {name: len(s) for name, s in sets.items()} == {
        "field_dev": 267, "grounded_eo_dev": 193, "sparc_barrax_dev": 46, "ccc_dev": 20,
        "leaf": 110,
    }  # fmt: skip
    assert set(sets["field_dev"].targets["lai"].definition) == {"PAIeff", "GAI"}
    effective = np.isfinite(sets["field_dev"].targets["lai_effective"].measured)
    assert effective.sum() == 179
    assert set(sets["field_dev"].targets["lai"].definition[effective]) == {"PAIeff"}
    assert set(sets["grounded_eo_dev"].targets) == {"lai", "fapar"}
    assert np.isfinite(sets["grounded_eo_dev"].targets["fapar"].spread).all()
    assert set(sets["sparc_barrax_dev"].targets) == {"lai", "cab", "ccc", "fcover"}
    assert sets["ccc_dev"].targets["ccc"].rank_only


def test_groups_join_rows_that_err_together(sets):
    counts = {name: s.labels["group"].nunique() for name, s in sets.items()}
    assert counts["field_dev"] == 33
    assert counts["grounded_eo_dev"] == 170
    assert counts["sparc_barrax_dev"] == 3


def test_a_folder_without_data_has_no_sets(tmp_path):
    assert labelled_sets(tmp_path) == []
