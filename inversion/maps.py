"""Images in, maps out: lazy where the image is lazy, with the metadata a map needs (CF-1.11)."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from inversion.arrays import canonical
from inversion.geometry import COLUMNS
from inversion.image_check import check_image
from inversion.kernel import (
    DEFAULT_VARIABLES,
    check_variables,
    estimate_names,
    load_model,
    retrieve_block,
    scene_mask,
)
from inversion.methods import check_method, estimator
from inversion.naming import band_ids, common_band, counting, listing
from inversion.priors import Priors, check_priors, priors_of
from inversion.quality import Quality, flag_attributes
from inversion.readers.declaration import KEEP_CLASSES
from physvae.errors import InputError

STANDARD_NAMES = {
    "lai": "leaf_area_index",
    "fapar": (
        "fraction_of_surface_downwelling_photosynthetic_radiative_flux_absorbed_by_vegetation"
    ),
    "fcover": "vegetation_area_fraction",
}
"""CF standard names, for the traits that have one."""
_LONG_NAMES = {
    "": "{}, posterior mean",
    "_sd": "{}, posterior standard deviation",
    "_p025": "{}, 2.5 % quantile of the posterior",
    "_p975": "{}, 97.5 % quantile of the posterior",
}
_UDUNITS = str.maketrans("µμ⁻¹²³", "uu-123")


def retrieve(
    dataset: xr.Dataset,
    model: Any = "sentinel-2",
    variables: Sequence[str] = DEFAULT_VARIABLES,
    device: str = "auto",
    *,
    keep_classes: Sequence[int] = KEEP_CLASSES,
    batch: int | None = None,
    method: str = "amortised",
    steps: int = 200,
    check_radiometry: bool = True,
    prior: Any = None,
) -> xr.Dataset:
    """Estimate traits for every pixel of an image.

    Parameters
    ----------
    dataset
        `reflectance` with a dimension and coordinate `band` (ids such as ``B2``), or a variable
        for every band; 0-1, NaN where missing, or with scale and offset in the attributes; angles
        [degree] under any of their names as scalars or maps, where known; perhaps scene classes
        (`SCL`, `scene_class`). Any other dimensions (y, x, time, ...) are kept. `from_array` makes
        it from anything else.
    model
        A shipped model's name, a model folder, or a loaded model.
    variables
        Traits and products wanted, of those the model has; one name is one trait.
    device
        ``auto``, ``cpu`` or ``cuda``.
    keep_classes
        Scene classes that are estimated (default: vegetation and soil); empty keeps all.
    method, steps
        One of `inversion.methods.METHODS`; `steps` is how long an iterative one goes on.
    check_radiometry
        Whether a scale or offset that cannot be right is refused, as by `physvae retrieve`. Of a
        lazy image a sample is computed for that, here and now: at most eight windows of 256 x 256
        pixels of each of at most eight dates.
    prior
        In the place of the model's: a name (``"wheat"``), a file .toml, or priors by the codes of
        the map `prior_code` in `dataset` (`inversion.priors`).

    Returns
    -------
    xarray.Dataset
        For each variable its posterior mean, ``_sd``, ``_p025`` and ``_p975`` (float32, NaN where
        nothing was estimated), and ``quality`` (uint16 bits). Lazy where `dataset` is lazy.

    Raises
    ------
    InputError
        No Dataset, no reflectance, none of the model's bands, integers without a scale, or
        reflectance whose scale or offset cannot be right.
    UsageError
        A variable that the model does not have.
    """
    loaded = load_model(model, device)
    wanted = check_variables(variables, loaded)
    check_method(method)
    priors, varied = _asked_priors(dataset, prior, loaded)
    dataset = _understood(dataset, loaded)
    reflectance = dataset["reflectance"]
    if check_radiometry:
        check_image(dataset, keep_classes)
    angles = [dataset.get(COLUMNS[angle], xr.DataArray(np.nan)) for angle in loaded.angles]
    scene = [dataset["scene_class"]] if keep_classes and "scene_class" in dataset else []
    names = estimate_names(wanted)
    estimates, quality = xr.apply_ufunc(
        _numpy_block,
        reflectance,
        *angles,
        *scene,
        *varied,
        input_core_dims=[["band"]] + [[]] * (len(angles) + len(scene) + len(varied)),
        output_core_dims=[["estimate"], []],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"estimate": len(names)}},
        output_dtypes=[np.float32, np.uint16],
        kwargs={
            "model": model,
            "device": device,
            "variables": wanted,
            "keep_classes": tuple(keep_classes),
            "batch": batch,
            "method": method,
            "steps": steps,
            "pixels": reflectance.size // len(loaded.bands),
            "priors": priors,
            "varied": bool(varied),
        },
    )
    maps = {name: estimates.isel(estimate=index) for index, name in enumerate(names)}
    if "input_quality" in dataset:
        quality = quality | dataset["input_quality"].where(_estimated(quality), 0).astype("uint16")
    result = xr.Dataset({**maps, "quality": quality})
    return _described(result, wanted, loaded, reflectance, dataset.attrs)


def _asked_priors(
    dataset: Any, prior: Any, model: Any
) -> tuple[Priors | None, list[xr.DataArray]]:
    """Priors in the place of the model's, and the map of their codes where there is one."""
    if prior is None:
        return None, []
    there = isinstance(dataset, xr.Dataset) and "prior_code" in dataset
    priors = priors_of(prior, "map" if there else None)
    check_priors(priors, model)
    return priors, [dataset["prior_code"]] if there else []


def _estimated(quality: xr.DataArray) -> xr.DataArray:
    """Say which pixels were estimated; what was left out needs no further bit."""
    left_out = np.uint16(Quality.NO_DATA | Quality.MASKED_BY_SCENE_CLASS)
    return (quality & left_out) == 0


def _understood(dataset: Any, model: Any) -> xr.Dataset:
    """Return the canonical Dataset with the model's bands in the model's order."""
    if not isinstance(dataset, xr.Dataset):
        raise InputError(
            f"dataset: expected an xarray.Dataset, got {type(dataset).__name__};"
            " inversion.from_array makes one"
        )
    parts = canonical(dataset, known=model.bands)
    reflectance = _bands_in_order(parts, model)
    return parts.drop_vars(["reflectance", "band"]).assign(reflectance=reflectance)


def _bands_in_order(dataset: xr.Dataset, model: Any) -> xr.DataArray:
    """Return reflectance with the model's bands in the model's order; an absent band is NaN."""
    reflectance, bands = dataset["reflectance"], list(model.bands)
    found = [str(band) for band in reflectance["band"].to_numpy()]
    named = zip(band_ids(found, bands), found, strict=True)
    ids = [band or common_band(text, model.sensor) or text for band, text in named]
    wanted = [band for band in ids if band in bands]
    if not wanted or len(set(wanted)) < len(wanted):
        raise InputError(
            f"dataset: expected bands {listing(bands)}, each once, found"
            f" {listing(found)}{counting(found)}"
        )
    known = [index for index, band in enumerate(ids) if band in bands]
    ordered = reflectance.isel(band=known).assign_coords(band=wanted).reindex(band=bands)
    return ordered if ordered.chunks is None else ordered.chunk(band=-1)


def _numpy_block(
    reflectance: np.ndarray,
    *layers: np.ndarray | np.floating,
    model: Any,
    device: str,
    variables: tuple[str, ...],
    keep_classes: tuple[int, ...],
    batch: int | None,
    method: str,
    steps: int,
    pixels: int,
    priors: Priors | None,
    varied: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Put angles and scene classes beside the pixels of one block and estimate it."""
    if threading.current_thread() is not threading.main_thread():
        torch.set_num_threads(1)
    shape = reflectance.shape[:-1]
    loaded = estimator(load_model(model, device), method, steps, pixels)
    count = len(loaded.angles)
    angles = np.stack([np.broadcast_to(np.float32(x), shape) for x in layers[:count]])
    codes = np.broadcast_to(layers[-1], shape) if varied else None
    scene = [np.broadcast_to(x, shape) for x in layers[count : len(layers) - varied]]
    masked = scene_mask(scene[0], keep_classes) if scene else None
    block = retrieve_block(
        loaded, reflectance, np.moveaxis(angles, 0, -1), variables=variables, masked=masked,
        batch=batch, priors=priors,
        places=None if priors is None or codes is None else priors.of_codes(codes),
    )  # fmt: skip
    return block.estimates, block.quality


def _described(
    result: xr.Dataset,
    variables: Sequence[str],
    model: Any,
    reflectance: xr.DataArray,
    about: Mapping[Any, Any],
) -> xr.Dataset:
    """Give every map its names, units, flags and grid."""
    result = result.drop_vars("band", errors="ignore")
    for name in variables:
        trait = model.traits[name]
        for statistic, long_name in _LONG_NAMES.items():
            attributes = {"units": udunits(trait.unit), "long_name": long_name.format(name)}
            if statistic in ("", "_sd") and name in STANDARD_NAMES:
                modifier = " standard_error" if statistic else ""
                attributes["standard_name"] = STANDARD_NAMES[name] + modifier
            if not statistic:
                attributes["ancillary_variables"] = f"{name}_sd {name}_p025 {name}_p975 quality"
            result[name + statistic].attrs = attributes
    result["quality"].attrs = {
        "long_name": "quality of the estimates",
        "standard_name": "quality_flag",
        **flag_attributes(),
    }
    grid = reflectance.encoding.get("grid_mapping", reflectance.attrs.get("grid_mapping"))
    if grid in result.coords:
        result[grid].attrs |= {"long_name": "coordinate reference system"}
        for name in result.data_vars:
            result[name].attrs["grid_mapping"] = grid
    result.attrs = {
        "Conventions": "CF-1.11",
        "title": "Vegetation traits estimated by PhysVAE",
        "model": model.name,
        "model_sha256": model.sha256,
    }
    result.attrs |= {key: about[key] for key in ("product", "acquired") if about.get(key)}
    return result


def udunits(unit: str) -> str:
    """Write a unit the way UDUNITS reads it.

    >>> [udunits(unit) for unit in ("µg cm⁻²", "m² m⁻²", "-")]
    ['ug cm-2', 'm2 m-2', '1']
    """
    text = unit.translate(_UDUNITS).strip()
    return "1" if text in ("-", "") else text
