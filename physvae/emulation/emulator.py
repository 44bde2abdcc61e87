"""An emulator: called like `rtm.Prosail`, faster, and it says how far off it may be."""

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from physvae.emulation.interpolators import Latents, Network, Nodes, Products
from physvae.emulation.uncertainty import StandardError
from physvae.emulation.vae import Decoder, LinearDecoder
from physvae.emulation.windows import Windows, windows
from rtm import CanopyReflectance, ParameterSpace, Sensor
from rtm.arguments import tensors
from rtm.modes import lasting, own_precision
from rtm.prosail import fold

FACTORS = ("rso", "rdo", "rsd", "rdd")


class Emulator(nn.Module):
    """Spectra from parameters and angles.

    Parameters
    ----------
    name : str
    space, geometry : ParameterSpace
        Of theta and of the angles: their order, units, and the box the emulator is made for.
    interpolator : Network or Nodes
    decoders : dict
        A decoder by factor.
    error : StandardError
        Of rso.
    wavelength : Tensor [wavelength] or None
        nm, float64.
    bands : tuple of str or None
        Band ids, where there are no wavelengths.

    Attributes
    ----------
    factors : tuple of str
        What is decoded; a factor that is not is None in the result. See `with_factors`.
    sensor : Sensor or None
        See `seen_by`.
    """

    wavelength: Tensor | None
    _weights: Tensor | None

    @lasting
    def __init__(
        self, name: str, space: ParameterSpace, geometry: ParameterSpace,
        interpolator: Network | Nodes, decoders: Mapping[str, Decoder], error: StandardError,
        wavelength: Tensor | None, bands: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name, self.space, self.geometry = name, space, geometry
        self.interpolator = interpolator
        self.decoders = nn.ModuleDict(dict(decoders))
        self.error = error
        self.register_buffer("wavelength", wavelength, persistent=False)
        self.band, self._weights, self._once = bands, None, {}
        self.sensor: Sensor | None = None
        self.factors: tuple[str, ...] = ("rso",)
        self.trained = tuple(decoders)
        self.record: dict = {}
        self.sha256: str = ""

    @own_precision
    def forward(self, theta: Tensor, angles: Tensor | None = None) -> CanopyReflectance:
        """Reflectance of canopies, as `rtm.Prosail` gives it.

        Parameters
        ----------
        theta : Tensor [..., parameter]
            In the order and units of `space`, float32 or float64.
        angles : Tensor [..., angle]
            In the order of `geometry`, degree; broadcasts against theta. None where there is no
            geometry.

        Returns
        -------
        CanopyReflectance
            What is not emulated is None.
        """
        shape, flat, view = self._flat(theta, angles)
        spectra, products = self._spectra(flat, view)
        fields = [*(spectra.get(name) for name in FACTORS), *products]
        fields = [x if x is None else x.reshape((*shape, *x.shape[1:])) for x in fields]
        bands = self.band is not None
        return CanopyReflectance._make([*fields, None if bands else self.wavelength, self.band])

    @own_precision
    def standard_error(self, theta: Tensor, angles: Tensor | None = None) -> Tensor:
        """Standard error of rso [..., wavelength | band] for these inputs.

        That of a band is the weighted mean of those of its wavelengths, an upper bound.
        """
        shape, flat, view = self._flat(theta, angles)
        error = self.error(flat, view)
        if self._weights is not None:
            error = error @ self._weights.to(error).T
        return error.reshape(*shape, -1)

    def outside(self, theta: Tensor, angles: Tensor | None = None) -> Tensor:
        """Whether any input lies outside the box, or is no number (bool [...])."""
        shape, flat, view = self._flat(theta, angles)
        inside = torch.ones(len(flat), dtype=torch.bool, device=flat.device)
        for values, space in ((flat, self.space), (view, self.geometry)):
            slack = 1e-6 * (space.high - space.low).to(values)
            low, high = space.low.to(values) - slack, space.high.to(values) + slack
            inside = inside & ((values >= low) & (values <= high)).all(-1)
        return ~inside.reshape(shape)

    def compile(self, **options) -> None:
        """Make the emulator fast, in place; a few seconds, as for `rtm.Prosail`."""
        self.interpolator.compile(**options)

    def with_factors(self, *factors: str) -> "Emulator":
        """The same emulator with these factors decoded, which costs a matrix product each.

        Parameters
        ----------
        *factors : str
            Some of rso, rdo, rsd, rdd, those that it was trained for, see `trained`.
        """
        strange = set(factors) - set(self.trained)
        if strange or not factors:
            got = ", ".join(sorted(strange)) or "none"
            raise ValueError(f"factors: expected some of {', '.join(self.trained)}, got {got}")
        made = copy.copy(self)
        made.factors = factors
        return made

    def seen_by(self, sensor: Sensor) -> "Emulator":
        """The same emulator with the bands of a sensor, for hardly more than their share of work.

        The response functions go into the last layer of the decoder: nothing is lost.

        Raises
        ------
        ValueError
            The emulator lacks some of the sensor's wavelengths, or gives bands itself.
        """
        if self.wavelength is None or self.sensor is not None:
            raise ValueError("sensor: expected an emulator of wavelengths, got one of bands")
        grid = self.wavelength.cpu()
        at = torch.searchsorted(grid, sensor.wavelength).clamp(max=len(grid) - 1)
        if not torch.allclose(grid[at], sensor.wavelength):
            raise ValueError(
                f"sensor: expected the wavelengths of the emulator {self.name}, got "
                f"{sensor.name} on others; prosail-d-1nm has every nm"
            )
        weights = torch.zeros(len(sensor.bands), len(grid), dtype=torch.float64)
        weights[:, at] = sensor.weights
        made = copy.copy(self)
        made._modules = {**self._modules}
        made.decoders = nn.ModuleDict({k: _seen(d, weights) for k, d in self.decoders.items()})
        made.sensor, made.band = sensor, sensor.bands
        made._weights, made._once = weights, {}
        return made

    @lasting
    def matrix(self, factor: str) -> Tensor:
        """From nodes to a factor [node + 1, wavelength | band], float64; the last row is added.

        Raises
        ------
        ValueError
            An emulator without nodes.
        """
        return self._windows(factor).whole

    def _windows(self, factor: str) -> Windows:
        nodes, decoder = self.interpolator, self.decoders[factor]
        if not isinstance(nodes, Nodes) or not isinstance(decoder, LinearDecoder):
            raise ValueError(f"emulator: expected one by nodes, got {self.name}")
        layer, last = nodes.map(factor), decoder.last
        return windows(_affine(layer), _affine(last)[:, :-1])

    def _spectra(self, theta: Tensor, angles: Tensor) -> tuple[dict[str, Tensor], Products]:
        """Spectra by factor [n, wavelength | band], and the products [n]."""
        folded = not self.training and not torch.compiler.is_compiling()
        if folded and isinstance(self.interpolator, Nodes):
            maps = {name: self._folded(name, theta) for name in self.factors}
            return self.interpolator.decoded(theta, angles, maps)
        latents: Latents = self.interpolator(theta, angles, self.factors)
        return {k: self._decode(k, z) for k, z in latents.z.items()}, latents.products

    @lasting
    def _folded(self, factor: str, theta: Tensor) -> Windows:
        """From nodes to a factor in the dtype of theta, made once."""
        key = (factor, theta.dtype, theta.device)
        if key not in self._once:
            self._once[key] = self._windows(factor).to(theta)
        return self._once[key]

    def train(self, mode: bool = True) -> "Emulator":
        """As for any module; what follows from the weights is computed anew."""
        self._once.clear()
        return super().train(mode)

    @lasting
    def _apply(self, *args, **kwargs) -> "Emulator":
        self._once.clear()
        return super()._apply(*args, **kwargs)

    def load_state_dict(self, *args, **kwargs):
        """As for any module; what follows from the weights is computed anew."""
        self._once.clear()
        return super().load_state_dict(*args, **kwargs)

    def _decode(self, factor: str, z: Tensor) -> Tensor:
        decoder = self.decoders[factor]
        if isinstance(decoder, LinearDecoder):
            return nn.functional.linear(z, decoder.last.weight.to(z), decoder.last.bias.to(z))
        return decoder(z.float()).to(z.dtype)

    def _flat(self, theta: Tensor, angles: Tensor | None) -> tuple[torch.Size, Tensor, Tensor]:
        """The batch's shape, theta [n, parameter] and angles [n, angle]."""
        tensors(theta=theta, **({} if angles is None else {"angles": angles}))
        if theta.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"theta: expected float32 or float64, got {theta.dtype}")
        if theta.shape[-1:] != (len(self.space),):
            self.space.split(theta)  # tells what is expected
        wanted = len(self.geometry)
        if angles is None or wanted == 0:
            angles = theta.new_zeros(0)
        if angles.shape[-1:] != (wanted,):
            names = ", ".join(self.geometry.names)
            raise ValueError(
                f"angles: expected a last axis ({names}), got shape {tuple(angles.shape)}"
            )
        shape = torch.broadcast_shapes(theta.shape[:-1], angles.shape[:-1])
        flat = theta.expand(*shape, len(self.space)).reshape(-1, len(self.space))
        view = angles.to(theta).expand(*shape, wanted).reshape(flat.shape[0], wanted)
        if self.geometry.names[-1:] == ("psi",):
            view = torch.cat([view[:, :-1], fold(view[:, -1:])], -1)
        return shape, flat, view


def _affine(layer: nn.Linear) -> Tensor:
    """A layer as a matrix [input + 1, output + 1] between rows that end in 1, float64."""
    weight = nn.functional.pad(layer.weight.detach().double().T, (0, 1, 0, 1))
    weight[-1, :-1], weight[-1, -1] = layer.bias.detach().double(), 1.0
    return weight


def _seen(decoder: nn.Module, weights: Tensor) -> nn.Module:
    """A decoder of bands out of one of wavelengths: both end in a linear layer."""
    made = copy.deepcopy(cast(Decoder, decoder))
    old = made.last
    new = nn.Linear(old.in_features, len(weights))
    with torch.no_grad():
        new.weight.copy_(weights @ old.weight.double().cpu())
        new.bias.copy_(weights @ old.bias.double().cpu())
    made.last = new.to(old.weight.device).requires_grad_(False)
    return made
