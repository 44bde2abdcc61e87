"""Distributions that parameters are drawn from, by name or from a file.

point of the unit cube [row, dimension] ─▶ u = Φ⁻¹(point) ─▶ `physvae.priors.Prior` ─▶ traits
                                        ─▶ low + (high − low)·point              ─▶ angles

A file is TOML with the sections [prior] and [angles] of a training file (see `physvae.config`);
`physvae/presets/priors` holds those that come with the package. "box" is the uniform distribution
over the bounds of all parameters of the model.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.special import ndtri

from physvae.config import Angles, Config, Section
from physvae.errors import InputError, UsageError
from physvae.io.toml_files import read_toml, refusal
from physvae.priors import Marginal, Prior
from rtm import GEOMETRY, ParameterSpace, Prosail
from rtm.parameters import check

BOX = "box"
_FOLDER = Path(__file__).parent / "presets" / "priors"


class PriorFile(Section):
    """The two sections of a prior file; angles that are not given are those of `Angles`."""

    about: str = ""
    sources: tuple[str, ...] = ()
    prior: dict[str, Marginal]
    angles: Angles = Angles()


@dataclass(frozen=True)
class NamedPrior:
    """A distribution by name; without `file` it is the box of the model's parameters."""

    name: str
    file: PriorFile | None

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits it names; empty for the box, which takes those of the model."""
        return () if self.file is None else tuple(self.file.prior)


def prior_names() -> tuple[str, ...]:
    """The names `load_prior` knows.

    >>> prior_names()[:3]
    ('box', 'broadleaf-crop', 'broadleaf-forest')
    """
    return (BOX, *sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_prior(name: str) -> NamedPrior:
    """A prior by its name, or from a file that ends in .toml.

    Raises
    ------
    UsageError
        Unknown name; the message lists the known ones.
    InputError
        A file that is not found, not TOML, or has a key that is unknown, missing or out of range.
    """
    return NamedPrior(name, None if name == BOX else _read(prior_file(name)))


def prior_file(name: str) -> Path:
    """The file of a prior that comes with the package, or of that name, which ends in .toml.

    Raises
    ------
    UsageError
        Neither; the message lists the known names.
    """
    if name in prior_names() and name != BOX:
        return _FOLDER / f"{name}.toml"
    if not name.endswith(".toml"):
        known = ", ".join(prior_names())
        raise UsageError(f"--prior: expected one of {known} or a file .toml, got {name[:60]!r}")
    return Path(name)


def _read(path: Path) -> PriorFile:
    raw = read_toml(path)
    # a training file may serve too: its other sections are none of ours
    others = Config.model_fields.keys() - PriorFile.model_fields.keys()
    try:
        found = PriorFile.model_validate({k: v for k, v in raw.items() if k not in others})
        _check_order(found.prior)
        _check_angles(found.angles)
    except ValidationError as error:
        raise refusal(error, raw, str(path)) from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return found


def _check_order(marginals: dict[str, Marginal]) -> None:
    names = list(marginals)
    if names[:1] != ["lai"]:
        first = names[0] if names else "none"
        raise ValueError(f"prior: expected lai as the first variable, got {first[:60]}")
    for index, (name, marginal) in enumerate(marginals.items()):
        if marginal.times is not None and marginal.times not in names[:index]:
            raise ValueError(
                f"prior.{name}.times: expected a variable that stands before,"
                f" got {marginal.times[:40]}"
            )


def _check_angles(angles: Angles) -> None:
    for name in GEOMETRY:
        low, high = getattr(angles, name)
        check(name, torch.tensor([low, high], dtype=torch.float64))
        if low > high:
            raise ValueError(f"angles.{name}: expected the lower bound first, got {low}, {high}")


class CubeMap:
    """Parameters of a model from points of the unit cube.

    Parameters
    ----------
    prior : NamedPrior
    model : Prosail
        Has all parameters that the prior names; those it does not name are at their defaults.

    Attributes
    ----------
    drawn : tuple of str
        What the dimensions of the cube stand for: traits, then tts, tto, psi.
    space : ParameterSpace
        All parameters of the model, then tts, tto, psi.

    Raises
    ------
    UsageError
        The prior names a parameter that the model has not.
    InputError
        A bound without physical meaning.
    """

    def __init__(self, prior: NamedPrior, model: Prosail) -> None:
        self.space = ParameterSpace((*model.space.parameters, *GEOMETRY.values()))
        traits = prior.traits or model.space.names
        self.drawn = (*traits, *GEOMETRY)
        strangers = [name for name in traits if name not in model.space.names]
        if strangers:
            raise UsageError(
                f"--prior: {prior.name} has {', '.join(strangers)}, expected parameters of the "
                f"model: {', '.join(model.space.names)}"
            )
        self._prior = None
        if prior.file is not None:
            self._prior = Prior(prior.file.prior, model.space)
            self._check_bounds(self._prior.space, prior.name)
        ranges = Angles() if prior.file is None else prior.file.angles
        self._angles = torch.tensor([ranges.tts, ranges.tto, ranges.psi], dtype=torch.float64)

    def _check_bounds(self, space: ParameterSpace, source: str) -> None:
        for parameter in space.parameters:
            try:
                check(parameter.name, torch.tensor([parameter.low, parameter.high]).double())
            except ValueError as error:
                raise InputError(f"{source}: prior: a bound of {error}") from None

    def __call__(self, points: Tensor) -> Tensor:
        """Parameters [row, parameter] in the order of `space` from points [row, dimension]."""
        if self._prior is None:
            low, high = self.space.low, self.space.high
            return low + (high - low) * points
        low, high = self._angles.unbind(-1)
        traits = self._prior(ndtri(points[:, :-3]))
        angles = low + (high - low) * points[:, -3:]
        values = self.space.default.repeat(len(points), 1)
        columns = [self.space.index(name) for name in self.drawn]
        values[:, columns] = torch.cat([traits, angles], -1)
        return values
