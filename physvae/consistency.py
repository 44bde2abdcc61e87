r"""Products of LAI whose marginals agree with those of LAI and of the other factor.

A network says each marginal by itself; the joint posterior bounds what it may say. For X and Y of
means m and standard deviations s, whatever their correlation,

    m_X m_Y − s_X s_Y  ≤  E[XY]  ≤  m_X m_Y + s_X s_Y,

and the effective LAI of crowns is never above LAI. Where the mean m is outside and m' the nearer
bound, the whole marginal is stretched by m'/m, a shift in log space: mean, standard deviation and
quantiles stay those of one law.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from physvae.products import EXACT
from physvae.summaries import Marginals, Stretch
from rtm import Parameter

_UNIT = {name: EXACT[name][1](1.0, 1.0) for name in ("ccc", "cwc")}  # of the product XY
Found = TypeVar("Found", bound=Any)
_LEAST = 1e-30  # a mean so small is added to instead; its reciprocal is a float32


def with_partners(names: Sequence[str]) -> tuple[str, ...]:
    """The names, and after them LAI and the other factors of products among them.

    >>> with_partners(("ccc", "cw"))
    ('ccc', 'cw', 'lai', 'cab')
    """
    wanted = [partner for name in names if name in EXACT for partner in ("lai", EXACT[name][0])]
    return tuple(dict.fromkeys((*names, *wanted)))


def with_consistent_products(
    found: Found, names: Sequence[str], traits: Mapping[str, Parameter]
) -> Found:
    """An estimate (see `physvae.estimate.Estimate`) of these traits, products made to agree.

    `found` holds the partners too, see `with_partners`.
    """
    mean, sd, low, high = ({name: part[name] for name in names} for part in found[:4])
    for name in filter(EXACT.__contains__, names):
        stretch, ends = _stretch(name, found.mean, found.sd), (traits[name].low, traits[name].high)
        mean[name] = stretch.to(mean[name], *ends)
        sd[name] = stretch.sd(sd[name], mean[name], *ends)
        low[name], high[name] = stretch.to(low[name], *ends), stretch.to(high[name], *ends)
    return found._replace(mean=mean, sd=sd, p025=low, p975=high)


def consistent(marginals: Marginals, names: Sequence[str]) -> Marginals:
    """Marginals [..., trait] of traits of these names, partners among them, made to agree."""
    mean, sd = (dict(zip(names, x.unbind(-1), strict=True)) for x in marginals.moments())
    one = torch.ones_like(mean[names[0]])
    found = [
        _stretch(name, mean, sd) if name in EXACT else Stretch(one, 0.0 * one) for name in names
    ]
    factors, shifts = zip(*found, strict=True)
    return marginals.stretched(Stretch(torch.stack(factors, -1), torch.stack(shifts, -1)))


def _stretch(name: str, mean: Mapping[str, Tensor], sd: Mapping[str, Tensor]) -> Stretch:
    """What brings the mean [...] of a product to the nearest that agrees with its partners."""
    said, other = mean[name], EXACT[name][0]
    if name in _UNIT:
        centre = _UNIT[name] * mean["lai"] * mean[other]
        away = _UNIT[name] * sd["lai"] * sd[other]
        target = torch.minimum(torch.maximum(said, centre - away), centre + away)
    else:
        target = torch.minimum(said, mean["lai"])
    factor = (target / said.clamp_min(_LEAST)).clamp_min(_LEAST)
    return Stretch(factor, (target - factor * said).clamp_min(0.0))
