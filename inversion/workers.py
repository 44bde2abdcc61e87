"""Worker processes of a map: started here, replaced when one dies, ended at once.

Each is a Dask worker of one thread that joins a scheduler in this process. They are children of
this process in a group of their own, so that Ctrl-C reaches this process alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from physvae.errors import RunError

STARTS = 3
"""Times that a process is started in the place of one worker."""
JOINED = 120.0
"""Seconds within which the first worker joins."""
GRACE = 2.0
"""Seconds that the processes have to end by themselves after the last block."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


class Workers:
    """Processes that compute for a scheduler.

    Parameters
    ----------
    address
        Of the scheduler.
    count
        Processes to keep alive.
    folder
        For what they say and what they set aside.
    """

    def __init__(self, address: str, count: int, folder: Path) -> None:
        self._address, self._count, self._folder = address, count, folder
        self._left, self._joined = count * STARTS, False
        self._deadline = time.monotonic() + JOINED
        self._running: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the processes; they join the scheduler when they are ready."""
        for _ in range(self._count):
            self._running.append(self._start())

    def check(self, joined: int) -> None:
        """Replace processes that have died; `joined` is how many the scheduler knows.

        Raises
        ------
        RunError
            None has joined in time, or they die again and again; says why the last one did.
        """
        for place, child in enumerate(self._running):
            if child.poll() is not None:
                if not self._left:
                    raise RunError(f"--workers: expected processes that go on, {self._end(child)}")
                self._running[place] = self._start()
        self._joined |= joined > 0
        if not self._joined and time.monotonic() > self._deadline:
            raise RunError(f"--workers: expected a worker within {JOINED:g} s, none has started")

    def close(self, grace: float = 0.0) -> None:
        """End all processes, by force after a while [s]."""
        for child in self._running:
            child.terminate()
        end = time.monotonic() + grace
        for child in self._running:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, end - time.monotonic()))
            child.kill()
            child.wait()

    def _start(self) -> subprocess.Popen:
        self._left -= 1
        paths = [path for path in sys.path if path and os.path.exists(path)]
        command = [
            sys.executable, "-P", "-m", "distributed.cli.dask_worker", self._address, "--no-nanny",
            "--nthreads", "1", "--no-dashboard", "--death-timeout", "60",
            "--memory-limit", f"{1 / self._count:.4f}", "--local-directory", str(self._folder),
        ]  # fmt: skip
        with open(self._folder / "said.txt", "ab") as said:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )  # fmt: skip

    def _end(self, child: subprocess.Popen) -> str:
        """Say how a process ended, and the last that any of them said."""
        code = child.returncode
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        text = (self._folder / "said.txt").read_text("utf-8", "replace")
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")
        return f"one ended {how} and said: {' '.join(last.split())[:200]}"


@contextmanager
def running(address: str, count: int) -> Iterator[Workers]:
    """Lend worker processes; none is alive afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="physvae-"))
    try:
        workers = Workers(address, count, folder)
        try:
            workers.start()
            yield workers
        except BaseException:
            workers.close()
            raise
        workers.close(GRACE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
