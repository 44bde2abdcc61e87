"""What decides the pixels of a map: a stopped run goes on only where all of it is as it was.

Inputs count by the names, sizes, times and ends of their files, since a tile takes long to read as
a whole. What is small counts by its whole content: areas, points, scene classes, calibration,
prior, the model. Any option counts that is not named in `ASIDE`, so that a new one does.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from inversion.readers import envi, look
from inversion.readers.content import TEXT_MAX
from physvae.errors import InputError

ENDS = 1 << 16
"""Bytes at either end of a file that count."""
ASIDE = ("model", "device", "resume", "shard", "workers", "scheduler", "packed", "chunk")
"""Fields of a job that change no number; how it is cut belongs to the working folder."""
_SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg")


def identity(sources: Sequence[Path], job: Any, model: Any) -> dict[str, Any]:
    """Return all that decides a map's pixels, as JSON holds it.

    Parameters
    ----------
    sources
        The inputs: files, folders or archives.
    job
        An `inversion.run.Job`.
    model
        The loaded model.
    """
    asked = {field.name: getattr(job, field.name) for field in fields(job)}
    declared = {field.name: value for field, value in _values(asked.pop("declaration"))}
    options = {k: v for k, v in {**asked, **declared}.items() if k not in ASIDE}
    whole = {
        "version": metadata.version("physvae"),
        "inputs": {str(path.resolve()): _inputs(path) for path in sources},
        "model": model.sha256,
        "options": {k: _contents(_beside(v)) or v for k, v in options.items()},
        "priors": [prior.sha256 for prior in job.priors.all] if job.priors else [],
    }
    return json.loads(json.dumps(whole, default=str))


def digest(content: dict[str, Any]) -> str:
    """Return one hash of an identity, which a finished map keeps."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def difference(one: Any, other: Any, name: str = "") -> str:
    """Name the first entry in which two identities differ: a file, an option, the model.

    >>> difference({"a": {"x.tif": 1}, "b": 2}, {"a": {"x.tif": 3}, "b": 2})
    'x.tif'
    """
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        apart = next((key for key in keys if one.get(key) != other.get(key)), name)
        both = one.get(apart), other.get(apart)
        deeper = all(isinstance(part, dict) for part in both)
        return difference(*both, apart) if deeper else apart
    return name


def ends(path: Path, most: int = ENDS) -> str:
    """Return the hash of the first and the last bytes of a file, `most` of each."""
    with path.open("rb") as file:
        content = file.read(most)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(content), size - most))
        content += file.read(most)
    return hashlib.sha256(content).hexdigest()


def members(path: Path) -> Iterator[Path]:
    """Yield every file of an input: those of a folder, an item's assets, a header beside."""
    seen = look(path)
    if seen.path.is_dir():
        yield from (file for file in sorted(seen.path.rglob("*")) if _counts(file))
        return
    yield path
    if seen.start.startswith(b'{"stac_version"'):
        yield from _assets(path)
    elif seen.files is None:
        try:
            yield from (file for file in envi.pair(path) if file != path)
        except InputError:
            return


def _values(declaration: Any) -> Iterator[tuple[Any, Any]]:
    return ((field, getattr(declaration, field.name)) for field in fields(declaration))


def _inputs(path: Path) -> dict[str, list]:
    root = path if path.is_dir() else path.parent
    return {
        str(file.relative_to(root)) if file.is_relative_to(root) else str(file): [
            file.stat().st_size,
            file.stat().st_mtime_ns,
            ends(file),
        ]
        for file in members(path)
    }


def _counts(file: Path) -> bool:
    """Leave out what a run itself may have put into a folder."""
    ours = any(part.startswith(".") and part.endswith(".work") for part in file.parts)
    return file.is_file() and not ours and ".part" not in file.name


def _assets(path: Path) -> Iterator[Path]:
    """Yield the files on this machine that an item names."""
    if path.stat().st_size > TEXT_MAX:
        return
    try:
        assets = json.loads(path.read_text("utf-8"))["assets"].values()
        texts = sorted({str(asset.get("href", "")) for asset in assets})
        places = [urlsplit(text) for text in texts]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return  # the reader refuses it
    for text, place in zip(texts, places, strict=True):
        at = Path(unquote(place.path)) if place.scheme == "file" else path.parent / text
        if place.scheme in ("", "file") and os.path.isfile(at):
            yield at


def _beside(value: Any) -> list[Path]:
    """Return the files that an option names, with those that belong to them."""
    if not isinstance(value, (str, Path)) or not os.path.isfile(value):  # Path raises on long ones
        return []
    path = Path(value)
    others = [path.with_suffix(suffix) for suffix in _SHAPEFILE]
    return [path, *(file for file in others if path.suffix == ".shp" and file.is_file())]


def _contents(files: Iterable[Path]) -> dict[str, str]:
    contents = {}
    for path in files:
        with path.open("rb") as file:
            contents[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return contents
