"""Optical constants: what the tables hold, and how they are read between their wavelengths."""

import numpy as np
import pytest
import torch
from scipy.signal import argrelmax

from rtm.parameters import TRAITS
from rtm.spectra import LEAF_CONTENTS, full_grid, leaf_constants, resample, table


@pytest.mark.parametrize("leaf", LEAF_CONTENTS)
def test_every_leaf_has_its_columns_and_every_content_its_unit(leaf):
    index, absorption = leaf_constants(leaf, full_grid())
    assert index.shape == (2101,)
    assert index.min() > 1.2
    assert absorption.shape == (len(LEAF_CONTENTS[leaf]), 2101)
    assert set(LEAF_CONTENTS[leaf]) < set(TRAITS)


def test_prospect_pro_differs_from_d_in_dry_matter_alone():
    """Féret et al. 2021 keep index, pigments and water of 2017; the tables agree in all digits."""
    columns = table("leaf")
    for name in ("refractive_index", *LEAF_CONTENTS["D"][:-1]):
        np.testing.assert_array_equal(columns[f"PRO.{name}"], columns[f"D.{name}"])
    assert "PRO.cm" not in columns


def test_proteins_absorb_where_their_bonds_do():
    """C-H near 1730 and 2300 nm, N-H near 1980, 2055 and 2180 nm (Curran 1989,
    10.1016/0034-4257(89)90069-2), each within 15 nm of a peak; nothing below 1433 nm."""
    prot, at = table("leaf")["PRO.prot"], table("leaf")["wavelength"]
    assert (prot[at < 1433] == 0).all()
    assert prot[at == 1433] == 7.6536e-05
    peaks = at[argrelmax(prot, order=20)[0]]
    for band in (1730, 1980, 2055, 2180, 2300):
        assert np.abs(peaks - band).min() <= 15


def test_dry_matter_is_one_part_protein_and_the_rest_carbon_based():
    """Above 1000 nm one share of protein, as leaves have it (7 to 20 %), gives D's dry matter."""
    columns, swir = table("leaf"), table("leaf")["wavelength"] >= 1000
    parts = np.stack([columns["PRO.prot"], columns["PRO.cbc"]], 1)[swir]
    share = np.linalg.lstsq(parts, columns["D.cm"][swir], rcond=None)[0]
    assert 0.07 < share[0] / share.sum() < 0.2
    assert np.abs(parts @ share / columns["D.cm"][swir] - 1.0).max() < 0.05


def test_between_two_wavelengths_a_column_is_linear():
    index, absorption = leaf_constants("PRO", torch.tensor([1500.0, 1500.25, 1501.0]))
    for column in (index[None], absorption):
        expected = 0.75 * column[:, 0] + 0.25 * column[:, 2]
        np.testing.assert_allclose(column[:, 1], expected, rtol=1e-14)


def test_a_wavelength_outside_the_table_and_an_unknown_leaf_are_told():
    with pytest.raises(ValueError, match="wavelength: expected 400-2500 nm, got 399-2500"):
        leaf_constants("D", torch.tensor([399.0, 2500.0]))
    with pytest.raises(ValueError, match="leaf: expected one of D, 5, PRO, got '4'"):
        leaf_constants("4", full_grid())
    grid = np.array([1.0, 2.0])
    assert resample(torch.tensor([2.0]), grid, np.array([[3.0, 5.0]])).item() == 5.0
