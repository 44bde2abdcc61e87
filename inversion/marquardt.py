"""The classical inversion by least squares with priors (Levenberg-Marquardt), pixel by pixel.

The rows are whitened residuals of the bands, then the scores themselves, which are N(0, 1) a
priori: the sum of squares is −2 ln p(u | x) with Σ as it is at each point. Started from the prior
mean, as one does without a network; the spread is that of `laplace`.
"""

from typing import Any

import torch
from torch import Tensor

from inversion.laplace import around, gaussian, inputs, whitened
from inversion.refine import NEAR, SCORE_MAX, Refinement
from rtm.least_squares import minimise

STEPS_MAX = 60


class LeastSquares:
    """A model that is inverted by least squares; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    steps
        Trial steps at most; more than 60 change nothing.
    """

    def __init__(self, model: Any, steps: int = STEPS_MAX) -> None:
        self._model, self._steps = model, min(steps, STEPS_MAX)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @torch.inference_mode(False)
    def estimate(
        self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]
    ) -> Refinement:
        """Estimate as the model does, from where the squares are least."""
        model = self._model
        seen, known = inputs(model, reflectance.clone(), angles.clone())
        width = 2 * SCORE_MAX
        size = len(model.space)

        def rows(unit: Tensor) -> tuple[Tensor, Tensor]:
            scores = (width * unit - SCORE_MAX).T
            gap, slopes = whitened(model, scores, seen, known)
            eye = torch.eye(size, dtype=scores.dtype).expand(len(scores), -1, -1)
            both = torch.cat((gap, scores), -1)
            return both.T, width * torch.cat((slopes, eye), -2).permute(2, 1, 0)

        start = torch.full((size, len(seen)), 0.5, dtype=seen.dtype)
        unit, _ = minimise(rows, start, max_steps=self._steps)
        scores = (width * unit - SCORE_MAX).T.contiguous()
        local = around(model, scores, seen, known)
        found = model.summarise(
            gaussian(model, scores, local.precision), seen, angles.clone().to(seen), variables
        )
        return Refinement(**found._asdict(), converged=local.step < NEAR)
