"""What each number is called, its unit, its bounds, and where it stands in a tensor."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rtm.arguments import joined, numbers, tensors


@dataclass(frozen=True)
class Parameter:
    """One physical quantity.

    Attributes
    ----------
    name : str
        The name used in every call and table.
    symbol : str
        How papers write it.
    unit : str
        Unit, "-" where it has none.
    low, high : float
        The box the model is made for, in `unit`; not a limit of the physics.
    default : float
        The value where none is given.
    aliases : tuple of str
        Other names found in tables.
    description : str
        Meaning, in a few words.
    """

    name: str
    symbol: str
    unit: str
    low: float
    high: float
    default: float
    aliases: tuple[str, ...] = ()
    description: str = ""


def _table(*rows: Parameter) -> dict[str, Parameter]:
    return {row.name: row for row in rows}


TRAITS = _table(
    Parameter("n_leaf", "N", "-", 1.0, 3.0, 1.5, ("n", "n_struct"), "leaf structure, plates"),
    Parameter("cab", "Cab", "µg cm⁻²", 0.0, 100.0, 40.0, ("chl",), "leaf chlorophyll a+b"),
    Parameter("car", "Car", "µg cm⁻²", 0.0, 30.0, 8.0, (), "leaf carotenoids"),
    Parameter("ant", "Ant", "µg cm⁻²", 0.0, 10.0, 0.0, ("canth",), "leaf anthocyanins"),
    Parameter("cbrown", "Cbrown", "-", 0.0, 2.0, 0.0, ("cbr",), "brown pigments"),
    Parameter("cw", "Cw", "cm", 0.0, 0.1, 0.01, ("ewt",), "leaf water thickness"),
    Parameter("cm", "Cm", "g cm⁻²", 0.0, 0.03, 0.009, ("lma", "cdm"), "leaf dry matter"),
    Parameter("prot", "Prot", "g cm⁻²", 0.0, 0.003, 0.001, (), "leaf proteins (PROSPECT-PRO)"),
    Parameter("cbc", "CBC", "g cm⁻²", 0.0, 0.03, 0.008, (), "other dry matter (PROSPECT-PRO)"),
    Parameter("lai", "LAI", "m² m⁻²", 0.0, 15.0, 2.0, (), "leaf area index, per ground area"),
    Parameter("ala", "ALA", "degree", 0.0, 90.0, 57.0, ("lidfa", "mla"), "mean leaf inclination"),
    Parameter("lidf_a", "a", "-", -1.0, 1.0, -0.35, (), "leaf inclination: its mean (Verhoef)"),
    Parameter("lidf_b", "b", "-", -1.0, 1.0, -0.15, (), "leaf inclination: two peaks (Verhoef)"),
    Parameter("beta_mu", "μ", "-", 0.2, 8.0, 1.101, (), "leaf inclination: flatness (beta)"),
    Parameter("beta_nu", "ν", "-", 0.2, 8.0, 1.93, (), "leaf inclination: steepness (beta)"),
    Parameter("hspot", "q", "-", 0.0, 1.0, 0.1, ("hot", "hotspot"), "leaf size / canopy height"),
    Parameter("psoil", "psoil", "-", 0.0, 1.0, 0.5, (), "share of the dry soil spectrum"),
    Parameter("rsoil", "rsoil", "-", 0.0, 3.5, 1.0, ("bs",), "soil brightness factor"),
    Parameter("bsm_brightness", "B", "-", 0.0, 0.9, 0.5, (), "soil brightness (BSM)"),
    Parameter("bsm_lat", "φ", "degree", 20.0, 40.0, 25.0, (), "soil shape, latitude (BSM)"),
    Parameter("bsm_lon", "λ", "degree", 45.0, 65.0, 45.0, (), "soil shape, longitude (BSM)"),
    Parameter("smc", "SMC", "%", 5.0, 55.0, 25.0, ("smp",), "soil moisture, volume (BSM)"),
    Parameter("cv", "Cv", "-", 0.01, 1.0, 1.0, ("crown_cover",), "share of ground under crowns"),
    Parameter("zeta", "ζ", "-", 0.0, 2.0, 0.2, (), "crown diameter / height of its centre"),
    Parameter("fraction_brown", "fB", "-", 0.0, 1.0, 0.2, (), "share of brown leaf area"),
    Parameter("diss", "D", "-", 0.0, 1.0, 0.5, (), "how far brown leaves gather at the bottom"),
)

_BROWN = {"n_leaf": 2.0, "cab": 5.0, "car": 3.0, "cbrown": 0.8, "cw": 0.002, "cm": 0.006}


def brown(parameter: Parameter) -> Parameter:
    """The same quantity of the brown leaves of a canopy of two layers.

    >>> brown(TRAITS["cab"]).name
    'brown_cab'
    """
    default = _BROWN.get(parameter.name, parameter.default)
    name, text = f"brown_{parameter.name}", f"{parameter.description}, of brown leaves"
    return replace(parameter, name=name, default=default, aliases=(), description=text)


_LEAF = ("n_leaf", "cab", "car", "ant", "cbrown", "cw", "cm", "prot", "cbc")
TRAITS |= _table(*(brown(TRAITS[name]) for name in _LEAF))

_SUN_ZENITH = ("sun_zenith_deg", "sza", "sun_zenith", "solar_zenith")
_VIEW_ZENITH = (
    "view_zenith_deg", "vza", "oza", "view_zenith", "viewing_zenith", "sensor_zenith",
    "observation_zenith",
)  # fmt: skip
_AZIMUTH = ("relative_azimuth_deg", "raa", "relative_azimuth", "rel_azimuth")

GEOMETRY = _table(
    Parameter("tts", "θs", "degree", 0.0, 85.0, 30.0, _SUN_ZENITH, "sun zenith"),
    Parameter("tto", "θo", "degree", 0.0, 85.0, 0.0, _VIEW_ZENITH, "view zenith"),
    Parameter("psi", "ψ", "degree", 0.0, 180.0, 0.0, _AZIMUTH, "relative azimuth"),
)

FOREST = _table(
    Parameter("crown_area", "C", "m² m⁻²", 0.02, 2.0, 0.5, (), "crown area per ground"),
    Parameter("crown_shape", "b/a", "-", 0.2, 5.0, 1.0, (), "length of a crown / its width"),
    Parameter("crown_spread", "H", "-", 0.0, 5.0, 0.4, (), "range of heights of crowns / length"),
    Parameter("crown_base", "-", "-", 0.0, 3.0, 0.2, (), "height below crowns / depth of crowns"),
    Parameter("shoot_clumping", "Ω_c", "-", 0.3, 1.0, 1.0, (), "clumping index inside crowns"),
    Parameter("clumping", "Ω", "-", 0.2, 1.2, 1.0, (), "clumping index at every angle"),
    Parameter("wai", "WAI", "m² m⁻²", 0.0, 3.0, 0.0, (), "wood area index, half of its surface"),
)

PRODUCTS = _table(
    Parameter("ccc", "CCC", "g m⁻²", 0.0, 15.0, 0.8, ("lai_cab",), "canopy chlorophyll"),
    Parameter("cwc", "CWC", "g m⁻²", 0.0, 15000.0, 200.0, ("lai_cw",), "canopy water"),
    Parameter(
        "lai_effective",
        "LAI_e",
        "m² m⁻²",
        0.0,
        15.0,
        2.0,
        ("laie",),
        "leaf area of a canopy without crowns with the gap fraction at 57.5°",
    ),
    Parameter("fapar", "fAPAR", "-", 0.0, 1.0, 0.5, (), "black-sky absorbed share of 400-700 nm"),
    Parameter("fcover", "fCover", "-", 0.0, 1.0, 0.5, ("fvc",), "1 - gap fraction at nadir"),
)


def _listed(value) -> bool:
    """Whether a value is neither a plain number nor a tensor of real numbers."""
    if isinstance(value, Tensor):
        return value.is_complex() or value.dtype == torch.bool
    return type(value) not in (int, float)


@dataclass(frozen=True)
class ParameterSpace:
    """The meaning of the last axis of a tensor theta[..., parameter].

    Parameters
    ----------
    parameters : tuple of Parameter
        In the order of the axis; names differ.

    Examples
    --------
    >>> space = ParameterSpace((TRAITS["lai"], TRAITS["cab"]))
    >>> space.stack(lai=3.0)
    tensor([ 3., 40.], dtype=torch.float64)
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"parameters: expected distinct names, got {', '.join(self.names)}")

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(p.name for p in self.parameters)

    @property
    def units(self) -> tuple[str, ...]:
        """The units, in order."""
        return tuple(p.unit for p in self.parameters)

    @property
    def low(self) -> Tensor:
        """Lower bounds [parameter], float64."""
        return torch.tensor([p.low for p in self.parameters], dtype=torch.float64)

    @property
    def high(self) -> Tensor:
        """Upper bounds [parameter], float64."""
        return torch.tensor([p.high for p in self.parameters], dtype=torch.float64)

    @property
    def default(self) -> Tensor:
        """Default values [parameter], float64."""
        return torch.tensor([p.default for p in self.parameters], dtype=torch.float64)

    def index(self, name: str) -> int:
        """The position of a name on the axis; ValueError lists the names."""
        if name not in self.names:
            raise ValueError(f"parameter: expected one of {', '.join(self.names)}, got {name!r}")
        return self.names.index(name)

    def stack(self, **named: Tensor | float) -> Tensor:
        """theta[..., parameter] from named values, broadcast together; the rest are defaults.

        Tensors keep their gradient; the dtype is the widest floating one given, else float64.
        """
        for name in named:
            self.index(name)
        named = {name: numbers(name, value) if _listed(value) else value
                 for name, value in named.items()}  # fmt: skip
        tensors = [v for v in named.values() if isinstance(v, Tensor) and v.is_floating_point()]
        dtype = torch.float64
        if tensors:
            dtype = tensors[0].dtype
            for t in tensors[1:]:
                dtype = torch.promote_types(dtype, t.dtype)
        device = tensors[0].device if tensors else None
        values = [
            torch.as_tensor(named.get(p.name, p.default), dtype=dtype, device=device)
            for p in self.parameters
        ]
        joined(dict(zip(self.names, values, strict=True)))
        return torch.stack(torch.broadcast_tensors(*values), dim=-1)

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Named views theta[..., i] of every parameter."""
        tensors(theta=theta)
        if theta.shape[-1:] != (len(self),):
            raise ValueError(
                f"theta: expected a last axis of {len(self)} ({', '.join(self.names)}), "
                f"got shape {tuple(theta.shape)}"
            )
        return dict(zip(self.names, theta.unbind(-1), strict=True))


def canonical(name: str, tables: Mapping[str, Parameter]) -> str | None:
    """The table's name for a name or an alias, in any case; None where nothing matches.

    Blanks and hyphens are underscores, and an angle may be called an angle, and its unit named.

    >>> canonical("LMA", TRAITS), canonical("Solar zenith angle", GEOMETRY)
    ('cm', 'tts')
    """
    wanted, angle = re.sub(r"[ -]+", "_", name.strip().lower()), bare_angle(name)
    for parameter in tables.values():
        names = (parameter.name, *parameter.aliases)
        if wanted in names or (parameter.name in GEOMETRY and angle in names):
            return parameter.name
    return None


_AROUND = re.compile(r"^mean_|(_(angles?|deg|degrees?|mean))+$")


def bare_angle(name: str) -> str:
    """The name of an angle without what it is, its unit, and that it is a mean.

    >>> bare_angle("Mean solar azimuth angle"), bare_angle("viewAzimuthMean")
    ('solar_azimuth', 'view_azimuth')
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return _AROUND.sub("", re.sub(r"[ -]+", "_", parted.lower()))


_DOMAIN = {
    "n_leaf": (1.0, math.inf), "ala": (0.0, 90.0), "psoil": (0.0, 1.0), "cv": (0.0, 1.0),
    "lidf_a": (-1.0, 1.0), "lidf_b": (-1.0, 1.0), "fraction_brown": (0.0, 1.0), "diss": (0.0, 1.0),
    "bsm_brightness": (0.0, 1.0), "bsm_lat": (-90.0, 90.0), "bsm_lon": (-180.0, 180.0),
    "smc": (0.0, 100.0),
    "tts": (0.0, 90.0), "tto": (0.0, 90.0), "psi": (-math.inf, math.inf),
}  # fmt: skip


# their lower bound itself has no meaning
_ABOVE = ("cv", "beta_mu", "beta_nu", "crown_area", "crown_shape", "shoot_clumping", "clumping")


def outside(name: str, value: Tensor) -> Tensor:
    """Where a value has no physical meaning (bool, same shape): beyond `physical`, or not finite.

    >>> outside("tts", torch.tensor([30.0, 90.0]))
    tensor([False,  True])
    """
    low, high = physical(name)
    bad = ~value.isfinite() | (value < low) | (value > high)
    if name in ("tts", "tto"):
        bad = bad | (value >= high)
    return bad | (value <= low) if name in _ABOVE else bad


def physical(name: str) -> tuple[float, float]:
    """Least and largest value with a physical meaning; amounts are ≥ 0, zeniths below 90 degree.

    These are wider than the bounds of the tables, which say what the models are made for.
    """
    name = name.removeprefix("brown_")
    return _DOMAIN.get(name, (-math.inf if name.startswith("soil_") else 0.0, math.inf))


def expected(name: str) -> str:
    """The physical domain of a parameter, in words.

    >>> expected("tts"), expected("cab")
    ('at least 0 and below 90', 'at least 0')
    """
    low, high = physical(name)
    above = "above" if name in _ABOVE else "at least"
    below = "below" if name in ("tts", "tto") else "at most"
    words = [f"{above} {low:g}"] * math.isfinite(low) + [f"{below} {high:g}"] * math.isfinite(high)
    return " and ".join(words) or "a finite number"


def check(name: str, value: Tensor) -> None:
    """ValueError in words where any value has no physical meaning."""
    bad = outside(name, value)
    if bad.any():
        wrong = value[bad][0].item()
        raise ValueError(f"{name}: expected {expected(name)}, got {wrong:g}")


def check_joint(values: Mapping[str, Tensor]) -> None:
    """ValueError in words where values that are right one by one are not so together."""
    if "lidf_a" in values and "lidf_b" in values:
        total = torch.as_tensor(values["lidf_a"]).abs() + torch.as_tensor(values["lidf_b"]).abs()
        if (total > 1.0).any():
            wrong = total[total > 1.0].flatten()[0].item()
            raise ValueError(f"lidf_a, lidf_b: expected |a| + |b| of at most 1, got {wrong:g}")
