"""A stand-in with the model's interface: the shells are tested without what a model has learnt."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

sys.path.insert(0, str(Path(__file__).parent))  # for products.py and more_products.py

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


class Trait(NamedTuple):
    name: str
    unit: str
    low: float
    high: float


class Estimate(NamedTuple):
    mean: dict[str, torch.Tensor]
    sd: dict[str, torch.Tensor]
    p025: dict[str, torch.Tensor]
    p975: dict[str, torch.Tensor]
    misfit: torch.Tensor
    novelty: torch.Tensor
    prior_width: torch.Tensor


class StandIn:
    """LAI is ten times the mean of the bands that are there; other traits lie mid-range.

    Novelty is the reflectance of B12 doubled, misfit that of B11 doubled, and a pixel with a
    single band is as wide as the prior: a test chooses the bits by choosing the spectrum.
    """

    name, sensor, sha256 = "stand-in", "sentinel-2a", "0" * 64
    bands, angles = BANDS, ("tts", "tto", "psi")
    traits: ClassVar = {
        trait.name: trait
        for trait in (
            Trait("lai", "m² m⁻²", 0.0, 10.0),
            Trait("cab", "µg cm⁻²", 0.0, 100.0),
            Trait("cw", "cm", 0.0, 0.1),
            Trait("ccc", "g m⁻²", 0.0, 10.0),
            Trait("cwc", "g m⁻²", 0.0, 10000.0),
            Trait("fapar", "-", 0.0, 1.0),
            Trait("fcover", "-", 0.0, 1.0),
        )
    }

    def __init__(self) -> None:
        self.pixels = 0
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def estimate(self, reflectance, angles, variables):
        assert reflectance.dtype == angles.dtype == torch.float32
        assert reflectance.shape[-1] == len(BANDS)
        assert angles.shape == (len(reflectance), 3)
        self.pixels += len(reflectance)
        self.seen.append((reflectance, angles))
        there = torch.isfinite(reflectance).sum(-1)
        mean = {"lai": 10 * torch.nanmean(reflectance.contiguous(), -1)}
        for name in variables:
            middle = (self.traits[name].low + self.traits[name].high) / 2
            mean.setdefault(name, torch.full_like(mean["lai"], middle))
        sd = {name: torch.full_like(value, 0.1) for name, value in mean.items()}
        return Estimate(
            mean=mean,
            sd=sd,
            p025={name: value - 0.2 for name, value in mean.items()},
            p975={name: value + 0.2 for name, value in mean.items()},
            misfit=torch.nan_to_num(2 * reflectance[:, -2]),
            novelty=torch.nan_to_num(2 * reflectance[:, -1]),
            prior_width=torch.where(there > 1, 0.5, 1.0),
        )


@pytest.fixture
def geotiff(tmp_path: Path) -> Callable[..., Path]:
    """Write a GeoTIFF of given layers ({description: values[y, x]}) as any software would."""

    def write(layers: dict[str, np.ndarray], name: str = "image.tif", **profile) -> Path:
        values = np.stack(list(layers.values()))
        path = tmp_path / name
        scale, offset = profile.pop("scale", None), profile.pop("offset", 0.0)
        grid = {"crs": "EPSG:32632", "transform": from_origin(465000, 5250000, 10, 10)}
        grid |= {"driver": "GTiff", "dtype": values.dtype.name, "count": len(values)}
        grid |= {"height": values.shape[1], "width": values.shape[2]}
        with rasterio.open(path, "w", **(grid | profile)) as file:
            file.write(values)
            file.descriptions = list(layers)
            if scale is not None:
                file.scales, file.offsets = [scale] * len(values), [offset] * len(values)
        return path

    return write


@pytest.fixture
def meadow() -> Callable[..., dict[str, np.ndarray]]:
    """Layers of a green scene, reflectance 0-1, a little different from pixel to pixel."""
    spectrum = (0.03, 0.05, 0.03, 0.10, 0.30, 0.36, 0.38, 0.40, 0.20, 0.10)

    def layers(height: int = 6, width: int = 8) -> dict[str, np.ndarray]:
        shade = 1 + 0.1 * np.sin(np.arange(height * width)).reshape(height, width)
        return {
            band: (value * shade).astype(np.float32)
            for band, value in zip(BANDS, spectrum, strict=True)
        }

    return layers


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def shipped(monkeypatch, stand_in) -> Iterator[StandIn]:
    """The stand-in under the name of the shipped model, for what goes through the command line."""
    import physvae
    from inversion import kernel

    kernel._load.cache_clear()
    monkeypatch.setitem(vars(physvae), "load", lambda path, device="cpu": stand_in)
    yield stand_in
    kernel._load.cache_clear()
