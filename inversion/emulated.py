"""A model whose decoder is emulated: the same estimates by fewer exact wavelengths.

    θ, angles ─▶ exact reflectance n[node] ─▶ x[band] = W n + b,   ∂x/∂θ = W ∂n/∂θ

For a model of many bands the nodes are several times fewer. What reads `model.physical` (the
refinement, least squares, look-up tables) then decodes by the nodes alone, and differentiates
them and not the bands. W is a regression on draws of the model's own prior and angles, with the
nodes chosen one by one for what they tell (see `physvae.emulation.moments`), or that of a trained
emulator. Nodes are added until the rms error of the bands, in the noise-free draws, is small
beside any sensor's noise.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.config import Angles
from physvae.decoders import PhysicalDecoder
from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Nodes
from physvae.emulation.moments import choose_nodes, moments, regression
from physvae.emulation.store import load_emulator
from physvae.errors import InputError
from physvae.simulation import draw_angles
from physvae.vae import PhysVAE
from rtm import Prosail
from rtm.prosail import LIDF

SIZES = (8, 12, 16, 24, 32, 48, 64, 96)
TOLERANCE, DRAWS, PART = 2e-4, 20_000, 2048


class NodeDecoder(nn.Module):
    """Bands out of exact reflectance at nodes, in the place of a model's physics.

    Parameters
    ----------
    exact : PhysicalDecoder
        What it stands for; fapar and fcover stay its own.
    prosail : Prosail
        The same canopies at the nodes.
    weight, offset : Tensor [band, node], Tensor [band]
        W and b.
    rmse : float or None
        Of the bands over the draws, where it was made of draws.
    """

    weight: Tensor
    offset: Tensor

    def __init__(
        self, exact: PhysicalDecoder, prosail: Prosail, weight: Tensor, offset: Tensor,
        rmse: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.exact, self.prosail, self.rmse = exact, prosail, rmse
        self.sensor, self.full_space = exact.sensor, exact.full_space
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    @property
    def few(self) -> bool:
        """Whether there are fewer nodes than bands."""
        return self.weight.shape[1] < self.weight.shape[0]

    def compile(self) -> None:
        """Make the nodes fast, see `rtm.Prosail.compile`."""
        self.prosail.compile()

    def nodes(self, theta: Tensor, angles: Tensor) -> Float[Tensor, "*full node"]:
        """Exact reflectance [-] at the nodes."""
        return self.prosail(self.exact.complete(theta), angles).rso

    def spread(self, nodes: Tensor) -> Float[Tensor, "*full band"]:
        """Bands of reflectance at the nodes."""
        return nodes @ self.weight.to(nodes).T + self.offset.to(nodes)

    def forward(self, theta: Tensor, angles: Tensor) -> Float[Tensor, "*full band"]:
        """Reflectance [-] of θ under angles [degree]."""
        return self.spread(self.nodes(theta, angles))

    def products(self, theta: Tensor, angles: Tensor) -> Float[Tensor, "*full 2"]:
        """Exact (fapar, fcover) [-]."""
        return self.exact.products(theta, angles)


def emulated(
    model: PhysVAE, emulator: str | Emulator | None = None, *, tolerance: float = TOLERANCE,
    draws: int = DRAWS, seed: int = 0,
) -> PhysVAE:  # fmt: skip
    """The same model with an emulated decoder; the model itself stays as it is.

    Parameters
    ----------
    model : PhysVAE
        A loaded model.
    emulator : str or Emulator, optional
        "prosail-d-1nm" or any emulator by nodes with the model's inputs and the wavelengths of
        its sensor; where none is given, one is made of the model's own physics, in seconds.
    tolerance : float
        Of the one that is made: rms error of the bands [-] that it has nodes enough for.
    draws, seed : int
        Of the prior, for the one that is made.

    Raises
    ------
    InputError
        An emulator of other inputs or wavelengths, or of a network.
    """
    exact = model.physical
    assert isinstance(exact, PhysicalDecoder)
    made = copy.copy(model)
    if emulator is None:
        decoder = _own(model, exact, tolerance, draws, seed)
    else:
        given = load_emulator(emulator) if isinstance(emulator, str) else emulator
        decoder = _given(exact, given)
    made._modules = {**model._modules, "physical": decoder.to(model.features.mean.device)}
    return made


def _given(exact: PhysicalDecoder, emulator: Emulator) -> NodeDecoder:
    """The decoder of a trained emulator, seen by the model's sensor."""
    wanted, got = (", ".join(space.names) for space in (exact.full_space, emulator.space))
    if wanted != got or not isinstance(emulator.interpolator, Nodes):
        raise InputError(
            f"emulator: expected one by nodes with the inputs {wanted}, "
            f"got {emulator.name} of {got}"
        )
    try:
        matrix = emulator.seen_by(exact.sensor).matrix("rso")
    except ValueError as error:
        raise InputError(str(error)) from None
    return NodeDecoder(exact, emulator.interpolator.physics, matrix[:-1].T, matrix[-1])


@torch.no_grad()
def _own(
    model: PhysVAE, exact: PhysicalDecoder, tolerance: float, draws: int, seed: int
) -> NodeDecoder:
    """Nodes among the wavelengths of the model's sensor, and the regression of its bands."""
    grid, seen = exact.sensor.wavelength, exact.sensor.weights
    whole = _at(exact.prosail, grid)
    whole.compile()
    ranges = Angles(**model.config.get("training", {}).get("angles", {}))
    generator = torch.Generator().manual_seed(seed)
    prior = copy.deepcopy(model.prior).cpu()
    complete = copy.deepcopy(exact).cpu().complete

    def spectra(count: int) -> Tensor:
        theta = prior(torch.randn(count, len(model.space), generator=generator))
        return whole(complete(theta), draw_angles(count, ranges, generator)).rso

    found = moments(spectra(min(PART, draws - start)) for start in range(0, draws, PART))
    bands = seen @ found.covariance @ seen.T
    order = choose_nodes(found.covariance, min(SIZES[-1], len(grid)), [])
    for size in (*(n for n in SIZES if n < len(order)), len(order)):
        rows = torch.tensor(sorted(order[:size]))
        cross = seen @ found.covariance[:, rows]
        weight = regression(cross, found.covariance[rows][:, rows])
        rmse = (bands.diagonal() - (weight * cross).sum(1)).clamp_min(0.0).mean().sqrt()
        if rmse <= tolerance:
            break
    offset = seen @ found.mean - weight @ found.mean[rows]
    return NodeDecoder(exact, _at(exact.prosail, grid[rows]), weight, offset, float(rmse))


def _at(prosail: Prosail, wavelength: Tensor) -> Prosail:
    """The same canopies on other wavelengths, those of its soil's grid."""
    lidf = next(name for name, kind in LIDF.items() if isinstance(prosail.lidf, kind))
    return Prosail(
        prosail.leaf, None, wavelength, soil=prosail.soil, lidf=lidf, classes=prosail.classes,
        crowns=prosail.crowns, layers=prosail.layers, products=False, alpha=prosail.alpha,
        hotspot="classic" if prosail.classic else "exact",
    )  # fmt: skip
