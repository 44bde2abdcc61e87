"""What a retrieval came to, in a few lines and in the sidecar of the map."""

from collections.abc import Mapping, Sequence

import numpy as np

from inversion.quality import DESCRIPTIONS, Quality, usable

_WORDS = np.arange(1 << 16)


class Summary:
    """Counts that portions of a result are added to.

    `estimated` counts the pixels with an estimate of the first variable.

    Parameters
    ----------
    names
        Names of the estimates; statistics are kept of the means, not of what follows them
        (``lai_sd``, ``lai_p025``, ...), and of estimates that may be used
        (`inversion.quality.usable`).
    """

    def __init__(self, names: Sequence[str]) -> None:
        known = set(names)
        self.variables = [
            name for name in names if name.rpartition("_")[0] not in known and name != "quality"
        ]
        self.total = 0
        self.estimated = 0
        self.count = dict.fromkeys(self.variables, 0)
        self.amount = dict.fromkeys(self.variables, 0.0)
        self.square = dict.fromkeys(self.variables, 0.0)
        self.low = dict.fromkeys(self.variables, np.inf)
        self.high = dict.fromkeys(self.variables, -np.inf)
        self.flagged: dict[Quality, int] = dict.fromkeys(Quality, 0)

    def add(self, rows: Mapping) -> None:
        """Count a portion: arrays by name, `quality` among them."""
        quality = np.asarray(rows["quality"])
        self.total += quality.size
        numbers = np.bincount(quality.astype(np.uint16, copy=False).ravel(), minlength=1 << 16)
        for flag in Quality:
            self.flagged[flag] += int(numbers[_WORDS & flag.value != 0].sum())
        self.estimated += int(np.isfinite(np.asarray(rows[self.variables[0]])).sum())
        kept = usable(quality)
        for name in self.variables:
            values = np.asarray(rows[name])
            known = values[np.isfinite(values) & kept].astype(np.float64)
            if known.size:
                self.count[name] += known.size
                self.amount[name] += float(known.sum())
                self.square[name] += float(known @ known)
                self.low[name] = min(self.low[name], float(known.min()))
                self.high[name] = max(self.high[name], float(known.max()))

    @property
    def mean(self) -> float:
        """Mean of the first variable over what may be used, NaN where nothing may."""
        name = self.variables[0]
        return self.amount[name] / self.count[name] if self.count[name] else float("nan")

    def lines(self, what: str) -> list[str]:
        """Say it: how many, mean and range of each variable, then every bit that was set."""
        first = f"{self.estimated:,} of {self.total:,} {what} estimated"
        if self.count[self.variables[0]]:
            first += f", mean {self.variables[0]} {self.mean:.3g}"
        lines = [first]
        for name, about in self.statistics().items():
            lines.append(
                f"  {name}: mean {about['mean']:.3g}, sd {about['sd']:.2g},"
                f" {about['minimum']:.3g} to {about['maximum']:.3g}"
            )
        lines += [
            f"  {count / self.total:6.1%}  bit {flag.value.bit_length() - 1}: {DESCRIPTIONS[flag]}"
            for flag, count in self.flagged.items()
            if count
        ]
        return lines

    def statistics(self) -> dict[str, dict[str, float]]:
        """Mean, standard deviation over the pixels, range and number of each variable."""
        found = {}
        for name, count in self.count.items():
            if count:
                mean = self.amount[name] / count
                variance = max(self.square[name] / count - mean**2, 0.0)
                found[name] = {
                    "count": count, "mean": mean, "sd": variance**0.5,
                    "minimum": self.low[name], "maximum": self.high[name],
                }  # fmt: skip
        return found

    def record(self) -> dict[str, object]:
        """Return all counts, for a file."""
        flags = {str(f.name).lower(): n for f, n in self.flagged.items() if n}
        return {"pixels": self.total, "variables": self.statistics(), "quality": flags}
