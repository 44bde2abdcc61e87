"""What a Zarr store may be made of: nothing that runs code or takes memory without bound.

A codec is named in the metadata, so a store chooses what its reader runs: `pickle` runs anything.
Only those of this list are let in, before any chunk is read, whatever the version of numcodecs.
"""

import json
import math
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from physvae.errors import InputError

NUMERIC = ("astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle")
COMPRESSION = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")
CHECKSUMS = ("adler32", "crc32", "crc32c", "fletcher32", "jenkins_lookup3")
TEXTS = ("vlen-bytes", "vlen-utf8")
CODECS = {*NUMERIC, *COMPRESSION, *CHECKSUMS, *TEXTS, "bytes", "sharding_indexed", "transpose"}
"""Codecs of Zarr 2 by their id and of Zarr 3 by their name, there also as numcodecs.NAME."""
TYPE_2 = re.compile(r"[<>|][biufSUmM]\d{1,5}(\[\w+\])?")
TYPE_3 = re.compile(
    r"bool|u?int(8|16|32|64)|float(16|32|64)|string|bytes|variable_length_bytes"
    r"|fixed_length_utf32|null_terminated_bytes|numpy\.(datetime|timedelta)64"
)
TEXT_MAX = 64 << 20
"""Bytes of a document of metadata."""
CHUNK_MAX = 1 << 31
"""Numbers of a chunk; those of products have less than 2 to the power of 26."""


def check_codecs(path: str | Path, group: str = "") -> None:
    """Refuse a group whose arrays name another codec or type than those of the list.

    Raises
    ------
    InputError
        Names the array and what it asks for.
    """
    for name, text in _documents(Path(path), group):
        about = json.loads(text)
        if name.endswith("zarr.json") and about.get("node_type") != "array":
            continue
        second = name.endswith(".zarray")
        parts = [about.get("compressor"), about.get("filters"), about.get("codecs")]
        used = [codec.removeprefix("numcodecs.") for codec in _named(parts)]
        other = sorted(set(used) - CODECS)
        stranger = reprlib.repr(other[0]) if other else "a storage transformer"
        if other or about.get("storage_transformers"):
            raise InputError(
                f"{path}: expected compression of the usual kinds in {name}, found"
                f" {stranger}, which is not run"
            )
        if not (_type_2(about.get("dtype"), used) if second else _type_3(about.get("data_type"))):
            raise InputError(f"{path}: expected numbers or texts in {name}, found another type")
        if _size(about) > CHUNK_MAX:
            raise InputError(f"{path}: expected chunks of less than 2 GiB in {name}, found larger")


def _documents(root: Path, group: str) -> Iterator[tuple[str, bytes]]:
    """Yield the metadata of the arrays right below a group, by their names in the store."""
    if root.is_dir():
        for kind in (".zarray", "zarr.json"):
            for file in sorted((root / group).glob(f"*/{kind}")):
                if file.stat().st_size > TEXT_MAX:
                    raise InputError(
                        f"{root}: expected metadata in {file.name}, found over 64 MiB"
                    )
                yield file.relative_to(root).as_posix(), file.read_bytes()
        return
    start = f"{group.strip('/')}/".lstrip("/")
    with ZipFile(root) as archive:
        for name in archive.namelist():
            inside = name.removeprefix(start).split("/") if name.startswith(start) else []
            if len(inside) == 2 and inside[1] in (".zarray", "zarr.json"):
                yield name, archive.read(name)


def _named(part: Any) -> Iterator[str]:
    """Yield the names of codecs, those inside of others too."""
    if isinstance(part, list):
        for inner in part:
            yield from _named(inner)
    elif isinstance(part, dict):
        if "id" in part or "name" in part:
            yield str(part.get("id", part.get("name")))
        for inner in part.values():
            if isinstance(inner, (dict, list)):
                yield from _named(inner)
    elif isinstance(part, str):
        yield part


def _type_2(kind: Any, codecs: list[str]) -> bool:
    if kind == "|O":
        return bool(set(codecs) & set(TEXTS))
    return isinstance(kind, str) and TYPE_2.fullmatch(kind) is not None


def _type_3(kind: Any) -> bool:
    name = kind.get("name") if isinstance(kind, dict) else kind
    return isinstance(name, str) and TYPE_3.fullmatch(name) is not None


def _size(about: dict) -> float:
    grid = about.get("chunk_grid", {})
    sides = about.get("chunks") or grid.get("configuration", {}).get("chunk_shape", [])
    return math.prod((float(side) for side in sides), start=1.0)
