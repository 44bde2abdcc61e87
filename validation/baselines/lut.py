r"""A look-up table: the classical inversion, as a yardstick.

It is the one of ``physvae retrieve --method lut`` (`inversion.lut`), run on the same rows: the
prior, physics and noise of a model, without its encoder, marginals and learned residual.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from inversion.kernel import load_model
from inversion.tables import retrieve_table
from validation.baselines.base import Prediction


@dataclass(frozen=True)
class LookUp:
    """Inversion of a loaded model by look-up tables, for one trait."""

    model: Any
    trait: str

    @classmethod
    def of(cls, model: Any, trait: str) -> "LookUp":
        """The look-up tables of a model by its name, its folder or itself."""
        return cls(load_model(model, "cpu"), trait)

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return "look-up table"

    def predict(self, frame: pd.DataFrame, rows: pd.DataFrame) -> Prediction:
        """Estimates and intervals of every row; nothing is learned from the measurements."""
        found = retrieve_table(
            frame.drop(columns="geometry", errors="ignore"),
            self.model, (self.trait,), method="lut", source="field table",
        )  # fmt: skip
        return Prediction(*(found[f"{self.trait}{end}"].to_numpy(float) for end in _COLUMNS))


_COLUMNS = ("", "_p025", "_p975")
