"""The one place where pixels meet the model: a block of numbers in, a block of numbers out.

A block has any number of leading axes; its last axis is `band`, `angle` or `estimate`. Everything
around (tables, maps, dask, files) only cuts blocks and puts the results back.
"""

import functools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt16

from inversion.calibration import Calibrated, load_calibration
from inversion.geometry import fold
from inversion.priors import Priors
from inversion.quality import (
    REFLECTANCE_MAX,
    REFLECTANCE_MIN,
    Quality,
    clip_near,
    combine,
    diagnostic_flags,
    input_flags,
    possible_angles,
    range_flags,
)
from physvae.errors import ModelError, UsageError
from physvae.loops import BLOCK
from physvae.user_priors import UserPrior

DEFAULT_VARIABLES = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
STATISTICS = ("", "_sd", "_p025", "_p975")
"""What follows a trait's name: posterior mean, standard deviation, 2.5 % and 97.5 % quantile."""
BATCHES = {"cpu": 2 * BLOCK, "cuda": 65536}
"""Pixels given to the model at once, by device; bounds the memory, changes no result."""

_loading = threading.Lock()


@dataclass(frozen=True)
class CalibratedModel:
    """A model by name, the file of `physvae calibrate` that adjusts it, and its intervals' kind.

    With `field` False all intervals are those of the posterior, right on simulations.
    """

    model: str
    calibration: Path | None = None
    field: bool = True


class Block(NamedTuple):
    """Estimates and quality of a block of pixels."""

    estimates: Float[np.ndarray, "*pixel estimate"]
    quality: UInt16[np.ndarray, "*pixel"]


def load_model(model: Any, device: str = "auto") -> Any:
    """Return the model of that name or folder, loaded once in a process; an object stays itself.

    A `CalibratedModel` gives the model with its estimates adjusted.

    Raises
    ------
    physvae.errors.ModelError
        The name is unknown, the folder is refused, or its model is of patches or series.
    UsageError
        The device is unknown or not there.
    """
    if isinstance(model, CalibratedModel):
        loaded = load_model(model.model, device)
        with _loading:
            loaded = loaded if model.field else _without_field(loaded)
            return _calibrated(loaded, model.calibration) if model.calibration else loaded
    if not isinstance(model, (str, Path)):
        return model
    with _loading:
        return _load(str(model), pick_device(device))


def pick_device(device: str) -> str:
    """Translate ``auto`` to the GPU where there is one; refuse a device that is not there."""
    kind = device.split(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device: expected auto, cpu or cuda, got {device!r}")
    available = torch.cuda.is_available()
    if kind == "cuda" and not available:
        raise UsageError("device: expected a CUDA device for 'cuda', found none; use auto or cpu")
    return ("cuda" if available else "cpu") if kind == "auto" else device


def check_variables(variables: Sequence[str], model: Any) -> tuple[str, ...]:
    """Return the wanted variables; refuse those the model does not have, naming those it has."""
    wanted = tuple(dict.fromkeys([variables] if isinstance(variables, str) else variables))
    unknown = [name for name in wanted if name not in model.traits]
    if unknown or not wanted:
        found = ", ".join(map(repr, unknown)) or "none"
        raise UsageError(f"variables: expected some of {', '.join(model.traits)}, got {found}")
    return wanted


def estimate_names(variables: Sequence[str]) -> list[str]:
    """Return the names along the last axis of the estimates: each trait's mean, sd, quantiles."""
    return [name + statistic for name in variables for statistic in STATISTICS]


def retrieve_block(
    model: Any,
    reflectance: Float[np.ndarray, "*pixel band"],
    angles: Float[np.ndarray, "*pixel angle"],
    *,
    variables: Sequence[str] = DEFAULT_VARIABLES,
    masked: Bool[np.ndarray, "*pixel"] | None = None,
    batch: int | None = None,
    priors: Priors | None = None,
    places: Integer[np.ndarray, "*pixel"] | None = None,
) -> Block:
    """Estimate the traits of a block of pixels.

    Parameters
    ----------
    model
        A loaded model (see `load_model`); its `bands` and `angles` order the last axes.
    reflectance
        Surface reflectance [0-1], NaN where missing; the model does not see empty pixels.
    angles
        Sun zenith, view zenith, relative azimuth [degree], NaN where not known.
    masked
        Pixels to leave out because of their scene class.
    batch
        Pixels given to the model at once; None chooses by device.
    priors, places
        Priors in the place of the model's, and which of them holds for each pixel.

    Returns
    -------
    Block
        `estimates` in the order of `estimate_names`, NaN where nothing was estimated, float32.
    """
    shape = reflectance.shape[:-1]
    spectra = _columns(reflectance)
    geometry = _columns(np.broadcast_to(angles, (*shape, angles.shape[-1])))
    left_out = np.zeros(shape, bool) if masked is None else masked
    quality = _input_quality(spectra, geometry, left_out.reshape(-1))
    unusable = np.uint16(Quality.NO_DATA | Quality.MASKED_BY_SCENE_CLASS)
    usable = np.flatnonzero((quality & unusable) == 0)
    estimates = np.empty((len(estimate_names(variables)), quality.size), dtype=np.float32)
    if usable.size < quality.size:
        estimates.fill(np.nan)
    step = batch or getattr(model, "batch", None) or BATCHES[_device(model).type]
    for prior, chosen in _by_prior(usable, priors, places):
        for start in range(0, chosen.size, step):
            pixels = _together(chosen[start : start + step])
            part = _estimate(model, spectra[:, pixels], geometry[:, pixels], variables, prior)
            estimates[:, pixels] = part.estimates
            quality[pixels] |= part.quality
        if priors is not None and prior is None:
            quality[chosen] |= np.uint16(Quality.PRIOR_UNKNOWN)
    return Block(estimates.T.reshape(*shape, len(estimates)), quality.reshape(shape))


def scene_mask(
    scene_class: Integer[np.ndarray, "*pixel"] | Float[np.ndarray, "*pixel"], keep: Sequence[int]
) -> Bool[np.ndarray, "*pixel"]:
    """Say which pixels have a scene class other than those kept; no class is not kept either."""
    return ~np.isin(scene_class, list(keep))


@functools.lru_cache(maxsize=4)
def _load(path: str, device: str) -> Any:
    import physvae

    model = physvae.load(path, device=device)
    layout = getattr(model, "layout", "pixel")
    if layout != "pixel":
        kind = {"patch": "patches", "series": "series"}[layout]
        raise ModelError(f"{path}: expected a model of single pixels, got one of {kind}")
    return model


@functools.lru_cache(maxsize=4)
def _without_field(model: Any) -> Any:
    from physvae.field_interval import without_field

    return without_field(model)


@functools.lru_cache(maxsize=8)
def _calibrated(model: Any, path: Path) -> Calibrated:
    return Calibrated(model, load_calibration(path))


def _columns(rows: Float[np.ndarray, "*pixel row"]) -> Float[np.ndarray, "row pixel"]:
    """Pixels as columns, float32: what is done to a band is done along memory."""
    columns = np.moveaxis(rows, -1, 0).reshape(rows.shape[-1], math.prod(rows.shape[:-1]))
    return columns.astype(np.float32, order="C", copy=False)


def _together(pixels: Integer[np.ndarray, " pixel"]) -> Integer[np.ndarray, " pixel"] | slice:
    """Ascending numbers of pixels as a slice where none is left out between them."""
    first, last = int(pixels[0]), int(pixels[-1])
    return slice(first, last + 1) if last - first == len(pixels) - 1 else pixels


def _input_quality(
    spectra: Float[np.ndarray, "band pixel"],
    geometry: Float[np.ndarray, "angle pixel"],
    masked: Bool[np.ndarray, " pixel"],
) -> UInt16[np.ndarray, " pixel"]:
    """Say what the input tells, some pixels at a time, which stay in the cache."""
    quality = np.empty(len(masked), np.uint16)
    for start in range(0, len(masked), BATCHES["cpu"]):
        part = slice(start, start + BATCHES["cpu"])
        quality[part] = input_flags(spectra[:, part].T, geometry[:, part].T, masked[part])
    return quality


def _estimate(
    model: Any,
    spectra: Float[np.ndarray, "band pixel"],
    geometry: Float[np.ndarray, "angle pixel"],
    variables: Sequence[str],
    prior: UserPrior | None,
) -> Block:
    """Ask the model about pixels that have data, and say how well it could answer.

    Here estimates are [estimate, pixel].
    """
    device = _device(model)
    with torch.inference_mode():
        result = model.estimate(
            torch.from_numpy(_measured(spectra)).to(device).T,
            torch.from_numpy(_known(geometry)).to(device).T,
            variables=tuple(variables),
            **({} if prior is None else {"prior": prior}),
        )
    quality = diagnostic_flags(
        misfit=_numpy(result.misfit),
        novelty=_numpy(result.novelty),
        prior_width=_numpy(result.prior_width),
    )
    converged = getattr(result, "converged", None)
    if converged is not None:
        quality |= combine({Quality.REFINEMENT_NOT_CONVERGED: ~_numpy(converged)})
    contradicted = getattr(result, "contradicted", None)
    if contradicted is not None:
        quality |= combine({Quality.PRIOR_CONTRADICTED: _numpy(contradicted)})
    estimates = np.empty((len(variables), len(STATISTICS), len(quality)), np.float32)
    for name, (mean, sd, lower, upper) in zip(variables, estimates, strict=True):
        low, high = (np.float32(getattr(model.traits[name], end)) for end in ("low", "high"))
        sd[:] = _numpy(result.sd[name])
        for row, part in ((mean, result.mean), (lower, result.p025), (upper, result.p975)):
            row[:] = _numpy(part[name])
        moved = (mean, lower, upper)
        if min(map(np.min, moved)) >= low and max(map(np.max, moved)) <= high:
            continue  # as nearly always; a NaN is neither
        quality |= range_flags(mean, low=low, high=high)
        for row in moved:
            row[:] = clip_near(row, low=low, high=high)
    return Block(estimates.reshape(-1, len(quality)), quality)


def _by_prior(
    usable: Integer[np.ndarray, " usable"],
    priors: Priors | None,
    places: Integer[np.ndarray, "*pixel"] | None,
) -> Iterator[tuple[UserPrior | None, Integer[np.ndarray, " some"]]]:
    """Yield each prior with the pixels that it holds for; None is the model's own."""
    if priors is None or places is None:
        yield (priors.all[0] if priors else None), usable
        return
    own = places.reshape(-1)[usable]
    for place in np.unique(own):
        yield (priors.all[place] if place >= 0 else None), usable[own == place]


def _device(model: Any) -> torch.device:
    """Return where the model's weights lie; a model without weights works on the CPU."""
    weights = getattr(model, "parameters", tuple)()
    return next((weight.device for weight in weights), torch.device("cpu"))


def _measured(spectra: Float[np.ndarray, "band pixel"]) -> Float[np.ndarray, "band pixel"]:
    """Keep the numbers that can be a reflectance; all others are missing."""
    lowest = np.fmin.reduce(spectra, axis=None, initial=0.0)
    highest = np.fmax.reduce(spectra, axis=None, initial=0.0)
    if lowest >= REFLECTANCE_MIN and highest <= REFLECTANCE_MAX:
        return spectra
    possible = (spectra >= REFLECTANCE_MIN) & (spectra <= REFLECTANCE_MAX)
    return np.where(possible, spectra, np.float32(np.nan))


def _known(geometry: Float[np.ndarray, "angle pixel"]) -> Float[np.ndarray, "angle pixel"]:
    """Keep the angles that can be, the relative azimuth folded; all others are missing."""
    known = np.where(possible_angles(geometry.T).T, geometry, np.float32(np.nan))
    known[2] = fold(known[2])
    return known


def _numpy(tensor: torch.Tensor) -> Float[np.ndarray, " pixel"]:
    return tensor.detach().cpu().numpy()
