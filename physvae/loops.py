"""What a model with summaries says of many pixels, by loops made for the processor.

Around the network (perceptron.py) stand two loops (`rtm.fused`), each traced from the functions
that say the same elsewhere:

    reflectance, angles ─▶ features, distance from the training spectra
    the last layer, reflectance ─▶ moments, 95 % interval, misfit

Pixels are columns, a few thousand at a time, so that what one step leaves is in the cache when
the next one takes it up.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from physvae.domain import square
from physvae.perceptron import Perceptron
from physvae.scaling import log_reflectance
from physvae.summaries import Marginals
from rtm.fused import Untraceable
from rtm.fused.kernel import loop

if TYPE_CHECKING:
    from physvae.vae import PhysVAE

BLOCK = 7936  # pixels at a time; not a power of two, whose columns would share lines of the cache
BANDS = 32  # more would make loops too long to gain by
INTERVAL = NormalDist().inv_cdf(0.975)


class Said(NamedTuple):
    """Of traits [..., trait] mean, sd and 95 % interval; two checks [...], 1 at their limits."""

    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor
    misfit: Tensor
    novelty: Tensor


def loops_of(model: "PhysVAE") -> "Loops | None":
    """Loops for a model with summaries on a processor, in float32 and of few bands."""
    kind = model.misfit_limit
    on_processor = kind.device.type == "cpu" and kind.dtype == torch.float32
    if model.summaries is None or not on_processor or len(model.bands) > BANDS:
        return None
    with contextlib.suppress(Untraceable):
        return Loops(model)


def said_plainly(
    model: "PhysVAE", reflectance: Tensor, angles: Tensor, traits: Sequence[int]
) -> Said:
    """What `Loops` say, an operation at a time."""
    reflectance, angles = reflectance.contiguous(), angles.contiguous()
    found = model.said_of(reflectance, angles, list(traits))
    misfit = model.misfit_of(reflectance, found.physical)
    return Said(*_described(found.marginals), misfit, model.domain(reflectance))


def _described(marginals: Marginals) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, sd and the ends of the 95 % interval [..., trait]."""
    mean, sd = marginals.moments()
    return mean, sd, marginals.quantile(-INTERVAL), marginals.quantile(INTERVAL)


class Loops:
    """The loops of a model; they hold its weights as they were.

    Parameters
    ----------
    model : PhysVAE
        On a processor, in float32, with `summaries`.

    Raises
    ------
    rtm.fused.Untraceable
        An operation of the model has no expression.
    """

    def __init__(self, model: "PhysVAE"):
        assert model.summaries is not None
        self._model, self._net = model, model.summaries
        self._precision = model.domain.precision(torch.ones_like(model.domain.mean).bool())
        layers = [m for m in self._net.trunk if isinstance(m, nn.Linear)]
        self._layers = [(layer.weight, layer.bias) for layer in layers]
        self._see = loop(self._seen, rows=(len(model.bands), len(model.angles)))
        self._ends: dict[tuple[int, ...], _End] = {}
        self._making = threading.Lock()

    @torch.no_grad()
    def __call__(self, reflectance: Tensor, angles: Tensor, traits: Sequence[int]) -> Said:
        """Of the traits with these numbers; reflectance [..., band], angles [..., 3]."""
        shape = reflectance.shape[:-1]
        x, a = (part.reshape(-1, part.shape[-1]) for part in (reflectance, angles))
        starts = range(0, max(len(x), 1), BLOCK)
        blocks = [self._block(x[i : i + BLOCK].T, a[i : i + BLOCK].T, traits) for i in starts]
        columns = [torch.cat(parts, -1) for parts in zip(*blocks, strict=True)]
        mean, sd, low, high = (part.T.reshape(*shape, len(traits)) for part in columns[:4])
        return Said(mean, sd, low, high, *(part.reshape(shape) for part in columns[4:]))

    def _block(self, x: Tensor, a: Tensor, traits: Sequence[int]) -> list[Tensor]:
        """Mean, sd, low, high [trait, n], misfit and novelty [1, n] of columns [row, n]."""
        features, novelty, gaps = self._see(x, a)
        network, end = self._end(tuple(traits))
        out, n = network(features), len(traits)
        said = end(out[4 * n :], x, *(out[k * n : (k + 1) * n] for k in range(4)))
        if bool(gaps.any()):
            some = gaps[0] > 0
            novelty[0, some] = self._model.domain(x.T[some])
        return [*said, novelty]

    def _seen(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, distance of columns without gaps, and the number of gaps."""
        model = self._model
        features = model.features(self._net.look(x.T), a.T)
        gap = log_reflectance(x.T) - model.domain.mean
        distance = square(gap, self._precision) / model.domain.limit
        return features.T, distance, len(x) - x.T.isfinite().sum(-1)

    def _end(self, traits: tuple[int, ...]) -> "_End":
        """The network and loop for these traits, made when they are first wanted."""
        with self._making:
            if traits not in self._ends:
                self._ends[traits] = self._made(list(traits))
            return self._ends[traits]

    def _made(self, traits: list[int]) -> "_End":
        model, bands = self._model, len(self._model.bands)

        def end(physical: Tensor, x: Tensor, *numbers: Tensor) -> tuple[Tensor, ...]:
            marginals = self._net.marginals([part.T for part in numbers], traits)
            misfit = model.misfit_of(x.T, model.unstandardised(physical.T))
            return *_described(marginals), misfit

        made = loop(end, rows=(bands, bands), arrays=(len(traits),) * 4)
        return _End(Perceptron([*self._layers, self._net.last_layer(traits)]), made)


class _End(NamedTuple):
    """The network to the numbers of some traits, and the loop that takes what it gives."""

    network: Perceptron
    loop: Callable[..., list[Tensor]]
