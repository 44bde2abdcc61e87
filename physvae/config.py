"""What a training file may say, and what it means; a wrong key is named.

The file is TOML. `physvae/presets/sentinel-2.toml` is the shipped model's.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from physvae.field_interval import FieldInterval
from physvae.io.toml_files import read_toml, refusal
from physvae.marginals import Marginal
from physvae.plans import (
    BandErrors,
    Correction,
    Decoder,
    Depth,
    EncoderPlan,
    GaussianPlan,
    Likelihood,
    MLPPlan,
    Noise,
    Physics,
    Positive,
    PosteriorPlan,
    Regularisers,
    Residual,
    Section,
    Share,
    SoilPlan,
    Weight,
)
from physvae.products import products_of

Range = tuple[float, float]
Simulations = Annotated[int, Field(ge=100, le=10_000_000)]
MOST_BANDS = 4096  # every nm from 400 to 2500 is 2101


class Angles(Section):
    """Ranges that simulations draw from, uniformly [degree]."""

    tts: Range = (15.0, 70.0)
    tto: Range = (0.0, 12.0)
    psi: Range = (0.0, 180.0)


class Correlation(Section):
    """Correlation of the normal scores of two variables."""

    between: tuple[str, str]
    value: Annotated[float, Field(gt=-1.0, lt=1.0)]


class Grid(Section):
    """Gaussian bands at regular centres, of one width [nm], whose ids are B and the centre."""

    first: Annotated[float, Field(ge=400.0)]
    last: Annotated[float, Field(le=2500.0)]
    step: Annotated[float, Field(ge=0.01)]
    fwhm: Positive

    @model_validator(mode="after")
    def _few(self) -> "Grid":
        if self.count > MOST_BANDS:
            raise ValueError(f"expected at most {MOST_BANDS} bands, got {self.count:,}")
        return self

    @property
    def count(self) -> int:
        """Number of bands."""
        return int((self.last - self.first) / self.step + 1e-9) + 1

    @property
    def centers(self) -> tuple[float, ...]:
        """Centres [nm]."""
        return tuple(self.first + i * self.step for i in range(self.count))

    @property
    def ids(self) -> tuple[str, ...]:
        """Band ids."""
        return tuple(f"B{center:g}" for center in self.centers)


class Window(Section):
    """Neighbouring bands that are missing together, as where the air absorbs."""

    first: str
    last: str
    rate: Share


class Missing(Section):
    """How often an input is hidden in training.

    `band`, or `often` by band id, `windows` of bands, `view` and `sun` for the angles, `date` for
    all of a date of a series; in a share `subset` of the observations any subset of all inputs is
    left, from all to none.
    """

    band: Share = 0.03
    often: dict[str, Share] = Field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    view: Share = 0.15
    sun: Share = 0.03
    date: Share = 0.3
    subset: Share = 0.1


class Spectra(Section):
    """One source of real, unlabelled spectra: a table, a Zarr store of patches, or a tar shard.

    Columns: the bands, by their names or as `columns` says (`{ B4 = "red" }`), the angles, `group`
    for what is held out together (with `date` [ISO date or day], also what makes a series). Of a
    shard: reflectance = `scale` · number + `offset`, the array `mask` with the classes `clear`,
    and how many `pixels` to take of a patch.
    """

    file: str
    columns: dict[str, str] = Field(default_factory=dict)
    sun_zenith: str = "sun_zenith_deg"
    group: str | None = None
    date: str | None = None
    scale: Positive = 1e-4
    offset: float = 0.0
    mask: str | None = None
    clear: tuple[int, ...] = (0,)
    pixels: Annotated[int, Field(ge=1)] = 256


class Loss(Section):
    """How real spectra train; the weights of all else are in `Regularisers`.

    `real` weighs all terms of real spectra against those of simulations; `draws` is K.
    """

    reconstruction: Literal["elbo", "mcrl", "importance"] = "elbo"
    wake_sleep: bool = True
    draws: Annotated[int, Field(ge=1, le=100)] = 2
    real: Weight = 0.05
    warm_up: Share = 0.3


class Optimiser(Section):
    """Steps of training, and simulations and real spectra in each; `checkpoint` is in steps.

    `averaging` is the share of the running average of the weights that each step keeps. Training
    stops early after `patience` checkpoints without a better loss of `validation` simulations.
    """

    steps: Annotated[int, Field(ge=1)] = 10_000
    simulations: Annotated[int, Field(ge=1)] = 512
    spectra: Annotated[int, Field(ge=1)] = 128
    learning_rate: Positive = 2e-3
    averaging: Share = 0.999
    checkpoint: Annotated[int, Field(ge=1)] = 1000
    patience: Annotated[int, Field(ge=1)] | None = None
    validation: Annotated[int, Field(ge=1)] = 1024


class Summary(Section):
    """The network that says moments and quantiles of traits at once, see `physvae.summaries`.

    It never sees the bands `hidden`, and learns the physical spectrum of all. Its quantiles are
    corrected on `calibration` further simulations.
    """

    hidden: tuple[str, ...] = ()
    width: Annotated[int, Field(ge=8, le=1024)] = 128
    depth: Depth = 2
    simulations: Annotated[int, Field(ge=100)] = 300_000
    steps: Annotated[int, Field(ge=1)] = 8_000
    batch: Annotated[int, Field(ge=1)] = 2048
    calibration: Simulations = 200_000


class Calibration(Section):
    """After training: `spread` finds one factor a trait on simulations, `widen` multiplies it.

    `field` has the intervals that are meant for measurements, by trait, and `methods` those of
    the other methods (`refined`, `lut`, `lm`), by method and trait; see `physvae.field_interval`.
    `python benchmarks/field_intervals.py MODEL --write` finds them. `errors` has what these
    methods add to the noise of bands where measured spectra are inverted.
    """

    spread: bool = True
    widen: dict[str, Positive] = Field(default_factory=dict)
    field: dict[str, FieldInterval] = Field(default_factory=dict)
    methods: dict[str, dict[str, FieldInterval]] = Field(default_factory=dict)
    errors: dict[Literal["refined", "lut", "lm"], BandErrors] = Field(default_factory=dict)


class RemainderPlan(Section):
    """How many numbers tell what decodings leave of real spectra, see `physvae.remainder`."""

    components: Annotated[int, Field(ge=1, le=32)] = 3


class Products(Section):
    """The fAPAR and fCover network, and what else is estimated from joint draws."""

    also: tuple[Literal["lai_effective"], ...] = ()
    width: Annotated[int, Field(ge=4, le=256)] = 32
    simulations: Annotated[int, Field(ge=100)] = 60_000
    steps: Annotated[int, Field(ge=1)] = 6_000


class Evaluation(Section):
    """Simulations behind the limits of the quality checks and the figures of the card."""

    simulations: Simulations = 20_000


class Config(Section):
    """A whole training file; `notes` go into the card; the bands of a `grid` are the sensor's."""

    name: str
    sensor: str
    bands: Annotated[tuple[str, ...], Field(max_length=MOST_BANDS)]
    grid: Grid | None = None
    seed: int = 0
    notes: str = ""
    tolerance: Positive = 1e-4
    physics: Physics = Physics()
    soil: SoilPlan
    prior: dict[str, Marginal]
    correlation: tuple[Correlation, ...] = ()
    angles: Angles = Angles()
    missing: Missing = Missing()
    noise: Noise = Noise()
    likelihood: Likelihood = Likelihood()
    encoder: EncoderPlan = MLPPlan()
    posterior: PosteriorPlan = GaussianPlan()
    decoder: Decoder = Decoder()
    residual: Residual = Residual()
    correction: Correction = Correction()
    spectra: tuple[Spectra, ...] = ()
    loss: Loss = Loss()
    regularisers: Regularisers = Regularisers()
    optimiser: Optimiser = Optimiser()
    calibration: Calibration = Calibration()
    products: Products = Products()
    summaries: Summary | None = None
    remainder: RemainderPlan | None = None
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="before")
    @classmethod
    def _first_format(cls, raw: Any) -> Any:
        """Keys of the first models' files, where they are now."""
        if not isinstance(raw, dict):
            return raw
        for (section, key), (new, name) in MOVED.items():
            table = raw if section is None else raw.get(section)
            if isinstance(table, dict) and key in table:
                rest = {k: v for k, v in table.items() if k != key}
                raw = rest if section is None else raw | {section: rest}
                raw = raw | {new: {name: table[key], **raw.get(new, {})}}
        return raw

    @model_validator(mode="before")
    @classmethod
    def _bands_of_grid(cls, raw: Any) -> Any:
        """The ids of a grid, where none are named."""
        if not isinstance(raw, dict) or not isinstance(raw.get("grid"), dict) or "bands" in raw:
            return raw
        try:
            return raw | {"bands": Grid.model_validate(raw["grid"]).ids}
        except ValidationError:  # which is told of the key
            return raw | {"bands": ()}

    @model_validator(mode="after")
    def _bands_fit(self) -> "Config":
        if self.grid and (strange := set(self.bands) - set(self.grid.ids)):
            raise ValueError(f"bands: expected bands of the grid, got {sorted(strange)}")
        ends = {end for window in self.missing.windows for end in (window.first, window.last)}
        if strange := ends - set(self.bands):
            raise ValueError(f"missing.windows: expected bands of the model, got {strange}")
        return self

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        known = set(self.prior)
        for entry in self.correlation:
            if strange := set(entry.between) - known:
                raise ValueError(f"correlation: expected variables of the prior, got {strange}")
        if strange := set(self.regularisers.beta_of) - known:
            raise ValueError(f"regularisers.beta_of: expected variables, got {strange}")
        if self.regularisers.beta_of and self.posterior.kind == "flow":
            raise ValueError("regularisers.beta_of: expected a posterior other than a flow")
        if strange := set(self.noise.relative_of) - set(self.bands):
            raise ValueError(f"noise.relative_of: expected bands of the model, got {strange}")
        if self.summaries and (strange := set(self.summaries.hidden) - set(self.bands)):
            raise ValueError(f"summaries.hidden: expected bands of the model, got {strange}")
        if self.summaries and self.encoder.kind not in ("mlp", "transformer"):
            raise ValueError(f"summaries: expected an encoder of pixels, got {self.encoder.kind}")
        if self.remainder and not (self.spectra and self.remainder.components < len(self.bands)):
            raise ValueError("remainder: expected real spectra and fewer components than bands")
        if self.products.also and ("cv" not in known or self.physics.layers == 2):
            raise ValueError("products.also: expected crowns of one layer (cv) for lai_effective")
        for entry in self.regularisers.attributes:
            if entry.dimension >= self.residual.latents or set(entry.bands) - set(self.bands):
                raise ValueError("regularisers.attributes: expected a latent and bands of model")
        return self

    @model_validator(mode="after")
    def _all_is_used(self) -> "Config":
        """Refuse what would be ignored, or fail when the training has ended."""
        plan = self.regularisers
        if bool(plan.attributes) != (plan.attribute > 0):
            raise ValueError("regularisers: expected attributes and a weight attribute, got one")
        if strange := set(self.missing.often) - set(self.bands):
            raise ValueError(f"missing.often: expected bands of the model, got {strange}")
        traits = {*self.prior, *products_of(self.prior, self.products.also)}
        for key in ("widen", "field"):
            if strange := set(getattr(self.calibration, key)) - traits:
                raise ValueError(f"calibration.{key}: expected traits, got {strange}")
        return self


MOVED: dict[tuple[str | None, str], tuple[str, str]] = {
    (None, "crowns"): ("physics", "crowns"),
    ("encoder", "components"): ("posterior", "components"),
    ("loss", "beta"): ("regularisers", "beta"),
    ("loss", "least_action"): ("regularisers", "least_action"),
    ("loss", "unmixing"): ("regularisers", "unmixing"),
    ("loss", "orthogonality"): ("regularisers", "orthogonality"),
}


def read_config(path: Path) -> Config:
    """A training file, checked.

    Raises
    ------
    InputError
        Not found, not TOML, or a key that is unknown, missing or out of its range.
    """
    return parse_config(read_toml(path), str(path))


def parse_config(raw: dict, source: str) -> Config:
    """A configuration from a dictionary; errors name the source and the key."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, raw, source) from None
