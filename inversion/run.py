"""From an input file to an output file: picks the reader and the writer, counts, tells."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inversion.kernel import check_variables, load_model
from inversion.maps import retrieve
from inversion.progress import Watched, progress
from inversion.provenance import record
from inversion.readers import Declaration, detect, reader
from inversion.summary import Summary
from inversion.tables import retrieve_table
from inversion.writers import check_output, maps, table
from physvae.errors import UsageError


def retrieve_file(
    source: Path,
    output: Path,
    *,
    model: str,
    variables: Sequence[str],
    device: str,
    declaration: Declaration,
    chunk: int,
) -> list[str]:
    """Retrieve one file into another; return the summary's lines.

    Raises
    ------
    InputError
        The input was refused.
    UsageError
        An unknown variable, format or device, or options that do not go together.
    OSError
        The output cannot be written.
    """
    check_output(output, (source,))
    loaded = load_model(model, device)
    wanted = check_variables(variables, loaded)
    family = detect(source)
    check_output(output, (source,), family.gives)
    if family.gives == "table":
        summary = _table(source, output, model, wanted, device, declaration, reader(family))
        return [*summary.lines("rows"), f"written: {output}"]
    image = reader(family)(
        source, declaration, bands=loaded.bands, sensor=loaded.sensor, chunk=chunk
    )
    options = {
        "variables": wanted,
        "device": device,
        "radiometry": image.attrs.get("radiometry"),
        "declaration": asdict(declaration),
    }
    scene = declaration.scene_classes
    inputs = [source, Path(scene)] if scene else [source]
    text = record(inputs=inputs, model=loaded, options=options, command=command_line())
    with progress(image["reflectance"][0].size) as bar:
        watched = Watched(loaded, bar.advance)
        result = retrieve(image, watched, wanted, device, keep_classes=declaration.keep_classes)
        summary = maps.write(result, output, provenance=text, advance=bar.reached)
    return [*summary.lines("pixels"), f"written: {output}"]


def _table(
    source: Path,
    output: Path,
    model: str,
    variables: Sequence[str],
    device: str,
    declaration: Declaration,
    read: Callable[[Path], Any],
) -> Summary:
    if declaration.bands is not None or declaration.scene_classes is not None:
        raise UsageError("--bands and --scl: expected an image, got a table")
    estimates = retrieve_table(
        read(source), model, variables, device=device, declaration=declaration, source=str(source)
    )
    table.write(estimates, output)
    summary = Summary(variables[0])
    summary.add(estimates[variables[0]].to_numpy(), estimates["quality"].to_numpy())
    return summary


def command_line() -> str:
    """Return the command as it was called, without the path of the program."""
    return " ".join(["physvae", *sys.argv[1:]])


@contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Show what the package notes while it works, a line each, on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    logger = logging.getLogger("inversion")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
