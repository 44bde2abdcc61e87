"""Decoders: physics, and what is added to physics.

    physical     x = x_P,  PROSAIL at the sensor's bands
    residual     x = x_P + g · tanh(W[z_r, sg(x_P)]) Bᵀ
    correction   x = x_P + g · C(x_P)           (MAGIC: She et al. 2024, arXiv 2405.18953)
    combined     x = x_P + both

z_r: residual latents; W, C: small networks; B [band, rank] with orthonormal columns (penalised);
sg: no gradient into the physics; g: a gate, 0 during the physics-only warm-up, 1 after. Guard:
least action (Takeishi & Kalousis, NeurIPS 2021), so that what is added explains only what the
physics cannot. MAGIC's C learns freely: `gradient = true` and no guard do as it was published.
x_P is at hand whatever is added. `DECODERS` maps the word in a training file to what is added.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.plans import Correction, Physics, Residual
from physvae.scaling import ANGLE_COUNT
from rtm import ParameterSpace, Prosail, Sensor


class PhysicalDecoder(nn.Module):
    """PROSAIL with its own names: the variables of the prior, everything else at its default.

    Parameters
    ----------
    sensor : Sensor
        Bands, best on the few wavelengths of a reduced quadrature.
    soil : SpectralSoil, DryWetSoil or BSM, optional
        Soil shapes on wavelengths that include the sensor's; else the dry/wet mixture.
    plan : Physics
        Leaf, layers, crowns, leaf angles and hot spot.
    """

    columns: Tensor
    default: Tensor

    def __init__(self, sensor: Sensor, soil=None, plan: Physics = Physics()):
        super().__init__()
        options = {"soil": soil, **canopy(plan)}
        self.prosail = Prosail(plan.leaf, sensor, products=False, **options)
        self.absorbing = Prosail(plan.leaf, sensor, products=True, **options)
        self.full_space, self.sensor = self.prosail.space, sensor

    def bind(self, space: ParameterSpace) -> "PhysicalDecoder":
        """State which variables θ holds, in which order."""
        columns = [self.full_space.index(name) for name in space.names]
        default = self.full_space.default.clone()
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("default", default, persistent=False)
        return self

    def compile(self) -> None:
        """Make the physics fast, see `rtm.Prosail.compile`; it takes seconds."""
        self.prosail.compile()
        self.absorbing.compile()

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


def canopy(plan: Physics) -> dict:
    """Options of `rtm.Prosail` besides leaf, sensor, soil and products."""
    return plan.model_dump(exclude={"leaf"})


class Addition(nn.Module):
    """Base of what is added to physics; by itself nothing.

    Parameters
    ----------
    bands : int
    residual : Residual
    correction : Correction
        Sizes; each class takes those of its own.
    """

    latents: int = 0

    def __init__(self, bands: int, residual: Residual, correction: Correction):
        super().__init__()

    def forward(
        self, latent: Float[Tensor, "*#batch latent"], physical: Float[Tensor, "*#batch band"],
        angles: Float[Tensor, "*#batch angle"],
    ) -> Float[Tensor, "*full band"]:  # fmt: skip
        """Reflectance [-] to be added to the physical decoding; angles [degree]."""
        return torch.zeros_like(physical)

    def open(self, gate: float) -> None:
        """Set the gate, 0-1, where there is one."""

    def orthogonality(self) -> Float[Tensor, ""]:
        """‖BᵀB − I‖² where there is a basis."""
        return torch.zeros(())


class ResidualDecoder(Addition):
    """The low-rank gated residual above; with `geometry` W also sees the cosines of the angles."""

    gate: Tensor

    def __init__(self, bands: int, residual: Residual, correction: Correction):
        super().__init__(bands, residual, correction)
        self.latents, self.geometry = residual.latents, residual.geometry
        inputs = self.latents + bands + ANGLE_COUNT * self.geometry
        rank = min(residual.rank, bands)
        self.network = nn.Sequential(
            nn.Linear(inputs, residual.width), nn.SiLU(), nn.Linear(residual.width, rank)
        )
        self.basis = nn.Parameter(torch.linalg.qr(torch.randn(bands, rank)).Q)
        self.scale = nn.Parameter(torch.full((rank,), -3.0))
        self.register_buffer("gate", torch.zeros(()))

    def forward(
        self, latent: Float[Tensor, "*#batch latent"], physical: Float[Tensor, "*#batch band"],
        angles: Float[Tensor, "*#batch angle"],
    ) -> Float[Tensor, "*full band"]:  # fmt: skip
        """Reflectance [-] to be added to the physical decoding; angles [degree]."""
        batch = torch.broadcast_shapes(latent.shape[:-1], physical.shape[:-1])
        seen = (latent.expand(*batch, -1), physical.detach().expand(*batch, -1))
        if self.geometry:
            seen = (*seen, angles.deg2rad().cos().expand(*batch, -1))
        inside = self.network(torch.cat(seen, -1)).tanh()
        return self.gate * (inside * self.scale.exp()) @ self.basis.T

    def open(self, gate: float) -> None:
        """Set g, 0-1."""
        self.gate.fill_(gate)

    def orthogonality(self) -> Float[Tensor, ""]:
        """‖BᵀB − I‖²."""
        gram = self.basis.T @ self.basis
        return (gram - torch.eye(len(gram)).to(gram)).square().sum()


class BiasCorrection(Addition):
    """MAGIC's correction of the physical decoding; without latents, so a bias and no noise."""

    gate: Tensor

    def __init__(self, bands: int, residual: Residual, correction: Correction):
        super().__init__(bands, residual, correction)
        sizes = [bands, *(correction.width,) * correction.depth]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(sizes[-1], bands)
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.zero_()
        self.network, self.gradient = nn.Sequential(*layers, last), correction.gradient
        self.register_buffer("gate", torch.zeros(()))

    def forward(
        self, latent: Float[Tensor, "*#batch latent"], physical: Float[Tensor, "*#batch band"],
        angles: Float[Tensor, "*#batch angle"],
    ) -> Float[Tensor, "*full band"]:  # fmt: skip
        """Reflectance [-] to be added to the physical decoding."""
        return self.gate * self.network(physical if self.gradient else physical.detach())

    def open(self, gate: float) -> None:
        """Set g, 0-1."""
        self.gate.fill_(gate)


class Combined(Addition):
    """A bias correction and a residual of what varies."""

    def __init__(self, bands: int, residual: Residual, correction: Correction):
        super().__init__(bands, residual, correction)
        self.correction = BiasCorrection(bands, residual, correction)
        self.residual = ResidualDecoder(bands, residual, correction)
        self.latents = self.residual.latents

    def forward(
        self, latent: Tensor, physical: Tensor, angles: Tensor
    ) -> Float[Tensor, "*full band"]:
        """Reflectance [-] to be added to the physical decoding."""
        both = (self.correction, self.residual)
        return both[0](latent, physical, angles) + both[1](latent, physical, angles)

    def open(self, gate: float) -> None:
        """Set both gates, 0-1."""
        self.correction.open(gate)
        self.residual.open(gate)

    def orthogonality(self) -> Float[Tensor, ""]:
        """‖BᵀB − I‖² of the residual."""
        return self.residual.orthogonality()


DECODERS = {
    "physical": Addition,
    "residual": ResidualDecoder,
    "correction": BiasCorrection,
    "combined": Combined,
}
