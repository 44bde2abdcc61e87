"""The commands `physvae simulate`, `train` and `models`: options in, the work done elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from physvae.cli_options import ColumnNames, Decimal, Sheet, Strict
from physvae.errors import InputError, UsageError
from physvae.io.messages import LOG, progress_bar, say, timed

Configuration = Annotated[
    str, typer.Argument(metavar="CONFIG", help="TOML file, or a preset by name: sentinel-2, ...")
]
ModelFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder of the model.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder the file's data are relative to; else PHYSVAE_DATA, else here."),
]
LINES = 20
"""Lines that tell of a training's progress in a file."""
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; else torch decides.")]


Parameters = Annotated[
    Path | None, typer.Argument(metavar="TABLE", help="CSV, Excel or Parquet, a row a spectrum.")
]
Spectra = Annotated[
    Path, typer.Option("-o", "--output", help="SPECTRA.csv, .parquet, .nc or .zarr.")
]
SensorName = Annotated[
    str | None,
    typer.Option(help="sentinel-2a, ..., or a table of response functions; else every nm."),
]
Reduced = Annotated[
    bool,
    typer.Option("--reduced", help="Few wavelengths a band: within 1e-4, many times faster."),
]
SoilFile = Annotated[
    Path | None,
    typer.Option("--soil", help="Table of measured soils: a column nm, then a column a soil."),
]
LeafModel = Annotated[str, typer.Option(help="PROSPECT version: D, 5 or PRO.")]
Precision = Annotated[
    str, typer.Option(help="float64, or float32: faster, half the size, good to 1e-5.")
]
Draws = Annotated[
    int | None, typer.Option(min=1, max=2**30, help="How many to draw, in place of a table.")
]
PriorName = Annotated[
    str | None,
    typer.Option(help="Drawn from: s2-atbd (if not given), wheat, ..., box, or FILE.toml."),
]
SamplerName = Annotated[
    str | None, typer.Option(help="How to draw: sobol (if not given), lhs or random.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="The same seed, the same draws; 0 if not given.")
]


def simulate(
    output: Spectra, parameters: Parameters = None, sensor: SensorName = None,
    reduced: Reduced = False, leaf: LeafModel = "D", dtype: Precision = "float64",
    soil: SoilFile = None, draw: Draws = None, prior: PriorName = None,
    sampler: SamplerName = None, seed: Seed = None, column: ColumnNames = None,
    strict: Strict = False, decimal: Decimal = None, sheet: Sheet = None,
) -> None:  # fmt: skip
    """Simulate canopy reflectance for a table of parameters, or for draws from a prior.

    Columns of the table are named n_leaf, cab, car, ant, cbrown, cw, cm, lai, ala, hspot, psoil,
    rsoil, tts, tto, psi; one that is missing is at its default, any other passes through. The
    columns choose the model: prot and cbc with --leaf PRO; lidf_a and lidf_b, or beta_mu and
    beta_nu, for ala; bsm_brightness, bsm_lat, bsm_lon and smc for psoil and rsoil; cv for crowns
    over bare soil; zeta, fraction_brown, diss, brown_cab, ... for two layers.

    --soil takes measured soils in the place of psoil: a column nm, then a column a soil. Where
    there are several, the column soil of the table says by name which is meant.

    Rows are read, computed and written in blocks: memory does not grow with their number.

    For example: physvae simulate parameters.csv -o spectra.csv --sensor sentinel-2a

    Or: physvae simulate --draw 100000 --prior s2-atbd -o spectra.zarr --sensor sentinel-2a
    """
    from physvae.spectra_table import DTYPES
    from physvae.spectra_writers import FORMATS, write

    drawn = {"--prior": prior, "--seed": seed, "--sampler": sampler}
    _check_source(parameters, draw, [name for name, value in drawn.items() if value is not None])
    _check_output(output, tuple(FORMATS))
    if dtype not in DTYPES:
        raise UsageError(f"--dtype: expected {' or '.join(DTYPES)}, got {dtype!r}")
    if output.resolve() == (parameters and parameters.resolve()):
        raise UsageError(f"--output: expected another file than the input, got {output}")
    with _counting("rows") as count:
        rest = {"dtype": DTYPES[dtype], "done": count}
        asked = {"leaf": leaf, "sensor": sensor, "reduced": reduced, "soil": soil}
        if parameters is not None:
            table = _open(parameters, decimal, sheet)
            model, plan = _from_table(table, asked, column, strict, **rest)
        else:
            rest |= {"n": draw, "seed": seed or 0, "sampler": sampler or "sobol"}
            model, plan = _from_prior(prior or "s2-atbd", asked, **rest)
    LOG.info("model: PROSPECT-%s with 4SAIL, %s", leaf, sensor or "every nm")
    _tell(plan, output)
    with _counting("spectra", plan.rows) as count:
        write(output, model, plan, DTYPES[dtype], count)


def _check_source(parameters: Path | None, draw: int | None, drawn: list[str]) -> None:
    if (parameters is None) == (draw is None):
        got = "neither" if draw is None else "both"
        raise UsageError(f"simulate: expected a table or --draw, got {got}")
    if draw is None and drawn:
        raise UsageError(f"{drawn[0]}: expected together with --draw, got a table")


def _check_output(output: Path, formats: tuple[str, ...]) -> None:
    if output.suffix not in formats:
        raise UsageError(f"--output: expected {', '.join(formats)}, got {output.name}")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output: expected an existing folder, got {output.parent}")
    ours = output.suffix == ".zarr" and (output / ".zgroup").is_file()
    if output.is_dir() and not ours:
        raise UsageError(
            f"--output: expected a new name or an earlier result, got folder {output}"
        )


def _open(path: Path, decimal: str | None, sheet: str | None):
    from physvae.tables.reader import TableOptions, open_table

    return open_table(path, TableOptions(decimal=decimal, sheet=sheet))


def _from_table(table, asked: dict, column: list[str] | None, strict: bool, **options):
    """The model and the checked rows of a table, and a note for names close to ours."""
    from physvae.spectra_table import model_for, table_plan, tell_strangers
    from physvae.tables.columns import assignments

    columns = assignments(column, "--column")
    model = model_for([*table.schema.names, *columns], source=str(table.path), **asked)
    for sentence in tell_strangers(table, columns, strict=strict):
        LOG.warning("%s", sentence)
    return model, table_plan(table, model, columns=columns, **options)


def _from_prior(name: str, asked: dict, *, sampler: str, **options):
    """The model and the checked draws of a prior."""
    from physvae.named_priors import load_prior
    from physvae.samplers import SAMPLERS
    from physvae.spectra_table import draw_plan, model_for

    if sampler not in SAMPLERS:
        raise UsageError(f"--sampler: expected {', '.join(SAMPLERS)}, got {sampler!r}")
    prior = load_prior(name)
    model = model_for(prior.traits, source=name, **asked)
    return model, draw_plan(prior, model, sampler=sampler, **options)


def _tell(plan, output: Path) -> None:
    """Say on stderr what was not given, and what was given in vain."""
    from rtm import TRAITS
    from rtm.parameters import canonical

    if plan.defaults:
        default = dict(zip(plan.space.names, plan.space.default.tolist(), strict=True))
        taken = ", ".join(f"{name} {default[name]:g}" for name in plan.defaults)
        say(f"{plan.source}: not given, taken as default: {taken}")
    fate = "passed through" if output.suffix in (".csv", ".parquet") else "left out"
    unused = [name for name in plan.others.names if canonical(name, TRAITS)]
    others = [name for name in plan.others.names if name not in unused]
    for names, what in ((unused, "a parameter of another model"), (others, "not a parameter")):
        if names:
            say(f"{plan.source}: {what}, {fate}: {', '.join(names)}")


@contextmanager
def _counting(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where that is a terminal; lends what moves it on."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with timed(what), progress_bar(*columns, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda rows: progress.advance(bar, rows)


@contextmanager
def _stage(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """The same for a part of a training; where stderr is no terminal, a line."""
    if not sys.stderr.isatty():
        say(what)
    with _counting(what, total) as count:
        yield count


def train(
    config: Configuration,
    output: ModelFolder,
    data: Data = None,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = False,
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the log for TensorBoard.")
    ] = False,
) -> None:
    """Train a model on simulations and unlabelled spectra, or an emulator.

    Writes config.json, weights.safetensors and card.md, and while it runs log.csv and
    checkpoint.safetensors. The same file and seed give the same model on the same machine.

    Several processes, one a GPU, share every batch:
    torchrun --nproc-per-node 4 -m physvae train CONFIG --device cuda ...

    For example: physvae train sentinel-2 --data DATA -o model
    """
    import torch

    from physvae.emulation.commands import train_from
    from physvae.emulation.plans import is_emulator
    from physvae.team import joined
    from physvae.training_files import find_training_file

    file = find_training_file(config)
    root = data or Path(os.environ.get("PHYSVAE_DATA", "."))
    if not root.is_dir():
        raise UsageError(f"--data: expected a folder, got {root}")
    if threads:
        torch.set_num_threads(threads)
    if is_emulator(file):
        if resume or tensorboard or device != "cpu":
            raise UsageError(
                "--resume, --device, --tensorboard: expected a model, got the file of an emulator"
            )
        train_from(file, output, root, config)
        return
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UsageError(f"--device: expected cpu, or cuda where there is one, got {device!r}")
    with joined(device) as (team, own):
        _train_model(file, output, root, resume, own, team, tensorboard, source=config)


def _train_model(
    config: Path, output: Path, root: Path, resume: bool, device: str, team, tensorboard: bool,
    source: str,
) -> None:  # fmt: skip
    """Train, and finish and measure in the process that leads; `source` is for the card."""
    from physvae.config import read_config
    from physvae.finishing import finish
    from physvae.scalars import scalars
    from physvae.training import Trainer
    from physvae.training_files import check_data

    plan = read_config(config)
    check_data(plan, root)
    if (output / "checkpoint.safetensors").exists() and not resume:
        raise InputError(
            f"{output}: holds a checkpoint; go on with --resume, or name another folder"
        )
    if team.leads:
        say(f"{config}: data of {root}, reducing the sensor to few wavelengths")
    with timed("reading the data, reducing the sensor"):
        trainer = Trainer(plan, root, output, device, team)
    if resume:
        trainer.resume()
    wanted = tensorboard and team.leads
    with timed("training"), scalars(output, trainer.step, wanted=wanted) as write:
        model = _with_progress(trainer, write)
    if not team.leads:
        return
    figures = finish(model, plan, root, output, stage=_stage, source=source)
    worst = min(figures["coverage_90"].items(), key=lambda item: -abs(item[1] - 0.9))
    text = f"coverage of 90 % intervals furthest off: {worst[0]} {worst[1]:.3f}"
    say(f"{output}: {text}", sys.stdout)


def models(
    priors: Annotated[
        bool, typer.Option("--priors", help="List the priors of crops and biomes instead.")
    ] = False,
) -> None:
    """List the models that come with the package, or its priors.

    For example: physvae models

    Or: physvae models --priors
    """
    if priors:
        _tell_priors()
        return
    from physvae.store import load_model
    from physvae.store import models as names

    for name in names():
        model = load_model(name)
        bands = model.bands
        if len(bands) > 20:
            bands = (*bands[:2], "…", bands[-1], f"({len(bands)})")
        typer.echo(f"{name}\t{model.sensor}\t{' '.join(bands)}\tsha256 {model.sha256[:12]}")


def _tell_priors() -> None:
    """Name every prior, what it is of and where it is from."""
    from physvae.named_priors import BOX, prior_names
    from physvae.user_priors import load_user_prior

    for name in prior_names():
        if name != BOX:
            prior = load_user_prior(name)
            typer.echo(f"{name}\t{prior.about}\t{' '.join(v for v, _ in prior.given)}")
            for source in prior.sources:
                typer.echo(f"\t{source}")


def _with_progress(trainer, write: Callable[[int, dict], None]):
    """Run a trainer behind a progress bar on stderr; `write` gets its log.

    Where stderr is no terminal, there are `LINES` lines in the place of the bar.
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )  # fmt: skip
    leads = trainer.team.leads
    lines = leads and not sys.stderr.isatty()
    with progress_bar(*columns, wanted=leads) as progress:
        total = trainer.config.optimiser.steps
        bar = progress.add_task("", total=total, completed=trainer.step, loss=float("nan"))

        def report(step: int, losses: dict) -> None:
            progress.update(bar, completed=step, loss=losses["loss"])
            if lines and step * LINES // total > (step - 1) * LINES // total:
                say(f"{step}/{total} loss {losses['loss']:.3f}")
            write(step, losses)

        return trainer.run(report)
