"""Damage to files, by a seeded generator: bytes that flip or are gone, fields that are wrong."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = (
    "", " ", "nan", "inf", "-inf", "1e308", "-1", "0", "99999999999999999999999", "1,5", "none",
    "\u202e\u0085", "x" * 5000, "../../etc/passwd", "[]", "١٢", "0x10", "1_000", "\x1b[31m",
)  # fmt: skip
"""What stands in a field that should hold something else."""
VALUES = (
    None, True, -1, 0, 1e308, 10**30, float("nan"), float("inf"), "", "x", "nan", "\x1b[2J", [],
    {}, [[]], [None], {"name": None}, ["x"] * 50,
)  # fmt: skip


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 64))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def begun(content: bytes, chance: random.Random) -> bytes:
    """Some bytes of the beginning, where headers lie, are others."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8))):
        changed[chance.randrange(min(len(changed), 600))] = chance.randrange(256)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """The end is gone."""
    return content[: chance.randrange(len(content))]


def zeroed(content: bytes, chance: random.Random) -> bytes:
    """A stretch holds nothing but zeros, as after a crash of the disk."""
    first = chance.randrange(len(content))
    last = min(len(content), first + chance.choice((1, 16, 512)))
    return content[:first] + bytes(last - first) + content[last:]


def doubled(content: bytes, chance: random.Random) -> bytes:
    """A stretch is there twice, so that all behind it is elsewhere."""
    first = chance.randrange(len(content))
    return content[:first] + content[first : first + 100] + content[first:]


def xml_field(content: bytes, chance: random.Random) -> bytes:
    """A text, an attribute or a tag is gone or another."""
    text = content.decode()
    pattern = chance.choice((r">([^<>]+)<", r'="([^"]*)"', r"<(\w[\w:]*)", r"(<(\w+)>[^<]*</\2>)"))
    places = [match.span(1) for match in re.finditer(pattern, text)]
    if not places:
        return cut(content, chance)
    first, last = chance.choice(places)
    new = chance.choice(TEXTS) if "<" not in text[first:last] else ""
    return (text[:first] + re.sub(r"[<>&]", "", new) + text[last:]).encode()


def json_field(content: bytes, chance: random.Random) -> bytes:
    """An entry is gone or another."""
    tree = json.loads(content)
    holders: list[Any] = []

    def walk(part: Any) -> None:
        if isinstance(part, (dict, list)) and part:
            holders.append(part)
            for inner in part.values() if isinstance(part, dict) else part:
                walk(inner)

    walk(tree)
    if not holders:
        return cut(content, chance)
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice(VALUES)
    return json.dumps(tree).encode()


def line_field(content: bytes, chance: random.Random) -> bytes:
    """A cell or a value of a text in lines is another."""
    places = [match.span() for match in re.finditer(rb"[^,;=\n{}]+", content)]
    first, last = chance.choice(places)
    return content[:first] + chance.choice(TEXTS).encode() + content[last:]


BYTES = (flipped, begun, cut, zeroed, doubled)
FIELDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".xml": xml_field, ".hdr": line_field, ".json": json_field, ".geojson": json_field,
    ".zarray": json_field, ".zattrs": json_field, ".zgroup": json_field, ".csv": line_field,
}  # fmt: skip


def mutated(path: Path, content: bytes, seed: int) -> bytes:
    """Return the content of a file with damage; three of four times a field of a text file."""
    chance = random.Random(f"{path.name} {seed}")
    field = FIELDS.get(path.suffix.lower()) or FIELDS.get(path.name)
    if content.startswith(b"<"):
        field = xml_field
    if field is not None and chance.random() < 0.75:
        return field(content, chance)
    return chance.choice(BYTES)(content, chance)
