"""From trained weights to a model that can be shipped: products, limits, figures, card."""

import math
import platform
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import physvae
from physvae.config import Config
from physvae.evaluation import (
    BLOCK,
    interval_coverage,
    physics_alone_error,
    product_error,
    reconstruction_error,
    true_traits,
)
from physvae.io.files import write_atomically
from physvae.io.progress import Done, Stage, nothing, silent
from physvae.plans import LibrarySoil
from physvae.real_spectra import RealSpectra, read_spectra
from physvae.remainder import Remainder
from physvae.simulation import hide, simulate
from physvae.soils import SoilMixtures
from physvae.store import save_model
from physvae.summarising import fit_summaries
from physvae.training import soils_of
from physvae.vae import NORMAL, PhysVAE

MANY = 50_000  # simulations for which compiling the physics pays
SPECTRA = 10  # simulations a band at least, for the covariance of the training spectra
KEPT = 0.98  # share of simulations within each of the two limits
SEEDS = {"limits": 101, "coverage": 202, "products": 303}  # added to the configuration's seed


def finish(
    model: PhysVAE, config: Config, data: Path, folder: Path, *, stage: Stage = silent,
    source: str = "",
) -> dict:  # fmt: skip
    """Complete a trained model and write it, then measure it. Returns the figures.

    The model is on disk before anything is measured, so that it is not lost with a figure.

    Parameters
    ----------
    model : PhysVAE
        Of `physvae.training.Trainer`.
    config, data, folder : Config, Path, Path
        Its training file, the folder of its data, and where it goes.
    stage : Stage
        Told what is being done, and how far it is.
    source : str
        The training file, for the card.
    """
    soils = soils_of(config, data, model)
    if config.summaries and config.summaries.simulations >= MANY:
        model.physical.compile()
    with stage("learning fapar and fcover", config.products.steps) as done:
        fit_products(model, config, done)
    fit_summaries(model, config, soils, stage)
    fit_remainder(model, config, data)
    with stage("limits of the quality checks", config.evaluation.simulations) as done:
        set_limits(model, config, soils, done)
    save_model(model, config, folder, {})
    figures = measure(model, config, data, soils, stage)
    save_model(model, config, folder, figures)
    write_atomically(folder / "card.md", card(model, config, figures, source).encode())
    return figures


def fit_products(model: PhysVAE, config: Config, done: Done = nothing) -> None:
    """Teach the fapar and fcover network the exact numbers."""
    plan, net = config.products, model.products
    generator = torch.Generator().manual_seed(config.seed + SEEDS["products"])
    drawn = simulate(model, max(1, plan.simulations // model.pixels), config.angles, generator)
    scores, theta, angles = (
        part.flatten(0, -2) for part in (drawn.scores, drawn.theta, drawn.angles)
    )
    with torch.no_grad():
        pairs = zip(theta.split(4096), angles.split(4096), strict=True)
        exact = torch.cat([model.physical.products(*pair) for pair in pairs])
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, plan.steps)
    net.requires_grad_(True)
    for _ in range(plan.steps):
        rows = torch.randint(len(exact), (1024,), generator=generator)
        loss = nn.functional.mse_loss(
            net(scores[rows], theta[rows, 0], angles[rows, 0]), exact[rows]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        done(1)


@torch.no_grad()
def fit_remainder(model: PhysVAE, config: Config, data: Path) -> None:
    """Learn what decodings leave of the real spectra of training; held-out ones are not seen."""
    if config.remainder is None:
        return
    gaps, variances = [], []
    model.remainder = None
    for entry in config.spectra:
        real, training = read_spectra(data / entry.file, entry, config.bands, config.encoder)
        known = real.take(training)
        gap = (known.reflectance - model.reconstruct(*known).total).flatten(0, -2)
        whole = gap.isfinite().all(-1)
        if whole.sum() > 1:  # one has no variance
            gaps.append(gap[whole])
            variances.append(known.reflectance.flatten(0, -2)[whole].var(0))
    if not gaps:
        return
    model.remainder = Remainder(len(model.bands), config.remainder.components)
    model.remainder.fit(gaps, variances)


@torch.no_grad()
def set_limits(
    model: PhysVAE, config: Config, soils: SoilMixtures | None = None, done: Done = nothing
) -> None:
    """Limits of misfit and novelty that simulations keep, LAI's prior sd, every trait's spread."""
    generator = torch.Generator().manual_seed(config.seed + SEEDS["limits"])
    spectra = max(config.evaluation.simulations, SPECTRA * len(model.bands))
    count = max(2, spectra // model.pixels)
    drawn = simulate(model, count, config.angles, generator, soils)
    model.lai_prior_sd.copy_(drawn.theta[..., 0].std())
    model.domain.fit(drawn.reflectance.flatten(0, -2), KEPT)
    seen = hide(
        drawn.reflectance, drawn.angles, config.bands, config.missing, generator, model.layout
    )
    model.misfit_limit.fill_(1.0)
    model.spreads.fill_(1.0)
    block = max(1, BLOCK // model.pixels)
    days = drawn.days if drawn.days is not None else torch.zeros(count, 1)
    columns = (*seen, drawn.scores, drawn.angles, days)
    blocks = zip(*(column.split(block) for column in columns), strict=True)
    found = []
    for part in blocks:
        found.append(_misfit_and_ranks(model, *part))
        done(len(part[0]) * model.pixels)
    model.misfit_limit.copy_(torch.quantile(torch.cat([misfit for misfit, _ in found]), KEPT))
    if config.calibration.spread:
        scores = torch.cat([ranks for _, ranks in found], -1)
        ratios = [
            torch.stack([torch.quantile(score.abs(), p) for score in scores])
            / NORMAL.inv_cdf((1 + p) / 2)
            for p in (0.9, 0.95)
        ]
        model.spreads.copy_(torch.stack(ratios).mean(0))
    for name, factor in config.calibration.widen.items():
        model.spreads[list(model.traits).index(name)] *= factor


def _misfit_and_ranks(
    model: PhysVAE, reflectance: Tensor, angles: Tensor, truth: Tensor, true_angles: Tensor,
    days: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Misfits [n], and normal scores [trait, n] of the ranks of the truths among their draws."""
    names = tuple(model.traits)
    posterior = model.posterior(reflectance, angles, days)
    if model.summaries is None:
        misfit = model.misfit(reflectance, angles, posterior.centre)
    else:
        misfit = model.misfit_of(reflectance, model.physical_mean(reflectance, angles))
    draws = model.draw_traits(posterior, true_angles[..., 0], names)
    true = true_traits(model, truth, true_angles, names)
    rank = torch.stack([(draws[name] < true[name]).sum(0).flatten() for name in names])
    return misfit.flatten(), torch.special.ndtri((rank + 0.5) / (len(draws[names[0]]) + 1))


def measure(
    model: PhysVAE, config: Config, data: Path, soils: SoilMixtures | None = None,
    stage: Stage = silent,
) -> dict:  # fmt: skip
    """The card's figures: coverage on simulations, reconstruction of held-out real spectra."""
    seed, n = config.seed + SEEDS["coverage"], config.evaluation.simulations
    given = {"ranges": config.angles, "n": n, "seed": seed}
    with stage("measuring: intervals of simulations", n) as done:
        coverage = interval_coverage(
            model, missing=config.missing, soils=soils, done=done, **given
        )
    with stage("measuring: fapar and fcover", 1) as done:
        products = product_error(model, **given)
    figures = {"coverage_90": coverage, "product_rmse": products, "reconstruction": {}}
    for entry in config.spectra:
        real, training = read_spectra(data / entry.file, entry, config.bands, config.encoder)
        whole = real.reflectance.isfinite().all(-1).reshape(len(training), -1).any(-1)
        held_out = real.take(~training & whole)
        if len(held_out.reflectance) == 0:
            continue
        with stage(f"measuring: spectra of {entry.file}", 1) as done:
            found = decodings(model, held_out)
        if all(math.isfinite(value) for value in found.values()):  # more than one, unlike
            figures["reconstruction"][entry.file] = found
    return figures


def decodings(model: PhysVAE, real: RealSpectra) -> dict[str, float]:
    """Standardised errors [-] of every decoding; without the remainder, total is `residual`."""
    found = reconstruction_error(model, *real)
    kept, model.remainder = model.remainder, None
    found["residual"] = reconstruction_error(model, *real)["total"]
    model.remainder = kept
    return found | {"physical_mean": physics_alone_error(model, *real)}


def card(model: PhysVAE, config: Config, figures: dict, source: str = "") -> str:
    """The model card: what it is, how it was made, what was measured, what it is not.

    `source` is the training file, or the preset's name.
    """
    versions = (
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    )
    size = sum(p.numel() for p in model.parameters())
    coverage = "\n".join(
        f"| {name} | {model.traits[name].unit} | {100 * value:.1f} % |"
        for name, value in figures["coverage_90"].items()
    )
    error = "\n".join(
        f"| {name} | " + " | ".join(f"{value[key]:.4f}" for key in DECODINGS) + " |"
        for name, value in figures["reconstruction"].items()
    )
    product = ", ".join(f"{k} {v:.4f}" for k, v in figures["product_rmse"].items())
    spectra = [f"- unlabelled spectra: `{entry.file}`" for entry in config.spectra]
    spectra += ["- every fifth group of the spectra held out of training"] if spectra else []
    files = config.soil.files if isinstance(config.soil, LibrarySoil) else (config.soil.kind,)
    soils = "\n".join(f"- soils: `{name}`" for name in files)
    return CARD.format(
        name=config.name, source=source or f"{config.name}.toml", size=size,
        bands=_listed(config.bands), sensor=config.sensor,
        data="\n".join([*spectra, soils]), seed=config.seed, versions=versions,
        version=physvae.__version__, coverage=coverage, product=product,
        steps=config.optimiser.steps, simulations=config.optimiser.simulations,
        nodes=len(model.physical.sensor.wavelength), draws=config.evaluation.simulations,
        calibration=CALIBRATED[config.calibration.spread],
        reconstruction=_reconstruction(config, error) if error else "",
        notes=config.notes, threads=torch.get_num_threads(), canopy=_canopy(config),
        addition=ADDED[config.decoder.kind], encoder=config.encoder.kind,
        posterior=config.posterior.kind, likelihood=config.likelihood.kind,
    )  # fmt: skip


def _listed(bands: tuple[str, ...]) -> str:
    """Band ids in words; of many the first and the last."""
    if len(bands) <= 30:
        return " ".join(bands)
    return f"{len(bands)} bands, {bands[0]} {bands[1]} … {bands[-1]}"


def _reconstruction(config: Config, error: str) -> str:
    """The table of decodings."""
    plan = config.remainder
    remainder = f"{plan.components} numbers a spectrum" if plan else "none here"
    return RECONSTRUCTION.format(error=error, remainder=remainder)


def _canopy(config: Config) -> str:
    """The physics in words."""
    physics = config.physics
    stand = "4SAIL2" if physics.layers == 2 else "4SAIL"
    crowns = ", bare ground between crowns" if physics.crowns else ""
    return f"PROSPECT-{physics.leaf}, {stand}, {config.soil.kind} soils{crowns}"


CALIBRATED = {
    True: "Intervals were widened or narrowed by one factor a trait, found on simulations\n"
    "other than those of the table.",
    False: "Intervals are as the network gives them.",
}
ADDED = {
    "residual": "a gated low-rank residual",
    "physical": "nothing",
    "correction": "a learned correction of its bias",
    "combined": "a learned correction and a gated low-rank residual",
}


CARD = """# {name}

Leaf and canopy traits from {sensor} surface reflectance ({bands}); any band or angle may be
missing. A variational auto-encoder with PROSAIL ({canopy}) as its
physical decoder on {nodes} wavelengths; added to it: {addition}. Encoder
{encoder}, posterior {posterior}, likelihood {likelihood}; {size} weights.

## How it was made

    physvae train {source} --data DATA -o MODEL_DIR --threads {threads}

- {steps} steps of {simulations} simulations drawn anew, seed {seed}
{data}
- PhysVAE {version}, {versions}

No measured trait was used in training. {notes}

## What was measured

Central 90 % intervals on {draws} held-out simulations with missing inputs:

| trait | unit | truth inside |
|---|---|---|
{coverage}

{reconstruction}fAPAR and fCover of draws come from a small network; its root mean square
error against the exact physics: {product}. {calibration}

## Limits

Intervals are those of the model: they hold for canopies like the simulated ones. Snow, water,
cloud and built-up pixels are outside; the quality bits say so where they can. LAI is that of
leaves as PROSAIL sees them; stems, ears and dead leaves count in many field measurements, and not
here.
"""

DECODINGS = ("total", "residual", "physical", "physical_mean")
RECONSTRUCTION = """Reconstruction of held-out real spectra, mean squared error in units of each
band's variance. The first three columns decode the centre of the posterior: with residual and
remainder ({remainder}), without the remainder, by physics only. The last is the mean physical
spectrum where physics alone must explain the one seen:

| spectra | total | with residual | physics only, centre | physics only, mean |
|---|---|---|---|---|
{error}

"""
