"""The demonstration: simulate a landscape with known traits, retrieve it as a user would, compare.

Run by `make demo`, or `python examples/demo.py [FOLDER]`; what comes out lies in FOLDER (demo/).
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

import rtm
from inversion.quality import Quality, usable
from landscape import (
    ANGLES,
    BANDS,
    NOISE_BAND,
    NOISE_COMMON,
    NOISE_FLOOR,
    PIXEL,
    Scene,
    make_scene,
)
from quicklook import draw

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]

CONSOLE = Console(highlight=False)
TRAITS = ("lai", "cab", "cw", "ccc", "cwc", "fapar", "fcover")
LEAF_TRAITS = ("cab", "cw")
LEAFY = 0.5  # m2 m-2: where there are hardly any leaves, nothing can be told about them
SCALE, OFFSET, NO_DATA = 1e-4, -0.1, 0  # as ESA stores Sentinel-2 since processing baseline 04.00
OPTIONS = ("--sun-zenith", "--view-zenith", "--relative-azimuth")
GRID = {"crs": "EPSG:32632", "transform": rasterio.Affine(PIXEL, 0, 478_000, 0, -PIXEL, 5_262_000)}


def main() -> None:
    """Simulate, write, retrieve, compare, draw, and say how to go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    parser.add_argument("--seed", type=int, default=7, help="another number, another landscape")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the parts of the scene are small; more threads wait for each other

    CONSOLE.rule("A SYNTHETIC scene: every pixel is simulated, so the truth is known")
    scene = simulated(folder, seed=options.seed)
    retrieved = retrieve(folder / "scene.tif", folder / "traits.tif")
    quality = np.nan_to_num(retrieved["quality"], nan=Quality.NO_DATA.value).astype(np.uint16)
    land = np.isfinite(scene.truth["lai"])
    scored = land & usable(quality) & np.isfinite(retrieved["lai"])
    CONSOLE.print(compare(scene.truth, retrieved, scored))
    CONSOLE.print(remarks(land, scored, quality))
    draw(
        folder / "quicklook.png",
        reflectance=scene.reflectance[:3],
        truth=scene.truth["lai"],
        retrieved={name: retrieved[name] for name in ("lai", "lai_sd", "lai_p025", "lai_p975")},
        quality=quality,
        scored=scored,
        pixel=PIXEL,
    )
    CONSOLE.print(f"\nThe picture is {folder}/quicklook.png, the maps are {folder}/traits*.tif.")
    own = f"physvae retrieve YOUR.tif -o traits.tif {OPTIONS[0]} DEGREES"
    CONSOLE.print(
        f"The same with your own file: {Path(sys.executable).parent}/{own}", soft_wrap=True
    )


def simulated(folder: Path, *, seed: int, shape: tuple[int, int] = (200, 240)) -> Scene:
    """Make the scene and write it, and its truth, as GeoTIFFs."""
    start = time.perf_counter()
    scene = make_scene(shape=shape, seed=seed)
    stored = np.round((scene.reflectance - OFFSET) / SCALE)
    numbers = np.where(np.isfinite(stored), np.clip(stored, 1, 65534), NO_DATA).astype(np.uint16)
    write(
        folder / "scene.tif", dict(zip(BANDS, numbers, strict=True)), nodata=NO_DATA, stored=True
    )
    truth = {name: image.astype(np.float32) for name, image in scene.truth.items()}
    write(folder / "truth.tif", truth, nodata=float("nan"))
    CONSOLE.print(
        f"{shape[0]} x {shape[1]} pixels of {PIXEL:.0f} m by PROSAIL in"
        f" {time.perf_counter() - start:.0f} s, with errors: {NOISE_COMMON:.0%} common to all"
        f" bands, {NOISE_BAND:.0%} of each band, {NOISE_FLOOR:g} of reflectance"
    )
    return scene


def write(path: Path, bands: dict[str, NDArray], *, nodata: float, stored: bool = False) -> None:
    """Write named bands as a GeoTIFF; `stored` integers carry scale and offset of reflectance."""
    image = np.stack(list(bands.values()))
    count, height, width = image.shape
    shape = {"count": count, "height": height, "width": width, "dtype": image.dtype.name}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        nodata=nodata,
        compress="deflate",
        tiled=True,
        blockxsize=256,
        blockysize=256,
        **shape,
        **GRID,
    ) as target:
        target.write(image)
        target.descriptions = tuple(bands)
        if stored:
            target.scales, target.offsets = (SCALE,) * count, (OFFSET,) * count


def retrieve(source: Path, target: Path) -> dict[str, Image]:
    """Run `physvae retrieve` as it would be typed, and read what it wrote, by band name."""
    command = ["retrieve", str(source), "-o", str(target)]
    for option, angle in zip(OPTIONS, ANGLES.values(), strict=True):
        command += [option, str(angle)]
    CONSOLE.print(f"\n$ physvae {shlex.join(command)}", soft_wrap=True)
    start = time.perf_counter()
    code = subprocess.run([sys.executable, "-m", "physvae", *command]).returncode
    if code:
        sys.exit(code)
    CONSOLE.print(f"in {time.perf_counter() - start:.0f} s\n")
    written = (target, target.with_name(f"{target.stem}_quality.tif"))
    return {name: image for path in written for name, image in read(path)}


def read(path: Path) -> list[tuple[str, Image]]:
    """Return the named bands of a GeoTIFF in their units, NaN where there is no data."""
    with rasterio.open(path) as source:
        images = source.read(masked=True).astype(float)
        scaled = images * np.reshape(source.scales, (-1, 1, 1)) + np.reshape(
            source.offsets, (-1, 1, 1)
        )
        return list(zip(source.descriptions, scaled.filled(np.nan), strict=True))


def compare(truth: dict[str, Image], retrieved: dict[str, Image], scored: Mask) -> Table:
    """Return the table of errors and of the coverage of the 95 % interval, trait by trait."""
    table = Table(
        title="Retrieved against true. inside: share of the truth inside the 95 % interval;"
        " width: its mean width",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("trait", "unit", "pixels", "mean", "RMSE", "bias", "R²", "inside", "width"):
        left = heading in {"trait", "unit"}
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for name in TRAITS:
        chosen = scored & (truth["lai"] > LEAFY) if name in LEAF_TRAITS else scored
        table.add_row(name, unit(name), *figures(name, truth, retrieved, chosen))
    return table


def figures(
    name: str, truth: dict[str, Image], retrieved: dict[str, Image], chosen: Mask
) -> list[str]:
    """Return one row of the table; the mean of the truth has three digits."""
    if not chosen.any():
        return ["0", *("-" for _ in range(6))]
    true, mean = truth[name][chosen], retrieved[name][chosen]
    low, high = retrieved[f"{name}_p025"][chosen], retrieved[f"{name}_p975"][chosen]
    error = mean - true
    digits = max(0, 2 - int(np.floor(np.log10(true.mean()))))
    numbers = (true.mean(), np.sqrt(np.mean(error**2)), error.mean())
    return [
        f"{true.size:,}",
        *(f"{number:.{digits}f}" for number in numbers),
        f"{1 - np.mean(error**2) / np.var(true):.2f}",
        f"{np.mean((true >= low) & (true <= high)):.1%}",
        f"{np.mean(high - low):.{digits}f}",
    ]


def unit(name: str) -> str:
    """Return the unit of a trait or product."""
    return (rtm.TRAITS | rtm.PRODUCTS)[name].unit


def remarks(
    land: NDArray[np.bool_], scored: NDArray[np.bool_], quality: NDArray[np.uint16]
) -> str:
    """Say what was left out of the table, and whether the pond was recognised."""
    unseen = quality & Quality.NO_DATA.value > 0
    water = ~land & ~unseen
    known = np.mean(~usable(quality[water]))
    return (
        f"Left out: the corner without data, and {np.mean(~scored[land]):.1%} of the land,"
        f" which must not be used by its flags. Of the pond, which is no vegetation, {known:.0%}"
        " must not be used."
        f" {' and '.join(LEAF_TRAITS)} are compared where LAI > {LEAFY:g}. The intervals are made"
        " for real images, whose errors are larger than those of this scene and whose fields"
        " differ more; here they may hold more than 95 %."
    )


if __name__ == "__main__":
    main()
