"""The one door for what a library raises on a damaged file: a sentence that names the file.

Files come from anywhere, and libraries raise what they like on them. Inside this door any error
that nobody foresaw means that the file was refused; `physvae --debug` shows where it arose.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from physvae.errors import InputError, UsageError

LENGTH = 200
"""Characters of a library's own words in a sentence."""


@contextmanager
def refusal(path: Path | str, expected: str, *, asked: bool = True) -> Iterator[None]:
    """Tell whatever goes wrong as the refusal of a file.

    Parameters
    ----------
    path
        The file, folder or archive.
    expected
        What it should have been: ``a readable STAC item``.
    asked
        Whether options could be wrong. Where there are none, a wrong value is the file's own.

    Raises
    ------
    InputError
        Whatever was raised inside; a sentence that names another file keeps its words.
    UsageError
        An option is wrong.
    """
    try:
        yield
    except InputError as error:
        if _name(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    except UsageError as error:
        if asked:
            raise
        raise InputError(f"{path}: {error}") from error
    except (MemoryError, InterruptedError):
        raise
    except Exception as error:  # libraries raise what they like
        raise InputError(f"{path}: expected {expected}, found: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return the words of an error on one line, without its type."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        return f"no {text}"
    return text[:LENGTH] or "damaged content"


def _name(path: Path | str) -> str:
    return Path(path).name
