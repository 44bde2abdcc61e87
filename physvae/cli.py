"""The commands `physvae simulate`, `train` and `models`: options in, the work done elsewhere."""

import os
from pathlib import Path
from typing import Annotated

import typer

from physvae.errors import InputError, UsageError

Configuration = Annotated[Path, typer.Argument(help="TOML file; see physvae/presets.")]
ModelFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder of the model.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder the file's data are relative to; else PHYSVAE_DATA, else here."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; else torch decides.")]


Parameters = Annotated[Path, typer.Argument(help="CSV or Parquet, a row a spectrum.")]
Spectra = Annotated[Path, typer.Option("-o", "--output", help="SPECTRA.csv, .nc or .zarr.")]
SensorName = Annotated[str | None, typer.Option(help="sentinel-2a, ...; else every nm.")]
LeafModel = Annotated[str, typer.Option(help="PROSPECT version: D or 5.")]


def simulate(
    parameters: Parameters, output: Spectra, sensor: SensorName = None, leaf: LeafModel = "D"
) -> None:
    """Simulate canopy reflectance for a table of leaf and canopy parameters.

    Columns are named n_leaf, cab, car, ant, cbrown, cw, cm, lai, ala, hspot, psoil, rsoil, cv,
    tts, tto, psi; one that is missing is at its default, any other passes through.

    For example: physvae simulate parameters.csv -o spectra.csv --sensor sentinel-2a
    """
    from rich.console import Console
    from rich.progress import Progress

    from physvae.spectra_table import FORMATS, model_for, plan, write
    from physvae.tables import read_table

    if output.suffix not in FORMATS:
        raise UsageError(f"--output: expected {', '.join(FORMATS)}, got {output.name}")
    if output.resolve() == parameters.resolve():
        raise UsageError(f"--output: expected another file than the input, got {output}")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output: expected an existing folder, got {output.parent}")
    table = read_table(parameters)
    model = model_for(leaf, sensor, list(table))
    work = plan(table, model, parameters)
    if work.defaults:
        default = dict(zip(work.space.names, work.space.default.tolist(), strict=True))
        taken = ", ".join(f"{name} {default[name]:g}" for name in work.defaults)
        typer.echo(f"{parameters}: not given, taken as default: {taken}", err=True)
    if work.others:
        fate = "passed through" if output.suffix == ".csv" else "left out"
        typer.echo(f"{parameters}: not a parameter, {fate}: {', '.join(work.others)}", err=True)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("spectra", total=len(work.values))
        write(output, model, work, lambda rows: progress.advance(bar, rows))


def train(
    config: Configuration,
    output: ModelFolder,
    data: Data = None,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = False,
    threads: Threads = None,
) -> None:
    """Train a model on simulations and unlabelled spectra.

    Writes config.json, weights.safetensors and card.md, and while it runs log.csv and
    checkpoint.safetensors. The same file and seed give the same model on the same machine.

    For example: physvae train physvae/presets/sentinel-2.toml --data DATA -o model
    """
    import torch

    from physvae.config import read_config
    from physvae.finishing import finish
    from physvae.training import Trainer

    plan = read_config(config)
    root = data or Path(os.environ.get("PHYSVAE_DATA", "."))
    if not root.is_dir():
        raise UsageError(f"--data: expected a folder, got {root}")
    if (output / "checkpoint.safetensors").exists() and not resume:
        raise InputError(
            f"{output}: holds a checkpoint; go on with --resume, or name another folder"
        )
    if threads:
        torch.set_num_threads(threads)
    typer.echo("reading data, reducing the sensor to few wavelengths ...", err=True)
    trainer = Trainer(plan, root, output)
    if resume:
        trainer.resume()
    model = _with_progress(trainer)
    typer.echo("measuring ...", err=True)
    figures = finish(model, plan, root, output)
    worst = min(figures["coverage_90"].items(), key=lambda item: -abs(item[1] - 0.9))
    typer.echo(f"{output}: coverage of 90 % intervals furthest off: {worst[0]} {worst[1]:.3f}")


def models() -> None:
    """List the models that come with the package.

    For example: physvae models
    """
    from physvae.store import load_model
    from physvae.store import models as names

    for name in names():
        model = load_model(name)
        typer.echo(f"{name}\t{model.sensor}\t{' '.join(model.bands)}\tsha256 {model.sha256[:12]}")


def _with_progress(trainer):
    """Run a trainer behind a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn(),
        TextColumn("simulation {task.fields[simulation]:.2f} spectra {task.fields[spectra]:.2f}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        total = trainer.config.optimiser.steps
        bar = progress.add_task(
            "", total=total, completed=trainer.step, simulation=0.0, spectra=0.0
        )
        return trainer.run(
            lambda step, losses: progress.update(
                bar, completed=step, simulation=losses["simulation"], spectra=losses["spectra"]
            )
        )
