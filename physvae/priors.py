"""Prior over the physical variables, with the co-distribution of LAI.

A variable V is a truncated normal between V_min and V_max; some have bounds that depend on
LAI (L), some are a multiple of another variable:

    V′ = (V − V_min) · (V_max(L) − V_min(L)) / (V_max − V_min) + V_min(L)
    V_min(L) = V_min + (V_min,15 − V_min) · L/15,   the same for V_max
    V″ = V · W                                      (carotenoids as a share of chlorophyll)

after Weiss & Baret (2016), S2ToolBox Level 2 products ATBD, section 3.1. Variables may be of other
kinds (`physvae.marginals`), mixtures that change with LAI (`physvae.mixtures`), and correlated by
a Gaussian copula with the correlations R = L Lᵀ:

    w = L u,   v_i = F_i⁻¹(Φ(w_i)).

The map from standard normal scores u to variables θ is triangular (LAI first), so that u ~ N(0, I)
is the prior itself.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from physvae.distributions import (
    SCORE_LIMIT,
    truncated_log_prob,
    truncated_quantile,
    truncated_score,
)
from physvae.marginals import Marginal, table, table_score, table_slope, table_value
from physvae.mixtures import Parts, mixture_log_prob, mixture_score, mixture_value
from rtm import Parameter, ParameterSpace

LAI_REFERENCE = 15.0  # LAI at which the second pair of bounds holds (Weiss & Baret 2016)


class Prior(nn.Module):
    """Joint prior of the variables, as a triangular map of standard normal scores.

    Parameters
    ----------
    marginals : dict[str, Marginal]
        By PROSAIL name; `lai` must come first, a variable named in `times` before its user.
    source : ParameterSpace
        Where symbols and units are looked up.
    correlation : sequence
        Pairs of names (`between`) and the correlation of their normal scores (`value`).

    Raises
    ------
    ValueError
        LAI not first, an unknown variable, or correlations that no distribution has.

    Attributes
    ----------
    space : ParameterSpace
        The variables in order, with the bounds they can reach.
    """

    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor
    low_15: Tensor
    high_15: Tensor
    alpha: Tensor
    beta: Tensor
    mixing: Tensor
    tabled: Tensor
    nodes: Tensor

    def __init__(
        self, marginals: dict[str, Marginal], source: ParameterSpace, correlation: Sequence = ()
    ):
        super().__init__()
        names = list(marginals)
        if names[0] != "lai":
            raise ValueError(f"prior: expected lai as the first variable, got {names[0][:60]}")
        if marginals["lai"].closes:
            raise ValueError("prior.lai: expected no part that closes as LAI grows, got one")
        self.marginals = marginals
        self._multiples = [
            (names.index(name), names.index(m.times)) for name, m in marginals.items() if m.times
        ]
        rows = [_row(m) for m in marginals.values()]
        table = torch.tensor(rows, dtype=torch.float64)
        for name, column in zip(
            ("mean", "sd", "low", "high", "low_15", "high_15"), table.unbind(-1), strict=True
        ):
            self.register_buffer(name, column, persistent=False)
        self.register_buffer("alpha", (self.low - self.mean) / self.sd, persistent=False)
        self.register_buffer("beta", (self.high - self.mean) / self.sd, persistent=False)
        self._tables()
        self.correlation, self.correlated = tuple(correlation), bool(correlation)
        self.register_buffer("mixing", _cholesky(names, correlation), persistent=False)
        self.space = ParameterSpace(tuple(self._described(name, source) for name in names))

    def _tables(self) -> None:
        """Columns of other kinds: their score itself takes the place of the standard value."""
        kinds = list(enumerate(self.marginals.values()))
        others = [i for i, m in kinds if m.kind != "normal"]
        self.alpha[others], self.beta[others] = -SCORE_LIMIT, SCORE_LIMIT
        where = [i for i, m in kinds if m.kind != "normal" and not m.closes]
        nodes = [torch.from_numpy(table(m)) for i, m in kinds if i in where]
        self._mixed = [i for i, m in kinds if m.closes]
        for i in self._mixed:
            rows = torch.tensor(kinds[i][1].rows, dtype=torch.float64)
            self.register_buffer(f"parts_{i}", rows.T.contiguous(), persistent=False)
        self.register_buffer("tabled", torch.tensor(where, dtype=torch.long), persistent=False)
        self.register_buffer(
            "nodes", torch.stack(nodes) if nodes else torch.empty(0, 0), persistent=False
        )

    def forward(self, u: Tensor, lai: Tensor | None = None) -> Tensor:
        """Variables θ [..., parameter] from standard normal scores u [..., parameter].

        With LAI [...] the others follow given it, and its own score does not count.
        """
        v = self._value(u @ self.mixing.T if self.correlated else u, lai)
        low, high = self._bounds(v[..., :1])
        theta = (v - self.low) * (high - low) / (self.high - self.low) + low
        return self._multiply(theta)

    def named(self, u: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Some variables by name [...] from scores u [..., parameter], without all the others.

        LAI, and what a variable is a multiple of, come along: the map is triangular.
        """
        wanted = {"lai", *names}
        wanted |= {base for name in wanted if (base := self.marginals[name].times)}
        kept = {name: m for name, m in self.marginals.items() if name in wanted}
        part = Prior(kept, self.space).to(self.mean)
        columns = [self.space.index(name) for name in kept]
        own = u @ self.mixing[columns].T if self.correlated else u[..., columns]
        return part.space.split(part(own))

    def to_score(self, theta: Tensor) -> Tensor:
        """Scores u [..., parameter] of variables θ: the inverse of calling the prior."""
        w = self.own_score(self.undo(theta))
        if not self.correlated:
            return w
        return torch.linalg.solve_triangular(self.mixing, w.unsqueeze(-1), upper=False)[..., 0]

    def log_prob(self, theta: Tensor) -> Tensor:
        """Log density [...] of θ [..., parameter] in the variables' own units."""
        v = self.undo(theta)
        low, high = self._bounds(theta[..., :1])
        stretch = (high - low) / (self.high - self.low)
        density = self._own_log_prob(v)
        jacobian = stretch.log()
        for user, base in self._multiples:
            jacobian = jacobian + _one_hot(user, theta) * theta[..., base : base + 1].log()
        total = (density - jacobian).sum(-1)
        if not self.correlated:
            return total
        w = self.own_score(v)
        u = torch.linalg.solve_triangular(self.mixing, w.unsqueeze(-1), upper=False)[..., 0]
        copula = standard_normal_log_prob(u) - standard_normal_log_prob(w)
        return total + copula - self.mixing.diagonal().log().sum()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws of θ [n, parameter]."""
        kind = {"dtype": self.mean.dtype, "device": self.mean.device}
        return self(torch.randn(n, len(self.space), generator=generator, **kind))

    def _value(self, w: Tensor, lai: Tensor | None) -> Tensor:
        v = self.mean + self.sd * truncated_quantile(w, self.alpha, self.beta)
        if len(self.tabled):
            v = v.index_copy(-1, self.tabled, table_value(w[..., self.tabled], self.nodes))
        if lai is not None:
            v = torch.cat((lai.unsqueeze(-1), v[..., 1:]), -1)
        return self._with_mixtures(v, mixture_value, w, v)

    def own_score(self, v: Tensor) -> Tensor:
        """Correlated scores w [..., parameter] of what `undo` gives."""
        w = truncated_score((v - self.mean) / self.sd, self.alpha, self.beta)
        if len(self.tabled):
            w = w.index_copy(-1, self.tabled, table_score(v[..., self.tabled], self.nodes))
        return self._with_mixtures(w, mixture_score, v, v)

    def _own_log_prob(self, v: Tensor) -> Tensor:
        """Log density [..., parameter] of every v by itself."""
        density = truncated_log_prob((v - self.mean) / self.sd, self.alpha, self.beta)
        density = density - self.sd.log()
        density = self._with_mixtures(density, mixture_log_prob, v, v)
        if not len(self.tabled):
            return density
        w = table_score(v[..., self.tabled], self.nodes)
        log_phi = -0.5 * (w.square() + math.log(2 * math.pi))
        tabled = log_phi - table_slope(w, self.nodes).log()
        inside = (v >= self.low) & (v <= self.high)
        tabled = torch.where(inside[..., self.tabled], tabled, -torch.inf)
        return density.index_copy(-1, self.tabled, tabled)

    def _with_mixtures(self, result: Tensor, function: Callable, x: Tensor, v: Tensor) -> Tensor:
        """A result [..., parameter], the columns that close by a function of x and LAI."""
        if not self._mixed:
            return result
        columns = list(result.unbind(-1))
        for i in self._mixed:
            columns[i] = function(x[..., i], v[..., 0], Parts(*getattr(self, f"parts_{i}")))
        return torch.stack(columns, -1)

    def _bounds(self, lai: Tensor) -> tuple[Tensor, Tensor]:
        share = lai / LAI_REFERENCE
        low = self.low + (self.low_15 - self.low) * share
        return low, self.high + (self.high_15 - self.high) * share

    def _multiply(self, theta: Tensor) -> Tensor:
        columns = list(theta.unbind(-1))
        for user, base in self._multiples:
            columns[user] = columns[user] * columns[base]
        return torch.stack(columns, -1)

    def undo(self, theta: Tensor) -> Tensor:
        """The variables before LAI moves their bounds and others multiply them."""
        columns = list(theta.unbind(-1))
        for user, base in reversed(self._multiples):
            columns[user] = columns[user] / columns[base].clamp_min(1e-12)
        ratio = torch.stack(columns, -1)
        low, high = self._bounds(theta[..., :1])
        return (ratio - low) * (self.high - self.low) / (high - low) + self.low

    def _described(self, name: str, source: ParameterSpace) -> Parameter:
        known = {p.name: p for p in source.parameters}
        if name not in known:
            raise ValueError(f"prior: expected one of {', '.join(known)}, got {name[:60]}")
        low, high = self._reach(name)
        middle = min(max(self._centre(name), low), high)
        p = known[name]
        return Parameter(p.name, p.symbol, p.unit, low, high, middle, p.aliases, p.description)

    def _reach(self, name: str) -> tuple[float, float]:
        m, top = self.marginals[name], self.marginals["lai"].high / LAI_REFERENCE
        low, high = m.low, m.high
        if m.at_lai_15:
            low = min(low, low + (m.at_lai_15[0] - m.low) * top)
            high = max(high, high + (m.at_lai_15[1] - m.high) * top)
        if m.times:
            below, above = self._reach(m.times)
            low, high = low * below, high * above
        return low, high

    def _centre(self, name: str) -> float:
        m = self.marginals[name]
        return m.centre * (self._centre(m.times) if m.times else 1.0)


def _row(m: Marginal) -> tuple[float, ...]:
    low_15, high_15 = m.at_lai_15 or (m.low, m.high)
    return (m.mean, m.sd, m.low, m.high, low_15, high_15)


def _cholesky(names: list[str], correlation: Sequence) -> Tensor:
    """L [parameter, parameter] of the correlations' matrix, float64."""
    matrix = torch.eye(len(names), dtype=torch.float64)
    for entry in correlation:
        i, j = (names.index(name) for name in entry.between)
        matrix[i, j] = matrix[j, i] = entry.value
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise ValueError("correlation: expected values that are possible together, got others")
    return factor


def _one_hot(index: int, like: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(index), like.shape[-1]).to(like)


def standard_normal_log_prob(u: Tensor) -> Tensor:
    """log N(u; 0, I) over the last axis: the prior in scores."""
    return -0.5 * (u.square() + math.log(2 * math.pi)).sum(-1)
