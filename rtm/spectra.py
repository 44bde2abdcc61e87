"""Optical constants of leaves and soils on any wavelength grid within 400-2500 nm."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from safetensors.numpy import load
from torch import Tensor

from rtm.arguments import numbers, one_of

LEAF_CONTENTS = {
    "D": ("cab", "car", "ant", "cbrown", "cw", "cm"),
    "5": ("cab", "car", "cbrown", "cw", "cm"),
    "PRO": ("cab", "car", "ant", "cbrown", "cw", "prot", "cbc"),
}


@cache
def table(name: str) -> dict[str, np.ndarray]:
    """The columns of one file of rtm/data, float64; the caller does not write to them."""
    return load((files("rtm") / "data" / f"{name}.safetensors").read_bytes())


def full_grid() -> Tensor:
    """400, 401 … 2500 nm [2101]."""
    return torch.arange(400.0, 2501.0, dtype=torch.float64)


def within_range(wavelength: Tensor | np.ndarray | Sequence[float]) -> Tensor:
    """Wavelengths [nm] as a float64 tensor; ValueError where one lies outside 400-2500."""
    at = numbers("wavelength", wavelength).detach().double()
    if at.ndim != 1 or len(at) == 0 or not ((at >= 400.0) & (at <= 2500.0)).all():
        found = f"{at.min():g}-{at.max():g}" if at.numel() else "none"
        raise ValueError(f"wavelength: expected a list of nm within 400-2500, got {found}")
    return at


def resample(wavelength: Tensor, grid: np.ndarray, values: np.ndarray) -> Tensor:
    """values[..., grid] at other wavelengths [nm], linear between the grid's, float64.

    Raises
    ------
    ValueError
        A wavelength lies outside the grid.
    """
    at = wavelength.double().cpu().numpy()
    if at.min() < grid[0] or at.max() > grid[-1]:
        raise ValueError(
            f"wavelength: expected {grid[0]:g}-{grid[-1]:g} nm, got {at.min():g}-{at.max():g}"
        )
    right = np.clip(np.searchsorted(grid, at), 1, len(grid) - 1)
    share = (at - grid[right - 1]) / (grid[right] - grid[right - 1])
    low, high = values[..., right - 1], values[..., right]
    return torch.from_numpy(low + share * (high - low))


def check_leaf(leaf: str) -> None:
    """ValueError in words where there is no such version of PROSPECT."""
    one_of("leaf", leaf, tuple(LEAF_CONTENTS))


def leaf_constants(leaf: str, wavelength: Tensor) -> tuple[Tensor, Tensor]:
    """Refractive index [wavelength] and specific absorption [content, wavelength] of a leaf model.

    Absorption is in cm² µg⁻¹ (pigments), cm⁻¹ (water), cm² g⁻¹ (dry matter, and what it is made
    of in "PRO": proteins, carbon-based constituents), in the order of `LEAF_CONTENTS[leaf]`.
    Sources: Feret et al. 2008, 10.1016/j.rse.2008.02.012 ("5"); Féret et al. 2017,
    10.1016/j.rse.2017.03.004 ("D"); Féret et al. 2021, 10.1016/j.rse.2020.112173 ("PRO").
    """
    check_leaf(leaf)
    columns = table("leaf")
    names = ("refractive_index", *LEAF_CONTENTS[leaf])
    values = np.stack([columns[f"{leaf}.{name}"] for name in names])
    at = resample(wavelength, columns["wavelength"], values)
    return at[0], at[1:]
