"""Emulators on disk: config.json, weights.safetensors, card.md. Nothing else is ever read.

A folder is refused before use if a file is missing or is not what config.json says. Pickled
models run code when they are opened and are never opened.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Network, Nodes
from physvae.emulation.plans import EmulatorConfig, NodesPlan, ProsailPlan, parse_plan
from physvae.emulation.sources import physics
from physvae.emulation.uncertainty import StandardError
from physvae.emulation.vae import DECODERS
from physvae.errors import ModelError
from physvae.files import write_atomically
from rtm import Parameter, ParameterSpace

FORMAT = 1
SHIPPED = Path(__file__).parents[1] / "emulators"
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".bin"}


def emulators() -> list[str]:
    """Names of the emulators that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def save_emulator(emulator: Emulator, config: EmulatorConfig, folder: Path, figures: dict) -> None:
    """Write config.json and weights.safetensors; `figures` are kept in config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.contiguous() for k, v in emulator.state_dict().items()}
    if emulator.wavelength is not None:
        tensors["wavelength"] = emulator.wavelength
    if isinstance(emulator.interpolator, Nodes):
        tensors["nodes"] = emulator.interpolator.physics.wavelength
    weights = save(tensors)
    record = {
        "format": FORMAT,
        "kind": "emulator",
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "parameters": [asdict(p) for p in emulator.space.parameters],
        "angles": [asdict(p) for p in emulator.geometry.parameters],
        "bands": emulator.band,
        "figures": figures,
        "training": config.model_dump(mode="json"),
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / "weights.safetensors", weights)
    write_atomically(folder / "config.json", text.encode())


def load_emulator(name: str | Path, device: str = "cpu") -> Emulator:
    """A shipped emulator by name, or the folder of one.

    Parameters
    ----------
    name : str or Path
        "prosail-d" (400, 410 … 2500 nm), "prosail-d-1nm", or a folder of `physvae train`.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    Emulator
        Called like `rtm.Prosail`; float32. `compile()` makes it fast.

    Raises
    ------
    ModelError
        An unknown name, a pickled model, or a folder that is not what its config.json says.

    Examples
    --------
    >>> emulator = load_emulator("prosail-d")
    >>> theta = emulator.space.stack(lai=torch.tensor([1.0, 4.0]))
    >>> emulator(theta, torch.tensor([30.0, 0.0, 0.0])).rso.shape
    torch.Size([2, 211])
    """
    folder = SHIPPED / str(name) if str(name) in emulators() else Path(name)
    if folder.suffix.lower() in PICKLES:
        raise ModelError(
            f"{folder}: expected the folder of an emulator, got a {folder.suffix} file, which "
            "could run code and is never opened"
        )
    record = _record(folder)
    raw = _bytes(folder / "weights.safetensors")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != record.get("weights_sha256"):
        raise ModelError(
            f"{folder / 'weights.safetensors'}: expected sha256 {record.get('weights_sha256')}, "
            f"got {digest}"
        )
    emulator = _unpacked(record, raw, folder)
    emulator.record = record
    return emulator.to(device).eval().requires_grad_(False)


def _record(folder: Path) -> dict:
    if not folder.is_dir():
        known = ", ".join(emulators())
        raise ModelError(
            f"emulator: expected one of {known}, or the folder of one, got {str(folder)!r}"
        )
    try:
        record = json.loads(_bytes(folder / "config.json"))
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'}: expected JSON, got {error}") from None
    known = isinstance(record, dict) and record.get("kind") == "emulator"
    if not known or record.get("format") != FORMAT or "training" not in record:
        raise ModelError(f"{folder / 'config.json'}: expected an emulator of format {FORMAT}")
    return record


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: expected a file, got {error.strerror}") from None


def _unpacked(record: dict, raw: bytes, folder: Path) -> Emulator:
    """The emulator of a record and its tensors, both checked against each other."""
    path = folder / "weights.safetensors"
    try:
        tensors = load(raw)
    except SafetensorError as error:
        raise ModelError(f"{path}: expected safetensors, got {error}") from None
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"{path}: {key}: expected finite numbers, got NaN or infinity")
    config = parse_plan(record["training"], str(folder / "config.json"))
    try:
        return _built(config, record, tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{folder}: expected the tensors of its config.json, got {reason}"
        ) from None


def _built(config: EmulatorConfig, record: dict, tensors: dict[str, Tensor]) -> Emulator:
    wavelength, nodes = tensors.pop("wavelength", None), tensors.pop("nodes", None)
    space, geometry = (_space(record[key]) for key in ("parameters", "angles"))
    bands = None if record["bands"] is None else tuple(record["bands"])
    if wavelength is None and bands is None:
        raise ValueError("neither wavelengths nor bands")
    size = len(bands or ()) if wavelength is None else len(wavelength)
    decoders, latents = {}, {}
    for factor in config.factors:
        inner = tensors[f"decoders.{factor}.last.weight"].shape[1]
        extra = config.vae.width if config.vae.decoder == "mlp" else 0
        latents[factor] = inner - extra
        decoders[factor] = DECODERS[config.vae.decoder](latents[factor], size, config.vae.width)
    plan = config.simulator
    if isinstance(config.interpolator, NodesPlan):
        assert isinstance(plan, ProsailPlan)
        if nodes is None:
            raise ValueError("no nodes")
        interpolator = Nodes(physics(plan, nodes, products=True), latents)
    else:
        canopy = config.interpolator.features == "canopy" and isinstance(plan, ProsailPlan)
        model = physics(plan, wavelength) if canopy else None  # pyright: ignore
        interpolator = Network(space, geometry, config.interpolator, latents, model)
    error = StandardError(space, geometry, config.error, size)
    emulator = Emulator(
        config.name, space, geometry, interpolator, decoders, error, wavelength, bands
    )
    emulator.load_state_dict(tensors)
    return emulator


def _space(rows: list[dict]) -> ParameterSpace:
    return ParameterSpace(
        tuple(Parameter(**{**row, "aliases": tuple(row["aliases"])}) for row in rows)
    )
