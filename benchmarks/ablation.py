"""What each ingredient of the Sentinel-2 model buys: short trainings that leave one out.

    python benchmarks/ablation.py [NAME ...] [--data FOLDER] [--steps 500]

Each is the preset with few steps and one change (all of `CHANGES`, or those named). A row: LAI on
the development plots, whose 95 % interval is the field interval of the preset; reconstruction of
held-out forest spectra by all and by physics alone, mean squared error in units of each band's
variance; how far 90 % intervals are off on simulations (the worst trait) and how flat the ranks
are. Rows describe the development plots and compare with each other, not with the shipped model.
"""

import argparse
import os
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chisquare

import physvae
from inversion.tables import retrieve_table
from physvae.config import Config, parse_config
from physvae.evaluation import (
    interval_coverage,
    known_cases,
    probability_ranks,
    reconstruction_error,
)
from physvae.finishing import fit_products, set_limits
from physvae.real_spectra import read_spectra
from physvae.summarising import fit_summaries
from physvae.training import Trainer
from physvae.vae import PhysVAE
from validation.field.table import read_table
from validation.report.report import evaluate

PRESET = Path(physvae.__file__).parent / "presets" / "sentinel-2.toml"
SMALL = {
    "optimiser": {"simulations": 256, "spectra": 128, "checkpoint": 100_000},
    "products": {"simulations": 10_000, "steps": 1500},
    "evaluation": {"simulations": 4000},
    "summaries": {"simulations": 60_000, "steps": 1500, "batch": 1024, "calibration": 20_000},
}
DRY_WET = {"psoil": {"kind": "uniform", "low": 0.0, "high": 1.0}}
FOREST = "unlabelled/forest_austria_2018.csv"


def without(raw: dict, *names: str) -> dict:
    """The prior without some variables."""
    return {k: v for k, v in raw["prior"].items() if not k.startswith(names)}


CHANGES = {
    "all of it": lambda raw: {},
    "another seed": lambda raw: {"seed": 2},
    "no real spectra": lambda raw: {"spectra": [], "remainder": None},
    "no crowns": lambda raw: {"physics": {"crowns": False}, "prior": without(raw, "cv")},
    "dry and wet soil": lambda raw: {
        "soil": {"kind": "dry-wet"}, "prior": without(raw, "soil_") | DRY_WET,
    },
    "no discrepancy": lambda raw: {
        "noise": raw["noise"] | {"discrepancy": 1e-4, "discrepancy_max": 1e-4},
    },
    "no residual": lambda raw: {"decoder": {"kind": "physical"}},
    "no copula": lambda raw: {"correlation": []},
    "no summaries": lambda raw: {"summaries": None},
    "no field interval": lambda raw: {"calibration": {}},
    "no common noise": lambda raw: {"noise": raw["noise"] | {"common": 0.0}},
    "twice the noise of bands": lambda raw: {"noise": raw["noise"] | {"relative": 0.05}},
    "truncated normals": lambda raw: {"posterior": {"kind": "truncated-normal"}},
    "two Gaussians": lambda raw: {"posterior": {"kind": "gaussian", "components": 2}},
    "a flow": lambda raw: {"posterior": {"kind": "flow"}},
    "a transformer": lambda raw: {
        "encoder": {"kind": "transformer", "width": 64, "depth": 2, "heads": 4},
    },
    "three members": lambda raw: {"encoder": raw["encoder"] | {"members": 3}},
}  # fmt: skip


def main() -> None:
    """Train and print a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(CHANGES))
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("PHYSVAE_DATA", "../shared/data")
    )
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    sites = sorted(set(read_table(Path(options.data) / "field" / "field_dev.csv")["site"]))
    heads = ["changed", "RMSE", "bias", "r", "95 % holds", "width", *sites, "total", "physics"]
    heads += ["90 % off by", "ranks p"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in options.names:
        model, config = trained(name, Path(options.data), options.steps)
        cells = [
            *field_cells(model, Path(options.data)),
            *reconstruction(model, Path(options.data)),
            *calibration(model, config),
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def plan(name: str, steps: int) -> Config:
    """The preset, shortened, with one change."""
    raw = tomllib.loads(PRESET.read_text())
    for key, value in SMALL.items():
        raw[key] = raw.get(key, {}) | value
    raw["optimiser"]["steps"] = steps
    return parse_config(raw | CHANGES[name](raw), name)


def trained(name: str, data: Path, steps: int) -> tuple[PhysVAE, Config]:
    """A model and its configuration."""
    config = plan(name, steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, data, Path(folder))
        model = trainer.run()
    fit_products(model, config)
    fit_summaries(model, config)
    set_limits(model, config)
    return model.eval(), config


def field_cells(model: PhysVAE, data: Path) -> list[str]:
    """RMSE, bias, r, cover, width of LAI on the development plots; RMSE, bias, cover by site."""
    file = data / "field" / "field_dev.csv"
    table = read_table(file)
    estimates = retrieve_table(table, model, variables=("lai",), source=file.name)
    found = evaluate(estimates, table).metrics
    pooled = found["pooled"]
    return [
        f"{pooled['rmse']:.2f}", f"{pooled['bias']:+.2f}", f"{pooled['r']:.2f}",
        f"{pooled['coverage_95']:.0%}", f"{pooled['width_95']:.1f}",
        *(f"{at['rmse']:.2f} {at['bias']:+.2f} {at['coverage_95']:.0%}"
          for _, at in sorted(found["sites"].items())),
    ]  # fmt: skip


def reconstruction(model: PhysVAE, data: Path) -> list[str]:
    """Error of both decodings of held-out forest spectra."""
    entry = next(e for e in plan("all of it", 1).spectra if e.file == FOREST)
    real, training = read_spectra(data / FOREST, entry, model.bands)
    whole = real.reflectance.isfinite().all(-1)
    error = reconstruction_error(model, *real.take(whole & ~training))
    return [f"{error['total']:.3f}", f"{error['physical']:.3f}"]


def calibration(model: PhysVAE, config: Config) -> list[str]:
    """On simulations: the trait whose 90 % interval is furthest off, and the least p of the ranks.

    Ranks of the truth are flat where a model is calibrated, χ² over 20 bins; the least of all
    traits' p is a few hundredths by chance alone.
    """
    given = {"ranges": config.angles, "missing": config.missing, "n": 4000, "seed": 202}
    cover = interval_coverage(model, **given)
    name = max(cover, key=lambda k: abs(cover[k] - 0.9))
    furthest = f"{100 * (cover[name] - 0.9):+.1f} ({name})"
    if model.summaries is None:
        return [furthest, "–"]
    ranks = torch.cat([probability_ranks(model, case) for case in known_cases(model, **given)])
    bins = [np.histogram(rank, 20, (0, 1))[0] for rank in ranks.T.numpy()]
    return [furthest, f"{min(chisquare(numbers).pvalue for numbers in bins):.3f}"]


if __name__ == "__main__":
    main()
