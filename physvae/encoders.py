"""Encoders: features in, the parameters of the two posteriors out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from physvae.distributions import ScoreMixture

MIN_SCALE = 1e-3  # narrowest posterior, in prior standard deviations


class ResidualMLP(nn.Module):
    """Pre-activated residual network: h ← h + W₂ SiLU(W₁ SiLU(h)).

    Parameters
    ----------
    inputs, outputs : int
        Feature and output sizes.
    width, depth : int
        Hidden size and number of residual blocks.
    """

    def __init__(self, inputs: int, outputs: int, width: int, depth: int):
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.last = nn.Sequential(nn.SiLU(), nn.Linear(width, outputs))

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Outputs [..., output] of features [..., input]."""
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


class PosteriorHead(nn.Module):
    """Turns network outputs into distributions: physical scores (dense) and residual latents.

    Parameters
    ----------
    parameters : int
        Physical variables d.
    residual : int
        Residual latents.
    components : int
        Gaussians in the mixture over the physical scores.
    """

    place: Tensor

    def __init__(self, parameters: int, residual: int, components: int = 1):
        super().__init__()
        self.scores, self.residual, self.components = parameters, residual, components
        rows, columns = torch.tril_indices(parameters, parameters)
        self.register_buffer("place", rows * parameters + columns, persistent=False)
        self.start = nn.Parameter(0.5 * torch.randn(components, parameters) * (components > 1))
        self.size = components * (1 + parameters + len(rows)) + 2 * residual

    def physical(self, out: Float[Tensor, "*batch outputs"]) -> ScoreMixture:
        """Posterior over the physical scores."""
        d, c = self.scores, self.components
        out = out[..., : self.size - 2 * self.residual].unflatten(-1, (c, -1))
        logits, loc, entries = out[..., 0], out[..., 1 : 1 + d], out[..., 1 + d :]
        flat = torch.zeros(*entries.shape[:-1], d * d, dtype=out.dtype, device=out.device)
        square = flat.index_copy(-1, self.place, entries).unflatten(-1, (d, d))
        diagonal = nn.functional.softplus(square.diagonal(dim1=-2, dim2=-1) + 0.5) + MIN_SCALE
        return ScoreMixture(logits, loc + self.start, square.tril(-1) + diagonal.diag_embed())

    def latent(self, out: Float[Tensor, "*batch outputs"]) -> Independent:
        """Posterior over the residual latents (Gaussian, diagonal)."""
        loc, raw = out[..., self.size - 2 * self.residual :].chunk(2, -1)
        return Independent(Normal(loc, nn.functional.softplus(raw) + MIN_SCALE), 1)


ENCODERS = {"mlp": ResidualMLP}
