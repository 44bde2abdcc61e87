"""Water and dry matter of measured leaves from their reflectance, by several ways of fitting.

    python benchmarks/leaf.py [FOLDER]

FOLDER has reflectance_500_2400.csv and traits.csv (Ely et al. 2019, 10.1093/jxb/erz061); without
it leaf/ in the folder PHYSVAE_DATA, else ../shared/data. The first way is the one that the
docstring of invert_leaf gives for reflectance; the others show what the choice of wavelengths
and a baseline do. Nitrogen is compared as protein, 4.43 g per g (Yeoh & Wee 1994,
10.1016/0308-8146(94)90167-8). z is the root mean square of error / sd, s the seconds of a fit.
"""

import csv
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from rtm.leaf_inversion import LeafFit, invert_leaf

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
LEAF = ("n_leaf", "cw", "cm")
PRO = ("n_leaf", "cw", "prot", "cbc")
NAMES = ("ewt_g_cm2", "lma_g_cm2", "n_g_m2")
WAYS: dict[str, dict] = {
    "n_leaf on 800-1300, rest on 1700-2400": {
        "free": LEAF, "structure": (800.0, 1300.0), "domain": (1700.0, 2400.0),
    },
    "n_leaf on 800-1300, rest on 1300-2400": {
        "free": LEAF, "structure": (800.0, 1300.0), "domain": (1300.0, 2400.0),
    },
    "all on 1700-2400": {"free": LEAF, "domain": (1700.0, 2400.0)},
    "all on 1300-2400": {"free": LEAF, "domain": (1300.0, 2400.0)},
    "all and baseline on 1300-2400": {"free": (*LEAF, "baseline"), "domain": (1300.0, 2400.0)},
    "all and pigments on 500-2400": {"domain": (500.0, 2400.0)},
    "PRO, n_leaf on 800-1300, rest on 1700-2400": {
        "leaf": "PRO", "free": PRO, "structure": (800.0, 1300.0), "domain": (1700.0, 2400.0),
    },
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the tables; 0 also where there is no data to look at."""
    folder = Path(arguments[0]) if arguments else DATA / "leaf"
    if not (folder / "traits.csv").is_file():
        print(f"leaf: no data, expected {folder / 'traits.csv'}")
        return 0
    torch.set_num_threads(1)
    wavelength, reflectance, traits = read(folder)
    print(f"{len(reflectance)} leaves; RMSE, bias and sd in mg cm⁻²\n")
    heads = f"{'r':>7}{'RMSE':>7}{'bias':>7}{'sd':>7}{'z':>6}"
    print(f"{'fit':44}{'trait':9}{'leaves':18}{'n':>4}{heads}{'s':>6}")
    for way, options in WAYS.items():
        start = time.perf_counter()
        fit = invert_leaf(wavelength=wavelength, reflectance=reflectance, **options)
        seconds = time.perf_counter() - start
        for trait, (found, sd) in estimates(fit).items():
            for group, rows in groups(traits["common_name"], way).items():
                line = score(found[rows], sd[rows], traits[trait][rows])
                print(f"{way:44}{trait:9}{group:18}{rows.sum():4}{line}{seconds:6.1f}")
    return 0


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Wavelengths, reflectance [leaf, wavelength] and traits [leaf], mg cm⁻²."""
    with open(folder / "reflectance_500_2400.csv", encoding="utf-8") as file:
        wavelength = np.array(file.readline().split(",")[1:], dtype=float)
        reflectance = np.loadtxt(file, delimiter=",")[:, 1:]
    with open(folder / "traits.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(r[name]) for r in rows]) for name in NAMES}
    traits = {
        "water": 1e3 * columns["ewt_g_cm2"], "dry": 1e3 * columns["lma_g_cm2"],
        "protein": 4.43 * 0.1 * columns["n_g_m2"],
        "common_name": np.array([row["common_name"] for row in rows]),
    }  # fmt: skip
    return wavelength, reflectance, traits


def estimates(fit: LeafFit) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Estimate and sd of each trait, mg cm⁻²."""
    p, sd = fit.parameters, fit.sd
    found = {"water": (p["cw"], sd["cw"])}
    if "cm" in p:
        found["dry"] = (p["cm"], sd["cm"])
    else:
        found["dry"] = (p["prot"] + p["cbc"], torch.hypot(sd["prot"], sd["cbc"]))
        found["protein"] = (p["prot"], sd["prot"])
    return {name: (1e3 * a.numpy(), 1e3 * b.numpy()) for name, (a, b) in found.items()}


def groups(species: np.ndarray, way: str) -> dict[str, np.ndarray]:
    """All leaves, and each species for the first way."""
    found = {"all": np.ones(len(species), dtype=bool)}
    if way == next(iter(WAYS)):
        found |= {name: species == name for name in np.unique(species)}
    return found


def score(found: np.ndarray, sd: np.ndarray, truth: np.ndarray) -> str:
    """r, RMSE, bias, median sd, and the root mean square of error / sd."""
    error = found - truth
    r = np.corrcoef(found, truth)[0, 1]
    rmse, z = np.sqrt(np.mean(error**2)), np.sqrt(np.mean((error / sd) ** 2))
    return f"{r:7.3f}{rmse:7.2f}{error.mean():+7.2f}{np.median(sd):7.2f}{z:6.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
