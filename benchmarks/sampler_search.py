"""Search the sampler that simulations should be drawn from, with one network for all of them.

    python benchmarks/sampler_search.py teach FOLDER [--steps N]      some minutes
    python benchmarks/sampler_search.py rank FOLDER [--samplers N]    one JSON line a sampler
    python benchmarks/sampler_search.py choose FOLDER                 nested choices, as a table

A throw-away network for every sampler costs seconds each. Here one network learns the posterior
mean of LAI given the spectrum AND the numbers of the sampler that drew it: every simulation of a
batch comes from a sampler of its own. It then tells in one pass what a network of any
sampler would say of the measured plots, so that thousands of samplers can be compared. No measured
LAI is in the training of the network; `rank` writes squared errors and sums by group, with which
`choose` picks samplers with a site or a set left out and takes their error there.

The numbers of a sampler are those of a training file: a truncated normal of LAI, a mixture of open
and closing crowns, a mixture of dry matter, chlorophyll, brown pigment, leaf angle, noise.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import physvae
from physvae import mixtures
from physvae.distributions import truncated_quantile
from physvae.mixtures import Parts, mixture_value

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12")
RANGES = {
    "lai_mean": (-1.0, 3.0), "lai_sd": (2.0, 5.5), "lai_max": (8.0, 12.0),
    "sparse": (0.0, 0.35), "sparse_sd": (0.2, 1.0),
    "open": (0.0, 0.8), "open_sd": (0.3, 1.2), "close_rate": (0.3, 1.2),
    "woody": (0.0, 0.3), "cmw": (0.006, 0.02), "cm_sd": (0.002, 0.005), "cm_cv": (-0.6, 0.3),
    "cab_mean": (36.0, 60.0), "cab_sd": (14.0, 28.0), "cab_brown": (-0.5, 0.0),
    "brown_sd": (0.2, 0.8), "ala_mean": (50.0, 64.0), "ala_sd": (7.0, 14.0),
    "band": (0.01, 0.035), "common": (0.005, 0.08), "floor": (0.001, 0.006), "blue": (0.2, 0.8),
}  # fmt: skip
WIDTH, BATCH = 160, 3072
mixtures.HALVINGS = 16  # a throw-away network needs no more


def truncated(w: Tensor, mean, sd, low, high) -> Tensor:
    """A truncated normal at a score, every argument a number or [n]."""
    mean, sd, low, high = (torch.as_tensor(x).to(w) for x in (mean, sd, low, high))
    return mean + sd * truncated_quantile(w, (low - mean) / sd, (high - mean) / sd)


def draw_samplers(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """n samplers, uniform in RANGES."""
    return {k: a + (b - a) * torch.rand(n, generator=generator) for k, (a, b) in RANGES.items()}


def encode(s: dict[str, Tensor]) -> Tensor:
    """The samplers' numbers [n, number] from −1 to 1."""
    return torch.stack([2 * (s[k] - a) / (b - a) - 1 for k, (a, b) in RANGES.items()], -1)


def mixed(w: Tensor, lai: Tensor, rows: list[tuple]) -> Tensor:
    """A mixture, its parts (share, mean, sd, low, high, rate) numbers or [n]."""
    columns = [
        torch.stack([torch.as_tensor(x).to(w).expand(w.shape) for x in c], -1)
        for c in zip(*rows, strict=True)
    ]
    return mixture_value(w, lai, Parts(*columns))


def simulate(s: dict[str, Tensor], model, generator: torch.Generator):
    """One canopy a sampler: LAI [n], reflectance [n, band], angles [n, 3]."""
    n = len(s["open"])
    w = torch.randn(n, 15, generator=generator)
    lai = truncated(w[:, 0], s["lai_mean"], s["lai_sd"], 0.0, s["lai_max"])
    few = truncated(w[:, 0], 0.0, s["sparse_sd"], 0.0, 4.0)
    lai = torch.where(torch.rand(n, generator=generator) < s["sparse"], few, lai)
    cv = mixed(
        w[:, 1], lai,
        [(s["open"], 1.0, s["open_sd"], 0.02, 1.0, 0.0),
         (1 - s["open"], 0.5, 50.0, 0.05, 1.0, s["close_rate"])],
    )  # fmt: skip
    r = s["cm_cv"]
    cm = mixed(
        r * w[:, 1] + (1 - r * r).sqrt() * w[:, 2], lai,
        [(s["woody"], s["cmw"], 0.006, 0.004, 0.04, 0.0),
         (1 - s["woody"], 0.005, s["cm_sd"], 0.002, 0.015, 0.0)],
    )  # fmt: skip
    r = s["cab_brown"]
    cab = truncated(w[:, 3], s["cab_mean"], s["cab_sd"], 1.0, 90.0)
    theta = {
        "lai": lai, "cab": cab, "car": cab * truncated(w[:, 4], 0.222, 0.04, 0.1, 0.4),
        "cbrown": truncated(
            r * w[:, 3] + (1 - r * r).sqrt() * w[:, 5], 0.0, s["brown_sd"], 0.0, 2.0
        ),
        "cw": truncated(0.25 * w[:, 3] + 0.968 * w[:, 6], 0.025, 0.02, 0.004, 0.075),
        "cm": cm, "n_leaf": truncated(w[:, 7], 1.5, 0.3, 1.1, 2.4),
        "ala": truncated(w[:, 8], s["ala_mean"], s["ala_sd"], 25.0, 80.0),
        "hspot": truncated(w[:, 9], 0.2, 0.5, 0.1, 0.5), "cv": cv,
        "rsoil": truncated(w[:, 10], 1.0, 0.4, 0.3, 2.2),
        **{f"soil_{i + 1}": w[:, 11 + i].clamp(-3, 3) for i in range(4)},
    }  # fmt: skip
    angles = torch.rand(n, 3, generator=generator) * torch.tensor([60.0, 12.0, 180.0])
    angles[:, 0] += 15.0
    x = model.physical(torch.stack([theta[k] for k in model.space.names], -1).float(), angles)
    x = x[:, [model.bands.index(b) for b in BANDS]]
    share = s["band"][:, None].expand_as(x).clone()
    share[:, 0] = (share[:, 0].square() + s["blue"].square()).sqrt()
    own = (s["floor"][:, None].square() + (share * x).square()).sqrt()
    own = own * torch.randn(x.shape, generator=generator)
    shared = x * s["common"][:, None] * torch.randn(n, 1, generator=generator)
    return lai, x + own + shared, angles


def features(x: Tensor, angles: Tensor) -> Tensor:
    """What the network sees of a spectrum."""
    log = ((x.clamp_min(0.0) + 0.01).log() + 2.0) / 0.8
    return torch.cat([log, (x - 0.2) / 0.15, angles.deg2rad().cos()], -1)


class Net(nn.Module):
    """Posterior mean of LAI from spectrum and sampler."""

    def __init__(self):
        super().__init__()
        size = 2 * len(BANDS) + 3 + len(RANGES)
        self.layers = nn.Sequential(
            nn.Linear(size, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(),
            nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1),
        )  # fmt: skip

    def forward(self, spectrum: Tensor, sampler: Tensor) -> Tensor:
        return 3.0 * self.layers(torch.cat([spectrum, sampler], -1))[..., 0] + 2.5


def teach(folder: Path, steps: int) -> None:
    """Train the network."""
    folder.mkdir(parents=True, exist_ok=True)
    model = physvae.load("sentinel-2")
    model.physical.compile()
    torch.manual_seed(1)
    net, path = Net(), folder / "net.safetensors"
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        generator = torch.Generator().manual_seed(7_000_003 + step)
        with torch.no_grad():
            s = draw_samplers(BATCH, generator)
            lai, x, angles = simulate(s, model, generator)
        loss = (net(features(x, angles), encode(s)) - lai).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        scheduler.step()
        if step % 100 == 99 or step == steps - 1:
            print(step + 1, f"{loss.item():.4f}", flush=True)
            save_file(net.state_dict(), path)
    save_file(net.state_dict(), path)


def plots() -> tuple[pd.DataFrame, Tensor]:
    """The measured plots of both sets, and what the network sees of them."""
    field = pd.read_csv(DATA / "field" / "field_dev.csv").assign(set="field_dev")
    field["group"] = field["site"]
    other = pd.read_csv(DATA / "field" / "grounded_eo_dev.csv").assign(set="grounded")
    other["group"] = other["acquisition_group"].astype(str)
    table = pd.concat([field, other], ignore_index=True)
    x = torch.tensor(table[list(BANDS)].to_numpy(float)).float()
    names = ["sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg"]
    angles = table[names].fillna(dict(zip(names, (40.0, 4.0, 90.0), strict=True)))
    angles["relative_azimuth_deg"] = 180 - (180 - angles["relative_azimuth_deg"] % 360).abs()
    return table, features(x, torch.tensor(angles.to_numpy(float)).float())


FOLDS = 5  # of the acquisition groups of grounded_eo_dev


def units(table: pd.DataFrame) -> np.ndarray:
    """What is left out together: sites of field_dev, fifths of the groups of grounded_eo_dev."""
    fold = table["group"].where(table["set"] == "field_dev", "")
    codes = pd.factorize(table.loc[table["set"] == "grounded", "group"])[0] % FOLDS
    fold[table["set"] == "grounded"] = [f"fold {code}" for code in codes]
    return fold.to_numpy()


def judge(error: np.ndarray, lai: np.ndarray) -> dict[str, float]:
    """RMSE, bias, r, and bias below 0.5 and above 4, of errors [plot]."""
    return {
        "rmse": float(np.sqrt(np.mean(error**2))), "bias": float(error.mean()),
        "r": float(np.corrcoef(lai + error, lai)[0, 1]),
        "low": float(error[lai < 0.5].mean()), "high": float(error[lai > 4].mean()),
    }  # fmt: skip


def cost(row: dict) -> float:
    """How far a sampler is from the goals of both sets; 1 where the worse one is just met."""
    goals = {"field_dev": 0.92, "grounded": 0.98}
    ratios = [row[name]["rmse"] / goal for name, goal in goals.items()]
    bias = sum(max(0.0, abs(row[name]["bias"]) - 0.2) for name in goals)
    return max(ratios) + 0.2 * sum(ratios) / 2 - 0.2 + 0.3 * bias


@torch.no_grad()
def rank(folder: Path, samplers: int, rounds: int = 4, seed: int = 1) -> None:
    """Judge random samplers, then neighbours of the best; a line each."""
    net = Net()
    net.load_state_dict(load_file(folder / "net.safetensors"))
    table, seen = plots()
    lai, fold, which = table["lai"].to_numpy(), units(table), table["set"].to_numpy()
    generator = torch.Generator().manual_seed(seed)
    rows: list[dict] = []
    for turn in range(rounds):
        s = encode(draw_samplers(samplers if turn == 0 else samplers // 4, generator))
        if turn:
            best = sorted(rows, key=cost)[:40]
            middle = torch.tensor([best[i % len(best)]["code"] for i in range(len(s))])
            s = (middle + 0.3 * torch.randn(s.shape, generator=generator)).clamp(-1, 1)
        for part in s.split(200):
            pairs = (seen.expand(len(part), -1, -1), part[:, None].expand(-1, len(seen), -1))
            errors = net(*pairs).clamp_min(0.0).numpy() - lai
            for code, error in zip(part.tolist(), errors, strict=True):
                row = {"turn": turn, "code": [round(x, 4) for x in code]}
                for name in ("field_dev", "grounded"):
                    row[name] = judge(error[which == name], lai[which == name])
                row["sse"] = {u: float((error[fold == u] ** 2).sum()) for u in set(fold)}
                rows.append(row)
        print(turn, *describe(min(rows, key=cost)), sep="\n", flush=True)
    with (folder / "rank.jsonl").open("w") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def describe(row: dict) -> list[str]:
    """A sampler in words and numbers."""
    numbers = dict(zip(RANGES, row["code"], strict=True))
    shown = {k: round(a + (b - a) * (numbers[k] + 1) / 2, 4) for k, (a, b) in RANGES.items()}
    judged = [
        f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in row[name].items())
        for name in ("field_dev", "grounded")
    ]
    return [json.dumps(shown), *judged]


def choose(folder: Path, kept: int = 10) -> None:
    """Errors of choices among the random samplers that leave a unit or a set out."""
    rows = [json.loads(line) for line in (folder / "rank.jsonl").open()]
    rows = [row for row in rows if row["turn"] == 0]
    table, _ = plots()
    fold = units(table)
    names, counts = np.unique(fold, return_counts=True)
    sse = np.array([[row["sse"][u] for u in names] for row in rows])
    ours = np.array([not u.startswith("fold") for u in names])

    def rmse(mask: np.ndarray) -> np.ndarray:
        return np.sqrt(sse[:, mask].sum(1) / counts[mask].sum())

    left = np.zeros(len(names))
    for i in range(len(names)):
        rest = np.arange(len(names)) != i
        score = np.maximum(rmse(rest & ours) / 0.92, rmse(rest & ~ours) / 0.98)
        left[i] = sse[np.argsort(score)[:kept], i].mean()
    for name, mask in (("field_dev", ours), ("grounded", ~ours)):
        own = np.sqrt(left[mask].sum() / counts[mask].sum())
        other = rmse(mask)[np.argsort(rmse(~mask))[:kept]].mean()
        print(f"{name}: a unit left out {own:.3f}, the whole set left out {other:.3f}")


def main(arguments: list[str]) -> int:
    """Run one of the three stages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["teach", "rank", "choose"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--samplers", type=int, default=4000)
    chosen = parser.parse_args(arguments)
    if chosen.stage == "teach":
        teach(chosen.folder, chosen.steps)
    elif chosen.stage == "rank":
        rank(chosen.folder, chosen.samplers)
    else:
        choose(chosen.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
