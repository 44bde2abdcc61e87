"""PhysVAE: a variational auto-encoder whose decoder is physics (PROSAIL).

For example::

    model = physvae.load("sentinel-2")
    estimate = model.estimate(reflectance, angles, ("lai", "ccc"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physvae.distributions import TruncatedNormal
    from physvae.emulation.store import load_emulator
    from physvae.errors import InputError, ModelError
    from physvae.estimate import Estimate
    from physvae.priors import Prior
    from physvae.store import load_model as load
    from physvae.store import models
    from physvae.vae import PhysVAE, Reconstruction

__version__ = "0.1.0"

_HOMES = {
    "load": ("physvae.store", "load_model"),
    "models": ("physvae.store", "models"),
    "load_emulator": ("physvae.emulation.store", "load_emulator"),
    "InputError": ("physvae.errors", "InputError"),
    "ModelError": ("physvae.errors", "ModelError"),
    "Prior": ("physvae.priors", "Prior"),
    "PhysVAE": ("physvae.vae", "PhysVAE"),
    "Estimate": ("physvae.estimate", "Estimate"),
    "Reconstruction": ("physvae.vae", "Reconstruction"),
    "TruncatedNormal": ("physvae.distributions", "TruncatedNormal"),
}
__all__ = [
    "load",
    "models",
    "load_emulator",
    "InputError",
    "ModelError",
    "Prior",
    "PhysVAE",
    "Estimate",
    "Reconstruction",
    "TruncatedNormal",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used, so that `import physvae` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'physvae' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
