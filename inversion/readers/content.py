"""The first look at an input: is it there, what does it begin with, which files does it hold."""

import reprlib
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from physvae.errors import InputError
from physvae.io.files import check_ordinary

MEMBERS_MAX = 200_000
"""Files that a product may hold; the largest known ones hold some hundreds."""
DEPTH_MAX = 8
TEXT_MAX = 64 << 20
"""Bytes of a metadata file; those of Sentinel-2 have less than one MiB."""
EXPANSION_MAX = 500
"""Size over stored size from which an archive's member is a bomb; metadata reach 30."""
DAMAGED = (BadZipFile, NotImplementedError, tarfile.TarError)
"""What the libraries raise where an archive cannot be read."""
_ZARR = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


def head(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file, without a byte-order mark and leading blanks.

    Raises
    ------
    InputError
        No such file, a folder, an empty file, or one that may not be read.
    """
    check_ordinary(path)
    try:
        with path.open("rb") as file:
            start = file.read(size)
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from error
    if not start.strip():
        raise InputError(f"{path}: expected a table or an image, found an empty file")
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()


class Product(NamedTuple):
    """The files of a product, in a folder or in an archive that is read in place.

    Attributes
    ----------
    path : Path
        The folder or the archive.
    names : tuple of str
        Its files relative to it, with forward slashes; what lies in Zarr groups is left out.
    archive : str
        ``zip`` or ``tar``, or nothing for a folder.
    """

    path: Path
    names: tuple[str, ...]
    archive: str = ""

    def find(self, ending: str) -> list[str]:
        """Return the files whose names end so, whatever the case."""
        return [name for name in self.names if name.lower().endswith(ending.lower())]

    def one(self, ending: str) -> str:
        """Return the only file whose name ends so; refuse none and several."""
        found = self.find(ending)
        if len(found) != 1:
            raise InputError(f"{self.path}: expected one file *{ending}, found {len(found)}")
        return found[0]

    def read(self, name: str) -> bytes:
        """Return the content of a small file.

        Raises
        ------
        InputError
            Larger than any metadata, damaged, or not readable.
        """
        try:
            with self._opened(name) as file:
                content = file.read(TEXT_MAX + 1)
        except (*DAMAGED, OSError, RuntimeError, EOFError) as error:
            raise InputError(f"{self.path}: {name} cannot be read, {error}") from error
        if len(content) > TEXT_MAX:
            raise InputError(f"{self.path}: expected metadata in {name}, found over 64 MiB")
        return content

    def raster(self, name: str) -> str:
        """Return the name under which GDAL opens a file of the product, archived or not."""
        if self.archive:
            return f"/vsi{self.archive}/{{{self.path.resolve()}}}/{name}"
        return str(self.path / name)

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        if self.archive == "zip":
            with ZipFile(self.path) as archive:
                member = next((n for n in archive.namelist() if _plain(n) == name), name)
                with archive.open(member) as file:
                    yield file
        elif self.archive == "tar":
            with tarfile.open(self.path, "r:") as archive:
                member = next((m for m in archive if _plain(m.name) == name), name)
                file = archive.extractfile(member)
                if file is None:
                    raise OSError("no file")
                yield file
        else:
            with (self.path / name).open("rb") as file:
                yield file


def product(path: Path) -> Product:
    """Return the files of a folder or of an archive, refusing those that could do harm.

    Raises
    ------
    InputError
        A damaged archive; a link, a path out of the product, a bomb, or too many files in it.
    """
    if path.is_dir():
        return Product(path, tuple(_listed(path)))
    if is_tar(head(path)):
        return Product(path, tuple(_in_tar(path)), "tar")
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, *DAMAGED) as error:
        raise InputError(
            f"{path}: expected a readable zip archive (save a spreadsheet as CSV), found: {error}"
        ) from error
    _few(path, len(members))
    for member in members:
        _check_member(path, member)
    names = (_plain(m.filename) for m in members if not m.is_dir())
    return Product(path, tuple(name for name in names if not _is_litter(name)), "zip")


def is_tar(start: bytes) -> bool:
    """Whether a file begins as a tar archive does, by the mark in its first header."""
    return start[257:262] == b"ustar"


def _in_tar(path: Path) -> list[str]:
    """List the members of a tar archive: plain files and folders alone."""
    names: list[str] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _check_name(path, member.name)
                if not (member.isfile() or member.isdir()) or member.sparse is not None:
                    raise InputError(
                        f"{path}: expected files, found the link {reprlib.repr(member.name)}"
                    )
                if member.isfile() and not _is_litter(_plain(member.name)):
                    names.append(_plain(member.name))
                _few(path, len(names))
    except (OSError, *DAMAGED) as error:
        raise InputError(f"{path}: expected a readable tar archive, found: {error}") from error
    return names


def _listed(root: Path) -> list[str]:
    """List the files of a folder; a link may not lead out of it, a Zarr group is one entry."""
    names: list[str] = []
    folders = [(root, 0)]
    while folders:
        folder, depth = folders.pop()
        for entry in sorted(folder.iterdir()):
            if entry.is_symlink() and not entry.resolve().is_relative_to(root.resolve()):
                raise InputError(f"{root}: expected files of its own, found the link {entry.name}")
            if entry.is_dir() and depth < DEPTH_MAX and not _in_zarr(entry):
                folders.append((entry, depth + 1))
            elif entry.is_file():
                names.append(entry.relative_to(root).as_posix())
        _few(root, len(names))
    return sorted(name for name in names if not _is_litter(name))


def _in_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _ZARR)


def _is_litter(name: str) -> bool:
    """Whether a file is what a Mac leaves beside every file, or in every folder that it shows."""
    parts = PurePosixPath(name).parts
    last = parts[-1] if parts else ""
    return "__MACOSX" in parts or last == ".DS_Store" or last.startswith("._")


def _plain(name: str) -> str:
    r"""Return a member's name as GDAL has it, without ``./`` and with forward slashes.

    >>> _plain("./LC08/LC08_MTL.xml"), _plain("S2A.SAFE\\MTD_MSIL2A.xml")
    ('LC08/LC08_MTL.xml', 'S2A.SAFE/MTD_MSIL2A.xml')
    """
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _few(path: Path, count: int) -> None:
    if count > MEMBERS_MAX:
        raise InputError(f"{path}: expected at most {MEMBERS_MAX} files, found more")


def _check_name(path: Path, text: str) -> None:
    name = PurePosixPath(text.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or "}" in text:
        raise InputError(f"{path}: expected files of its own, found {reprlib.repr(text)}")


def _check_member(path: Path, member: ZipInfo) -> None:
    _check_name(path, member.filename)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{path}: expected files, found the link {reprlib.repr(member.filename)}")
    if member.file_size > EXPANSION_MAX * max(member.compress_size, 1024):
        raise InputError(
            f"{path}: expected a product, found {reprlib.repr(member.filename)} that expands"
            f" {member.file_size / max(member.compress_size, 1):,.0f} times"
        )
