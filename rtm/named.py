"""PROSAIL from named numbers: which model the names ask for, and the call for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from rtm.arguments import joined, numbers
from rtm.bsm import BSM
from rtm.leaf import without_dry_matter
from rtm.parameters import GEOMETRY, ParameterSpace, check, check_joint
from rtm.prosail import LIDF, CanopyReflectance, Prosail
from rtm.sensor import Sensor
from rtm.soil import DryWetSoil
from rtm.soil_tables import MeasuredSoils


def choose(
    names: Iterable[str], *, leaf: str = "D", sensor: str | Sensor | None = None,
    soil: Any = None, **options,
) -> Prosail:  # fmt: skip
    """The model that the names of given parameters ask for.

    `lidf_a` or `lidf_b` ask for Verhoef's leaf angles, `beta_mu` or `beta_nu` for the beta
    distribution, `bsm_brightness`, `bsm_lat`, `bsm_lon` or `smc` for that soil; `zeta`,
    `fraction_brown`, `diss` or contents of brown leaves for two layers, `cv` alone for crowns.
    Options are those of `Prosail` that no name decides.

    Raises
    ------
    ValueError
        Names of two models for the same thing.

    Examples
    --------
    >>> choose(["lidf_a", "lai"]).space.names[7:12]
    ('lai', 'lidf_a', 'lidf_b', 'hspot', 'psoil')
    """
    given = set(names)
    lidf = lidf_of(given)
    soils = {"drywet": DryWetSoil.parameters, "bsm": BSM.parameters}
    named = _only_one(given, soils) if soil is None else _none(given, soils)
    soil = BSM() if named == "bsm" else soil
    two = given & {"zeta", "fraction_brown", "diss"} or any(n.startswith("brown_") for n in given)
    return Prosail(
        leaf, sensor, lidf=lidf, soil=soil, layers=2 if two else 1,
        crowns="cv" in given and not two, **options,
    )  # fmt: skip


def lidf_of(names: Iterable[str]) -> str:
    """The family of leaf angles that names ask for.

    >>> lidf_of(["lai", "beta_mu"])
    'beta'
    """
    return _only_one(set(names), {n: kind.parameters for n, kind in LIDF.items()}) or "campbell"


def _only_one(given: set[str], kinds: dict) -> str | None:
    """Which of some kinds owns given names; ValueError where two do."""
    found = {
        kind: names for kind, own in kinds.items() if (names := given & {p.name for p in own})
    }
    if len(found) > 1:
        first, second = (sorted(names)[0] for names in list(found.values())[:2])
        raise ValueError(f"{first}, {second}: expected one of them at most, got both")
    return next(iter(found), None)


def _none(given: set[str], kinds: dict) -> None:
    """ValueError where names ask for another soil than the one that is given."""
    own = {p.name for parameters in kinds.values() for p in parameters} - {"rsoil"}
    if given & own:
        raise ValueError(f"soil, {min(given & own)}: expected one of them at most, got both")


def _check_soil(soil: Any, values: Mapping[str, Tensor]) -> None:
    """ValueError where it is not said which of several soils is meant."""
    if not isinstance(soil, MeasuredSoils) or len(soil.names) == 1:
        return
    known = ", ".join(f"{k} {name}" for k, name in enumerate(soil.names[:12], 1))
    count, given = len(soil.names), values.get("soil_number")
    if given is None:
        raise ValueError(f"soil_number: expected which of {count} soils ({known}), got none")
    if not ((given >= 1) & (given <= count)).all():
        raise ValueError(f"soil_number: expected 1-{count} ({known}), got another")


def prosail(
    *, leaf: str = "D", sensor: str | Sensor | None = None,
    wavelength: Tensor | np.ndarray | Sequence[float] | None = None,
    hotspot: str = "exact", classes: int = 18, soil: Any = None, **values,
) -> CanopyReflectance:  # fmt: skip
    """Canopy reflectance from named numbers.

    Parameters
    ----------
    leaf : {"D", "5", "PRO"}
        PROSPECT version.
    sensor : str or Sensor, optional
        Gives bands instead of every nm from 400 to 2500.
    wavelength : sequence of float, optional
        nm, within 400-2500, instead of every one.
    hotspot, classes
        See `Prosail`.
    soil : SpectralSoil, spectrum, pair or path, optional
        A soil of one's own: the reflectance on the wavelengths asked for or at every nm, a pair
        (nm, reflectance), or a CSV file of such rows, see `rtm.soil_tables.as_soil`. `rsoil`
        scales it, and `soil_number` says which where there are several, from 1.
    **values : float, array or Tensor
        Traits and angles by their names in `TRAITS` and `GEOMETRY`, in those units, broadcast
        together; what is not named is at its default. The names choose among leaf angles, soils
        and canopies, see `choose`. With leaf "PRO", cm is 0.

    Returns
    -------
    CanopyReflectance
        Tensors; float64 unless tensors of another dtype are given, which keep their gradient.

    Raises
    ------
    ValueError
        Unknown name, a value that is not finite or outside the physical domain (a negative amount,
        n_leaf < 1, a zenith of 90 degree or more, psoil or cv beyond 1).

    Examples
    --------
    >>> prosail(sensor="sentinel-2a", lai=3.0, tts=30.0).band[:3]
    ('B1', 'B2', 'B3')
    """
    values = {n: numbers(n, value) for n, value in without_dry_matter(leaf, values).items()}
    grid = {"wavelength": wavelength, "hotspot": hotspot, "classes": classes, "soil": soil}
    model = choose(values, leaf=leaf, sensor=sensor, **grid)
    names = (*model.space.names, *GEOMETRY)
    _check_soil(model.soil, values)
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"parameter: expected one of {', '.join(names)}, got {name!r}")
        check(name, value)
    joined(values)
    check_joint(values)
    space = ParameterSpace((*model.space.parameters, *GEOMETRY.values()))
    both = space.stack(**values)
    return model.to(both.device)(both[..., :-3], both[..., -3:])
