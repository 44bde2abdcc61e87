"""Few wavelengths for many bands: nodes and weights that keep band values as they are.

A band is b = Σ_j w_j ρ(λ_j) over its response. Model spectra are smooth, so few nodes of the same
grid do as well:

    choose S and v_b ≥ 0 on S ∩ support(b), Σ v_b = 1, such that
    max_n |Σ_j v_bj ρ_n(λ_j) − Σ_j w_bj ρ_n(λ_j)| ≤ tolerance for every band b and sample n

v ≥ 0 and Σ v = 1 make of every band a mean of reflectances within its own response, which stays
sound for spectra that no model made. S is common to all bands: where responses overlap, one
node serves several.

Nodes are found greedily by least squares (non-negative, Lawson & Hanson 1974), every choice is
taken back once and made again, and nodes that all bands can spare are dropped. Where the sample
is large, choices are made again with weight on the samples that are missed, and the weights are
those of the least largest error, a linear program over the worst samples, to which samples are
added until none is worse.

| symbol | here | shape |
|---|---|---|
| ρ_n(λ_j) | spectra | [sample, wavelength] |
| w, v | weights | [band, wavelength] |
| ρ_n(λ_j) − b_n | deviation | [sample, support] |
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import linprog, nnls

_SOME = 12_000  # samples that least squares looks at
_MOST = 60  # nodes of one band; beyond, the band keeps its response


@dataclass(frozen=True, eq=False)
class _Band:
    """One response: its wavelengths and what each of them alone differs from the band value.

    Every sample is held to the tolerance; least squares looks at some of them (`rows`).
    """

    support: list[int]
    apart: np.ndarray
    tolerance: float
    rounds: int
    rows: np.ndarray
    emphasis: np.ndarray

    @cached_property
    def system(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and target of min |emphasis·apart·v|² with Σ v = 1 as a heavy last row."""
        apart = self.apart[self.rows] * self.emphasis[self.rows, None]
        values, vectors = np.linalg.eigh(apart.T @ apart)
        keep = values > 1e-16 * values[-1]
        root = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        heavy = 1e3 * np.abs(root).max(initial=0.0) + 1e-6
        matrix = np.vstack([root, np.full(len(self.support), heavy)])
        return matrix, np.append(np.zeros(len(root)), heavy)

    @cached_property
    def place(self) -> dict[int, int]:
        return {node: i for i, node in enumerate(self.support)}

    def columns(self, nodes: list[int]) -> list[int]:
        return [self.place[node] for node in nodes]

    def within(self, nodes: list[int]) -> list[int]:
        return [node for node in nodes if node in self.place]

    def residual(self, nodes: list[int]) -> float:
        matrix, target = self.system
        return nnls(matrix[:, self.columns(nodes)], target)[1]

    def least_squares(self, nodes: list[int]) -> np.ndarray:
        matrix, target = self.system
        weights = nnls(matrix[:, self.columns(nodes)], target)[0]
        return weights / weights.sum()

    def fit(self, nodes: list[int], goal: float) -> np.ndarray | None:
        """Weights on the nodes of this band within the goal; None where there are none."""
        nodes = self.within(nodes)
        if not nodes:
            return None
        weights, apart = self.least_squares(nodes), self.apart[:, self.columns(nodes)]
        worst = np.abs(apart @ weights).max()
        near = self.tolerance < worst < 4.0 * self.tolerance or goal < self.tolerance
        if self.rounds and near:
            weights, worst = least_largest(apart, weights, goal)
        return weights if worst <= self.tolerance else None

    def on_worst(self, nodes: list[int]) -> "_Band":
        """The same band with weight on the samples that these nodes miss."""
        error = np.abs(self.apart[:, self.columns(nodes)] @ self.least_squares(nodes))
        worst = np.argpartition(error, -min(_SOME // 4, len(error)))[-_SOME // 4 :]
        emphasis = self.emphasis * (0.03 + error / error.max())
        return replace(self, rows=np.union1d(self.rows, worst), emphasis=emphasis)

    def enough(self, nodes: list[int]) -> bool:
        return self.fit(nodes, self.tolerance) is not None


def _band(spectra: np.ndarray, row: np.ndarray, tolerance: float, rounds: int) -> _Band:
    """A band with the samples that can be off by more than the tolerance at all."""
    support = np.flatnonzero(row)
    own = spectra[:, support].astype(np.float64)
    far = np.ptp(own, 1) > tolerance
    far[0] = True
    own = own[far]
    apart = np.asfortranarray(own - (own @ row[support])[:, None], spectra.dtype)
    rows = np.arange(0, len(apart), max(len(apart) // _SOME, 1))
    return _Band(support.tolist(), apart, tolerance, rounds, rows, np.ones(len(apart)))


def least_largest(apart: np.ndarray, weights: np.ndarray, goal: float) -> tuple[np.ndarray, float]:
    """Weights v ≥ 0, Σ v = 1 of the least largest |apart·v|, and that error; stops at the goal."""
    n = apart.shape[1]
    error = np.abs(apart @ weights)
    best, worst = weights, error.max()
    active = np.argsort(error)[-10 * n :]
    for _ in range(20):
        if worst <= goal:
            break
        rows = apart[active]
        bounds = np.block([[rows, -np.ones((len(rows), 1))], [-rows, -np.ones((len(rows), 1))]])
        found = linprog(
            np.eye(n + 1)[n], A_ub=bounds, b_ub=np.zeros(len(bounds)),
            A_eq=np.append(np.ones(n), 0.0)[None], b_eq=[1.0], method="highs",
        )  # fmt: skip
        if found.status != 0:
            break
        error = np.abs(apart @ found.x[:n])
        if error.max() < worst:
            best, worst = np.maximum(found.x[:n], 0.0), error.max()
        if found.x[n] > goal > 0.0 or error.max() <= 1.01 * found.x[n]:
            break
        active = np.union1d(active, np.argsort(error)[-5 * n :])
    return best / best.sum(), worst


def few_nodes(
    spectra: np.ndarray,
    weights: np.ndarray,
    tolerance: float,
    rounds: int = 0,
    start: list[int] | None = None,
) -> np.ndarray:
    """Weights [band, wavelength] on few wavelengths that keep the band values of the spectra.

    Parameters
    ----------
    spectra : array [sample, wavelength]
    weights : array [band, wavelength]
        ≥ 0, every row sums to 1.
    tolerance : float
        Largest error of any band value of any sample.
    rounds : int
        How often every set of nodes is chosen again with weight on the samples it misses; then
        the weights are those of the least largest error. Fewer nodes by a sixth, but they follow
        the sample: for tens of thousands of spectra. 0 is plain least squares.
    start : list of int, optional
        Nodes of a choice on other spectra, to be kept; others are added where these do not do.

    Returns
    -------
    array [band, wavelength]
        ≥ 0 within the bands' own responses, every row sums to 1. A band that no 60 nodes can
        replace keeps its response.
    """
    bands = [_band(spectra, row, tolerance, rounds) for row in weights]
    nodes = list(start or [])
    for band in sorted(bands, key=lambda band: len(band.support)):
        nodes += _more(band, nodes)
    if not start:
        nodes = _again(bands, _spare(bands, nodes))
    reduced = weights.copy()
    for band, row in zip(bands, reduced, strict=True):
        own = band.within(nodes)
        found = band.fit(own, 0.0)
        if found is not None:
            row[:] = 0.0
            row[own] = found
    return reduced


def _more(band: _Band, nodes: list[int]) -> list[int]:
    """The fewest further nodes that bring a band within its tolerance."""
    given, added = band.within(nodes), []
    while not band.enough(given + added):
        if len(given) + len(added) >= min(_MOST, len(band.support)):
            return []
        added = _exchange(band, given, [*added, _best(band, given + added)])
        stressed = band
        for _ in range(band.rounds):
            if band.enough(given + added):
                break
            stressed = stressed.on_worst(given + added)
            added = _exchange(stressed, given, added)
    return added


def _exchange(band: _Band, given: list[int], added: list[int]) -> list[int]:
    """Every added node taken back and chosen again, twice at most."""
    for _ in range(2):
        before = set(added)
        for node in list(added):
            rest = [other for other in added if other != node]
            added = [*rest, _best(band, given + rest)]
        if set(added) == before:
            break
    return added


def _best(band: _Band, nodes: list[int]) -> int:
    """The node of a band that, with the given ones, leaves the least residual."""
    rest = [node for node in band.support if node not in nodes]
    return rest[int(np.argmin([band.residual([*nodes, node]) for node in rest]))]


def _spare(bands: list[_Band], nodes: list[int]) -> list[int]:
    """The nodes without those that every band can do without."""
    for node in sorted(nodes, key=lambda node: sum(node in band.place for band in bands)):
        rest = [other for other in nodes if other != node]
        if all(band.enough(rest) for band in bands if node in band.place):
            nodes = rest
    return nodes


def _again(bands: list[_Band], nodes: list[int]) -> list[int]:
    """Bands one by one give up the nodes that no other needs and choose again."""
    for band in bands:
        others = [other for other in bands if other is not band]
        near = [other for other in others if set(other.support) & set(band.support)]
        shared = [
            node for node in nodes
            if node not in band.place or any(node in other.place for other in near)
        ]  # fmt: skip
        if near and len(shared) < len(nodes):
            chosen = _spare(bands, shared + _more(band, shared))
            if len(chosen) < len(nodes) and all(other.enough(chosen) for other in bands):
                nodes = chosen
    return nodes
