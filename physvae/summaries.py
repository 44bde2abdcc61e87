"""What a map wants of a posterior, straight from the spectrum.

Draws of the joint posterior cost a hundred times what a network costs. A second, small network
therefore learns the marginal posterior of every trait, products included, by maximum likelihood
on the same simulations: v = low + (high − low)/(1 + e^{−w}), w sinh-arcsinh distributed. Quantiles
are exact, mean and standard deviation come by Gauss-Hermite quadrature. It also learns the mean
of the physical spectrum given the one seen, from which the misfit is measured.

What the family lacks is corrected on simulations that training never saw: a nominal normal score
is replaced by the quantile that the scores of true traits have there (after Kuleshov et al. 2018,
arXiv 1807.00263). That is a table for each trait and costs nothing at a pixel.
"""

import copy
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.sinh_arcsinh import SinhArcsinh
from rtm.modes import lasting


def _normal_rule(nodes: int) -> list[tuple[float, float]]:
    """Nodes and weights of a mean over the standard normal distribution."""
    at, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return list(zip(at.tolist(), (weights / weights.sum()).tolist(), strict=True))


NODES = 9
Bound = float | Tensor
_LOWEST, _HIGHEST, _STEP = -3.0, 3.0, 0.25
NOMINAL = lasting(torch.linspace)(_LOWEST, _HIGHEST, 25)  # scores of the table, _STEP apart
_RULE = tuple(_normal_rule(NODES))
_EDGE = 1e-4  # of the range: a trait at its bound has no finite w


class Stretch(NamedTuple):
    """A trait, or traits on the last axis, times a factor and plus a shift, within bounds."""

    factor: Tensor
    shift: Tensor

    def to(self, value: Tensor, low: Bound, high: Bound) -> Tensor:
        """Values after it."""
        return torch.addcmul(self.shift, self.factor, value).clamp(low, high)  # pyright: ignore

    def sd(self, sd: Tensor, mean: Tensor, low: Bound, high: Bound) -> Tensor:
        """Standard deviation after it, with the mean after it.

        One that becomes larger is at most √((mean − low) (high − mean)), which no law within
        the bounds exceeds (Bhatia & Davis 2000, Am. Math. Monthly 107, 353).
        """
        most = ((mean - low) * (high - mean)).clamp_min(0.0).sqrt()
        grown = self.factor * sd
        return torch.where(self.factor > 1.0, torch.minimum(grown, most), grown)

    def back(self, value: Tensor) -> Tensor:
        """Values before it."""
        return (value - self.shift) / self.factor


class Marginals:
    """Marginal posterior of traits [..., trait].

    Parameters
    ----------
    law : SinhArcsinh
        Of w.
    low, high : Tensor [trait]
        Bounds, in the traits' units.
    table : Tensor [score, trait]
        Scores of the law in the place of the nominal ones.
    widen : Tensor [trait]
        Factors on the nominal score, 1 without.
    """

    def __init__(
        self, law: SinhArcsinh, low: Tensor, high: Tensor, *, table: Tensor, widen: Tensor
    ):
        self.law, self.low, self.high = law, low, high
        self.table, self.widen = table, widen
        self._stretch: Stretch | None = None

    def stretched(self, by: "Stretch") -> "Marginals":
        """The marginals of the traits after a stretch."""
        twin = copy.copy(self)
        twin._stretch = by
        return twin

    def first(self, count: int) -> "Marginals":
        """The marginals of the first traits alone."""
        return self.part(slice(count))

    def part(self, traits: slice) -> "Marginals":
        """The marginals of some neighbouring traits alone."""
        law = SinhArcsinh(*(x[..., traits] for x in self.law))
        twin = Marginals(
            law, self.low[traits], self.high[traits],
            table=self.table[:, traits], widen=self.widen[traits],
        )  # fmt: skip
        if self._stretch is not None:
            twin._stretch = Stretch(*(x[..., traits] for x in self._stretch))
        return twin

    def quantile(self, score: float | Tensor) -> Tensor:
        """Traits [..., trait] at the standard normal score of a probability; broadcasts."""
        value = self.low + (self.high - self.low) * self._share(score)
        if self._stretch is None:
            return value
        return self._stretch.to(value, self.low, self.high)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [..., trait]."""
        mean, sd = self._moments
        if self._stretch is None:
            return mean, sd
        mean = self._stretch.to(mean, self.low, self.high)
        return mean, self._stretch.sd(sd, mean, self.low, self.high)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """The same before a stretch."""
        middle = self._share(0.0)  # from which deviations keep their digits
        first, second = torch.zeros_like(middle), torch.zeros_like(middle)
        for node, weight in _RULE:
            if node != 0.0:
                away = self._share(node).sub_(middle)
                first.add_(away, alpha=weight)
                second.addcmul_(away, away, value=weight)
        variance = second.addcmul_(first, first, value=-1.0).clamp_min_(0.0)
        span = self.high - self.low
        return self.low + span * (middle + first).clamp_(0.0, 1.0), span * variance.sqrt_()

    def raw_score(self, value: Tensor) -> Tensor:
        """Scores [..., trait] of traits as the law alone has them."""
        return self.law.score(self.logit(value))

    def score(self, value: Tensor) -> Tensor:
        """Standard normal scores [..., trait] of traits; N(0, 1) where the marginals are true."""
        if self._stretch is not None:
            value = self._stretch.back(value)
        return self._nominal(self.raw_score(value)) / self.widen

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density of w [..., trait], of the law alone."""
        return self.law.log_prob(self.logit(value))

    def logit(self, value: Tensor) -> Tensor:
        """The w of traits."""
        share = (value - self.low) / (self.high - self.low)
        return share.clamp(_EDGE, 1 - _EDGE).logit()

    def _share(self, score: float | Tensor) -> Tensor:
        """How far up their range traits [..., trait] lie at a normal score, 0 to 1."""
        return self.law.at(self._actual(self.widen * score)).sigmoid_()

    def _actual(self, nominal: Tensor) -> Tensor:
        """[trait], linear between the nodes of the table and of slope 1 beyond them."""
        inside = nominal.clamp(_LOWEST, _HIGHEST)
        place = (inside - _LOWEST) / _STEP
        cell = place.long().clamp(max=len(NOMINAL) - 2)
        column = torch.arange(nominal.shape[-1])
        low, high = self.table[cell, column], self.table[cell + 1, column]
        return low + (place - cell) * (high - low) + nominal - inside

    def _nominal(self, actual: Tensor) -> Tensor:
        """The inverse, of [..., trait]."""
        inside = torch.minimum(torch.maximum(actual, self.table[0]), self.table[-1])
        flat = inside.reshape(-1, len(self.widen)).T.contiguous()
        cell = torch.searchsorted(self.table.T.contiguous(), flat).sub(1)
        cell = cell.clamp(0, len(NOMINAL) - 2).T.reshape(actual.shape)
        column = torch.arange(len(self.widen))
        low, high = self.table[cell, column], self.table[cell + 1, column]
        place = cell + (inside - low) / (high - low)
        return _LOWEST + place * _STEP + actual - inside


class Summary(NamedTuple):
    """Marginals of the traits asked for, and the standardised physical spectrum [..., band]."""

    marginals: Marginals
    physical: Tensor


class Summaries(nn.Module):
    """Network from features to the marginals of traits and to the physical spectrum.

    Parameters
    ----------
    inputs, bands : int
        Features, bands.
    low, high : Tensor [trait]
        Bounds of the traits.
    hidden : list of int
        Bands that are not looked at.
    width, depth : int
        Hidden size and hidden layers.
    """

    low: Tensor
    high: Tensor
    looked_at: Tensor
    table: Tensor
    widen: Tensor

    def __init__(
        self, inputs: int, bands: int, low: Tensor, high: Tensor, hidden: list[int], *,
        width: int, depth: int,
    ):  # fmt: skip
        super().__init__()
        self.traits, self.hidden = len(low), hidden
        looked_at = torch.ones(bands, dtype=torch.bool)
        looked_at[hidden] = False
        self.register_buffer("looked_at", looked_at, persistent=False)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("table", NOMINAL.unsqueeze(-1).repeat(1, self.traits))
        self.register_buffer("widen", torch.ones(self.traits))
        sizes = [inputs, *[width] * depth]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())]
        self.trunk = nn.Sequential(*layers)
        self.last = nn.Linear(width, 4 * self.traits + bands)

    def forward(
        self, features: Float[Tensor, "*batch feature"], traits: list[int] | None = None
    ) -> Summary:
        """Marginals of the traits with these numbers, or of all."""
        chosen = list(range(self.traits)) if traits is None else traits
        weight, bias = self.last_layer(chosen)
        out, n = _by_columns(self.trunk(features), weight, bias), len(chosen)
        parts = [out[..., k * n : (k + 1) * n] for k in range(4)]
        return Summary(self.marginals(parts, chosen), out[..., 4 * n :])

    def last_layer(self, traits: list[int]) -> tuple[Tensor, Tensor]:
        """Weight [output, hidden] and bias [output]: four numbers of each trait, the bands.

        The numbers are in the order of `marginals`, each for all traits.
        """
        rows = [k * self.traits + t for k in range(4) for t in traits]
        rows += range(4 * self.traits, len(self.last.bias))
        return self.last.weight[rows], self.last.bias[rows]

    def marginals(self, parts: Sequence[Tensor], traits: list[int]) -> Marginals:
        """From what the last layer says of traits, four tensors [..., trait]."""
        location, scale, skewness, tail = parts
        law = SinhArcsinh(
            location, scale.clamp(-8.0, 4.0).exp(), skewness, tail.clamp(-1.5, 1.5).exp()
        )
        return Marginals(
            law, self.low[traits], self.high[traits],
            table=self.table[:, traits], widen=self.widen[traits],
        )  # fmt: skip

    def look(self, reflectance: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """Reflectance with NaN in the hidden bands."""
        if not self.hidden:
            return reflectance
        return torch.where(self.looked_at, reflectance, torch.nan)

    @torch.no_grad()
    def calibrate(self, scores: Tensor) -> None:
        """Set the table from the raw scores [n, trait] of true traits."""
        levels = torch.special.ndtr(NOMINAL.double()).to(scores)
        columns = [torch.quantile(column, levels) for column in scores.unbind(-1)]
        self.table.copy_(torch.stack(columns, -1))
        rise = 1e-4 * NOMINAL.unsqueeze(-1)  # strictly rising, also where traits pile up
        self.table.copy_(self.table.cummax(0).values + rise)


def _by_columns(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer [..., output] that lies in memory column by column.

    What follows takes a few columns at a time, over all pixels: thrice as quick as across rows.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    return torch.addmm(bias.unsqueeze(-1), weight, flat.T).T.reshape(*hidden.shape[:-1], -1)
