"""A posterior that is known by weighted points.

    p(u | x) ≈ Σ_i w_i δ(u − u_i),   w_i ∝ p(x | u_i) p(u_i) / q(u_i),   Σ w_i = 1

u_i are draws of q: of the prior (a look-up table) or of a Gaussian at the optimum (importance
sampling; Robert & Casella 2004, Monte Carlo Statistical Methods, chapter 3).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from physvae.draws import DRAWS
from physvae.scores import Scores


class Weighted(Scores):
    """A cloud of weighted points over scores.

    Parameters
    ----------
    points : Tensor [n, point, parameter]
    log_weights : Tensor [n, point]
        Normalised.
    """

    def __init__(self, points: Tensor, log_weights: Tensor) -> None:
        self._points, self.log_weights = points, log_weights
        super().__init__(points.shape[:1], points.shape[-1:], validate_args=False)

    def fixed(self, count: int = DRAWS) -> Tensor:
        """Points [count, n, parameter] drawn systematically: each as often as it weighs."""
        edges = self.log_weights.exp().cumsum(-1)
        marks = (torch.arange(count, dtype=edges.dtype) + 0.5) / count
        marks = marks.to(edges.device).expand(len(edges), -1).contiguous()
        which = torch.searchsorted(edges, marks).clamp_max(edges.shape[-1] - 1)
        index = which.unsqueeze(-1).expand(-1, -1, self._points.shape[-1])
        return self._points.gather(1, index).movedim(1, 0)

    @property
    def mean(self) -> Tensor:
        """Mean score [n, parameter]."""
        return (self.log_weights.exp().unsqueeze(-1) * self._points).sum(1)

    @property
    def effective(self) -> Float[Tensor, " n"]:
        """How many points effectively count: 1 / Σ w²."""
        return 1.0 / self.log_weights.exp().square().sum(-1)
