"""How far a map is: pixels, pixels a second, time left, on stderr where somebody watches."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from physvae.io.messages import progress_bar, timed


class Bar:
    """Pixels done: told by the model batch by batch, set right after every portion."""

    def __init__(self, shown: Progress, total: int) -> None:
        self._shown, self._done = shown, 0
        self._task = shown.add_task("retrieve", total=total, speed="")

    def advance(self, pixels: int) -> None:
        """Count pixels that the model has estimated."""
        self._shown.advance(self._task, pixels)
        speed = self._shown.tasks[0].speed
        self._shown.update(self._task, speed=f"{speed:,.0f} pixels/s" if speed else "")

    def reached(self, pixels: int) -> None:
        """Count a portion that is written, its pixels without data included."""
        self._done += pixels
        self._shown.update(self._task, completed=self._done)


class Watched:
    """A model that tells how many pixels it was given; all else is the model's.

    Attributes
    ----------
    inner
        The model.
    """

    def __init__(self, model: Any, advance: Callable[[int], None]) -> None:
        self.inner, self._advance = model, advance
        self._stopped = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if self._stopped.is_set():
            raise InterruptedError("interrupted")
        return getattr(self.inner, name)

    def around(self, model: Any) -> "Watched":
        """The same watch on another model; who stops one stops both."""
        other = Watched(model, self._advance)
        other._stopped = self._stopped
        return other

    def stop(self) -> None:
        """End a thread when it next asks for anything of the model."""
        self._stopped.set()

    def __dask_tokenize__(self) -> str:
        return uuid.uuid4().hex

    def estimate(
        self, reflectance: Any, angles: Any, variables: tuple[str, ...], **options: Any
    ) -> Any:
        """Estimate as the model does, then tell."""
        return self._told("estimate", reflectance, angles, variables, **options)

    def summarise(self, posterior: Any, reflectance: Any, *rest: Any) -> Any:
        """Summarise as the model does, which ends every other method, then tell."""
        return self._told("summarise", posterior, reflectance, *rest)

    def _told(self, name: str, *arguments: Any, **options: Any) -> Any:
        result = self.__getattr__(name)(*arguments, **options)
        self._advance(len(result.misfit))
        return result


@contextmanager
def progress(total: int) -> Iterator[Bar]:
    """Show a bar over so many pixels while the block runs."""
    columns = (
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} pixels"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with timed("estimating and writing"), progress_bar(*columns) as shown:
        yield Bar(shown, total)
