"""One variable's prior: a distribution between two bounds, as a map of a standard normal score.

    normal      N(mean, sd²) truncated to [low, high]
    lognormal   ln v ~ N(mean, sd²), truncated to [low, high], low > 0
    uniform     between low and high
    beta        low + (high − low)·Beta(a, b)
    mixture     several kinds of canopy, see `physvae.mixtures`

The first, and mixtures that close with LAI, are exact; the others go by a table of v over the
score, v = F⁻¹(Φ(w)) at 2401 scores in ±6 and linear between: exact at the nodes, and a density
that integrates to one, because density and map are those of the same table.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import stats
from torch import Tensor

from physvae.distributions import SCORE_LIMIT
from physvae.mixtures import Parts, mixture_value

NODES = 2401
FAR = 8.0  # sd beyond its bounds at which the mean of a normal may lie
FLAT = 1e3  # sd of a normal over its range where it stands for a uniform


class Part(BaseModel):
    """One kind of canopy of a mixture; without bounds its range is that of the whole.

    Attributes
    ----------
    share : float
        Of the canopies.
    kind, mean, sd, low, high
        As of a variable.
    closing : float
        Rate at which the range is squeezed towards `high`, by unit of LAI.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    share: float = Field(gt=0, le=1)
    kind: Literal["normal", "uniform"] = "normal"
    mean: float | None = None
    sd: float | None = Field(default=None, gt=0)
    low: float | None = None
    high: float | None = None
    closing: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> "Part":
        absent = [name for name in ("mean", "sd") if getattr(self, name) is None]
        if self.kind == "normal" and absent:
            raise ValueError(f"{absent[0]}: expected for a normal part, got none")
        return self


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
    parts : tuple of Part
        Of a "mixture".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["normal", "lognormal", "uniform", "beta", "mixture"] = "normal"
    mean: float = 0.0
    sd: float = Field(default=1.0, gt=0)
    low: float
    high: float
    a: float = Field(default=1.0, gt=0)
    b: float = Field(default=1.0, gt=0)
    at_lai_15: tuple[float, float] | None = None
    times: str | None = None
    parts: tuple[Part, ...] = ()

    @model_validator(mode="after")
    def _mixed(self) -> "Marginal":
        if (self.kind == "mixture") != bool(self.parts):
            raise ValueError(f"parts: expected for a mixture and it alone, got {self.kind}")
        if self.parts and abs(sum(part.share for part in self.parts) - 1) > 1e-6:
            raise ValueError(
                f"parts: expected shares that sum to 1, got {[part.share for part in self.parts]}"
            )
        if self.parts and self.at_lai_15:
            raise ValueError("at_lai_15: expected none for a mixture, whose parts may close")
        for part in self.parts:
            low, high = self.ends(part)
            if not self.low <= low < high <= self.high:
                raise ValueError(
                    f"parts: expected bounds within {self.low} and {self.high}, got {low}, {high}"
                )
            if part.kind == "normal" and not -8 < _away(part, low, high) < 8:
                raise ValueError(
                    f"parts: expected a mean within 8 sd of its bounds, got {part.mean}"
                )
        return self

    @model_validator(mode="after")
    def _ordered(self) -> "Marginal":
        if not self.low < self.high:
            raise ValueError(f"low: expected below high, got {self.low} and {self.high}")
        if self.kind == "lognormal" and self.low <= 0:
            raise ValueError(f"low: expected above 0 for a lognormal, got {self.low}")
        needed = {"mean", "sd"} if "normal" in self.kind else {"a", "b"}
        absent = needed - self.model_fields_set
        if absent and self.kind not in ("uniform", "mixture"):
            raise ValueError(f"{min(absent)}: expected for a {self.kind}, got none")
        return self

    def ends(self, part: Part) -> tuple[float, float]:
        """Bounds of a part."""
        low, high = part.low, part.high
        return self.low if low is None else low, self.high if high is None else high

    @property
    def rows(self) -> list[tuple[float, ...]]:
        """Numbers of each part as `physvae.mixtures.Parts` has them."""
        found = []
        for part in self.parts:
            low, high = self.ends(part)
            mean, sd = part.mean, part.sd
            if mean is None or sd is None or part.kind == "uniform":
                mean, sd = 0.5 * (low + high), FLAT * (high - low)
            found.append((part.share, mean, sd, low, high, part.closing))
        return found

    @property
    def closes(self) -> bool:
        """Whether a part of it depends on LAI."""
        return any(part.closing > 0 for part in self.parts)

    @property
    def centre(self) -> float:
        """The mean before truncation of normals, the median of the others."""
        if self.parts:
            return sum(row[0] * row[1] for row in self.rows)
        return self.mean if self.kind == "normal" else float(table(self)[NODES // 2])


def within(m: Marginal, low: float, high: float) -> Marginal:
    """The same distribution within narrower bounds.

    Raises
    ------
    ValueError
        It has next to nothing there, or is of a kind that cannot be cut.
    """
    same = (low, high) == (m.low, m.high)
    if (m.kind == "beta" or m.closes) and same:
        return m
    if m.kind == "beta" or m.closes:
        raise ValueError(f"expected a distribution, since a {m.kind} cannot be cut, got bounds")
    changed: dict[str, Any] = {"low": low, "high": high}
    if m.at_lai_15:
        changed["at_lai_15"] = tuple(min(max(end, low), high) for end in m.at_lai_15)
    if m.kind in ("normal", "lognormal"):
        ends = (low, high) if m.kind == "normal" else np.log([low, high])
        away = (m.mean - min(max(m.mean, ends[0]), ends[1])) / m.sd
        if not -FAR < away < FAR:
            raise ValueError(f"expected a mean within {FAR:g} sd of {low:g} to {high:g}")
    if m.parts:
        changed["parts"] = _cut_parts(m, low, high)
    given = {key: getattr(m, key) for key in m.model_fields_set}
    return Marginal.model_validate({**given, **changed})


def _cut_parts(m: Marginal, low: float, high: float) -> tuple[Part, ...]:
    """Parts within bounds, each with the share that it has there."""
    found = []
    for part, (share, mean, sd, *own) in zip(m.parts, m.rows, strict=True):
        ends = max(low, own[0]), min(high, own[1])
        if ends[0] < ends[1]:
            before, there = (np.diff(stats.norm.cdf(e, mean, sd))[0] for e in (own[:2], ends))
            found.append((part, float(share * there / before), ends))
    total = sum(share for _, share, _ in found)
    if not total > 1e-9:
        raise ValueError(f"expected bounds where the distribution is, got {low:g} to {high:g}")
    return tuple(
        part.model_copy(update={"share": share / total, "low": ends[0], "high": ends[1]})
        for part, share, ends in found if share > 1e-9 * total
    )  # fmt: skip


def _away(part: Part, low: float, high: float) -> float:
    """Standard deviations that the mean lies outside the bounds."""
    mean, sd = part.mean or 0.0, part.sd or 1.0
    return (mean - min(max(mean, low), high)) / sd


def _lognormal(m: Marginal):
    """Of ln v."""
    bounds = ((np.log(bound) - m.mean) / m.sd for bound in (m.low, m.high))
    return stats.truncnorm(*bounds, loc=m.mean, scale=m.sd)


class _Mixture:
    """Of parts that do not close, with the two calls of scipy that a table makes."""

    def __init__(self, m: Marginal):
        self.parts = Parts(*torch.tensor(m.rows, dtype=torch.float64).T)

    def ppf(self, p: np.ndarray) -> np.ndarray:
        w = torch.special.ndtri(torch.from_numpy(p))
        return mixture_value(w, torch.zeros_like(w), self.parts).numpy()

    def isf(self, p: np.ndarray) -> np.ndarray:
        w = -torch.special.ndtri(torch.from_numpy(p))
        return mixture_value(w, torch.zeros_like(w), self.parts).numpy()


KINDS: dict[str, Callable] = {
    "lognormal": _lognormal,
    "uniform": lambda m: stats.uniform(m.low, m.high - m.low),
    "beta": lambda m: stats.beta(m.a, m.b, m.low, m.high - m.low),
    "mixture": _Mixture,
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
