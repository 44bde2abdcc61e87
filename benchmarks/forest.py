"""Forests held against Monte Carlo: RAMI4PILPS, photons in random spheres, a single sphere.

    python benchmarks/forest.py [--scenes 24] [--photons 5000] [--brf]

Prints four tables. (1) The 27 open forests of RAMI4PILPS in the red (Widlowski et al. 2011,
10.1029/2010JG001511; PHYSVAE_DATA, else ../shared/data): root mean square error and bias of what
is absorbed, reflected and transmitted, by model. Spheres of 5 m, centres from 7 to 11 m, leaf area
5 on the ground that each covers are those of the RAMI pages for such scenes (phase IV, two-layer
canopies: overstorey). (2) The same for photons traced here through stands of spheres like these,
so that the reading of the scene is tested, with the models left out. (3) `rtm.forest` on stands of
other density, height, leaves and soils, of which nothing was known when it was made. (4) The mean
cosine of what a sphere scatters, behind the share p³ of `rtm.forest`. With --brf, (5) `rso` in the
principal plane.

The photons: Woodcock tracking with the extinction inside crowns, leaves with Lambertian sides and
normals in all directions, a Lambertian ground, one period of 250 m by 250 m.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import torch

from rtm import clumping_index, forest
from rtm.foursail import HotSpot, extinction, foursail, over_soil, scatter
from rtm.foursail2 import clumped, crowns
from rtm.prospect import Leaf

DATA = Path(os.environ.get("PHYSVAE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIDE, RADIUS, SPHERICAL = 250.0, 5.0, 58.43
LEAVES = ((0.0735, 0.0566), (0.25, 0.10), (0.45, 0.40))
NAMES = ("absorbed", "albedo", "transmitted")
Array = np.ndarray


class Stand:
    """Spheres at random places that do not intersect, one period."""

    def __init__(self, rng: np.random.Generator, count: int, heights: tuple, density: float):
        self.density, self.low, self.top = density, heights[0] - RADIUS, heights[1] + RADIUS
        places = np.empty((0, 3))
        while len(places) < count:
            new = np.array([*rng.random(2) * SIDE, rng.uniform(*heights)])
            if (self.apart(places, new) >= 4 * RADIUS**2).all():
                places = np.vstack([places, new])
        self.places = places
        self.cells = int(SIDE // RADIUS)
        near: list[list[list[int]]] = [[[] for _ in range(self.cells)] for _ in range(self.cells)]
        for i, (x, y, _) in enumerate(places):
            for a in range(-2, 3):
                for b in range(-2, 3):
                    cell = int(x / SIDE * self.cells) + a, int(y / SIDE * self.cells) + b
                    near[cell[0] % self.cells][cell[1] % self.cells].append(i)
        most = max(len(cell) for row in near for cell in row)
        self.near = np.array([[c + [-1] * (most - len(c)) for c in row] for row in near])

    @staticmethod
    def apart(places: Array, x: Array) -> Array:
        d = places - x
        d[..., :2] -= SIDE * np.round(d[..., :2] / SIDE)
        return np.asarray((d * d).sum(-1))

    def holds(self, x: Array) -> Array:
        """Whether points are inside a sphere."""
        cell = np.floor(x[:, :2] / SIDE * self.cells).astype(int) % self.cells
        index = self.near[cell[:, 0], cell[:, 1]]
        near = self.apart(self.places[index], x[:, None]) < RADIUS**2
        return np.asarray((near & (index >= 0)).any(1))

    def gap(self, x: Array, o: Array) -> Array:
        """What is left of a beam from points into one direction."""
        half = (self.top - x[:, 2:]) / (2 * o[2])
        d = self.places - (x + half * o)[:, None]
        d[..., :2] -= SIDE * np.round(d[..., :2] / SIDE)
        along = d @ o
        chord = 2 * np.sqrt(np.maximum(RADIUS**2 - (d * d).sum(-1) + along**2, 0.0))
        begin = np.maximum(along - chord / 2, -half)
        inside = np.maximum(along + chord / 2 - begin, 0.0) * (chord > 0)
        return np.exp(-0.5 * self.density * inside.sum(1))


def isotropic(rng: np.random.Generator, n: int) -> Array:
    z, turn = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)


def lambertian(rng: np.random.Generator, normal: Array) -> Array:
    v = normal + isotropic(rng, len(normal))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def leaf_normals(rng: np.random.Generator, v: Array) -> Array:
    """Normals of the leaves that photons of direction v meet, towards them."""
    found = isotropic(rng, len(v))
    todo = rng.random(len(v)) > np.abs((found * v).sum(1))
    while todo.any():
        found[todo] = isotropic(rng, int(todo.sum()))
        todo[todo] = rng.random(int(todo.sum())) > np.abs((found[todo] * v[todo]).sum(1))
    return -found * np.sign((found * v).sum(1))[:, None]


def trace(
    rng: np.random.Generator, stand: Stand, tts: float, leaf: tuple, soil: float, n: int,
    view: Array | None = None,
) -> Array:  # fmt: skip
    """Shares absorbed, reflected, transmitted, and rso at `view` for the sun at azimuth 0.

    A zenith below 0 is an even sky.
    """
    ground = np.array([0.0, 0.0, 1.0])
    x = np.column_stack([rng.random((n, 2)) * SIDE, np.full(n, stand.top)])
    s = np.array([np.sin(np.radians(tts)), 0.0, np.cos(np.radians(tts))])
    v = np.tile(-s, (n, 1)) if tts >= 0 else -lambertian(rng, np.tile(ground, (n, 1)))
    w, total, (rho, tau) = np.ones(n), np.zeros(4), leaf
    while len(w):
        x = x + rng.exponential(2 / stand.density, len(w))[:, None] * v
        out, down = x[:, 2] >= stand.top, x[:, 2] <= stand.low
        total[1] += w[out].sum()
        total[2] += w[down].sum()
        x[down] -= (x[down, 2] / v[down, 2])[:, None] * v[down]
        hit = ~out & ~down
        hit[hit] = stand.holds(x[hit])
        normal = leaf_normals(rng, v[hit])
        if view is not None:
            cosine = normal @ view
            seen = w[hit] * np.where(cosine > 0, rho, tau) * np.abs(cosine) / view[2]
            total[3] += (seen * stand.gap(x[hit], view)).sum()
            total[3] += soil * (w[down] * stand.gap(x[down], view)).sum()
        total[0] += w[hit].sum() * (1 - rho - tau)
        back = rng.random(len(normal)) < rho / (rho + tau)
        v[hit] = lambertian(rng, np.where(back[:, None], normal, -normal))
        v[down] = lambertian(rng, np.tile(ground, (int(down.sum()), 1)))
        x[down] += stand.low / v[down, 2:] * v[down]
        w = np.where(hit, w * (rho + tau), np.where(down, w * soil, w))
        w = np.where(w < 0.05, 0.05 * (rng.random(len(w)) < w / 0.05), w)
        keep = ~out & (w > 0)
        x, v, w = x[keep], v[keep], w[keep]
        x[:, :2] %= SIDE
    return total / n


def traced(rng: np.random.Generator, case: dict, photons: int, stands: int = 2) -> Array:
    """The mean over stands of one case."""
    count = round(case["area"] * SIDE**2 / (np.pi * RADIUS**2))
    low = case.get("low", 7.0)
    heights, density = (low, low + 2 * RADIUS * case["spread"]), 0.75 * case["crown_lai"] / RADIUS
    return np.mean([
        trace(rng, Stand(rng, count, heights, density), case["tts"], case["leaf"], case["soil"],
              photons, case.get("view"))
        for _ in range(stands)
    ], 0)  # fmt: skip


def by_forest(cases: list[dict], **options) -> Array:
    column = {n: np.array([case[n] for case in cases]) for n in ("area", "tts", "soil")}
    optics = np.array([case["leaf"] for case in cases])
    crowned = {"crown_area": column["area"], "crown_spread": [c["spread"] for c in cases]}
    lai = column["area"] * [case["crown_lai"] for case in cases]
    found = forest(
        reflectance=optics[:, :1], transmittance=optics[:, 1:],
        soil_reflectance=column["soil"][:, None],
        lai=lai, tts=np.maximum(column["tts"], 0.0), ala=SPHERICAL,
        **(crowned | options if "clumping" not in options else options),
    )  # fmt: skip
    sun = torch.cat([found.absorbed, found.rsd, found.transmitted], -1)
    sky = torch.cat([found.absorbed_diffuse, found.rdd, found.transmitted_diffuse], -1)
    return torch.where(torch.as_tensor(column["tts"])[:, None] < 0, sky, sun).numpy()


def by_patches(cases: list[dict], law: str) -> Array:
    """Crowns side by side with bare ground, or those of 4SAIL2, of turbid slabs or spheres."""
    t = {n: torch.tensor([c[n] for c in cases]) for n in ("area", "tts", "soil", "crown_lai")}
    angles = torch.deg2rad(torch.arange(0.5, 90.0, dtype=torch.float64))
    shares = angles.sin() / angles.sin().sum()
    tts, zero = t["tts"].clamp(min=0.0).double(), torch.zeros(len(cases), dtype=torch.float64)
    geometry = extinction(
        tts=tts, tto=zero, psi=zero, angles=torch.stack([angles.cos(), angles.sin()])[..., None],
        shares=shares[:, None].expand(-1, len(cases)),
    )  # fmt: skip
    rho, tau = torch.tensor([c["leaf"] for c in cases], dtype=torch.float64).T[:, None]
    leaf, soil = Leaf(rho, tau, 1.0 - rho - tau), t["soil"].double()[None]
    inside, none = t["crown_lai"].double(), HotSpot(zero, zero)
    if law == "side by side":
        canopy = foursail(leaf=leaf, lai=inside, geometry=geometry, hot=none, soil=soil)
        share = t["area"].double()
    else:
        over = crowns(tts=tts, tto=zero, psi=zero, cv=t["area"].double(), zeta=zero + 1.0)
        layer = scatter(leaf=leaf, lai=inside, geometry=geometry)
        canopy, share = over_soil(clumped(layer, over), 0.0 * rho, zero, soil), zero + 1.0
    found = []
    for back, down in ((canopy.rsd, canopy.sun_to_soil), (canopy.rdd, canopy.sky_to_soil)):
        parts = (1.0 - back - (1.0 - soil) * down, back, down)
        bare = (torch.zeros_like(soil), soil, torch.ones_like(soil))
        found.append(torch.cat([b + share * (x - b) for x, b in zip(parts, bare, strict=True)]).T)
    return torch.where(t["tts"][:, None] < 0, found[1], found[0]).numpy()


def rami() -> tuple[list[dict], Array]:
    path = DATA / "rtm_reference" / "rami4pilps_open_forest_red.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cases = [
        {"area": float(r["lai"]) / 5.0, "crown_lai": 5.0, "spread": 0.4, "leaf": LEAVES[0],
         "soil": float(r["soil_albedo"]), "tts": float(r["sun_zenith_deg"])}
        for r in rows
    ]  # fmt: skip
    return cases, np.array([[float(r[name]) for name in NAMES] for r in rows])


def row(name: str, found: Array, truth: Array) -> None:
    error = found[:, :3] - truth[:, :3]
    cells = np.stack([np.sqrt((error**2).mean(0)), error.mean(0)], 1)
    print(f"| {name} | " + " | ".join(f"{r:.4f} ({b:+.4f})" for r, b in cells) + " |", flush=True)


def head(first: str) -> None:
    print(f"\n| {first} | {' | '.join(NAMES)} |\n|---|---|---|---|")


def constant_index(cases: list[dict]) -> Array:
    """Ω of the crowns at 57.5 degree, at every angle."""
    lai = np.array([c["area"] * c["crown_lai"] for c in cases])
    area, spread = ([c[name] for c in cases] for name in ("area", "spread"))
    omega = clumping_index(lai=lai, crown_area=area, crown_spread=spread, ala=SPHERICAL)
    return by_forest(cases, clumping=omega)


def models(cases: list[dict], truth: Array) -> None:
    row("4SAIL, turbid", by_forest(cases, clumping=1.0, diffuse="mean"), truth)
    row("crowns side by side (`crowns=True`)", by_patches(cases, "side by side"), truth)
    row("4SAIL2", by_patches(cases, "4SAIL2"), truth)
    row("`rtm.forest`, Ω at 57.5° at all angles", constant_index(cases), truth)
    row('`rtm.forest`, crowns, `diffuse="mean"`', by_forest(cases, diffuse="mean"), truth)
    row("**`rtm.forest`, crowns**", by_forest(cases), truth)


def unseen(rng: np.random.Generator, n: int) -> list[dict]:
    pick = rng.choice
    return [
        {"area": round((0.1, 0.3, 0.5)[i % 3] * SIDE**2 / (np.pi * 25)) * np.pi * 25 / SIDE**2,
         "leaf": LEAVES[i // 3 % 3], "crown_lai": float(pick([2, 5, 10])), "low": 6.0,
         "spread": float(pick([0.2, 0.4, 1.0, 2.0])), "soil": float(pick([0, 0.15, 0.5, 0.9])),
         "tts": float(pick([10, 30, 50, 65, 75, -1]))}
        for i in range(n)
    ]  # fmt: skip


def sphere(rng: np.random.Generator, depth: float, n: int = 200_000) -> tuple[float, Array]:
    """p of a sphere of isotropic scatterers and its mean cosine in the first three orders."""
    radius, found = depth / 2, []
    r2, turn = rng.random(n) * radius**2, rng.random(n) * 2 * np.pi
    half = np.sqrt(radius**2 - r2)
    weight = -np.expm1(-2 * half)
    p = 1 - weight.mean() * 0.75 / radius
    s = -np.log1p(-rng.random(n) * weight)
    x = np.column_stack([np.sqrt(r2) * np.cos(turn), np.sqrt(r2) * np.sin(turn), half - s])
    for _ in range(3):
        v = isotropic(rng, n)
        b = (x * v).sum(1)
        way = -b + np.sqrt(np.maximum(b * b - (x * x).sum(1) + radius**2, 0.0))
        out = weight * np.exp(-way)
        found.append(-(out * v[:, 2]).sum() / out.sum())
        stays = -np.expm1(-way)
        x = x - np.log1p(-rng.random(n) * stays)[:, None] * v
        weight = weight * stays
    return p, np.array(found)


def principal_plane(rng: np.random.Generator, photons: int) -> None:
    print("\n| cover, leaf | view | rso, photons | `rtm.forest` |\n|---|---|---|---|")
    error: dict[tuple, list[float]] = {}
    for area in (0.3, 0.5):
        for leaf in (LEAVES[0], LEAVES[2]):
            case = {"area": area, "crown_lai": 5.0, "spread": 0.4, "leaf": leaf, "soil": 0.15}
            for view in (-60, -30, 0, 20, 40, 60):
                t = np.radians(view)
                case |= {"tts": 30.0, "view": np.array([np.sin(t), 0.0, np.cos(t)])}
                seen = forest(
                    reflectance=[leaf[0]], transmittance=[leaf[1]], soil_reflectance=[0.15],
                    lai=5 * area, crown_area=area, crown_base=1 / 7, tts=30.0, tto=abs(view),
                    psi=0.0 if view >= 0 else 180.0, ala=SPHERICAL,
                ).rso  # fmt: skip
                truth = traced(rng, case, photons)[3]
                error.setdefault(leaf, []).append(seen.item() - truth)
                print(f"| {area}, {leaf[0]} | {view} | {truth:.4f} | {seen.item():.4f} |")
    for leaf, values in error.items():
        print(leaf, f"RMSE {np.sqrt(np.mean(np.square(values))):.4f}, bias {np.mean(values):+.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--photons", type=int, default=5_000)
    parser.add_argument("--brf", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    cases, truth = rami()
    head("RAMI4PILPS, 27 open forests, red: RMSE (bias)")
    models(cases, truth)
    for spread in (0.0, 1.0, 2.0):
        row(
            f"`rtm.forest`, spread {spread:g}",
            by_forest([c | {"spread": spread} for c in cases]),
            truth,
        )
    head("photons traced here against RAMI4PILPS")
    for spread in (0.0, 0.4, 1.0):
        found = [traced(rng, c | {"spread": spread}, options.photons, 4) for c in cases]
        row(f"centres from 7 to {7 + 10 * spread:g} m", np.array(found), truth)
    others = unseen(rng, options.scenes)
    photons = np.array([traced(rng, c, options.photons) for c in others])
    head(f"{len(others)} other stands, photons traced here")
    models(others, photons)
    print("\n| p of a sphere | mean cosine by order | -4/9·p³ |\n|---|---|---|")
    for depth in (0.3, 0.75, 1.5, 3.0, 3.75, 7.5, 15.0):
        p, cosine = sphere(rng, depth)
        print(f"| {p:.3f} | {' '.join(f'{x:+.3f}' for x in cosine)} | {-4 / 9 * p**3:+.3f} |")
    if options.brf:
        principal_plane(rng, options.photons)


if __name__ == "__main__":
    main()
