"""Models on disk, see `physvae.io.artifacts`: what a model needs besides its configuration."""

from pathlib import Path

import torch
from torch import Tensor

from physvae.config import Config, parse_config
from physvae.decoders import DECODERS, PhysicalDecoder
from physvae.domain import Domain
from physvae.encoders import build_encoder
from physvae.heads import POSTERIORS
from physvae.io.artifacts import as_declared, names_in, read_folder, write_folder
from physvae.latents import LATENTS
from physvae.priors import Prior
from physvae.products import ProductNetwork, trait_table
from physvae.remainder import Remainder
from physvae.scaling import Features, feature_count
from physvae.soils import SOILS
from physvae.structured_likelihoods import LIKELIHOODS
from physvae.summaries import Summaries
from physvae.vae import PhysVAE
from rtm import ParameterSpace, Sensor, SpectralSoil
from rtm.modes import lasting
from rtm.products import par_quadrature

SHIPPED = Path(__file__).parent / "models"


def models() -> list[str]:
    """Names of the models that come with the package."""
    return names_in(SHIPPED)


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
        products=ProductNetwork(len(prior.space), config.products.width, config.products.also),
        domain=Domain(bands),
        plan=config.encoder, summaries=_summaries(config, prior.space, bands),
        field={"amortised": config.calibration.field, **config.calibration.methods},
        errors={str(name): by for name, by in config.calibration.errors.items()},
        remainder=config.remainder and Remainder(bands, config.remainder.components),
    )  # fmt: skip
    return model.float()


def _summaries(config: Config, space: ParameterSpace, bands: int) -> Summaries | None:
    plan = config.summaries
    if plan is None:
        return None
    traits = trait_table(space, config.products.also).values()
    low, high = torch.tensor([[t.low for t in traits], [t.high for t in traits]])
    hidden = [config.bands.index(name) for name in plan.hidden]
    return Summaries(
        feature_count(bands), bands, low, high, hidden, width=plan.width, depth=plan.depth
    )


def save_model(model: PhysVAE, config: Config, folder: Path, figures: dict) -> None:
    """Write config.json and weights.safetensors; `figures` are kept in config.json."""
    record = {"figures": figures, "training": config.model_dump(mode="json")}
    model.sha256 = write_folder(folder, pack(model), record)


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
    with as_declared(source):
        _check_encoder(config, tensors)
        part = [fixed[f"sensor.{key}"] for key in ("wavelength", "weights", "center", "fwhm")]
        sensor = Sensor(config.sensor, config.bands, *part)
        model = assemble(config, sensor, _soil(config, fixed))
        model.load_state_dict({k: v for k, v in tensors.items() if k not in fixed})
    return model


def _check_encoder(config: Config, tensors: dict[str, Tensor]) -> None:
    """Refuse an encoder that is not the file's before memory is taken for it.

    All else is small, as `physvae.plans` bounds it; the outputs are not known here.

    Raises
    ------
    ValueError
    """
    with torch.device("meta"):
        declared = build_encoder(len(config.bands), 1, config.encoder).state_dict()
    for name, value in declared.items():
        if "last." in name:
            continue
        actual = tensors.get(f"encoder.{name}", torch.empty(0)).shape
        if actual != value.shape:
            raise ValueError(f"encoder.{name} of shape {tuple(actual)}, not {tuple(value.shape)}")


def _soil(config: Config, fixed: dict[str, Tensor]):
    if config.soil.kind in SOILS:
        return SOILS[config.soil.kind]()
    return SpectralSoil(*(fixed[f"soil.{key}"].numpy() for key in ("wavelength", "basis", "mean")))


@lasting
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
    packed = read_folder(name, "model", SHIPPED)
    config = parse_config(packed.record["training"], packed.source)
    model = unpack(config, packed.tensors, str(packed.folder))
    model.config, model.sha256 = packed.record, packed.sha256
    return model.to(device).eval().requires_grad_(False)
