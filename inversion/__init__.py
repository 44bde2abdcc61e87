"""Images and tables of reflectance in, traits with their uncertainty and quality out.

The names below are loaded at first use, so that ``import inversion`` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inversion.arrays import from_array
    from inversion.kernel import DEFAULT_VARIABLES
    from inversion.maps import retrieve
    from inversion.tables import retrieve_table
    from physvae.errors import InputError

__all__ = ["DEFAULT_VARIABLES", "InputError", "from_array", "retrieve", "retrieve_table"]

_HOME = {
    "DEFAULT_VARIABLES": "inversion.kernel",
    "InputError": "physvae.errors",
    "from_array": "inversion.arrays",
    "retrieve": "inversion.maps",
    "retrieve_table": "inversion.tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'inversion' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
