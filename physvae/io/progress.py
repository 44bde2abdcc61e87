"""How far a long computation is: stages with a name and a number of steps.

What computes takes a `Stage` and is told nothing about bars, terminals and files.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Done = Callable[[int], None]
"""Told how many more steps are through."""
Stage = Callable[[str, int], AbstractContextManager[Done]]
"""Opens a stage by its name and number of steps; lends what moves it on."""


def nothing(steps: int) -> None:
    """Tell nobody."""


@contextmanager
def silent(what: str, total: int) -> Iterator[Done]:
    """A stage that nobody is told of."""
    yield nothing
