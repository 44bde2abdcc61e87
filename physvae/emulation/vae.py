"""A variational auto-encoder of spectra.

    q(z | x) = N(μ(x), σ²),  x ~ N(D(z), s²),  z ~ N(0, 1)
    loss     = |x - D(z)|²/2s² + β·KL(q | N(0, 1)) + ordered latents

Ordered latents (Pati & Lerch 2021, 10.1007/s00521-020-05270-2): within a batch, latent k grows
with attribute k, |tanh(z_i - z_j) - sign(a_i - a_j)|.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.emulation.moments import Linear
from physvae.emulation.plans import VAEPlan


class LinearDecoder(nn.Module):
    """D(z) = Wz + m.

    Parameters
    ----------
    latents, size : int
        Latents in, wavelengths or bands out.
    """

    def __init__(self, latents: int, size: int, width: int = 0) -> None:
        super().__init__()
        self.last = nn.Linear(latents, size)

    def start(self, linear: Linear, mean: Tensor) -> None:
        """Take over the linear auto-encoder of spectra with this mean."""
        with torch.no_grad():
            self.last.weight.copy_(linear.decoder)
            self.last.bias.copy_(mean)

    def forward(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n size"]:
        """Spectra."""
        return self.last(z)


class CurvedDecoder(nn.Module):
    """D(z) = W(z, h(z)) + m, h a network; linear where it starts.

    Parameters
    ----------
    latents, size, width : int
        Latents in, wavelengths or bands out, units of h.
    """

    def __init__(self, latents: int, size: int, width: int = 128) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(latents, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.last = nn.Linear(latents + width, size)

    def start(self, linear: Linear, mean: Tensor) -> None:
        """Take over the linear auto-encoder of spectra with this mean."""
        latents = linear.decoder.shape[1]
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.weight[:, :latents].copy_(linear.decoder)
            self.last.bias.copy_(mean)

    def forward(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n size"]:
        """Spectra."""
        return self.last(torch.cat([z, self.inner(z)], -1))


Decoder = LinearDecoder | CurvedDecoder
DECODERS: dict[str, type[Decoder]] = {"linear": LinearDecoder, "mlp": CurvedDecoder}


class SpectraVAE(nn.Module):
    """Encoder and decoder of spectra; starts as the linear one, see `moments.linear_vae`.

    Parameters
    ----------
    plan : VAEPlan
    linear : Linear
    mean : Tensor [wavelength]
        Of the spectra.
    """

    mean: Tensor

    def __init__(self, plan: VAEPlan, linear: Linear, mean: Tensor) -> None:
        super().__init__()
        size, latents = linear.decoder.shape
        self.plan, self.noise = plan, linear.noise
        self.register_buffer("mean", mean.float())
        self.project = nn.Linear(size, latents, bias=False)
        self.bend = nn.Sequential(
            nn.Linear(latents, plan.width), nn.SiLU(), nn.Linear(plan.width, latents)
        )
        self.spread = nn.Parameter(linear.variance.float().log() * 0.5)
        self.decoder = DECODERS[plan.decoder](latents, size, plan.width)
        self.decoder.start(linear, mean)
        with torch.no_grad():
            self.project.weight.copy_(linear.encoder)
            for parameter in self.bend[2].parameters():
                parameter.zero_()

    def encode(self, x: Float[Tensor, "n size"]) -> Float[Tensor, "n latent"]:
        """The latent mean μ(x)."""
        straight = self.project(x - self.mean)
        return straight + self.bend(straight) if self.plan.steps else straight

    def loss(
        self, x: Float[Tensor, "n size"], attributes: Float[Tensor, "n attribute"],
        generator: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """The negative bound per wavelength, with one sample of z, and the ordering."""
        mean, spread = self.encode(x), self.spread.exp()
        z = mean + spread * torch.randn(mean.shape, generator=generator)
        misfit = (self.decoder(z) - x).square().sum(-1).mean() / (2.0 * self.noise**2)
        kl = 0.5 * (mean**2 + spread**2 - 1.0).sum(-1).mean() - self.spread.sum()
        bound = (misfit + self.plan.beta * kl) / x.shape[-1] + math.log(self.noise)
        return bound + self.plan.ordered * ordering(mean, attributes)


def ordering(z: Float[Tensor, "n latent"], attributes: Float[Tensor, "n attribute"]) -> Tensor:
    """How far the first latents are from growing with the attributes, 0-2; 0 without any."""
    if attributes.shape[-1] == 0:
        return z.new_zeros(())
    z, a = z[:64, : attributes.shape[-1]], attributes[:64]
    between = (z.unsqueeze(0) - z.unsqueeze(1)).tanh()
    wanted = (a.unsqueeze(0) - a.unsqueeze(1)).sign()
    return (between - wanted).abs().mean()
