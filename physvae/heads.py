"""Posterior families over the physical scores: the numbers of a network, read as a distribution.

`POSTERIORS` maps the word in a training file to the class. A head says how many numbers it wants
(`size`), and called with them [..., size] it gives one of `physvae.scores`.
"""

import math
from collections.abc import Callable

import torch
import zuko
from torch import Tensor, nn

from physvae.plans import FlowPlan, GaussianPlan, TruncatedPlan
from physvae.priors import Prior
from physvae.scores import FlowScores, ScoreMixture, TruncatedMixture

MIN_SCALE = 1e-3  # narrowest posterior, in prior standard deviations
SCALES = (5e-4, 1.4)  # of a truncated normal, in widths of its interval (Zérah et al. 2024)


class Head(nn.Module):
    """Base: `size` numbers of a network in, a distribution over scores out."""

    size: int


class GaussianHead(Head):
    """Mixture of Gaussians with dense Cholesky factors over the scores."""

    place: Tensor

    def __init__(self, prior: Prior, plan: GaussianPlan):
        super().__init__()
        self.count, self.components = len(prior.space), plan.components
        rows, columns = torch.tril_indices(self.count, self.count)
        self.register_buffer("place", rows * self.count + columns, persistent=False)
        start = torch.randn(plan.components, self.count)
        self.start = nn.Parameter(0.5 * start * (plan.components > 1))
        self.size = plan.components * (1 + self.count + len(rows))

    def forward(self, out: Tensor) -> ScoreMixture:
        """Posterior of numbers [..., size]."""
        d = self.count
        out = out.unflatten(-1, (self.components, -1))
        logits, loc, entries = out[..., 0], out[..., 1 : 1 + d], out[..., 1 + d :]
        flat = torch.zeros(*entries.shape[:-1], d * d, dtype=out.dtype, device=out.device)
        square = flat.index_copy(-1, self.place, entries).unflatten(-1, (d, d))
        diagonal = nn.functional.softplus(square.diagonal(dim1=-2, dim2=-1) + 0.5) + MIN_SCALE
        return ScoreMixture(logits, loc + self.start, square.tril(-1) + diagonal.diag_embed())


class TruncatedHead(Head):
    """Mixture of independent truncated normals; mean inside the bounds, scale within `SCALES`."""

    alpha: Tensor
    beta: Tensor
    mixing: Tensor

    def __init__(self, prior: Prior, plan: TruncatedPlan):
        super().__init__()
        self.components = plan.components
        for name in ("alpha", "beta", "mixing"):
            value = getattr(prior, name).clone()
            self.register_buffer(name, value, persistent=False)
        self.start = nn.Parameter(torch.randn(plan.components, len(prior.space)))
        self.size = plan.components * (1 + 2 * len(prior.space))

    def forward(self, out: Tensor) -> TruncatedMixture:
        """Posterior of numbers [..., size]."""
        out = out.unflatten(-1, (self.components, -1))
        place, spread = out[..., 1:].chunk(2, -1)
        width = self.beta - self.alpha
        loc = self.alpha + width * torch.sigmoid(place + self.start)
        low, high = (math.log(s) for s in SCALES)
        scale = width * torch.exp(low + (high - low) * torch.sigmoid(spread + 1.5))
        return TruncatedMixture(out[..., 0], loc, scale, self.alpha, self.beta, self.mixing)


class FlowHead(Head):
    """Neural spline flow (Durkan et al. 2019, arXiv 1906.04032) whose context is the network."""

    def __init__(self, prior: Prior, plan: FlowPlan):
        super().__init__()
        self.size = plan.context
        self.flow = zuko.flows.NSF(
            len(prior.space), plan.context, bins=plan.bins, transforms=plan.transforms,
            hidden_features=(plan.width, plan.width),
        )  # fmt: skip

    def forward(self, out: Tensor) -> FlowScores:
        """Posterior of numbers [..., size]."""
        return FlowScores(self.flow(out))


POSTERIORS: dict[str, Callable[..., Head]] = {
    "gaussian": GaussianHead,
    "truncated-normal": TruncatedHead,
    "flow": FlowHead,
}
