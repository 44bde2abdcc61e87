"""What a retrieval came to, in a few lines."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt16

from inversion.quality import DESCRIPTIONS, Quality


@dataclass
class Summary:
    """Counts that portions of a result are added to.

    Parameters
    ----------
    variable
        The estimate whose mean is told.
    """

    variable: str
    total: int = 0
    estimated: int = 0
    amount: float = 0.0
    flagged: dict[Quality, int] = field(default_factory=lambda: dict.fromkeys(Quality, 0))

    def add(
        self, estimate: Float[np.ndarray, "*pixel"], quality: UInt16[np.ndarray, "*pixel"]
    ) -> None:
        """Count a portion."""
        known = np.isfinite(estimate)
        self.total += estimate.size
        self.estimated += int(known.sum())
        self.amount += float(estimate[known].sum(dtype=np.float64))
        for flag in Quality:
            self.flagged[flag] += int(((quality & np.uint16(flag.value)) != 0).sum())

    @property
    def mean(self) -> float:
        """Mean of the estimate over what was estimated, NaN where nothing was."""
        return self.amount / self.estimated if self.estimated else float("nan")

    def lines(self, what: str) -> list[str]:
        """Say it: how many, the mean, then every bit that was set."""
        first = f"{self.estimated:,} of {self.total:,} {what} estimated"
        if self.estimated:
            first += f", mean {self.variable} {self.mean:.3g}"
        shares = [
            f"  {count / self.total:6.1%}  bit {flag.value.bit_length() - 1}: {DESCRIPTIONS[flag]}"
            for flag, count in self.flagged.items()
            if count
        ]
        return [first, *shares]
