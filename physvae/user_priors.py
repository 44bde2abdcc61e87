r"""What a user knows of a canopy: distributions or bounds of some variables, from a TOML file.

    about = "Spring barley at heading"            what it is of (optional)
    sources = ["…, 10.1000/182"]                  where it is from (optional)

    [prior]
    lai = { mean = 4.0, sd = 0.8, low = 0.5, high = 7.0 }     as in a training file
    cab = { low = 30.0, high = 60.0 }                         the model's own within bounds

`physvae/presets/priors` holds those that come with the package. A prior is of a model's variables:
parameters of PROSAIL that the model has not are left out, with a note.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from physvae.config import Angles, Config
from physvae.errors import InputError, UsageError
from physvae.io.toml_files import read_toml, refusal
from physvae.marginals import Marginal, within
from physvae.named_priors import BOX, prior_file
from physvae.plans import Section
from physvae.prior_change import PriorChange
from physvae.priors import Prior
from rtm import PRODUCTS, TRAITS

if TYPE_CHECKING:
    from physvae.vae import PhysVAE

LOG = logging.getLogger(__name__)
NARROWEST = 1e-3  # bounds over the range of a variable; a tenth of it is the least sd
WIDEST = 1e4  # sd over the range
_SOIL = re.compile(r"soil_\d")


class Bounds(Section):
    """Bounds alone: the model's own distribution, cut."""

    model_config = ConfigDict(allow_inf_nan=False)

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "Bounds":
        if not self.low < self.high:
            raise ValueError(f"low: expected below high, got {self.low} and {self.high}")
        return self


def _kind(value: Any) -> str:
    bare = isinstance(value, Mapping) and value.keys() <= {"low", "high"}
    return "bounds" if bare or isinstance(value, Bounds) else "distribution"


Given = Annotated[
    Annotated[Bounds, Tag("bounds")] | Annotated[Marginal, Tag("distribution")],
    Discriminator(_kind),
]


class UserFile(Section):
    """The sections of a file."""

    about: str = ""
    sources: tuple[str, ...] = ()
    prior: Annotated[dict[str, Given], Field(min_length=1)]
    angles: Angles | None = None


@dataclass(frozen=True)
class UserPrior:
    """What a user knows, whatever the model.

    Attributes
    ----------
    name : str
        Its name, or that of its file.
    given : tuple of (str, Marginal or Bounds)
        By variable.
    sha256 : str
        Of the file's content.
    about : str
        What it is of.
    sources : tuple of str
        Where it is from.
    """

    name: str
    given: tuple[tuple[str, Marginal | Bounds], ...]
    sha256: str = ""
    about: str = ""
    sources: tuple[str, ...] = ()


def load_user_prior(name: str) -> UserPrior:
    """A prior by its name, or from a file that ends in .toml.

    Raises
    ------
    UsageError
        Unknown name; the message lists the known ones.
    InputError
        A file that is not found, not TOML, or has a key that is unknown, missing or out of range.
    """
    if name == BOX:
        raise UsageError("prior: expected distributions or bounds, got box, which says nothing")
    path = prior_file(name)
    raw = read_toml(path)
    others = Config.model_fields.keys() - UserFile.model_fields.keys()
    try:
        found = UserFile.model_validate({k: v for k, v in raw.items() if k not in others})
    except ValidationError as error:
        raise refusal(error, raw, str(path)) from None
    unknown = [key for key in found.prior if key not in TRAITS and not _SOIL.fullmatch(key)]
    if unknown:
        raise InputError(f"{path}: prior: {_stranger(unknown[0])}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return UserPrior(
        path.stem if name == path.stem else path.name, tuple(found.prior.items()), digest,
        found.about, found.sources,
    )  # fmt: skip


def _stranger(name: str) -> str:
    if name in PRODUCTS:
        return f"expected parameters of PROSAIL, got {name}, which follows from them"
    return f"expected parameters of PROSAIL (lai, ala, cab, cw, cm, ...), got {name[:40]}"


def change_for(model: "PhysVAE", prior: UserPrior | str) -> PriorChange:
    """From a model's prior to a user's.

    Raises
    ------
    UsageError, InputError
        As `load_user_prior`; none of its variables is the model's, or one does not go with the
        model's range or other variables.
    ValueError
        A model of patches or series.
    """
    known = load_user_prior(prior) if isinstance(prior, str) else prior
    if model.layout != "pixel":
        raise ValueError(f"prior: expected a model of single pixels, got one of {model.layout}")
    return _change(model.prior, known, model.name, model.prior.mean.device)


@lru_cache(maxsize=64)
def _change(prior: Prior, known: UserPrior, model: str, device: Any) -> PriorChange:
    there = {name: given for name, given in known.given if name in prior.marginals}
    absent = [name for name, _ in known.given if name not in there]
    if not there:
        raise InputError(
            f"{known.name}: expected some of {', '.join(prior.marginals)}, the variables of"
            f" {model}, got {', '.join(absent)}"
        )
    if absent:
        LOG.warning("%s: %s has no %s; left out", known.name, model, ", ".join(absent))
    new = {name: _fitted(known.name, name, given, prior) for name, given in there.items()}
    return PriorChange(prior, new)


def _fitted(source: str, name: str, given: Marginal | Bounds, prior: Prior) -> Marginal:
    """A distribution within the range that the model has for a variable."""
    where = f"{source}: prior.{name}"
    place = prior.space.index(name)
    low, high = float(prior.space.low[place]), float(prior.space.high[place])
    if given.low >= high or given.high <= low:
        raise InputError(
            f"{where}: expected bounds that overlap the model's {low:g} to {high:g},"
            f" got {given.low:g} to {given.high:g}"
        )
    ends = {"low": max(given.low, low), "high": min(given.high, high)}
    cut = (ends["low"], ends["high"]) != (given.low, given.high)
    if cut and source.endswith(".toml") and not (isinstance(given, Marginal) and given.times):
        LOG.warning(
            "%s: %g to %g is cut to the model's range, %g to %g",
            where, given.low, given.high, *ends.values(),
        )  # fmt: skip
    if isinstance(given, Bounds):
        return _within(where, prior.marginals[name], ends, high - low)
    if given.times and given.times not in list(prior.marginals)[:place]:
        raise InputError(
            f"{where}.times: expected a variable of the model that stands before {name},"
            f" got {given.times[:40]}"
        )
    return given if given.times else _cut(where, given, ends, high - low)


def _within(where: str, own: Marginal, ends: dict[str, float], width: float) -> Marginal:
    """The model's own distribution between bounds, which then no longer move with LAI."""
    if own.times:
        raise InputError(
            f"{where}: expected a distribution, since the model's is a multiple of {own.times},"
            " got bounds alone"
        )
    return _cut(where, own.model_copy(update={"at_lai_15": None}), ends, width)


def _cut(where: str, law: Marginal, ends: dict[str, float], width: float) -> Marginal:
    """A distribution within bounds; `width` is that of the model's range."""
    least = NARROWEST * width
    if ends["high"] - ends["low"] < least:
        raise InputError(
            f"{where}: expected bounds at least {least:g} apart, got {ends['low']:g} to"
            f" {ends['high']:g}"
        )
    for normal in (law, *law.parts):
        unit = 1.0 if normal.kind == "lognormal" else width  # of a logarithm
        if normal.kind in ("normal", "lognormal") and normal.sd is not None:
            low, high = NARROWEST * 0.1 * unit, WIDEST * unit
            if not low <= normal.sd <= high:
                raise InputError(f"{where}.sd: expected {low:g} to {high:g}, got {normal.sd:g}")
    try:
        return within(law, **ends)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
