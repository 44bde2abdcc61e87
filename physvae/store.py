"""Models on disk: config.json, weights.safetensors, card.md. Nothing else is ever read.

A folder is refused before use if a file is missing or is not what config.json says: its hash, its
names, its shapes, or a number that is not finite. Pickled models (.pt, .pkl, .ckpt, .joblib) run
code when they are opened and are never opened.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from physvae.config import Config, parse_config
from physvae.decoders import DECODERS, PhysicalDecoder
from physvae.domain import Domain
from physvae.encoders import build_encoder
from physvae.errors import ModelError
from physvae.files import write_atomically
from physvae.heads import POSTERIORS
from physvae.latents import LATENTS
from physvae.priors import Prior
from physvae.products import ProductNetwork, trait_table
from physvae.scaling import Features, feature_count
from physvae.soils import SOILS
from physvae.structured_likelihoods import LIKELIHOODS
from physvae.summaries import Summaries
from physvae.vae import PhysVAE
from rtm import ParameterSpace, Sensor, SpectralSoil
from rtm.products import par_quadrature

FORMAT = 1
SHIPPED = Path(__file__).parent / "models"
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".bin"}


def models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def assemble(config: Config, sensor: Sensor, soil) -> PhysVAE:
    """A model with fresh weights from its configuration, sensor and soil."""
    physical = PhysicalDecoder(sensor, soil, config.physics)
    prior = Prior(config.prior, physical.full_space, config.correlation)
    bands = len(sensor.bands)
    head = POSTERIORS[config.posterior.kind](prior, config.posterior)
    residual = DECODERS[config.decoder.kind](bands, config.residual, config.correction)
    latents = LATENTS[config.residual.latent](residual.latents, config.residual)
    likelihood = LIKELIHOODS[config.likelihood.kind](bands, config.noise, config.likelihood)
    for name, error in config.noise.relative_of.items():
        likelihood.relative[config.bands.index(name)] = error
    model = PhysVAE(
        name=config.name, bands=sensor.bands, prior=prior, features=Features(bands),
        encoder=build_encoder(bands, head.size + latents.size, config.encoder),
        head=head, latents=latents, physical=physical, residual=residual,
        likelihood=likelihood,
        products=ProductNetwork(len(prior.space), config.products.width), domain=Domain(bands),
        plan=config.encoder, summaries=_summaries(config, prior.space, bands),
        field=config.calibration.field,
    )  # fmt: skip
    return model.float()


def _summaries(config: Config, space: ParameterSpace, bands: int) -> Summaries | None:
    plan = config.summaries
    if plan is None:
        return None
    traits = trait_table(space).values()
    low, high = torch.tensor([[t.low for t in traits], [t.high for t in traits]])
    hidden = [config.bands.index(name) for name in plan.hidden]
    return Summaries(
        feature_count(bands), bands, low, high, hidden, width=plan.width, depth=plan.depth
    )


def save_model(model: PhysVAE, config: Config, folder: Path, figures: dict) -> None:
    """Write config.json and weights.safetensors; `figures` are kept in config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({k: v.contiguous() for k, v in pack(model).items()})
    record = {
        "format": FORMAT,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "figures": figures,
        "training": config.model_dump(mode="json"),
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / "weights.safetensors", weights)
    write_atomically(folder / "config.json", text.encode())


def pack(model: PhysVAE) -> dict[str, Tensor]:
    """Everything a model needs besides its configuration: weights, sensor nodes, soil shapes."""
    sensor, soil = model.physical.sensor, model.physical.prosail.soil
    fixed = {
        "sensor.wavelength": sensor.wavelength, "sensor.weights": sensor.weights,
        "sensor.center": sensor.center, "sensor.fwhm": sensor.fwhm,
    }  # fmt: skip
    if isinstance(soil, SpectralSoil):
        nodes = torch.unique(torch.cat((sensor.wavelength, par_quadrature()[0])))
        shapes = soil.shapes(nodes)
        fixed |= {"soil.wavelength": nodes, "soil.basis": shapes[:-1], "soil.mean": shapes[-1]}
    return {**model.state_dict(), **fixed}


def unpack(config: Config, tensors: dict[str, Tensor], source: str) -> PhysVAE:
    """The model of a configuration and its tensors, both checked against each other."""
    fixed = {k: v for k, v in tensors.items() if k.startswith(("sensor.", "soil."))}
    try:
        part = [fixed[f"sensor.{key}"] for key in ("wavelength", "weights", "center", "fwhm")]
        sensor = Sensor(config.sensor, config.bands, *part)
        model = assemble(config, sensor, _soil(config, fixed))
        model.load_state_dict({k: v for k, v in tensors.items() if k not in fixed})
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{source}: expected the tensors of its config.json, got {reason}"
        ) from None
    return model


def _soil(config: Config, fixed: dict[str, Tensor]):
    if config.soil.kind in SOILS:
        return SOILS[config.soil.kind]()
    return SpectralSoil(*(fixed[f"soil.{key}"].numpy() for key in ("wavelength", "basis", "mean")))


def load_model(name: str | Path, device: str = "cpu") -> PhysVAE:
    """A shipped model by name, or a model folder.

    Parameters
    ----------
    name : str or Path
        One of `physvae.models()`, or a folder with config.json and weights.safetensors.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    PhysVAE
        Ready for inference (no gradients needed, float32).

    Raises
    ------
    ModelError
        For a pickled model, or a folder that is not exactly what its config.json says.
    """
    folder = SHIPPED / str(name) if str(name) in models() else Path(name)
    if folder.suffix.lower() in PICKLES:
        raise ModelError(
            f"{folder}: expected a model folder with config.json and weights.safetensors, got a "
            f"{folder.suffix} file, which could run code and is never opened"
        )
    record = _read_record(folder)
    raw = _read_bytes(folder / "weights.safetensors")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != record.get("weights_sha256"):
        raise ModelError(
            f"{folder / 'weights.safetensors'}: expected sha256 {record.get('weights_sha256')}, "
            f"got {digest}"
        )
    model = unpack(
        parse_config(record["training"], str(folder / "config.json")),
        _tensors(raw, folder),
        str(folder),
    )
    model.config, model.sha256 = record, digest
    return model.to(device).eval().requires_grad_(False)


def _read_record(folder: Path) -> dict:
    if not folder.is_dir():
        known = ", ".join(models())
        raise ModelError(
            f"{folder}: expected a model folder or one of {known}, got no such folder"
        )
    try:
        record = json.loads(_read_bytes(folder / "config.json"))
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'}: expected JSON, got {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or "training" not in record:
        raise ModelError(f"{folder / 'config.json'}: expected a PhysVAE model of format {FORMAT}")
    return record


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: expected a file, got {error.strerror}") from None


def _tensors(raw: bytes, folder: Path) -> dict[str, Tensor]:
    path = folder / "weights.safetensors"
    try:
        tensors = load(raw)
    except SafetensorError as error:
        raise ModelError(f"{path}: expected safetensors, got {error}") from None
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"{path}: {key}: expected finite numbers, got NaN or infinity")
    return tensors
