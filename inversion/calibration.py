r"""A conformal adjustment of the uncertainty, found on field data and applied to estimates.

Per trait and nominal level L one factor s(L); with c the posterior mean and q a quantile of the
central interval of level L = |2p − 1|,

    q′ = c + s(L) · (q − c),        sd′ = s_sd · sd,

kept inside the trait's range. The mean stays as it was. Between the levels of the file s is
linear in L, beyond them constant. `physvae calibrate` finds the factors and writes the file:

    {"format": "physvae-calibration", "schema": 1,
     "model": {"name": "sentinel-2", "sha256": "..."} or null,
     "method": "split", "traits": {"lai": {"unit": "m² m⁻²", "sd_factor": 1.1,
        "levels": {"0.95": {"factor": 1.21, ...}}, ...}}, "source": {...}}

Keys that are not named here describe how the factors were found; they are kept and not used.
"""

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from physvae.errors import InputError
from physvae.io.files import read_regular

FORMAT = "physvae-calibration"
MOST = 1 << 24  # bytes of a file
SCHEMA = 1


class Adjusted(NamedTuple):
    """Standard deviation and 95 % interval after the adjustment, arrays of one shape."""

    sd: np.ndarray
    p025: np.ndarray
    p975: np.ndarray


@dataclass(frozen=True)
class Factors:
    """The factors of one trait: `factor[i]` at the nominal level `level[i]`, ascending."""

    level: tuple[float, ...]
    factor: tuple[float, ...]
    sd_factor: float

    def at(self, level: ArrayLike) -> np.ndarray:
        """Factor at nominal levels in (0, 1)."""
        return np.interp(np.asarray(level, float), self.level, self.factor)


@dataclass(frozen=True)
class Calibration:
    """The adjustment of some traits, and the model it was found for.

    Attributes
    ----------
    traits : mapping of str to Factors
    model_sha256 : str or None
        The model whose estimates were adjusted; None fits any.
    name, sha256 : str
        The file's name and hash, for the record of what was done.
    """

    traits: Mapping[str, Factors]
    model_sha256: str | None = None
    name: str = "calibration"
    sha256: str = ""
    method: str = ""
    record: Mapping[str, object] = field(default_factory=dict)

    def check_model(self, sha256: str) -> None:
        """Refuse to adjust the estimates of another model.

        Raises
        ------
        InputError
            If the file names a model and `sha256` is another's.
        """
        if self.model_sha256 and sha256 and self.model_sha256 != sha256:
            raise InputError(
                f"{self.name}: expected a calibration of the model {sha256[:12]}, got one of "
                f"{self.model_sha256[:12]}"
            )


def load_calibration(path: str | Path) -> Calibration:
    """Read an adjustment file.

    Raises
    ------
    InputError
        If the file is absent or no such file: says what was expected.
    """
    path = Path(path)
    try:
        raw = read_regular(path, MOST)
        content = json.loads(raw)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: expected a calibration, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a calibration in JSON, got {error}") from error
    kind = content.get("format") if isinstance(content, dict) else None
    if kind != FORMAT or content.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: expected the format {FORMAT}, schema {SCHEMA}, got {reprlib.repr(kind)}"
        )
    traits = content.get("traits")
    if not isinstance(traits, dict) or not traits:
        raise InputError(f"{path}: traits: expected at least one, got none")
    model = content.get("model") or {}
    return Calibration(
        {name: _factors(entry, f"{path}: {name}") for name, entry in traits.items()},
        model.get("sha256") if isinstance(model, dict) else None,
        path.name,
        hashlib.sha256(raw).hexdigest(),
        str(content.get("method", "")),
        content,
    )


def _factors(entry: Any, where: str) -> Factors:
    """Factors of one trait, checked."""
    try:
        pairs = sorted((float(k), float(v["factor"])) for k, v in entry["levels"].items())
        sd_factor = float(entry.get("sd_factor", pairs[-1][1]))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise InputError(f"{where}: expected levels with a factor each, got others") from None
    good = all(0 < level < 1 and math.isfinite(f) and f > 0 for level, f in pairs)
    if not good or not (math.isfinite(sd_factor) and sd_factor > 0):
        raise InputError(f"{where}: expected levels in (0, 1) and factors above 0, got others")
    return Factors(tuple(level for level, _ in pairs), tuple(f for _, f in pairs), sd_factor)


def adjust(
    factors: Factors,
    *,
    mean: ArrayLike,
    sd: ArrayLike,
    p025: ArrayLike,
    p975: ArrayLike,
    low: float = -math.inf,
    high: float = math.inf,
) -> Adjusted:
    """Adjust the standard deviation and the 95 % interval of one trait; NaN stays NaN.

    Parameters
    ----------
    factors : Factors
    mean, sd, p025, p975 : array
        Estimates in the trait's unit, of one shape.
    low, high : float
        The trait's range; quantiles are kept inside.

    Examples
    --------
    >>> factors = Factors((0.95,), (2.0,), 2.0)
    >>> adjust(factors, mean=[3.0], sd=[0.5], p025=[2.0], p975=[4.0], low=0.0, high=4.5)
    Adjusted(sd=array([1.]), p025=array([1.]), p975=array([4.5]))
    """
    ends = np.stack(np.broadcast_arrays(*(np.asarray(q, float) for q in (p025, p975))), axis=-1)
    levels = np.array([0.025, 0.975])
    lower, upper = np.moveaxis(
        adjust_quantiles(factors, mean=mean, quantiles=ends, levels=levels, low=low, high=high),
        -1, 0,
    )  # fmt: skip
    return Adjusted(np.asarray(sd, float) * factors.sd_factor, lower[()], upper[()])


def adjust_quantiles(
    factors: Factors,
    *,
    mean: ArrayLike,
    quantiles: np.ndarray,
    levels: np.ndarray,
    low: float = -math.inf,
    high: float = math.inf,
) -> np.ndarray:
    """Adjust quantiles [..., level] around the mean [...]; they stay in ascending order.

    Parameters
    ----------
    factors : Factors
    mean : array [...]
    quantiles : array [..., level]
    levels : array [level]
        Probabilities of the quantiles, ascending.
    low, high : float
        The trait's range.
    """
    centre = np.asarray(mean, float)[..., None]
    wide = centre + factors.at(np.abs(2 * levels - 1)) * (quantiles - centre)
    return np.clip(np.sort(wide, axis=-1), low, high)


class Calibrated:
    """A model whose estimates are adjusted; everything else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    calibration : Calibration
        Traits it does not name stay as they are.

    Attributes
    ----------
    inner
        The model.

    Raises
    ------
    InputError
        If the calibration is another model's.
    """

    def __init__(self, model: Any, calibration: Calibration) -> None:
        calibration.check_model(str(getattr(model, "sha256", "")))
        self.inner, self._calibration = model, calibration

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("inner", "_calibration"):
            raise AttributeError(name)  # while a copy of this object is being put together
        return getattr(self.inner, name)

    def around(self, model: Any) -> "Calibrated":
        """The same adjustment of a copy of the model."""
        return Calibrated(model, self._calibration)

    def estimate(
        self, reflectance: Any, angles: Any, variables: tuple[str, ...], **options: Any
    ) -> Any:
        """Estimate as the model does, then adjust sd and quantiles (see `adjust`)."""
        import torch

        found = self.inner.estimate(reflectance, angles, variables, **options)
        parts = {part: dict(getattr(found, part)) for part in Adjusted._fields}
        for name in (name for name in variables if name in self._calibration.traits):
            trait = self.inner.traits[name]
            given = {part: parts[part][name].cpu().numpy() for part in Adjusted._fields}
            adjusted = adjust(
                self._calibration.traits[name],
                mean=found.mean[name].cpu().numpy(),
                **given,
                low=float(trait.low),
                high=float(trait.high),
            )
            for part, values in adjusted._asdict().items():
                parts[part][name] = torch.as_tensor(values).to(found.mean[name])
        return found._replace(**parts)
