"""How a traced tensor is held."""

from typing import NamedTuple


class One(NamedTuple):
    """A tensor [canopy] or [row, canopy] that is one node."""

    node: int


class Rows(NamedTuple):
    """A tensor [row, canopy] of few rows, each with a node of its own."""

    nodes: tuple[int, ...]


Traced = One | Rows
