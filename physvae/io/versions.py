"""Versions of Python and of the libraries that a result depends on."""

import platform
from collections.abc import Sequence
from importlib import metadata

LIBRARIES = ("physvae", "torch", "numpy", "xarray", "dask", "rasterio")


def versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Versions by name, of those that are installed.

    >>> list(versions(["torch", "no-such-library"]))
    ['python', 'torch']
    """
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
