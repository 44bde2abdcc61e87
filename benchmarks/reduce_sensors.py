"""Choose the few wavelengths of every sensor of the package, and say how well they do.

    python benchmarks/reduce_sensors.py [SENSOR ...] [--soils FOLDER] [--check]

Draws the whole box of Prosail: four reflectance factors, zeniths to 80 degrees, the leaves "D",
"5" and "PRO", dry and wet soils and those of BSM, one layer and two. `rtm.reduction` then chooses
nodes whose band values are right to 8e-5 on every draw, and adds to them where another 60,000
draws of leaf "D" ask for it. A part of the draws sits on the bounds of the box, where spectra are
most unlike; there and over BSM soils 2e-4 is asked for, and 4e-4 over the soils of a library,
which have noise at every nm (--soils: the folder of its tables). Writes
rtm/data/reduced.safetensors (a minute or two a sensor), then prints for each sensor the largest
error of any band of any factor on draws that no choice saw:

    box      10,000 draws of the whole box, leaf "D"       (the promise: 1e-4)
    crowns, layers, 5, PRO, BSM, soils    1,000 of each
    bounds   1,000 with three parameters in ten on their bounds

--check prints the table for the file as it stands.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from rtm import Prosail, Sensor, SpectralSoil, load_sensor, sensors
from rtm.bsm import BSM
from rtm.reduction import few_nodes
from rtm.response import GRID

FILE = Path(__file__).parents[1] / "rtm" / "data" / "reduced.safetensors"
TOLERANCE, ON_BOUNDS, OVER_SOILS = 8e-5, 2e-4, 4e-4
SEED = 20_261_121


def draws(model: Prosail, n: int, seed: int, bounds: float = 0.0):
    """theta and angles over the whole box; a share of all values on one of its bounds."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, len(model.space) + 3, generator=generator, dtype=torch.float64)
    moved = torch.rand(unit.shape, generator=generator, dtype=torch.float64) < bounds
    unit = torch.where(moved, unit.round(), unit)
    theta = model.space.low + (model.space.high - model.space.low) * unit[:, :-3]
    return theta, unit[:, -3:] * torch.tensor([80.0, 80.0, 180.0], dtype=torch.float64)


def spectra(model: Prosail, n: int, seed: int, bounds: float = 0.0):
    """All four factors of n draws [sample, 400-2500 nm], float32, 250 draws at a time."""
    theta, angles = draws(model, n, seed, bounds)
    for part in range(0, n, 250):
        seen = model(theta[part : part + 250], angles[part : part + 250])
        yield torch.cat([seen.rso, seen.rdo, seen.rsd, seen.rdd]).float().numpy()


def library(folder: Path) -> SpectralSoil:
    """Six shapes of the soils of a folder, two standard deviations either way."""
    tables = [np.loadtxt(path, delimiter=",", skiprows=1) for path in sorted(folder.glob("*.csv"))]
    spectra = np.concatenate([table[:, 1:].T for table in tables])
    soil = SpectralSoil.from_spectra(tables[0][:, 0], spectra, 6)
    return SpectralSoil(soil.wavelength, soil.basis, soil.mean, low=-2.0, high=2.0)


def training(soils: Path | None) -> np.ndarray:
    """The draws that the nodes are chosen on, scaled where another tolerance is asked for."""
    parts: list[np.ndarray] = []

    def add(model: Prosail, n: int, bounds: float = 0.0, tolerance: float = TOLERANCE) -> None:
        share = np.float32(TOLERANCE / tolerance)
        parts.extend(part * share for part in spectra(model, n, SEED + len(parts), bounds))

    for leaf, n in (("D", 12_000), ("5", 1000), ("PRO", 1000)):
        model = Prosail(leaf, products=False)
        add(model, n)
        for bounds in (0.15, 0.3, 0.5):
            add(model, n // 8, bounds, ON_BOUNDS)
    add(Prosail("D", soil=BSM(), products=False), 3000, 0.0, ON_BOUNDS)
    add(Prosail("D", layers=2, products=False), 400)
    if soils is not None:
        add(Prosail("D", soil=library(soils), products=False), 1000, 0.0, OVER_SOILS)
    return np.concatenate(parts)


def rows(sensor: Sensor) -> np.ndarray:
    """The weights of a sensor on every nm [band, GRID]."""
    out = np.zeros((len(sensor.bands), len(GRID)))
    out[:, (sensor.wavelength.numpy() - GRID[0]).astype(int)] = sensor.weights.numpy()
    return out


def missed(weights: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of 60,000 further draws, those that a first choice of a sensor does not fit well."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in weights}
    change = {name: (first[name] - weights[name]).astype(np.float32).T for name in weights}
    for part in spectra(Prosail("D", products=False), 60_000, SEED + 5000):
        for name, difference in change.items():
            found[name].append(part[np.abs(part @ difference).max(1) > 0.6 * TOLERANCE])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def choose(names: list[str], soils: Path | None) -> None:
    """Choose the nodes of these sensors and write them beside those of the others."""
    sample = training(soils)
    weights = {name: rows(load_sensor(name)) for name in names}
    first = {name: few_nodes(sample, weights[name], TOLERANCE, rounds=4) for name in names}
    further = missed(weights, first)
    for name in names:
        start = np.flatnonzero((first[name] > 0).any(0)).tolist()
        both = np.concatenate([sample, further[name]])
        write(name, few_nodes(both, weights[name], TOLERANCE, rounds=4, start=start))


def write(name: str, reduced: np.ndarray) -> None:
    """Put the weights [band, GRID] of a sensor into the file."""
    columns = load_file(FILE) if FILE.exists() else {}
    used = (reduced > 0).any(0)
    band, node = np.nonzero(reduced[:, used])
    columns[f"{name}.wavelength"] = GRID[used].astype(np.int16)
    columns[f"{name}.band"] = band.astype(np.int16)
    columns[f"{name}.node"] = node.astype(np.int16)
    columns[f"{name}.weight"] = reduced[:, used][band, node].astype(np.float32)
    save_file(columns, FILE)
    print(f"{name}: {len(reduced)} bands on {used.sum()} wavelengths", flush=True)


def populations(soils: Path | None):
    """Names and spectra of the draws that no choice saw."""
    kinds = {
        "crowns": {"crowns": True}, "layers": {"layers": 2}, "5": {"leaf": "5"},
        "PRO": {"leaf": "PRO"}, "BSM": {"soil": BSM()},
    }  # fmt: skip
    if soils is not None:
        kinds["soils"] = {"soil": library(soils)}
    yield "box", spectra(Prosail("D", products=False), 10_000, SEED + 10_000)
    yield "bounds", spectra(Prosail("D", products=False), 1000, SEED + 10_001, 0.3)
    for i, (name, kind) in enumerate(kinds.items()):
        yield name, spectra(Prosail(products=False, **kind), 1000, SEED + 10_002 + i)


def check(names: list[str], soils: Path | None) -> None:
    """Print the table."""
    difference = {
        name: (rows(load_sensor(name, reduced=True)) - rows(load_sensor(name))).astype(np.float32)
        for name in names
    }
    table = {name: {} for name in names}
    for population, parts in populations(soils):
        for part in parts:
            for name, weights in difference.items():
                error = np.abs(part @ weights.T).max()
                table[name][population] = max(table[name].get(population, 0.0), error)
    heads = list(table[names[0]])
    print(f"{'sensor':18}{'bands':>6}{'nodes':>6}" + "".join(f"{head:>9}" for head in heads))
    for name in names:
        few = load_sensor(name, reduced=True)
        found = "".join(f"{table[name][head]:9.1e}" for head in heads)
        print(f"{name:18}{len(few.bands):6d}{len(few.wavelength):6d}{found}")


def main() -> None:
    """Choose, then check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sensor", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--soils", type=Path)
    options = parser.parse_args()
    names = options.sensor or [sensor.name for sensor in sensors()]
    if not options.check:
        choose(names, options.soils)
    check(names, options.soils)


if __name__ == "__main__":
    main()
