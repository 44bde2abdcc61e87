"""PROSAIL: a leaf, a soil and a canopy of such leaves over it, seen by a sensor.

theta[..., parameter], angles[..., (tts, tto, psi)] ─▶ leaf, soil ─▶ 4SAIL ─▶ [..., band]
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rtm import products as product
from rtm.foursail import Canopy, extinction, foursail, hot_spot
from rtm.lidf import campbell, class_edges
from rtm.numerics import gauss_rule, hot_spot_classic, hot_spot_exact
from rtm.parameters import GEOMETRY, TRAITS, ParameterSpace, check
from rtm.prospect import plate_constants, prospect
from rtm.sensor import Sensor, load_sensor
from rtm.soil import DryWetSoil, SpectralSoil
from rtm.spectra import LEAF_CONTENTS, full_grid, leaf_constants

_CLASSES = 18


class CanopyReflectance(NamedTuple):
    """What a canopy reflects, [..., wavelength | band], 0-1, and what it covers and absorbs [...].

    Attributes
    ----------
    rso, rdo, rsd, rdd : Tensor
        Bidirectional, hemispherical-directional, directional-hemispherical and bihemispherical
        reflectance factor.
    fapar, fcover : Tensor or None
        See rtm.products; None where not asked for.
    wavelength : Tensor or None
        nm, where no sensor is given.
    band : tuple of str or None
        Band ids, where one is.
    """

    rso: Tensor
    rdo: Tensor
    rsd: Tensor
    rdd: Tensor
    fapar: Tensor | None
    fcover: Tensor | None
    wavelength: Tensor | None
    band: tuple[str, ...] | None


class Prosail(nn.Module):
    """PROSAIL as a module without weights.

    Parameters
    ----------
    leaf : {"D", "5"}
        PROSPECT version.
    sensor : str or Sensor, optional
        Gives bands instead of wavelengths.
    wavelength : Tensor [wavelength], optional
        nm, within 400-2500; every nm where neither is given.
    soil : SpectralSoil, optional
        Else the dry/wet mixture with `psoil` and `rsoil`.
    crowns : bool
        Adds `cv`: a share cv of the ground bears a canopy of lai/cv, the rest is bare soil.
    hotspot : {"exact", "classic"}
        "classic" repeats the 20 steps of the older codes.
    products : bool
        Whether fapar and fcover are computed.

    Notes
    -----
    theta decides the dtype, the module (`module.to(device)`) the device. Constants are computed in
    float64 and cast to theta's dtype. Only shapes are checked here; `prosail` checks values.

    Examples
    --------
    >>> model = Prosail(sensor="sentinel-2a")
    >>> theta = model.space.stack(lai=torch.tensor([1.0, 4.0]))
    >>> model(theta, torch.tensor([30.0, 0.0, 0.0])).rso.shape
    torch.Size([2, 13])
    """

    _wavelength: Tensor
    _at: Tensor
    _par: Tensor
    _absorption: Tensor
    _plate: Tensor
    _shapes: Tensor
    _edges: Tensor
    _angles: Tensor
    _rule: Tensor
    _short_rule: Tensor
    _weights: Tensor | None

    def __init__(
        self, leaf: str = "D", sensor: str | Sensor | None = None,
        wavelength: Tensor | None = None, *, soil: SpectralSoil | None = None,
        crowns: bool = False, hotspot: str = "exact", products: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if sensor is not None and wavelength is not None:
            raise ValueError("sensor, wavelength: expected one of them at most, got both")
        if hotspot not in ("exact", "classic"):
            raise ValueError(f"hotspot: expected exact or classic, got {hotspot!r}")
        self.leaf, self.crowns, self.products = leaf, crowns, products
        self.classic = hotspot == "classic"
        self.sensor = load_sensor(sensor) if isinstance(sensor, str) else sensor
        self.soil = DryWetSoil() if soil is None else soil
        given = full_grid() if wavelength is None else torch.as_tensor(wavelength).double()
        self._constants(given if self.sensor is None else self.sensor.wavelength)
        names = ["n_leaf", *LEAF_CONTENTS[leaf], "lai", "ala", "hspot"]
        canopy = [TRAITS[name] for name in names]
        crown = [TRAITS["cv"]] if crowns else []
        self.space = ParameterSpace((*canopy, *self.soil.parameters, *crown))

    def _constants(self, wavelength: Tensor) -> None:
        """Everything that depends on the wavelengths alone, float64, not in the state dict."""
        grid, at = wavelength, None
        if self.products:
            nodes, par = product.par_quadrature()
            grid = torch.cat([wavelength, nodes[~torch.isin(nodes, wavelength)]])
            at = torch.stack([(grid == node).nonzero()[0, 0] for node in nodes])
            self.register_buffer("_par", par, persistent=False)
        index, absorption = leaf_constants(self.leaf, grid)
        edges = torch.deg2rad(class_edges(_CLASSES))
        middle = (edges[1:] + edges[:-1]) / 2.0
        cosines = edges.cos()
        cosines[-1] = 0.0
        constants = {
            "_wavelength": wavelength, "_at": at, "_absorption": absorption,
            "_plate": plate_constants(index), "_shapes": self.soil.shapes(grid),
            "_edges": cosines, "_angles": torch.stack([middle.cos(), middle.sin()]),
            "_rule": gauss_rule(32), "_short_rule": gauss_rule(20),
            "_weights": None if self.sensor is None else self.sensor.weights.T.contiguous(),
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    @property
    def wavelength(self) -> Tensor:
        """The wavelengths asked for, or the sensor's [nm], float64."""
        return self._wavelength

    def forward(self, theta: Tensor, angles: Tensor) -> CanopyReflectance:
        """Reflectance of canopies.

        Parameters
        ----------
        theta : Tensor [..., parameter]
            In the order and units of `space`.
        angles : Tensor [..., 3]
            tts, tto below 90, psi of any sign [degree]; broadcasts against theta.

        Returns
        -------
        CanopyReflectance
        """
        if angles.shape[-1] != 3:
            raise ValueError(f"angles: expected a last axis (tts, tto, psi), got {angles.shape}")
        p = {name: value.unsqueeze(-1) for name, value in self.space.split(theta).items()}
        soil = self.soil.reflectance(self._soil_values(theta), self._shapes.to(theta.dtype))
        share = p["cv"] if self.crowns else None
        lai = p["lai"] if share is None else p["lai"] / share
        shares = campbell(ala=p["ala"].squeeze(-1), cos_edges=self._edges.to(theta.dtype))
        canopy = self._canopy(theta, p, angles.to(theta), soil, lai, shares)
        fapar = fcover = None
        if self.products:
            nadir = (shares * self._angles[0].to(theta.dtype)).sum(-1)
            fapar = self._fapar(canopy, soil)
            fcover = product.fcover(lai.squeeze(-1), nadir).expand(fapar.shape)
        return self._result(canopy, soil, share, fapar, fcover)

    def _soil_values(self, theta: Tensor) -> Tensor:
        start = self.space.index(self.soil.parameters[0].name)
        return theta[..., start : start + len(self.soil.parameters)]

    def _canopy(self, theta, p, angles, soil, lai, shares) -> Canopy:
        start = self.space.index(LEAF_CONTENTS[self.leaf][0])
        contents = theta[..., start : start + len(LEAF_CONTENTS[self.leaf])]
        depth = contents @ self._absorption.to(theta.dtype)
        leaf = prospect(depth=depth, n_leaf=p["n_leaf"], plate=self._plate.to(theta.dtype))
        tts, tto, psi = angles.unsqueeze(-1).unbind(-2)
        psi = fold(psi)
        geometry = extinction(
            tts=tts, tto=tto, psi=psi, angles=self._angles.to(theta.dtype), shares=shares
        )
        hot = hot_spot(
            tts=tts, tto=tto, psi=psi, hspot=p["hspot"], lai=lai,
            ks=geometry.ks, ko=geometry.ko, integrate=self._integrate,
        )  # fmt: skip
        return foursail(
            reflectance=leaf.reflectance, transmittance=leaf.transmittance, lai=lai,
            geometry=geometry, hot=hot, soil=soil,
        )  # fmt: skip

    def _integrate(self, alpha: Tensor, b: Tensor, c: Tensor) -> Tensor:
        if self.classic:
            return hot_spot_classic(alpha, b, c)
        rule = self._rule if alpha.dtype == torch.float64 else self._short_rule
        return hot_spot_exact(alpha, b, c, rule.to(alpha.dtype))

    def _fapar(self, canopy: Canopy, soil: Tensor) -> Tensor:
        spectra = (canopy.rsd, canopy.to_soil, soil)
        rsd, to_soil, soil = (spectrum.index_select(-1, self._at) for spectrum in spectra)
        return product.fapar(product.absorbed(rsd, to_soil, soil), self._par.to(rsd.dtype))

    def _result(self, canopy, soil, share, fapar, fcover) -> CanopyReflectance:
        n = len(self._wavelength)
        weights = None if self._weights is None else self._weights.to(soil.dtype)

        def seen(factor: Tensor) -> Tensor:
            if share is not None:
                factor = soil + share * (factor - soil)
            factor = factor[..., :n]
            return factor if weights is None else factor @ weights

        if share is not None and fapar is not None:
            fapar, fcover = fapar * share.squeeze(-1), fcover * share.squeeze(-1)
        return CanopyReflectance(
            seen(canopy.rso), seen(canopy.rdo), seen(canopy.rsd), seen(canopy.rdd), fapar, fcover,
            self._wavelength if self.sensor is None else None,
            None if self.sensor is None else self.sensor.bands,
        )  # fmt: skip


def fold(psi: Tensor) -> Tensor:
    """A relative azimuth of any sign folded to [0, 180] degree.

    >>> fold(torch.tensor([-30.0, 200.0, 360.0]))
    tensor([ 30., 160.,   0.])
    """
    return 180.0 - (torch.remainder(psi, 360.0) - 180.0).abs()


def prosail(*, leaf: str = "D", sensor: str | Sensor | None = None, **values) -> CanopyReflectance:
    """Canopy reflectance from named numbers.

    Parameters
    ----------
    leaf : {"D", "5"}
        PROSPECT version.
    sensor : str or Sensor, optional
        Gives bands instead of every nm from 400 to 2500.
    **values : float, array or Tensor
        Traits and angles by their names in `TRAITS` and `GEOMETRY`, in those units, broadcast
        together; what is not named is at its default. `cv` asks for crowns.

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
    model = Prosail(leaf, sensor, crowns="cv" in values)
    names = (*model.space.names, *GEOMETRY)
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"parameter: expected one of {', '.join(names)}, got {name!r}")
        check(name, torch.as_tensor(value))
    space = ParameterSpace((*model.space.parameters, *GEOMETRY.values()))
    both = space.stack(**{name: _number(value) for name, value in values.items()})
    return model.to(both.device)(both[..., :-3], both[..., -3:])


def _number(value) -> Tensor | float:
    return float(value) if isinstance(value, float | int) else torch.as_tensor(value)
