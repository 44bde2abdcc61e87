"""How far a spectrum lies from the spectra a model was trained on.

d² = (f − m)ᵀ S⁻¹ (f − m) / n over the n bands present, f the log reflectance, m and S mean and
covariance of the training spectra; over the limit that 98 % of the training spectra keep.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.scaling import log_reflectance
from rtm.blocks import transformed


class Domain(nn.Module):
    """Distance from the training spectra, 1 at the limit.

    Parameters
    ----------
    bands : int
        Number of bands.
    """

    mean: Tensor
    covariance: Tensor
    limit: Tensor

    def __init__(self, bands: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("covariance", torch.eye(bands))
        self.register_buffer("limit", torch.ones(()))

    def fit(self, reflectance: Float[Tensor, "n band"], share: float = 0.98) -> None:
        """Set mean, covariance and limit from spectra without gaps."""
        log = log_reflectance(reflectance)
        self.mean.copy_(log.mean(0))
        self.covariance.copy_(torch.cov(log.T))
        self.limit.fill_(1.0)
        self.limit.copy_(torch.quantile(self(reflectance[:100_000]), share))

    def forward(self, reflectance: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch"]:
        """Distance over the limit [-]; bands that are NaN are left out, 0 where all are."""
        batch, reflectance = reflectance.shape[:-1], reflectance.reshape(-1, len(self.mean))
        seen = reflectance.isfinite()
        gap = log_reflectance(torch.nan_to_num(reflectance)) - self.mean
        if torch.compiler.is_compiling() or transformed([reflectance]):
            return (self._each(gap, seen) / self.limit).reshape(batch)
        distance = torch.zeros(len(reflectance), dtype=gap.dtype, device=gap.device)
        whole = seen.all(-1)
        distance[whole] = square(gap[whole], self.precision(torch.ones_like(seen[0])))
        some = ~whole & seen.any(-1)
        found = torch.zeros_like(distance[some])
        for pattern, rows in _alike(seen[some]):
            found[rows] = square(gap[some][rows][:, pattern], self.precision(pattern))
        distance[some] = found
        return (distance / self.limit).reshape(batch)

    def _each(self, gap: Tensor, seen: Tensor) -> Tensor:
        """d² [n] by a matrix a spectrum, where what is computed may not hang on values."""
        there = seen.double()
        kept = self.covariance.double() * there.unsqueeze(-1) * there.unsqueeze(-2)
        kept = kept + torch.diag_embed(1.0 - there)
        gap = gap.double() * there
        solved = torch.linalg.solve(kept, gap.unsqueeze(-1)).squeeze(-1)
        return ((solved * gap).sum(-1) / there.sum(-1).clamp(min=1.0)).to(self.mean)

    def precision(self, pattern: Tensor) -> Tensor:
        """S⁻¹ of the bands of a pattern [band]."""
        return torch.linalg.inv(self.covariance[pattern][:, pattern].double()).to(self.mean)


def square(gap: Tensor, precision: Tensor) -> Tensor:
    """d² [...] of gaps f − m [..., band]."""
    return ((gap @ precision) * gap).mean(-1)


def _alike(seen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The patterns [band] among spectra [n, band], each with the spectra [n] that have it."""
    if len(seen) and bool((seen == seen[0]).all()):
        yield seen[0], torch.ones_like(seen[:, 0])
        return
    patterns, which = torch.unique(seen, dim=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        yield pattern, which == i
