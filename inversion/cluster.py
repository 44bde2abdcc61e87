"""Where blocks are computed: threads of this process, local processes, or a cluster at hand.

With workers only the path of the model travels; each process loads it once (see `kernel`).
"""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import xarray as xr

from inversion.writers.maps import Gather, one_by_one
from physvae.errors import UsageError

AHEAD = 2
"""Portions that are under way at once, so that no worker waits for the end of a portion."""
PATIENCE = 30.0
"""Seconds to wait for a scheduler."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


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
    """
    if workers and scheduler:
        raise UsageError("--workers and --scheduler: expected one of them, got both")
    if not workers and not scheduler:
        yield one_by_one
        return
    with _client(workers, scheduler) as client:
        yield lambda parts: _ahead(client, parts)


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            with Client(scheduler, timeout=PATIENCE, set_as_default=False) as client:
                yield client
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"--scheduler: expected a Dask scheduler at {scheduler}, found none: {error}"
            ) from error
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    options: dict[str, Any] = {
        "n_workers": workers, "threads_per_worker": 1, "processes": True,
        "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.ERROR,
    }  # fmt: skip
    os.environ.update(ONE_THREAD)  # what the processes inherit
    try:
        with (
            LocalCluster(**options) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _ahead(client: Any, parts: Iterable[xr.Dataset]) -> Iterator[xr.Dataset]:
    """Compute parts on the cluster, some at once, and hand them out in their order."""
    waiting: deque[Any] = deque()
    for part in parts:
        waiting.append(client.compute(part))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
