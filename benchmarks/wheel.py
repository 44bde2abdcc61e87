"""A wheel in an empty environment runs the commands and the code of the README.

    python benchmarks/wheel.py [--keep FOLDER]

Builds the wheel, makes an environment with nothing in it, installs the wheel with the versions of
constraints.txt, lays small products beside under the names that the README uses, and runs every
`physvae` command there and the block of Python. Needs the network, for the dependencies. Ends
with 1 if one of them failed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import torch

import rtm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inversion"))
import more_products
import products

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = "--scheduler"  # needs a cluster that runs


def installed(folder: Path) -> Path:
    """The commands of an environment that holds the wheel and what it asks for."""
    python = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(ROOT),
        "--no-deps",
        "-q",
        "-w",
        str(folder),
    ]
    subprocess.run(python, check=True)
    wheel = next(folder.glob("*.whl"))
    venv.create(folder / "empty", with_pip=True)
    commands = folder / "empty" / "bin"
    install = [str(commands / "pip"), "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(wheel)], check=True)
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    return commands


def lay(folder: Path) -> None:
    """Products, a table and plots under the names of the README."""
    (folder / "build").mkdir()
    made = products.safe(folder / "build")
    shutil.copytree(made, folder / "S2A_MSIL2A_20230601.SAFE")
    shutil.copytree(made, folder / "scene.SAFE")
    for build, name in (
        (products.maja, "SENTINEL2A_20230601_L2A_T32TMT_C_V3-0"),
        (products.eopf, "S2A_MSIL2A_20230601.zarr"),
    ):
        shutil.move(build(folder / "build"), folder / name)
    landsat = more_products.landsat(folder / "build")
    with tarfile.open(folder / "LC09_L2SP_195027_20230601.tar", "w") as archive:
        for file in (landsat if landsat.is_dir() else landsat.parent).iterdir():
            archive.add(file, file.name)
    (folder / "list.txt").write_text("S2A_MSIL2A_20230601.SAFE\nscene.SAFE\n")
    image(folder / "scene.tif")
    table(folder / "field.csv")
    plots(folder)


def image(path: Path) -> None:
    """A GeoTIFF with an offset that its numbers do not tell."""
    values = products.stored(products.landscape(), offset=-0.1)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(values), "crs": "EPSG:32632"}
    size = {"height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(
        path, "w", **profile, **size, transform=rasterio.Affine(20, 0, 4e5, 0, -20, 5.2e6)
    ) as file:
        file.write(values)
        file.descriptions = products.BANDS
        file.scales, file.offsets = [1e-4] * len(values), [-0.1] * len(values)


def table(path: Path) -> None:
    """Plots of known LAI at two sites."""
    lai = np.linspace(0.5, 5.0, 30)
    sensor = rtm.load_sensor("sentinel-2a").select(products.BANDS)
    seen = rtm.prosail(sensor=sensor, lai=torch.tensor(lai), cab=45.0, tts=35.0, tto=5.0).rso
    frame = pd.DataFrame(seen.numpy(), columns=list(products.BANDS))
    frame["lai"], frame["site"] = lai, np.repeat(["A", "B"], 15)
    frame.assign(sun_zenith_deg=35.0, view_zenith_deg=5.0).to_csv(path, index=False)


def plots(folder: Path) -> None:
    """Two points within the product."""
    with rasterio.open(next((folder / "scene.SAFE").rglob("*_B05_20m.jp2"))) as file:
        places = [file.xy(file.height // k, file.width // k) for k in (2, 3)]
        points = gpd.points_from_xy(*zip(*places, strict=True), crs=file.crs)
    gpd.GeoDataFrame({"plot": ["a", "b"]}, geometry=points).to_file(folder / "plots.gpkg")


def readme() -> tuple[list[str], str]:
    """Its physvae commands, and its code."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    code = re.search(r"```python\n(.*?)```", text, re.S)
    assert code is not None
    return [line for line in lines if line.startswith("physvae ")], code[1]


def main(arguments: list[str]) -> int:
    """Print every command with its exit code and time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path, help="A folder to work in and to leave.")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        commands = installed(folder)
        lay(folder)
        lines, code = readme()
        runs = [(line, [str(commands / "physvae"), *line.split()[1:]]) for line in lines]
        runs.append(("the block of Python", [str(commands / "python"), "-c", code]))
        failed = 0
        for line, run in runs:
            if ELSEWHERE in line:
                print(f"not run (needs a cluster): {line}")
                continue
            start = time.perf_counter()
            done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
            failed += done.returncode != 0
            print(f"exit {done.returncode}, {time.perf_counter() - start:.0f} s: {line}")
            if done.returncode:
                print(done.stderr.strip()[-2000:])
    print(f"{len(runs) - failed} of {len(runs)} without a fault")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
