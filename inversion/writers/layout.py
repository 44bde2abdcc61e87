"""How a map is cut: blocks of the lazy map become blocks of the file, rows of blocks portions."""

from itertools import accumulate, pairwise

import xarray as xr

SIDE = 256
"""Side of a block [pixel] where the map is not lazy."""


def in_blocks(result: xr.Dataset) -> xr.Dataset:
    """Return the map with the axes y and x, cut in blocks."""
    template = result.transpose("y", "x")
    return template if template["quality"].chunks else template.chunk(y=SIDE, x=SIDE)


def block_side(template: xr.Dataset, axis: str) -> int:
    """Return the side of the file's blocks along an axis."""
    return int(template["quality"].chunksizes[axis][0])


def portions(template: xr.Dataset) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of every portion, a row of blocks each."""
    return list(pairwise(accumulate(template["quality"].chunksizes["y"], initial=0)))
