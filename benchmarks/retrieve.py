"""Pixels a second of estimates, by method, as a map is estimated.

    python benchmarks/retrieve.py [--pixels 1638400] [--methods amortised] [--threads 1 2]

Seven traits with standard deviation and interval, from reflectance in memory that is cut in
blocks as an image is; the first run, in which loops are made, counts apart.
"""

import argparse
import sys
import time

import dask
import numpy as np
import torch
import xarray as xr

from inversion.geometry import COLUMNS
from inversion.kernel import DEFAULT_VARIABLES, load_model
from inversion.maps import retrieve

BLOCK, RUNS = 640, 5


def image(model, pixels: int) -> xr.Dataset:
    """Spectra of draws of the prior with the model's noise, as an image of so many pixels."""
    generator = torch.Generator().manual_seed(11)
    kind = next(model.parameters())
    with torch.no_grad():
        scores = torch.randn(65_536, len(model.space), generator=generator).to(kind)
        angles = torch.tensor([35.0, 6.0, 105.0])
        theta = model.prior(scores).to(kind)
        few = model.likelihood.draw(model.physical(theta, angles.to(kind)), generator).numpy()
    columns = BLOCK * max(1, round(pixels / BLOCK**2))
    seen = np.resize(few, (BLOCK * columns, few.shape[1])).T.reshape(-1, BLOCK, columns)
    cube = xr.DataArray(
        seen.copy(), dims=("band", "y", "x"), coords={"band": list(model.bands)}
    ).chunk(y=BLOCK, x=BLOCK)
    around = {COLUMNS[name]: float(x) for name, x in zip(model.angles, angles, strict=True)}
    return xr.Dataset({"reflectance": cube, **around})


def seconds(result: xr.Dataset, threads: int, clock) -> float:
    """Of one run."""
    start = clock()
    with dask.config.set(scheduler="threads", num_workers=threads):
        result.compute()
    return clock() - start


def main(arguments: list[str]) -> int:
    """Print the speeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", type=int, default=1_638_400)
    parser.add_argument("--methods", default="amortised")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args(arguments)
    model = load_model("sentinel-2", "cpu")
    scene = image(model, asked.pixels)
    count = scene["reflectance"][0].size
    for name in asked.methods.split(","):
        result = retrieve(scene, "sentinel-2", DEFAULT_VARIABLES, "cpu", method=name)
        first = seconds(result, 1, time.perf_counter)
        for threads in asked.threads:
            walls, processor = (
                min(seconds(result, threads, clock) for _ in range(RUNS))
                for clock in (time.perf_counter, time.process_time)
            )
            print(
                f"{name}: {count / walls:,.0f} pixels/s on {threads} thread(s),"
                f" {count / processor:,.0f} a second of processor time;"
                f" the first run took {first:.1f} s"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
