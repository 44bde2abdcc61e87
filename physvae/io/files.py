"""All or nothing: write beside the goal under a temporary name, then rename.

A reader of the final name sees the old result or the new one, never a part of either; whatever
goes wrong, an interruption included, the temporary files are removed; those of a process that was
killed are removed by the next one (see `physvae.io.temporary_names`).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from physvae.errors import InputError
from physvae.io.temporary_names import (
    new_token,
    remove,
    remove_leftovers,
    stepped_aside,
    temporary_name,
)


@contextmanager
def atomic(final: Path) -> Iterator[Path]:
    """Lend a temporary name beside `final`; on success it becomes `final`, file or folder.

    Raises
    ------
    OSError
        The folder is read-only, the disk is full: names `final`. Nothing is left behind.
    """
    with atomic_group(final) as (temporary,):
        yield temporary


@contextmanager
def atomic_group(*finals: Path) -> Iterator[list[Path]]:
    """Lend temporary names in the goals' folders; on success they become the goals, in order.

    Raises
    ------
    OSError
        The folder is read-only, the disk is full: names the goal. Nothing is left behind.
    """
    token = new_token()
    for final in finals:
        remove_leftovers(final)
    temporaries = [temporary_name(final, token) for final in finals]
    try:
        yield temporaries
        for temporary in temporaries:
            _flush(temporary)
        for temporary, final in zip(temporaries, finals, strict=True):
            _replace(temporary, final)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{finals[-1]}: cannot be written, {reason}") from error
    finally:
        for folder in {path.parent for path in finals}:
            for leftover in folder.glob(f".*-{token}.*"):
                remove(leftover)


@contextmanager
def working_folder(final: Path) -> Iterator[Path]:
    """Lend an empty folder beside `final`, removed at the end whatever happens."""
    remove_leftovers(final)
    folder = temporary_name(final, new_token())
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def disk_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the errors by which a library tells of a failed write into OSError."""
    try:
        yield
    except kinds as error:
        raise OSError(f"{error}; is the disk full?") from error


@contextmanager
def told(final: Path) -> Iterator[None]:
    """Let every error of the system name the goal."""
    try:
        yield
    except OSError as error:
        if str(final) in str(error):
            raise
        reason = error.strerror or str(error)
        raise OSError(f"{final}: cannot be written, {reason}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def check_ordinary(path: Path, expected: str = "a file") -> None:
    """Refuse what is no ordinary file before it is opened: a pipe or a device may never end.

    Raises
    ------
    InputError
        Says what is there instead.
    """
    if path.is_file():
        return
    what = "a folder" if path.is_dir() else "none of that name"
    if path.exists() and not path.is_dir():
        what = "something that is not an ordinary file"
    raise InputError(f"{path}: expected {expected}, found {what}")


def read_regular(path: Path, most: int) -> bytes:
    """Content of an ordinary file of at most so many bytes.

    Raises
    ------
    OSError
        A pipe, a device or a folder, which may never end, or a larger file; `strerror` says which.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "something that is not an ordinary file", str(path))
        if status.st_size > most:
            size = f"{status.st_size:,} bytes, more than {most:,}"
            raise OSError(errno.EFBIG, size, str(path))
        return file.read(status.st_size)


def _replace(temporary: Path, final: Path) -> None:
    """Rename; a folder cannot be renamed over a full one, so the old one steps aside first."""
    if final.is_dir():
        old = stepped_aside(temporary)
        try:
            final.rename(old)
            temporary.rename(final)
        except BaseException:
            if old.exists() and not final.exists():
                old.rename(final)
            raise
    else:
        os.replace(temporary, final)
    _sync(final.parent)


def _flush(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            _sync(file)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
