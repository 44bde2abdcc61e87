"""One leaf seen by itself: PROSPECT by named contents, on any wavelengths or in a sensor's bands.

    depth[wavelength] = Σ_content amount·specific absorption ─▶ N plates ─▶ R, T, A

theta[..., (n_leaf, contents)] ─▶ [..., wavelength | band]; R + T + A = 1.

α, the half-angle of the cone in which light meets the leaf's surface, stands for its roughness:
40° fits most leaves (Jacquemoud & Baret 1990, 10.1016/0034-4257(90)90100-Z).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rtm.arguments import number, numbers, tensors
from rtm.modes import constant, lasting, own_precision
from rtm.parameters import TRAITS, ParameterSpace, check
from rtm.prospect import plate_constants
from rtm.prospect import prospect as plates
from rtm.sensor import Sensor, sensor_of
from rtm.spectra import LEAF_CONTENTS, check_leaf, full_grid, leaf_constants, within_range

_NARROW = 0.01  # degree; below it the closed form of the surface cancels, the limit is 2e-8 away


class LeafOptics(NamedTuple):
    """What a leaf does with light that falls on it, [..., wavelength | band], 0-1.

    Attributes
    ----------
    reflectance, transmittance, absorptance : Tensor
        Hemispherical; the three sum to 1.
    wavelength : Tensor or None
        nm, where no sensor is given.
    band : tuple of str or None
        Band ids, where one is.
    """

    reflectance: Tensor
    transmittance: Tensor
    absorptance: Tensor
    wavelength: Tensor | None
    band: tuple[str, ...] | None


class Prospect(nn.Module):
    """PROSPECT as a module without weights.

    Parameters
    ----------
    leaf : {"D", "5", "PRO"}
        Version; PRO has proteins and carbon-based constituents (`prot`, `cbc`) in the place of
        dry matter (`cm`).
    sensor : str or Sensor, optional
        Gives bands instead of wavelengths.
    wavelength : Tensor, array or list [wavelength], optional
        nm, within 400-2500; every nm where neither is given.
    alpha : float
        Half-angle of the cone of light at the surface, above 0 and at most 90 [degree].

    Notes
    -----
    theta decides the dtype, the module (`module.to(device)`) the device. Only shapes are checked
    here; `prospect` checks values. Sources: see rtm.prospect and `leaf_constants`.

    Examples
    --------
    >>> model = Prospect("PRO", sensor="sentinel-2a")
    >>> model.space.names
    ('n_leaf', 'cab', 'car', 'ant', 'cbrown', 'cw', 'prot', 'cbc')
    >>> model(model.space.stack(cab=torch.tensor([20.0, 60.0]))).reflectance.shape
    torch.Size([2, 13])
    """

    _wavelength: Tensor
    _absorption: Tensor
    _plate: Tensor
    _weights: Tensor | None

    @lasting
    def __init__(
        self, leaf: str = "D", sensor: str | Sensor | None = None,
        wavelength: Tensor | np.ndarray | Sequence[float] | None = None, *, alpha: float = 40.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if sensor is not None and wavelength is not None:
            raise ValueError("sensor, wavelength: expected one of them at most, got both")
        self.leaf, self.alpha = leaf, alpha
        self.sensor = sensor_of(sensor)
        grid = _grid(wavelength) if self.sensor is None else self.sensor.wavelength
        index, absorption = leaf_constants(leaf, grid)
        weights = None if self.sensor is None else self.sensor.weights
        plate = plate_constants(index, cone(alpha)).unsqueeze(-1)
        constants = {
            "_wavelength": grid, "_absorption": absorption.T.contiguous(),
            "_plate": plate, "_weights": weights,
        }  # fmt: skip
        for name, value in constants.items():
            kept = None if value is None else constant(value)
            self.register_buffer(name, kept, persistent=False)
        self.space = ParameterSpace(
            tuple(TRAITS[name] for name in ("n_leaf", *LEAF_CONTENTS[leaf]))
        )

    @property
    def wavelength(self) -> Tensor:
        """The wavelengths asked for, or the sensor's [nm], float64."""
        return self._wavelength

    @own_precision
    def forward(self, theta: Tensor) -> LeafOptics:
        """Optical properties of leaves.

        Parameters
        ----------
        theta : Tensor [..., parameter]
            In the order and units of `space`.

        Returns
        -------
        LeafOptics
        """
        tensors(theta=theta)
        if theta.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"theta: expected float32 or float64, got {theta.dtype}")
        if theta.shape[-1:] != (len(self.space),):
            self.space.split(theta)  # tells what is expected
        flat = theta.reshape(-1, len(self.space)).T
        leaf = plates(
            depth=self._absorption.to(theta.dtype) @ flat[1:],
            n_leaf=flat[0],
            plate=self._plate.to(theta.dtype),
        )
        spectra = leaf
        if self._weights is not None:
            weights = self._weights.to(theta.dtype)
            spectra = tuple(weights @ spectrum for spectrum in leaf)
        r, t, a = (x.T.reshape(*theta.shape[:-1], len(x)) for x in spectra)
        if self.sensor is not None:
            return LeafOptics(r, t, a, None, self.sensor.bands)
        return LeafOptics(r, t, a, self._wavelength, None)


def _grid(wavelength) -> Tensor:
    """Wavelengths [nm] as given, else every nm, float64."""
    return full_grid() if wavelength is None else within_range(wavelength)


def cone(alpha: float) -> float:
    """Alpha as the closed form of the surface can take it; ValueError outside (0, 90] degree."""
    alpha = number("alpha", alpha)
    if not 0.0 < alpha <= 90.0:
        raise ValueError(f"alpha: expected above 0 and at most 90 degree, got {alpha:g}")
    return max(alpha, _NARROW)


def without_dry_matter(leaf: str, values: Mapping) -> dict:
    """The values without `cm` where the leaf is PRO; ValueError where that is not 0."""
    check_leaf(leaf)
    rest = dict(values)
    if leaf == "PRO" and "cm" in rest:
        given = numbers("cm", rest.pop("cm")).double()
        if (given != 0.0).any():
            raise ValueError(
                "cm: expected 0 with leaf PRO, whose prot and cbc take its place, "
                f"got {given[given != 0.0][0].item():g}"
            )
    return rest


def prospect(
    *, leaf: str = "D", alpha: float = 40.0, sensor: str | Sensor | None = None,
    wavelength: Tensor | np.ndarray | Sequence[float] | None = None, **contents,
) -> LeafOptics:  # fmt: skip
    """Leaf reflectance, transmittance and absorptance from named numbers.

    Parameters
    ----------
    leaf : {"D", "5", "PRO"}
        PROSPECT version.
    alpha : float
        Half-angle of the cone of light at the surface, above 0 and at most 90 [degree].
    sensor : str or Sensor, optional
        Gives bands instead of every nm from 400 to 2500.
    wavelength : Tensor, array or list [wavelength], optional
        nm, within 400-2500, instead of every nm.
    **contents : float, list, array or Tensor
        n_leaf and contents by their names in `TRAITS`, in those units, broadcast together; what is
        not named is at its default.

    Returns
    -------
    LeafOptics
        Tensors; float64 unless tensors of another dtype are given, which keep their gradient.

    Raises
    ------
    ValueError
        Unknown name, a value that is not finite or outside the physical domain (a negative amount,
        n_leaf < 1), dry matter (`cm`) with leaf PRO, a wavelength outside 400-2500 nm.

    Examples
    --------
    >>> leaf = prospect(cab=[20.0, 60.0], cw=0.012, wavelength=[550.0, 670.0, 850.0])
    >>> leaf.reflectance.shape
    torch.Size([2, 3])
    """
    model = Prospect(leaf, sensor, wavelength, alpha=alpha)
    contents = without_dry_matter(leaf, contents)
    given: dict[str, Tensor | float] = {}
    for name, value in contents.items():
        model.space.index(name)
        checked = numbers(name, value)
        check(name, checked)
        given[name] = float(value) if isinstance(value, float | int) else checked
    theta = model.space.stack(**given)
    return model.to(theta.device)(theta)
