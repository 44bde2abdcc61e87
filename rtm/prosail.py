"""PROSAIL: a leaf, a soil and a canopy of such leaves over it, seen by a sensor.

theta[..., parameter], angles[..., (tts, tto, psi)] ─▶ leaf, soil ─▶ 4SAIL ─▶ [..., band]

Inside, the axes are [parameter | wavelength | class, canopy]: the canopies stand last, so that
what belongs to a canopy broadcasts against its spectra and loops run along the canopies.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rtm import products as product
from rtm.arguments import count, one_of, tensors
from rtm.blocks import Outputs, in_blocks, in_even_blocks, in_parts
from rtm.bsm import BSM
from rtm.foursail import Canopy, extinction, foursail, hot_spot
from rtm.foursail2 import crowns, foursail2
from rtm.fused import Function, Fused, Loops, available, digest, loopable, shared
from rtm.leaf import cone
from rtm.lidf import Beta, Campbell, Verhoef, class_edges
from rtm.modes import constant, lasting, own_precision
from rtm.numerics import gauss_rule, hot_spot_classic, hot_spot_exact
from rtm.parameters import TRAITS, ParameterSpace, brown
from rtm.prospect import Leaf, plate_constants, prospect
from rtm.sensor import Sensor, sensor_of
from rtm.soil import DryWetSoil, SpectralSoil
from rtm.soil_tables import MeasuredSoils, as_soil
from rtm.spectra import LEAF_CONTENTS, full_grid, leaf_constants, within_range

_BLOCK = 65536  # numbers of a spectral array that are worked on at a time
_COMPILED_BLOCK = 16384
_FUSED_BLOCK = 1 << 23
_OPTIONS = {"max_fusion_size": 2000}  # of torch.compile
_SOILS = (DryWetSoil, SpectralSoil, BSM, MeasuredSoils)  # of which shapes and parameters tell all
LIDF = {"campbell": Campbell, "verhoef": Verhoef, "beta": Beta}
_TWO_LAYERS = ("cv", "zeta", "fraction_brown", "diss")


class CanopyReflectance(NamedTuple):
    """What a canopy reflects, [..., wavelength | band], 0-1, and what it covers and absorbs [...].

    Attributes
    ----------
    rso, rdo, rsd, rdd : Tensor
        Bidirectional, hemispherical-directional, directional-hemispherical and bihemispherical
        reflectance factor.
    fapar, fapar_diffuse, fcover : Tensor or None
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
    fapar_diffuse: Tensor | None
    fcover: Tensor | None
    wavelength: Tensor | None
    band: tuple[str, ...] | None


class Prosail(nn.Module):
    """PROSAIL as a module without weights.

    Parameters
    ----------
    leaf : {"D", "5", "PRO"}
        PROSPECT version.
    sensor : str or Sensor, optional
        Gives bands instead of wavelengths.
    wavelength : Tensor [wavelength], optional
        nm, within 400-2500; every nm where neither is given.
    soil : DryWetSoil, SpectralSoil or BSM, or a spectrum, optional
        A spectrum as `rtm.soil_tables.as_soil` takes it; else the dry/wet mixture.
    lidf : {"campbell", "verhoef", "beta"}
        Leaf inclination from `ala`, from `lidf_a` and `lidf_b`, or from `beta_mu` and `beta_nu`.
    classes : int
        Classes of leaf inclination, 2 or more, equal ones; 13 are the unequal ones of the Fortran,
        R and SCOPE codes.
    crowns : bool
        Adds `cv`: a share cv of the ground bears a canopy of lai/cv, the rest is bare soil.
    layers : {1, 2}
        2 is 4SAIL2: green and brown leaves in two layers and in crowns, which adds `cv`, `zeta`,
        `fraction_brown`, `diss` and the contents of the brown leaves, `brown_cab` and so on.
    hotspot : {"exact", "classic"}
        "classic" repeats the 20 steps of the older codes.
    products : bool
        Whether fapar and fcover are computed.
    alpha : float
        Half-angle of the light that falls on the leaf's surface, (0, 90] degree.
    fused : {"auto", True, False}
        Whether float32 on a processor runs through loops made for this model (rtm.fused), many
        times faster and the same to some 1e-6: calls of a quarter of a million numbers (canopies
        times wavelengths) and more, all calls, or none. An attribute, so that it can be changed.

    Notes
    -----
    theta decides the dtype, the module (`module.to(device)`) the device. Constants are computed in
    float64 and cast to theta's dtype. Only shapes are checked here; `prosail` checks values.

    Long batches are worked off in blocks, see rtm.blocks.

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

    @lasting
    def __init__(
        self, leaf: str = "D", sensor: str | Sensor | None = None,
        wavelength: Tensor | np.ndarray | Sequence[float] | None = None, *,
        soil: Any = None,
        lidf: str = "campbell", classes: int = 18, crowns: bool = False, layers: int = 1,
        hotspot: str = "exact", products: bool = True, alpha: float = 40.0,
        fused: bool | str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        one_of("hotspot", hotspot, ("exact", "classic"))
        one_of("lidf", lidf, tuple(LIDF))
        one_of("leaf", leaf, tuple(LEAF_CONTENTS))
        one_of("layers", layers, (1, 2))
        if sensor is not None and wavelength is not None:
            raise ValueError("sensor, wavelength: expected one of them at most, got both")
        if crowns and layers == 2:
            raise ValueError("crowns: expected False with two layers, which have crowns, got True")
        self.leaf, self.crowns, self.layers, self.products = leaf, crowns, layers, products
        self.classes, self.alpha = count("classes", classes, 2), cone(alpha)
        self.classic, self.sensor = hotspot == "classic", sensor_of(sensor)
        self.soil = DryWetSoil() if soil is None else as_soil(soil, wavelength)
        self.lidf = LIDF[lidf]()
        one_of("fused", fused, ("auto", True, False))
        self.fused, self._options = fused, None
        self._forget()
        given = within_range(full_grid() if wavelength is None else wavelength)
        self._constants(given if self.sensor is None else self.sensor.wavelength)
        self.space = self._space()

    def _space(self) -> ParameterSpace:
        leaf = [TRAITS[name] for name in ("n_leaf", *LEAF_CONTENTS[self.leaf])]
        stand = [TRAITS["cv"]] if self.crowns else []
        if self.layers == 2:
            stand = [TRAITS[name] for name in _TWO_LAYERS] + [brown(p) for p in leaf]
        canopy = (TRAITS["lai"], *self.lidf.parameters, TRAITS["hspot"])
        return ParameterSpace((*leaf, *canopy, *self.soil.parameters, *stand))

    def _constants(self, wavelength: Tensor) -> None:
        """Everything that depends on the wavelengths alone, float64, not in the state dict."""
        grid, at = wavelength, None
        if self.products:
            nodes, par = product.par_quadrature()
            grid = torch.cat([wavelength, nodes[~torch.isin(nodes, wavelength)]])
            at = torch.stack([(grid == node).nonzero()[0, 0] for node in nodes])
            self.register_buffer("_par", par, persistent=False)
        index, absorption = leaf_constants(self.leaf, grid)
        edges = class_edges(self.classes)
        middle = torch.deg2rad((edges[1:] + edges[:-1]) / 2.0)
        constants = {
            "_wavelength": wavelength, "_at": at, "_absorption": absorption.T.contiguous(),
            "_plate": plate_constants(index, self.alpha).unsqueeze(-1),
            "_shapes": self.soil.shapes(grid), "_edges": edges,
            "_angles": torch.stack([middle.cos(), middle.sin()]).unsqueeze(-1),
            "_rule": gauss_rule(40), "_short_rule": gauss_rule(20),
            "_weights": None if self.sensor is None else self.sensor.weights.T.contiguous(),
        }  # fmt: skip
        for name, value in constants.items():
            kept = None if value is None else constant(value)
            self.register_buffer(name, kept, persistent=False)

    @property
    def wavelength(self) -> Tensor:
        """The wavelengths asked for, or the sensor's [nm], float64."""
        return self._wavelength

    @own_precision
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
        tensors(theta=theta, angles=angles)
        if angles.shape[-1:] != (3,):
            got = tuple(angles.shape)
            raise ValueError(f"angles: expected a last axis (tts, tto, psi), got shape {got}")
        if theta.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"theta: expected float32 or float64, got {theta.dtype}")
        if theta.shape[-1:] != (len(self.space),):
            self.space.split(theta)  # tells what is expected
        shape = torch.broadcast_shapes(theta.shape[:-1], angles.shape[:-1])
        flat = theta.expand(*shape, theta.shape[-1]).reshape(-1, theta.shape[-1]).T.contiguous()
        view = angles.to(theta).expand(*shape, 3).reshape(-1, 3).T.contiguous()
        found = self._worked_off(flat, view)
        fields = [x if x is None else x.reshape((*shape, *x.shape[1:])) for x in found]
        axis = (self._wavelength, None) if self.sensor is None else (None, self.sensor.bands)
        return CanopyReflectance._make([*fields, *axis])

    def _worked_off(self, theta: Tensor, angles: Tensor) -> Outputs:
        """`_reflectance` in blocks, by what is fastest."""
        inputs = (theta, angles)
        if torch.compiler.is_compiling():
            return self._reflectance(theta, angles)
        fused = self._loops_for(inputs) if self.fused and loopable(inputs) else None
        if fused is not None:
            spectra = self._weights is None  # which are the result, not on the way to bands
            block = theta.shape[-1] if spectra else self._block(_FUSED_BLOCK)
            return in_parts(lambda *x: self._seen(fused(*x)), inputs, block=block)
        if self._options is not None and self._worth_torch(theta):
            if self._compiled is None:
                self._compiled = torch.compile(
                    self._reflectance, fullgraph=True, dynamic=False, options=self._options
                )
            return in_even_blocks(self._compiled, inputs, block=self._block(_COMPILED_BLOCK))
        return in_blocks(self._reflectance, inputs, block=self._block(_BLOCK))

    def compile(self, **options) -> None:
        """Make the model fast from the next call on, in place.

        On a processor float32 runs through loops made for it, see `fused`; this takes a second and
        no compiler, and two more when the first gradient is asked for. There float64 stays as it
        is. On other devices torch.compile does it, which takes minutes; second derivatives and
        torch.func then need a model that is not compiled.

        Parameters
        ----------
        **options
            For the inductor of torch.compile, on top of ours.
        """
        self.fused, self._options, self._compiled = True, {**_OPTIONS, **options}, None
        self._fused = self._shared().made()

    def _loops_for(self, inputs: tuple[Tensor, Tensor]) -> Fused | None:
        """The loops, where a call is to go through them."""
        if self.fused == "auto":
            numbers = inputs[0].shape[-1] * self._absorption.shape[0]
            return self._shared().where_they_pay(numbers)
        if self._fused is None:
            self._fused = self._shared().made()
        return self._fused

    @lasting
    def _shared(self) -> Loops:
        """The loops of all models like this one."""
        if self._loops is None:
            twin = copy.copy(self)  # this one may go to other devices
            buffers = self._buffers.items()
            twin._buffers = {k: None if x is None else constant(x) for k, x in buffers}
            soil = type(self.soil) if type(self.soil) in _SOILS else self.soil
            about = (self.space.names, self.layers, self.products, self.classic, type(self.lidf))
            key = (*about, soil, digest(self._buffers))
            self._loops = shared(Function(key, (len(self.space), 3), twin._factors))
        return self._loops

    def _forget(self) -> None:
        """What was made for the constants as they were."""
        self._loops, self._fused, self._compiled = None, None, None

    @lasting
    def _apply(self, *args, **kwargs) -> "Prosail":
        self._forget()
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict:
        """All but machine code, which a copy finds again."""
        return {**self.__dict__, "_loops": None, "_fused": None, "_compiled": None}

    def _worth_torch(self, theta: Tensor) -> bool:
        """Whether torch.compile is at work: where there could be no loops for float32."""
        if theta.device.type != "cpu":
            return True
        return available() and self._shared().made() is None

    def _block(self, numbers: int) -> int:
        """Canopies a block: a multiple of 16 that gives spectral arrays of about that size."""
        return -(-numbers // self._absorption.shape[0] // 16) * 16

    def _reflectance(self, theta: Tensor, angles: Tensor) -> Outputs:
        """A result's fields [canopy, ...] from theta [parameter, canopy], angles [3, canopy]."""
        return self._seen(self._factors(theta, angles))

    def _factors(self, theta: Tensor, angles: Tensor) -> tuple[Tensor, ...]:
        """The four factors [wavelength, canopy], then what is covered and absorbed [1, canopy]."""
        p = dict(zip(self.space.names, theta, strict=True))
        soil = self.soil.reflectance(self._part(theta, self.soil), self._shapes.to(theta.dtype))
        share = p["cv"] if self.crowns else None
        lai = p["lai"] if share is None else p["lai"] / share
        shares = self.lidf.shares(self._part(theta, self.lidf), self._edges)
        canopy = self._canopy(theta, p, angles, soil, lai, shares)
        factors = (canopy.rso, canopy.rdo, canopy.rsd, canopy.rdd)
        if share is not None:
            factors = tuple(soil + share * (factor - soil) for factor in factors)
        if not self.products:
            return factors
        nadir = (shares * self._angles[0].to(theta.dtype)).sum(0)
        cover = p["cv"] if "cv" in p else torch.ones_like(lai)
        absorbed = (*self._absorbed(canopy, soil, share),
                    cover * product.fcover(p["lai"] / cover, nadir))  # fmt: skip
        return (*factors, *(x.unsqueeze(0) for x in absorbed))

    def _part(self, theta: Tensor, owner) -> Tensor:
        start = self.space.index(owner.parameters[0].name)
        return theta[start : start + len(owner.parameters)]

    def _leaf(self, theta: Tensor, prefix: str = "") -> Leaf:
        start = self.space.index(f"{prefix}n_leaf")
        contents = theta[start + 1 : start + 1 + self._absorption.shape[1]]
        depth = self._absorption.to(theta.dtype) @ contents
        return prospect(depth=depth, n_leaf=theta[start], plate=self._plate.to(theta.dtype))

    def _canopy(self, theta, p, angles, soil, lai, shares) -> Canopy:
        tts, tto, psi = angles
        psi = fold(psi)
        view = {"tts": tts, "tto": tto, "psi": psi}
        geometry = extinction(**view, angles=self._angles.to(theta.dtype), shares=shares)
        if self.layers == 2:
            return foursail2(
                green=self._leaf(theta), brown=self._leaf(theta, "brown_"), lai=lai,
                fraction_brown=p["fraction_brown"], diss=p["diss"], hspot=p["hspot"],
                geometry=geometry, over=crowns(**view, cv=p["cv"], zeta=p["zeta"]),
                angles=(tts, tto, psi), soil=soil, integrate=self._integrate,
            )  # fmt: skip
        hot = hot_spot(
            **view, hspot=p["hspot"], lai=lai, ks=geometry.ks, ko=geometry.ko,
            integrate=self._integrate,
        )  # fmt: skip
        return foursail(leaf=self._leaf(theta), lai=lai, geometry=geometry, hot=hot, soil=soil)

    def _integrate(self, alpha: Tensor, b: Tensor, c: Tensor) -> Tensor:
        if self.classic:
            return hot_spot_classic(alpha, b, c)
        rule = self._rule if alpha.dtype == torch.float64 else self._short_rule
        return hot_spot_exact(alpha, b, c, rule.to(alpha.dtype))

    def _absorbed(self, canopy: Canopy, soil: Tensor, share: Tensor | None) -> list[Tensor]:
        """fAPAR under the sun and under the sky."""
        found = []
        for back, down in ((canopy.rsd, canopy.sun_to_soil), (canopy.rdd, canopy.sky_to_soil)):
            back, down, ground = (x.index_select(0, self._at) for x in (back, down, soil))
            absorbed = product.absorbed(back, down, ground)
            fapar = product.fapar(absorbed.T, self._par.to(absorbed.dtype))
            found.append(fapar if share is None else fapar * share)
        return found

    def _seen(self, found: tuple[Tensor, ...]) -> Outputs:
        """The factors as spectra or bands [canopy, ...], products [canopy]."""
        spectra = [factor[: len(self._wavelength)].T for factor in found[:4]]
        if self._weights is not None:
            spectra = [x @ self._weights.to(x.dtype) for x in spectra]
        absorbed = [x[0] for x in found[4:]] if self.products else [None] * 3
        return (*spectra, *absorbed)


def fold(psi: Tensor) -> Tensor:
    """A relative azimuth of any sign folded to [0, 180] degree.

    >>> fold(torch.tensor([-30.0, 200.0, 360.0]))
    tensor([ 30., 160.,   0.])
    """
    turned = psi - 360.0 * torch.floor(psi / 360.0)
    return torch.minimum(turned, 360.0 - turned)
