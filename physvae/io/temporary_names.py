"""Names of files under way: they tell whose they are, so that those of a dead process can go.

    .out-3f09c2d1_4711_88123_0.part.tif   will be out.tif; machine 3f09c2d1, process 4711, which
                                          began 88123 ticks after boot; its first such file

A process that is killed removes nothing, so the next one that writes the same name does. What a
living process or another machine writes stays; a process number that is given out again differs
by when its process began.
"""

import hashlib
import itertools
import os
import re
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

REMOVALS, PAUSE = 50, 0.05  # attempts to remove a folder, and seconds between them
_OWNER = r"(?P<machine>[0-9a-f]{8})_(?P<process>\d+)_(?P<began>\d+)_\d+"
_count = itertools.count()


def new_token() -> str:
    """Return what names this process, and no two files of it alike."""
    process = os.getpid()
    return f"{_machine()}_{process}_{_began(process) or 0}_{next(_count)}"


def temporary_name(final: Path, token: str) -> Path:
    """Return the name beside `final` under which it is written."""
    return final.with_name(f".{final.stem}-{token}.part{final.suffix}")


def stepped_aside(temporary: Path) -> Path:
    """Return the name of the old folder while the new one takes its place."""
    begin, part, end = temporary.name.rpartition(".part")
    return temporary.with_name(f"{begin}.old{part}{end}")


def final_name(temporary: Path) -> Path:
    """Return the name that a temporary file will bear.

    >>> final_name(Path(".out-3f09c2d1_4711_88123_0.part.tif")).name
    'out.tif'
    """
    stem, _, suffix = temporary.name.removeprefix(".").rpartition(".part")
    return temporary.with_name(stem.rpartition("-")[0] + suffix)


def remove_leftovers(final: Path) -> None:
    """Remove what dead processes of this machine left beside `final` on their way to it.

    A folder that had stepped aside for one that never came is put back.
    """
    left = re.compile(rf"\.{re.escape(final.stem)}-{_OWNER}(?P<old>\.old)?\.part.*")
    with suppress(OSError):  # no folder yet, or one that cannot be listed: writing will tell
        for name in sorted(os.listdir(final.parent)):
            match = left.fullmatch(name)
            if match is None or match["machine"] != _machine():
                continue
            if _is_dead(int(match["process"]), match["began"]):
                _clear(final.with_name(name), old=match["old"] is not None)


def remove(path: Path) -> None:
    """Remove a file, or a folder; Zarr's threads may still be writing into one that failed."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for _ in range(REMOVALS):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(PAUSE)
        if not path.exists():
            return


def _clear(leftover: Path, *, old: bool) -> None:
    with suppress(OSError):  # of another user
        if old and not (final := final_name(leftover)).exists():
            leftover.rename(final)
        else:
            remove(leftover)


def _machine() -> str:
    """Return a hash of what process numbers hold for: the host, on Linux also the container."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _is_dead(process: int, began: str) -> bool:
    """Whether the process that began then is gone; a zombie is."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # of another user; its beginning may be readable all the same
        pass
    now = _began(process)
    return now is not None and now != began


def _began(process: int) -> str | None:
    """When a process began [ticks since boot]; empty of a zombie, None where it is not told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *rest = fields.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]
