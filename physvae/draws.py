"""Fixed quasi-random draws, and quantiles of draws: the same pixel, the same answer.

A scrambled Sobol set (Sobol' 1967, 10.1016/0041-5553(67)90144-9) stands for random deviates, so
that an estimate depends neither on a seed nor on the batch it was made in.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from rtm.modes import lasting

DRAWS = 128  # quasi-random draws behind a mean or a quantile


@lru_cache(maxsize=32)
@lasting
def sobol_points(draws: int, dimensions: int) -> Tensor:
    """Deterministic points in the open unit cube [draw, dimension], float64."""
    points = SobolEngine(dimensions, scramble=True, seed=0).draw(draws, dtype=torch.float64)
    return points.clamp(1e-6, 1 - 1e-6)


def draw_quantile(draws: Tensor, probability: float) -> Tensor:
    """Quantile over the first axis, with the probability as the expected share below it.

    Linear between order statistics at p (n + 1): type 6 of Hyndman & Fan 1996,
    10.1080/00031305.1996.10473566. The usual p (n − 1) makes intervals of few draws too narrow.

    >>> draw_quantile(torch.tensor([4.0, 1.0, 3.0, 2.0]), 0.5)
    tensor(2.5000)
    """
    count = len(draws)
    upper = probability > 0.5
    place = (count + 1) * (1 - probability if upper else probability) - 1
    place = min(max(place, 0.0), count - 1.0)
    below = int(place)
    ordered = draws.topk(min(below + 2, count), 0, largest=upper).values
    last = ordered[min(below + 1, len(ordered) - 1)]
    return torch.lerp(ordered[below], last, place - below)


def weighted_quantile(draws: Tensor, weights: Tensor, probability: float) -> Tensor:
    """Quantile over the first axis of draws [draw, ..., band] that weigh w [draw, ...], Σ w = 1.

    Linear between the draws, each of which stands at the weight of those below and half its own.

    >>> draws, even = torch.tensor([[4.0], [1.0], [3.0]]), torch.full((3,), 1 / 3)
    >>> weighted_quantile(draws, even, 0.5)
    tensor([3.])
    """
    return weighted_quantiles(draws, weights, (probability,))[0]


def weighted_quantiles(
    draws: Tensor, weights: Tensor, probabilities: Sequence[float]
) -> list[Tensor]:
    """The same at several probabilities, for which the draws are put in order once."""
    ordered, order = draws.sort(0)
    each = weights.unsqueeze(-1).expand_as(draws).gather(0, order)
    middle = each.cumsum(0) - 0.5 * each
    return [_between(ordered, middle, p) for p in probabilities]


def _between(ordered: Tensor, places: Tensor, wanted: float) -> Tensor:
    """What stands at a place along the first axis, linear between the nearest two."""
    upper = (places < wanted).sum(0, keepdim=True).clamp(1, len(places) - 1)
    low, high = places.gather(0, upper - 1), places.gather(0, upper)
    share = ((wanted - low) / (high - low).clamp_min(1e-12)).clamp(0.0, 1.0)
    found = torch.lerp(ordered.gather(0, upper - 1), ordered.gather(0, upper), share)
    return found.squeeze(0)
