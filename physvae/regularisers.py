"""What holds the model in place besides the fit; one function a word of [regularisers].

    self_supervised  −E ln q(u, z_r | x) of simulations: the encoder returns what was drawn
    beta             KL(q(u) ‖ N(0, I)) + KL(q(z_r) ‖ p(z_r)); single traits (β_i − 1) times more
    least_action     E ‖r‖² of real spectra, in units of the likelihood's variance
    unmixing         the same of simulations: physics needs no residual for what is physics
    orthogonality    ‖BᵀB − I‖²
    attribute        E |tanh(δ (z_i − z_j)) − sgn(a_i − a_j)| over pairs: a residual dimension z
                     rises with a property a of the spectrum (AR-VAE)

Free bits: KL below `free_bits` nats a latent cost nothing (Kingma et al., NeurIPS 2016).

References: Papamakarios & Murray, NeurIPS 2016 (self_supervised); Takeishi & Kalousis, NeurIPS
2021 (least action, unmixing); Pati & Lerch 2021, 10.1007/s00521-020-05270-2 (attribute).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from physvae.plans import Attribute, Regularisers
from physvae.priors import standard_normal_log_prob
from physvae.real_spectra import RealSpectra
from physvae.scores import MarginalScores
from physvae.simulation import Simulation
from physvae.vae import Encoded, PhysVAE

PAIRED = 512  # spectra between which attributes are compared


class Decoded(NamedTuple):
    """Real spectra, and what draws of their posterior decode to.

    Attributes
    ----------
    real : RealSpectra
        As measured: the decoder must give all of it back.
    seen : tuple
        Reflectance and angles with more hidden: what the encoder gets.
    encoded : Encoded
    scores, latent : Tensor [draw, component, ..., parameter | latent]
    total, physical : Tensor [draw, component, ..., band]
    weight : Tensor [component, ...]
        Of the posterior's components.
    """

    real: RealSpectra
    seen: tuple[Tensor, Tensor]
    encoded: Encoded
    scores: Tensor
    latent: Tensor
    total: Tensor
    physical: Tensor
    weight: Tensor

    def mean(self, value: Tensor) -> Tensor:
        """Over the components by weight, then over the spectra that hold anything."""
        valid = self.real.valid
        each = (self.weight * value).sum(0)
        return (each * valid).sum() / valid.sum().clamp_min(1)


class Step(NamedTuple):
    """All that a term of the loss may look at; `decoded` is None without real spectra."""

    model: PhysVAE
    drawn: Simulation
    seen: tuple[Tensor, Tensor]
    decoded: Decoded | None
    plan: Regularisers


def self_supervised(step: Step) -> Tensor:
    """Simulations whose inputs may have gaps; the mean over the members of an ensemble."""
    members = step.model.encode_members(*step.seen, step.drawn.days)
    each = [
        member.scores.log_prob(step.drawn.scores) + member.residual.log_prob(step.drawn.latent)
        for member in members
    ]
    return -torch.stack(each).mean()


def beta(step: Step) -> Tensor:
    """KL of real spectra, with free bits and extra weight of single traits."""
    found, plan = step.decoded, step.plan
    assert found is not None
    scores, u = found.encoded.scores, found.scores
    kl = (scores.log_prob(u) - standard_normal_log_prob(u)).mean(0)
    if plan.free_bits:
        kl = kl.clamp_min(plan.free_bits * u.shape[-1])
    if plan.beta_of:
        assert isinstance(scores, MarginalScores)  # a training file with a flow is refused
        standard = standard_normal_log_prob(u.unsqueeze(-1))
        single = (scores.marginal_log_prob(u) - standard).mean(0)
        for name, more in plan.beta_of.items():
            kl = kl + (more - 1.0) * single[..., step.model.space.index(name)]
    return found.mean(kl + found.encoded.residual.cost(plan.free_bits))


def least_action(step: Step) -> Tensor:
    """Residual of real spectra."""
    found = step.decoded
    assert found is not None
    added = found.total - found.physical
    return found.mean(in_noise_units(step.model, added, found.physical).mean(0))


def unmixing(step: Step) -> Tensor:
    """Residual of simulations."""
    drawn = step.drawn
    residual = step.model.residual(drawn.latent, drawn.physical, drawn.angles)
    return in_noise_units(step.model, residual, drawn.physical).mean()


def orthogonality(step: Step) -> Tensor:
    """Basis of the residual."""
    return step.model.residual.orthogonality()


def attribute(step: Step) -> Tensor:
    """Order of residual latents and of attributes, over all of `attributes`."""
    found, model = step.decoded, step.model
    assert found is not None
    latent = model.encode(*found.seen, found.real.days).residual.mean
    total = latent.new_zeros(())
    for entry in step.plan.attributes:
        value = attribute_of(found.real.reflectance, entry, model.bands)
        whole = value.isfinite()
        z, a = latent[..., entry.dimension][whole][:PAIRED], value[whole][:PAIRED]
        order = torch.sign(a.unsqueeze(0) - a.unsqueeze(1))
        found_order = torch.tanh(step.plan.delta * (z.unsqueeze(0) - z.unsqueeze(1)))
        if len(a):
            total = total + (found_order - order).abs().mean()
    return total


def attribute_of(reflectance: Tensor, entry: Attribute, bands: tuple[str, ...]) -> Tensor:
    """A band's reflectance, or the normalised difference of two [...]; NaN where missing."""
    values = [reflectance[..., bands.index(name)] for name in entry.bands]
    if len(values) == 1:
        return values[0]
    return (values[0] - values[1]) / (values[0] + values[1])


def in_noise_units(model: PhysVAE, residual: Tensor, physical: Tensor) -> Tensor:
    """‖r‖² over the likelihood's variance [...]; the variance itself gets no gradient from it."""
    return (residual.square() / model.likelihood.variance(physical).detach()).sum(-1)


REGULARISERS: dict[str, Callable[[Step], Tensor]] = {
    "self_supervised": self_supervised,
    "beta": beta,
    "least_action": least_action,
    "unmixing": unmixing,
    "orthogonality": orthogonality,
    "attribute": attribute,
}
OF_REAL = ("beta", "least_action", "attribute")  # those that look at real spectra
