"""Files appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(final: Path) -> Iterator[Path]:
    """Lend a temporary name beside `final`; on success it becomes `final`, file or folder.

    Raises
    ------
    OSError
        The folder is read-only, the disk is full: names `final`. Nothing is left behind.
    """
    temporary = final.with_name(f".{final.stem}-{secrets.token_hex(4)}.part{final.suffix}")
    try:
        yield temporary
        if final.is_dir():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{final}: cannot be written, {reason}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk before it gets its name; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
