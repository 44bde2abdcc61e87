"""A damaged HDF5 file may keep its library busy for ever, or end the process: a child reads first.

One child serves all files of a process, so that a healthy one costs some milliseconds. The library
cannot be interrupted, by no signal either; the child can be lost.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from physvae.errors import InputError

SECONDS = 20.0
"""Time that a file may take; reading what the child reads takes a healthy one well under one."""
_turn = threading.Lock()
_children: dict[int, subprocess.Popen] = {}


def probe(path: str) -> None:
    """Let a child process read a file before this one does.

    Raises
    ------
    InputError
        The library did not come back within `SECONDS`, or ended the child.
    """
    with _turn:
        child = _child()
        answer = ""
        try:
            with suppress(BrokenPipeError):
                answer = _asked(child, path)
        finally:
            if not answer:
                close()
    if not answer:
        raise InputError(
            f"{path}: expected a readable NetCDF or HDF5 file, found a damaged one, which its"
            f" library does not finish reading in {SECONDS:g} s"
        )


def _asked(child: subprocess.Popen, path: str) -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(path) + "\n")
    child.stdin.flush()
    return child.stdout.readline()


def _child() -> subprocess.Popen:
    """Return this process's child; a fork has none yet."""
    child = _children.get(os.getpid())
    if child is None or child.poll() is not None:
        script = str(Path(__file__).with_name("hdf5_child.py"))
        folders = [folder for folder in sys.path if folder and os.path.isdir(folder)]
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(SECONDS), *folders],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        _children[os.getpid()] = child
    return child


@atexit.register
def close() -> None:
    """End the child of this process."""
    child = _children.pop(os.getpid(), None)
    if child is not None:
        child.kill()
        child.communicate()
