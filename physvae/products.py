"""fAPAR and fCover of posterior draws.

Both follow from θ and the sun by PROSAIL. Running PROSAIL over the photosynthetic wavelengths for
every draw of every pixel costs more than the rest of a retrieval, so a small network learns the two
numbers from the exact ones; its error is measured and stored with the model. ccc and cwc are exact.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rtm import PRODUCTS, ParameterSpace
from rtm.products import ccc, cwc

LEARNED = ("fapar", "fcover")


class ProductNetwork(nn.Module):
    """fAPAR and fCover [-] from θ and the sun's zenith: two hidden layers and a logistic.

    Parameters
    ----------
    parameters : int
        Size of θ.
    width : int
        Hidden size.
    """

    def __init__(self, parameters: int, width: int = 32):
        super().__init__()
        self.register_buffer("mean", torch.zeros(parameters))
        self.register_buffer("sd", torch.ones(parameters))
        self.network = nn.Sequential(
            nn.Linear(parameters + 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, len(LEARNED)),
        )

    def forward(
        self, theta: Float[Tensor, "*#batch parameter"], sun_zenith: Float[Tensor, "*#batch"]
    ) -> Float[Tensor, "*full 2"]:
        """(fapar, fcover) [-] in 0-1. The optical depth −ln(1 − share) is what the net learns."""
        scaled = (theta - self.mean) / self.sd
        path = sun_zenith.deg2rad().cos().unsqueeze(-1).expand(*theta.shape[:-1], 1)
        lai = theta[..., :1]
        features = torch.cat((scaled, path, (-0.5 * lai).exp()), -1)
        depth = nn.functional.softplus(self.network(features)) * lai
        return -torch.expm1(-depth)


def traits_of(
    theta: Tensor, sun_zenith: Tensor, names: tuple[str, ...], space: ParameterSpace, net: nn.Module
) -> dict[str, Tensor]:
    """Traits by name [...] of draws θ [..., parameter]: variables as they are, products computed.

    Parameters
    ----------
    theta : Tensor [..., parameter]
    sun_zenith : Tensor [...]
        Degree.
    names : tuple of str
        Variables of `space` or keys of `rtm.PRODUCTS`.
    """
    values = space.split(theta)
    wanted = {name: values[name] for name in names if name in values}
    exact = {"ccc": ("cab", ccc), "cwc": ("cw", cwc)}
    for name, (leaf, formula) in exact.items():
        if name in names:
            wanted[name] = formula(values["lai"], values[leaf])
    if any(name in LEARNED for name in names):
        learned = net(theta, sun_zenith).unbind(-1)
        wanted |= {n: v for n, v in zip(LEARNED, learned, strict=True) if n in names}
    return {name: wanted[name] for name in names}


def trait_table(space: ParameterSpace) -> dict:
    """Every trait a model can estimate, with unit and bounds: θ, then the products."""
    return {p.name: p for p in space.parameters} | dict(PRODUCTS)
