"""Which wavelengths of a measured leaf decide which of its parameters."""

from typing import NamedTuple

from torch import Tensor

from rtm.arguments import pair
from rtm.parameters import Parameter
from rtm.spectra import LEAF_CONTENTS

SURFACE = {
    "gain": Parameter("gain", "a", "-", 0.5, 1.5, 1.0, (), "factor on the reflectance"),
    "baseline": Parameter("baseline", "b", "-", -0.1, 0.2, 0.0, (), "mirrored at the surface"),
}

_PLATEAU, _DRY, _PIGMENTS = (800.0, 1300.0), (1700.0, 2400.0), (400.0, 800.0)  # nm
_PART = 5  # wavelengths from which a part decides anything


def _within(grid: Tensor, ends: tuple[float, float]) -> Tensor:
    """Where a wavelength lies within ends and 400-2500 nm."""
    inside = (grid >= max(ends[0], 400.0)) & (grid <= min(ends[1], 2500.0))
    if not inside.any():
        raise ValueError(
            f"domain, structure: expected wavelengths measured, got {ends[0]:g}-{ends[1]:g} nm"
        )
    return inside


class Domains(NamedTuple):
    """Where each parameter is decided, by name, and what is looked at at all [wavelength]."""

    each: dict[str, Tensor]
    used: Tensor


def domains(leaf, grid, domain, structure, measured, free) -> Domains:
    """The wavelengths asked for, or parts of the spectrum where nothing is."""
    names = ("n_leaf", *LEAF_CONTENTS[leaf], *SURFACE)
    parts: list[Tensor] = [
        (grid >= low) & (grid <= high) for low, high in (_PLATEAU, _DRY, _PIGMENTS)
    ]
    alone = not measured[1].isfinite().any() and not set(free or ()) & set(SURFACE)
    enough = all(part.sum() >= _PART for part in parts[:2])
    if domain is None and structure is None and alone and enough:
        own = {"n_leaf": parts[0]} | dict.fromkeys(("cw", "cm", "prot", "cbc"), parts[1])
        each = {name: own.get(name, parts[2]) for name in names}
        return Domains(each, _within(grid, (400.0, 2500.0)))
    ends = pair("domain", (400.0, 2500.0) if domain is None else domain)
    inside = _within(grid, ends)
    plateau = inside if structure is None else _within(grid, pair("structure", structure))
    each = {name: plateau if name == "n_leaf" else inside for name in names}
    return Domains(each, inside | plateau)
