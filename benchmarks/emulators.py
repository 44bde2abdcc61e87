"""Emulators of PROSAIL at 211 wavelengths beside other methods: errors, speed, size, training.

    python benchmarks/emulators.py [--draws 500 2000 20000 1000000] [--methods ...] [--json FILE]
    python benchmarks/emulators.py --shipped [--held-out 100000] [--folder FOLDER]
    python benchmarks/emulators.py --cards [--folder FOLDER]
    python benchmarks/emulators.py --traits

Every method learns from the same draws of the whole box with all angles and is measured on the
same held-out ones (100,000 with --held-out 100000). Speed is that of prosail (numba) over the
method's, per spectrum, timed in turns; `network` and `nodes` are the two interpolators of
physvae.emulation, `nodes` with the exact physics at 54 wavelengths. Kernel methods stop at 2000
(Gaussian process) and 20,000 draws (ridge): their matrices grow as the square of the draws, 3 GB
at 20,000 and 8 TB at a million, and the work as the cube. `LAI` is the rms change of the LAI that
the model sentinel-2 finds in a method's spectra against exact ones.

--cards measures every shipped emulator on the 100,000 draws of its card and ends with 1 where a
figure is off by more than 2 % (50 % for the greatest errors, which hang on single draws);
--traits compares all traits for the shipped emulator at 1 nm.
"""

import argparse
import functools
import json
import statistics
import sys
import time
import warnings

import numpy as np
import torch
from speed import peer_time

import physvae
from physvae.emulation.closed_form import fit_nodes
from physvae.emulation.drawing import parts
from physvae.emulation.fitting import fit_network
from physvae.emulation.plans import parse_plan
from physvae.emulation.scores import score
from physvae.emulation.sources import Draws, ProsailSource
from physvae.emulation.store import SHIPPED, emulators, load_emulator
from physvae.emulation.training import measure
from rtm import Prosail, load_sensor

COMPONENTS = 20
REPEATS = 11
LIMIT = {"pca-gp": 2000, "pca-krr": 20_000}


def main() -> int:
    """The table of methods, or of the shipped emulators."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", nargs="+", type=int, default=[500, 2000, 20_000])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--held-out", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=1500, help="of the network")
    parser.add_argument("--shipped", action="store_true")
    parser.add_argument("--cards", action="store_true", help="compare with the shipped figures")
    parser.add_argument("--traits", action="store_true", help="retrieve from emulated spectra")
    parser.add_argument("--folder", nargs="*", default=[], help="further emulators, by folder")
    parser.add_argument("--json", help="write the figures there too")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.traits:
        retrieved()
        return 0
    if options.cards:
        return max([carded(name) for name in [*emulators(), *options.folder]])
    plan = parse_plan({"name": "benchmark"}, "benchmark").simulator
    print(f"{'method':28}{'draws':>9}{'RMSE':>10}{'NRMSE':>10}{'SAM':>8}{'R2':>10}{'worst R2':>10}"
          f"{'worst 1 %':>11}{'LAI':>8}{'x prosail':>11}{'MB':>8}{'trained s':>11}")  # fmt: skip
    rows = []
    if options.shipped:
        for name in [*emulators(), *options.folder]:
            rows += shipped(name, options.held_out)
    else:
        source = ProsailSource(plan, ("rso",))
        held = list(parts(source, options.held_out, 77, held_out=True))
        for n in options.draws:
            rows += [one(m, source, n, held, options) for m in options.methods if fits(m, n)]
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    return 0


def carded(name: str) -> int:
    """The figures of an emulator's card, and those measured here on the same draws."""
    emulator = load_emulator(name)
    plan = parse_plan(emulator.record["training"], name)
    scores, calibration = measure(plan, ProsailSource(plan.simulator, ("rso",)), emulator)
    found, stated = {**scores.figures(), **calibration}, emulator.record["figures"]
    print(f"\n{plan.name:24}{'card':>13}{'here':>13}")
    found = {key: value for key, value in found.items() if not isinstance(value, dict)}
    for key, value in found.items():
        print(f"{key:24}{stated[key]:13.6g}{value:13.6g}")
    return int(any(abs(found[k] - stated[k]) > slack(k) * abs(stated[k]) for k in found))


def slack(figure: str) -> float:
    """How far a figure may be from its card's; an ascent may end on another peak."""
    return 0.5 if figure.startswith("ascent_") or figure.endswith("_greatest") else 0.02


def fits(method: str, n: int) -> bool:
    """Whether a method can take so many draws."""
    return n <= LIMIT.get(method, 10**9)


def one(method: str, source: ProsailSource, n: int, held: list[Draws], options) -> dict:
    """Train, score and time a method."""
    start = time.perf_counter()
    predict, size = METHODS[method](source, n, options)
    seconds = time.perf_counter() - start
    return told(method, n, predict, held, size, seconds)


def told(method: str, n: int, predict, held: list[Draws], size: float, seconds: float) -> dict:
    """Score and time, print a row."""
    figures = score((d.spectra["rso"], predict(d.theta, d.angles)) for d in held).figures()
    row = {"method": method, "draws": n, **figures, "speed": ratio(predict, held),
           "lai": lai_change(predict, held[0]), "mb": size, "trained_s": seconds}  # fmt: skip
    print(f"{method:28}{n:9d}{row['rmse']:10.2e}{row['nrmse']:10.2e}{row['sam']:8.3f}"
          f"{row['r2']:10.6f}{row['r2_least']:10.6f}{row['worst']:11.2e}{row['lai']:8.3f}"
          f"{row['speed']:11.1f}{size:8.2f}{seconds:11.1f}", flush=True)  # fmt: skip
    return row


@torch.no_grad()
def lai_change(predict, draws: Draws) -> float:
    """Rms change of the LAI of sentinel-2 from exact to emulated spectra."""
    model = physvae.load("sentinel-2")
    sensor = load_sensor("sentinel-2a").select(model.bands)
    pair = draws.spectra["rso"], predict(draws.theta, draws.angles)
    grid = np.linspace(400.0, 2500.0, pair[0].shape[1])
    onto = np.stack([np.interp(sensor.wavelength, grid, row) for row in np.eye(len(grid))])
    weights = (torch.from_numpy(onto) @ sensor.weights.T).float()
    exact, made = (
        model.estimate(x @ weights, draws.angles, ("lai",)).mean["lai"] for x in pair
    )  # fmt: skip
    return float((made - exact).square().mean().sqrt())


def ratio(predict, held: list[Draws]) -> float:
    """Time of prosail over that of a method, per spectrum, 2 million reflectances at a time.

    Both run about as long in their turn, so that neither alone begins with empty caches.
    """
    rows = 2**21 // held[0].spectra["rso"].shape[1]
    theta = torch.cat([d.theta for d in held[:4]])[:rows]
    angles = torch.cat([d.angles for d in held[:4]])[:rows]
    predict(theta[:200], angles[:200])
    if timed(lambda: predict(theta[:200], angles[:200])) > 0.1:
        theta, angles = theta[:200], angles[:200]
    once = timed(lambda: predict(theta, angles))
    turns = max(1, round(timed(peer_time) / once))
    found = []
    for _ in range(REPEATS):
        before, start = peer_time(), time.perf_counter()
        for _ in range(turns):
            predict(theta, angles)
        ours = (time.perf_counter() - start) / len(theta) / turns
        found.append((before + peer_time()) / 2.0 / ours)
    return statistics.median(found)


def timed(call) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def shipped(name: str, n: int) -> list[dict]:
    """A shipped emulator and the compiled exact model on the same draws."""
    emulator = load_emulator(name)
    record = emulator.record
    plan = parse_plan(record["training"], name)
    source = ProsailSource(plan.simulator, ("rso",))
    held = list(parts(source, min(n, 100_000), 78, held_out=True))
    emulator.compile()
    folder = SHIPPED / name if name in emulators() else name
    size = sum(f.stat().st_size for f in type(SHIPPED)(folder).iterdir()) / 1e6
    rows = []
    with torch.no_grad():
        for what, factors in (("rso", ("rso",)), ("all factors", emulator.trained)):
            model = emulator.with_factors(*factors)
            rows.append(told(f"{plan.name}, {what}", plan.draws, lambda t, a, m=model: m(t, a).rso,
                             held, size, record["figures"]["seconds"]))  # fmt: skip
        exact = source.model
        rows.append(told(f"exact, {len(source.wavelength)}", 0, lambda t, a: exact(t, a).rso,
                         held, 0.0, 0.0))  # fmt: skip
    return rows


def retrieved(n: int = 5000) -> None:
    """Traits that the model sentinel-2 finds in exact and in emulated spectra of canopies."""
    model = physvae.load("sentinel-2")
    sensor = load_sensor("sentinel-2a").select(model.bands)
    emulator = load_emulator("prosail-d-1nm").seen_by(sensor)
    exact = Prosail(sensor=sensor, products=False)
    generator = torch.Generator().manual_seed(6)
    low, high = emulator.space.low.float(), emulator.space.high.float()
    high[emulator.space.index("lai")], high[emulator.space.index("rsoil")] = 8.0, 1.5
    theta = low + (high - low) * torch.rand(n, len(low), generator=generator)
    angles = torch.rand(n, 3, generator=generator) * torch.tensor([70.0, 12.0, 180.0])
    names = ("lai", "cab", "cw", "ccc", "fapar")
    found = []
    with torch.no_grad():
        for spectra in (exact(theta, angles).rso, emulator(theta, angles).rso):
            found.append(model.estimate(spectra, angles, names))
    print(f"{'trait':8}{'rms change':>12}{'rms change / stated sd':>24}")
    for name in names:
        change = found[1].mean[name] - found[0].mean[name]
        share = change / found[0].sd[name]
        print(f"{name:8}{change.square().mean().sqrt():12.2e}"
              f"{share.square().mean().sqrt():24.2e}")  # fmt: skip


@functools.lru_cache(maxsize=1)
def table(source: ProsailSource, n: int) -> Draws:
    """The draws that every method learns from."""
    size = len(source.wavelength)
    theta, angles = torch.empty(n, len(source.space)), torch.empty(n, 3)
    spectra, row = torch.empty(n, size), 0
    for part in parts(source, n, 5):
        here = slice(row, row := row + len(part.theta))
        theta[here], angles[here], spectra[here] = part.theta, part.angles, part.spectra["rso"]
    return Draws(theta, angles, {"rso": spectra})


def drawn(source: ProsailSource, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in the unit box with cosines of the angles, and spectra."""
    got = table(source, n)
    return inputs(source, got.theta, got.angles), got.spectra["rso"].numpy()


def inputs(source: ProsailSource, theta: torch.Tensor, angles: torch.Tensor) -> np.ndarray:
    """What the methods of scikit-learn see."""
    low, high = source.space.low.float(), source.space.high.float()
    view = torch.cat([angles / torch.tensor([85.0, 85.0, 180.0]), angles.deg2rad().cos()], -1)
    return torch.cat([(theta - low) / (high - low), view], -1).numpy()


def by_components(make):
    """A method of scikit-learn on the scores of the first principal components."""

    def fit(source: ProsailSource, n: int, options):
        from sklearn.decomposition import PCA

        x, y = drawn(source, n)
        pca = PCA(COMPONENTS, random_state=0).fit(y)
        scale = pca.transform(y).std(0)
        model = make(n).fit(x, pca.transform(y) / scale)

        def predict(theta, angles):
            z = model.predict(inputs(source, theta, angles)) * scale
            return torch.from_numpy(pca.inverse_transform(z).astype(np.float32))

        return predict, (numbers(model) + pca.components_.size) * 8e-6

    return fit


def numbers(model) -> int:
    """Numbers that a fitted model of scikit-learn holds."""
    if isinstance(model, GaussianProcesses):
        return numbers(model.model)
    sizes = [v.size for v in vars(model).values() if isinstance(v, np.ndarray)]
    sizes += [w.size for w in getattr(model, "coefs_", [])]
    return sum(sizes)


class GaussianProcesses:
    """Of one kernel with a length for every input, found on three components of 500 draws."""

    def __init__(self, n: int) -> None:
        self.model = None

    def fit(self, x: np.ndarray, z: np.ndarray) -> "GaussianProcesses":
        """Learn all components."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        kernel = ConstantKernel(1.0) * RBF(2.0 * np.ones(18), (0.1, 100.0)) + WhiteKernel(1e-2)
        first = GaussianProcessRegressor(kernel, random_state=0).fit(x[:500], z[:500, :3])
        self.model = GaussianProcessRegressor(first.kernel_, optimizer=None).fit(x, z)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Mean of every component."""
        return self.model.predict(x)


def kernel_ridge(n: int):
    """Radial basis functions."""
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(kernel="rbf", gamma=0.2, alpha=1e-3)


def perceptron(n: int):
    """Three layers of 256; early stopping, or as many epochs as show 3 million draws."""
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(
        hidden_layer_sizes=(256, 256, 256), early_stopping=n <= 100_000, random_state=0,
        max_iter=60 if n <= 100_000 else max(1, 3_000_000 // n),
        batch_size=min(200 if n <= 100_000 else 1000, n),
    )  # fmt: skip


def nearest(source: ProsailSource, n: int, options):
    """The spectrum of the nearest draw."""
    from sklearn.neighbors import KNeighborsRegressor

    return _whole(KNeighborsRegressor(1), source, n)


def linear(source: ProsailSource, n: int, options):
    """Barycentric in 18 dimensions is out of reach; the plane through the 40 nearest draws."""
    x, y = drawn(source, n)
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=40).fit(x)

    def predict(theta, angles):
        at = inputs(source, theta, angles)
        rows = near.kneighbors(at, return_distance=False)
        found = np.empty((len(at), y.shape[1]), np.float32)
        for i, row in enumerate(rows):
            design = np.column_stack([np.ones(40), x[row] - at[i]])
            ridge = design.T @ design + 1e-3 * np.eye(design.shape[1])
            found[i] = np.linalg.solve(ridge, design.T @ y[row])[0]
        return torch.from_numpy(found)

    return predict, (x.size + y.size) * 4e-6


def _whole(model, source: ProsailSource, n: int):
    x, y = drawn(source, n)
    model.fit(x, y)

    def predict(theta, angles):
        return torch.from_numpy(model.predict(inputs(source, theta, angles)).astype(np.float32))

    return predict, (x.size + y.size) * 4e-6


class Limited(ProsailSource):
    """The same n draws at every step, as a method on a fixed table has them."""

    def __init__(self, source: ProsailSource, n: int) -> None:
        vars(self).update(vars(source))
        self.table = table(source, n)

    def draw(self, n: int, seed: int, held_out: bool = False) -> Draws:
        """Rows of the table; held-out draws are fresh."""
        if held_out:
            return super().draw(n, seed, held_out)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(self.table.theta), (n,), generator=generator)
        return Draws(
            self.table.theta[rows], self.table.angles[rows],
            {"rso": self.table.spectra["rso"][rows]},
        )  # fmt: skip


def ours(interpolator: dict):
    """An emulator of this package on n draws."""

    def fit(source: ProsailSource, n: int, options):
        raw = {
            "name": "benchmark", "draws": max(n, 100), "interpolator": interpolator,
            "vae": {"latents": 54 if interpolator["kind"] == "nodes" else 40},
            "edges": {"draws": max(n, 100), "weight": 0.02},
            "fit": {"steps": options.steps, "batch": 1024},
        }  # fmt: skip
        config = parse_plan(raw, "benchmark")
        if interpolator["kind"] == "nodes":
            emulator = fit_nodes(config, source, lambda *told: None)
        else:
            emulator = fit_network(config, Limited(source, n), lambda *told: None)
        emulator.eval().requires_grad_(False).compile()
        size = sum(p.numel() for p in emulator.parameters()) * 4e-6
        return (lambda theta, angles: emulator(theta, angles).rso), size

    return fit


METHODS = {
    "nearest": nearest,
    "linear": linear,
    "pca-gp": by_components(GaussianProcesses),
    "pca-krr": by_components(kernel_ridge),
    "pca-mlp": by_components(perceptron),
    "network, plain": ours({"kind": "network", "features": "plain"}),
    "network, canopy": ours({"kind": "network", "features": "canopy"}),
    "nodes": ours({"kind": "nodes", "nodes": 54}),
}

if __name__ == "__main__":
    sys.exit(main())
