"""How a map is cut: blocks of the lazy map become blocks of the file, rows of blocks portions."""

from itertools import pairwise

import numpy as np
import xarray as xr

SIDE = 512
"""Side of a block [pixel] where the map is not lazy."""


def block_side(template: xr.Dataset, axis: str) -> int:
    """Return the side of the file's blocks along an axis."""
    chunks = template["quality"].chunksizes.get(axis)
    return int(chunks[0]) if chunks else min(SIDE, template.sizes[axis])


def portions(template: xr.Dataset) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of every portion, a row of blocks each."""
    length = template.sizes["y"]
    chunks = template["quality"].chunksizes.get("y") or (SIDE,) * -(-length // SIDE)
    return list(pairwise(np.minimum(np.cumsum((0, *chunks)), length).tolist()))
