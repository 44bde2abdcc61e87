"""A training run on disk: one safetensors file, with the step and configuration in its header.

Tensors `model.*`, `average.*`, `best.*`, `adam.<parameter>.<slot>`. Random numbers need no state:
step i draws from a generator seeded by (seed, i).
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from physvae.errors import InputError
from physvae.io.files import write_atomically

NAME, LOG = "checkpoint.safetensors", "log.csv"
FIXED = ("sensor.", "soil.")


class Checkpoint(NamedTuple):
    """Weights, their running average, the best of it, Adam's slots, and the step."""

    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    adam: dict[int, dict[str, Tensor]]


def write(folder: Path, state: Checkpoint, config: str, log: list[dict]) -> None:
    """Write checkpoint.safetensors and log.csv, each whole or not at all."""
    tensors = {f"model.{k}": v for k, v in state.model.items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    tensors |= {f"best.{k}": v for k, v in state.best.items()}
    for index, slots in state.adam.items():
        tensors |= {f"adam.{index}.{slot}": value for slot, value in slots.items()}
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    record = {"step": str(state.step), "config": config}
    write_atomically(folder / LOG, _csv(log))
    write_atomically(folder / NAME, save(ready, metadata=record))


def read(folder: Path, config: str) -> tuple[Checkpoint, list[dict]]:
    """The last checkpoint of a folder, and its log.

    Raises
    ------
    InputError
        Where there is none, it is damaged, or it belongs to another configuration.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{path}: expected a checkpoint to resume from, found none")
    blob = path.read_bytes()
    try:
        state = load(blob)
        size = int.from_bytes(blob[:8], "little")
        header = json.loads(blob[8 : 8 + size])["__metadata__"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected a checkpoint, got {error}") from None
    if header["config"] != config:
        raise InputError(f"{path}: expected the configuration it was made with, got another")
    adam: dict[int, dict[str, Tensor]] = {}
    for key, value in part(state, "adam.").items():
        index, slot = key.split(".")
        adam.setdefault(int(index), {})[slot] = value
    model = {k: v for k, v in part(state, "model.").items() if not k.startswith(FIXED)}
    step = int(header["step"])
    found = Checkpoint(step, model, part(state, "average."), part(state, "best."), adam)
    return found, _read_log(folder / LOG, step)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start so, without that start.

    >>> import torch
    >>> part({"a.b": torch.ones(1), "c": torch.ones(1)}, "a.")
    {'b': tensor([1.])}
    """
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _csv(rows: list[dict]) -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns)]
    lines += [",".join(str(row.get(name, "")) for name in columns) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def _read_log(path: Path, last: int) -> list[dict]:
    with path.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [row | {"step": int(row["step"])} for row in rows if row["step"] <= last]
