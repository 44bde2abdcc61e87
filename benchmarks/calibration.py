"""Calibration, reconstruction and domain score of a model, on simulations it has never seen.

    python benchmarks/calibration.py [MODEL] [--data FOLDER] [--simulations 20000] [--plots FOLDER]

MODEL is a shipped name or a folder. Simulations are drawn with a seed that training never used,
with inputs missing as in training. Ranks are those of the true trait in its estimated marginal
(Talts et al. 2018, arXiv 1804.06788): flat where a model is calibrated; χ² over 20 bins. CRPS in
the trait's unit by pinball losses at 99 levels, beside that of the prior. Without the data folder
the reconstruction is left out.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import scoringrules
import torch
from scipy import stats

import physvae
from physvae.config import parse_config
from physvae.evaluation import (
    interval_coverage,
    known_cases,
    probability_ranks,
)
from physvae.finishing import DECODINGS, decodings
from physvae.inference import out_of_domain
from physvae.simulation import simulate
from physvae.training import read_spectra
from physvae.vae import NORMAL

SEED, BINS = 20_261_121, 20
LEVELS = (0.5, 0.68, 0.9, 0.95)
PINBALL = np.arange(1, 100) / 100
# B2 B3 B4 B5 B6 B7 B8 B8A B11 B12 of things that are no canopy, as spectral libraries have them
STRANGERS = {
    "snow": [0.95, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.88, 0.12, 0.10],
    "clear water": [0.05, 0.04, 0.02, 0.015, 0.01, 0.008, 0.007, 0.006, 0.003, 0.002],
    "turbid water": [0.06, 0.09, 0.08, 0.06, 0.04, 0.035, 0.03, 0.025, 0.008, 0.005],
    "cloud": [0.75, 0.74, 0.74, 0.75, 0.76, 0.77, 0.78, 0.78, 0.65, 0.55],
    "white roof": [0.60, 0.65, 0.68, 0.69, 0.69, 0.69, 0.69, 0.68, 0.60, 0.52],
    "metal roof": [0.25, 0.27, 0.28, 0.28, 0.285, 0.29, 0.29, 0.29, 0.27, 0.25],
    "concrete": [0.22, 0.26, 0.30, 0.31, 0.32, 0.33, 0.33, 0.34, 0.38, 0.37],
    "asphalt": [0.08, 0.09, 0.10, 0.105, 0.11, 0.115, 0.12, 0.12, 0.15, 0.15],
    "red tiles": [0.08, 0.12, 0.24, 0.28, 0.30, 0.32, 0.33, 0.34, 0.42, 0.42],
    "bright red tiles": [0.10, 0.16, 0.33, 0.37, 0.39, 0.41, 0.42, 0.43, 0.50, 0.48],
    "weathered red tiles": [0.07, 0.09, 0.15, 0.18, 0.20, 0.21, 0.22, 0.23, 0.29, 0.30],
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="sentinel-2")
    parser.add_argument("--data", default=os.environ.get("PHYSVAE_DATA", "../shared/data"))
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--plots", type=Path, help="Folder for a picture of the ranks.")
    options = parser.parse_args()
    model = physvae.load(options.model)
    config = parse_config(model.config["training"], options.model)
    if model.summaries is None:
        print_coverage(model, config, options.simulations)
    else:
        ranks = print_marginals(model, config, options.simulations)
        if options.plots:
            draw_ranks(ranks, options.plots / f"ranks-{model.name}.png")
    if config.spectra and Path(options.data).is_dir():
        print_reconstruction(model, config, Path(options.data))
    print_domain(model, config)


def print_coverage(model, config, n: int) -> None:
    """Print the share of simulated truths inside the central intervals, by trait, by draws."""
    given = {"ranges": config.angles, "missing": config.missing, "n": n, "seed": SEED}
    found = {level: interval_coverage(model, level=level, **given) for level in LEVELS}
    print(f"{n} held-out simulations, share of truths inside the central interval")
    print(f"{'trait':10}" + "".join(f"{100 * level:6.0f} %" for level in LEVELS))
    for name in found[0.9]:
        print(f"{name:10}" + "".join(f"{found[level][name]:8.3f}" for level in LEVELS))


def print_marginals(model, config, n: int) -> dict[str, np.ndarray]:
    """Print coverage, flatness of ranks and CRPS by trait. Returns the ranks [n]."""
    given = {"ranges": config.angles, "missing": config.missing, "n": n, "seed": SEED}
    found = [judged(model, case) for case in known_cases(model, **given)]
    rank, truth, crps, field = (np.concatenate(part) for part in zip(*found, strict=True))
    prior = np.quantile(truth, PINBALL, axis=0).T[:, None].repeat(n, 1)  # [trait, n, level]
    print(
        f"{n} held-out simulations: share of truths inside the central interval, flatness of ranks"
    )
    heads = [f"{100 * level:.0f} %" for level in LEVELS]
    heads += ["chi2 p", "CRPS", "of prior", "field 95 %"]
    print(f"{'trait':10}" + "".join(f"{head:>11}" for head in heads))
    for i, name in enumerate(model.traits):
        inside = [np.mean(np.abs(rank[:, i] - 0.5) <= level / 2) for level in LEVELS]
        p = stats.chisquare(np.histogram(rank[:, i], BINS, (0, 1))[0]).pvalue
        alone = np.mean(scoringrules.crps_quantile(truth[:, i], prior[i], PINBALL))
        numbers = "".join(f"{share:11.3f}" for share in inside)
        kept = f"{np.mean(field[:, i]):11.3f}" if name in model.field.get("amortised", {}) else ""
        print(f"{name:10}{numbers}{p:11.3f}{np.mean(crps[:, i]):11.4g}{alone:11.4g}{kept}")
    return dict(zip(model.traits, rank.T, strict=True))


@torch.no_grad()
def judged(model, case):
    """Ranks, truths, CRPS and whether the field interval holds, each [n, trait]."""
    marginals = model.marginals(case.reflectance, case.angles)
    quantiles = torch.stack([marginals.quantile(NORMAL.inv_cdf(p)) for p in PINBALL], -1)
    crps = scoringrules.crps_quantile(case.traits.numpy(), quantiles.numpy(), PINBALL)
    found = model.estimate(case.reflectance, case.angles, tuple(model.traits))
    low, high = (torch.stack(list(part.values()), -1) for part in (found.p025, found.p975))
    field = (low <= case.traits) & (case.traits <= high)
    return probability_ranks(model, case).numpy(), case.traits.numpy(), crps, field.numpy()


def draw_ranks(ranks: dict[str, np.ndarray], path: Path) -> None:
    """A histogram a trait, with the band that 99 % of flat ones keep in each bin."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(ranks) // 5)
    figure, axes = pyplot.subplots(rows, 5, figsize=(12, 1.9 * rows), sharex=True, sharey=True)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, (name, rank) in zip(axes.flat, ranks.items(), strict=False):
        even = len(rank) / BINS
        low, high = stats.binom.ppf([0.005, 0.995], len(rank), 1 / BINS) / even
        axis.set_visible(True)
        axis.axhspan(low, high, color="0.85")
        axis.hist(rank, BINS, range=(0, 1), weights=np.full(len(rank), 1 / even), histtype="step")
        axis.set(title=name, xlim=(0, 1), ylim=(0.7, 1.3))
    figure.supxlabel("probability below the truth")
    figure.supylabel("share, 1 if calibrated")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def print_reconstruction(model, config, data: Path) -> None:
    """Print the standardised errors of all decodings, on all rows and on held-out rows."""
    print("\nreconstruction, mean squared error in units of each band's variance")
    print(f"{'spectra':50}{'rows':>8}" + "".join(f"{name:>15}" for name in DECODINGS))
    for entry in config.spectra:
        real, training = read_spectra(data / entry.file, entry, config.bands)
        whole = real.reflectance.isfinite().all(-1)
        for label, keep in (("all", whole), ("held out", whole & ~training)):
            error = decodings(model, real.take(keep))
            name = f"{entry.file} ({label})"
            numbers = "".join(f"{error[key]:15.4f}" for key in DECODINGS)
            print(f"{name:50}{int(keep.sum()):>8}{numbers}")


def print_domain(model, config, n: int = 5000) -> None:
    """Print how often simulations are called strangers, and strangers are (Sentinel-2 bands)."""
    generator = torch.Generator().manual_seed(SEED)
    drawn = simulate(model, n, config.angles, generator)
    share = (out_of_domain(model, drawn.reflectance, drawn.angles) > 1).double().mean()
    print(f"\nout of domain: {share:.3f} of {n} simulations")
    if len(model.bands) != len(STRANGERS["snow"]):
        return
    for name, spectrum in STRANGERS.items():
        noise = 1 + 0.05 * torch.randn(500, len(spectrum), generator=generator)
        strange = out_of_domain(model, torch.tensor(spectrum) * noise, drawn.angles[:500]) > 1
        print(f"{strange.double().mean():.3f} of 500 spectra of {name}")


if __name__ == "__main__":
    main()
