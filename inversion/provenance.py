"""How a result came about: inputs with their hashes, model, versions, options, time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inversion.identity import ends
from inversion.readers.probe import probe
from inversion.summary import Summary
from physvae.io.versions import versions

SMALL = 1 << 20


def record(
    *,
    inputs: Sequence[Path],
    model: Any,
    options: Mapping[str, object],
    command: str,
    identity: str = "",
) -> str:
    """Return the record as JSON text.

    Parameters
    ----------
    inputs
        Files the result was made from.
    model
        The loaded model; its name and sha256 are kept.
    options
        What was asked for and how stored numbers became reflectance.
    command
        The command line.
    identity
        Hash of what decides the pixels (see `inversion.identity`).
    """
    content = {
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [fingerprint(path) for path in inputs],
        "model": {"name": model.name, "sha256": model.sha256},
        "options": dict(options),
        "identity": identity,
        "versions": versions(),
    }
    return json.dumps(content, indent=2, default=str, ensure_ascii=False)


def identity_of(output: Path) -> str:
    """Return the hash of what decided the pixels of a map of ours; empty where none is told."""
    try:
        return str(json.loads(_kept(output))["identity"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def with_summary(text: str, summary: Summary) -> str:
    """Return the record with what the result came to."""
    return json.dumps(
        json.loads(text) | {"summary": summary.record()}, indent=2, ensure_ascii=False
    )


def history(text: str) -> str:
    """Return the line that CF asks for: when, and by what command."""
    content = json.loads(text)
    return f"{content.get('created', 'undated')}: {content.get('command', 'inversion.retrieve')}"


def fingerprint(path: Path) -> dict[str, object]:
    """Say which file or folder an input is.

    A file by the sha256 of its content; a folder by that of the names, the sizes and both ends of
    its files, which are the whole of those that hold the metadata.
    """
    if path.is_dir():
        return {"file": path.name, "sha256_of_folder": _folder(path)}
    with path.open("rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _kept(output: Path) -> str:
    """Return the record that lies beside a GeoTIFF, or in the attributes of the other formats."""
    suffix = output.suffix.lower()
    if suffix == ".tif":
        return output.with_name(f"{output.name}.json").read_text("utf-8")
    if suffix == ".zarr":
        return json.loads((output / "zarr.json").read_text("utf-8"))["attributes"]["provenance"]
    import netCDF4

    probe(str(output))
    with netCDF4.Dataset(output) as file:
        return file.getncattr("provenance")


def _folder(path: Path) -> str:
    hashed = hashlib.sha256()
    for file in sorted(part for part in path.rglob("*") if part.is_file()):
        about = f"{file.relative_to(path).as_posix()} {file.stat().st_size} {ends(file, SMALL)}\n"
        hashed.update(about.encode())
    return hashed.hexdigest()
