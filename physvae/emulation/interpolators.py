"""From parameters and angles to latents, for every factor that is emulated.

network   a multi-layer perceptron on features of the inputs
nodes     the exact physics at a few wavelengths, and a linear map from there to the latents
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from physvae.emulation.features import FEATURES, CanopyFeatures
from physvae.emulation.plans import NetworkPlan
from physvae.emulation.windows import Windows
from rtm import CanopyReflectance, ParameterSpace, Prosail

Products = tuple[Tensor | None, Tensor | None, Tensor | None]


class Latents(NamedTuple):
    """Latents [n, latent] by factor, and fapar, fapar_diffuse, fcover [n] where they are known."""

    z: dict[str, Tensor]
    products: Products = (None, None, None)


class Network(nn.Module):
    """Latents of all factors out of one network.

    Parameters
    ----------
    space, geometry : ParameterSpace
    plan : NetworkPlan
    latents : dict
        How many by factor.
    physics : Prosail, optional
        The simulator, where the features are those of a canopy.
    """

    def __init__(
        self, space: ParameterSpace, geometry: ParameterSpace, plan: NetworkPlan,
        latents: dict[str, int], physics: Prosail | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.latents = latents
        if plan.features == "canopy":
            assert physics is not None
            self.features = CanopyFeatures(space, geometry, physics)
        else:
            self.features = FEATURES["plain"](space, geometry)
        layers: list[nn.Module] = []
        width = self.features.size
        for _ in range(plan.depth):
            layers += [nn.Linear(width, plan.width), nn.SiLU()]
            width = plan.width
        self.net = nn.Sequential(*layers, nn.Linear(width, sum(latents.values())))

    def compile(self, **options) -> None:
        """Nothing to do: matrix products are fast as they are."""

    def forward(self, theta: Tensor, angles: Tensor, factors: tuple[str, ...]) -> Latents:
        """Latents of some factors, computed in float32."""
        found = self.net(self.features(theta.float(), angles.float())).to(theta.dtype)
        parts = dict(zip(self.latents, found.split(list(self.latents.values()), -1), strict=True))
        return Latents({factor: parts[factor] for factor in factors})


class Nodes(nn.Module):
    """The exact physics at a few wavelengths, then one linear map a factor.

    Parameters
    ----------
    physics : Prosail
        On the wavelengths of the nodes.
    latents : dict
        How many by factor.
    """

    def __init__(self, physics: Prosail, latents: dict[str, int]) -> None:
        super().__init__()
        self.physics = physics
        nodes = len(physics.wavelength)
        self.maps = nn.ModuleDict({name: nn.Linear(nodes, n) for name, n in latents.items()})

    def compile(self, **options) -> None:
        """Make the physics fast, see `rtm.Prosail.compile`."""
        self.physics.compile(**options)

    def map(self, factor: str) -> nn.Linear:
        """From the nodes of a factor to its latents."""
        return cast(nn.Linear, self.maps[factor])

    def forward(self, theta: Tensor, angles: Tensor, factors: tuple[str, ...]) -> Latents:
        """Latents of some factors, and the exact products."""
        seen = self.physics(theta, angles)
        z = {}
        for name in factors:
            layer, x = self.map(name), getattr(seen, name)
            z[name] = nn.functional.linear(x, layer.weight.to(x), layer.bias.to(x))
        return Latents(z, products_of(seen))

    def decoded(
        self, theta: Tensor, angles: Tensor, maps: dict[str, Windows]
    ) -> tuple[dict[str, Tensor], Products]:
        """Spectra by factor straight from the nodes."""
        seen = self.physics(theta, angles)
        one = theta.new_ones(1, len(theta))
        spectra = {}
        for name, onward in maps.items():
            nodes = torch.cat([getattr(seen, name).T, one])
            spectra[name] = onward(nodes.T)
        return spectra, products_of(seen)


def products_of(seen: CanopyReflectance) -> Products:
    """fapar, fapar_diffuse and fcover of a result."""
    return seen.fapar, seen.fapar_diffuse, seen.fcover
