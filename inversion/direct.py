"""Inverting a model pixel by pixel, through its decoder: what all such methods share."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from physvae.field_interval import with_field_intervals
from physvae.prior_parts import model_under
from physvae.under_prior import speaks_against
from physvae.user_priors import UserPrior, change_for


class Refinement(NamedTuple):
    """An estimate (see `physvae.estimate.Estimate`), and which pixels converged."""

    mean: dict[str, Tensor]
    sd: dict[str, Tensor]
    p025: dict[str, Tensor]
    p975: dict[str, Tensor]
    misfit: Tensor
    novelty: Tensor
    prior_width: Tensor
    converged: Tensor
    contradicted: Tensor | None = None


class Direct(ABC):
    """A model that is inverted pixel by pixel; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    effort : int
        Steps, or entries of a table.

    Attributes
    ----------
    method : str
        Its name, for the intervals that the model states for measurements by it.
    """

    method: ClassVar[str]

    def __init__(self, model: Any, effort: int) -> None:
        self._model = inside(model, functools.partial(with_errors, method=self.method))
        self._effort = effort
        self._under = functools.lru_cache(maxsize=8)(self._other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @torch.inference_mode(False)
    def estimate(
        self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...],
        prior: UserPrior | None = None,
    ) -> Refinement:  # fmt: skip
        """Estimate as the model does, or as it would with another prior."""
        reflectance, angles = reflectance.clone(), angles.clone()
        if prior is None:
            return self.stated(self.found(reflectance, angles, variables))
        found = self._under(prior).found(reflectance, angles, variables)
        against = speaks_against(self._model, reflectance, angles, change_for(self._model, prior))
        return self.stated(found)._replace(contradicted=against)

    @abstractmethod
    def found(self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]) -> Refinement:
        """The estimate with the intervals of the posterior."""

    def stated(self, found: Refinement) -> Refinement:
        """The estimate with the intervals that the model states for measurements."""
        intervals = getattr(self._model, "field", {}).get(self.method, {})
        return with_field_intervals(found, intervals, self._model.traits) if intervals else found

    def _other(self, prior: UserPrior) -> Self:
        def change(model: Any) -> Any:
            return model_under(model, change_for(model, prior))

        return type(self)(inside(self._model, change), self._effort)


def inside(model: Any, change: Callable[[Any], Any]) -> Any:
    """What is wrapped around a model, around another one."""
    if "around" in dir(type(model)):
        return model.around(inside(model.inner, change))
    return change(model)


def with_errors(model: Any, method: str) -> Any:
    """A model with the noise that a method takes for measured spectra, see `BandErrors`."""
    errors = getattr(model, "errors", {})
    if method not in errors:
        return model
    made = copy.copy(model)
    made._modules = {**model._modules, "likelihood": model.likelihood.widened(errors[method])}
    made.errors = {}
    return made
