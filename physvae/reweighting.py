r"""The posterior of a model under another prior: fixed draws of the scores, and their weights.

q(u | x) is taken as one Gaussian N(m, T Tᵀ). The part of the change of the prior that is about
Gaussian is done in closed form: as measurements y of some correlated scores w = L u with variances
V (see `physvae.prior_change`). Draws ε of N(0, I) become, with A = L T, b = L m, ν draws of
N(0, V), and S the scores measured (Matheron's rule: Wilson et al. 2020, arXiv 2002.09309),

    ε′ = ε + A_Sᵀ G⁻¹ (y − b_S − A_S ε − ν),   w = b + A ε′,   G = A_S A_Sᵀ + V.

A quarter of the draws stays as it was. What is left of the change weighs them all,

    ω ∝ r(θ) / (¼ + ¾ N(y; w_S, V) / N(y; b_S, G)),

times q(u | x) over the Gaussian where q is another distribution. Where too few draws count, the
power of ω is lowered until enough do (`physvae.importance.temper`).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import ndtri

from physvae.draws import sobol_points
from physvae.importance import Tempered, temper
from physvae.prior_change import Measured
from physvae.priors import standard_normal_log_prob
from physvae.scores import ScoreMixture, Scores
from rtm.modes import lasting

DRAWS, PLAIN = 128, 32  # in all, and of the posterior as it was
MOMENTS = 256  # draws that tell the Gaussian of another distribution
ENOUGH = 12.0  # draws that shall count
SPARE = 2  # further deviates of each draw, for what the scores do not decide


class Gaussian(NamedTuple):
    """N(m, T Tᵀ) over scores: mean [n, parameter], root [n, parameter, parameter]."""

    mean: Tensor
    root: Tensor

    def log_prob(self, u: Tensor) -> Tensor:
        """ln of the density [draw, n] at scores [draw, n, parameter]."""
        gap = (u - self.mean).movedim(0, -1)
        white = torch.linalg.solve_triangular(self.root, gap, upper=False).movedim(-1, 0)
        log_det = self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return standard_normal_log_prob(white) - log_det


class Drawn(NamedTuple):
    """Draws, and the measurements they aim at.

    Attributes
    ----------
    epsilon : Tensor [n, draw, parameter]
        ε′.
    w : Tensor [n, draw, row]
        Correlated scores of some variables.
    spare : Tensor [draw, spare]
        Independent standard normal deviates.
    log_density : Tensor [n, draw]
        ln of the density that they are drawn from over that of the Gaussian.
    """

    epsilon: Tensor
    w: Tensor
    spare: Tensor
    log_density: Tensor


def gaussian_of(scores: Scores) -> Gaussian:
    """The distribution itself where it is one Gaussian, else that of the same moments."""
    if isinstance(scores, ScoreMixture) and scores.loc.shape[-2] == 1:
        return Gaussian(scores.loc[..., 0, :], scores.scale_tril[..., 0, :, :])
    u = scores.fixed(MOMENTS)
    mean = u.mean(0)
    gap = u - mean
    covariance = torch.einsum("sni,snj->nij", gap, gap) / (MOMENTS - 1)
    ridge = 1e-6 * torch.eye(u.shape[-1]).to(u)
    return Gaussian(mean, torch.linalg.cholesky(covariance + ridge))


@lru_cache(maxsize=32)
@lasting
def _points(count: int, plain: int, dimensions: int) -> Tensor:
    """Normal points [draw, dimension], the first `plain` and the others each of right moments."""
    parts = ndtri(sobol_points(count, dimensions)).split([plain, count - plain])
    return torch.cat([_whitened(part) for part in parts])


def _whitened(points: Tensor) -> Tensor:
    """Points of mean 0 and covariance I, where they are many; of mean 0 and variance 1 else."""
    gap = points - points.mean(0)
    if len(points) < 3 * points.shape[-1]:
        return gap / gap.square().mean(0).sqrt()
    root = torch.linalg.cholesky(gap.T @ gap / len(gap))
    return torch.linalg.solve_triangular(root, gap.T, upper=False).T


def draw(
    q: Gaussian, mixing: Tensor, aim: Measured, columns: list[int], count: int = DRAWS
) -> Drawn:
    """Draws for a posterior [n] whose prior changes by about these measurements.

    Parameters
    ----------
    q : Gaussian
    mixing : Tensor [parameter, parameter]
        L of the prior.
    aim : Measured
        y and V, each [n, measurement].
    columns : list of int
        Variables whose scores are wanted, those measured among them.
    count : int
        Number of draws.
    """
    size, known = q.mean.shape[-1], len(aim.columns)
    plain = count * PLAIN // DRAWS if known else count
    points = _points(count, plain, size + known + SPARE).to(q.mean)
    first, noise, spare = points.split((size, known, SPARE), -1)
    a, b = mixing @ q.root, q.mean @ mixing.T
    epsilon = first.expand(len(b), -1, -1)
    if not known:
        density = first.new_zeros(()).expand(epsilon.shape[:-1])
        w = b[:, columns].unsqueeze(1) + epsilon @ a[:, columns].mT
        return Drawn(epsilon, w, spare, density)
    rows, gap = a[:, aim.columns], aim.value - b[:, aim.columns]
    root = torch.linalg.cholesky(rows @ rows.mT + torch.diag_embed(aim.variance))
    moved = epsilon[:, plain:]
    away = gap.unsqueeze(1) - moved @ rows.mT - noise[plain:] * aim.variance.sqrt().unsqueeze(1)
    moved = moved + torch.cholesky_solve(away.mT, root).mT @ rows
    epsilon = torch.cat((epsilon[:, :plain], moved), 1)
    w = b[:, columns].unsqueeze(1) + epsilon @ a[:, columns].mT
    white = torch.linalg.solve_triangular(root, gap.unsqueeze(-1), upper=False).squeeze(-1)
    evidence = -0.5 * white.square().sum(-1) - root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    seen = w[..., [columns.index(i) for i in aim.columns]]
    each = (seen - aim.value.unsqueeze(1)).square() / aim.variance.unsqueeze(1)
    likelihood = -0.5 * (each.sum(-1) + aim.variance.log().sum(-1, keepdim=True))
    share = plain / count
    density = torch.logaddexp(
        torch.full_like(likelihood, math.log(share)),
        math.log(1.0 - share) + likelihood - evidence.unsqueeze(-1),
    )
    return Drawn(epsilon, w, spare, density)


def weights_of(log_ratio: Tensor) -> Tempered:
    """Weights [n, draw], β [n] and draws that count [n]; tempered where too few would.

    Parameters
    ----------
    log_ratio : Tensor [n, draw]
        ln ω; −inf where a draw cannot be. Where none can be, all count alike and β is 0.
    """
    lost = ~log_ratio.isfinite().any(-1, keepdim=True)
    known = torch.where(lost, 0.0, log_ratio)
    weights = known.softmax(-1)
    effective = 1.0 / weights.square().sum(-1)
    power = torch.where(lost.squeeze(-1), 0.0, 1.0).to(weights)
    few = torch.nonzero(effective < ENOUGH).squeeze(-1)
    if len(few):
        finite = known[few].clamp_min(-1e4)  # at small powers these count too
        found = temper(finite.T, min(ENOUGH, 0.25 * known.shape[-1]))
        weights[few], power[few], effective[few] = found.weights.T, found.power, found.effective
    return Tempered(weights, power, effective)
