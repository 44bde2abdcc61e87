"""What each ingredient of the Sentinel-2 model buys: short trainings that leave one out.

    python benchmarks/ablation.py [NAME ...] [--data FOLDER] [--steps 500]

Each is the preset with few steps and one change (all of `CHANGES`, or those named). A row: LAI on
the development plots, whose 95 % interval is the field interval of the preset; reconstruction of
held-out forest spectra by all and by physics alone, mean squared error in units of each band's
variance; how far 90 % intervals are off on simulations (the worst trait). Rows describe the
development plots and compare with each other, not with the shipped model.
"""

import argparse
import os
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import torch

import physvae
from physvae.config import Config, parse_config
from physvae.evaluation import interval_coverage, reconstruction_error
from physvae.finishing import fit_products, set_limits
from physvae.real_spectra import read_spectra
from physvae.summarising import fit_summaries
from physvae.tables import read_table
from physvae.training import Trainer
from physvae.vae import PhysVAE

PRESET = Path(physvae.__file__).parent / "presets" / "sentinel-2.toml"
SMALL = {
    "optimiser": {"simulations": 256, "spectra": 128, "checkpoint": 100_000},
    "products": {"simulations": 10_000, "steps": 1500},
    "evaluation": {"simulations": 4000},
    "summaries": {"simulations": 60_000, "steps": 1500, "batch": 1024, "calibration": 20_000},
}
DRY_WET = {"psoil": {"kind": "uniform", "low": 0.0, "high": 1.0}}
FOREST = "unlabelled/forest_austria_2018.csv"
ANGLES = ("sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg")


def without(raw: dict, *names: str) -> dict:
    """The prior without some variables."""
    return {k: v for k, v in raw["prior"].items() if not k.startswith(names)}


CHANGES = {
    "all of it": lambda raw: {},
    "another seed": lambda raw: {"seed": 2},
    "no real spectra": lambda raw: {"spectra": []},
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
    print("| left out | RMSE | bias | r | 95 % holds | width | total | physics | 90 % off by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.names:
        model, config = trained(name, Path(options.data), options.steps)
        cells = [
            *field_cells(model, Path(options.data)),
            *reconstruction(model, Path(options.data)),
        ]
        print(f"| {name} | " + " | ".join([*cells, worst(model, config)]) + " |", flush=True)


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
    """RMSE, bias, r, cover and width of LAI on the development plots."""
    table = read_table(data / "field" / "field_dev.csv")
    gap = np.full(len(table["lai"]), np.nan)
    columns = [[table.get(name, gap) for name in group] for group in (model.bands, ANGLES)]
    seen = [torch.tensor(np.stack(c, -1), dtype=torch.float32) for c in columns]
    found = model.estimate(*seen, ("lai",))
    mean, low, high = (x["lai"].numpy() for x in (found.mean, found.p025, found.p975))
    gap = mean - table["lai"]
    inside = (table["lai"] >= low) & (table["lai"] <= high)
    r = np.corrcoef(mean, table["lai"])[0, 1]
    return [
        f"{np.sqrt(np.mean(gap**2)):.2f}", f"{gap.mean():+.2f}", f"{r:.2f}",
        f"{100 * inside.mean():.0f} %", f"{(high - low).mean():.1f}",
    ]  # fmt: skip


def reconstruction(model: PhysVAE, data: Path) -> list[str]:
    """Error of both decodings of held-out forest spectra."""
    entry = next(e for e in plan("all of it", 1).spectra if e.file == FOREST)
    real, training = read_spectra(data / FOREST, entry, model.bands)
    whole = real.reflectance.isfinite().all(-1)
    error = reconstruction_error(model, *real.take(whole & ~training))
    return [f"{error['total']:.3f}", f"{error['physical']:.3f}"]


def worst(model: PhysVAE, config: Config) -> str:
    """The trait whose 90 % interval is furthest off on simulations, and by how much."""
    given = {"ranges": config.angles, "missing": config.missing, "n": 4000, "seed": 202}
    cover = interval_coverage(model, **given)
    name = max(cover, key=lambda k: abs(cover[k] - 0.9))
    return f"{100 * (cover[name] - 0.9):+.1f} ({name})"


if __name__ == "__main__":
    main()
