r"""What reaches a terminal: texts of files and names cannot steer it.

A control character that stands in a name, a cell or a library's message is shown as its code
(``\x1b``). Bars and tables move the cursor on purpose; rich draws them on the stream itself.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


class PlainFormatter(logging.Formatter):
    """Notes of one line each, control characters and line ends written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The note."""
        return plain(" ".join(super().format(record).splitlines()))


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
def notes_on_stderr() -> Iterator[None]:
    """Show what the packages note while they work, a line each, on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("note: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("physvae", "inversion", "validation")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
