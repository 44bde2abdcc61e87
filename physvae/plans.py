"""The parts of a model that a training file may choose, each with a `kind` and its sizes.

A section without `kind` is of the first kind named here. Every kind has an entry of the same word
in a registry beside its class: ENCODERS, POSTERIORS, LATENTS, DECODERS, LIKELIHOODS.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Width = Annotated[int, Field(ge=8, le=2048)]
Depth = Annotated[int, Field(ge=1, le=12)]


class Section(BaseModel):
    """A table of the file; a key it does not know is refused, and it cannot be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def default_kind(word: str) -> BeforeValidator:
    """Take a table without `kind` as one of this kind."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict) and "kind" not in value:
            return {"kind": word, **value}
        return value

    return BeforeValidator(fill)


class Network(Section):
    """What all encoders share: hidden size, blocks, dropout, and members of an ensemble."""

    width: Width = 128
    depth: Depth = 3
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    members: Annotated[int, Field(ge=1, le=20)] = 1


class MLPPlan(Network):
    """A residual network on the features of a pixel."""

    kind: Literal["mlp"] = "mlp"


class Attention(Network):
    """A network with attention heads, which share its width."""

    width: Width = 64
    heads: Annotated[int, Field(ge=1, le=16)] = 4

    @model_validator(mode="after")
    def _even(self) -> "Attention":
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width: expected an even multiple of heads {self.heads}")
        return self


class TransformerPlan(Attention):
    """Attention between the bands and angles of a pixel."""

    kind: Literal["transformer"] = "transformer"


class SpatialPlan(Network):
    """Convolutions over patches of `patch` pixels a side.

    Simulated pixels of a patch have scores with the correlation `coherence`.
    """

    kind: Literal["spatial"] = "spatial"
    patch: Annotated[int, Field(ge=3, le=256)] = 16
    coherence: Share = 0.8


class TemporalPlan(Attention):
    """Attention between the dates of a pixel.

    Simulated series hold `dates` dates within `span` days, and their scores have the correlation
    exp(−Δt/`memory`), in days.
    """

    kind: Literal["temporal"] = "temporal"
    dates: Annotated[int, Field(ge=2, le=366)] = 12
    span: Positive = 365.0
    memory: Positive = 60.0


EncoderPlan = Annotated[
    Annotated[MLPPlan | TransformerPlan | SpatialPlan | TemporalPlan, Field(discriminator="kind")],
    default_kind("mlp"),
]


class GaussianPlan(Section):
    """Mixture of Gaussians in probit space, each with a dense Cholesky factor."""

    kind: Literal["gaussian"] = "gaussian"
    components: Annotated[int, Field(ge=1, le=8)] = 1


class TruncatedPlan(Section):
    """Mixture of independent truncated normals."""

    kind: Literal["truncated-normal"] = "truncated-normal"
    components: Annotated[int, Field(ge=1, le=8)] = 1


class FlowPlan(Section):
    """Neural spline flow; the encoder gives it `context` numbers."""

    kind: Literal["flow"] = "flow"
    context: Annotated[int, Field(ge=1, le=512)] = 64
    transforms: Annotated[int, Field(ge=1, le=12)] = 3
    width: Annotated[int, Field(ge=8, le=512)] = 64
    bins: Annotated[int, Field(ge=3, le=32)] = 8


PosteriorPlan = Annotated[
    Annotated[GaussianPlan | TruncatedPlan | FlowPlan, Field(discriminator="kind")],
    default_kind("gaussian"),
]


class Residual(Section):
    """The residual decoder and its latents.

    `latent` is "gaussian" or "vector-quantised" with `codes` codes; `geometry` also shows the
    decoder the angles.
    """

    latents: Annotated[int, Field(ge=1, le=32)] = 4
    rank: Annotated[int, Field(ge=1)] = 4
    width: Annotated[int, Field(ge=4, le=512)] = 32
    latent: Literal["gaussian", "vector-quantised"] = "gaussian"
    codes: Annotated[int, Field(ge=2, le=4096)] = 64
    geometry: bool = False


class Correction(Section):
    """The bias correction: hidden size, hidden layers, and whether physics sees its gradient."""

    width: Annotated[int, Field(ge=4, le=512)] = 32
    depth: Depth = 2
    gradient: bool = False


class Decoder(Section):
    """What is added to the physical decoding: nothing ("physical"), a residual, a correction or
    both ("combined").
    """

    kind: Literal["residual", "physical", "correction", "combined"] = "residual"


class Physics(Section):
    """The canopy: PROSPECT version, layers, crowns over bare soil, leaf angles, hot spot."""

    leaf: Literal["D", "5", "PRO"] = "D"
    layers: Literal[1, 2] = 1
    crowns: bool = True
    lidf: Literal["campbell", "verhoef", "beta"] = "campbell"
    classes: Annotated[int, Field(ge=2, le=90)] = 18
    hotspot: Literal["exact", "classic"] = "exact"

    @model_validator(mode="after")
    def _once(self) -> "Physics":
        if self.crowns and self.layers == 2:
            raise ValueError("crowns: expected false with two layers, which have crowns")
        return self


class LibrarySoil(Section):
    """Soil library: CSV files (first column wavelength), and principal components kept.

    `draw` says how soils are simulated: "components" draws the coefficients from the prior,
    "mixtures" mixes three spectra of the library at random, of which the model sees the
    coefficients.
    """

    kind: Literal["library"] = "library"
    files: tuple[str, ...]
    components: Annotated[int, Field(ge=1, le=10)] = 4
    draw: Literal["components", "mixtures"] = "components"


class DryWet(Section):
    """The dry and the wet soil of the PROSAIL codes: `psoil`, `rsoil`."""

    kind: Literal["dry-wet"] = "dry-wet"


class BrightnessShapeMoisture(Section):
    """BSM: `bsm_brightness`, `bsm_lat`, `bsm_lon`, `smc`."""

    kind: Literal["bsm"] = "bsm"


SoilPlan = Annotated[
    Annotated[LibrarySoil | DryWet | BrightnessShapeMoisture, Field(discriminator="kind")],
    default_kind("library"),
]


class Noise(Section):
    """The sensor's errors, reflectance [-] or relative, whatever the likelihood.

    `relative_of` is for single bands in the place of `relative`. `discrepancy` is where a learned
    error starts, `discrepancy_max` what it may reach.
    """

    floor: Positive = 0.003
    relative: Weight = 0.02
    relative_of: dict[str, Weight] = Field(default_factory=dict)
    common: Weight = 0.05
    discrepancy: Positive = 0.003
    discrepancy_max: Positive = 0.03


class BandErrors(Section):
    """What noise of bands grows by: `floor` [reflectance] in quadrature, `relative` as a factor.

    A method that inverts the likelihood itself trusts it more than a network does, which smooths.
    """

    floor: Weight = 0.0
    relative: Positive = 1.0


class Likelihood(Section):
    """The family p(x | decoded spectrum); see `physvae.likelihoods`.

    `width` is the hidden size of those with a network, `bandwidth` the off-diagonals of the
    banded Cholesky factor, `components` the logistics of a mixture, `step` one count.
    """

    kind: Literal[
        "band-noise", "fixed", "sigma", "heteroscedastic", "banded-cholesky", "logistic-mixture"
    ] = "band-noise"
    width: Annotated[int, Field(ge=4, le=256)] = 32
    bandwidth: Annotated[int, Field(ge=0, le=32)] = 2
    components: Annotated[int, Field(ge=1, le=16)] = 3
    step: Positive = 1e-4


class Attribute(Section):
    """A residual dimension that shall rise with a property of the spectrum.

    One band: its reflectance; two: their normalised difference (a − b)/(a + b).
    """

    dimension: Annotated[int, Field(ge=0)]
    bands: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]


class Regularisers(Section):
    """Weights, 0 for none; see `physvae.regularisers`.

    `beta_of` weighs single traits in place of `beta`, `beta_warm_up` is the share of training over
    which both rise from 0, `free_bits` are nats a latent that cost nothing.
    """

    self_supervised: Weight = 1.0
    beta: Weight = 1.0
    beta_of: dict[str, Weight] = Field(default_factory=dict)
    beta_warm_up: Share = 0.0
    free_bits: Weight = 0.0
    least_action: Weight = 1.0
    unmixing: Weight = 1.0
    orthogonality: Weight = 1.0
    attribute: Weight = 0.0
    attributes: tuple[Attribute, ...] = ()
    delta: Positive = 1.0
