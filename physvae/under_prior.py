r"""Estimates of a model under another prior than its own.

A network of marginals knows better than q what it knows (`physvae.summaries`): LAI is taken from
it at the score that a draw has in the marginal of q, and all other variables follow given LAI by
the prior's triangular map. fAPAR and fCover are taken from it at the score of a linear function of
ε, whose slopes are differences of the product network across √3 posterior standard deviations. The
Gaussian q knows a product less well than the network does; of the variance of the score, that
share hangs on ε which the network's variance has in q's.

A model without such a network is summarised as ever, by weighted draws.
"""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from physvae.draws import weighted_quantiles
from physvae.estimate import Estimate
from physvae.importance import Tempered
from physvae.posterior import Posterior
from physvae.prior_change import Measured, PriorChange
from physvae.products import EXACT, LEARNED
from physvae.reweighting import Drawn, Gaussian, draw, gaussian_of, weights_of
from physvae.scaling import filled
from physvae.summaries import Marginals
from physvae.weighted_scores import Weighted

if TYPE_CHECKING:
    from physvae.vae import PhysVAE

PORTION = 512  # pixels at a time, whose draws stay in the cache
STEP = math.sqrt(3.0)
FAR = 5.0  # score beyond which LAI is not sought
EDGE = 1e-4  # of fAPAR and fCover, whose logits are taken
FAR_APART = 3.29  # sd between prior and spectrum: a probability of 0.001


class Draws(NamedTuple):
    """Draws of traits by name and their weights, all [n, draw].

    Attributes
    ----------
    contradicted : Tensor [n]
        Whether the spectrum speaks against the new prior.
    """

    traits: dict[str, Tensor]
    weights: Tensor
    contradicted: Tensor

    def mean(self, name: str) -> Tensor:
        """Mean [n] of a trait."""
        return (self.weights * self.traits[name]).sum(-1)

    def sd(self, name: str) -> Tensor:
        """Standard deviation [n] of a trait."""
        gap = self.traits[name] - self.mean(name).unsqueeze(-1)
        return (self.weights * gap.square()).sum(-1).sqrt()

    def quantiles(self, name: str, levels: Sequence[float]) -> list[Tensor]:
        """Quantiles [n] of a trait, one for each level."""
        values, weights = self.traits[name].T.unsqueeze(-1), self.weights.T
        return [part.squeeze(-1) for part in weighted_quantiles(values, weights, levels)]


@torch.no_grad()
def estimate_under(
    model: "PhysVAE", reflectance: Tensor, angles: Tensor, names: tuple[str, ...],
    change: PriorChange, without: Collection[str] = (),
) -> Estimate:  # fmt: skip
    """Traits with uncertainty and checks, as `model.estimate` gives them, under another prior.

    Parameters
    ----------
    model : PhysVAE
        Of single pixels.
    reflectance, angles : Tensor [..., band], [..., 3]
        As for `model.estimate`.
    names : tuple of str
        Traits.
    change : PriorChange
        From the model's prior.
    without : collection of str
        Traits whose interval nobody reads: it is not computed, and both ends are the mean.
    """
    shape = reflectance.shape[:-1]
    x, a = (part.reshape(-1, part.shape[-1]) for part in (reflectance, angles))
    starts = range(0, max(len(x), 1), PORTION)
    blocks = [(x[i : i + PORTION], a[i : i + PORTION]) for i in starts]
    if model.summaries is None:
        found = [_from_draws(model, *block, names, change) for block in blocks]
    else:
        found = [_from_marginals(model, *block, names, change, without) for block in blocks]
    return Estimate(*(_joined(parts, shape) for parts in zip(*found, strict=True)))


def _joined(parts: Sequence[Any], shape: torch.Size) -> Any:
    if isinstance(parts[0], dict):
        return {name: _joined([part[name] for part in parts], shape) for name in parts[0]}
    return torch.cat(list(parts)).reshape(shape)


def _from_marginals(
    model: "PhysVAE", x: Tensor, a: Tensor, names: tuple[str, ...], change: PriorChange,
    without: Collection[str],
) -> Estimate:  # fmt: skip
    draws, physical = weighted_draws(model, x, a, tuple({*names, "lai"}), change)
    mean = {name: draws.mean(name) for name in names}
    ends = {
        name: [mean[name]] * 2 if name in without else draws.quantiles(name, (0.025, 0.975))
        for name in names
    }
    return Estimate(
        mean,
        {name: draws.sd(name) for name in names},
        {name: low for name, (low, _) in ends.items()},
        {name: high for name, (_, high) in ends.items()},
        model.misfit_of(x, physical),
        model.domain(x),
        draws.sd("lai") / change.lai_sd,
        draws.contradicted,
    )


def _from_draws(
    model: "PhysVAE", x: Tensor, a: Tensor, names: tuple[str, ...], change: PriorChange
) -> Estimate:
    posterior, against = _weighed_posterior(model, x, a, change)
    said = model.summarise(posterior, x, a, names)
    width = said.prior_width * model.lai_prior_sd / change.lai_sd
    return said._replace(prior_width=width, contradicted=against)


def _weighed_posterior(
    model: "PhysVAE", x: Tensor, a: Tensor, change: PriorChange
) -> tuple[Posterior, Tensor]:
    """The posterior of spectra [n, band] by weighted draws, and which of them contradict."""
    scores = model.encode(x, a).scores
    q = gaussian_of(scores)
    whole = list(range(q.mean.shape[-1]))
    drawn = draw(q, model.prior.mixing, change.measured.expand(len(x)), whole)
    u = (q.mean.unsqueeze(1) + drawn.epsilon @ q.root.mT).movedim(1, 0)
    theta = model.prior(u)
    ratio = change.log_ratio(theta[..., change.own], drawn.w.movedim(1, 0)[..., change.linked])
    ratio = ratio + scores.log_prob(u) - q.log_prob(u)
    found = weights_of(ratio.T - drawn.log_density)
    cloud = Weighted(u.movedim(0, 1), found.weights.log())
    against = contradicted(q, change) | (found.power < 1.0)
    return Posterior(cloud, model.prior), against


@torch.no_grad()
def quantiles_under(
    model: "PhysVAE", reflectance: Tensor, angles: Tensor, name: str, levels: Sequence[float],
    change: PriorChange,
) -> list[Tensor]:  # fmt: skip
    """Quantiles [n] of one trait of the posterior under another prior, one for each level."""
    found = []
    for x, a in zip(reflectance.split(PORTION), angles.split(PORTION), strict=True):
        if model.summaries is not None:
            draws, _ = weighted_draws(model, x, a, (name,), change)
            found.append(draws.quantiles(name, levels))
            continue
        posterior, _ = _weighed_posterior(model, x, a, change)
        traits = model.draw_traits(posterior, filled(a)[..., 0], (name, "lai"))
        found.append([model.quantile(posterior, traits, name, p) for p in levels])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def contradicted(q: Gaussian, change: PriorChange) -> Tensor:
    """Whether the model's posterior [n] of a variable lies far from its new prior.

    For the score of posterior mean m and variance s², new prior mean a and variance b²:
    (m − a)² > 3.29² (s² + b²).
    """
    mixing, (columns, mean, variance) = change.old.mixing, change.moments
    spread = (mixing[columns] @ q.root).square().sum(-1) + variance
    gap = q.mean @ mixing[columns].T - mean
    return (gap.square() > FAR_APART**2 * spread).any(-1)


def weighted_draws(
    model: "PhysVAE", x: Tensor, a: Tensor, names: tuple[str, ...], change: PriorChange
) -> tuple[Draws, Tensor]:
    """Draws of traits of spectra [n, band], and the physical mean spectrum [n, band].

    For a model with a network of marginals.
    """
    known, space = list(model.traits), model.prior.space
    learned = [name for name in LEARNED if name in names]
    said = model.said_of(x, a, [known.index(name) for name in ("lai", *learned)])
    q, law = gaussian_of(model.encode(x, a).scores), said.marginals.part(slice(0, 1))
    others = (EXACT[name][0] for name in names if name in EXACT)
    wanted = {0, *change.own, *change.linked, *map(space.index, others)}
    rows = sorted(wanted | {space.index(name) for name in names if name in space.names})
    drawn = draw(q, model.prior.mixing, _aim(change, q, law), rows)
    lai = _at(law, (drawn.w[..., 0] - q.mean[:, :1]) / q.root[:, 0, :1])
    values, found = _weighed(change, drawn, lai, rows)
    for name in (name for name in names if name in EXACT):
        other, formula = EXACT[name]
        values[name] = formula(values["lai"], values[other])
    if learned:
        values |= _learned(model, q, drawn, said.marginals, a, learned)
    against = contradicted(q, change) | (found.power < 1.0)
    return Draws({name: values[name] for name in names}, found.weights, against), said.physical


def _at(law: Marginals, scores: Tensor) -> Tensor:
    """Values [n, draw] of the one trait of marginals at scores [n, draw]."""
    return law.quantile(scores.T.unsqueeze(-1)).squeeze(-1).T


def _aim(change: PriorChange, q: Gaussian, law: Marginals) -> Measured:
    """The measurements [n, measurement]; that of LAI where the network, not q, has it."""
    aim = change.measured.expand(len(q.mean))
    if 0 not in aim.columns:
        return aim
    place = aim.columns.index(0)
    half = aim.variance[:1, place].sqrt()
    ends = torch.cat((aim.value[:1, place] - half, aim.value[:1, place] + half))
    lai = change.part(("lai",))(ends.unsqueeze(-1))  # [end, 1]
    scores = law.score(lai.unsqueeze(1).expand(-1, len(q.mean), -1)).squeeze(-1).clamp(-FAR, FAR)
    low, high = q.mean[:, 0] + q.root[:, 0, 0] * scores
    value, variance = aim.value.clone(), aim.variance.clone()
    value[:, place] = 0.5 * (low + high)
    variance[:, place] = (0.5 * (high - low)).clamp_min(1e-3).square()
    return Measured(aim.columns, value, variance)


def _weighed(
    change: PriorChange, drawn: Drawn, lai: Tensor, rows: list[int]
) -> tuple[dict[str, Tensor], Tempered]:
    """Variables [n, draw] of these columns by name, given LAI, and the weights of the draws."""
    names, w = [change.old.space.names[i] for i in rows], drawn.w
    if 0 in change.linked:
        own = change.part(("lai",)).to_score(lai.unsqueeze(-1))
        w = torch.cat((own, w[..., 1:]), -1)
    theta = change.part(tuple(names))(w, lai)
    own, linked = ([rows.index(i) for i in part] for part in (change.own, change.linked))
    ratio = change.log_ratio(theta[..., own], w[..., linked])
    return dict(zip(names, theta.unbind(-1), strict=True)), weights_of(ratio - drawn.log_density)


def _learned(
    model: "PhysVAE", q: Gaussian, drawn: Drawn, laws: Marginals, a: Tensor, names: list[str]
) -> dict[str, Tensor]:
    """fAPAR and fCover [n, draw], those named; their marginals stand after that of LAI."""
    step = STEP * q.root.mT
    u = torch.cat((q.mean.unsqueeze(1) + step, q.mean.unsqueeze(1) - step), 1)
    lai = model.prior.named(u, ("lai",))["lai"]
    shares = model.products(u, lai, filled(a)[:, :1]).clamp(EDGE, 1 - EDGE).logit()
    above, below = shares.chunk(2, 1)
    slopes = (above - below) / (2.0 * STEP)
    norms = slopes.norm(dim=1).clamp_min(EDGE)
    along = drawn.epsilon @ (slopes / norms.unsqueeze(1))
    found = {}
    for place, name in enumerate(names, 1):
        law, which = laws.part(slice(place, place + 1)), LEARNED.index(name)
        low, high = (law.quantile(z).clamp(EDGE, 1 - EDGE).logit()[:, 0] for z in (-1.0, 1.0))
        kept = (0.5 * (high - low) / norms[:, which]).square().clamp_max(1.0).unsqueeze(-1)
        apart = (1.0 - kept).sqrt() * drawn.spare[:, which]
        found[name] = _at(law, kept.sqrt() * along[..., which] + apart)
    return found


@torch.no_grad()
def speaks_against(
    model: "PhysVAE", reflectance: Tensor, angles: Tensor, change: PriorChange
) -> Tensor:
    """Whether [n] spectra contradict the new prior, as the encoder sees them."""
    return contradicted(gaussian_of(model.encode(reflectance, angles).scores), change)
