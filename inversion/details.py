"""What `--verbose` tells of a retrieval: the model, and where the numbers of the input are from.

Readers leave the origin of angles and scene classes in the attribute `source` of the variables,
that of the reflectance in `radiometry`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from inversion.geometry import COLUMNS
from inversion.kernel import pick_device
from inversion.naming import listing
from inversion.radiometry import AS_THEY_ARE
from inversion.readers.declaration import Declaration, option_of

LOG = logging.getLogger(__name__)


def tell_model(model: Any, job: Any) -> None:
    """Tell which model estimates, how, and what its intervals are."""
    LOG.info("model: %s, sha256 %s", model.name, model.sha256)
    kind = "meant for measurements" if job.field else "of the posterior"
    adjusted = f", adjusted by {job.calibration}" if job.calibration else ""
    LOG.info("method: %s; intervals %s%s", job.method, kind, adjusted)
    for prior in job.priors.all if job.priors else ():
        LOG.info("prior: %s, sha256 %s", prior.name, prior.sha256)
    LOG.info("device: %s", pick_device(job.device))


def tell_image(image: xr.Dataset, declared: Declaration, source: str) -> None:
    """Tell what an image is, and where scale, offset, angles and scene classes were read."""
    about = {key: image.attrs.get(key) for key in ("product", "baseline", "sensor", "acquired")}
    named = ", ".join(f"{key} {text}" for key, text in about.items() if text)
    LOG.info("input: %s", f"{source}; {named}" if named else source)
    height, width = (image.sizes[side] for side in ("y", "x"))
    bands = listing(map(str, image["band"].to_numpy()))
    LOG.info("reflectance: %d x %d pixels, bands %s", height, width, bands)
    for step in steps_of(image.attrs.get("radiometry")):
        LOG.info("reflectance: %s", step_in_words(**step))
    for name in COLUMNS.values():
        LOG.info("%s: %s", name, _angle(image, name))
    LOG.info("scene classes: %s", _classes(image, declared.keep_classes))


def tell_table(bands: Mapping[str, str], angles: Mapping[str, str], declared: Declaration) -> None:
    """Tell the columns, by our names, and the options that stand for what is missing."""
    step = {key: getattr(declared, key) for key in ("scale", "offset", "nodata")}
    said = [f"--{key} {value:g}" for key, value in step.items() if value is not None]
    LOG.info("reflectance: %s; %s", _columns(bands), ", ".join(said) or AS_THEY_ARE)
    given = {name: value for name, value in declared.angles.items() if value is not None}
    options = [f"{option_of(name)} {value:g}" for name, value in given.items()]
    LOG.info("angles: %s", "; ".join([_columns(angles), *options]))


def _columns(named: Mapping[str, str]) -> str:
    texts = [ours if ours == own else f"{ours} as {own}" for ours, own in named.items()]
    return f"columns {listing(texts)}" if texts else "no column"


def steps_of(radiometry: Any) -> list[Mapping[str, Any]]:
    """The records of how numbers became reflectance, whether there is one or a list of them."""
    return [radiometry] if isinstance(radiometry, Mapping) else list(radiometry or ())


def step_in_words(*, scale: float, offset: float, nodata: float | None, source: str) -> str:
    """One record of how numbers became reflectance.

    >>> step_in_words(scale=1e-4, offset=-0.1, nodata=0.0, source="MTD_MSIL2A.xml")
    'scale 0.0001, offset -0.1, no data 0 (MTD_MSIL2A.xml)'
    """
    empty = "" if nodata is None else f", no data {nodata:g}"
    return f"scale {scale:g}, offset {offset:g}{empty} ({source})"


def _angle(image: xr.Dataset, name: str) -> str:
    if name not in image:
        return "not known, the model averages over it"
    angle = image[name]
    value = "a map" if angle.ndim else f"{float(angle):.2f}"
    return f"{value}, from {angle.attrs['source']}"


def _classes(image: xr.Dataset, kept: Sequence[int]) -> str:
    if "scene_class" not in image:
        return "none"
    which = f"{listing(map(str, kept))} estimated" if kept else "all estimated"
    return f"from {image['scene_class'].attrs['source']}; {which}"
