"""Intervals meant for measurements: shape, widening, and what stays the posterior's."""

from typing import NamedTuple

import pytest
import torch

import physvae
from physvae.field_interval import FieldInterval, with_field_intervals
from rtm.parameters import TRAITS as ALL


class Found(NamedTuple):
    mean: dict
    sd: dict
    p025: dict
    p975: dict
    misfit: torch.Tensor
    novelty: torch.Tensor


TRAITS = {"lai": ALL["lai"]}
LAW = FieldInterval(factor=1.2, floor=1.0, widening=0.5)


def found(novelty: list[float]) -> Found:
    n = len(novelty)
    mean, sd = torch.full((n,), 4.0), torch.linspace(0.2, 0.5, n)
    parts = ({"lai": x} for x in (mean, sd, mean - sd, mean + sd))
    return Found(*parts, torch.zeros(n), torch.tensor(novelty))


def test_the_width_is_that_of_the_formula_and_the_sd_belongs_to_it():
    given = found([0.5, 0.5, 1.0])
    made = with_field_intervals(given, {"lai": LAW}, TRAITS)
    half = 1.2 * (1.0 + given.sd["lai"].square()).sqrt()
    torch.testing.assert_close(made.p975["lai"], 4.0 + half)
    torch.testing.assert_close(made.p025["lai"], 4.0 - half)
    torch.testing.assert_close(made.sd["lai"], half / 1.959964)


def test_far_from_the_simulations_intervals_are_wider():
    width = with_field_intervals(found([1.0, 3.0, 9.0]), {"lai": LAW}, TRAITS).sd["lai"]
    near = with_field_intervals(found([1.0, 1.0, 1.0]), {"lai": LAW}, TRAITS).sd["lai"]
    torch.testing.assert_close(width / near, 1 + 0.5 * torch.tensor([1.0, 3.0, 9.0]).log())


def test_ends_stay_within_the_traits_bounds():
    wide = with_field_intervals(found([0.5]), {"lai": FieldInterval(factor=90.0)}, TRAITS)
    assert float(wide.p025["lai"]) == 0.0
    assert float(wide.p975["lai"]) == pytest.approx(ALL["lai"].high)


def test_a_trait_without_numbers_keeps_the_posteriors_interval():
    given = found([0.5, 7.0])
    assert with_field_intervals(given, {"cab": LAW}, TRAITS) is given


def test_a_plain_number_is_a_factor():
    assert FieldInterval.model_validate(2.0) == FieldInterval(factor=2.0)
    with pytest.raises(ValueError, match="factor"):
        FieldInterval.model_validate({"floor": 1.0})


def test_every_default_trait_of_the_sentinel_2_models_says_what_its_interval_rests_on():
    for name in ("sentinel-2", "sentinel-2-crops"):
        model = physvae.load(name)
        for method in ("amortised", "refined", "lut", "lm"):
            laws = model.field[method]
            basis = {trait: law.basis for trait, law in laws.items()}
            assert set(basis) >= {"lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover"}
            assert {k for k, v in basis.items() if v == "transferred"} == {"cw", "cwc"}
