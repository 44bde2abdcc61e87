"""What a training file may say, and what it means; a wrong key is named.

The file is TOML. `physvae/presets/sentinel-2.toml` is the shipped model's and holds every section.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physvae.errors import InputError
from physvae.priors import Marginal

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Range = tuple[float, float]


class Section(BaseModel):
    """A table of the file; a key it does not know is refused, and it cannot be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Soil(Section):
    """Soil library: CSV files (first column wavelength), and principal components kept."""

    files: tuple[str, ...]
    components: Annotated[int, Field(ge=1, le=10)] = 4


class Angles(Section):
    """Ranges that simulations draw from, uniformly [degree]."""

    tts: Range = (15.0, 70.0)
    tto: Range = (0.0, 12.0)
    psi: Range = (0.0, 180.0)


class Missing(Section):
    """How often an input is hidden in training.

    `band`, or `often` by band id, and `view`, `sun` for the angles; in a share `subset` of the
    observations any subset of all inputs is left, from all to none.
    """

    band: Share = 0.03
    often: dict[str, Share] = {}
    view: Share = 0.15
    sun: Share = 0.03
    subset: Share = 0.1


class Noise(Section):
    """Errors of the observation, reflectance [-] or relative; see `physvae.likelihoods`."""

    floor: Positive = 0.003
    relative: Positive = 0.02
    common: Positive = 0.05
    discrepancy: Positive = 0.003
    discrepancy_max: Positive = 0.03


class Encoder(Section):
    """Kind and size of the encoder's network, and Gaussians in the posterior mixture."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=8, le=2048)] = 128
    depth: Annotated[int, Field(ge=1, le=12)] = 3
    components: Annotated[int, Field(ge=1, le=8)] = 1


class Residual(Section):
    """Size of the residual decoder: latents, columns of the basis, hidden width."""

    latents: Annotated[int, Field(ge=1, le=32)] = 4
    rank: Annotated[int, Field(ge=1, le=10)] = 4
    width: Annotated[int, Field(ge=4, le=512)] = 32


class Spectra(Section):
    """One table of real, unlabelled spectra."""

    file: str
    sun_zenith: str = "sun_zenith_deg"
    group: str | None = None


class Loss(Section):
    """Weights of the terms; see `physvae.training`."""

    reconstruction: Literal["elbo", "mcrl"] = "elbo"
    wake_sleep: bool = True
    draws: Annotated[int, Field(ge=1, le=100)] = 2
    real: Annotated[float, Field(ge=0.0)] = 0.05
    beta: Annotated[float, Field(ge=0.0)] = 1.0
    least_action: Annotated[float, Field(ge=0.0)] = 1.0
    unmixing: Annotated[float, Field(ge=0.0)] = 1.0
    orthogonality: Annotated[float, Field(ge=0.0)] = 1.0
    warm_up: Share = 0.3


class Optimiser(Section):
    """Steps of training, and simulations and real spectra in each; `checkpoint` is in steps.

    `averaging` is the share of the running average of the weights that each step keeps.
    """

    steps: Annotated[int, Field(ge=1)] = 10_000
    simulations: Annotated[int, Field(ge=2)] = 512
    spectra: Annotated[int, Field(ge=1)] = 128
    learning_rate: Positive = 2e-3
    averaging: Share = 0.999
    checkpoint: Annotated[int, Field(ge=1)] = 1000


class Products(Section):
    """The fAPAR and fCover network."""

    width: Annotated[int, Field(ge=4, le=256)] = 32
    simulations: Annotated[int, Field(ge=100)] = 60_000
    steps: Annotated[int, Field(ge=1)] = 6_000


class Evaluation(Section):
    """Simulations behind the limits of the quality checks and the figures of the card."""

    simulations: Annotated[int, Field(ge=100)] = 20_000


class Config(Section):
    """A whole training file; `notes` go into the card."""

    name: str
    sensor: str
    bands: tuple[str, ...]
    seed: int = 0
    notes: str = ""
    crowns: bool = True
    tolerance: Positive = 1e-4
    soil: Soil
    prior: dict[str, Marginal]
    angles: Angles = Angles()
    missing: Missing = Missing()
    noise: Noise = Noise()
    encoder: Encoder = Encoder()
    residual: Residual = Residual()
    spectra: tuple[Spectra, ...] = ()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    products: Products = Products()
    evaluation: Evaluation = Evaluation()


def read_config(path: Path) -> Config:
    """A training file, checked.

    Raises
    ------
    InputError
        Not found, not TOML, or a key that is unknown, missing or out of its range.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected a TOML file, got {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got {error}") from None
    return parse_config(raw, str(path))


def parse_config(raw: dict, source: str) -> Config:
    """A configuration from a dictionary; errors name the source and the key."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{source}: {key}: {first['msg']}, got {first['input']!r}") from None
