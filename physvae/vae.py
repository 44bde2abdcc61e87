"""The physics-informed auto-encoder.

    x, angles, mask ─▶ features ─▶ encoder ─▶ q(u | x), q(z_r | x)
    u ─▶ prior map ─▶ θ ─▶ PROSAIL ─▶ x_P ─▶ (+ residual(z_r, x_P)) ─▶ x

The physical latents are standard normal scores of the prior, so the prior is N(0, I). Works on
reflectance 0-1 with NaN where missing. `layout` says which axes stand before the last one.
"""

from collections.abc import Sequence
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor, nn

from physvae.consistency import consistent, with_consistent_products, with_partners
from physvae.decoders import Addition, PhysicalDecoder
from physvae.domain import Domain
from physvae.draws import draw_quantile
from physvae.encoders import Encoder, Members
from physvae.estimate import Estimate
from physvae.field_interval import FieldInterval, with_field_intervals
from physvae.heads import Head
from physvae.io.arrays import Array, as_tensor
from physvae.latents import GaussianLatent, Latents, QuantisedLatent
from physvae.likelihoods import BandLikelihood
from physvae.loops import Loops, loops_of, said_plainly
from physvae.plans import BandErrors, EncoderPlan, SpatialPlan, TemporalPlan
from physvae.posterior import Posterior
from physvae.priors import Prior
from physvae.products import ProductNetwork, trait_table, traits_of
from physvae.remainder import Remainder
from physvae.scaling import Features, filled
from physvae.scores import SampledScores, together
from physvae.summaries import Marginals, Summaries, Summary
from physvae.under_prior import estimate_under
from physvae.user_priors import UserPrior, change_for
from rtm import Parameter, ParameterSpace

NORMAL = NormalDist()
ANGLES = ("tts", "tto", "psi")
DEFAULT_TRAITS = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
LAYOUTS = {"pixel": (), "patch": ("height", "width"), "series": ("date",)}


class Reconstruction(NamedTuple):
    """Both decodings of the posterior's centre, reflectance [..., band]."""

    total: Tensor
    physical: Tensor


class Encoded(NamedTuple):
    """What the encoder says: of the scores of θ, and of the residual latents."""

    scores: SampledScores
    residual: GaussianLatent | QuantisedLatent


class PhysVAE(nn.Module):
    """Encoder, two decoders, likelihood and prior of one sensor.

    Parameters
    ----------
    name, bands : str, tuple of str
        Model name and band ids of the last axis of a reflectance.
    prior : Prior
        Of θ, as a map of standard normal scores.
    features, encoder : Features, Encoder
        Input and network of the encoder; one of `physvae.encoders`.
    head, latents : Head, Latents
        The network's numbers as distributions; of `physvae.heads` and `physvae.latents`.
    physical, residual : PhysicalDecoder, Addition
        Physics, and what is added to it; of `physvae.decoders`.
    likelihood : BandLikelihood
        See `physvae.likelihoods`.
    products, domain : ProductNetwork, Domain
        fAPAR and fCover of draws; the distance of a spectrum from the training spectra.
    plan : EncoderPlan
        Of the encoder: the sizes of the patches or series it is for.
    summaries : Summaries, optional
        Estimates by this network and not by draws.
    field : dict, optional
        By method and trait the intervals meant for measurements; all others are the posterior's.
    remainder : Remainder, optional
        What the decodings leave of real spectra, for `reconstruct`.
    """

    misfit_limit: Tensor
    lai_prior_sd: Tensor
    spreads: Tensor

    def __init__(
        self, *, name: str, bands: tuple[str, ...], prior: Prior,
        features: Features, encoder: Encoder, head: Head, latents: Latents,
        physical: PhysicalDecoder, residual: Addition, likelihood: BandLikelihood,
        products: ProductNetwork, domain: Domain, plan: EncoderPlan,
        summaries: Summaries | None = None,
        field: dict[str, dict[str, FieldInterval]] | None = None,
        remainder: Remainder | None = None,
        errors: dict[str, BandErrors] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.plan = plan
        self.name, self.bands, self.angles = name, tuple(bands), ANGLES
        self.prior, self.features, self.encoder = prior, features, encoder
        self.head, self.latents, self.layout = head, latents, encoder.layout
        self.physical, self.residual = physical.bind(prior.space), residual
        self.likelihood, self.products, self.domain = likelihood, products, domain
        self.summaries, self.field, self.remainder = summaries, field or {}, remainder
        self.errors = errors or {}
        self._loops: Loops | None = None
        self.register_buffer("misfit_limit", torch.ones(()))
        self.register_buffer("lai_prior_sd", torch.ones(()))
        self.register_buffer("spreads", torch.ones(len(self.traits)))
        self.config: dict = {}
        self.sha256: str = ""

    @property
    def space(self) -> ParameterSpace:
        """ParameterSpace of θ."""
        return self.prior.space

    @property
    def sensor(self) -> str:
        """Name of the sensor whose response functions the decoder uses."""
        return self.physical.sensor.name

    @property
    def pixels(self) -> int:
        """Spectra of one simulated item: 1, those of a patch, or the dates of a series."""
        if isinstance(self.plan, SpatialPlan):
            return self.plan.patch**2
        return self.plan.dates if isinstance(self.plan, TemporalPlan) else 1

    @property
    def traits(self) -> dict[str, Parameter]:
        """Every trait that can be estimated, with unit and bounds."""
        return trait_table(self.space, self.products.also)

    def encode(self, reflectance: Array, angles: Array, days: Tensor | None = None) -> Encoded:
        """What the latents of spectra are.

        Parameters
        ----------
        reflectance : Tensor [..., band]
            Reflectance 0-1 in the order of `bands`, NaN where missing; of any floating dtype. The
            axes before the last are those of `layout`.
        angles : Tensor [..., 3]
            Sun zenith, view zenith, relative azimuth [degree], NaN where missing; broadcast.
        days : Tensor [..., date], optional
            For a series: the day of every date, from any day 0 that all share.

        Raises
        ------
        ValueError
            Where the axes do not fit.
        """
        members = self.encode_members(reflectance, angles, days)
        if len(members) == 1:
            return members[0]
        scores = together([member.scores for member in members])
        return Encoded(scores, members[0].residual)

    def encode_members(
        self, reflectance: Array, angles: Array, days: Tensor | None = None
    ) -> list[Encoded]:
        """What each member of an ensemble says; a list of one for a single encoder."""
        seen = self._inputs(reflectance, angles)
        out = self.encoder(self.features(*seen), days)
        outs = out.unbind(0) if isinstance(self.encoder, Members) else (out,)
        size = self.head.size
        return [Encoded(self.head(o[..., :size]), self.latents(o[..., size:])) for o in outs]

    def posterior(
        self, reflectance: Array, angles: Array, days: Tensor | None = None
    ) -> Posterior:
        """Joint posterior over θ [..., parameter]; arguments as for `encode`."""
        return Posterior(self.encode(reflectance, angles, days).scores, self.prior)

    def decode(self, theta: Tensor, angles: Tensor, latent: Tensor) -> Reconstruction:
        """Both decodings [..., band] of θ and residual latents."""
        known = filled(angles)
        physical = self.physical(theta, known)
        return Reconstruction(physical + self.residual(latent, physical, known), physical)

    def reconstruct(
        self, reflectance: Array, angles: Array, days: Tensor | None = None
    ) -> Reconstruction:
        """Both decodings of the posterior's centre; missing bands are filled in.

        The centre is θ at the posterior mean of the scores. With a `remainder` the total holds
        it too. Arguments as for `encode`.
        """
        reflectance, angles = self._inputs(reflectance, angles)
        encoded = self.encode(reflectance, angles, days)
        theta = Posterior(encoded.scores, self.prior).centre
        found = self.decode(theta, angles, encoded.residual.mean)
        if self.remainder is None:
            return found
        return found._replace(total=found.total + self.remainder(reflectance - found.total))

    @torch.no_grad()
    def estimate(
        self, reflectance: Array, angles: Array, variables: Sequence[str] = DEFAULT_TRAITS,
        days: Tensor | None = None, prior: UserPrior | str | None = None,
    ) -> Estimate:  # fmt: skip
        """Traits with uncertainty and checks.

        Parameters
        ----------
        reflectance, angles : Tensor or numpy array [..., band], [..., 3]
            As for `encode`.
        variables : tuple of str, or one name
            Keys of `traits`.
        days : Tensor [..., date], optional
            As for `encode`.
        prior : UserPrior or str, optional
            In the place of the model's: one by name, as "wheat", or from a file .toml.

        Raises
        ------
        ValueError
            For a name that the model does not have; the message lists those it has.
        """
        variables = (variables,) if isinstance(variables, str) else tuple(variables)
        unknown = [name for name in variables if name not in self.traits]
        if unknown:
            raise ValueError(
                f"variables: expected some of {', '.join(self.traits)}, got {', '.join(unknown)}"
            )
        reflectance, angles = self._inputs(reflectance, angles)
        stated = self.field.get("amortised", {})
        if prior is not None:
            change = change_for(self, prior)
            found = estimate_under(self, reflectance, angles, variables, change, stated)
        elif self.summaries is not None:
            found = self._summary(reflectance, angles, variables)
        else:
            said = self.posterior(reflectance, angles, days)
            found = self.summarise(said, reflectance, angles, variables)
        return with_field_intervals(found, stated, self.traits)

    def marginals(
        self, reflectance: Array, angles: Array, variables: tuple[str, ...] | None = None
    ) -> Marginals:
        """Marginal posterior of traits [..., trait], of all without `variables`.

        Raises
        ------
        ValueError
            For a model without such a network.
        """
        if self.summaries is None:
            raise ValueError(f"{self.name}: expected a model with summaries, got one without")
        known = list(self.traits)
        asked = variables or tuple(known)
        names = with_partners(asked)
        numbers = [known.index(name) for name in names]
        found = self.said_of(*self._inputs(reflectance, angles), numbers).marginals
        return consistent(found, names).first(len(asked))

    def physical_mean(self, reflectance: Tensor, angles: Tensor) -> Tensor:
        """Mean physical spectrum [..., band] given the one seen, as `summaries` has it."""
        assert self.summaries is not None
        return self.said_of(*self._inputs(reflectance, angles), []).physical

    def said_of(self, reflectance: Tensor, angles: Tensor, numbers: list[int]) -> Summary:
        """What the network says of traits by their numbers, the spectrum as reflectance."""
        assert self.summaries is not None
        found = self.summaries(self.features(self.summaries.look(reflectance), angles), numbers)
        return found._replace(physical=self.unstandardised(found.physical))

    def unstandardised(self, spectrum: Tensor) -> Tensor:
        """The reflectance [..., band] of a spectrum as `features` standardises it."""
        return self.features.mean + self.features.sd * spectrum

    def compile(self) -> None:
        """Make `estimate` fast, in place, for models with summaries on a processor.

        Takes a few seconds; the weights must not change afterwards. Estimates move by rounding.
        """
        self._loops = loops_of(self)

    def __getstate__(self) -> dict:
        """All but machine code, which a copy has to make anew."""
        return {**self.__dict__, "_loops": None}

    def _summary(
        self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]
    ) -> Estimate:
        names, known = with_partners((*variables, "lai")), list(self.traits)
        loops = None if torch.compiler.is_compiling() else self._loops
        say = loops or partial(said_plainly, self)
        said = say(reflectance, angles, [known.index(name) for name in names])
        mean, sd, low, high = (dict(zip(names, x.unbind(-1), strict=True)) for x in said[:4])
        width = sd["lai"] / self.lai_prior_sd
        found = Estimate(mean, sd, low, high, said.misfit, said.novelty, width)
        return with_consistent_products(found, variables, self.traits)

    def summarise(
        self, posterior: Posterior, reflectance: Tensor, angles: Tensor,
        variables: tuple[str, ...] = DEFAULT_TRAITS,
    ) -> Estimate:  # fmt: skip
        """`estimate` of a posterior that is at hand, of the spectra it belongs to."""
        draws = self.draw_traits(posterior, filled(angles)[..., 0], (*variables, "lai"))
        sd = {name: self.spread(name) * draws[name].std(0) for name in draws}
        return Estimate(
            {name: draws[name].mean(0) for name in variables},
            {name: sd[name] for name in variables},
            {name: self.quantile(posterior, draws, name, 0.025) for name in variables},
            {name: self.quantile(posterior, draws, name, 0.975) for name in variables},
            self.misfit(reflectance, angles, posterior.centre),
            self.domain(reflectance),
            sd["lai"] / self.lai_prior_sd,
        )

    def draw_traits(
        self, posterior: Posterior, sun_zenith: Tensor, names: tuple[str, ...]
    ) -> dict[str, Tensor]:
        """Fixed draws [draw, ...] of traits by name; sun_zenith [...] in degrees."""
        return traits_of(posterior.score_draws(), sun_zenith, names, self.prior, self.products)

    def spread(self, name: str) -> float:
        """How much wider than its draws a trait truly is, on simulations.

        What the shape of the posterior lacks is corrected on simulations that training never saw:
        one factor a trait on the normal score (after Kuleshov et al. 2018, arXiv 1807.00263).
        """
        return float(self.spreads[list(self.traits).index(name)])

    def quantile(
        self, posterior: Posterior, draws: dict[str, Tensor], name: str, probability: float
    ) -> Tensor:
        """Quantile [...] of one trait; LAI's from its marginal, which nothing else shifts."""
        level = NORMAL.cdf(self.spread(name) * NORMAL.inv_cdf(probability))
        if name == "lai":
            score = posterior.scores.marginal_quantile(level, 0)
            return self.prior(_first(score, len(self.space)))[..., 0]
        return draw_quantile(draws[name], level)

    def misfit(self, reflectance: Tensor, angles: Tensor, theta: Tensor) -> Tensor:
        """Distance [...] of spectra from the physical decoding of θ, over its limit."""
        return self.misfit_of(reflectance, self.physical(theta, filled(angles)))

    def misfit_of(self, reflectance: Tensor, physical: Tensor) -> Tensor:
        """The same distance from a physical spectrum [..., band] that is at hand."""
        seen = reflectance.isfinite().sum(-1).clamp_min(1)
        return self.likelihood.misfit(reflectance, physical) / seen / self.misfit_limit

    def _inputs(self, reflectance: Array, angles: Array) -> tuple[Tensor, Tensor]:
        """Check the last axes; bring both to the model's dtype and device, and to one batch."""
        reflectance, angles = as_tensor("reflectance", reflectance), as_tensor("angles", angles)
        if reflectance.shape[-1] != len(self.bands):
            raise ValueError(
                f"reflectance: expected a last axis of {len(self.bands)} bands "
                f"({', '.join(self.bands)}), got shape {tuple(reflectance.shape)}"
            )
        if angles.shape[-1] != len(ANGLES):
            raise ValueError(
                f"angles: expected a last axis of 3 ({', '.join(ANGLES)}), "
                f"got shape {tuple(angles.shape)}"
            )
        axes = LAYOUTS[self.layout]
        if reflectance.dim() <= len(axes):
            raise ValueError(
                f"reflectance: expected axes (..., {', '.join((*axes, 'band'))}), "
                f"got shape {tuple(reflectance.shape)}"
            )
        x, a = reflectance.to(self.features.mean), angles.to(self.features.mean)
        batch = torch.broadcast_shapes(x.shape[:-1], a.shape[:-1])
        return x.expand(*batch, -1), a.expand(*batch, -1)


def _first(column: Tensor, size: int) -> Tensor:
    """A vector of scores that holds `column` first and zeros after."""
    return torch.nn.functional.pad(column.unsqueeze(-1), (0, size - 1))
