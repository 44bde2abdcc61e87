"""TOML files of users, read with one sentence for whatever is wrong."""

import reprlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from physvae.errors import InputError

LONGEST = 200
"""Characters of a sentence of pydantic, which may repeat what stands in the file."""
CHOICES = ("encoder", "posterior", "soil")  # tables whose `kind` decides which keys they have


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


def problem(error: ValidationError) -> str:
    """What is wrong first: the key, what is expected, and a little of what stands there."""
    first = error.errors()[0]
    place = list(first["loc"])
    if place and place[0] in CHOICES and first["type"].startswith("union_tag"):
        place.append("kind")
        first["input"] = first["input"].get("kind")
    elif len(place) > 2 and place[0] in CHOICES:
        del place[1]  # which kind it is
    key = ".".join(str(part)[:40] for part in place)
    named = f"{key}: " if key else ""
    found = f", got {reprlib.repr(first['input'])}" if key else ""
    return f"{named}{first['msg'][:LONGEST]}{found}"
