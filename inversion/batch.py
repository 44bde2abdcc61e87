"""Many products, named one a line in a text file: each into a map of its own, or all into one."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import xarray as xr

from inversion.composite import composite
from inversion.identity import digest, identity
from inversion.kernel import check_variables, load_model
from inversion.maps import retrieve
from inversion.priors import check_priors
from inversion.progress import progress
from inversion.provenance import identity_of
from inversion.readers import detect
from inversion.run import (
    Job,
    ended,
    open_image,
    opened_model,
    provenance,
    retrieve_file,
    write_map,
)
from inversion.writers import IMAGES, check_output
from inversion.writers.work import Shard
from physvae.errors import InputError, PartialError, UsageError
from physvae.io.messages import say

LOG = logging.getLogger(__name__)
ENDINGS = (".safe", ".zarr", ".zip", ".tif", ".tiff", ".he5", ".nc", ".json", ".bsq", ".dat")
"""Endings of products that are left out of the names of their maps."""


def is_list(source: Path) -> bool:
    """Say whether a file is a list of products: a .txt with the names of files that are there.

    Where none is there, names that end as products do make a list too, which is then refused.
    """
    if source.suffix.lower() != ".txt" or not source.is_file():
        return False
    try:
        entries = products(source)
    except InputError:
        return False
    if any(os.path.exists(entry) for entry in entries):  # Path.exists raises on long names
        return True
    return bool(entries) and all(entry.suffix.lower() in ENDINGS for entry in entries)


def products(source: Path) -> list[Path]:
    """Return the products of a list: one a line, relative to the list; # begins a remark."""
    try:
        lines = source.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: expected a list of products, found: {error}") from error
    texts = [line.split("#")[0].strip() for line in lines]
    return [source.parent / text for text in texts if text]


def retrieve_list(source: Path, output: Path, job: Job, kind: str = "tif") -> list[str]:
    """Retrieve every product of a list into a folder; one that fails does not stop the others.

    Parameters
    ----------
    source
        The list.
    output
        The folder, which is made where it is not there.
    job
        What is asked; its shard takes every N-th product.
    kind
        Ending of the maps.

    Raises
    ------
    PartialError
        Some products failed; lists them and says why.
    InputError
        All failed.
    UsageError
        The output is a file, or two products have one name.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(
            f"output: expected a folder for a list of products, got the file {output}"
        )
    check_variables(job.variables, load_model(job.source, job.device))
    named = job.shard.share(list(_named(products(source), output, kind).items()))
    output.mkdir(parents=True, exist_ok=True)
    each = replace(job, shard=Shard())
    lines: list[str] = []
    failed: dict[str, Exception] = {}
    for path, goal in named:
        try:
            lines.append(f"{path.name}: {_one(path, goal, each)}; {goal.name}")
        except Exception as error:  # whatever is wrong with one, the others go on
            failed[path.name] = error
            LOG.warning("%s: %s", path.name, _sentence(error))
    return [*lines, _told(source, len(named), lines, failed)]


def _one(path: Path, goal: Path, job: Job) -> str:
    """Make one map of a list, unless a former run made it of the same."""
    if not (job.resume and goal.exists()):
        if detect(path).gives == "table":
            raise InputError(f"{path}: expected an image or a product in a list, found a table")
        return retrieve_file(path, goal, job)[0]
    whole = digest(identity((path,), job, load_model(job.source, job.device)))
    if identity_of(goal) != whole:
        raise InputError(
            f"{goal}: made with other inputs, options or model, and kept; remove it, or leave"
            " --resume out to make it anew"
        )
    return "is there already"


def _told(source: Path, count: int, lines: list[str], failed: dict[str, Exception]) -> str:
    """Say how many products are done; raise where some failed, or all of them."""
    done = f"{count - len(failed)} of {count} products done"
    reasons = [f"{name} ({_sentence(error)})" for name, error in failed.items()]
    if failed and len(failed) == count:
        first = next(iter(failed.values()))
        kind = UsageError if isinstance(first, UsageError) else InputError
        none = f"{source}: none of {count} products could be done"
        raise kind(f"{none}: {'; '.join(reasons)}") from first
    if failed:
        say("\n".join([*lines, done]), sys.stdout)
        first = next(iter(failed.values()))
        raise PartialError(f"{done}; missing: {'; '.join(reasons)}") from first
    return done


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def retrieve_composite(source: Path, output: Path, job: Job) -> list[str]:
    """Combine the maps of all products of a list into one.

    Raises
    ------
    InputError
        A product was refused, or their grids differ.
    """
    paths = products(source)
    check_output(output, tuple(paths), "image")
    loaded = opened_model(job)
    wanted = check_variables(job.variables, loaded)
    check_priors(job.priors, loaded)
    whole = identity(paths, job, loaded)
    images = [open_image(path, job, loaded) for path in paths]
    result = _combined(images, paths, wanted, job)
    text = provenance(tuple(paths), images[0], job, loaded, digest(whole))
    with progress(result["quality"].size) as bar:
        summary = write_map(result, output, job, loaded, text, bar.reached, whole)
    return ended(summary, output, job)


def _combined(
    images: Sequence[xr.Dataset], paths: Sequence[Path], wanted: tuple[str, ...], job: Job
) -> xr.Dataset:
    dates = [
        retrieve(
            image, job.source, wanted, job.device, keep_classes=job.declaration.keep_classes,
            method=job.method, steps=job.steps, check_radiometry=False, prior=job.priors,
        )
        for image in images
    ]  # fmt: skip
    return composite(dates, wanted, [path.name for path in paths])


def _named(paths: Sequence[Path], output: Path, kind: str) -> dict[Path, Path]:
    """Choose the name of every map: that of its product, which no other may have."""
    if f".{kind}" not in IMAGES:
        raise UsageError(f"--format: expected one of {', '.join(IMAGES)}, got {kind}")
    goals: dict[Path, Path] = {}
    for path in paths:
        stem = path.name
        while Path(stem).suffix.lower() in ENDINGS:
            stem = Path(stem).stem
        goals[path] = output / f"{stem}.{kind}"
    if len(set(goals.values())) < len(goals) or len(goals) < len(paths):
        raise UsageError("list: expected products of different names, got one name twice")
    return goals
