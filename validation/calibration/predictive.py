"""The whole predictive distribution of a trait, row by row: quantiles on a grid of probabilities.

Tables of estimates carry two quantiles; coverage at other levels, PIT and CRPS need more. A model
that is at hand is asked for them while it estimates, on the very rows that it is given: for those
of its marginals where it says these itself, else for those of its posterior.

A model may state another 95 % interval than its quantiles (``calibration.field`` of its
configuration); both are kept apart, ``p025`` as stated and ``q025`` of the distribution.
"""

from typing import Any

import numpy as np
import pandas as pd

from inversion.quality import Quality
from inversion.tables import retrieve_table
from validation.metrics.probabilistic import GRID, quantile_name

_NOT_SEEN = Quality.NO_DATA | Quality.MASKED_BY_SCENE_CLASS


class Quantiles:
    """A model that notes the quantiles of one trait while it estimates; all else is the model's.

    Parameters
    ----------
    model
        A loaded model with `posterior`, `draw_traits` and `quantile`.
    trait : str
    levels : tuple of float
        Probabilities of the quantiles.
    """

    def __init__(self, model: Any, trait: str, levels: tuple[float, ...] = GRID) -> None:
        self._model, self._trait, self._levels = model, trait, levels
        self._blocks: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def estimate(
        self, reflectance: Any, angles: Any, variables: tuple[str, ...], **options: Any
    ) -> Any:
        """Estimate as the model does, and note the quantiles."""
        self._blocks.append(
            trait_quantiles(self._model, reflectance, angles, self._trait, self._levels, **options)
        )
        return self._model.estimate(reflectance, angles, variables, **options)

    @property
    def table(self) -> np.ndarray:
        """Quantiles [row, level] of every row estimated so far."""
        return np.concatenate(self._blocks or [np.empty((0, len(self._levels)))])


def trait_quantiles(
    model: Any, reflectance: Any, angles: Any, trait: str, levels: tuple[float, ...] = GRID,
    prior: Any = None,
) -> np.ndarray:  # fmt: skip
    """Quantiles [n, level] of one trait, ascending along the levels.

    Parameters
    ----------
    model
        A loaded model.
    reflectance : Tensor [n, band]
    angles : Tensor [n, 3]
        Degree.
    trait : str
    levels : tuple of float
        Probabilities.
    prior : UserPrior, optional
        In the place of the model's.
    """
    import torch

    from physvae.scaling import filled
    from physvae.under_prior import quantiles_under
    from physvae.user_priors import change_for
    from physvae.vae import NORMAL

    with torch.no_grad():
        if prior is not None:
            change = change_for(model, prior)
            return _ascending(quantiles_under(model, reflectance, angles, trait, levels, change))
        if model.summaries is not None:
            law = model.marginals(reflectance, angles, (trait,))
            columns = [law.quantile(NORMAL.inv_cdf(p))[..., 0] for p in levels]
            return _ascending(columns)
        posterior = model.posterior(reflectance, angles)
        draws = model.draw_traits(posterior, filled(angles)[..., 0], (trait, "lai"))
        columns = [model.quantile(posterior, draws, trait, p) for p in levels]
        return _ascending(columns)


def _ascending(columns: list[Any]) -> np.ndarray:
    """Tensors [n] a level as an array [n, level], in ascending order."""
    return np.sort([c.double().cpu().numpy() for c in columns], axis=0).T


def stated(model: Any, trait: str) -> str:
    """How a model states the 95 % interval of a trait."""
    law = (getattr(model, "field", None) or {}).get("amortised", {}).get(trait)
    if law is None:
        return "2.5 % and 97.5 % quantile"
    seen = "plots of the trait" if law.basis == "measured" else "plots of another trait"
    return f"{law}, set with field measurements of {seen} in view"


def retrieve_with_quantiles(
    frame: pd.DataFrame, model: Any, trait: str, *, source: str = "table", prior: Any = None
) -> pd.DataFrame:
    """Estimates of one trait for every row, with the quantiles of `GRID` beside the usual ones.

    Columns ``<trait>_q005`` ... ``<trait>_q995`` join those of `inversion.retrieve_table`.
    """
    noting = Quantiles(model, trait)
    estimates = retrieve_table(frame, model=noting, variables=(trait,), source=source, prior=prior)
    seen = (estimates["quality"].to_numpy() & np.uint16(_NOT_SEEN)) == 0
    table = np.full((len(frame), len(GRID)), np.nan)
    table[seen] = noting.table
    names = [f"{trait}_{quantile_name(p, 'q')}" for p in GRID]
    grid = pd.DataFrame(table, index=estimates.index, columns=names)
    return pd.concat([estimates, grid], axis=1)
