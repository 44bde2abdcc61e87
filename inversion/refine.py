"""Each pixel's own posterior: from the amortised one by steps downhill through the decoder.

Adam (Kingma & Ba 2015, arXiv 1412.6980) on the scores of all pixels of a block at once, from the
mean of the amortised posterior, and Levenberg-Marquardt from where it ends (see `marquardt`): the
more bands, the more the directions differ in what is known of them, and the longer Adam alone
takes. A Gaussian by the curvature there (see `laplace`). Draws of both, the amortised posterior
and the Gaussian, are then weighed by how likely they truly are (see `clouds`). Further rounds with
a Gaussian of the weighted draws raise the number that counts and lose what lies far from them.

A pixel that is more than a tenth of a posterior standard deviation away from where the gradient
vanishes, or of whose draws too few count, has not converged; it has the truncated weights, so that
no single draw makes its standard deviation 0.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inversion.direct import Direct, Refinement
from inversion.laplace import gaussian, inputs, negative_log
from physvae.posterior import Posterior
from physvae.scores import MemberMixture, Scores
from physvae.weighted_scores import Weighted

RATE = 0.1
"""Length of the first steps, in prior standard deviations."""
POINTS, WIDER, LEAST = 512, 1.2, 10.0
"""Draws that are weighed, how much wider than the curvature says they lie, how many must count."""
PORTION = 32
NEAR = 0.1
"""Posterior standard deviations from the optimum within which a pixel has converged."""
SCORE_MAX = 4.0
"""Scores beyond which nothing of the prior lies."""


class Draws(NamedTuple):
    """Draws [n, point, parameter] and the logarithms of their weights [n, point], of sum 1."""

    points: Tensor
    log_weights: Tensor

    @property
    def effective(self) -> Tensor:
        """How many draws [n] effectively count: 1 / Σ w²."""
        return 1.0 / self.log_weights.exp().square().sum(-1)

    @property
    def truncated(self) -> Tensor:
        """The same weights, none above mean · √points (Ionides 2008, 10.1198/106186008X320456)."""
        most = -0.5 * math.log(self.log_weights.shape[-1])
        return self.log_weights.clamp_max(most).log_softmax(-1)


class Refined(Direct):
    """A model whose posterior is refined pixel by pixel; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    steps
        Effort downhill: a quarter as many steps of Adam, a twentieth with the curvature at most.
    """

    method = "refined"

    def __init__(self, model: Any, steps: int = 200) -> None:
        super().__init__(model, steps)

    def found(self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]) -> Refinement:
        """The estimate from the refined posterior."""
        from inversion.marquardt import minimise  # which itself builds on this file

        model, steps = self._model, self._effort
        seen, known = inputs(model, reflectance, angles)
        with torch.no_grad():
            amortised = model.encode(reflectance, angles).scores
        scores = descend(model, amortised.mean, seen, known, max(1, steps // 4))
        end = minimise(model, scores, seen, known, max(1, steps // 20))
        own = gaussian(model, end.scores, end.precision / WIDER**2).scores
        cloud = reweighted(model, [amortised, own], seen, known)
        enough = cloud.effective >= LEAST
        weights = torch.where(enough[:, None], cloud.log_weights, cloud.truncated)
        kept = Weighted(cloud.points, weights)
        found = model.summarise(Posterior(kept, model.prior), seen, angles.to(seen), variables)
        return Refinement(**found._asdict(), converged=enough & (end.local.step < NEAR))


@torch.no_grad()
def reweighted(model: Any, proposals: list[Scores], reflectance: Tensor, angles: Tensor) -> Draws:
    """Weigh draws of several proposals by how likely they are: their shapes no longer matter."""
    mixed = MemberMixture(proposals)
    points = mixed.fixed(POINTS)
    exact = [negative_log(model, part, reflectance, angles) for part in points.split(PORTION)]
    log_weights = -torch.cat(exact) - mixed.log_prob(points)
    return Draws(points.movedim(0, 1), log_weights.movedim(0, -1).log_softmax(-1))


def descend(model: Any, start: Tensor, reflectance: Tensor, angles: Tensor, steps: int) -> Tensor:
    """Scores [n, parameter] after so many steps of Adam, the best of each pixel.

    The steps shrink to a hundredth of the first by a cosine, so that the end is quiet.
    """
    with torch.enable_grad():
        scores = start.detach().clone().clamp(-SCORE_MAX, SCORE_MAX).requires_grad_()
        adam = torch.optim.Adam([scores], lr=RATE, betas=(0.9, 0.99))
        quiet = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, eta_min=RATE / 100)
        best = scores.detach().clone()
        least = torch.full_like(best[:, 0], torch.inf)
        for _ in range(steps + 1):
            adam.zero_grad()
            loss = negative_log(model, scores, reflectance, angles)
            better = loss.detach() < least
            best = torch.where(better.unsqueeze(-1), scores.detach(), best)
            least = torch.where(better, loss.detach(), least)
            loss.sum().backward()
            adam.step()
            quiet.step()
            with torch.no_grad():
                scores.clamp_(-SCORE_MAX, SCORE_MAX)
    return best
