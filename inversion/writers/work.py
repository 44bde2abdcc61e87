"""What a map has got so far, on disk beside its output, so that a stopped run can go on.

    .OUT.tif.work/   identity.json   what the run is of: inputs, model, options, layout
                     rows.bin        the map's layers, one after the other, row by row
                     done-1-of-1     a line for every portion that is on disk, with its checksum
                     lock-1-of-1     held while a run is at it; the system frees it if it is killed

A portion is flushed to disk before its line is written, so a line never speaks of what is not
there; the next portion is computed meanwhile. Runs of one map on several machines (shards) share
the folder, each with files of its own.
"""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

from inversion.identity import difference
from inversion.writers.layout import portions
from physvae.errors import UsageError

LOG = logging.getLogger(__name__)


class Shard(NamedTuple):
    """The part of the work that one of several runs does: the `index`-th of `count`, from 1."""

    index: int = 1
    count: int = 1

    @property
    def label(self) -> str:
        """Text for file names."""
        return f"{self.index}-of-{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``2/8``.

        Raises
        ------
        UsageError
            Anything else.
        """
        parts = text.split("/")
        if len(parts) == 2 and all(part.strip().isdecimal() for part in parts):
            index, count = (int(part) for part in parts)
            if 1 <= index <= count:
                return cls(index, count)
        raise UsageError(f"--shard: expected I/N with 1 <= I <= N, such as 2/8, got {text!r}")

    def share(self, items: Sequence) -> list:
        """Every `count`-th of the items."""
        return list(items[self.index - 1 :: self.count])


class Work:
    """The working folder of one map; a context that holds the lock.

    Parameters
    ----------
    output
        The map.
    template
        The lazy map, with y and x, cut in blocks.
    identity
        What the run is of; a run goes on only where it is the same.
    resume
        Whether what is there is used; a shard always uses it.

    Raises
    ------
    UsageError
        Another run is at the same output, or the folder is of another run.
    """

    def __init__(
        self,
        output: Path,
        template: xr.Dataset,
        *,
        identity: dict,
        resume: bool = False,
        shard: Shard | None = None,
    ) -> None:
        self.shard = shard or Shard()
        self.folder = output.with_name(f".{output.name}.work")
        self._output, self._resume = output, resume or self.shard.count > 1
        self._names = [str(name) for name in template.data_vars]
        self._types = [template[name].dtype for name in self._names]
        self._width = template.sizes["x"]
        self._spans = portions(template)
        sizes = [kind.itemsize * template.sizes["y"] * self._width for kind in self._types]
        self._begins = list(accumulate(sizes[:-1], initial=0))
        layout = {"names": self._names, "width": self._width, "spans": self._spans}
        text = json.dumps({**identity, "layout": layout, "shards": self.shard.count}, default=str)
        self._identity = json.loads(text)
        self._done: dict[int, int] = {}
        self._lock = FileLock(self.folder / f"lock-{self.shard.label}")
        self._keeper = ThreadPoolExecutor(1)
        self._kept: Future | None = None

    def __enter__(self) -> "Work":
        while True:  # a run that has just finished may remove the folder between the two steps
            self.folder.mkdir(exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise UsageError(
                    f"output: {self._output} is being written by another run; wait for it"
                ) from None
            except FileNotFoundError:
                continue
            if Path(self._lock.lock_file).exists():
                break
            self._lock.release(force=True)
        self._prepare()
        return self

    def __exit__(self, *raised: object) -> None:
        self._keeper.shutdown()
        self._lock.release(force=True)

    def begun(self) -> str:
        """Return the provenance that the first run left, or an empty text."""
        path = self.folder / "provenance.json"
        return path.read_text("utf-8") if path.exists() else ""

    def remember(self, provenance: str) -> None:
        """Keep the provenance of the first run, which the finished map will bear."""
        if not self.begun():
            _write(self.folder / "provenance.json", provenance)

    def pending(self) -> list[tuple[int, int]]:
        """Return this shard's portions that are not on disk yet."""
        return [span for span in self.shard.share(self._spans) if span[0] not in self._done]

    def finished(self) -> list[tuple[int, int]]:
        """Return this shard's portions that are on disk."""
        return [span for span in self.shard.share(self._spans) if span[0] in self._done]

    def complete(self) -> bool:
        """Whether the portions of all shards are on disk."""
        self._wait()
        return len(self._journal(self.folder.glob("done-*"))) == len(self._spans)

    @property
    def rows(self) -> Path:
        """The file of all layers."""
        return self.folder / "rows.bin"

    def begin(self, name: str) -> int:
        """Return the place [byte] of a layer's first pixel in the file."""
        return self._begins[self._names.index(name)]

    def put(self, top: int, rows: xr.Dataset) -> None:
        """Write a portion; its line follows when it is on disk, which is not waited for."""
        self._wait()
        check = 0
        handle = os.open(self.rows, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            for name, kind, begin in zip(self._names, self._types, self._begins, strict=True):
                values = np.ascontiguousarray(rows[name].to_numpy(), dtype=kind)
                at = begin + top * self._width * kind.itemsize
                _write_all(handle, values.data.cast("B"), at)
                check = zlib.crc32(values.data, check)
        except BaseException:
            os.close(handle)
            raise
        self._kept = self._keeper.submit(self._keep, handle, top, check)

    def read(self, most: int | None = None) -> Iterator[tuple[int, xr.Dataset]]:
        """Read from top to bottom, a portion or at `most` so many rows at a time.

        Each part comes with the number of its first row.
        """
        for top, bottom in self._spans:
            for row in range(top, bottom, most or bottom - top):
                span = row, min(bottom, row + (most or bottom))
                layers = zip(self._names, self._layers(span), strict=True)
                shape = (span[1] - span[0], self._width)
                yield row, xr.Dataset({k: (("y", "x"), v.reshape(shape)) for k, v in layers})

    def remove(self) -> None:
        """Remove the folder."""
        self._keeper.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Take up what is there, or begin anew; what is broken is begun anew."""
        former = self._former() if self._resume else None
        if former and former != self._identity:
            raise UsageError(
                f"output: {self.folder} was begun with other inputs, options or model"
                f" ({difference(former, self._identity)} differs) and is kept; remove it, or leave"
                " --resume out to begin anew"
            )
        if former is None:
            self._discard()
        if not former:
            _write(self.folder / "identity.json", json.dumps(self._identity))
        journal = self.folder / f"done-{self.shard.label}"
        self._done = self._checked(self._journal([journal]))
        if journal.exists():  # without a line that a kill cut off
            _write(journal, "".join(f"{top} {check}\n" for top, check in self._done.items()))

    def _former(self) -> dict | None:
        """Return the identity that a former run left, empty where none began, None if damaged."""
        path, rows = self.folder / "identity.json", self.rows.exists()  # rows come second
        if not path.exists() and not rows:
            return {}
        try:
            former = json.loads(path.read_text("utf-8"))
            whole = isinstance(former, dict) and isinstance(json.loads(self.begun() or "{}"), dict)
            for journal in self.folder.glob("done-*"):
                _lines(journal)
        except (OSError, ValueError, RecursionError):
            former, whole = None, False
        if not whole:
            LOG.warning("%s: what a former run left is damaged; begun anew", self._output)
        return former if whole else None

    def _discard(self) -> None:
        """Remove what a former run left; refuse where one is still at it."""
        own = Path(self._lock.lock_file)
        for other in self.folder.glob("lock-*"):
            if other != own:
                try:
                    FileLock(other).acquire(timeout=0).lock.release()
                except Timeout:
                    raise UsageError(
                        f"output: {self._output} is being written by another run; wait for it"
                    ) from None
        for file in self.folder.iterdir():
            if file.is_dir():
                shutil.rmtree(file)
            elif file != own:
                file.unlink()

    def _journal(self, paths: Iterable[Path]) -> dict[int, int]:
        """Read the lines of portions; a number that no portion begins with does not count."""
        tops, done = {top for top, _ in self._spans}, {}
        for path in paths:
            with suppress(OSError, ValueError):  # none yet, or damaged: its portions are missing
                done |= {top: check for top, check in _lines(path) if top in tops}
        return done

    def _checked(self, done: dict[int, int]) -> dict[int, int]:
        """Keep the portions whose numbers are those that were written."""
        if not self.rows.is_file():
            return {}
        spans = dict(self._spans)
        return {top: check for top, check in done.items() if self._sum((top, spans[top])) == check}

    def _sum(self, span: tuple[int, int]) -> int:
        check = 0
        for values in self._layers(span):
            check = zlib.crc32(values.data, check)
        return check

    def _layers(self, span: tuple[int, int]) -> Iterator[np.ndarray]:
        """Read the layers of a portion, one after the other."""
        for kind, begin in zip(self._types, self._begins, strict=True):
            first, last = (row * self._width for row in span)
            yield np.fromfile(self.rows, kind, last - first, offset=begin + first * kind.itemsize)

    def _keep(self, handle: int, top: int, check: int) -> None:
        """Flush a portion to the disk, then write its line."""
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        with (self.folder / f"done-{self.shard.label}").open("a") as journal:
            journal.write(f"{top} {check}\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._done[top] = check

    def _wait(self) -> None:
        """Wait until the last portion is on disk; its error is raised here."""
        if self._kept is not None:
            self._kept.result()


def _lines(path: Path) -> list[tuple[int, int]]:
    """Read a journal: a portion's first row and its checksum a line, but one that a kill cut off.

    Raises
    ------
    ValueError
        Something else than that.
    """
    whole = path.read_text("utf-8").rpartition("\n")[0].splitlines()
    pairs = [line.split(" ") for line in whole]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError(path.name)
    return [(int(top), int(check)) for top, check in pairs]


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _write_all(handle: int, rest: memoryview, offset: int) -> None:
    while rest:
        written = os.pwrite(handle, rest, offset)
        rest, offset = rest[written:], offset + written
