"""A model whose scores are those of another prior: what decodes and inverts it knows no other.

    u′ ─▶ new prior ─▶ θ        instead of        u ─▶ prior ─▶ θ

The encoder's posterior becomes a Gaussian over the new scores, of the moments that its weighed
draws have (`physvae.reweighting`); the product network keeps its own scores. The factors that
correct the encoder's posterior on simulations of the old prior (`spreads`) are left out.
"""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from physvae.heads import Head
from physvae.prior_change import PriorChange
from physvae.products import ProductNetwork
from physvae.reweighting import draw, gaussian_of, weights_of
from physvae.scores import ScoreMixture

if TYPE_CHECKING:
    from physvae.vae import PhysVAE

FARTHEST = 4.0  # new score of a draw: beyond it nothing of the prior lies
RIDGE = 1e-4  # of the prior's variance
PORTION = 512  # pixels at a time


class HeadUnder(Head):
    """A head whose posterior is over the scores of the new prior."""

    def __init__(self, head: Head, change: PriorChange):
        super().__init__()
        self.head, self.size, self._change = head, head.size, change

    def forward(self, out: Tensor) -> ScoreMixture:
        """Posterior of numbers [..., size]: one Gaussian."""
        flat = out.reshape(-1, out.shape[-1])
        found = [self._portion(part) for part in flat.split(PORTION)]
        mean, root = (torch.cat(parts) for parts in zip(*found, strict=True))
        shape, d = out.shape[:-1], mean.shape[-1]
        logits = mean.new_zeros((*shape, 1))
        return ScoreMixture(logits, mean.reshape(*shape, 1, d), root.reshape(*shape, 1, d, d))

    def _portion(self, out: Tensor) -> tuple[Tensor, Tensor]:
        change = self._change
        scores = self.head(out)
        q = gaussian_of(scores)
        whole = list(range(q.mean.shape[-1]))
        drawn = draw(q, change.old.mixing, change.measured.expand(len(out)), whole)
        u = (q.mean.unsqueeze(1) + drawn.epsilon @ q.root.mT).movedim(1, 0)
        theta, w = change.old(u), drawn.w.movedim(1, 0)
        ratio = change.log_ratio(theta[..., change.own], w[..., change.linked])
        weights = weights_of(ratio.T - drawn.log_density).weights.T.unsqueeze(-1)
        there = change.new.to_score(theta).clamp(-FARTHEST, FARTHEST)
        mean = (weights * there).sum(0)
        gap = there - mean
        covariance = torch.einsum("sni,snj->nij", weights * gap, gap)
        return mean, torch.linalg.cholesky(covariance + RIDGE * torch.eye(len(mean.T)).to(mean))


class ProductsUnder(nn.Module):
    """fAPAR and fCover by the network of the model, from scores of the new prior."""

    def __init__(self, network: ProductNetwork, change: PriorChange):
        super().__init__()
        self.network, self.also, self._change = network, network.also, change

    def forward(self, scores: Tensor, lai: Tensor, sun_zenith: Tensor) -> Tensor:
        """(fapar, fcover) as `ProductNetwork` has them."""
        own = self._change.old.to_score(self._change.new(scores))
        return self.network(own, lai, sun_zenith)


def model_under(model: "PhysVAE", change: PriorChange) -> "PhysVAE":
    """A copy of a model with the new prior; without its network of marginals."""
    made = copy.copy(model)
    made._modules = {
        **model._modules,
        "prior": change.new,
        "head": HeadUnder(model.head, change),
        "products": ProductsUnder(model.products, change),
    }
    made.summaries = None
    made._buffers = {
        **model._buffers,
        "lai_prior_sd": torch.tensor(change.lai_sd).to(model.lai_prior_sd),
        "spreads": torch.ones_like(model.spreads),
    }
    return made
