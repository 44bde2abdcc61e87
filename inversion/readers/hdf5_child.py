"""Reads NetCDF and HDF5 files for `inversion.readers.probe`, in a process that may get lost.

Started as `python -I -S hdf5_child.py SECONDS FOLDER...`, where the folders hold the libraries. It
takes the name of a file a line, as JSON, and answers each with a line once the file is read. A
thread of C ends the process after so many seconds with one file, whatever the library is at.
"""

import faulthandler
import json
import os
import sys
from typing import Any

SMALL = 1 << 24
"""Bytes up to which a variable is read as a whole."""
WINDOW = 1 << 20
"""Numbers that are read of a larger one: at its beginning, in its middle, at its end."""


def serve(seconds: float) -> None:
    """Read one file after the other until there are no more names."""
    import netCDF4

    with open(os.devnull, "w") as nowhere:
        for line in sys.stdin:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            try:
                with netCDF4.Dataset(json.loads(line)) as file:
                    file.set_auto_maskandscale(False)
                    touch(file)
            except Exception:  # who asked meets it too, and says so
                pass
            faulthandler.cancel_dump_traceback_later()
            print("read", flush=True)


def touch(group: Any) -> None:
    """Read the attributes and the numbers of a group and of all below it."""
    attributes(group)
    for variable in group.variables.values():
        try:
            attributes(variable)
            for part in windows(variable):
                variable[part]
        except Exception:  # a variable that nobody may ask for
            continue
    for inner in group.groups.values():
        touch(inner)


def attributes(holder: Any) -> None:
    """Read the attributes of a group or a variable."""
    for name in holder.ncattrs():
        holder.getncattr(name)


def windows(variable: Any) -> list[tuple[slice, ...]]:
    """Return the parts of a variable that are read."""
    sides = list(variable.shape)
    if variable.size * getattr(variable.dtype, "itemsize", 8) <= SMALL:
        return [tuple(slice(0, side) for side in sides)]
    for axis in range(len(sides)):
        rest = 1
        for side in sides[axis + 1 :]:
            rest *= side
        sides[axis] = min(sides[axis], max(1, WINDOW // rest))
    spare = [whole - side for whole, side in zip(variable.shape, sides, strict=True)]
    return [
        tuple(
            slice(int(at * free), int(at * free) + side)
            for free, side in zip(spare, sides, strict=True)
        )
        for at in (0.0, 0.5, 1.0)
    ]


if __name__ == "__main__":
    sys.path[:0] = sys.argv[2:]
    serve(float(sys.argv[1]))
