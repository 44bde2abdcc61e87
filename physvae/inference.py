"""What else the same latent space tells, as functions of tensors.

    importance_bound     ln p(x) from below, tighter the more draws (Burda et al. 2016)
    dropout_posterior    the mean posterior of passes with dropout (Gal & Ghahramani 2016)
    predictive           draws of what a sensor would see, hidden bands and all: gap filling
    physics_alone        the mean physical spectrum of a posterior that knows physics alone
    traverse             spectra along one variable, the others as they are
    latent_vector        the mean scores and residual latents
    change_score         min over the past of 1 − cos(z_t, z_s) (RaVAEn: Růžička et al. 2022,
                         10.1038/s41598-022-19437-5)
    out_of_domain        the largest of three distances over their limits; above 1: a stranger

Spectra are reflectance [..., band], 0-1, NaN where missing; angles [..., 3] in degrees; `days`
[..., date] for models of series.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.config import Loss
from physvae.draws import weighted_quantile
from physvae.importance import Decoded, temper, weigh
from physvae.latents import GaussianLatent
from physvae.objective import decode_draws, log_ratio
from physvae.posterior import Posterior
from physvae.priors import standard_normal_log_prob
from physvae.real_spectra import RealSpectra
from physvae.scaling import filled
from physvae.scores import MemberMixture, Scores
from physvae.vae import Encoded, PhysVAE, Reconstruction

PREDICTED, NOISES = 768, 4  # draws of a predictive, and of the noise of each
ALONE, ALONE_ENOUGH = 256, 10.0  # draws of `physics_alone`, and how many shall count
KEPT = 0.98  # share of simulations within the limit of the latent distance
LEAST_TOLD = 1e-3  # of a variable's prior variance: what nothing is known of has a limit too


class Predictive(NamedTuple):
    """What a sensor would see.

    Attributes
    ----------
    mean, sd, p025, p975 : Tensor [..., band]
        Moments and the 95 % interval, reflectance.
    effective_draws : Tensor [...]
        How many draws count, 1 / Σ w².
    power : Tensor [...]
        β of `physvae.importance`: below 1 the interval is wider than that of the posterior.
    """

    mean: Tensor
    sd: Tensor
    p025: Tensor
    p975: Tensor
    effective_draws: Tensor
    power: Tensor


@torch.no_grad()
def importance_bound(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, draws: int,
    generator: torch.Generator, days: Tensor | None = None,
) -> Float[Tensor, "*batch"]:  # fmt: skip
    """Lower bound of ln p(x) [...] with so many draws a component; 1 draw gives the ELBO."""
    real = RealSpectra(reflectance, angles, days)
    found = decode_draws(
        model, real, (reflectance, angles), Loss.model_construct(draws=draws), generator
    )
    ratio = model.likelihood.log_prob(reflectance, found.total) + log_ratio(found)
    each = ratio.logsumexp(0) - math.log(draws)
    return (each + found.weight.log()).logsumexp(0)


@torch.no_grad()
def dropout_posterior(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, passes: int, seed: int,
    days: Tensor | None = None,
) -> Posterior:  # fmt: skip
    """The mean of the posteriors of passes with dropout, for `model.summarise`.

    Raises
    ------
    ValueError
        Where the encoder was trained without dropout.
    """
    layers = [m for m in model.encoder.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    if not layers:
        raise ValueError("dropout: expected an encoder trained with dropout, got one without")
    kept = model.encoder.training
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.encoder.train()
        found = [model.encode(reflectance, angles, days).scores for _ in range(passes)]
        model.encoder.train(kept)
    return Posterior(MemberMixture(found), model.prior)


@torch.no_grad()
def predictive(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, generator: torch.Generator,
    draws: int = PREDICTED, days: Tensor | None = None,
) -> Predictive:  # fmt: skip
    """Posterior predictive of every band, hidden ones too: variables, residual and noise.

    Draws of the amortised posterior q, which is broader than it should be across the spectrum,
    and of Gaussians adapted to the spectrum are weighed by

        w_i ∝ (p(x | u_i, z_i) p(u_i, z_i) / q(u_i, z_i))^β

    so that at least 100 draws or a quarter of them count (`physvae.importance`).

    Parameters
    ----------
    reflectance : Tensor [..., band]
        NaN in the bands that shall be filled.
    angles : Tensor [..., 3]
        Degree.
    generator : torch.Generator
        For residual latents and noise.
    draws : int
        Of the posterior; each is seen with `NOISES` draws of noise.
    days : Tensor [..., date], optional
        As for `encode`.
    """
    x, a = reflectance.to(model.features.mean), angles.to(model.features.mean)
    encoded = model.encode(x, a, days)

    def decode(u: Tensor) -> Decoded:
        z = encoded.residual.rsample(len(u), generator)
        total = model.decode(model.prior(u), a, z).total
        return Decoded(total, model.likelihood.log_prob(x, total) + _latent_ratio(encoded, z))

    found = weigh(encoded.scores, decode, x, model.likelihood, draws=draws, generator=generator)
    total, weight = found.spectra, found.weights
    noisy = [model.likelihood.draw_given(x, total, generator) for _ in range(NOISES)]
    seen, weight = torch.cat(noisy), weight.repeat(NOISES, *(1,) * (weight.dim() - 1)) / NOISES
    mean = (weight.unsqueeze(-1) * seen).sum(0)
    sd = (weight.unsqueeze(-1) * (seen - mean).square()).sum(0).sqrt()
    low, high = (weighted_quantile(seen, weight, p) for p in (0.025, 0.975))
    return Predictive(mean, sd, low, high, found.effective, found.power)


@torch.no_grad()
def physics_alone(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, draws: int = ALONE,
    days: Tensor | None = None,
) -> Float[Tensor, "*batch band"]:  # fmt: skip
    """Mean physical spectrum where physics alone must explain the one seen, reflectance [-].

    `model.reconstruct` decodes the centre of q(u | x), which is no mean of decodings, and which
    leaves to the residual and to the error common to all bands what they explain. Here the draws
    of q are weighed, so that ten of them count (`physvae.importance.temper`), by

        w_i ∝ N(x; x_P(u_i), D) p(u_i) / q(u_i | x)

    with D the errors that bands do not share. Arguments as for `predictive`.
    """
    x, a = reflectance.to(model.features.mean), angles.to(model.features.mean)
    scores = model.encode(x, a, days).scores
    u = scores.fixed(draws)
    physical = model.physical(model.prior(u), filled(a))
    variance, seen = model.likelihood.variance(physical), x.isfinite()
    gap = torch.where(seen, x, 0.0) - physical
    fit = -0.5 * ((gap.square() / variance + variance.log()) * seen).sum(-1)
    weight = temper(fit + standard_normal_log_prob(u) - scores.log_prob(u), ALONE_ENOUGH).weights
    return (weight.unsqueeze(-1) * physical).sum(0)


def _latent_ratio(encoded: Encoded, z: Tensor) -> Tensor:
    """ln p(z) / q(z) [draw, ...] but for a constant; a code book has one z."""
    if isinstance(encoded.residual, GaussianLatent):
        return standard_normal_log_prob(z) - encoded.residual.log_prob(z)
    return z.new_zeros(z.shape[:-1])


@torch.no_grad()
def traverse(
    model: PhysVAE, theta: Tensor, angles: Tensor, name: str, values: Tensor,
    latent: Tensor | None = None,
) -> Reconstruction:  # fmt: skip
    """Spectra [value, ..., band] of θ [..., parameter] with one variable at given values.

    Parameters
    ----------
    name : str
        A variable of `model.space`.
    values : Tensor [value]
        In the variable's unit.
    latent : Tensor [..., latent], optional
        Residual latents; zero where not given.
    """
    moved = theta.expand(len(values), *theta.shape).clone()
    moved[..., model.space.index(name)] = values.reshape(-1, *(1,) * (theta.dim() - 1)).to(theta)
    rest = theta.new_zeros((*theta.shape[:-1], model.latents.latents))
    rest = rest if latent is None else latent
    return model.decode(moved, angles, rest.expand(len(values), *rest.shape))


@torch.no_grad()
def latent_vector(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, days: Tensor | None = None
) -> Float[Tensor, "*batch latent"]:
    """Mean scores of the variables, then mean residual latents."""
    encoded = model.encode(reflectance, angles, days)
    return torch.cat((encoded.scores.mean, encoded.residual.mean), -1)


def change_score(
    now: Float[Tensor, "*batch latent"], past: Float[Tensor, "date *batch latent"]
) -> Float[Tensor, "*batch"]:
    """Least cosine distance 0-2 of latent vectors to those of earlier dates.

    >>> z = torch.tensor([1.0, 0.0])
    >>> change_score(z, torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    tensor(1.)
    """
    return (1.0 - nn.functional.cosine_similarity(now.unsqueeze(0), past, dim=-1)).amin(0)


@torch.no_grad()
def out_of_domain(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, days: Tensor | None = None
) -> Float[Tensor, "*batch"]:
    """How far a spectrum is from what the model knows; above 1 it is a stranger.

    The largest of: misfit of the physical decoding, distance from the training spectra, and
    distance of the mean scores from the prior's. 98 % of simulations are within each limit.
    """
    x, a = reflectance.to(model.features.mean), angles.to(model.features.mean)
    posterior = model.posterior(x, a, days)
    distances = (
        model.misfit(x, a, posterior.centre)
        if model.summaries is None
        else model.misfit_of(x, model.physical_mean(x, a)),
        model.domain(x),
        latent_distance(posterior.scores),
    )
    return torch.stack(distances).amax(0)


def latent_distance(scores: Scores, kept: float = KEPT) -> Float[Tensor, "*batch"]:
    """Σ m² of the mean scores over the limit that a share `kept` of simulations is within.

    Over simulations the posterior means of variable i vary by what their spectrum tells, 1 − s_i²
    with s_i² the posterior variance, so that Σ m² is about c χ²(ν) with

        ν = (Σ v)² / Σ v²,   c = Σ v² / Σ v,   v_i = 1 − s_i²

    (Satterthwaite 1946, 10.2307/3002019), whose quantile at the normal score z is
    c ν (1 − 2/(9ν) + z √(2/(9ν)))³ (Wilson & Hilferty 1931, 10.1073/pnas.17.12.684).
    """
    told = (1.0 - scores.fixed().var(0)).clamp_min(LEAST_TOLD)
    square, total = told.square().sum(-1), told.sum(-1)
    spread = 2.0 * square / (9.0 * total.square())
    cube = 1.0 - spread + NormalDist().inv_cdf(kept) * spread.sqrt()
    return scores.mean.square().sum(-1) / (total * cube**3)
