r"""Intervals meant for measurements: what campaigns taught of the errors of an estimate.

The posterior is right for simulations. A measurement differs by more: plots are no pixels, and
quantities and canopies are not those of the prior. Per trait and method, with σ the sd of the
posterior, d the larger of novelty and misfit (1 at the limits that simulations keep),

    s    = √(a² + σ²) · (1 + c·ln max(1, d))       a floor, c widening far from the simulations
    p025 = mean − k s,   p975 = mean + k s          within the trait's bounds
    sd   = k s / 1.96

a and k are found on measured plots (`validation.evidence.field_intervals`); c is set, because too
few measured plots lie far from the simulations to find it. `basis` says what k rests on:
"measured" plots of the trait, or "transferred" from another trait, because no canopy was measured.
"""

import copy
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rtm import Parameter

NORMAL_95 = 1.959963984540054
WIDENING = 0.5
Found = TypeVar("Found", bound=Any)


class FieldInterval(BaseModel):
    """The numbers of one trait; a plain number is k, with no floor and no widening.

    Attributes
    ----------
    factor : float
        k.
    floor : float
        a, in the trait's unit.
    widening : float
        c.
    basis : str
        What k rests on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: float = Field(gt=0)
    floor: float = Field(default=0.0, ge=0)
    widening: float = Field(default=0.0, ge=0)
    basis: Literal["measured", "transferred"] = "measured"

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return {"factor": value} if number else value

    def __str__(self) -> str:
        if not self.floor:
            return f"mean ± {self.factor:.3g} standard deviations"
        return f"mean ± {self.factor:.3g} √({self.floor:.3g}² + sd²)"


def with_field_intervals(
    found: Found, intervals: Mapping[str, FieldInterval], traits: Mapping[str, Parameter]
) -> Found:
    """An estimate (see `physvae.estimate.Estimate`) with sd and interval of measurements.

    Traits that `intervals` does not name stay as the posterior has them.
    """
    names = [name for name in found.mean if name in intervals]
    if not names:
        return found
    far = torch.maximum(found.novelty, found.misfit).clamp_min(1.0).log_()
    sd, low, high = dict(found.sd), dict(found.p025), dict(found.p975)
    for name in names:
        law, trait, mean = intervals[name], traits[name], found.mean[name]
        half = found.sd[name].square().add_(law.floor**2).sqrt_().mul_(law.factor)
        if law.widening:
            half.mul_(far * law.widening + 1.0)
        sd[name] = half / NORMAL_95
        low[name] = (mean - half).clamp_(trait.low, trait.high)
        high[name] = (mean + half).clamp_(trait.low, trait.high)
    return found._replace(sd=sd, p025=low, p975=high)


def without_field(model: Any) -> Any:
    """A copy of a model of simulations: the intervals of the posterior, the noise of training."""
    made = without_intervals(model)
    made.errors = {}
    return made


def without_intervals(model: Any) -> Any:
    """A copy of a model whose intervals are all those of the posterior."""
    made = copy.copy(model)
    made.field = {}
    return made
