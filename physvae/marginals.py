"""One variable's prior: a distribution between two bounds, as a map of a standard normal score.

    normal      N(mean, sd²) truncated to [low, high]
    lognormal   ln v ~ N(mean, sd²), truncated to [low, high], low > 0
    uniform     between low and high
    beta        low + (high − low)·Beta(a, b)

The first is exact (`physvae.distributions`); the others go by a table of v over the score,
v = F⁻¹(Φ(w)) at 2401 scores in ±6 and linear between: exact at the nodes, and a density that
integrates to one, because density and map are those of the same table.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import stats
from torch import Tensor

from physvae.distributions import SCORE_LIMIT

NODES = 2401


class Marginal(BaseModel):
    """One variable's prior: its kind and numbers, bounds, and what it depends on.

    Attributes
    ----------
    mean, sd : float
        Of the normal before truncation, or of the logarithm for "lognormal".
    a, b : float
        Shape of "beta".
    low, high : float
        Bounds, at LAI 0 where `at_lai_15` gives those at LAI 15.
    times : str
        Another variable, of which this one is a multiple.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["normal", "lognormal", "uniform", "beta"] = "normal"
    mean: float = 0.0
    sd: float = Field(default=1.0, gt=0)
    low: float
    high: float
    a: float = Field(default=1.0, gt=0)
    b: float = Field(default=1.0, gt=0)
    at_lai_15: tuple[float, float] | None = None
    times: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Marginal":
        if not self.low < self.high:
            raise ValueError(f"low: expected below high, got {self.low} and {self.high}")
        if self.kind == "lognormal" and self.low <= 0:
            raise ValueError(f"low: expected above 0 for a lognormal, got {self.low}")
        needed = {"mean", "sd"} if "normal" in self.kind else {"a", "b"}
        absent = needed - self.model_fields_set
        if absent and self.kind != "uniform":
            raise ValueError(f"{min(absent)}: expected for a {self.kind}, got none")
        return self

    @property
    def centre(self) -> float:
        """The mean before truncation of a normal, the median of the others."""
        return self.mean if self.kind == "normal" else float(table(self)[NODES // 2])


def _lognormal(m: Marginal):
    """Of ln v."""
    bounds = ((np.log(bound) - m.mean) / m.sd for bound in (m.low, m.high))
    return stats.truncnorm(*bounds, loc=m.mean, scale=m.sd)


KINDS: dict[str, Callable] = {
    "lognormal": _lognormal,
    "uniform": lambda m: stats.uniform(m.low, m.high - m.low),
    "beta": lambda m: stats.beta(m.a, m.b, m.low, m.high - m.low),
}


def table(m: Marginal) -> np.ndarray:
    """Values [node] at the scores −6 … 6, strictly rising; float64."""
    return _table(m.model_dump_json(exclude={"at_lai_15", "times"}, exclude_unset=True))


@lru_cache(maxsize=256)
def _table(text: str) -> np.ndarray:
    m = Marginal.model_validate_json(text)
    score = np.linspace(-SCORE_LIMIT, SCORE_LIMIT, NODES)
    law, tail = KINDS[m.kind](m), stats.norm.cdf(-np.abs(score))
    value = np.where(score < 0, law.ppf(tail), law.isf(tail))
    value = np.exp(value) if m.kind == "lognormal" else value
    rise = 1e-7 * np.linspace(0.0, 1.0, NODES)  # where tails are flat
    return m.low + (1 - 1e-7) * (value - m.low) + (m.high - m.low) * rise


def table_value(w: Tensor, nodes: Tensor) -> Tensor:
    """v [..., variable] at scores w [..., variable], by tables [variable, node]."""
    cell, share = _cell(w)
    low, high = _ends(cell, nodes)
    return low + share * (high - low)


def table_score(v: Tensor, nodes: Tensor) -> Tensor:
    """The inverse of `table_value`."""
    flat = v.reshape(-1, v.shape[-1]).T.contiguous()
    cell = torch.searchsorted(nodes, flat).sub(1).clamp(0, NODES - 2).T.reshape(v.shape)
    low, high = _ends(cell, nodes)
    share = ((v - low) / (high - low)).clamp(0.0, 1.0)
    return (cell + share) * (2 * SCORE_LIMIT / (NODES - 1)) - SCORE_LIMIT


def table_slope(w: Tensor, nodes: Tensor) -> Tensor:
    """dv/dw [..., variable], constant between nodes."""
    low, high = _ends(_cell(w)[0], nodes)
    return (high - low) * ((NODES - 1) / (2 * SCORE_LIMIT))


def _cell(w: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of every score, and how far into it the score lies (differentiable)."""
    place = (w.clamp(-SCORE_LIMIT, SCORE_LIMIT) + SCORE_LIMIT) * ((NODES - 1) / (2 * SCORE_LIMIT))
    cell = place.detach().floor().clamp(0, NODES - 2)
    return cell.long(), place - cell


def _ends(cell: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    column = torch.arange(len(nodes), device=nodes.device)
    return nodes[column, cell], nodes[column, cell + 1]
