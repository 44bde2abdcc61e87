"""TOML files of users, read with one sentence for whatever is wrong."""

import tomllib
from pathlib import Path
from typing import Any

from physvae.errors import InputError


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises
    ------
    InputError
        Not found, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: expected a TOML file, got {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got {error}") from None
