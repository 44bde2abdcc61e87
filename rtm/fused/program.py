"""A function of canopies as expressions: what is computed, over which rows.

A value is a number per canopy, or a number per canopy and row i of something longer
(wavelengths, classes of leaf inclination, nodes of a quadrature). Operations beside arithmetic,
with tables of constants by row:

    row(k, r)        row r of the k-th input        array(k)         row i of the k-th input
    constant(x)      a number                       table(k)         row i of table k
    sum(a)           Σ over the rows of a
    at(a, k)         row j of a with j in row i of table k; a is computed once more
    from(a, k)       the same for an a that is kept; 0 where j is negative
"""

import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

DOMAIN = {"exp": (-86.0, 88.0), "expm1": (-40.0, 88.0)}  # what is outside goes to its edge


class Untraceable(Exception):
    """The function does something for which there is no expression."""


class Node(NamedTuple):
    """An operation, its arguments (nodes by number), other settings, and its rows."""

    op: str
    args: tuple[int, ...]
    setting: tuple
    rows: int


_FOLDED: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": lambda a, b: a / b if b else math.nan,
    "max": max,
    "min": min,
}


class Program:
    """Expressions in an order in which every node stands behind its arguments.

    Attributes
    ----------
    nodes : list of Node
    tables : list of Tensor
        [row], float32 or int64.
    outputs : list of list of int
        Of each output its rows: one node for all of them, or a node for each.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tables: list[Tensor] = []
        self.outputs: list[list[int]] = []
        self._known: dict[Node, int] = {}

    def add(self, op: str, args: tuple[int, ...] = (), setting: tuple = (), rows: int = 1) -> int:
        """The number of a node, which is made where it is new."""
        node = Node(op, args, setting, rows)
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def constant(self, value: float | int) -> int:
        """A number."""
        return self.add("constant", (), (float(value),))

    def by_row(self, values: Tensor) -> int:
        """Constants by row [row]."""
        return self.add("table", (), (self._table(values.float()),), len(values))

    def picked(self, op: str, a: int, rows: Tensor) -> int:
        """`at` or `from`: the given rows of a."""
        return self.add(op, (a,), (self._table(rows.long()),), len(rows))

    def _table(self, values: Tensor) -> int:
        for k, other in enumerate(self.tables):
            if other.dtype == values.dtype and torch.equal(other, values):
                return k
        self.tables.append(values)
        return len(self.tables) - 1

    def value(self, a: int) -> float | None:
        """The number for which a node stands, where it is a constant."""
        node = self.nodes[a]
        return node.setting[0] if node.op == "constant" else None

    def do(self, op: str, *args: int) -> int:
        """Arithmetic element by element, less the steps that change nothing."""
        simple = self._simpler(op, args)
        if simple is not None:
            return simple
        if op in DOMAIN:
            least, most = (self.constant(x) for x in DOMAIN[op])
            args = (self.do("max", self.do("min", args[0], most), least),)
        return self.add(op, args, (), max(self.nodes[a].rows for a in args))

    def _simpler(self, op: str, args: tuple[int, ...]) -> int | None:
        values = [self.value(a) for a in args]
        if op in _FOLDED and None not in values:
            return self.constant(_FOLDED[op](*values))
        if op == "mul" and 0.0 in values:
            return self.constant(0.0)
        if op == "mul" and 1.0 in values:
            return args[1 - values.index(1.0)]
        if op in ("add", "sub") and values[1] == 0.0:
            return args[0]
        if op == "add" and values[0] == 0.0:
            return args[1]
        if op == "div" and values[0] == 0.0:
            return args[0]
        if op == "div" and values[1]:
            return self.do("mul", args[0], self.constant(1.0 / values[1]))
        if op == "where" and args[1] == args[2]:
            return args[1]
        if op == "where" and values[0] is not None:
            return args[1] if values[0] else args[2]
        if op == "div" and self.nodes[args[0]].rows > 1 and self.nodes[args[1]].rows == 1:
            return self.do("mul", args[0], self.do("div", self.constant(1.0), args[1]))
        if op == "max" and values[1] is not None and self.bounds(args[0])[0] >= values[1]:
            return args[0]
        if op == "min" and values[1] is not None and self.bounds(args[0])[1] <= values[1]:
            return args[0]
        if op in ("max", "min") and values[1] is not None and self._chosen(args[0]):
            truth, a, b = self.nodes[args[0]].args
            return self.do("where", truth, self.do(op, a, args[1]), self.do(op, b, args[1]))
        return None

    def _chosen(self, a: int) -> bool:
        """Whether a node is a choice between constants."""
        node = self.nodes[a]
        return node.op == "where" and all(
            self.value(x) is not None or self._chosen(x) for x in node.args[1:]
        )

    def bounds(self, a: int) -> tuple[float, float]:
        """Between which numbers a node certainly lies, where it is one."""
        node = self.nodes[a]
        if node.op == "constant":
            return node.setting[0], node.setting[0]
        if node.op in ("min", "max"):
            choose = min if node.op == "min" else max
            low, high = zip(*(self.bounds(x) for x in node.args), strict=True)
            return choose(low), choose(high)
        if node.op == "sub" and self.value(node.args[0]) == 0.0:
            low, high = self.bounds(node.args[1])
            return -high, -low
        return -math.inf, math.inf

    def reached(self) -> list[list[frozenset[tuple[int, int]]]]:
        """Of each output and its rows, the rows (k, r) of inputs on which it depends."""
        found: list[frozenset[tuple[int, int]]] = []
        for node in self.nodes:
            own = [frozenset([node.setting])] if node.op == "row" else []
            found.append(frozenset().union(*own, *(found[x] for x in node.args)))
        return [[found[a] for a in output] for output in self.outputs]

    def truth(self, a: int) -> int | None:
        """The condition of a node that is 1 where it is true, else 0."""
        node = self.nodes[a]
        if node.op == "where" and [self.value(x) for x in node.args[1:]] == [1.0, 0.0]:
            return node.args[0]
        return None
