"""A synthetic farmed landscape whose traits are known, as Sentinel-2 would see it.

Nothing here is measured. The ground is cut into blocks (the cells of a Voronoi diagram), each
block into strips of its own direction, each strip into fields. A field draws its crop and the
crop's traits, which then vary inside the field. PROSAIL turns them into reflectance; errors are
added as a satellite product has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

import rtm
from rtm import products

Image = NDArray[np.float64]
Range = tuple[float, float]

PIXEL = 10.0  # m
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
ANGLES = {"tts": 36.5, "tto": 6.0, "psi": 105.0}  # degree
WATER = (0.034, 0.040, 0.030, 0.024, 0.018, 0.017, 0.015, 0.013, 0.007, 0.005)  # a turbid pond
NOISE_COMMON, NOISE_BAND, NOISE_FLOOR = 0.03, 0.02, 0.003


@dataclass(frozen=True, kw_only=True)
class Cover:
    """One kind of land: its share of the fields, and the ranges from which each field draws.

    Units are those of `rtm.TRAITS`: lai [m2 m-2], cab [ug cm-2], cw [cm], cm [g cm-2], ala
    [degree]; cv is the share of ground under crowns.
    """

    share: float
    lai: Range
    cab: Range = (40.0, 60.0)
    cbrown: Range = (0.0, 0.1)
    cw: Range = (0.012, 0.022)
    cm: Range = (0.004, 0.006)
    n_leaf: Range = (1.3, 1.7)
    ala: Range = (40.0, 65.0)
    hspot: Range = (0.1, 0.4)
    cv: Range = (0.7, 1.0)


COVERS = {
    "winter wheat": Cover(share=0.28, lai=(1.8, 5.5), cab=(38.0, 65.0)),
    "oilseed rape": Cover(share=0.12, lai=(2.0, 4.5), cab=(40.0, 65.0), ala=(30.0, 52.0)),
    "ripening barley": Cover(share=0.12, lai=(1.0, 2.8), cab=(18.0, 35.0), cbrown=(0.2, 0.6)),
    "young maize": Cover(share=0.14, lai=(0.3, 1.4), cab=(35.0, 55.0), cv=(0.3, 0.7)),
    "sugar beet": Cover(share=0.10, lai=(1.0, 3.2), ala=(30.0, 48.0), cv=(0.4, 0.85)),
    "meadow": Cover(share=0.14, lai=(0.8, 3.5), cab=(28.0, 50.0), cbrown=(0.0, 0.3)),
    "bare soil": Cover(share=0.10, lai=(0.0, 0.08)),
    "wood": Cover(share=0.0, lai=(3.5, 5.0), cab=(40.0, 55.0), cv=(0.6, 0.9), cm=(0.006, 0.01)),
    "hedge": Cover(share=0.0, lai=(2.0, 4.0), cab=(35.0, 50.0), cv=(0.5, 0.9)),
    "track": Cover(share=0.0, lai=(0.0, 0.05)),
}
KINDS = tuple(COVERS)


@dataclass(frozen=True)
class Scene:
    """A scene, `reflectance` [band, y, x], and its `truth` by trait [y, x]; NaN where none."""

    reflectance: Image
    truth: dict[str, Image]


def make_scene(*, shape: tuple[int, int], seed: int = 7) -> Scene:
    """Draw the ground, give every pixel its traits, look at it with PROSAIL, and add errors."""
    rng = np.random.default_rng(seed)
    parcel, kind = lay_out(rng, shape)
    traits = grow(rng, parcel, kind)
    water = pond(rng, shape)
    clean, truth = look(traits)
    clean[:, water] = np.array(WATER)[:, None]
    seen = disturb(rng, clean)
    outside = swath_edge(shape)
    seen[:, outside] = np.nan
    unknown = water | outside
    return Scene(seen, {name: np.where(unknown, np.nan, value) for name, value in truth.items()})


def lay_out(rng: Generator, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the parcel of every pixel [y, x] and the kind of every parcel, both as numbers."""
    y, x = np.indices(shape) * PIXEL
    points = np.stack([y.ravel(), x.ravel()], axis=-1)
    seeds = block_seeds(rng, shape)
    _, near = cKDTree(seeds).query(points, k=2)
    block = near[:, 0]
    labels = np.stack([block, *strips(rng, points, block, len(seeds))])
    _, parcel = np.unique(labels, axis=1, return_inverse=True)
    shares = np.array([cover.share for cover in COVERS.values()])
    kind = rng.choice(len(KINDS), size=parcel.max() + 1, p=shares / shares.sum())
    parcel, kind = add_borders(rng, points, seeds, near, parcel, kind)
    parcel, kind = add_wood(rng, shape, parcel, kind)
    return parcel.reshape(shape), kind


def block_seeds(rng: Generator, shape: tuple[int, int]) -> Image:
    """Return the seeds of the blocks [block, (y, x)] in metres: a grid of 550 m, shaken."""
    y, x = (np.arange(-0.5, size * PIXEL / 550.0 + 1) for size in shape)
    grid = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return 550.0 * (grid + rng.uniform(-0.33, 0.33, grid.shape))


def strips(
    rng: Generator, points: Image, block: NDArray[np.int64], blocks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut each block along its own direction and each strip across; return strip and part."""
    angle = rng.uniform(0.0, np.pi, blocks)[block]
    along = points[:, 0] * np.cos(angle) + points[:, 1] * np.sin(angle)
    across = points[:, 1] * np.cos(angle) - points[:, 0] * np.sin(angle)
    width = rng.uniform(110.0, 240.0, blocks)[block]
    strip = np.floor(along / width).astype(np.int64)
    shift = rng.uniform(0.0, 1.0, (blocks, 97))[block, strip % 97]
    length = rng.uniform(260.0, 600.0, blocks)[block]
    return strip, np.floor(across / length + shift).astype(np.int64)


def add_borders(
    rng: Generator,
    points: Image,
    seeds: Image,
    near: NDArray[np.int64],
    parcel: NDArray[np.int64],
    kind: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put a track or a hedge on the border of some blocks, one pixel wide.

    The border between the cells of the seeds s1 and s2 is (d2^2 - d1^2) / (2 |s2 - s1|) away.
    """
    first, second = near.T
    d1, d2 = (((points - seeds[index]) ** 2).sum(-1) for index in (first, second))
    border = (d2 - d1) / (2 * np.linalg.norm(seeds[first] - seeds[second], axis=-1)) < 0.6 * PIXEL
    drawn = rng.uniform(size=(len(seeds), len(seeds)))
    drawn = np.maximum(drawn, drawn.T)[first, second]
    for name, chosen in (("track", border & (drawn < 0.6)), ("hedge", border & (drawn > 0.85))):
        parcel = np.where(chosen, len(kind), parcel)
        kind = np.append(kind, KINDS.index(name))
    return parcel, kind


def add_wood(
    rng: Generator, shape: tuple[int, int], parcel: NDArray[np.int64], kind: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Grow a wood with an uneven edge in the lower right."""
    inside = blot(rng, shape, centre=(0.80, 0.83), radius=260.0)
    return np.where(inside.ravel(), len(kind), parcel), np.append(kind, KINDS.index("wood"))


def pond(rng: Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where there is water."""
    return blot(rng, shape, centre=(0.62, 0.22), radius=110.0)


def blot(
    rng: Generator, shape: tuple[int, int], *, centre: tuple[float, float], radius: float
) -> NDArray[np.bool_]:
    """Return a round patch with an uneven edge; `centre` as shares of the shape, `radius` in m."""
    y, x = np.indices(shape)
    away = PIXEL * np.hypot(y - centre[0] * shape[0], (x - centre[1] * shape[1]) / 1.3)
    return away < radius * (1 + 0.25 * smooth(rng, shape, 8.0))


def swath_edge(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the corner that the satellite did not see."""
    y, x = np.indices(shape)
    return x - 0.25 * y > 0.9 * shape[1]


def smooth(rng: Generator, shape: tuple[int, int], pixels: float) -> Image:
    """Return a smooth random image with mean 0 and standard deviation 1."""
    image = gaussian_filter(rng.standard_normal(shape), pixels, mode="reflect")
    return (image - image.mean()) / image.std()


def grow(rng: Generator, parcel: NDArray[np.int64], kind: NDArray[np.int64]) -> dict[str, Image]:
    """Return the traits of every pixel: those of its field, varying inside it."""
    shape = parcel.shape
    field = {name: draw(rng, kind, name)[parcel] for name in ranges()}
    vigour = 0.7 * smooth(rng, shape, 6.0) + 0.3 * smooth(rng, shape, 1.5)
    lai = field["lai"] * np.exp(0.18 * vigour)
    cab = field["cab"] + 3.0 * vigour + 1.5 * smooth(rng, shape, 3.0)
    soil = smooth(rng, shape, 25.0) + 0.3 * smooth(rng, shape, 2.0)
    tilled = rng.uniform(-0.15, 0.15, len(kind))[parcel]
    return field | {
        "lai": lai,
        "cab": np.clip(cab, 12.0, 85.0),
        "car": np.clip(cab, 12.0, 85.0) / 4.5,
        "cw": field["cw"] * np.exp(0.1 * smooth(rng, shape, 4.0)),
        "psoil": np.clip(0.55 + 0.15 * soil + tilled, 0.0, 1.0),
        "rsoil": np.clip(0.85 + 0.08 * soil + 0.5 * tilled, 0.4, 1.3),
    }


def ranges() -> tuple[str, ...]:
    """Return the traits that every cover has a range of."""
    return tuple(name for name in Cover.__dataclass_fields__ if name != "share")


def draw(rng: Generator, kind: NDArray[np.int64], name: str) -> Image:
    """Draw one trait for every parcel, evenly within the range of its kind."""
    low, high = np.array([getattr(COVERS[k], name) for k in KINDS]).T
    return rng.uniform(low[kind], high[kind])


def look(traits: dict[str, Image]) -> tuple[Image, dict[str, Image]]:
    """Return the reflectance [band, y, x] of the traits, and the truth of what is retrieved."""
    shape = traits["lai"].shape
    model = rtm.Prosail(sensor="sentinel-2a", crowns=True)
    flat = {name: torch.as_tensor(value.ravel()) for name, value in traits.items()}
    theta = model.space.stack(**flat).float()
    angles = torch.tensor([ANGLES["tts"], ANGLES["tto"], ANGLES["psi"]]).expand(len(theta), 3)
    names = list(model.sensor.bands)
    seen = list(in_parts(model, theta, angles))
    bands = torch.cat([part.rso for part in seen])[:, [names.index(band) for band in BANDS]]
    derived = {
        "fapar": torch.cat([part.fapar for part in seen]),
        "fcover": torch.cat([part.fcover for part in seen]),
        "ccc": products.ccc(lai=flat["lai"], cab=flat["cab"]),
        "cwc": products.cwc(lai=flat["lai"], cw=flat["cw"]),
    }
    truth = {name: flat[name] for name in ("lai", "cab", "cw")} | derived
    reflectance = bands.double().numpy().T.reshape(len(BANDS), *shape)
    return reflectance, {
        name: value.double().numpy().reshape(shape) for name, value in truth.items()
    }


def in_parts(
    model: rtm.Prosail, theta: torch.Tensor, angles: torch.Tensor, size: int = 128
) -> Iterator[rtm.CanopyReflectance]:
    """Run the model on `size` pixels at a time, so few that they stay in the fast memory."""
    with torch.inference_mode():
        for start in range(0, len(theta), size):
            yield model(theta[start : start + size], angles[start : start + size])


def disturb(rng: Generator, reflectance: Image) -> Image:
    """Add the errors of a product: smooth and common to all bands, of each band, and a floor."""
    common = NOISE_COMMON * smooth(rng, reflectance.shape[1:], 12.0)
    band = NOISE_BAND * rng.standard_normal(reflectance.shape)
    floor = NOISE_FLOOR * rng.standard_normal(reflectance.shape)
    return reflectance * (1 + common + band) + floor
