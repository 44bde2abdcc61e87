r"""Another prior in the place of a model's: which one it is, and how much likelier it makes θ.

The new prior is the model's with the distributions of some variables exchanged,
v_i = G_i⁻¹(Φ(w_i)) for v_i = F_i⁻¹(Φ(w_i)); all others, and the correlations R of the normal
scores w, stay. A posterior of the model becomes that of the new prior by the weights

    r(θ) = p′(θ) / p(θ) = Π_i g_i(v_i) / f_i(v_i) · c(w′; R) / c(w; R),

c the density of the Gaussian copula. Where r is about Gaussian in the scores of the model, this
is the same as having measured w_i ≈ y_i with the variance V_i, N(w; 0, 1) N(y; w, V) ∝ N(a, b²),

    V = b² / (1 − b²),   y = a (1 + V),

with a and b the moments of the new variable's score in the model's scale. Measurements propose
draws, so that b is at most 0.85 and V half as large again, with the same a.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from physvae.draws import sobol_points
from physvae.marginals import Marginal
from physvae.priors import Prior

NODES = 2049  # of a table of scores
POINTS = 4096  # of the new prior, for its moments
WIDEST = 0.85  # sd of a new score in a measurement; the draws' weights do the rest
SHIFTED = 0.2  # mean of a wide new score that is measured all the same
LOOSE = 1.5  # variance of a measurement over that of the Gaussian: its tails are wide


class Measured(NamedTuple):
    """Scores of variables with these columns: y and V, each [variable]."""

    columns: list[int]
    value: Tensor
    variance: Tensor

    def expand(self, count: int) -> "Measured":
        """The same for so many spectra, [n, variable]."""
        value, variance = (part.expand(count, -1) for part in self[1:])
        return Measured(self.columns, value, variance)


class PriorChange:
    """From the prior of a model to a new one.

    Parameters
    ----------
    old : Prior
        Of the model.
    marginals : mapping of str to Marginal
        New distributions, of variables of the model.

    Attributes
    ----------
    old, new : Prior
        Both priors, of the same variables in the same order.
    own, linked : list of int
        Columns whose values the ratio needs, LAI first; columns whose correlated scores it needs.
    measured : Measured
        The change as measurements of scores.
    moments : Measured
        Mean and variance of the new variables' scores.
    lai_sd : float
        Standard deviation of LAI in the new prior.
    """

    def __init__(self, old: Prior, marginals: Mapping[str, Marginal]):
        kept = {name: marginals.get(name, m) for name, m in old.marginals.items()}
        self.old, self.new = old, Prior(kept, old.space, old.correlation).to(old.mean)
        changed = [name for name in kept if name in marginals]
        self.own, self.linked = _with_bases(kept, changed, old), _linked(old, changed)
        names = [old.space.names[i] for i in self.own]
        self._parts = tuple(_uncorrelated(p, names) for p in (old, self.new))
        self._known: dict[tuple[str, ...], Prior] = {}
        self._exchanged = [old.space.index(name) for name in changed]
        self._both = [i for i in self._exchanged if i in self.linked]
        if self.linked:
            mixing = self.old.mixing[self.linked].double()
            self._unmixing = torch.linalg.cholesky(mixing @ mixing.T).inverse().to(old.mean)
            self._table = self._tabled(self._parts[1])
        self.measured, self.moments, self.lai_sd = self._moments()

    def log_ratio(self, theta: Tensor, w: Tensor) -> Tensor:
        """ln r [...] but for a constant; −inf where either prior has no such θ.

        Parameters
        ----------
        theta : Tensor [..., own]
            Variables.
        w : Tensor [..., linked]
            Correlated scores in the model.
        """
        old, new = self._parts
        before, after = old.log_prob(theta), new.log_prob(theta)
        ratio = torch.where(before.isfinite(), after - before, -torch.inf)
        if not self.linked:
            return ratio
        columns = list(w.unbind(-1))
        for i, score in zip(self._both, self._scores(theta).unbind(-1), strict=True):
            columns[self.linked.index(i)] = score
        copula = self._copula(torch.stack(columns, -1)) - self._copula(w)
        return torch.where(ratio.isfinite(), ratio + copula, ratio)

    def _scores(self, theta: Tensor) -> Tensor:
        """New scores [..., both] of linked variables, from a table fine enough for weights."""
        new, places = self._parts[1], [self.own.index(i) for i in self._both]
        low, high = new.low[places], new.high[places]
        share = ((new.undo(theta)[..., places] - low) / (high - low)).clamp(0.0, 1.0)
        place = share * (NODES - 1)
        cell = place.long().clamp_max(NODES - 2)
        column = torch.arange(len(places), device=cell.device)
        below, above = self._table[cell, column], self._table[cell + 1, column]
        return torch.lerp(below, above, place - cell)

    def _tabled(self, new: Prior) -> Tensor:
        """Scores [node, both] at even steps through the new ranges."""
        share = torch.linspace(0.0, 1.0, NODES, dtype=torch.float64)[:, None]
        exact, places = copy.deepcopy(new).double().cpu(), [self.own.index(i) for i in self._both]
        scores = exact.own_score(exact.low + (exact.high - exact.low) * share)
        return scores[:, places].to(new.mean)

    def _copula(self, w: Tensor) -> Tensor:
        """ln of the Gaussian copula's density [...] at correlated scores."""
        u = w @ self._unmixing.T
        return 0.5 * (w.square() - u.square()).sum(-1)

    def part(self, names: tuple[str, ...]) -> Prior:
        """The model's prior of some variables of correlated scores, LAI first."""
        if names not in self._known:
            self._known[names] = _uncorrelated(self.old, names)
        return self._known[names]

    def _moments(self) -> tuple[Measured, Measured, float]:
        old, new = self._parts
        theta = new(torch.special.ndtri(sobol_points(POINTS, len(self.own)).to(old.mean)))
        w = old.to_score(theta)[old.log_prob(theta).isfinite()]
        mean, wide = w.mean(0), w.std(0).clamp_min(1e-3)
        sd = wide.clamp_max(WIDEST)
        places = [self.own.index(i) for i in self._exchanged]
        chosen = [k for k in places if wide[k] < WIDEST or mean[k].abs() > SHIFTED]
        variance = LOOSE * sd[chosen].square() / (1.0 - sd[chosen].square())
        value = mean[chosen] * (1.0 + variance)
        found = Measured([self.own[k] for k in chosen], value, variance)
        moments = Measured(self._exchanged, mean[places], wide[places].square())
        return found, moments, float(theta[:, 0].std())


def _uncorrelated(prior: Prior, names: Sequence[str]) -> Prior:
    """The prior of some variables, as a map of their correlated scores."""
    return Prior({name: prior.marginals[name] for name in names}, prior.space).to(prior.mean)


def _with_bases(kept: Mapping[str, Marginal], changed: list[str], old: Prior) -> list[int]:
    """Columns of LAI, of changed variables and of what these are a multiple of."""
    names = {"lai", *changed}
    for name in changed:
        names |= {m.times for m in (kept[name], old.marginals[name]) if m.times}
    return sorted(old.space.index(name) for name in names)


def _linked(old: Prior, changed: list[str]) -> list[int]:
    """Columns of variables whose scores are correlated with those of changed ones, these too."""
    if not old.correlated:
        return []
    related = old.mixing @ old.mixing.T != 0
    group = {old.space.index(name) for name in changed}
    for _ in old.marginals:
        group |= {j for i in group for j in torch.nonzero(related[i]).flatten().tolist()}
    alone = {i for i in group if int(related[i].sum()) == 1}
    return sorted(group - alone)
