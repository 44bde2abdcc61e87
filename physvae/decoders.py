"""Two decoders: physics, and what physics leaves.

    x = x_P + g · tanh(W[z_r, sg(x_P)]) Bᵀ

x_P: PROSAIL at the sensor's bands; z_r: residual latents; W: a small network; B [band, rank] with
orthonormal columns (penalised); sg: no gradient into the physics; g: a gate, 0 during the
physics-only warm-up, 1 after. Guard: least action (Takeishi & Kalousis, NeurIPS 2021), so that the
residual explains only what the physics cannot.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rtm import ParameterSpace, Prosail, Sensor, SpectralSoil


class PhysicalDecoder(nn.Module):
    """PROSAIL with its own names: the variables of the prior, everything else at its default.

    Parameters
    ----------
    sensor : Sensor
        Bands, best on the few wavelengths of a reduced quadrature.
    soil : SpectralSoil, optional
        Soil shapes on wavelengths that include the sensor's; else the dry/wet mixture.
    crowns : bool
        Whether bare ground between crowns (`cv`) is part of the model.
    """

    columns: Tensor
    default: Tensor

    def __init__(self, sensor: Sensor, soil: SpectralSoil | None = None, crowns: bool = True):
        super().__init__()
        self.prosail = Prosail("D", sensor, soil=soil, crowns=crowns, products=False)
        self.absorbing = Prosail("D", sensor, soil=soil, crowns=crowns, products=True)
        self.full_space, self.sensor = self.prosail.space, sensor

    def bind(self, space: ParameterSpace) -> "PhysicalDecoder":
        """State which variables θ holds, in which order."""
        columns = [self.full_space.index(name) for name in space.names]
        default = self.full_space.default.clone()
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("default", default, persistent=False)
        return self

    def complete(self, theta: Float[Tensor, "*batch parameter"]) -> Tensor:
        """θ with the variables that the prior leaves out, in the order of `full_space`."""
        full = self.default.to(theta).expand(*theta.shape[:-1], -1)
        return full.index_copy(-1, self.columns, theta)

    def forward(
        self, theta: Float[Tensor, "*#batch parameter"], angles: Float[Tensor, "*#batch angle"]
    ) -> Float[Tensor, "*full band"]:
        """Reflectance [-] of θ under angles [degree]."""
        return self.prosail(self.complete(theta), angles).rso

    def products(
        self, theta: Float[Tensor, "*#batch parameter"], angles: Float[Tensor, "*#batch angle"]
    ) -> Float[Tensor, "*full 2"]:
        """Exact (fapar, fcover) [-] of θ under angles [degree]."""
        canopy = self.absorbing(self.complete(theta), angles)
        return torch.stack(torch.broadcast_tensors(canopy.fapar, canopy.fcover), -1)


class ResidualDecoder(nn.Module):
    """The low-rank gated residual above.

    Parameters
    ----------
    bands, latents, rank, width : int
        Bands; residual latents z_r; columns of B; hidden size of W.
    """

    gate: Tensor

    def __init__(self, bands: int, *, latents: int, rank: int, width: int):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(latents + bands, width), nn.SiLU(), nn.Linear(width, rank)
        )
        self.basis = nn.Parameter(torch.linalg.qr(torch.randn(bands, rank)).Q)
        self.scale = nn.Parameter(torch.full((rank,), -3.0))
        self.register_buffer("gate", torch.zeros(()))

    def forward(
        self, latent: Float[Tensor, "*#batch latent"], physical: Float[Tensor, "*#batch band"]
    ) -> Float[Tensor, "*full band"]:
        """Reflectance [-] to be added to the physical decoding."""
        batch = torch.broadcast_shapes(latent.shape[:-1], physical.shape[:-1])
        seen = (latent.expand(*batch, -1), physical.detach().expand(*batch, -1))
        inside = self.network(torch.cat(seen, -1)).tanh()
        return self.gate * (inside * self.scale.exp()) @ self.basis.T

    def orthogonality(self) -> Float[Tensor, ""]:
        """‖BᵀB − I‖²."""
        gram = self.basis.T @ self.basis
        return (gram - torch.eye(len(gram)).to(gram)).square().sum()


DECODERS = {"physical": PhysicalDecoder, "residual": ResidualDecoder}
