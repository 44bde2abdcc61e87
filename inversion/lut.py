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

from inversion.clouds import Weighted
from inversion.laplace import inputs
from inversion.refine import Refinement, stated
from physvae.posterior import Posterior

ENTRIES, BEST, LEAST = 20_000, 2_000, 5.0
ROUNDED = (5.0, 5.0, 30.0)
"""Steps [degree] of sun zenith, view zenith and relative azimuth between tables."""
PORTION = 256


class Likely(NamedTuple):
    """Pixels [n], the scores [entry, parameter] of their table, ln p(x | entry) [n, entry]."""

    pixels: Tensor
    scores: Tensor
    log_likelihood: Tensor


class Lookup:
    """A model that is inverted by look-up tables; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    entries
        Simulations in a table.
    """

    def __init__(self, model: Any, entries: int = ENTRIES) -> None:
        self._model, self._entries = model, entries
        self._table = functools.lru_cache(maxsize=16)(self._simulated)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @torch.inference_mode(False)
    @torch.no_grad()
    def estimate(
        self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]
    ) -> Refinement:
        """Estimate as the model does, from the likeliest entries."""
        model = self._model
        seen, known = inputs(model, reflectance.clone(), angles.clone())
        points = seen.new_zeros((len(seen), min(BEST, self._entries), len(model.space)))
        weights = points.new_zeros(points.shape[:2])
        for pixels, scores, likely in self.likelihoods(seen, known):
            best = likely.topk(points.shape[1], -1)
            points[pixels] = scores[best.indices]
            weights[pixels] = best.values.log_softmax(-1)
        cloud = Weighted(points, weights)
        found = model.summarise(
            Posterior(cloud, model.prior), seen, angles.clone().to(seen), variables
        )
        return stated(
            model, "lut", Refinement(**found._asdict(), converged=cloud.effective >= LEAST)
        )

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
        scores = torch.randn(self._entries, len(model.space), generator=generator).to(kind)
        at = torch.tensor(geometry).to(kind)
        spectra = [model.physical(model.prior(part), at) for part in scores.split(4096)]
        return scores, torch.cat(spectra)
