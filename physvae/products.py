"""fAPAR and fCover of posterior draws.

Both follow from θ and the sun by PROSAIL. Running PROSAIL over the photosynthetic wavelengths for
every draw of every pixel costs more than the rest of a retrieval, so a small network learns the
two numbers from the exact ones; its error is measured and stored with the model. ccc and cwc are
exact, and so is the effective LAI of crowns, which a training file asks for (`products.also`).
"""

from collections.abc import Collection
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.priors import Prior
from rtm import PRODUCTS, Parameter, ParameterSpace
from rtm.products import ccc, cwc, effective_lai

LEARNED = ("fapar", "fcover")
EXACT = {  # of LAI and one more variable
    "ccc": ("cab", ccc), "cwc": ("cw", cwc), "lai_effective": ("cv", effective_lai),
}  # fmt: skip
ASKED_FOR = ("lai_effective",)  # that only some models estimate


class ProductNetwork(nn.Module):
    """fAPAR and fCover [-] from the scores of θ and the sun: two hidden layers and a logistic.

    Parameters
    ----------
    parameters : int
        Size of θ.
    width : int
        Hidden size.
    also : tuple of str
        Products besides those that every model estimates; none of them is learned.
    """

    def __init__(self, parameters: int, width: int = 32, also: tuple[str, ...] = ()):
        super().__init__()
        self.also = also
        self.network = nn.Sequential(
            nn.Linear(parameters + 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, len(LEARNED)),
        )

    def forward(
        self,
        scores: Float[Tensor, "*#batch parameter"],
        lai: Float[Tensor, "*#batch"],
        sun_zenith: Float[Tensor, "*#batch"],
    ) -> Float[Tensor, "*full 2"]:
        """(fapar, fcover) [-] in 0-1. The net learns the optical depth −ln(1 − share) per LAI."""
        path = sun_zenith.deg2rad().cos().expand(lai.shape)
        features = torch.cat((scores, torch.stack((path, (-0.5 * lai).exp()), -1)), -1)
        depth = nn.functional.softplus(self.network(features)) * lai.unsqueeze(-1)
        return -torch.expm1(-depth)


def traits_of(
    scores: Tensor, sun_zenith: Tensor, names: tuple[str, ...], prior: Prior, net: nn.Module
) -> dict[str, Tensor]:
    """Traits by name [...] of draws: variables as they are, products computed.

    Parameters
    ----------
    scores : Tensor [..., parameter]
        Standard normal scores of θ.
    sun_zenith : Tensor [...]
        Degree.
    names : tuple of str
        Variables of the prior or keys of `rtm.PRODUCTS`.
    prior : Prior
        The map from scores to variables.
    net : nn.Module
        Where fapar and fcover come from: a `ProductNetwork`, or one that stands for it.
    """
    others = [other for name, (other, _) in EXACT.items() if name in names]
    values = prior.named(scores, (*others, *(name for name in names if name not in PRODUCTS)))
    for name, (other, formula) in EXACT.items():
        if name in names:
            values[name] = formula(values["lai"], values[other])
    if any(name in LEARNED for name in names):
        learned = net(scores, values["lai"], sun_zenith).unbind(-1)
        values |= dict(zip(LEARNED, learned, strict=True))
    return {name: values[name] for name in names}


def trait_table(space: ParameterSpace, also: tuple[str, ...] = ()) -> dict[str, Parameter]:
    """Every trait a model can estimate, with unit and bounds: θ, then the products of it.

    Parameters
    ----------
    space : ParameterSpace
        Of θ.
    also : tuple of str
        Products that only some models estimate.
    """
    products = products_of(space.names, also)
    table = {p.name: p for p in space.parameters} | {name: PRODUCTS[name] for name in products}
    if "lai_effective" in table:  # never above LAI, whose range says more than the general one
        top = table["lai"].high
        table["lai_effective"] = replace(table["lai_effective"], high=top)
    return table


def products_of(variables: Collection[str], also: Collection[str] = ()) -> list[str]:
    """Products that follow from variables of these names; `also` names those to be asked for.

    >>> products_of(["lai", "cab"])
    ['ccc', 'fapar', 'fcover']
    """
    return [
        name for name in PRODUCTS
        if (name in LEARNED or EXACT[name][0] in variables)
        and (name in also or name not in ASKED_FOR)
    ]  # fmt: skip
