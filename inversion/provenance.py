"""How a result came about: inputs with their hashes, model, versions, options, time."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("physvae", "torch", "numpy", "xarray", "dask", "rasterio")


def record(
    *, inputs: Sequence[Path], model: Any, options: Mapping[str, object], command: str
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
    """
    content = {
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [{"file": path.name, "sha256": _sha256(path)} for path in inputs],
        "model": {"name": model.name, "sha256": model.sha256},
        "options": dict(options),
        "versions": {"python": platform.python_version()} | _versions(),
    }
    return json.dumps(content, indent=2, default=str, ensure_ascii=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
