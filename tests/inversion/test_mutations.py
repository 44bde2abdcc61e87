"""Damaged inputs of every family are read or refused: one sentence, exit code 3."""

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import dask
import numpy as np
import pytest
import rasterio
from mutations import mutated

import more_products
import products
from inversion.readers import Declaration, detect, handles, reader, stores
from physvae.errors import InputError

COUNT = int(os.environ.get("PHYSVAE_MUTATIONS", "200"))
"""Mutations of a family; PHYSVAE_MUTATIONS asks for another number."""
GREY = np.linspace(0.05, 0.4, 10)[:, None, None] * np.ones((products.SIDE, products.SIDE))


class Case(NamedTuple):
    """How to make an input of a family, which files of it are read, and how they are."""

    make: Callable[[Path], Path]
    read: tuple[str, ...]
    bands: tuple[str, ...] = ("B4",)
    sensor: str = ""
    declaration: Declaration = Declaration()


def image(path: Path, case: Case):
    """Open an image as the command does, and read all of it."""
    family = detect(path)
    opened = reader(family)(path, case.declaration, bands=case.bands, sensor=case.sensor)
    opened.compute()


def geotiff_of_two(folder: Path) -> Path:
    path = folder / "image.tif"
    products.write(path, GREY[:2].astype(np.float32), 20)
    with rasterio.open(path, "r+") as file:
        file.descriptions = ["B3", "B4"]
    return path


CASES = {
    "safe": Case(
        lambda f: products.safe(f, values=GREY, fine=()),
        ("MTD_*.xml", "*_B04_20m.jp2", "*_SCL_*.jp2", "MSK*.jp2"),
    ),
    "maja": Case(products.maja, ("*.xml", "*_B4.tif", "*_CLM_R2.tif")),
    "eopf": Case(products.eopf, (".z*", "[0-9]*")),
    "stac": Case(more_products.stac, ("item.json", "red.tif", "scl.tif", "granule.xml")),
    "landsat": Case(
        more_products.landsat, ("*.xml", "*_B4.TIF", "*_QA_PIXEL.TIF"), ("B4",), "landsat-8"
    ),
    "hls": Case(more_products.hls, ("*B04.tif", "*Fmask.tif")),
    "enmap": Case(
        more_products.enmap, ("*.XML", "*IMAGE.TIF", "*CLOUD.TIF"), ("B4",), "sentinel-2a"
    ),
    "prisma": Case(more_products.prisma, ("*.he5",), ("B4",), "sentinel-2a"),
    "envi": Case(lambda f: more_products.envi(f, spectral=False), ("*.hdr", "*.bsq")),
    "geotiff": Case(geotiff_of_two, ("*.tif",)),
    "netcdf": Case(lambda f: more_products.labelled(f, ".nc"), ("*.nc",)),
    "zarr": Case(lambda f: more_products.labelled(f, ".zarr"), ("*.json", "[0-9]*")),
}


@pytest.fixture(scope="module", autouse=True)
def grey_landscapes():
    """Products of one grey: what is damaged does not need a canopy."""

    def spectra(center, fwhm):
        return np.full((len(center), products.SIDE, products.SIDE), 0.2)

    def bands(count):
        return np.linspace(0.05, 0.4, count)[:, None, None] * np.ones((products.SIDE,) * 2)

    with pytest.MonkeyPatch.context() as patch:
        for module in (products, more_products):
            patch.setattr(
                module, "landscape", lambda sensor="", names=products.BANDS: bands(len(names))
            )
        patch.setattr(more_products, "spectral_landscape", spectra)
        patch.setattr(
            more_products, "narrow", lambda low=420.0, high=2450.0, step=0.0: few(low, high)
        )
        with dask.config.set(scheduler="synchronous"):
            yield


def few(low, high):
    center = np.arange(low, high, 40.0)
    return center, np.full(len(center), 50.0)


def outcome(action: Callable[[], None]) -> str:
    """What a user meets: nothing, or the sentence of a refusal (exit code 3); else a fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
    except InputError as error:
        return str(error)
    finally:
        stores._opened.cache_clear()
        handles.close_files()
    return ""


@pytest.mark.parametrize("family", CASES)
def test_a_damaged_image_is_read_or_refused(family, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    case = CASES[family]
    path = case.make(tmp_path)
    files = sorted({f for pattern in case.read for f in tmp_path.rglob(pattern) if f.is_file()})
    assert not outcome(lambda: image(path, case))
    for seed in range(COUNT):
        file = files[seed % len(files)]
        kept = file.read_bytes()
        file.write_bytes(mutated(file, kept, seed))
        sentence = outcome(lambda: image(path, case))
        file.write_bytes(kept)
        assert not sentence or path.name in sentence or file.name in sentence
        assert len(sentence.splitlines()) <= 1
        assert "x" * 61 not in sentence
