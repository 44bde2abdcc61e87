"""What an error tells the user: one sentence, whoever raised it."""

import typer

from physvae.errors import InputError, PartialError, RunError, UsageError

FORESEEN = (UsageError, InputError, PartialError, RunError)
LONGEST = 300
"""Characters of a library's message that are shown."""
_SHORT_OF_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")


def sentence(error: BaseException) -> str:
    """Return what happened, on one line.

    >>> sentence(MemoryError("Unable to allocate 8 TiB"))[:60]
    'memory: expected enough for the work, got: Unable to allocat'
    >>> sentence(KeyError("a"))
    "not foreseen: 'a' (KeyError); physvae --debug COMMAND ... shows where it arose"
    """
    if isinstance(error, (typer.Abort, KeyboardInterrupt)):
        return "interrupted"
    described = getattr(error, "format_message", None)
    text = " ".join((described() if described else str(error)).split())
    if text and (described or isinstance(error, FORESEEN)):
        return text
    if _is_short_of_memory(error, text):
        return (
            f"memory: expected enough for the work, got: {text[:LONGEST] or 'too little'}; take a"
            " smaller --chunk, fewer --variables, fewer --workers or a smaller input"
        )
    if isinstance(error, OSError) and (text or error.strerror):
        return _of_the_system(error, text)
    what = f"{text[:LONGEST]} ({type(error).__name__})" if text else type(error).__name__
    return f"not foreseen: {what}; physvae --debug COMMAND ... shows where it arose"


def _is_short_of_memory(error: BaseException, text: str) -> bool:
    """Whether memory was refused: torch says so by a RuntimeError."""
    told = isinstance(error, RuntimeError) and any(sign in text for sign in _SHORT_OF_MEMORY)
    return isinstance(error, MemoryError) or told


def _of_the_system(error: OSError, text: str) -> str:
    """Return an error of the system without its number, the file first."""
    if error.filename is None or error.strerror is None or not text.startswith("[Errno"):
        return text
    return f"{error.filename}: {error.strerror}"
