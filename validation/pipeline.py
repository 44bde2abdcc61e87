"""One run of `physvae validate`: reads, retrieves or looks up, compares, tells."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inversion.calibration import Calibration, adjust_quantiles, load_calibration
from physvae.errors import InputError, UsageError
from physvae.io.messages import is_quiet, plain, say, timed
from physvae.io.versions import versions
from validation.baselines.named import load_baseline
from validation.calibration.calibration_fit import calibrate, fingerprint, write_calibration
from validation.field.dates import parse_dates
from validation.field.files import Field, Reading, read_field
from validation.field.table import measured_column, read_table
from validation.matching.plots_on_maps import Rules, match_maps
from validation.metrics.probabilistic import quantile_columns
from validation.report.report import Report, evaluate

LIBRARIES = ("physvae", "torch", "numpy", "pandas", "geopandas", "odrpack", "scoringrules")

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the command was asked for."""

    field: Path
    said: Reading
    campaign: str | None
    trait: str
    estimates: Path | None
    maps: tuple[Path, ...]
    map_variable: str | None
    rules: Rules
    model: str
    baselines: tuple[str, ...]
    calibration: Path | None
    prior: str | None = None


@dataclass(frozen=True)
class Estimated:
    """Estimates of the field rows and where they come from."""

    table: pd.DataFrame
    name: str
    reasons: dict[int, str] | None
    method: dict[str, object]
    courses: pd.DataFrame | None = None


def run(task: Task) -> Report:
    """Compare as asked.

    Raises
    ------
    InputError, UsageError
        A file was refused, or options do not go together.
    """
    baselines = [load_baseline(text, task.trait, task.model) for text in task.baselines]
    with timed("reading the field table"):
        field = _field(task)
    measured_column(field.rows, task.trait)
    with timed("reading or retrieving estimates"):
        found = _estimated(task, field)
    for what, how in found.method.items():
        LOG.info("%s: %s", what, how)
    table = found.table
    if task.calibration is not None:
        table = adjusted(table, load_calibration(task.calibration), task.trait)
        found.method["intervals adjusted by"] = fingerprint(task.calibration)
    with timed("comparing"):
        return evaluate(
            table, field.rows, trait=task.trait, baselines=baselines, name=found.name,
            reasons=found.reasons, notes=field.notes, method=found.method | _provenance(task),
            courses=found.courses,
        )  # fmt: skip


def _field(task: Task) -> Field:
    """The field table, read as a published campaign's where that is said."""
    if task.campaign is None:
        return read_field(task.field, task.said)
    from validation.field.campaigns import read_campaign

    return read_campaign(task.field, task.campaign, said=task.said)


def _estimated(task: Task, field: Field) -> Estimated:
    """Estimates from a table, from maps, or from the model."""
    if task.estimates is not None:
        table = read_table(task.estimates)
        for column in ("field_date", "image_date"):
            if column in table:
                table[column], _ = parse_dates(table[column], task.said.date_format)
        method: dict[str, object] = {"estimates": fingerprint(task.estimates)}
        return Estimated(table, task.estimates.stem, None, method)
    if task.maps:
        return _from_maps(task, field)
    from inversion.kernel import load_model
    from inversion.priors import priors_of
    from validation.calibration.predictive import retrieve_with_quantiles, stated

    model = load_model(task.model, "cpu")
    rows = field.rows.drop(columns="geometry", errors="ignore")
    priors = priors_of(task.prior, option="--prior")
    table = retrieve_with_quantiles(rows, model, task.trait, source=task.field.name, prior=priors)
    method = {"model": model.name, "model sha256": model.sha256}
    if priors is not None:
        method["prior"] = f"{priors.all[0].name}, sha256 {priors.all[0].sha256}"
    method["95 % interval"] = stated(model, task.trait)
    return Estimated(table, f"PhysVAE {Path(task.model).name}", None, method)


def _from_maps(task: Task, field: Field) -> Estimated:
    """Estimates looked up on maps."""
    from validation.matching.map_files import open_product
    from validation.report.plot_time_series import courses

    products = [
        product
        for path in task.maps
        for product in open_product(path, task.trait, variable=task.map_variable)
    ]
    found = match_maps(field.rows, products, task.trait, task.rules)
    name = task.maps[0].stem if len(task.maps) == 1 else f"{len(task.maps)} maps"
    method = {"maps": ", ".join(p.name for p in task.maps), **task.rules.said()}
    course = courses(field.rows, products, set(found.reasons), task.rules)
    return Estimated(found.estimates, name, found.reasons, method, course)


def _provenance(task: Task) -> dict[str, object]:
    """Inputs and versions, for the report."""
    listed = ", ".join(f"{name} {version}" for name, version in versions(LIBRARIES).items())
    files = fingerprint(task.field) if task.field.is_file() else {"file": task.field.name}
    return {"field table": files, "versions": listed}


def adjusted(estimates: pd.DataFrame, calibration: Calibration, trait: str) -> pd.DataFrame:
    """Estimates with their sd and quantiles adjusted.

    Raises
    ------
    InputError
        If the calibration does not name the trait, or there is no interval.
    """
    from rtm.parameters import PRODUCTS, TRAITS

    if trait not in calibration.traits:
        known = ", ".join(calibration.traits)
        raise InputError(f"{calibration.name}: expected factors for {trait}, got {known}")
    stated = [c for c in estimates if str(c).startswith(f"{trait}_p")]
    families = [quantile_columns(names, trait) for names in (stated, estimates.columns)]
    if not any(families):
        raise InputError(f"estimates: expected quantiles of {trait} to adjust, got none")
    factors, bounds = calibration.traits[trait], {**TRAITS, **PRODUCTS}[trait]
    mean = estimates[trait].to_numpy(float)
    ends: dict[str, Any] = {"low": float(bounds.low), "high": float(bounds.high)}
    changed = {}
    for columns in filter(None, families):
        table = adjust_quantiles(
            factors, mean=mean, quantiles=estimates[list(columns.values())].to_numpy(float),
            levels=np.array(list(columns)), **ends,
        )  # fmt: skip
        changed |= dict(zip(columns.values(), table.T, strict=True))
    if f"{trait}_sd" in estimates:
        changed[f"{trait}_sd"] = estimates[f"{trait}_sd"] * factors.sd_factor
    return estimates.assign(**changed)


def find_calibration(
    estimates: Path, field: Path, *, said: Reading, trait: str, method: str, model: str | None
) -> dict:
    """Content of an adjustment file from two files; `said` is of the measured plots.

    Raises
    ------
    InputError, UsageError
        As `validation.calibration.calibration_fit.calibrate`.
    """
    named = None
    if model is not None:
        from inversion.kernel import load_model

        loaded = load_model(model, "cpu")
        named = {"name": loaded.name, "sha256": loaded.sha256}
        LOG.info("model: %s, sha256 %s", loaded.name, loaded.sha256)
    with timed("reading estimates and measurements"):
        table, rows = read_table(estimates), read_field(field, said).rows
    source = {"estimates": fingerprint(estimates), "field": fingerprint(field)}
    return calibrate(table, rows, trait=trait, method=method, model=named, source=source)


def write(content: dict, output: Path) -> None:
    """Write an adjustment file and tell what is in it."""
    if output.is_dir():
        raise UsageError(f"-o: expected a file, got the folder {output}")
    write_calibration(content, output)
    for trait, entry in content["traits"].items():
        for level, found in entry["levels"].items():
            left = found["left_out"]["pooled"]
            factor, n = found["factor"], found["n"]
            text = f"{trait} {float(level):.0%}: factor {factor:.3f} from {n} rows"
            if left["after"] is not None:
                text += f"; sites left out: {left['before']:.1%} before, {left['after']:.1%} after"
            say(f"{text}; guarantee: {found['guarantee']}", sys.stdout)
    say(str(output), sys.stdout)


def tell(metrics: dict, paths: list[Path]) -> None:
    """Print the scores, what was left out, and where the report is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from validation.report.tables import SHORT, heads, table_rows

    unit = f" [{metrics['unit']}]" if metrics["unit"] != "-" else ""
    table = Table(title=Text(f"Retrieved against measured {metrics['symbol']}{unit}"))
    for place, head in enumerate(heads(SHORT)):
        table.add_column(head, justify="left" if place < 2 else "right", overflow="fold")
    previous = None
    for row in table_rows(metrics, SHORT):
        if previous not in (None, row[0]):
            table.add_section()
        table.add_row(*(Text(plain(t)) for t in ("" if row[0] == previous else row[0], *row[1:])))
        previous = row[0]
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    if is_quiet():
        return
    for reason, rows in metrics["dropped"].items():
        console.print(Text(plain(f"left out: {rows['count']} × {reason}")))
    for path in paths:
        console.print(Text(plain(str(path))), soft_wrap=True)
