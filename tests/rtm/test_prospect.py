"""Leaves against the authors' codes, and the identities every leaf obeys."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm.prospect import plate_constants, prospect, surface_transmissivity
from rtm.spectra import LEAF_CONTENTS, full_grid, leaf_constants

F64 = torch.float64
LEAF = {"cab": 30.0, "car": 10.0, "ant": 1.0, "cbrown": 0.0, "cw": 0.015, "cm": 0.009}
BOUNDS = {"cab": 100.0, "car": 30.0, "ant": 10.0, "cbrown": 2.0, "cw": 5.0, "cm": 0.03}


def leaf(version: str, n_leaf: float, contents: dict[str, float], dtype=F64):
    index, absorption = leaf_constants(version, full_grid())
    amounts = torch.tensor([[contents[name]] for name in LEAF_CONTENTS[version]], dtype=dtype)
    return prospect(
        depth=absorption.T.to(dtype) @ amounts,
        n_leaf=torch.full((1,), n_leaf, dtype=dtype),
        plate=plate_constants(index).unsqueeze(-1).to(dtype),
    )  # fmt: skip


def table(path, *columns) -> np.ndarray:
    values = np.genfromtxt(path, delimiter=",", names=True)
    return np.stack([values[name] for name in columns])


@pytest.mark.parametrize(
    ("version", "n_leaf", "contents", "file", "tolerance"),
    [
        ("D", 1.2, {}, "prospectD_matlab.csv", 1e-14),  # Féret's own code, printed in full
        ("5", 1.2, {}, "prospect5_fortran.csv", 6e-5),  # printed with 4 decimals
        ("5", 2.1, {"cab": 40, "cbrown": 0.1}, "prospect5_opticleaf.csv", 6e-5),  # 4 decimals
    ],
)
def test_leaf_agrees_with_the_authors_code(data_dir, version, n_leaf, contents, file, tolerance):
    found = leaf(version, n_leaf, LEAF | contents)
    truth = table(data_dir / "rtm_reference" / file, "refl", "tran")
    np.testing.assert_allclose(found.reflectance[:, 0], truth[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.transmittance[:, 0], truth[1], rtol=0, atol=tolerance)


def test_surface_transmissivity_is_stern_and_allen(data_dir):
    """From the authors' code, every digit."""
    truth = table(data_dir / "rtm_reference" / "tav40_matlab_prospectD.csv", "tav40")[0]
    found = surface_transmissivity(40.0, leaf_constants("D", full_grid())[0])
    np.testing.assert_allclose(found, truth, rtol=1e-13)


def test_without_absorber_nothing_is_lost():
    for n_leaf in (1.0, 1.5, 3.0):
        found = leaf("D", n_leaf, dict.fromkeys(LEAF, 0.0))
        total = found.reflectance + found.transmittance
        assert (total - 1.0).abs().max() < 1e-8  # the floor of 1e-9, times the plates


def test_float32_is_as_good_as_its_digits():
    for n_leaf, contents in ((1.2, LEAF), (2.5, LEAF | {"cab": 80.0, "cw": 0.05})):
        single = leaf("D", n_leaf, contents, torch.float32)
        double = leaf("D", n_leaf, contents)
        for a, b in zip(single, double, strict=True):
            assert (a - b).abs().max() < 2e-6


@settings(max_examples=50, deadline=None)
@given(
    n_leaf=st.floats(1.0, 3.0),
    contents=st.fixed_dictionaries({name: st.floats(0.0, high) for name, high in BOUNDS.items()}),
    dtype=st.sampled_from([F64, torch.float32]),
)
def test_a_leaf_returns_no_more_than_it_gets(n_leaf, contents, dtype):
    found = leaf("D", n_leaf, contents, dtype)
    rounding = 4 * torch.finfo(dtype).eps
    assert found.reflectance.min() >= 0.0
    assert found.transmittance.min() >= 0.0
    total = found.reflectance + found.transmittance
    assert total.max() <= 1.0 + rounding
    assert (total + found.absorptance - 1.0).abs().max() <= 2 * rounding


def test_gradients_are_right_even_without_absorber():
    index, absorption = leaf_constants("D", torch.tensor([450.0, 700.0, 850.0, 1450.0]))
    plate = plate_constants(index).unsqueeze(-1)

    def model(contents, n_leaf):
        return tuple(prospect(depth=absorption.T @ contents, n_leaf=n_leaf, plate=plate))

    contents = torch.tensor([40.0, 8.0, 1.0, 0.1, 0.01, 0.009], dtype=F64)
    contents = contents.unsqueeze(-1).requires_grad_()
    n_leaf = torch.tensor([1.5], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (contents, n_leaf), eps=1e-7, atol=1e-6)
    depth = torch.tensor([[0.0, 1e-6]], dtype=F64, requires_grad=True)
    found = prospect(depth=depth, n_leaf=n_leaf, plate=plate[:, :1])
    (slope,) = torch.autograd.grad(found.reflectance.sum(), depth)
    assert slope[0, 0] == pytest.approx(slope[0, 1].item(), rel=1e-4)  # k·ln k bends it a little


def test_unknown_leaf_is_told():
    with pytest.raises(ValueError, match="leaf: expected one of D, 5, PRO, got '4'"):
        leaf_constants("4", full_grid())
