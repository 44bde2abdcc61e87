"""PhysVAE: a variational auto-encoder whose decoder is physics (PROSAIL).

    model = physvae.load("sentinel-2")
    estimate = model.estimate(reflectance, angles, ("lai", "ccc"))
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "load": ("physvae.store", "load_model"),
    "models": ("physvae.store", "models"),
    "InputError": ("physvae.errors", "InputError"),
    "ModelError": ("physvae.errors", "ModelError"),
    "Prior": ("physvae.priors", "Prior"),
    "PhysVAE": ("physvae.vae", "PhysVAE"),
    "Estimate": ("physvae.vae", "Estimate"),
    "Reconstruction": ("physvae.vae", "Reconstruction"),
    "TruncatedNormal": ("physvae.distributions", "TruncatedNormal"),
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str):
    """Import a public name where it is first used, so that `import physvae` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'physvae' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
