"""The classical inversion by least squares with priors (Levenberg-Marquardt), pixel by pixel.

For scores u, N(0, I) a priori, and the cost f, its gradient g and its curvature H of `laplace`

    f(u) = −ln p(u | x) = ½ ‖u‖² + ½ (x − μ)ᵀ Σ⁻¹ (x − μ) + ½ ln|Σ|
    (H + λ diag H) δ = −g                   H = I + Jᵀ Σ⁻¹ J, g with what Σ tells of u
    ρ = (f(u) − f(u + δ)) / (−gᵀδ − ½ δᵀHδ) gain over the gain that the curvature promised
    λ ← λ max(1/5, 1 − (2ρ − 1)³)           where f fell, else λ ← λν, ν ← 2ν

(Marquardt 1963, 10.1137/0111030; the damping is that of Nielsen: Madsen, Nielsen & Tingleff 2004,
Methods for non-linear least squares problems, section 2.2, with 1/5 for their 1/3). The noise
grows with the spectrum, so the gradient must know of Σ(u): that of the whitened residuals alone
leads to another place than the optimum. From the prior mean the search ends in a poor local
minimum as often as not, so it starts from the likeliest of a small look-up table, as one does
without a network; the spread is that of `laplace`.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from inversion.direct import Direct, Refinement
from inversion.laplace import Local, around, gaussian, inputs, negative_log
from inversion.lut import Lookup
from inversion.refine import NEAR, SCORE_MAX

STEPS_MAX = 100
ENTRIES = 2000
"""Simulations among which the start is chosen."""
ENOUGH = 0.1 * NEAR
"""Posterior standard deviations from the optimum at which a pixel's search ends."""
DAMPING, LEAST, MOST = 1e-2, 1e-8, 1e8


class _State(NamedTuple):
    """Where each pixel's search is: scores, cost, derivatives, damping and its next growth."""

    scores: Tensor
    cost: Tensor
    gradient: Tensor
    precision: Tensor
    damping: Tensor
    growth: Tensor

    @property
    def local(self) -> Local:
        return Local(self.gradient, self.precision)

    def at(self, pixels: Tensor) -> "_State":
        return _State(*(part[pixels] for part in self))


class LeastSquares(Direct):
    """A model that is inverted by least squares; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    steps
        Trial steps at most; more than 100 change nothing.
    """

    method = "lm"

    def __init__(self, model: Any, steps: int = STEPS_MAX) -> None:
        super().__init__(model, min(steps, STEPS_MAX))
        self._table = Lookup(model, ENTRIES)

    def found(self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]) -> Refinement:
        """The estimate from where the squares are least."""
        model = self._model
        seen, known = inputs(model, reflectance, angles)
        end = minimise(model, self._likeliest(seen, known), seen, known, self._effort)
        found = model.summarise(
            gaussian(model, end.scores, end.precision), seen, angles.to(seen), variables
        )
        return Refinement(**found._asdict(), converged=end.local.step < NEAR)

    def _likeliest(self, reflectance: Tensor, angles: Tensor) -> Tensor:
        """Scores [n, parameter] of the entries of greatest posterior density."""
        found = reflectance.new_zeros((len(reflectance), len(self._model.space)))
        for pixels, scores, likely in self._table.likelihoods(reflectance, angles):
            density = likely - 0.5 * scores.square().sum(-1)
            found[pixels] = scores[density.argmax(-1)]
        return found


def minimise(model: Any, start: Tensor, reflectance: Tensor, angles: Tensor, steps: int) -> _State:
    """Search from given scores; a pixel rests once it is near enough to its optimum."""
    state = _looked_at(model, start, reflectance, angles)
    for _ in range(steps):
        active = torch.nonzero(state.local.step >= ENOUGH).squeeze(-1)
        if not len(active):
            break
        moved = _stepped(model, state.at(active), reflectance[active], angles[active])
        state = _State(
            *(whole.index_copy(0, active, part) for whole, part in zip(state, moved, strict=True))
        )
    return state


def _looked_at(model: Any, scores: Tensor, reflectance: Tensor, angles: Tensor) -> _State:
    with torch.no_grad():
        cost = negative_log(model, scores, reflectance, angles)
    local = around(model, scores, reflectance, angles)
    damping = torch.full_like(cost, DAMPING)
    return _State(scores, cost, *local, damping, torch.full_like(cost, 2.0))


def _stepped(model: Any, here: _State, reflectance: Tensor, angles: Tensor) -> _State:
    """Try a step: it is taken where the cost falls, and the damping follows the gain."""
    diagonal = here.precision.diagonal(dim1=-2, dim2=-1)
    damped = here.precision + torch.diag_embed(here.damping.unsqueeze(-1) * diagonal)
    wish = torch.linalg.solve(damped, here.gradient)
    goal = (here.scores - wish).clamp(-SCORE_MAX, SCORE_MAX)
    there = _looked_at(model, goal, reflectance, angles)
    step = goal - here.scores
    curved = torch.einsum("ni,nij,nj->n", step, here.precision, step)
    promised = -(here.gradient * step).sum(-1) - 0.5 * curved
    gain = (here.cost - there.cost) / promised.clamp_min(torch.finfo(step.dtype).tiny)
    fell = there.cost < here.cost
    shrunk = here.damping * (1 - (2 * gain - 1) ** 3).clamp_min(0.2)
    damping = torch.where(fell, shrunk, here.damping * here.growth).clamp(LEAST, MOST)
    growth = torch.where(fell, 2.0, 2 * here.growth)
    return _State(
        torch.where(fell.unsqueeze(-1), there.scores, here.scores),
        torch.where(fell, there.cost, here.cost),
        torch.where(fell.unsqueeze(-1), there.gradient, here.gradient),
        torch.where(fell[:, None, None], there.precision, here.precision),
        damping,
        growth,
    )
