"""What training minimises.

Simulations, with scores u, z_r drawn from their priors, x = x_P(u) + r(z_r, x_P) + noise:

    L_sim = −ln q(u, z_r | x)        self-supervised: the encoder returns what was drawn

Real spectra, u, z_r ~ q(· | x), K draws:

    ELBO   −E ln p(x | u, z_r) + β (KL(q(u) ‖ N(0, I)) + KL(q(z_r) ‖ N(0, I)))
    MCRL   the first term is −ln N(x; m, s² + noise²), m and s² mean and variance of the K
           decodings

With `wake_sleep` the second trains the decoders and the noise alone (wake) and the encoder learns
from simulations of the decoders alone (sleep): the bound pulls q to one mode and its intervals
become too narrow, the simulations do not.

Guards: least action ‖r‖² and unmixing ‖r(z_r, x_P)‖² on simulated canopies, both in units of the
likelihood's variance, and ‖BᵀB − I‖².

References: Hinton et al. 1995, 10.1126/science.7761831 (wake-sleep); Zérah, Valero, Inglada
2024, 10.1016/j.rse.2024.114309 (MCRL); Takeishi & Kalousis, NeurIPS 2021 (guards); Papamakarios &
Murray, NeurIPS 2016 (L_sim).
"""

import math

import torch
from torch import Tensor
from torch.distributions import Independent

from physvae.config import Loss
from physvae.priors import standard_normal_log_prob
from physvae.simulation import Simulation
from physvae.vae import PhysVAE


def simulation_loss(model: PhysVAE, drawn: Simulation, seen: tuple[Tensor, Tensor]) -> Tensor:
    """L_sim [-] of simulations whose inputs `seen` = (reflectance, angles) may have gaps."""
    out = model.encode(*seen)
    physical = model.head.physical(out).log_prob(drawn.scores)
    latent = model.head.latent(out).log_prob(drawn.latent)
    return -(physical + latent).mean()


def spectra_loss(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, seen: tuple[Tensor, Tensor],
    loss: Loss, generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """ELBO or MCRL [-] of real spectra, with the least-action guard.

    Parameters
    ----------
    reflectance, angles : Tensor [n, band], [n, 3]
        As measured; NaN where the product has a gap.
    seen : tuple
        The same, with more hidden: what the encoder gets. The decoder must give all back.
    """
    with torch.set_grad_enabled(not loss.wake_sleep):
        out = model.encode(*seen)
        scores, latents = model.head.physical(out), model.head.latent(out)
    u = scores.per_component(loss.draws, generator)
    noise = torch.randn((loss.draws, 1, *latents.mean.shape), generator=generator)
    z = latents.mean + latents.stddev * noise
    total, physical = model.decode(model.prior(u), angles, z)
    if loss.reconstruction == "mcrl":
        fit = _moment_likelihood(model, reflectance, total)
    else:
        fit = model.likelihood.log_prob(reflectance, total).mean(0)
    kl = (scores.log_prob(u) - standard_normal_log_prob(u)).mean(0)
    action = _in_noise_units(model, total - physical, physical).mean(0)
    weight = scores.log_weights.exp().T  # [component, n]
    bound = (weight * (fit - loss.beta * kl - loss.least_action * action)).sum(0)
    return -(bound - loss.beta * _gaussian_kl(latents)).mean()


def guard_loss(model: PhysVAE, drawn: Simulation) -> tuple[Tensor, Tensor]:
    """Unmixing and orthogonality [-]."""
    residual = model.residual(drawn.latent, drawn.physical)
    unmixing = _in_noise_units(model, residual, drawn.physical).mean()
    return unmixing, model.residual.orthogonality()


def _in_noise_units(model: PhysVAE, residual: Tensor, physical: Tensor) -> Tensor:
    """‖r‖² over the likelihood's variance [...]; the variance itself gets no gradient from it."""
    return (residual.square() / model.likelihood.variance(physical).detach()).sum(-1)


def _moment_likelihood(model: PhysVAE, x: Tensor, decoded: Tensor) -> Tensor:
    """ln N(x; m, s² + D) over the bands present, m and s² over the first axis of `decoded`."""
    mean, spread = decoded.mean(0), decoded.var(0, correction=0)
    variance = spread + model.likelihood.variance(mean)
    seen = x.isfinite()
    gap = torch.where(seen, x, 0.0) - mean
    terms = gap.square() / variance + variance.log() + math.log(2 * math.pi)
    return -0.5 * (terms * seen).sum(-1)


def _gaussian_kl(latents: Independent) -> Tensor:
    """KL(N(m, s²) ‖ N(0, 1)) summed over the latents."""
    mean, variance = latents.mean, latents.variance
    return 0.5 * (mean.square() + variance - 1 - variance.log()).sum(-1)
