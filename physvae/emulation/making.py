"""From a training file to the folder of an emulator: config.json, weights, card.md, errors.csv."""

import platform
from pathlib import Path

import numpy as np
import torch

import physvae
from physvae.emulation.drawing import Report
from physvae.emulation.interpolators import Nodes
from physvae.emulation.plans import EmulatorConfig, NodesPlan, ProsailPlan, TablePlan
from physvae.emulation.store import save_emulator
from physvae.emulation.training import EDGE_DRAWS, Trained, fit_emulator, quiet
from physvae.io.files import write_atomically


def train_emulator(
    config: EmulatorConfig, folder: Path, root: Path = Path("."), report: Report = quiet,
    source: str = "",
) -> Trained:  # fmt: skip
    """Train an emulator and write its folder.

    Parameters
    ----------
    config : EmulatorConfig
        From `physvae.emulation.plans.read_plan`.
    folder : Path
        Where config.json, weights.safetensors, card.md and errors.csv go.
    root : Path
        Folder that a table of the configuration is relative to.
    report : callable
        Told stage, step, number of steps and loss.
    source : str
        The training file, for the card.
    """
    trained = fit_emulator(config, root, report)
    save_emulator(trained.emulator, config, folder, trained.figures)
    write_atomically(folder / "errors.csv", _errors(trained).encode())
    write_atomically(folder / "card.md", card(trained, config, source).encode())
    return trained


def _errors(trained: Trained) -> str:
    """The errors of held-out draws by wavelength or band."""
    emulator, each = trained.emulator, trained.scores.by_wavelength()
    nm = emulator.wavelength
    grid = [f"{at:g}" for at in nm.tolist()] if nm is not None else (emulator.band or ())
    rows = zip(grid, *(each[key].tolist() for key in ("rmse", "bias", "r2")), strict=True)
    return "wavelength,rmse,bias,r2\n" + "".join(
        f"{at},{rmse:.4g},{bias:.4g},{r2:.9f}\n" for at, rmse, bias, r2 in rows
    )


def card(trained: Trained, config: EmulatorConfig, source: str = "") -> str:
    """The card: what it is, how it was made, what was measured, what it is not."""
    emulator, figures = trained.emulator, trained.figures
    both = (*emulator.space.parameters, *emulator.geometry.parameters)
    box = "\n".join(f"| {p.name} | {p.unit} | {p.low:g} | {p.high:g} |" for p in both)
    if emulator.band is None:
        grid = emulator.wavelength
        assert grid is not None
        axis = f"{len(grid)} wavelengths, {grid[0]:g}-{grid[-1]:g} nm"
    else:
        axis = f"{len(emulator.band)} bands"
    versions = f"torch {torch.__version__}, numpy {np.__version__}"
    return _CARD.format(
        name=config.name, axis=axis, what=_what(config, trained), how=_how(config), box=box,
        size=sum(p.numel() for p in emulator.parameters()), factors=", ".join(config.factors),
        version=physvae.__version__, python=platform.python_version(), versions=versions,
        notes=config.notes, source=source or f"{config.name}.toml", edges=_edges(figures),
        **figures,
    )  # fmt: skip


def _what(config: EmulatorConfig, trained: Trained) -> str:
    of = "rtm.Prosail" if isinstance(config.simulator, ProsailPlan) else config.simulator.file
    decoder = f"a {config.vae.decoder} decoder of {config.vae.latents} latents"
    inner = trained.emulator.interpolator
    if isinstance(inner, Nodes):
        at = len(inner.physics.wavelength)
        return (
            f"Emulates {of}: the exact physics at {at} wavelengths, a linear map from there to "
            f"the latents, {decoder}. fapar, fapar_diffuse and fcover are exact."
        )
    return f"Emulates {of}: a network from the inputs to the latents, {decoder}."


def _how(config: EmulatorConfig) -> str:
    if isinstance(config.simulator, TablePlan):
        rows = f"{100 * config.simulator.held_out:g} % of the rows"
        return (
            f"trained on {config.simulator.file}; figures are of {rows}, held out from the fit "
            "and from the stated error, which is that of cross-validation of the others"
        )
    if isinstance(config.interpolator, NodesPlan):
        edges, n = config.edges, config.draws
        if edges.weight == 0.0:
            return f"closed form on moments of {n} draws of the box"
        return (
            f"closed form on moments of {n} draws inside the box, and of {edges.draws} each of "
            f"corners, faces and low absorbers, which weigh {edges.weight:g}"
        )
    steps = config.fit.steps + config.fit.joint
    return (
        f"{config.fit.procedure}, {steps} steps of {config.fit.batch} fresh draws of the box, "
        f"auto-encoder on {config.draws} draws"
    )


def _edges(figures: dict) -> str:
    """What was measured at the edges of the box of our own physics, else nothing."""
    if "ascent_error" not in figures:
        return ""
    rows = "\n".join(
        f"| {name} | {figures[key + '_rmse']:.2e} | {figures[key + '_greatest']:.2e} | "
        f"{figures[key + '_inside_2']:.3f} |"
        for key, name in _REGIONS.items()
    )
    at = ", ".join(f"{name} {value:g}" for name, value in figures["ascent_inputs"].items())
    slopes = "\n".join(
        f"| {key.removeprefix('slope_')} | {value:.2e} |"
        for key, value in figures.items()
        if key.startswith("slope_")
    )
    numbers = {k: v for k, v in figures.items() if k.startswith("ascent_")}
    n = min(EDGE_DRAWS, figures["n"])
    return _EDGES.format(n=n, rows=rows, slopes=slopes, at=at, **numbers)


_REGIONS = {
    "corners": "corners: every input at a bound",
    "faces": "faces: some inputs at a bound",
    "low_absorbers": "leaf contents at or near 0",
    "outside": "some inputs up to a width outside",
}

_EDGES = """
At the edges, {n} held-out draws each:

| draws | RMSE | greatest error | within two stated |
|---|---|---|---|
{rows}

The worst case of the box that gradient ascent finds is off by {ascent_error:.2e} at
{ascent_wavelength:g} nm, where {ascent_stated:.2e} is stated: {at}.

Slopes of rso by input, rms of the error over rms of the exact slope:

| input | error |
|---|---|
{slopes}
"""

_CARD = """# {name}

{what} {axis}; factors {factors}; {size} weights, float32.

## How it was made

    physvae train {source} -o {name}

- {how}, in {seconds} s
- PhysVAE {version}, Python {python}, {versions}

{notes}

## What was measured

rso of {n} held-out draws, uniform in the box below with all angles:

| figure | value |
|---|---|
| RMSE | {rmse:.2e} |
| NRMSE, RMSE over the mean reflectance | {nrmse:.2e} |
| spectral angle, mean [degree] | {sam:.4f} |
| spectral angle, 99 % of spectra below [degree] | {sam_p99:.4f} |
| R², all wavelengths | {r2:.8f} |
| R², the worst wavelength | {r2_least:.6f} |
| RMSE of a spectrum, mean of the worst 1 % | {worst:.2e} |
| RMSE of a spectrum, the worst | {worst_one:.2e} |
| greatest error of a reflectance | {greatest:.2e} |
| errors within one and two stated standard errors | {inside_1:.3f}, {inside_2:.3f} |
| rank correlation of stated and true error of spectra | {error_rank:.3f} |

By wavelength in errors.csv.
{edges}
## Limits

Inside this box; outside it extrapolates, the stated error grows with the distance, and `outside`
says so. Reflectances near 0 may come out slightly negative.

| input | unit | low | high |
|---|---|---|---|
{box}
"""
