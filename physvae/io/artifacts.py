"""Folders of models and emulators: config.json, weights.safetensors, card.md.

Nothing else is ever read. A folder is refused before use if a file is missing or is not what
config.json says: its hash, or a number that is not finite. Pickled models (.pt, .pkl, .ckpt,
.joblib) run code when they are opened and are never opened.

The sha256 of a folder is that of its config.json, which holds that of the weights: what changes an
estimate changes it, and `sha256sum MODEL/config.json` prints it.
"""

import hashlib
import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from physvae.errors import ModelError
from physvae.io.files import read_regular, write_atomically

FORMAT = 1
LARGEST = {"config.json": 1 << 24, "weights.safetensors": 1 << 33}
"""Bytes beyond which a file is not read."""
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".bin"}


class Packed(NamedTuple):
    """What a folder holds: config.json as it is, the tensors, and the sha256 of both."""

    folder: Path
    record: dict
    tensors: dict[str, Tensor]
    sha256: str

    @property
    def source(self) -> str:
        """The file that says what was trained, for messages."""
        return str(self.folder / "config.json")


def names_in(home: Path) -> list[str]:
    """Names of the folders below `home`, the ones that come with the package."""
    return sorted(path.parent.name for path in home.glob("*/config.json"))


def write_folder(folder: Path, tensors: dict[str, Tensor], record: dict) -> str:
    """Write weights.safetensors, then config.json: its format and hash, and the record.

    Returns the sha256 of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({k: v.contiguous() for k, v in tensors.items()})
    whole = {"format": FORMAT, "weights_sha256": hashlib.sha256(weights).hexdigest(), **record}
    text = (json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    write_atomically(folder / "weights.safetensors", weights)
    write_atomically(folder / "config.json", text)
    return hashlib.sha256(text).hexdigest()


def read_folder(name: str | Path, kind: str, home: Path) -> Packed:
    """Read a folder, or the one of that name in `home`.

    Parameters
    ----------
    name : str or Path
    kind : str
        "model" or "emulator"; what config.json must say it is, nothing being a model.
    home : Path

    Raises
    ------
    ModelError
        An unknown name, a pickled model, or a folder that is not what its config.json says.
    """
    known = names_in(home)
    folder = home / str(name) if str(name) in known else Path(name)
    if folder.suffix.lower() in PICKLES:
        raise ModelError(
            f"{folder}: expected a folder with config.json and weights.safetensors, got a "
            f"{folder.suffix} file, which could run code and is never opened"
        )
    if not folder.is_dir():
        expected = f"expected one of {', '.join(known)}, or the folder of one"
        raise ModelError(f"{kind}: {expected}, got {str(name)!r}")
    if not (folder / "config.json").exists():
        raise ModelError(_unfinished(folder, kind))
    text = _bytes(folder / "config.json")
    record = _record(text, folder / "config.json", kind)
    raw = _bytes(folder / "weights.safetensors")
    digest, stated = hashlib.sha256(raw).hexdigest(), record.get("weights_sha256")
    if digest != stated:
        raise ModelError(
            f"{folder / 'weights.safetensors'}: expected sha256 {stated}, got {digest}"
        )
    tensors = _tensors(folder / "weights.safetensors", raw)
    return Packed(folder, record, tensors, hashlib.sha256(text).hexdigest())


@contextmanager
def as_declared(folder: Path | str) -> Iterator[None]:
    """Tell a failure to build what a folder declares as that of its tensors.

    Raises
    ------
    ModelError
    """
    try:
        yield
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{folder}: expected the tensors of its config.json, got {reason}"
        ) from None


def _unfinished(folder: Path, kind: str) -> str:
    """Say what a folder without config.json is."""
    if (folder / "checkpoint.safetensors").exists():
        return (
            f"{folder}: expected a finished {kind}, got a training that has not ended; go on with "
            f"physvae train CONFIG.toml -o {folder} --resume"
        )
    return f"{folder}: expected a {kind} with config.json and weights.safetensors, got none"


def _record(text: bytes, path: Path, kind: str) -> dict:
    try:
        record = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ModelError(f"{path}: expected JSON, got {error}") from None
    form = record.get("format") if isinstance(record, dict) else None
    if form != FORMAT or not isinstance(record.get("training"), dict):
        raise ModelError(
            f"{path}: expected a PhysVAE {kind} of format {FORMAT}, got {reprlib.repr(form)}"
        )
    if (got := record.get("kind", "model")) != kind:
        raise ModelError(f"{path}: expected a PhysVAE {kind}, got {reprlib.repr(got)}")
    return record


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST[path.name])
    except OSError as error:
        raise ModelError(f"{path}: expected a file, got {error.strerror}") from None


def _tensors(path: Path, raw: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(raw)
    except SafetensorError as error:
        raise ModelError(f"{path}: expected safetensors, got {error}") from None
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"{path}: {key}: expected finite numbers, got NaN or infinity")
    return tensors
