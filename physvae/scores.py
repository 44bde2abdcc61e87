"""What an encoder says about the scores u of the physical variables, u ~ N(0, I) a priori.

Four families over a vector of scores:

    ScoreMixture      Σ_c π_c N(u; μ_c, S_c S_cᵀ), S lower triangular: dense in probit space
    TruncatedMixture  Σ_c π_c Π_i TN(x_i; μ_ci, σ_ci) on [α_i, β_i], x_i the prior's standard value
    FlowScores        u = f⁻¹(z; x), z ~ N(0, I), f a normalising flow (zuko)
    MemberMixture     the mean of several of the above: an ensemble, or passes with dropout

`Scores` is what an estimate reads: fixed draws. `SampledScores` can also be drawn from at random,
`MarginalScores` know the density of every score by itself, which a flow does not. `push` turns
uniform and standard normal deviates into scores, so that random and quasi-random draws go the same
way.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.special import ndtr, ndtri

from physvae.distributions import (
    tail_quantile,
    truncated_log_prob,
    truncated_quantile,
    truncated_score,
)
from physvae.draws import DRAWS, draw_quantile, sobol_points


class Scores(Distribution, ABC):
    """Base: batch [...], event [parameter], known by fixed draws.

    Attributes
    ----------
    log_weights : Tensor [..., component]
        Logarithms of the components' weights, which `per_component` leaves out.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector
    log_weights: Tensor

    @abstractmethod
    def fixed(self, count: int = DRAWS) -> Tensor:
        """Fixed draws [count, ..., parameter]: no chance is in them."""

    @property
    def mean(self) -> Tensor:
        """Mean score [..., parameter]."""
        return self.fixed().mean(0)

    def marginal_quantile(self, probability: float, index: int) -> Tensor:
        """Score at which the marginal of one variable reaches a probability."""
        return draw_quantile(self.fixed()[..., index], probability)


class SampledScores(Scores):
    """Base of the families: random draws that are differentiable in the parameters."""

    has_rsample = True

    @abstractmethod
    def push(self, choice: Tensor, noise: Tensor) -> Tensor:
        """Scores from a uniform (which component) and standard normals (where in it).

        Parameters
        ----------
        choice : Tensor [draw] or [draw, ...]
            Uniform deviate in [0, 1) that picks the component by its cumulative weight.
        noise : Tensor [draw, parameter] or [draw, ..., parameter]
            Standard normal deviates.

        Returns
        -------
        Tensor [draw, ..., parameter]
        """

    @abstractmethod
    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws from every component [draw, component, ..., parameter].

        An expectation is their mean over draws, weighted by π over components: unlike a random
        choice of component this has a gradient in π.
        """

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Random scores [sample, ..., parameter], differentiable in the parameters."""
        n = math.prod(sample_shape)
        kind = {
            "dtype": self.log_weights.dtype,
            "device": self.log_weights.device,
            "generator": generator,
        }
        choice = torch.rand((n, *self.batch_shape), **kind)
        noise = torch.randn((n, *self.batch_shape, *self.event_shape), **kind)
        return self.push(choice, noise).reshape(
            *sample_shape, *self.batch_shape, *self.event_shape
        )

    def fixed(self, count: int = DRAWS) -> Tensor:
        """Fixed quasi-random draws [count, ..., parameter]."""
        points = sobol_points(count, self.event_shape[0] + 1).to(self.log_weights)
        return self.push(points[:, 0], ndtri(points[:, 1:]))


class MarginalScores(SampledScores):
    """Base of the families that know the density of every score by itself."""

    @abstractmethod
    def marginal_log_prob(self, value: Tensor) -> Tensor:
        """ln q(u_i) [..., parameter] of every score by itself."""


def picked(values: Tensor, choice: Tensor, log_weights: Tensor) -> Tensor:
    """Of values [..., component, parameter, draw] the chosen component: [draw, ..., parameter]."""
    if values.shape[-3] == 1:
        return values.squeeze(-3).movedim(-1, 0)
    edges = log_weights.exp().cumsum(-1)[..., :-1]
    which = (choice.unsqueeze(-1) >= edges).sum(-1).movedim(0, -1)  # [..., draw]
    index = which[..., None, None, :].expand(*values.shape[:-3], 1, *values.shape[-2:])
    return values.gather(-3, index).squeeze(-3).movedim(-1, 0)


def _points(choice: Tensor, noise: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Choice and noise as `picked` and the components want them."""
    if choice.dim() == 1:  # the same points for every posterior: one matrix product for all
        return choice.reshape(-1, *(1,) * batch), noise.T
    return choice, noise.movedim(0, -1).unsqueeze(-3)


class ScoreMixture(MarginalScores):
    """Mixture of dense Gaussians: every pair of variables is jointly distributed.

    Parameters
    ----------
    logits : Tensor [..., component]
        Unnormalised log π.
    loc : Tensor [..., component, parameter]
    scale_tril : Tensor [..., component, parameter, parameter]
        S with a positive diagonal.
    """

    def __init__(self, logits: Tensor, loc: Tensor, scale_tril: Tensor):
        self.log_weights = logits.log_softmax(-1)
        self.loc, self.scale_tril = loc, scale_tril
        super().__init__(loc.shape[:-2], loc.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(u) [...] of scores [..., parameter]."""
        gap = (value.unsqueeze(-2) - self.loc).unsqueeze(-1)
        white = torch.linalg.solve_triangular(self.scale_tril, gap, upper=False).squeeze(-1)
        log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        half_log_tau = 0.5 * math.log(2 * math.pi) * self.loc.shape[-1]
        density = -0.5 * white.square().sum(-1) - log_det - half_log_tau
        return (self.log_weights + density).logsumexp(-1)

    def push(self, choice: Tensor, noise: Tensor) -> Tensor:
        """Scores of deviates; differentiable in loc and scale_tril."""
        choice, points = _points(choice, noise, len(self.batch_shape))
        pushed = self.loc.unsqueeze(-1) + self.scale_tril @ points  # [..., component, d, draw]
        return picked(pushed, choice, self.log_weights)

    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws from every component [draw, component, ..., parameter]."""
        loc, tril = self.loc.movedim(-2, 0), self.scale_tril.movedim(-3, 0)
        kind = {"dtype": loc.dtype, "device": loc.device, "generator": generator}
        noise = torch.randn((draws, *loc.shape), **kind)
        return loc + (tril @ noise.unsqueeze(-1)).squeeze(-1)

    def marginal_log_prob(self, value: Tensor) -> Tensor:
        """ln q(u_i) [..., parameter] of every score by itself."""
        sd = self.scale_tril.square().sum(-1).sqrt()
        white = (value.unsqueeze(-2) - self.loc) / sd
        density = -0.5 * white.square() - sd.log() - 0.5 * math.log(2 * math.pi)
        return (self.log_weights.unsqueeze(-1) + density).logsumexp(-2)

    @property
    def mean(self) -> Tensor:
        """Mean score [..., parameter], exact."""
        return (self.log_weights.exp().unsqueeze(-1) * self.loc).sum(-2)

    def marginal_quantile(self, probability: float, index: int) -> Tensor:
        """Score at which the marginal of one variable reaches a probability, by bisection."""
        loc = self.loc[..., index]
        sd = self.scale_tril[..., index, :].square().sum(-1).sqrt()
        low, high = (loc - 8 * sd).amin(-1), (loc + 8 * sd).amax(-1)
        weight = self.log_weights.exp()
        for _ in range(30):
            middle = 0.5 * (low + high)
            below = (weight * ndtr((middle.unsqueeze(-1) - loc) / sd)).sum(-1) < probability
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)


class TruncatedMixture(MarginalScores):
    """Mixture of independent truncated normals on the bounds of the prior's own variables.

    With w the correlated scores of the prior (w = L u), x = F⁻¹(Φ(w)) its standard values and p
    their prior density

        ln q(u) = ln Σ_c π_c Π_i TN(x_i) + Σ_i (ln φ(w_i) − ln p(x_i)) + ln |L|.

    Parameters
    ----------
    logits : Tensor [..., component]
        Unnormalised log π.
    loc, scale : Tensor [..., component, parameter]
        Mean and standard deviation before truncation, in standard units of the prior.
    alpha, beta : Tensor [parameter]
        The prior's bounds in the same units.
    mixing : Tensor [parameter, parameter]
        L, lower triangular.
    """

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, alpha: Tensor, beta: Tensor,
        mixing: Tensor,
    ):  # fmt: skip
        self.log_weights = logits.log_softmax(-1)
        self.loc, self.scale, self.mixing = loc, scale, mixing
        self.alpha, self.beta = alpha, beta
        super().__init__(loc.shape[:-2], loc.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(u) [...] of scores [..., parameter]."""
        density, jacobian = self._each(value @ self.mixing.T)
        total = (self.log_weights + density.sum(-1)).logsumexp(-1) + jacobian.sum(-1)
        return total + self.mixing.diagonal().log().sum()

    def marginal_log_prob(self, value: Tensor) -> Tensor:
        """ln q(w_i) [..., parameter] of every correlated score w = L u by itself."""
        density, jacobian = self._each(value @ self.mixing.T)
        return (self.log_weights.unsqueeze(-1) + density).logsumexp(-2) + jacobian

    def _each(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """ln TN [..., component, parameter] and ln φ(w) − ln p(x) [..., parameter]."""
        x = truncated_quantile(w, self.alpha, self.beta)
        log_phi = -0.5 * (w.square() + math.log(2 * math.pi))
        low, high = ((b - self.loc) / self.scale for b in (self.alpha, self.beta))
        standard = (x.unsqueeze(-2) - self.loc) / self.scale
        inside = torch.minimum(torch.maximum(standard, low), high)
        density = truncated_log_prob(inside, low, high) - self.scale.log()
        return density, log_phi - truncated_log_prob(x, self.alpha, self.beta)

    def push(self, choice: Tensor, noise: Tensor) -> Tensor:
        """Scores of deviates; differentiable in loc and scale."""
        choice, points = _points(choice, noise, len(self.batch_shape))
        return picked(self._component(points), choice, self.log_weights) @ self._unmixing()

    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws from every component [draw, component, ..., parameter]."""
        kind = {"dtype": self.loc.dtype, "device": self.loc.device, "generator": generator}
        noise = torch.randn((*self.loc.shape, draws), **kind)
        pushed = self._component(noise).movedim(-1, 0)  # [draw, ..., component, d]
        return pushed.movedim(-2, 1) @ self._unmixing()

    def _component(self, noise: Tensor) -> Tensor:
        """Correlated scores w [..., component, parameter, draw] of standard normal deviates."""
        loc, scale = self.loc.unsqueeze(-1), self.scale.unsqueeze(-1)
        alpha, beta = self.alpha.unsqueeze(-1), self.beta.unsqueeze(-1)
        x = loc + scale * tail_quantile(noise, (alpha - loc) / scale, (beta - loc) / scale)
        return truncated_score(torch.minimum(torch.maximum(x, alpha), beta), alpha, beta)

    def _unmixing(self) -> Tensor:
        eye = torch.eye(len(self.mixing)).to(self.mixing)
        return torch.linalg.solve_triangular(self.mixing, eye, upper=False).T


class FlowScores(SampledScores):
    """A normalising flow: any shape, sampled in one pass per variable.

    Parameters
    ----------
    flow
        `zuko.distributions.NormalizingFlow` with its context already given.
    """

    def __init__(self, flow):
        self.flow = flow
        batch, event = flow.batch_shape, flow.event_shape
        self.log_weights = flow.base.mean.new_zeros((*batch, 1))
        super().__init__(batch, event, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(u) [...] of scores [..., parameter]."""
        return self.flow.log_prob(value)

    def push(self, choice: Tensor, noise: Tensor) -> Tensor:
        """Scores of deviates; a flow is one component and needs no choice."""
        if choice.dim() == 1:
            noise = noise.reshape(-1, *(1,) * len(self.batch_shape), *self.event_shape)
        full = noise.expand(noise.shape[0], *self.batch_shape, *self.event_shape)
        return self.flow.transform.inv(full)

    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws [draw, 1, ..., parameter]."""
        return self.rsample((draws,), generator).unsqueeze(1)


class MemberMixture(SampledScores):
    """The mean of the densities of several members.

    Parameters
    ----------
    members : sequence of SampledScores
        Of the same batch and event.

    Raises
    ------
    ValueError
        For a member that cannot be drawn from at random.
    """

    def __init__(self, members: Sequence[Scores]):
        self.members = tuple(m for m in members if isinstance(m, SampledScores))
        if len(self.members) < len(members):
            raise ValueError("members: expected scores that can be drawn at random, got others")
        each = math.log(len(self.members))
        self.log_weights = torch.cat([m.log_weights - each for m in self.members], -1)
        first = self.members[0]
        super().__init__(first.batch_shape, first.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(u) [...] of scores [..., parameter]."""
        each = torch.stack([m.log_prob(value) for m in self.members])
        return each.logsumexp(0) - math.log(len(self.members))

    def push(self, choice: Tensor, noise: Tensor) -> Tensor:
        """Scores of deviates: the choice picks the member, its remainder the component."""
        share = choice * len(self.members)
        which = share.floor().clamp_max(len(self.members) - 1)
        pushed = torch.stack([m.push((share - which), noise) for m in self.members])
        if which.dim() == 1:
            which = which.reshape(-1, *(1,) * len(self.batch_shape))
        index = which.long().expand(pushed.shape[1:-1])[None, ..., None]
        return pushed.gather(0, index.expand(1, *pushed.shape[1:])).squeeze(0)

    def per_component(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Differentiable draws from every component of every member."""
        return torch.cat([m.per_component(draws, generator) for m in self.members], 1)


class MarginalMembers(MemberMixture, MarginalScores):
    """Members that all know their marginals.

    Parameters
    ----------
    members : sequence of MarginalScores
        Of the same batch and event.
    """

    members: tuple[MarginalScores, ...]

    def marginal_log_prob(self, value: Tensor) -> Tensor:
        """ln q(u_i) [..., parameter] of every score by itself."""
        each = torch.stack([m.marginal_log_prob(value) for m in self.members])
        return each.logsumexp(0) - math.log(len(self.members))


def together(members: Sequence[Scores]) -> MemberMixture:
    """The mean of members, with marginals where all have them."""
    marginal = all(isinstance(member, MarginalScores) for member in members)
    return (MarginalMembers if marginal else MemberMixture)(members)
