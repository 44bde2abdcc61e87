r"""Draws of a posterior, weighed by how likely they are, and adapted so that many count.

Draws u_i of proposals q_k, in equal numbers, have the importance (deterministic mixture: Owen &
Zhou 2000, 10.1080/01621459.2000.10473909)

    r_i = p(x | u_i) p(u_i) / mean_k q_k(u_i)

and weights ∝ r_i^β, of which none exceeds mean · √draws (Ionides 2008,
10.1198/106186008X320456). β is the largest power up to 1 at which 1 / Σ w² draws count: many
narrow bands leave a single draw otherwise, and intervals without width.

The first proposal is the amortised posterior. Each next one takes the spectra y as linear in u on
the weighted draws, y = ȳ + Bᵀ(u − ū) + e, e ~ N(0, R), and conditions on the one seen:

    C⁻¹ = I + B S⁻¹ Bᵀ,   m = C B S⁻¹ (x − ȳ + Bᵀū),   S = R + D + v vᵀ

with D and v of `physvae.likelihoods` (an ensemble smoother: Evensen & van Leeuwen 2000,
10.1175/1520-0493(2000)128<1852:AEKSFN>2.0.CO;2). What of y is not linear stands in R, so the
proposal is wide where the decoder bends.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from physvae.likelihoods import BandLikelihood
from physvae.priors import standard_normal_log_prob
from physvae.scores import Scores

ENOUGH = 100.0  # draws that shall count, or a quarter of few
ROUNDS = 2  # of adapting the proposal
WIDER = 1.2  # sd of a proposal over that of its Gaussian
RIDGE = 1e-4  # of the prior's variance, where draws hardly vary
HALVINGS = 25  # of the range of β


class Decoded(NamedTuple):
    """Spectra [draw, ..., band] of draws, and ln p(x | u) [draw, ...] but for a constant."""

    spectra: Tensor
    log_likelihood: Tensor


class Weighed(NamedTuple):
    """Spectra [draw, ..., band] and weights [draw, ...] of sum 1; β and 1 / Σ w² [...]."""

    spectra: Tensor
    weights: Tensor
    power: Tensor
    effective: Tensor


def weigh(
    scores: Scores, decode: Callable[[Tensor], Decoded], x: Tensor, likelihood: BandLikelihood, *,
    draws: int, generator: torch.Generator,
) -> Weighed:  # fmt: skip
    """Draws of several proposals, the first of them `scores`, weighed.

    Parameters
    ----------
    scores : Scores
        q(u | x).
    decode : callable
        Of scores [draw, ..., parameter].
    x : Tensor [..., band]
        The spectra seen, NaN where missing.
    likelihood : BandLikelihood
        Its errors, for the proposals.
    draws : int
        In all.
    generator : torch.Generator
        For draws of the further proposals.
    """
    each = max(1, draws // (ROUNDS + 1))
    u, log_prob = _first_proposal(scores, each, generator)
    decoded, proposals = decode(u), [log_prob]
    for k in range(ROUNDS + 1):
        spectra, log_likelihood = decoded
        mixed = torch.stack([log_prob(u) for log_prob in proposals]).logsumexp(0)
        weighed = temper(
            log_likelihood + standard_normal_log_prob(u) - mixed, min(ENOUGH, 0.25 * len(u))
        )
        found = Weighed(spectra, *weighed)
        if k == ROUNDS:
            break
        proposal = linear_gaussian(u, found, x, likelihood)
        shape = (each, *proposal.loc.shape)
        noise = torch.randn(shape, generator=generator, dtype=u.dtype, device=u.device)
        more = proposal.loc + (proposal.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        u, parts = torch.cat((u, more)), zip(decoded, decode(more), strict=True)
        decoded = Decoded(*(torch.cat(part) for part in parts))
        proposals.append(proposal.log_prob)
    return found


def _first_proposal(
    scores: Scores, draws: int, generator: torch.Generator
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Draws of q(u | x) and its log density; of the prior, where q is no density.

    Far outside of the training domain (water, shadow) an encoder may say a covariance whose
    density is not a number.
    """
    u = scores.fixed(draws)
    lost = ~scores.log_prob(u).isfinite().all(0)
    noise = torch.randn(u.shape, generator=generator, dtype=u.dtype, device=u.device)

    def log_prob(at: Tensor) -> Tensor:
        return torch.where(lost, standard_normal_log_prob(at), scores.log_prob(at))

    return torch.where(lost.unsqueeze(-1), noise, u), log_prob


class Tempered(NamedTuple):
    """Weights [draw, ...] of sum 1, the power β and the number that counts, [...] both."""

    weights: Tensor
    power: Tensor
    effective: Tensor


def temper(log_ratio: Tensor, enough: float) -> Tempered:
    """Truncated weights of the largest β in 0-1 at which so many draws count.

    Parameters
    ----------
    log_ratio : Tensor [draw, ...]
        Logarithms of importance.
    enough : float
        Number of draws, below that of all.
    """
    low, high = torch.zeros_like(log_ratio[0]), torch.ones_like(log_ratio[0])
    whole = _counting(log_ratio, high) >= enough
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        many = _counting(log_ratio, middle) >= enough
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    power = torch.where(whole, 1.0, low)
    weights = truncated(power * log_ratio)
    return Tempered(weights, power, 1.0 / weights.square().sum(0))


def truncated(log_ratio: Tensor) -> Tensor:
    """Weights [draw, ...] of sum 1 from logarithms of importance, none above mean · √draws."""
    draws = math.log(len(log_ratio))
    return torch.minimum(log_ratio, log_ratio.logsumexp(0) - 0.5 * draws).softmax(0)


def _counting(log_ratio: Tensor, power: Tensor) -> Tensor:
    return 1.0 / truncated(power * log_ratio).square().sum(0)


def linear_gaussian(
    u: Tensor, found: Weighed, x: Tensor, likelihood: BandLikelihood
) -> MultivariateNormal:
    """N(m, C) over scores [..., parameter] where spectra are linear in u on weighted draws."""
    seen = x.isfinite()
    w = found.weights.double().unsqueeze(-1)
    y = torch.where(seen, found.spectra, 0.0).double()
    u_mean, y_mean = (w * u).sum(0), (w * y).sum(0)
    du, dy = u - u_mean, y - y_mean
    one = torch.eye(u.shape[-1], dtype=y.dtype, device=y.device)
    slope = torch.linalg.solve(_product(w * du, du) + RIDGE * one, _product(w * du, dy))
    rest = dy - (du.unsqueeze(-2) @ slope).squeeze(-2)
    own = torch.where(seen, likelihood.variance(y_mean.to(x)), 1.0).double()
    shared = likelihood.common * y_mean
    error = (
        _product(w * rest, rest)
        + torch.diag_embed(own)
        + shared[..., :, None] * shared[..., None, :]
    )
    gap = torch.where(seen, x, 0.0) - y_mean + (u_mean.unsqueeze(-2) @ slope).squeeze(-2)
    weighed = torch.linalg.solve(error, slope.mT)
    precision = one + slope @ weighed
    mean = torch.linalg.solve(precision, (gap.unsqueeze(-2) @ weighed).squeeze(-2))
    covariance = torch.linalg.inv(precision)
    root = torch.linalg.cholesky(0.5 * (covariance + covariance.mT)) * WIDER
    return MultivariateNormal(mean.to(u), scale_tril=root.to(u), validate_args=False)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Σ over draws of the outer products [..., i, j] of a and b [draw, ..., i or j]."""
    return torch.einsum("s...i,s...j->...ij", a, b)
