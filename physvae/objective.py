"""What training minimises: the fit of real spectra, and the regularisers.

    loss = real · (fit + β KL + least action + attribute) + self-supervised + unmixing + …

With u, z_r ~ q(· | x), K draws, the fit of real spectra is one of

    elbo        −E ln p(x | u, z_r)
    mcrl        −ln N(x; m, s² + noise²), m and s² mean and variance of the K decodings
    importance  −ln (1/K) Σ p(x | u, z_r) p(u) p(z_r) / (q(u) q(z_r)), which holds the KL too

With `wake_sleep` this trains the decoders and the noise alone (wake) and the encoder learns from
simulations of the decoders alone (sleep): the bound pulls q to one mode and its intervals become
too narrow, the simulations do not.

References: Hinton et al. 1995, 10.1126/science.7761831 (wake-sleep); Zérah, Valero, Inglada
2024, 10.1016/j.rse.2024.114309 (MCRL); Burda et al. 2016, arXiv 1509.00519 (importance).
"""

import math

import torch
from torch import Tensor

from physvae.config import Loss
from physvae.plans import Regularisers
from physvae.priors import standard_normal_log_prob
from physvae.real_spectra import RealSpectra
from physvae.regularisers import OF_REAL, REGULARISERS, Decoded, Step
from physvae.vae import PhysVAE


def loss_terms(step: Step, loss: Loss, done: float = 1.0) -> dict[str, Tensor]:
    """All terms [-], each with its weight, so that the loss is their sum.

    Parameters
    ----------
    step : Step
    loss : Loss
    done : float
        Share of training that is over, for the warm-up of β.
    """
    terms = {}
    if step.decoded is not None:
        terms["fit"] = loss.real * fit(step.model, step.decoded, loss)
    for name, term in REGULARISERS.items():
        weight = weight_of(name, step.plan, loss, done)
        if weight and (step.decoded is not None or name not in OF_REAL):
            terms[name] = weight * term(step)
    return terms


def weight_of(name: str, plan: Regularisers, loss: Loss, done: float) -> float:
    """Weight of one regulariser after a share of training."""
    weight = getattr(plan, name)
    if name == "beta":
        held = loss.reconstruction == "importance"
        rise = done / plan.beta_warm_up if plan.beta_warm_up else 1.0
        weight = 0.0 if held else weight * min(1.0, rise)
    return weight * loss.real if name in OF_REAL else weight


def decode_draws(
    model: PhysVAE, real: RealSpectra, seen: tuple[Tensor, Tensor], loss: Loss,
    generator: torch.Generator,
) -> Decoded:  # fmt: skip
    """Draws from the posterior of real spectra, decoded.

    Parameters
    ----------
    real : RealSpectra
        As measured; NaN where the product has a gap.
    seen : tuple
        Reflectance and angles, with more hidden.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and not loss.wake_sleep):
        encoded = model.encode(*seen, real.days)
    u = encoded.scores.per_component(loss.draws, generator)
    z = encoded.residual.rsample(loss.draws * u.shape[1], generator)
    z = z.unflatten(0, (loss.draws, u.shape[1]))
    total, physical = model.decode(model.prior(u), real.angles, z)
    weight = encoded.scores.log_weights.exp().movedim(-1, 0)
    return Decoded(real, seen, encoded, u, z, total, physical, weight)


def fit(model: PhysVAE, found: Decoded, loss: Loss) -> Tensor:
    """Minus the fit [-] of real spectra, of the kind that `loss` names."""
    x = found.real.reflectance
    if model.training:
        model.likelihood.observe(x, found.total.detach())
    if loss.reconstruction == "mcrl":
        return -found.mean(_moment_likelihood(model, x, found.total))
    log_p = model.likelihood.log_prob(x, found.total)
    if loss.reconstruction == "elbo":
        return -found.mean(log_p.mean(0))
    ratio = log_p + log_ratio(found)
    bound = ratio.logsumexp(0) - math.log(len(ratio))
    whole = (bound + found.weight.log()).logsumexp(0, keepdim=True)
    return -found.mean(whole.expand_as(bound))


def log_ratio(found: Decoded) -> Tensor:
    """ln p(u) p(z_r) / (q(u) q(z_r)) [draw, component, ...]; z_r of a code book costs ln K."""
    scores, residual = found.encoded.scores, found.encoded.residual
    physical = standard_normal_log_prob(found.scores) - scores.log_prob(found.scores)
    if not hasattr(residual, "stddev"):
        return physical - residual.cost()
    return physical + standard_normal_log_prob(found.latent) - residual.log_prob(found.latent)


def _moment_likelihood(model: PhysVAE, x: Tensor, decoded: Tensor) -> Tensor:
    """ln N(x; m, s² + D) over the bands present, m and s² over the first axis of `decoded`."""
    mean, spread = decoded.mean(0), decoded.var(0, correction=0)
    variance = spread + model.likelihood.variance(mean)
    seen = x.isfinite()
    gap = torch.where(seen, x, 0.0) - mean
    terms = gap.square() / variance + variance.log() + math.log(2 * math.pi)
    return -0.5 * (terms * seen).sum(-1)
