"""The classical inversion by a look-up table: the simulations that resemble a pixel most.

A table holds draws of the prior and their decoded spectra for one geometry; geometries are those
of the pixels rounded to 5° of zenith and 30° of azimuth, each with a table of its own. Of a table
the `BEST` likeliest entries count, each by its likelihood: with draws of the prior this is the
posterior itself, as far as the table is dense (importance sampling; Robert & Casella 2004,
chapter 3). A pixel with fewer than `LEAST` entries that effectively count is flagged.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inversion.direct import Direct, Refinement
from inversion.laplace import inputs
from physvae.posterior import Posterior
from physvae.weighted_scores import Weighted

ENTRIES, BEST, LEAST = 20_000, 2_000, 5.0
ROUNDED = (5.0, 5.0, 30.0)
"""Steps [degree] of sun zenith, view zenith and relative azimuth between tables."""
PORTION = 256


class Likely(NamedTuple):
    """Pixels [n], the scores [entry, parameter] of their table, ln p(x | entry) [n, entry]."""

    pixels: Tensor
    scores: Tensor
    log_likelihood: Tensor


class Lookup(Direct):
    """A model that is inverted by look-up tables; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    entries
        Simulations in a table.
    """

    method = "lut"

    def __init__(self, model: Any, entries: int = ENTRIES) -> None:
        super().__init__(model, entries)
        self._table = functools.lru_cache(maxsize=16)(self._simulated)

    @torch.no_grad()
    def found(self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]) -> Refinement:
        """The estimate from the likeliest entries."""
        model = self._model
        seen, known = inputs(model, reflectance, angles)
        points = seen.new_zeros((len(seen), min(BEST, self._effort), len(model.space)))
        weights = points.new_zeros(points.shape[:2])
        for pixels, scores, likely in self.likelihoods(seen, known):
            best = likely.topk(points.shape[1], -1)
            points[pixels] = scores[best.indices]
            weights[pixels] = best.values.log_softmax(-1)
        cloud = Weighted(points, weights)
        found = model.summarise(Posterior(cloud, model.prior), seen, angles.to(seen), variables)
        return Refinement(**found._asdict(), converged=cloud.effective >= LEAST)

    @torch.no_grad()
    def likelihoods(self, reflectance: Tensor, angles: Tensor) -> Iterator[Likely]:
        """Yield portions of the pixels with the table of their geometry."""
        steps = torch.tensor(ROUNDED).to(angles)
        geometries, which = torch.unique(
            (angles / steps).round() * steps, dim=0, return_inverse=True
        )
        for number, geometry in enumerate(geometries):
            scores, spectra = self._table(tuple(geometry.tolist()))
            for pixels in torch.nonzero(which == number).squeeze(-1).split(PORTION):
                likely = self._model.likelihood.log_prob(reflectance[pixels].unsqueeze(1), spectra)
                yield Likely(pixels, scores, likely)

    def _simulated(self, geometry: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
        """Scores [entry, parameter] and spectra [entry, band] of a table."""
        model = self._model
        kind = next(model.parameters())
        generator = torch.Generator().manual_seed(0)
        scores = torch.randn(self._effort, len(model.space), generator=generator).to(kind)
        at = torch.tensor(geometry).to(kind)
        spectra = [model.physical(model.prior(part), at) for part in scores.split(4096)]
        return scores, torch.cat(spectra)
