"""Pixels a second of the kernel, by method, and how far the fast way lies from the model.

    python benchmarks/retrieve.py [--pixels 4096] [--methods amortised,fast] [--threads 1]

Seven traits with standard deviation and interval, from reflectance in memory. With `fast` among
the methods its student is taught first where the cache holds none (some minutes).
"""

import argparse
import sys
import time

import numpy as np
import torch

from inversion.kernel import DEFAULT_VARIABLES, load_model, retrieve_block
from inversion.methods import estimator
from inversion.quality import Quality

FLAGS = (
    Quality.OUTSIDE_TRAINING_DOMAIN,
    Quality.SPECTRUM_MISFIT,
    Quality.AS_WIDE_AS_PRIOR,
)


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
    parser.add_argument("--pixels", type=int, default=4096)
    parser.add_argument("--methods", default="amortised")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    model = load_model("sentinel-2", "cpu")
    spectra, angles = pixels(model, asked.pixels)
    names = asked.methods.split(",")
    for name in names:
        used, times = estimator(model, name, 200), 64 if name == "fast" else 1
        given = [np.tile(part, (times, 1)) for part in (spectra, angles)]
        walls, processor = (
            speed(used, *given, clock) for clock in (time.perf_counter, time.process_time)
        )
        print(
            f"{name}: {walls:,.0f} pixels/s on {asked.threads} thread(s),"
            f" {processor:,.0f} a second of processor time"
        )
    if "fast" in names:
        exact = retrieve_block(model, spectra, angles)
        quick = retrieve_block(estimator(model, "fast", 200), spectra, angles)
        gap = np.abs(quick.estimates - exact.estimates)
        for i, name in enumerate(DEFAULT_VARIABLES):
            sd = exact.estimates[:, 4 * i + 1]
            parts = [np.quantile(gap[:, 4 * i + k] / sd, [0.5, 0.95]) for k in (0, 2, 3)]
            told = ", ".join(f"{a:.3f} / {b:.3f}" for a, b in parts)
            print(f"{name}: |fast - amortised| in sd, median / 95 %: mean, 2.5 %, 97.5 %: {told}")
        for flag in (
            Quality.OUTSIDE_TRAINING_DOMAIN,
            Quality.SPECTRUM_MISFIT,
            Quality.AS_WIDE_AS_PRIOR,
        ):
            same = ((quick.quality & flag) == (exact.quality & flag)).mean()
            print(f"{flag.name}: the same in {same:.1%} of the pixels")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
