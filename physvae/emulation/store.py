"""Emulators on disk, see `physvae.io.artifacts`: their inputs, weights, wavelengths and nodes."""

from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Network, Nodes
from physvae.emulation.plans import EmulatorConfig, NodesPlan, ProsailPlan, parse_plan
from physvae.emulation.sources import physics
from physvae.emulation.uncertainty import StandardError
from physvae.emulation.vae import DECODERS
from physvae.io.artifacts import as_declared, names_in, read_folder, write_folder
from rtm import Parameter, ParameterSpace
from rtm.modes import lasting

SHIPPED = Path(__file__).parents[1] / "emulators"


def emulators() -> list[str]:
    """Names of the emulators that come with the package."""
    return names_in(SHIPPED)


def save_emulator(emulator: Emulator, config: EmulatorConfig, folder: Path, figures: dict) -> None:
    """Write config.json and weights.safetensors; `figures` are kept in config.json."""
    tensors = emulator.state_dict()
    if emulator.wavelength is not None:
        tensors["wavelength"] = emulator.wavelength
    if isinstance(emulator.interpolator, Nodes):
        tensors["nodes"] = emulator.interpolator.physics.wavelength
    record = {
        "kind": "emulator",
        "parameters": [asdict(p) for p in emulator.space.parameters],
        "angles": [asdict(p) for p in emulator.geometry.parameters],
        "bands": emulator.band,
        "figures": figures,
        "training": config.model_dump(mode="json"),
    }
    emulator.sha256 = write_folder(folder, tensors, record)


@lasting
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
    >>> import torch
    >>> emulator = load_emulator("prosail-d")
    >>> theta = emulator.space.stack(lai=torch.tensor([1.0, 4.0]))
    >>> emulator(theta, torch.tensor([30.0, 0.0, 0.0])).rso.shape
    torch.Size([2, 211])
    """
    packed = read_folder(name, "emulator", SHIPPED)
    config = parse_plan(packed.record["training"], packed.source)
    with as_declared(packed.folder):
        emulator = _built(config, packed.record, packed.tensors)
    emulator.record, emulator.sha256 = packed.record, packed.sha256
    return emulator.to(device).eval().requires_grad_(False)


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
    plan_of_error = config.error
    if "features" not in record["training"]["error"]:  # made before there were others
        plan_of_error = plan_of_error.model_copy(update={"features": "plain"})
    error = StandardError(space, geometry, plan_of_error, size)
    emulator = Emulator(
        config.name, space, geometry, interpolator, decoders, error, wavelength, bands
    )
    emulator.load_state_dict(tensors)
    return emulator


def _space(rows: list[dict]) -> ParameterSpace:
    return ParameterSpace(
        tuple(Parameter(**{**row, "aliases": tuple(row["aliases"])}) for row in rows)
    )
