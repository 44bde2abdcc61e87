"""TOML files of users, read with one sentence for whatever is wrong."""

import re
import reprlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from physvae.errors import InputError
from physvae.io.files import read_regular

MOST = 1 << 24
"""Bytes of a file."""
LONGEST = 200
"""Characters of a sentence of pydantic, which may repeat what stands in the file."""
_WORDS = (  # of pydantic's messages, and what stands for them; the first that fits
    (r"Value error, ", ""),
    (r"Field required", "expected a value, got none"),
    (r"Extra inputs are not permitted", "expected no such key"),
    (r"Input tag .* expected tags: ", "expected one of "),
    (r"Input should be (a valid |an instance of )?(dictionary|object).*", "expected a table"),
    (r"Input should be (a )?valid integer.*", "expected a whole number"),
    (r"Input should be (a )?valid (tuple|list|set).*", "expected a list"),
    (r"Input should be (a )?valid string.*", "expected text"),
    (r"Input should be (a )?valid boolean.*", "expected true or false"),
    (r"Input should be (a )?valid (\w+)(,.*)?", r"expected a \2"),
    (r"Input should be (?=greater|less)", "expected a value "),
    (r"Input should be ", "expected "),
    (r"\w+ should have (.*) after validation.*", r"expected \1"),
)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises
    ------
    InputError
        Not found, or not TOML.
    """
    try:
        return tomllib.loads(read_regular(path, MOST).decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: expected a TOML file, got {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got {error}") from None


def refusal(error: ValidationError, raw: dict[str, Any], source: str) -> InputError:
    """What is wrong first in the tables `raw` of a file: source, key, expected, got.

    >>> from physvae.config import Evaluation
    >>> try:
    ...     Evaluation.model_validate({"simulations": "many"})
    ... except ValidationError as error:
    ...     print(refusal(error, {"simulations": "many"}, "plan.toml"))
    plan.toml: simulations: expected a whole number, got 'many'
    """
    first = error.errors()[0]
    nested = first.get("ctx", {}).get("error")
    if isinstance(nested, ValidationError):
        return refusal(nested, raw, source)
    keys, got = _keys(first["loc"], raw, first["type"]), first["input"]
    said = _said(first["msg"])[:LONGEST]
    inner = re.match(r"([\w.]+): (?=expected)", said)
    if inner:  # of a table whose keys do not fit together
        said, more = said[inner.end() :], inner[1].split(".")
        keys, got = [*keys, *more], _at(got, more)
    elif first["type"].startswith("union_tag"):
        keys, got = [*keys, "kind"], _at(got, ["kind"])
    known = got is not None and first["type"] != "missing" and ", got " not in said
    named = f"{'.'.join(key[:40] for key in keys)}: " if keys else ""
    return InputError(f"{source}: {named}{said}" + (f", got {reprlib.repr(got)}" if known else ""))


def _said(message: str) -> str:
    for pattern, words in _WORDS:
        if re.match(pattern, message):
            return re.sub(f"^{pattern}", words, message)
    return message


def _keys(place: tuple[int | str, ...], raw: Any, kind: str) -> list[str]:
    """The keys of a place as the file has them, without the names of kinds and types."""
    if place and isinstance(raw, dict) and place[0] not in raw:
        return [str(part) for part in place]  # as a validator has moved it, or missing
    keys, table = [], raw
    for part in place:
        if (inside := _at(table, [part])) is not None:
            keys, table = [*keys, str(part)], inside
        elif kind == "missing" and part == place[-1]:
            keys.append(str(part))
    return keys


def _at(table: Any, keys: Sequence[int | str]) -> Any:
    """What stands at keys of tables or places of lists; None where nothing does."""
    for key in keys:
        if isinstance(table, dict):
            table = table.get(key)
        elif isinstance(table, list) and isinstance(key, int) and key < len(table):
            table = table[key]
        else:
            return None
    return table
