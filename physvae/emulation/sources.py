"""Where parameters and spectra come from: our physics, drawn anew, or a file of another code."""

import copy
import reprlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from physvae.emulation.plans import ProsailPlan, TablePlan
from physvae.emulation.reading import read_pairs
from physvae.emulation.regions import REGIONS
from physvae.errors import InputError
from rtm import GEOMETRY, TRAITS, Parameter, ParameterSpace, Prosail
from rtm.parameters import canonical
from rtm.products import par_quadrature

_TURN = 1 << 40  # between the seeds of two regions


class Draws(NamedTuple):
    """theta [n, parameter], angles [n, angle], spectra by factor [n, wavelength | band]."""

    theta: Tensor
    angles: Tensor
    spectra: dict[str, Tensor]


class ProsailSource:
    """`rtm.Prosail`, drawn from the box, see `physvae.emulation.regions`.

    Parameters
    ----------
    plan : ProsailPlan
    factors : tuple of str
    """

    def __init__(self, plan: ProsailPlan, factors: tuple[str, ...]) -> None:
        self.plan, self.factors, self.bands = plan, factors, None
        count = int((plan.stop - plan.start) / plan.step + 1e-9) + 1
        self.wavelength = plan.start + plan.step * torch.arange(count, dtype=torch.float64)
        self.model = physics(plan, self.wavelength)
        boxed = _boxed(plan.box, (*self.model.space.parameters, *GEOMETRY.values()))
        self.space = ParameterSpace(boxed[:-3])
        self.geometry = ParameterSpace(boxed[-3:])

    def ready(self) -> None:
        """Compile the physics."""
        self.model.compile()

    def draw(
        self, n: int, seed: int, held_out: bool = False, region: str = "inside"
    ) -> Draws:  # fmt: skip
        """Fresh draws; held-out ones and those of other regions come from other seeds."""
        self.ready()
        turn = list(REGIONS).index(region)
        generator = torch.Generator().manual_seed(2 * seed + held_out + _TURN * turn)
        if turn:
            theta, angles = self._drawn(n, region, generator)
        else:
            theta, angles = (_uniform(s, n, generator) for s in (self.space, self.geometry))
        with torch.no_grad():
            seen = self.model(theta, angles)
        return Draws(theta, angles, {name: getattr(seen, name) for name in self.factors})

    def _drawn(self, n: int, region: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """theta and angles of a region, float32, at their bounds to the bit."""
        both = (*self.space.parameters, *self.geometry.parameters)
        low, high = (torch.tensor([getattr(p, end) for p in both]) for end in ("low", "high"))
        values = torch.lerp(low, high, REGIONS[region](n, both, generator))
        return values[:, : len(self.space)], values[:, len(self.space) :]

    def on(self, wavelength: Tensor) -> "ProsailSource":
        """The same source on other wavelengths."""
        made = ProsailSource(self.plan, self.factors)
        made.wavelength, made.model = wavelength, physics(self.plan, wavelength)
        return made


def physics(plan: ProsailPlan, wavelength: Tensor, products: bool = False) -> Prosail:
    """The model of a plan on some wavelengths."""
    return Prosail(
        plan.leaf, None, wavelength, lidf=plan.lidf, crowns=plan.crowns, products=products
    )


def with_par(wavelength: Tensor) -> Tensor:
    """The wavelengths and those of the quadrature of fapar, rising."""
    return torch.unique(torch.cat([wavelength, par_quadrature()[0]]))


def _boxed(box: dict, parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    names = [p.name for p in parameters]
    for name, (low, high) in box.items():
        if name not in names:
            raise InputError(f"box: expected some of {', '.join(names)}, got {reprlib.repr(name)}")
        if not low < high:
            raise InputError(f"box: {name}: expected low < high, got {low:g} and {high:g}")
    return tuple(
        replace(p, low=box[p.name][0], high=box[p.name][1]) if p.name in box else p
        for p in parameters
    )


def _uniform(space: ParameterSpace, n: int, generator: torch.Generator) -> Tensor:
    low, high = space.low.float(), space.high.float()
    return low + (high - low) * torch.rand(n, len(low), generator=generator)


class TableSource:
    """Parameters and spectra from a file; the box is what the rows span.

    Rows that are held out are for the figures alone. The stated error is fitted to the errors of
    the other rows, each made by an emulator that learned without it, see `folds`.

    Parameters
    ----------
    plan : TablePlan
    root : Path
        Folder the file is relative to.
    seed : int
        Decides which rows are held out.
    """

    def __init__(self, plan: TablePlan, root: Path, seed: int) -> None:
        found = read_pairs(root / plan.file, plan)
        self.wavelength = None if found.wavelength is None else torch.from_numpy(found.wavelength)
        self.bands = found.bands
        named = {name: canonical(name, GEOMETRY) or name for name in found.names}
        order = [name for name in found.names if named[name] not in GEOMETRY]
        views = [n for g in GEOMETRY for n in found.names if named[n] == g]
        column = dict(zip(found.names, found.parameters.T, strict=True))
        self.space = ParameterSpace(tuple(_spanned(name, column[name]) for name in order))
        self.geometry = ParameterSpace(tuple(_spanned(named[n], column[n]) for n in views))
        rows = np.random.default_rng(seed).permutation(len(found.parameters))
        n = max(2, round(plan.held_out * len(rows)))
        self._rows = {True: torch.from_numpy(rows[:n]), False: torch.from_numpy(rows[n:])}
        if len(self._rows[False]) < 10:
            raise InputError(f"{plan.file}: expected at least 12 rows, got {len(rows)}")
        self._theta = _stacked([column[name] for name in order], len(rows))
        self._angles = _stacked([column[name] for name in views], len(rows))
        self._spectra = torch.from_numpy(found.spectra).float()

    def __len__(self) -> int:
        """How many rows the file has."""
        return len(self._theta)

    def draw(self, n: int, seed: int, held_out: bool = False) -> Draws:
        """Rows drawn with replacement; all held-out rows, once, where n is as many or more."""
        rows = self._rows[held_out]
        if n < len(rows) or not held_out:
            generator = torch.Generator().manual_seed(seed)
            rows = rows[torch.randint(len(rows), (n,), generator=generator)]
        return Draws(self._theta[rows], self._angles[rows], {"rso": self._spectra[rows]})

    def folds(self, count: int) -> Iterator["TableSource"]:
        """The rows to learn from in so many parts, each held out once from the others."""
        rows = self._rows[False]
        for part in range(count):
            mask = torch.arange(len(rows)) % count == part
            made = copy.copy(self)
            made._rows = {True: rows[mask], False: rows[~mask]}
            yield made

    def all(self) -> Draws:
        """Every row to learn from, once."""
        rows = self._rows[False]
        return Draws(self._theta[rows], self._angles[rows], {"rso": self._spectra[rows]})


def _stacked(columns: list[np.ndarray], rows: int) -> Tensor:
    return torch.from_numpy(np.column_stack(columns) if columns else np.zeros((rows, 0))).float()


def _spanned(name: str, values: np.ndarray) -> Parameter:
    """A parameter as its column shows it; what the tables of rtm know of it is kept."""
    known = TRAITS.get(name) or GEOMETRY.get(name)
    known = known or Parameter(name, name, "-", 0.0, 1.0, 0.0)
    low, high, middle = (float(x) for x in (values.min(), values.max(), np.median(values)))
    return replace(known, low=low, high=high, default=middle)
