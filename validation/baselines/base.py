"""What every baseline is: estimates of rows, with an interval where the method has one."""

from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd


class Prediction(NamedTuple):
    """Estimates [n] and, where the method has one, its 95 % interval."""

    mean: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None


class Baseline(Protocol):
    """A method to compare with: a name, the trait it estimates, and estimates for a table."""

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        ...

    @property
    def trait(self) -> str:
        """The trait it estimates."""
        ...

    def predict(self, frame: pd.DataFrame, rows: pd.DataFrame) -> Prediction:
        """Estimates of every row.

        Parameters
        ----------
        frame : DataFrame
            Bands and angles.
        rows : DataFrame
            Row by row the same: `site`, `measured`. A method that learns from them estimates
            every site from the other sites alone.
        """
        ...
