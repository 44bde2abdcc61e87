"""Names, bounds and positions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rtm import GEOMETRY, PRODUCTS, TRAITS, ParameterSpace, Prosail
from rtm.parameters import canonical, check

SPACE = Prosail(products=False).space


@pytest.mark.parametrize("table", [TRAITS, GEOMETRY, PRODUCTS])
def test_every_default_lies_in_its_box(table):
    for name, p in table.items():
        assert name == p.name
        assert p.low <= p.default <= p.high
        assert p.unit
        assert p.description


def test_no_name_or_alias_means_two_things():
    names = [
        n for t in (TRAITS, GEOMETRY, PRODUCTS) for p in t.values() for n in (p.name, *p.aliases)
    ]
    assert len(names) == len(set(names))
    assert canonical(" EWT ", TRAITS) == "cw"
    assert canonical("wing", TRAITS) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=len(SPACE), max_size=len(SPACE)))
def test_stack_and_split_are_inverse(values):
    theta = torch.tensor(values, dtype=torch.float64)
    assert torch.equal(SPACE.stack(**SPACE.split(theta)), theta)


def test_stack_broadcasts_and_fills_with_defaults():
    theta = SPACE.stack(lai=torch.zeros(3, 1), cab=torch.ones(2))
    assert theta.shape == (3, 2, len(SPACE))
    assert theta.dtype == torch.float32
    assert SPACE.stack().equal(SPACE.default)
    assert theta[0, 0, SPACE.index("cm")] == pytest.approx(TRAITS["cm"].default)


def test_wrong_names_and_shapes_are_told():
    with pytest.raises(ValueError, match=r"parameter: expected one of n_leaf.*got 'lay'"):
        SPACE.stack(lay=3.0)
    with pytest.raises(ValueError, match=r"theta: expected a last axis of 12 .*got shape \(3,\)"):
        SPACE.split(torch.zeros(3))
    with pytest.raises(ValueError, match="parameters: expected distinct names"):
        ParameterSpace((TRAITS["lai"], TRAITS["lai"]))


def test_check_speaks_of_the_first_wrong_value():
    check("cab", torch.tensor([0.0, 500.0]))
    with pytest.raises(ValueError, match="cab: expected at least 0, got -1"):
        check("cab", torch.tensor([3.0, -1.0, -2.0]))
