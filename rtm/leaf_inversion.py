"""Contents of leaves from their measured spectra: PROSPECT by least squares, a batch at once.

    y = gain·(R(x) + baseline) + e,  y = T(x) + e      where measured
    minimise over a box   Σ ((model - y)/noise)² + Σ ((x - mean)/sd)²      the prior, if any

R and T of a wavelength depend on x by its own depth and n_leaf alone, so that ∂R/∂content =
∂R/∂depth·absorption, exactly: two passes backwards give all slopes. Search and standard
deviations: rtm.least_squares.

What a leaf clip or contact probe sees is not hemispherical: light mirrored at the surface adds a
`baseline` that is much the same at all wavelengths (Jay et al. 2016, 10.1016/j.rse.2016.04.007,
their b_spec), and the geometry a `gain`. Reflectance alone cannot tell gain from n_leaf: free one
of them.

Which wavelengths: water and dry matter are told best from 1700-2400 nm (Féret et al. 2019,
10.1016/j.rse.2018.11.002), given n_leaf. With reflectance alone n_leaf is better taken from where
the leaf hardly absorbs (Spafford et al. 2021, 10.1016/j.rse.2020.112176): `structure` does so. Two
conditions then hold together: n_leaf is of least squares on `structure` given the rest, and the
rest on `domain` given n_leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.arguments import count, mapping, number, numbers
from rtm.arguments import names as listed
from rtm.leaf import cone, without_dry_matter
from rtm.leaf_domains import SURFACE, domains
from rtm.least_squares import minimise, spread
from rtm.modes import lasting, own_precision
from rtm.parameters import TRAITS, check, expected, outside
from rtm.prospect import plate_constants
from rtm.prospect import prospect as plates
from rtm.spectra import LEAF_CONTENTS, leaf_constants

_BLOCK = 256  # leaves at once: all columns of J of 2101 wavelengths in some 100 MB
_VISIBLE = 0.01  # depth at a content's upper bound from which a domain can tell it


class LeafFit(NamedTuple):
    """Leaves fitted to spectra, float64.

    Attributes
    ----------
    parameters : dict of Tensor [...]
        Every parameter by name, free or fixed, `gain` and `baseline` among them.
    sd : dict of Tensor [...]
        Posterior standard deviation of the free ones, box ignored.
    rmse : Tensor [...]
        Of the fit, over what it was fitted to.
    converged : Tensor [...]
        Bool.
    reflectance, transmittance : Tensor [..., wavelength]
        As the model has them; reflectance with gain and baseline.
    wavelength : Tensor [wavelength]
        nm, those within domain and structure.
    """

    parameters: dict[str, Tensor]
    sd: dict[str, Tensor]
    rmse: Tensor
    converged: Tensor
    reflectance: Tensor
    transmittance: Tensor
    wavelength: Tensor


@lasting
@own_precision
def invert_leaf(
    *, wavelength, reflectance=None, transmittance=None, leaf: str = "D",
    free: Sequence[str] | None = None, domain: tuple[float, float] | None = None,
    structure: tuple[float, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Mapping[str, tuple[float, float]] | None = None, noise: float = 0.01,
    alpha: float = 40.0, max_steps: int = 100, **fixed,
) -> LeafFit:  # fmt: skip
    """Leaf parameters from reflectance, transmittance or both.

    Parameters
    ----------
    wavelength : Tensor, array or list [wavelength]
        nm, rising; those outside 400-2500 are not used.
    reflectance, transmittance : Tensor or array [..., wavelength]
        0-1, NaN where missing; one of them at least, of one shape where both.
    leaf : {"D", "5", "PRO"}
        PROSPECT version.
    free : sequence of str, optional
        What to estimate: n_leaf, contents, and of the reflectance `gain` and `baseline`. Without
        it n_leaf and every content that absorbs within the domain and is not given in `fixed`.
    domain : pair of float, optional
        Lowest and highest wavelength to fit [nm]. Without it and `structure`, reflectance alone
        that has them is fitted by parts, see Notes; all else on 400-2500.
    structure : pair of float, optional
        Wavelengths that alone decide n_leaf [nm], in and out of `domain`.
    bounds : mapping of name to (low, high), optional
        In place of the bounds in `TRAITS` and `SURFACE`.
    prior : mapping of name to (mean, sd), optional
        Normal, in the parameter's unit.
    noise : float
        sd of a measured value about the model. Says what a prior is worth and nothing else: the
        sd of the estimates is by the residuals. Where these are alike over m wavelengths, give √m
        times their size.
    alpha : float
        Half-angle of the cone of light at the surface [degree].
    max_steps : int
        Steps after which a leaf is left as not converged.
    **fixed : float, array or Tensor [...]
        Values of what is not free, by name; else the default in `TRAITS`.

    Returns
    -------
    LeafFit
        NaN, and not converged, where no more values are there than parameters.

    Raises
    ------
    ValueError
        Unknown or contradicting names, shapes that do not fit, reflectance in percent, bounds or
        values without physical meaning, a free content that absorbs nowhere in the domain.

    Notes
    -----
    Reflectance alone is fitted by parts where no `domain` is given: n_leaf on 800-1300 nm, the
    plateau of weak absorption, water and dry matter on 1700-2400 as the literature above has it,
    pigments below 800, each given the others. Water and dry matter come out as with
    `domain=(1700.0, 2400.0)` and `structure=(800.0, 1300.0)`. On 110
    leaves of four species (Ely et al. 2019, 10.1093/jxb/erz061; the plateau was settled with
    other domains tried on them, not by the best score) errors of water are r 0.90, RMSE 2.0, bias
    -1.0 mg cm⁻², of dry matter r 0.88, RMSE 0.7, bias 0.1. The sd of water is right, that of dry
    matter six times too wide. All on 1700-2400 nm, water is missed by 5 mg cm⁻²; all on 400-2500,
    or on 1300-2400 with `baseline` free, water is unbiased (r 0.91, RMSE 1.6) and dry matter half
    of what it should be. `benchmarks/leaf.py` prints these.

    Examples
    --------
    >>> from rtm.leaf import prospect
    >>> seen = prospect(cw=[0.008, 0.02], cm=0.005, wavelength=torch.arange(900.0, 2401.0, 10.0))
    >>> fit = invert_leaf(wavelength=seen.wavelength, reflectance=seen.reflectance)
    >>> fit.parameters["cw"]
    tensor([0.0080, 0.0200], dtype=torch.float64)
    """
    fixed = without_dry_matter(leaf, fixed)
    grid, measured, shape = _measured(wavelength, reflectance, transmittance)
    free = None if free is None else listed("free", free)
    where, used = domains(leaf, grid, domain, structure, measured, free)
    names = _names(leaf, grid, where, structure, measured, free, fixed)
    grid, measured = grid[used], measured[:, used]
    decides = torch.stack([where[name][used] for name in names])
    apart = bool((decides != decides[0]).any())
    ends, max_steps = mapping("bounds", bounds), count("max_steps", max_steps)
    problem = _Problem.of(leaf, grid, alpha, names, ends, mapping("prior", prior), noise)
    values = _values(leaf, fixed, shape, measured.device)
    found = [
        _fit(problem, measured[..., i : i + _BLOCK], decides, apart, max_steps,
             {name: value[i : i + _BLOCK] for name, value in values.items()})
        for i in range(0, max(measured.shape[-1], 1), _BLOCK)
    ]  # fmt: skip
    return _result(names, grid, values, found, shape)


def _measured(wavelength, reflectance, transmittance) -> tuple[Tensor, Tensor, torch.Size]:
    """Wavelengths, values [2, wavelength, leaf] with NaN where missing, the shape of the batch."""
    grid = numbers("wavelength", wavelength).detach().double()
    if grid.ndim != 1 or len(grid) < 2 or not (grid.diff() > 0).all():
        raise ValueError("wavelength: expected one rising axis of nm, got something else")
    given = {"reflectance": reflectance, "transmittance": transmittance}
    given = {k: numbers(k, v).detach().double() for k, v in given.items() if v is not None}
    if not given:
        raise ValueError("reflectance, transmittance: expected one of them at least, got none")
    shape = next(iter(given.values())).shape
    for name, values in given.items():
        if values.ndim == 0 or values.shape[-1] != len(grid) or values.shape != shape:
            raise ValueError(
                f"{name}: expected {len(grid)} wavelengths on the last axis, and one shape for "
                f"both, got {tuple(values.shape)}"
            )
        if (values > 1.5).any():
            raise ValueError(f"{name}: expected 0-1, got {values[values > 1.5][0].item():g}")
    nothing = torch.full_like(next(iter(given.values())), torch.nan)
    both = torch.stack([given.get(kind, nothing) for kind in ("reflectance", "transmittance")])
    flat = both.reshape(2, -1, len(grid)).mT
    return grid.to(flat.device), torch.where(flat.isfinite(), flat, torch.nan), shape[:-1]


def _check_known(leaf: str, given: Sequence[str]) -> None:
    known = ("n_leaf", *LEAF_CONTENTS[leaf], *SURFACE)
    for name in given:
        if name not in known:
            raise ValueError(f"parameter: expected one of {', '.join(known)}, got {name!r}")


def _names(leaf, grid, where, structure, measured, free, fixed) -> tuple[str, ...]:
    """The free parameters, in the order of the leaf."""
    at = grid.clamp(400.0, 2500.0)
    absorption = dict(zip(LEAF_CONTENTS[leaf], leaf_constants(leaf, at)[1], strict=True))
    reach = {n: float((k.to(grid) * where[n]).amax()) for n, k in absorption.items()}
    if free is None:
        seen = [n for n, k in reach.items() if k * TRAITS[n].high >= _VISIBLE]
        free = [n for n in ("n_leaf", *seen) if n not in fixed]
    _check_known(leaf, (*free, *fixed))
    for name in free:
        if name in fixed:
            raise ValueError(f"{name}: expected free or fixed, got both")
        if name in reach and not reach[name] > 0.0:
            raise ValueError(f"{name}: expected one that absorbs in the domain, got no absorption")
        if name in SURFACE and not measured[0].isfinite().any():
            raise ValueError(f"{name}: expected reflectance to see it in, got none")
    if structure is not None and "n_leaf" not in free:
        raise ValueError("structure: expected n_leaf among the free, got it fixed")
    if not free or len(set(free)) != len(free):
        raise ValueError(f"free: expected distinct names, got {', '.join(free) or 'none'}")
    return tuple(free)


def _values(leaf, fixed, shape, device) -> dict[str, Tensor]:
    """Every parameter as [leaf]: given, or the default."""
    table = {name: TRAITS[name] for name in ("n_leaf", *LEAF_CONTENTS[leaf])} | SURFACE
    values = {}
    for name, parameter in table.items():
        value = numbers(name, fixed.get(name, parameter.default)).to(device, torch.float64)
        if name in TRAITS:
            check(name, value)
        try:
            values[name] = value.detach().expand(shape).reshape(-1)
        except RuntimeError:
            raise ValueError(
                f"{name}: expected one number or {tuple(shape)}, got {tuple(value.shape)}"
            ) from None
    return values


@dataclass(frozen=True)
class _Problem:
    """What all leaves share. Columns [parameter, 1] of the box, the prior and the start."""

    names: tuple[str, ...]
    contents: tuple[str, ...]
    low: Tensor
    high: Tensor
    start: Tensor
    mean: Tensor
    sd: Tensor
    noise: float
    absorption: Tensor  # [content, wavelength]
    plate: Tensor

    @classmethod
    def of(cls, leaf, grid, alpha, names, bounds, prior, noise) -> "_Problem":
        table = TRAITS | SURFACE
        for name in (*bounds, *prior):
            if name not in names:
                raise ValueError(
                    f"bounds, prior: expected some of {', '.join(names)}, got {name!r}"
                )
        noise = number("noise", noise)
        if not noise > 0.0:
            raise ValueError(f"noise: expected above 0, got {noise:g}")
        box = {n: bounds.get(n, (table[n].low, table[n].high)) for n in names}
        for name, (low, high) in box.items():
            ends = torch.tensor([low, high])
            if not low < high or (name in TRAITS and outside(name, ends).any()):
                words = expected(name) if name in TRAITS else "finite"
                raise ValueError(f"{name}: expected bounds low < high, {words}, got {low}, {high}")
        for name, (_, sd) in prior.items():
            if not sd > 0.0:
                raise ValueError(f"{name}: expected a prior sd above 0, got {sd:g}")
        index, absorption = leaf_constants(leaf, grid)
        pairs = [(*box[n], table[n].default, *prior.get(n, (0.0, torch.inf))) for n in names]
        low, high, default, mean, sd = torch.tensor(pairs, dtype=torch.float64).to(grid).T
        start = ((default - low) / (high - low)).clamp(0.02, 0.98)
        low, high, start, mean, sd = (
            column.unsqueeze(-1) for column in (low, high, start, mean, sd)
        )
        plate = plate_constants(index, cone(alpha)).unsqueeze(-1).to(grid)
        contents, absorption = LEAF_CONTENTS[leaf], absorption.to(grid)
        return cls(names, contents, low, high, start, mean, sd, noise, absorption, plate)

    def model(self, values: Mapping[str, Tensor], kinds: Sequence[int]):
        """Spectra [kind, wavelength, leaf], slopes [parameter, kind, wavelength, leaf]."""
        amounts = torch.stack([values[name] for name in self.contents])
        with torch.enable_grad():
            depth = (self.absorption.T @ amounts).requires_grad_()
            n_leaf = values["n_leaf"].expand_as(depth).clone().requires_grad_()
            leaf = plates(depth=depth, n_leaf=n_leaf, plate=self.plate)
            slopes = [
                torch.autograd.grad(leaf[kind].sum(), (n_leaf, depth), retain_graph=True)
                for kind in kinds
            ]
        spectra = torch.stack([leaf[kind].detach() for kind in kinds])
        by_n, by_depth = (torch.stack(column) for column in zip(*slopes, strict=True))
        reflected = torch.tensor([kind == 0 for kind in kinds]).to(spectra)[:, None, None]
        gain = 1.0 + reflected * (values["gain"] - 1.0)
        surface = spectra + reflected * values["baseline"]
        columns = {"n_leaf": gain * by_n, "gain": reflected * surface,
                   "baseline": (reflected * gain).expand_as(spectra)}  # fmt: skip
        for name, absorption in zip(self.contents, self.absorption, strict=True):
            columns[name] = gain * by_depth * absorption.unsqueeze(-1)
        return gain * surface, torch.stack([columns[name] for name in self.names])

    def values(self, unit: Tensor, fixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All parameters [leaf] at a point of the unit box [parameter, leaf]."""
        at = torch.lerp(self.low, self.high, unit)
        return {**fixed, **dict(zip(self.names, at, strict=True))}

    def residuals(self, unit: Tensor, fixed: Mapping[str, Tensor], measured: Tensor):
        """Residuals [row, leaf] and slopes in the box [parameter, row, leaf]; last the prior's."""
        kinds = [kind for kind in (0, 1) if measured[kind].isfinite().any()] or [0]
        model, slopes = self.model(self.values(unit, fixed), kinds)
        there = measured[kinds].isfinite()
        left = torch.where(there, (model - measured[kinds]) / self.noise, 0.0)
        width = self.high - self.low
        slopes = slopes * there * (width[..., None, None] / self.noise)
        prior = (torch.lerp(self.low, self.high, unit) - self.mean) / self.sd
        bend = torch.diag_embed((width / self.sd).expand_as(unit).T).movedim(0, -1)
        rows = torch.cat([left.flatten(0, 1), prior])
        return rows, torch.cat([slopes.flatten(1, 2), bend], 1)


class _Found(NamedTuple):
    """One block of leaves: [parameter, leaf], [leaf], and spectra [2, wavelength, leaf]."""

    at: Tensor
    sd: Tensor
    rmse: Tensor
    converged: Tensor
    spectra: Tensor


def _fit(problem: _Problem, measured, decides, apart: bool, max_steps: int, fixed) -> _Found:
    """Where each parameter is of least squares over the wavelengths that decide it."""
    seen = torch.where(decides.any(0).unsqueeze(-1), measured, torch.nan)

    def residuals(at: Tensor) -> tuple[Tensor, Tensor]:
        return problem.residuals(at, fixed, seen)

    start = problem.start.expand(-1, measured.shape[-1])
    unit, done = minimise(residuals, start, max_steps=max_steps)
    rows, slopes = residuals(unit)
    whose = _whose(decides, len(rows))
    if apart:
        unit, done = minimise(residuals, unit, decides=whose, max_steps=max_steps)
        rows, slopes = residuals(unit)
    there = seen.isfinite()
    count = there.sum((0, 1))
    each = torch.stack([(there & own.unsqueeze(-1)).any(0).any(0) for own in decides])
    enough = each.all(0) & (count > len(unit))
    found = spread(rows, slopes, count=count, priors=len(unit), decides=whose)
    spectra = problem.model(problem.values(unit, fixed), (0, 1))[0]
    at = torch.lerp(problem.low, problem.high, unit)
    results = (at, (problem.high - problem.low) * found.sd, problem.noise * found.rms)
    at, sd, rmse = (torch.where(enough, result, torch.nan) for result in results)
    return _Found(at, sd, rmse, done & enough, torch.where(enough, spectra, torch.nan))


def _whose(decides: Tensor, rows: int) -> Tensor:
    """decides [parameter, wavelength] for the rows of every kind; those of the prior are all's."""
    kinds = (rows - len(decides)) // decides.shape[-1]
    prior = torch.ones_like(decides[:, :1]).expand(-1, len(decides))
    return torch.cat([decides.repeat(1, kinds), prior], 1)


def _result(names, grid: Tensor, values, found: Sequence[_Found], shape) -> LeafFit:
    """Blocks put together, leaves back on the axes they came in."""
    whole = _Found(*(torch.cat(parts, -1) for parts in zip(*found, strict=True)))
    values = values | dict(zip(names, whole.at, strict=True))
    reflectance, transmittance = (x.T.reshape(*shape, len(grid)) for x in whole.spectra)
    return LeafFit(
        {name: value.reshape(shape) for name, value in values.items()},
        {name: sd.reshape(shape) for name, sd in zip(names, whole.sd, strict=True)},
        whole.rmse.reshape(shape), whole.converged.reshape(shape),
        reflectance, transmittance, grid,
    )  # fmt: skip
