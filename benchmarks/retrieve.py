"""Pixels a second of the kernel, by method.

    python benchmarks/retrieve.py [--pixels 262144] [--methods amortised] [--threads 1]

Seven traits with standard deviation and interval, from reflectance in memory.
"""

import argparse
import sys
import time

import numpy as np
import torch

from inversion.kernel import load_model, retrieve_block
from inversion.methods import estimator


def pixels(model, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra and angles of draws of the prior with the model's noise."""
    generator = torch.Generator().manual_seed(11)
    kind = next(model.parameters())
    with torch.no_grad():
        scores = torch.randn(count, len(model.space), generator=generator).to(kind)
        angles = torch.tensor([35.0, 6.0, 105.0]).expand(count, 3).to(kind)
        theta = model.prior(scores).to(kind)
        seen = model.likelihood.draw(model.physical(theta, angles), generator)
        return seen.numpy(), angles.numpy()


def speed(used, spectra: np.ndarray, angles: np.ndarray, clock, least: float = 2.0) -> float:
    """Pixels a second, the best of runs that take at least so many seconds together."""
    retrieve_block(used, spectra[:256], angles[:256])
    best, spent = 0.0, 0.0
    while spent < least:
        start = clock()
        retrieve_block(used, spectra, angles)
        seconds = clock() - start
        best, spent = max(best, len(spectra) / seconds), spent + seconds
    return best


def main(arguments: list[str]) -> int:
    """Print the speeds, then the distances."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", type=int, default=262_144)
    parser.add_argument("--methods", default="amortised")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    model = load_model("sentinel-2", "cpu")
    spectra, angles = pixels(model, asked.pixels)
    for name in asked.methods.split(","):
        used = estimator(model, name, 200)
        walls, processor = (
            speed(used, spectra, angles, clock) for clock in (time.perf_counter, time.process_time)
        )
        print(
            f"{name}: {walls:,.0f} pixels/s on {asked.threads} thread(s),"
            f" {processor:,.0f} a second of processor time"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
