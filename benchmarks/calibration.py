"""Interval coverage on held-out simulations and reconstruction of real spectra, of a model.

    python benchmarks/calibration.py [MODEL] [--data FOLDER] [--simulations 20000]

MODEL is a shipped name or a folder. Simulations are drawn with a seed that training never used,
with inputs missing as in training. Without the data folder the reconstruction is left out.
"""

import argparse
import os
from pathlib import Path

import torch

import physvae
from physvae.config import parse_config
from physvae.evaluation import interval_coverage, reconstruction_error
from physvae.training import read_spectra

SEED = 20_261_121


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="sentinel-2")
    parser.add_argument("--data", default=os.environ.get("PHYSVAE_DATA", "../shared/data"))
    parser.add_argument("--simulations", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(2)
    model = physvae.load(options.model)
    config = parse_config(model.config["training"], options.model)
    print_coverage(model, config, options.simulations)
    if Path(options.data).is_dir():
        print_reconstruction(model, config, Path(options.data))


def print_coverage(model, config, n: int) -> None:
    """Print the share of simulated truths inside the central intervals, by trait."""
    found = {
        level: interval_coverage(
            model, ranges=config.angles, missing=config.missing, n=n, seed=SEED, level=level
        )
        for level in (0.5, 0.9, 0.95)
    }
    print(f"{n} held-out simulations, share of truths inside the central interval")
    print(f"{'trait':10}{'50 %':>8}{'90 %':>8}{'95 %':>8}")
    for name in found[0.9]:
        print(f"{name:10}" + "".join(f"{found[level][name]:8.3f}" for level in found))
    outside = [k for k, v in found[0.9].items() if not 0.88 <= v <= 0.92]
    print("90 % intervals outside 0.88-0.92: " + (", ".join(outside) or "none"))


def print_reconstruction(model, config, data: Path) -> None:
    """Print the standardised error of both decodings, on all rows and on held-out rows."""
    print("\nreconstruction, mean squared error in units of each band's variance")
    print(f"{'spectra':40}{'rows':>10}{'total':>10}{'physics':>10}")
    for entry in config.spectra:
        real, training = read_spectra(data / entry.file, entry, config.bands)
        whole = real.reflectance.isfinite().all(-1)
        for label, keep in (("all", whole), ("held out", whole & ~training)):
            error = reconstruction_error(model, *real.take(keep))
            name = f"{entry.file} ({label})"
            print(
                f"{name:40}{int(keep.sum()):>10}{error['total']:>10.4f}{error['physical']:>10.4f}"
            )


if __name__ == "__main__":
    main()
