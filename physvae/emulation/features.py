"""What a network sees of parameters and angles, scaled to mean 0 and standard deviation 1.

plain     the values over the width of the box; zeniths and azimuth also as cosines
edges     these held within the box, and their logarithms, which tell 0 from little
canopy    these, the roots of the values, and what 4SAIL makes of leaf angles and geometry: ks, ko,
          sob, sof, the gaps τss, τoo, τssoo, and the hot-spot integral (see rtm.foursail)
"""

import math

import torch
from torch import Tensor, nn

from rtm import ParameterSpace, Prosail
from rtm.foursail import extinction, hot_spot
from rtm.lidf import class_edges
from rtm.numerics import gauss_rule, hot_spot_exact
from rtm.prosail import fold


class Plain(nn.Module):
    """Values in the box [0, 1], and cosines of the angles.

    Parameters
    ----------
    space, geometry : ParameterSpace
        Of theta and of the angles.
    """

    low: Tensor
    width: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, space: ParameterSpace, geometry: ParameterSpace) -> None:
        super().__init__()
        self.angles = len(geometry)
        both = (*space.parameters, *geometry.parameters)
        low = torch.tensor([p.low for p in both])
        high = torch.tensor([p.high for p in both])
        self.register_buffer("low", low, persistent=False)
        width = torch.where(high > low, high - low, torch.ones_like(low))
        self.register_buffer("width", width, persistent=False)
        self.register_buffer("centre", torch.zeros(self.size))
        self.register_buffer("spread", torch.ones(self.size))

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.low) + self.angles

    def fit(self, theta: Tensor, angles: Tensor) -> None:
        """Set the scaling from draws."""
        raw = self.raw(theta, angles)
        self.centre.copy_(raw.mean(0))
        deviation = raw.std(0)
        self.spread.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def raw(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Features before scaling [n, feature]."""
        unit = self.unit(theta, angles)
        return torch.cat([unit, (angles * (math.pi / 180.0)).cos()], -1)

    def unit(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Values over the width of the box."""
        return (torch.cat([theta, angles], -1) - self.low.to(theta)) / self.width.to(theta)

    def forward(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Scaled features [n, feature]."""
        raw = self.raw(theta, angles)
        return (raw - self.centre.to(raw)) / self.spread.to(raw)


class Edges(Plain):
    """Values held within the box, their logarithms, and cosines of the angles."""

    _LEAST = 1e-3  # of the width of the box

    @property
    def size(self) -> int:
        """Number of features."""
        return 2 * len(self.low) + self.angles

    def raw(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Features before scaling [n, feature]."""
        unit = self.unit(theta, angles).clamp(0.0, 1.0)
        view = torch.lerp(self.low, self.low + self.width, unit)[:, len(self.low) - self.angles :]
        cosines = (view * (math.pi / 180.0)).cos()
        return torch.cat([unit, (unit + self._LEAST).log(), cosines], -1)

    def beyond(self, theta: Tensor, angles: Tensor) -> Tensor:
        """How far each input lies outside the box, over its width [n, input]."""
        unit = self.unit(theta, angles)
        return (unit - unit.clamp(0.0, 1.0)).abs()


class CanopyFeatures(Plain):
    """The same with the geometry of 4SAIL; for a simulator that is `rtm.Prosail`."""

    _ADDED = 13
    edges: Tensor
    leaves: Tensor
    rule: Tensor

    def __init__(self, space: ParameterSpace, geometry: ParameterSpace, physics: Prosail) -> None:
        self._wide = len(space)
        super().__init__(space, geometry)
        self.space, self.lidf = physics.space, physics.lidf
        edges = class_edges(physics.classes)
        middle = torch.deg2rad((edges[1:] + edges[:-1]) / 2.0)
        leaves = torch.stack([middle.cos(), middle.sin()]).unsqueeze(-1)
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("leaves", leaves, persistent=False)
        self.register_buffer("rule", gauss_rule(20), persistent=False)

    @property
    def size(self) -> int:
        """Number of features."""
        return super().size + self._wide + self._ADDED

    def raw(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Features before scaling [n, feature]."""
        roots = self.unit(theta, angles)[:, : self._wide].clamp(min=1e-4).sqrt()
        return torch.cat([super().raw(theta, angles), roots, self.canopy(theta, angles)], -1)

    def canopy(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Geometry, gaps and single scattering [n, 13]."""
        values = theta.T
        p = dict(zip(self.space.names, values, strict=True))
        start = self.space.index(self.lidf.parameters[0].name)
        shares = self.lidf.shares(
            values[start : start + len(self.lidf.parameters)], self.edges.double()
        )
        lai = p["lai"] / p["cv"] if "cv" in p else p["lai"]
        tts, tto, psi = angles.T
        view = {"tts": tts, "tto": tto, "psi": fold(psi)}
        seen = extinction(**view, angles=self.leaves.to(theta), shares=shares)
        hot = hot_spot(
            **view, hspot=p["hspot"], lai=lai, ks=seen.ks, ko=seen.ko,
            integrate=lambda a, b, c: hot_spot_exact(a, b, c, self.rule.to(theta)),
        )  # fmt: skip
        tss, too = (-seen.ks * lai).exp(), (-seen.ko * lai).exp()
        depth = lai * hot.integral
        columns = (
            seen.ks.log1p(), seen.ko.log1p(), seen.bf, seen.sob.log1p(), seen.sof.log1p(),
            tss, too, hot.tsstoo, hot.integral, (seen.sob * depth).log1p(),
            (seen.sof * depth).log1p(), (-lai).exp(), (-0.25 * lai).exp(),
        )  # fmt: skip
        return torch.stack(columns, -1)


FEATURES = {"plain": Plain, "edges": Edges, "canopy": CanopyFeatures}
