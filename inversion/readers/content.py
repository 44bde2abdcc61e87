"""The first look at an input: is it there, is it a file, what does it begin with."""

from pathlib import Path

from physvae.errors import InputError


def head(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file, without a byte-order mark and leading blanks.

    Raises
    ------
    InputError
        No such file, a folder, an empty file, or one that may not be read.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder")
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found none of that name")
    try:
        with path.open("rb") as file:
            start = file.read(size)
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from error
    if not start.strip():
        raise InputError(f"{path}: expected a table or an image, found an empty file")
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()
