"""Where blocks are computed: threads of this process, local processes, or a cluster at hand.

With workers only the path of the model travels; each process loads it once (see `kernel`).
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import xarray as xr

from inversion.writers.maps import Gather, one_by_one
from physvae.errors import RunError, UsageError

AHEAD = 2
"""Portions that are under way at once, so that no worker waits for the end of a portion."""
PATIENCE = 30.0
"""Seconds to wait for a scheduler."""
BETWEEN = 1.0
"""Seconds between two looks at the workers."""


@contextmanager
def computing(workers: int | None = None, scheduler: str | None = None) -> Iterator[Gather]:
    """Lend a function that computes the portions of a map in their order.

    Parameters
    ----------
    workers
        Processes to start on this machine, one thread each; None or 0 stays in this process.
    scheduler
        Address of a Dask scheduler that runs already, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    UsageError
        Both are given, or no scheduler answers there.
    RunError
        Processes die again and again, or none starts.
    """
    if workers and scheduler:
        raise UsageError("--workers and --scheduler: expected one of them, got both")
    if not workers and not scheduler:
        yield one_by_one
        return
    with _local(workers) if workers else _remote(str(scheduler)) as (client, check):
        yield lambda parts: _ahead(client, parts, check)


@contextmanager
def _remote(scheduler: str) -> Iterator[tuple[Any, Callable[[], None]]]:
    from distributed import Client

    try:
        with Client(scheduler, timeout=PATIENCE, set_as_default=False) as client:
            yield client, lambda: None
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"--scheduler: expected a Dask scheduler at {scheduler}, found none: {error}"
        ) from error


@contextmanager
def _local(count: int) -> Iterator[tuple[Any, Callable[[], None]]]:
    """Lend a client of processes on this machine, and what looks after them."""
    from distributed import Client, LocalCluster

    from inversion.workers import running

    options: dict[str, Any] = {
        "n_workers": 0, "processes": False, "host": "127.0.0.1", "protocol": "tcp",
        "dashboard_address": "127.0.0.1:0", "silence_logs": logging.ERROR,
    }  # fmt: skip
    made: Any = LocalCluster(**options)  # its annotations are those of an asynchronous one
    with (
        made as cluster,
        Client(cluster, set_as_default=False) as client,
        running(cluster.scheduler_address, count) as workers,
    ):
        yield client, lambda: workers.check(len(cluster.scheduler.workers))


def _ahead(
    client: Any, parts: Iterable[xr.Dataset], check: Callable[[], None]
) -> Iterator[xr.Dataset]:
    """Compute parts on the cluster, some at once, and hand them out in their order."""
    waiting: deque[Any] = deque()
    for part in parts:
        waiting.append(client.compute(part))
        if len(waiting) > AHEAD:
            yield _result(waiting.popleft(), check)
    while waiting:
        yield _result(waiting.popleft(), check)


def _result(future: Any, check: Callable[[], None]) -> xr.Dataset:
    """Wait for a part while its workers are looked after."""
    from distributed.scheduler import KilledWorker

    ended = Event()
    future.add_done_callback(lambda _: ended.set())
    while not ended.wait(BETWEEN):
        check()
    try:
        return future.result()
    except KilledWorker as error:
        raise RunError(
            f"workers: expected processes that go on, {error.allowed_failures + 1} died at the"
            " same block; where memory is short, take fewer --workers or a smaller --chunk"
        ) from error
