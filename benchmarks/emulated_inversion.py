"""Pixels inverted with the exact decoder and with an emulated one: time, and what changes.

    python benchmarks/emulated_inversion.py [--pixels 1000] [--eager 8] [--models spectrometer ...]
        [--methods lm refined] [--steps 15] [--json FILE]

Models are `spectrometer`, 211 bands at 400, 410 … 2500 nm over dry and wet soils with a noise of
0.005, for which least squares starts at the prior mean and needs no encoder, or any shipped model
or model folder. Pixels are draws of the model's prior with its noise, so that the truth is known.
`exact` is the model as it is, on `--eager` pixels, `compiled` after `model.physical.compile()`,
`own` with nodes of its own physics, `prosail-d` with those of the shipped emulator where the
inputs are its own. Times are of the processor, on one thread, without compiling and without making
the emulator; differences Δ are from `compiled`, rms over the pixels, in its standard deviations.
"""

import argparse
import copy
import json
import sys
import time

import torch

import physvae
from inversion.emulated import emulated
from inversion.methods import METHODS
from physvae.config import parse_config
from physvae.store import assemble
from physvae.vae import PhysVAE
from rtm import DryWetSoil, Sensor

TRAITS = ("lai", "cab", "cw", "ccc")
PRIOR = {
    "lai": {"mean": 2.0, "sd": 2.5, "low": 0.0, "high": 8.0},
    "cab": {"mean": 45.0, "sd": 25.0, "low": 5.0, "high": 90.0},
    "car": {"mean": 9.0, "sd": 5.0, "low": 1.0, "high": 25.0},
    "cbrown": {"mean": 0.0, "sd": 0.3, "low": 0.0, "high": 2.0},
    "cw": {"mean": 0.015, "sd": 0.012, "low": 0.002, "high": 0.06},
    "cm": {"mean": 0.006, "sd": 0.003, "low": 0.002, "high": 0.02},
    "n_leaf": {"mean": 1.5, "sd": 0.3, "low": 1.1, "high": 2.4},
    "ala": {"mean": 55.0, "sd": 12.0, "low": 25.0, "high": 80.0},
    "hspot": {"mean": 0.15, "sd": 0.3, "low": 0.02, "high": 0.5},
    "psoil": {"mean": 0.5, "sd": 0.4, "low": 0.0, "high": 1.0},
    "rsoil": {"mean": 1.0, "sd": 0.3, "low": 0.3, "high": 1.8},
}


def main() -> None:
    """A table a model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pixels", type=int, default=1000)
    parser.add_argument("--eager", type=int, default=8)
    parser.add_argument("--models", nargs="+", default=["spectrometer", "sentinel-2"])
    parser.add_argument("--methods", nargs="+", default=["lm", "refined"])
    parser.add_argument("--steps", type=int, default=15, help="of least squares; else 200")
    parser.add_argument("--json", help="write the figures there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.models:
        model = spectrometer() if name == "spectrometer" else physvae.load(name)
        print(f"\n{name}: {len(model.bands)} bands of {len(model.physical.sensor.wavelength)} "
              f"wavelengths, {options.pixels} pixels, one thread")  # fmt: skip
        rows += compared(name, model, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


def spectrometer() -> PhysVAE:
    """A model of 211 bands that the shipped emulator knows."""
    grid = torch.arange(400.0, 2501.0, 10.0, dtype=torch.float64)
    eye = torch.eye(len(grid), dtype=torch.float64)
    bands = tuple(f"B{nm:g}" for nm in grid.tolist())
    sensor = Sensor("spectrometer", bands, grid, eye, grid, torch.full_like(grid, 10.0))
    raw = {
        "name": "spectrometer", "sensor": "spectrometer", "bands": bands, "prior": PRIOR,
        "physics": {"crowns": False}, "soil": {"kind": "dry-wet"},
        "noise": {"floor": 0.005, "relative": 0.0, "common": 0.0, "discrepancy": 1e-6},
    }  # fmt: skip
    torch.manual_seed(0)
    return (
        assemble(parse_config(raw, "spectrometer"), sensor, DryWetSoil())
        .eval()
        .requires_grad_(False)
    )


def decoders(name: str, model: PhysVAE) -> dict[str, PhysVAE]:
    """The model with each decoder, ready; says how long that took."""
    made = {"exact": model, "compiled": copy.deepcopy(model)}
    began = time.process_time()
    made["own"] = emulated(model)
    own = made["own"].physical
    print(f"own: {own.weight.shape[1]} nodes, rms {own.rmse:.1e}, "
          f"made in {time.process_time() - began:.1f} s")  # fmt: skip
    if name == "spectrometer":
        made["prosail-d"] = emulated(model, "prosail-d")
    for key in list(made)[1:]:
        made[key].physical.compile()
    return made


def compared(name: str, model: PhysVAE, options) -> list[dict]:
    """Rows of all methods and decoders; differences are from `compiled`."""
    seen, angles, truth = pixels(model, options.pixels)
    rows, ready = [], decoders(name, model)
    print(f"{'method':9}{'decoder':11}{'ms/pixel':>9}{'times':>7}{'LAI RMSE':>10}{'flagged':>9}"
          + "".join(f"{'Δ ' + t + '/sd':>11}" for t in TRAITS) + f"{'Δ sd LAI':>10}")  # fmt: skip
    for method in options.methods:
        found = {}
        for key in ("compiled", *(k for k in ready if k != "compiled")):
            count = options.eager if key == "exact" else options.pixels
            steps = options.steps if method == "lm" else 200
            used = METHODS[method](ready[key], steps)
            estimate, found[key] = timed(used, seen[:count], angles[:count])
            first = estimate if key == "compiled" else first
            row = told(method, key, estimate, found, first, truth[:count])
            rows.append({"model": name, **row})
    return rows


def pixels(model: PhysVAE, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spectra, angles and LAI of draws of the prior."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        theta = model.prior(torch.randn(count, len(model.space), generator=generator))
        low, high = torch.tensor([20.0, 0.0, 0.0]), torch.tensor([60.0, 10.0, 180.0])
        angles = low + (high - low) * torch.rand(count, 3, generator=generator)
        seen = model.likelihood.draw(model.physical(theta, angles), generator)
    return seen, angles, theta[:, 0]


def timed(used, seen: torch.Tensor, angles: torch.Tensor):
    """An estimate, and how long a pixel took [s]; a first call of two pixels warms up."""
    used.estimate(seen[:2], angles[:2], TRAITS)
    start = time.process_time()
    estimate = used.estimate(seen, angles, TRAITS)
    return estimate, (time.process_time() - start) / len(seen)


def told(method: str, key: str, estimate, found: dict, first, truth: torch.Tensor) -> dict:
    """Print and return a row."""
    n = len(truth)
    change = {t: float(((estimate.mean[t] - first.mean[t][:n]) / first.sd[t][:n]).square().mean()
                       .sqrt()) for t in TRAITS}  # fmt: skip
    sd = float((estimate.sd["lai"] / first.sd["lai"][:n] - 1.0).abs().median())
    row = {
        "method": method, "decoder": key, "pixels": n, "seconds": found[key],
        "faster": found["compiled"] / found[key],
        "lai_rmse": float((estimate.mean["lai"] - truth).square().mean().sqrt()),
        "flagged": float(1.0 - estimate.converged.float().mean()), "change": change, "sd": sd,
    }  # fmt: skip
    print(f"{method:9}{key:11}{1e3 * found[key]:9.2f}{row['faster']:7.2f}{row['lai_rmse']:10.3f}"
          f"{row['flagged']:9.1%}" + "".join(f"{v:11.3f}" for v in change.values())
          + f"{sd:10.1%}", flush=True)  # fmt: skip
    return row


if __name__ == "__main__":
    sys.exit(main())
