"""What the training file of an emulator may say; a wrong key is named. The file is TOML."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from physvae.io.toml_files import read_toml, refusal
from physvae.plans import Depth, Positive, Section, Share, Weight, Width, default_kind

Range = tuple[float, float]
Count = Annotated[int, Field(ge=1)]
Factor = Literal["rso", "rdo", "rsd", "rdd"]


class ProsailPlan(Section):
    """Our own physics, drawn anew at every step; `box` narrows or widens ranges by name."""

    kind: Literal["prosail"] = "prosail"
    leaf: Literal["D", "5", "PRO"] = "D"
    lidf: Literal["campbell", "verhoef", "beta"] = "campbell"
    crowns: bool = False
    start: float = 400.0
    stop: float = 2500.0
    step: Positive = 10.0
    box: dict[str, Range] = Field(default_factory=dict)


class TablePlan(Section):
    """Parameters and spectra of any code, in a CSV or Parquet table or a Zarr store.

    Spectra are the columns named in `bands`, else those whose name is a number [nm]; in a store
    the array `spectra` [row, band or wavelength]. `parameters` are all other columns of numbers
    where none are named. `held_out` of the rows train nothing.
    """

    kind: Literal["table"] = "table"
    file: str
    spectra: str = "rso"
    bands: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    held_out: Share = 0.1


SimulatorPlan = Annotated[
    Annotated[ProsailPlan | TablePlan, Field(discriminator="kind")], default_kind("prosail")
]


class VAEPlan(Section):
    """The auto-encoder of spectra.

    `sd` is the noise s of a reflectance; where it is 0, the part that the latents leave out.
    With no `steps` it is the linear one in closed form. `attributes` orders the first latents
    along these parameters, with the weight `ordered`.
    """

    latents: Annotated[int, Field(ge=1, le=512)] = 40
    decoder: Literal["linear", "mlp"] = "linear"
    width: Width = 128
    beta: Weight = 1.0
    sd: Weight = 0.0
    steps: Annotated[int, Field(ge=0)] = 0
    attributes: tuple[str, ...] = ()
    ordered: Weight = 1.0


class NodesPlan(Section):
    """The exact physics at a few wavelengths; `nodes` of them, or these [nm]."""

    kind: Literal["nodes"] = "nodes"
    nodes: Annotated[int, Field(ge=2, le=512)] | tuple[float, ...] = 48


class NetworkPlan(Section):
    """A network on plain parameters, or with what a canopy's geometry makes of them."""

    kind: Literal["network"] = "network"
    width: Width = 256
    depth: Depth = 3
    features: Literal["plain", "canopy"] = "plain"


InterpolatorPlan = Annotated[
    Annotated[NodesPlan | NetworkPlan, Field(discriminator="kind")], default_kind("network")
]


class FitPlan(Section):
    """How a network is fitted: with the decoder frozen and then both together, or as one step.

    `latent` weighs the distance to the latent mean against the error of the spectrum.
    """

    procedure: Literal["two-step", "one-step"] = "two-step"
    steps: Count = 3000
    joint: Annotated[int, Field(ge=0)] = 0
    batch: Count = 2048
    learning_rate: Positive = 3e-3
    latent: Weight = 0.01


class EdgesPlan(Section):
    """Draws of corners, faces and low absorbers, for which spectra are hardest to tell.

    Of each kind `draws` weigh `weight` against 1 of all draws inside the box, 0 leaves them out.
    """

    weight: Weight = 0.01
    draws: Annotated[int, Field(ge=100)] = 40_000


class ErrorPlan(Section):
    """The standard error of emulation, fitted to draws that trained nothing else.

    `features` are those of `physvae.emulation.features`.
    """

    features: Literal["plain", "edges"] = "edges"
    width: Width = 64
    shapes: Annotated[int, Field(ge=1, le=64)] = 8
    steps: Count = 1500
    draws: Annotated[int, Field(ge=100)] = 20_000


class EmulatorConfig(Section):
    """A whole training file; `notes` go into the card."""

    name: str
    seed: int = 0
    notes: str = ""
    simulator: SimulatorPlan = ProsailPlan()
    factors: tuple[Factor, ...] = ("rso",)
    draws: Annotated[int, Field(ge=100)] = 40_000
    edges: EdgesPlan = EdgesPlan()
    vae: VAEPlan = VAEPlan()
    interpolator: InterpolatorPlan = NetworkPlan()
    fit: FitPlan = FitPlan()
    error: ErrorPlan = ErrorPlan()
    evaluation: Annotated[int, Field(ge=100)] = 100_000

    @model_validator(mode="after")
    def _fits(self) -> "EmulatorConfig":
        if not self.factors or self.factors[0] != "rso":
            raise ValueError("factors: expected rso first")
        if isinstance(self.simulator, TablePlan):
            plain = isinstance(self.interpolator, NetworkPlan)
            if not plain or self.interpolator.features != "plain":  # pyright: ignore
                raise ValueError("interpolator: expected a network on plain features for a table")
            if self.factors != ("rso",):
                raise ValueError("factors: expected rso alone for a table")
        if isinstance(self.interpolator, NodesPlan) and self.vae.decoder != "linear":
            raise ValueError("vae.decoder: expected linear for nodes")
        return self

    @model_validator(mode="after")
    def _all_is_used(self) -> "EmulatorConfig":
        """Refuse what would be ignored."""
        if self.vae.attributes and not self.vae.steps:
            raise ValueError("vae.attributes: expected steps of the auto-encoder, got steps 0")
        if self.vae.steps and isinstance(self.interpolator, NodesPlan):
            raise ValueError("vae.steps: expected 0 for nodes, whose auto-encoder needs none")
        if self.fit.joint and self.fit.procedure == "one-step":
            raise ValueError("fit.joint: expected the two-step procedure, got one-step")
        return self


def is_emulator(path: Path) -> bool:
    """Whether a training file is one of an emulator: it has a table `simulator`."""
    return "simulator" in read_toml(path)


def read_plan(path: Path) -> EmulatorConfig:
    """The training file of an emulator, checked.

    Raises
    ------
    InputError
        Not found, not TOML, or a key that is unknown, missing or out of its range.
    """
    return parse_plan(read_toml(path), str(path))


def parse_plan(raw: dict, source: str) -> EmulatorConfig:
    """A configuration from a dictionary; errors name the source and the key."""
    try:
        return EmulatorConfig.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, raw, source) from None
