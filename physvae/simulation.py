"""Seeded simulation: variables from the prior, spectra by PROSAIL, noise by the likelihood.

Scores are N(0, I) at every pixel and date. Pixels of a patch share a part of them,
u = √ρ u_patch + √(1 − ρ) u_pixel; dates of a series follow u_t = a u_{t−1} + √(1 − a²) ε with
a = exp(−Δt/memory).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from physvae.config import Angles, Missing
from physvae.plans import SpatialPlan, TemporalPlan
from physvae.priors import Prior
from physvae.soils import SoilMixtures
from physvae.vae import PhysVAE
from rtm import Prosail, Sensor


class Simulation(NamedTuple):
    """n simulated observations; pixels, or patches [n, height, width] or series [n, date].

    Attributes
    ----------
    scores, theta : Tensor [n, ..., parameter]
        Standard normal scores and the variables they stand for.
    latent : Tensor [n, ..., latent]
        Residual latents, from their prior.
    angles : Tensor [n, ..., 3]
        Degree.
    physical, reflectance : Tensor [n, ..., band]
        PROSAIL alone; with the residual of the latents and noise.
    days : Tensor [n, date] or None
        Of series.
    """

    scores: Tensor
    theta: Tensor
    latent: Tensor
    angles: Tensor
    physical: Tensor
    reflectance: Tensor
    days: Tensor | None = None


def draw_angles(n: int, ranges: Angles, generator: torch.Generator) -> Tensor:
    """n sets of angles [n, (tts, tto, psi)] in degrees, uniform in their ranges."""
    bounds = torch.tensor([ranges.tts, ranges.tto, ranges.psi], device=generator.device)
    low, high = bounds.unbind(-1)
    return low + (high - low) * torch.rand(n, 3, generator=generator, device=generator.device)


def draw_scores(
    n: int, size: int, plan, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Scores [n, ..., size] in the layout of an encoder's plan, and the days of series."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=generator.device)

    if isinstance(plan, SpatialPlan):
        shared, own = normal(n, 1, 1, size), normal(n, plan.patch, plan.patch, size)
        return math.sqrt(plan.coherence) * shared + math.sqrt(1 - plan.coherence) * own, None
    if not isinstance(plan, TemporalPlan):
        return normal(n, size), None
    chance = torch.rand(n, plan.dates, generator=generator, device=generator.device)
    days = (plan.span * chance).sort(-1).values
    keep = torch.exp(-days.diff(dim=-1) / plan.memory).unsqueeze(-1)
    scores = [normal(n, size)]
    for i in range(plan.dates - 1):
        fresh = (1 - keep[:, i].square()).sqrt() * normal(n, size)
        scores.append(keep[:, i] * scores[-1] + fresh)
    return torch.stack(scores, 1), days


@torch.no_grad()
def simulate(
    model: PhysVAE, n: int, ranges: Angles, generator: torch.Generator,
    soils: SoilMixtures | None = None,
) -> Simulation:  # fmt: skip
    """n observations of a model: its prior, its physics, its residual, its noise.

    The residual of random latents is what the model has learned about its own discrepancy from
    real spectra, so that a posterior trained on these simulations allows for it.

    Parameters
    ----------
    model : PhysVAE
    n : int
        Pixels, or patches or series, as the model's layout has it.
    ranges : Angles
        A patch has one set of angles, a series one a date.
    generator : torch.Generator
        On the model's device.
    soils : SoilMixtures, optional
        Soils that are shown whole.

    Examples
    --------
    >>> import physvae
    >>> from physvae.config import Angles
    >>> model = physvae.load("sentinel-2")
    >>> simulate(model, 3, Angles(), torch.Generator().manual_seed(1)).reflectance.shape
    torch.Size([3, 10])
    """
    scores, days = draw_scores(n, len(model.space), model.plan, generator)
    shape = scores.shape[:-1]
    latent = model.latents.draw(shape, generator)
    if model.layout == "patch":
        angles = draw_angles(n, ranges, generator)[:, None, None].expand(*shape, 3)
    else:
        angles = draw_angles(math.prod(shape), ranges, generator).reshape(*shape, 3)
    if soils is None:
        theta = model.prior(scores)
        physical = model.physical(theta, angles)
    else:
        weights = soils.draw(shape, generator)
        scores = soils.known_as(scores, weights)
        theta = model.prior(scores)
        physical = soils.reflectance(theta, weights, angles)
    total = physical + model.residual(latent, physical, angles)
    noisy = model.likelihood.draw(total, generator)
    return Simulation(scores, theta, latent, angles, physical, noisy, days)


def hide(
    reflectance: Tensor, angles: Tensor, bands: tuple[str, ...], rates: Missing,
    generator: torch.Generator, layout: str = "pixel",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same observations with inputs missing at random (NaN); of a series whole dates too."""
    shape, device = reflectance.shape[:-1], reflectance.device
    nan = torch.tensor(torch.nan, device=device)

    def chance(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator, device=device)

    band = [rates.often.get(name, rates.band) for name in bands]
    rate = torch.tensor([*band, rates.sun, rates.view], device=device).expand(*shape, -1)
    any_share = chance(*shape, 1)
    chosen = chance(*shape, 1) < rates.subset
    gone = chance(*rate.shape) < torch.where(chosen, any_share, rate)
    unknown = gone[..., [-2, -1, -1]]  # both view angles are known or neither is
    hidden = gone[..., :-2]
    for window in rates.windows:
        ends = bands.index(window.first), bands.index(window.last)
        inside = torch.zeros(len(bands), dtype=torch.bool, device=device)
        inside[min(ends) : max(ends) + 1] = True
        hidden = hidden | (inside & (chance(*shape, 1) < window.rate))
    if layout == "series":
        hidden = hidden | (chance(*shape, 1) < rates.date)
    return torch.where(hidden, nan, reflectance), torch.where(unknown, nan, angles)


def reduced_sensor(
    full: Sensor, prior: Prior, prosail: Prosail, *, ranges: Angles, tolerance: float, seed: int
) -> Sensor:
    """A sensor on few wavelengths, exact to `tolerance` on draws of the prior.

    Parameters
    ----------
    full : Sensor
        On all wavelengths of its responses.
    prior : Prior
        Of the variables.
    prosail : Prosail
        On the same wavelengths, without a sensor.
    ranges, tolerance, seed : Angles, float, int
        Of the angles [degree]; largest error of a band [reflectance]; of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    theta = prior.double().sample(1000, generator)
    names = dict(zip(prior.space.names, theta.unbind(-1), strict=True))
    angles = draw_angles(len(theta), ranges, generator).double()
    with torch.no_grad():
        return full.reduce(prosail(prosail.space.stack(**names), angles).rso, tolerance)
