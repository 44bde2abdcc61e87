"""How far emulated spectra are from exact ones.

    e = x̂ - x     rmse = √mean e²;  nrmse = rmse / mean x;  r² = 1 - Σ e²/Σ(x - x̄)² at a wavelength
    sam           angle between x̂ and x [degree], mean over spectra
    worst         mean of the worst hundredth of the spectra's own rmse

Everything is gathered part by part; memory holds one part.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Scores:
    """Gathers pairs of exact and emulated spectra [n, wavelength]."""

    def __init__(self) -> None:
        self.n, self.own, self.angle = 0, [], []
        self.error = self.square = self.total = self.shift = self.bias = torch.zeros(())
        self.greatest = 0.0

    def add(self, exact: Tensor, emulated: Tensor) -> None:
        """Another part."""
        x, e = exact.double(), (emulated - exact).double()
        if self.n == 0:
            self.shift = x.mean(0)
        self.n += len(x)
        self.error = self.error + e.square().sum(0)
        self.bias = self.bias + e.sum(0)
        self.square = self.square + (x - self.shift).square().sum(0)
        self.total = self.total + (x - self.shift).sum(0)
        self.own.append(e.square().mean(1).sqrt())
        self.angle.append(_angle(x, x + e))
        self.greatest = max(self.greatest, float(e.abs().max()))

    def by_wavelength(self) -> dict[str, Tensor]:
        """rmse, bias and r2 [wavelength]."""
        variance = self.square - self.total.square() / self.n
        return {
            "rmse": (self.error / self.n).sqrt(),
            "bias": self.bias / self.n,
            "r2": 1.0 - self.error / variance,
        }

    def figures(self) -> dict[str, float]:
        """Single figures; `r2_least` is that of the worst wavelength."""
        own, angle = torch.cat(self.own), torch.cat(self.angle)
        each = self.by_wavelength()
        mean = (self.total / self.n + self.shift).mean()
        variance = self.square - self.total.square() / self.n
        rmse = (self.error.mean() / self.n).sqrt()
        worst = own.sort(descending=True).values[: max(1, len(own) // 100)]
        found = {
            "rmse": rmse, "nrmse": rmse / mean, "sam": angle.mean(),
            "sam_p99": angle.quantile(0.99),
            "r2": 1.0 - self.error.sum() / variance.sum(), "r2_least": each["r2"].min(),
            "worst": worst.mean(), "worst_least": worst.min(), "worst_one": own.max(),
        }  # fmt: skip
        return {**{k: float(v) for k, v in found.items()}, "greatest": self.greatest, "n": self.n}


def score(parts: Iterable[tuple[Tensor, Tensor]]) -> Scores:
    """Scores of pairs (exact, emulated)."""
    scores = Scores()
    for exact, emulated in parts:
        scores.add(exact, emulated)
    return scores


def _angle(x: Tensor, y: Tensor) -> Tensor:
    """Angle between spectra [degree], by the half-angle form, which keeps small angles."""
    a = x / x.norm(dim=1, keepdim=True)
    b = y / y.norm(dim=1, keepdim=True)
    return torch.rad2deg(2.0 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1)))
