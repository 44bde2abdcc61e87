"""Where inputs are drawn: inside a box, at its edges, and beyond it.

    inside          uniform in the box
    corners         every input at one of its two bounds
    faces           some inputs at a bound, others inside; how many is drawn too
    low_absorbers   leaves with few contents: each is 0 or small, the rest is inside
    outside         some inputs beyond a bound by up to a width of the box, where physics allows it

All but the last are points of the unit box, 0 at the lower and 1 at the upper bound.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rtm import Parameter
from rtm.parameters import physical
from rtm.spectra import LEAF_CONTENTS

_ABSENT = 0.6  # share of contents that are 0
_BEYOND = 0.3  # share of inputs that lie outside, at most
_STEEPEST = 89.0  # degree; the zeniths end before 90
_CONTENTS = {name for names in LEAF_CONTENTS.values() for name in names}
Unit = Callable[[int, Sequence[Parameter], torch.Generator], Tensor]


def inside(n: int, parameters: Sequence[Parameter], generator: torch.Generator) -> Tensor:
    """Uniform [n, input]."""
    return torch.rand(n, len(parameters), generator=generator)


def corners(n: int, parameters: Sequence[Parameter], generator: torch.Generator) -> Tensor:
    """0 or 1 [n, input]."""
    return (inside(n, parameters, generator) > 0.5).float()


def faces(n: int, parameters: Sequence[Parameter], generator: torch.Generator) -> Tensor:
    """Some at 0 or 1 [n, input]."""
    within, at = (kind(n, parameters, generator) for kind in (inside, corners))
    share = torch.rand(n, 1, generator=generator)
    return torch.where(inside(n, parameters, generator) < share, at, within)


def low_absorbers(n: int, parameters: Sequence[Parameter], generator: torch.Generator) -> Tensor:
    """Contents at or near 0 [n, input]."""
    unit = inside(n, parameters, generator)
    absent = inside(n, parameters, generator) < _ABSENT
    few = torch.where(absent, 0.0, unit**3)
    names = (p.name.removeprefix("brown_") for p in parameters)
    content = torch.tensor([name in _CONTENTS for name in names])
    return torch.where(content, few, unit)


def outside(n: int, parameters: Sequence[Parameter], generator: torch.Generator) -> Tensor:
    """Some below 0 or above 1 [n, input]; at least one where physics leaves room."""
    low, high = (torch.tensor(ends) for ends in zip(*map(_ends, parameters), strict=True))
    unit = faces(n, parameters, generator)
    draws = [inside(n, parameters, generator) for _ in range(4)]
    share = _BEYOND * torch.rand(n, 1, generator=generator)
    room = (low < 0.0) | (high > 1.0)
    order = torch.where(room, draws[0], 2.0)
    beyond = room & ((order < share) | (order == order.amin(1, keepdim=True)))
    up = (high > 1.0) & ((low >= 0.0) | (draws[1] > 0.5))
    far = torch.where(up, 1.0 + (high - 1.0) * draws[2], low * draws[3])
    return torch.where(beyond, far, unit)


def _ends(p: Parameter) -> tuple[float, float]:
    """How far outside values may be drawn, as points of the unit box."""
    low, high = physical(p.name)
    if p.name in ("tts", "tto"):
        high = _STEEPEST
    if p.name == "psi":  # it is folded
        return 0.0, 1.0
    width = p.high - p.low
    return max((low - p.low) / width, -1.0), min((high - p.low) / width, 2.0)


REGIONS: dict[str, Unit] = {
    "inside": inside,
    "corners": corners,
    "faces": faces,
    "low_absorbers": low_absorbers,
    "outside": outside,
}
EDGES = ("corners", "faces", "low_absorbers")
