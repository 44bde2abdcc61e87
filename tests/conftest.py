"""Fixtures shared by all tests."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

collect_ignore = ["references"]  # scripts that made data, to be run by hand


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of reference data: PHYSVAE_DATA, else ../shared/data; skips where absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("PHYSVAE_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found: expected the folder {folder}")
    return folder


@pytest.fixture
def killed(monkeypatch) -> Callable[[Callable], None]:
    """Do something in a process that is killed once it has written all and renamed nothing.

    The action is given what it may call to be killed earlier.
    """

    def kill(action: Callable) -> None:
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                stop = partial(_stop, told)
                monkeypatch.setattr("physvae.io.files._flush", stop)
                action(stop)
            finally:
                os._exit(1)
        os.close(told)
        with os.fdopen(ready, "rb") as end:
            assert end.read(1) == b"!"  # empty where the action has failed
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    return kill


def _stop(told: int, *_: object) -> None:
    os.write(told, b"!")
    signal.pause()
