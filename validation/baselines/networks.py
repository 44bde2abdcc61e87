r"""Networks in the format of SNAP's biophysical processor (SL2P), as yardsticks.

With i over inputs, j over hidden neurons (Weiss, Baret & Jay 2020, S2ToolBox level 2 products LAI,
FAPAR, FCOVER, ATBD 2.0, step.esa.int/docs/extra/ATBD_S2ToolBox_V2.0.pdf):

    xᵢ* = 2 (xᵢ − minᵢ) / (maxᵢ − minᵢ) − 1
    y*  = b₂ + Σⱼ W₂ⱼ tanh(b₁ⱼ + Σᵢ W₁ⱼᵢ xᵢ*)
    y   = ½ (y* + 1) (den_max − den_min) + den_min

The output tolerance [t, low, high] follows SNAP: a value beyond a limit by at most |t| is set to
the limit. Further out it is kept, where SNAP raises a flag, so that no row drops out of a
comparison. A missing relative azimuth counts as 90° (cosine 0) and a missing view zenith as
nadir; a row that lacks a band or the sun zenith has no estimate.
"""

import json
import reprlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from inversion.naming import band_id
from physvae.errors import InputError
from validation.baselines.base import Prediction

VARIABLES = {
    "LAI": ("lai", 1.0),
    "LAI_Cab": ("ccc", 1e-2),
    "LAI_Cw": ("cwc", 1e4),
    "FAPAR": ("fapar", 1.0),
    "FCOVER": ("fcover", 1.0),
}
"""Our trait and the factor to its unit (µg cm⁻² → g m⁻², g cm⁻² → g m⁻²), by SNAP's variable."""

ANGLES = {
    "cos_view_zenith": ("view_zenith_deg", 0.0),
    "cos_sun_zenith": ("sun_zenith_deg", None),
    "cos_relative_azimuth": ("relative_azimuth_deg", 90.0),
}
"""Column and the value of a missing cell [degree], by network input."""

_SHAPES = {  # I inputs, J neurons
    "norm_min": "I",
    "norm_max": "I",
    "W1": "JI",
    "b1": "J",
    "W2": "J",
    "b2": "",
    "den_min": "",
    "den_max": "",
    "output_tolerance_min_max": "3",
}


@dataclass(frozen=True)
class Net:
    """A network of one hidden layer and where its inputs come from."""

    name: str
    trait: str
    factor: float
    inputs: tuple[str, ...]
    constants: dict[str, np.ndarray]

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """Estimates [n] of `trait`, in its unit, for a table with bands and angles."""
        return self.factor * forward(network_inputs(frame, self.inputs), **self.constants)

    def predict(self, frame: pd.DataFrame, rows: pd.DataFrame) -> Prediction:
        """Estimates of every row; the network has no interval and learns nothing here."""
        return Prediction(self(frame))


def load_net(path: str | Path) -> Net:
    """Read a network from JSON.

    Raises
    ------
    InputError
        If the file is no such network: a key is missing, a shape is wrong, a number not finite.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a network in JSON, got {error}") from error
    needed = ("variable", "inputs", *_SHAPES)
    missing = [k for k in needed if k not in content] if isinstance(content, dict) else needed
    if missing:
        raise InputError(f"{path}: expected a network with {', '.join(missing)}, got none")
    variable, inputs = content["variable"], content["inputs"]
    if variable not in VARIABLES:
        known = ", ".join(VARIABLES)
        raise InputError(
            f"{path}: variable: expected one of {known}, got {reprlib.repr(variable)}"
        )
    if not (isinstance(inputs, list) and inputs and all(isinstance(i, str) for i in inputs)):
        raise InputError(f"{path}: inputs: expected a list of names, got {reprlib.repr(inputs)}")
    constants = _constants(content, path, inputs=len(inputs))
    trait, factor = VARIABLES[variable]
    return Net(path.stem, trait, factor, tuple(inputs), constants)


def _constants(content: dict, path: Path, *, inputs: int) -> dict[str, np.ndarray]:
    """Weights and scales as float64 arrays of the shapes that `forward` expects."""
    sizes = {"I": inputs, "J": np.shape(content["b1"])[0] if np.ndim(content["b1"]) else 1, "3": 3}
    constants = {}
    for key, axes in _SHAPES.items():
        shape = tuple(sizes[axis] for axis in axes)
        try:
            value = np.asarray(content[key], dtype=float)
        except (TypeError, ValueError):
            value = np.empty(0)
        if value.size != np.prod(shape, dtype=int) or not np.isfinite(value).all():
            raise InputError(f"{path}: {key}: expected finite numbers of shape {list(shape)}")
        constants[key] = value.reshape(shape)
    return constants


def network_inputs(frame: pd.DataFrame, inputs: tuple[str, ...]) -> np.ndarray:
    """Inputs [n, I] of a network: bands as reflectance, angles as cosines.

    Raises
    ------
    InputError
        If a band's or the sun zenith's column is missing.
    """
    known = {band_id(str(column)) or str(column): column for column in frame.columns}
    columns = []
    for name in inputs:
        column, default = ANGLES.get(name, (name, None))
        if column in known:
            values = frame[known[column]].to_numpy(float)
        elif default is not None:
            values = np.full(len(frame), np.nan)
        else:
            raise InputError(f"field table: the baseline needs the column {column}, got none")
        if default is not None:
            values = np.where(np.isnan(values), default, values)
        columns.append(np.cos(np.radians(values)) if name in ANGLES else values)
    return np.stack(columns, axis=-1)


def forward(
    x: np.ndarray,
    *,
    norm_min: np.ndarray,
    norm_max: np.ndarray,
    W1: np.ndarray,
    b1: np.ndarray,
    W2: np.ndarray,
    b2: np.ndarray,
    den_min: np.ndarray,
    den_max: np.ndarray,
    output_tolerance_min_max: np.ndarray,
) -> np.ndarray:
    """The formulas of the module's head: x [n, I] → y [n] in the network's own unit."""
    scaled = 2 * (x - norm_min) / (norm_max - norm_min) - 1
    y = b2 + np.tanh(b1 + scaled @ W1.T) @ W2
    y = 0.5 * (y + 1) * (den_max - den_min) + den_min
    tolerance, low, high = output_tolerance_min_max
    clipped = np.clip(y, low, high)
    return np.where(np.abs(y - clipped) <= abs(tolerance), clipped, y)
