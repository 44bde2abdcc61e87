"""Which prior holds where: one for all, by a column of names, or by a map of codes.

A file of the user has a section [prior], see `physvae.user_priors`, or [codes] that says what the
values of a column or the codes of a map stand for: a prior by name, or a file beside it.

    [codes]
    1 = "wheat"
    7 = "my-barley.toml"
    "winter wheat" = "wheat"

Where nothing is known of a value, the model's own prior holds, which a quality bit says.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inversion.naming import listing
from physvae.errors import UsageError
from physvae.io.toml_files import read_toml, refusal
from physvae.named_priors import BOX, prior_names
from physvae.user_priors import UserPrior, change_for, load_user_prior

LOG = logging.getLogger(__name__)
UNKNOWN = -1
"""Place of a value that has no prior."""


class _CodesFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    codes: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Priors:
    """Priors, and the values of a column or a map that they hold for.

    Attributes
    ----------
    all : tuple of UserPrior
        Each once.
    places : dict of str to int
        Place among them by value, in lower case; empty where a single one holds everywhere.
    """

    all: tuple[UserPrior, ...]
    places: dict[str, int] = field(default_factory=dict)

    def of(self, values: Sequence[Any]) -> np.ndarray:
        """Places [value] of the priors that hold for values, `UNKNOWN` where none does."""
        known = {value: self.places.get(_plain(value), UNKNOWN) for value in set(values)}
        return np.array([known[value] for value in values], np.int16)

    def of_codes(self, codes: np.ndarray) -> np.ndarray:
        """The same for the codes of a map, an array of numbers."""
        found, back = np.unique(codes, return_inverse=True)
        return self.of([*map(_code, found.tolist())])[back].reshape(codes.shape)


def _plain(value: Any) -> str:
    return "" if value is None else "-".join(str(value).strip().lower().replace("_", " ").split())


def _code(number: float) -> str:
    return str(int(number)) if np.isfinite(number) and number == int(number) else str(number)


def priors_of(prior: Any, by: str | None = None, option: str = "prior") -> Priors | None:
    """What a user asks for.

    Parameters
    ----------
    prior : str, UserPrior, mapping, Priors or None
        A name, a file, a prior, or priors by the values of a column or the codes of a map.
    by : str, optional
        "column" or "map" where one says which prior holds; without `prior` a column holds names.
    option : str
        What `prior` is called in messages.

    Raises
    ------
    UsageError
        An unknown name, or what does not go together.
    InputError
        A file was refused.
    """
    if isinstance(prior, Priors) or (prior is None and by is None):
        return prior
    if prior is None and by == "column":
        return _by_value({name: name for name in prior_names() if name != BOX}, Path())
    table = _table(prior)
    if table is not None:
        if by is None:
            raise UsageError(
                f"{option}: expected a column or a map whose values it names, got none"
            )
        return _by_value(*table)
    if by is not None:
        got = "none" if prior is None else prior
        raise UsageError(f"{option}: expected [codes] for the values of the {by}, got {got}")
    return Priors((_prior(prior, Path()),))


def _table(prior: Any) -> tuple[Mapping[Any, Any], Path] | None:
    """Priors by value and the folder of their files, where `prior` is such a table or its file."""
    if isinstance(prior, Mapping):
        return prior, Path()
    if isinstance(prior, str) and prior.endswith(".toml"):
        raw = read_toml(Path(prior))
        if "codes" in raw:
            return _codes(raw, prior), Path(prior).parent
    return None


def _codes(raw: dict[str, Any], source: str) -> dict[str, str]:
    try:
        return _CodesFile.model_validate(raw).codes
    except ValidationError as error:
        raise refusal(error, raw, source) from None


def _by_value(table: Mapping[Any, Any], folder: Path) -> Priors:
    """Priors by value; files are relative to the folder."""
    found: list[UserPrior] = []
    places = {}
    for value, given in table.items():
        prior = _prior(given, folder)
        if prior not in found:
            found.append(prior)
        places[_plain(value)] = found.index(prior)
    return Priors(tuple(found), places)


def _prior(given: Any, folder: Path) -> UserPrior:
    if isinstance(given, UserPrior):
        return given
    text = str(given)
    return load_user_prior(str(folder / text) if text.endswith(".toml") else text)


def check_priors(priors: Priors | None, model: Any, places: np.ndarray | None = None) -> None:
    """Refuse priors that do not go with a model, before anything is estimated.

    Of those of a column only the ones that hold somewhere are looked at.
    """
    for place, prior in enumerate(priors.all if priors else ()):
        if places is None or (places == place).any():
            change_for(model, prior)


def about(prior: UserPrior) -> dict[str, object]:
    """What a record keeps of a prior."""
    given = {name: str(law) for name, law in prior.given}
    return {"name": prior.name, "sha256": prior.sha256, "given": given}


def tell_unknown(values: Sequence[Any], places: np.ndarray, source: str) -> None:
    """Say which values have no prior, and how many rows hold them."""
    unknown = [str(value)[:40] for value, place in zip(values, places, strict=True) if place < 0]
    counts = Counter(unknown).most_common()
    if counts:
        said = listing([f"{value!r} ({count} rows)" for value, count in counts])
        LOG.warning("%s: no prior for %s; the model's own holds there", source, said)
