"""Amortised, refined, look-up table and least squares on the same pixels.

    python benchmarks/methods.py [--simulated 128] [--plots 64] [--methods amortised,lut,...]

Simulated pixels are draws of the model's prior with its noise, so that the truth is known and the
model is right; the plots are the first of field/field_dev.csv in the folder PHYSVAE_DATA, else
../shared/data. For each method: RMSE and bias of LAI, share of the truths within the 95 %
interval, its mean width, pixels a second, and the share that is flagged as not converged.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from inversion.kernel import load_model, retrieve_block
from inversion.methods import METHODS, estimator
from inversion.quality import Quality

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
ANGLES = ("sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg")


def simulated(model, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra, angles and LAI of draws of the prior."""
    generator = torch.Generator().manual_seed(7)
    kind = next(model.parameters())
    with torch.no_grad():
        scores = torch.randn(count, len(model.space), generator=generator).to(kind)
        angles = torch.tensor([40.0, 5.0, 90.0]).expand(count, 3).to(kind)
        theta = model.prior(scores)
        seen = model.likelihood.draw(model.physical(theta.to(kind), angles), generator)
    return seen.numpy(), angles.numpy(), theta[:, 0].numpy()


def plots(model, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Spectra, angles and LAI of field plots, evenly taken over the table."""
    path = DATA / "field" / "field_dev.csv"
    if not path.is_file():
        return None
    table = pd.read_csv(path)
    table = table.iloc[np.linspace(0, len(table) - 1, min(count, len(table))).astype(int)]
    spectra = table.reindex(columns=model.bands).to_numpy(float)
    return spectra, table.reindex(columns=ANGLES).to_numpy(float), table["lai"].to_numpy(float)


def compared(model, method: str, pixels: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
    """One line of the table."""
    spectra, angles, truth = pixels
    used = estimator(model, method, 200)
    retrieve_block(used, spectra[:8], angles[:8], variables=("lai",))
    start = time.perf_counter()
    block = retrieve_block(used, spectra, angles, variables=("lai",))
    speed = len(truth) / (time.perf_counter() - start)
    mean, _, low, high = block.estimates.T
    inside = ((low <= truth) & (truth <= high)).mean()
    flagged = ((block.quality & Quality.REFINEMENT_NOT_CONVERGED) != 0).mean()
    return (
        f"| {method} | {np.sqrt(np.mean((mean - truth) ** 2)):.2f} | {(mean - truth).mean():+.2f}"
        f" | {inside:.0%} | {(high - low).mean():.1f} | {speed:,.0f} | {flagged:.0%} |"
    )


def main(arguments: list[str]) -> int:
    """Print a table for the simulated pixels and one for the plots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulated", type=int, default=64)
    parser.add_argument("--plots", type=int, default=32)
    parser.add_argument("--methods", default="amortised,lut,lm,refined")
    asked = parser.parse_args(arguments)
    methods = [name for name in asked.methods.split(",") if name in METHODS]
    model = load_model("sentinel-2", "cpu")
    sets = {"simulated": simulated(model, asked.simulated), "field": plots(model, asked.plots)}
    for name, pixels in sets.items():
        if pixels is None:
            print(f"{name}: no data, expected {DATA}")
            continue
        print(f"\n{name}, {len(pixels[2])} pixels, one thread\n")
        print("| method | RMSE | bias | 95 % covers | width | pixels/s | not converged |")
        print("|---|---|---|---|---|---|---|")
        for method in methods:
            print(compared(model, method, pixels), flush=True)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
