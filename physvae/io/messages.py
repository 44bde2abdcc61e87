r"""What reaches a terminal: how much is told, and that texts of files and names cannot steer it.

Of the errors and the results that a command exists to print nothing is ever left out. The rest
has three levels, which are those of the packages' loggers:

    -q   nothing
         notes (warnings), progress, and what a written file came to
    -v   besides, details: where a model and numbers come from, versions, the time of stages

A control character that stands in a name, a cell or a library's message is shown as its code
(``\x1b``). Bars and tables move the cursor on purpose; rich draws them on the stream itself, and
moves what is told meanwhile above them.
"""

import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from physvae.errors import UsageError

PACKAGES = ("physvae", "inversion", "validation")
"""Packages whose loggers tell what a command does."""
QUIET, VERBOSE = logging.ERROR, logging.INFO
LOG = logging.getLogger("physvae")

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


def plain(text: str) -> str:
    r"""The text with its control characters written out; line ends and tabs stay.

    >>> plain("a\x1b[31mred\x07")
    'a\\x1b[31mred\\x07'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class PlainStream:
    """A stream of text on which control characters are written out.

    rich draws on `rich_proxied_file`, which is the stream itself.
    """

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write the text; returns its length."""
        self.rich_proxied_file.write(plain(text).replace("\r\n", "\n"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


class StderrHandler(logging.Handler):
    """Writes on what stderr is at that moment: that which a bar lends while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        sys.stderr.write(self.format(record) + "\n")


class PlainFormatter(logging.Formatter):
    """A line for each note or detail, control characters and line ends written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a note begins with its kind."""
        kind = "note: " if record.levelno >= logging.WARNING else ""
        return kind + plain(" ".join(super().format(record).splitlines()))


@contextmanager
def plain_streams() -> Iterator[None]:
    """Write out the control characters of whatever is printed meanwhile."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = PlainStream(out), PlainStream(err)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


@contextmanager
def told_on_stderr() -> Iterator[None]:
    """Show what the packages tell while they work; a level set meanwhile ends with the block."""
    handler = StderrHandler()
    handler.setFormatter(PlainFormatter())
    before = {name: logging.getLogger(name).level for name in PACKAGES}
    for name in PACKAGES:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.NOTSET)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)


def set_level(level: int) -> None:
    """Tell as much as `QUIET` or `VERBOSE` says, the warnings of libraries included.

    Raises
    ------
    UsageError
        The other level was set before.
    """
    if LOG.level not in (logging.NOTSET, level):
        raise UsageError("--quiet and --verbose: expected one of them, got both")
    for name in PACKAGES:
        logging.getLogger(name).setLevel(level)
    if level == QUIET:
        warnings.simplefilter("ignore")


def is_quiet() -> bool:
    """Whether only errors and results are shown."""
    return not LOG.isEnabledFor(logging.WARNING)


def say(text: str, stream: Any = None) -> None:
    """Print on stderr, or the given stream, unless only errors and results are shown."""
    if not is_quiet():
        print(text, file=stream or sys.stderr)


@contextmanager
def progress_bar(*columns: Any, wanted: bool = True, transient: bool = False) -> Iterator[Any]:
    """Draw a `rich.progress.Progress` on stderr where that is a terminal, unless -q is given."""
    from rich.console import Console
    from rich.progress import Progress

    # Only the stream itself moves a cursor; rich unwraps one wrapper, and its own comes on top.
    console = Console(file=getattr(sys.stderr, "rich_proxied_file", sys.stderr))
    hidden = not (wanted and console.is_terminal) or is_quiet()
    bar = Progress(*columns, console=console, transient=transient, disable=hidden)
    with bar, plain_streams():
        yield bar


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell as a detail how long a stage took."""
    start = time.perf_counter()
    yield
    LOG.info("%s: %.2f s", what, time.perf_counter() - start)
