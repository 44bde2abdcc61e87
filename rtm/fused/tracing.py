"""From a function written in torch to a Program, operation by operation.

The function is called with stand-ins of tensors, of a batch of `TRACED` canopies, a length that
nothing else has. Every operation of torch on a stand-in, also those of a gradient, becomes nodes
of the Program at once. What does not depend on the inputs is computed on the spot and becomes a
table or a number. The axis of the canopies may stand first or last: [row, canopy] and
[canopy, row] are one thing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from rtm.fused.operations import BOOLEAN, OPERATIONS
from rtm.fused.program import Program, Untraceable
from rtm.fused.tensors import One, Rows, Traced

TRACED = 10007


def trace(
    function: Callable[..., Sequence[Tensor]], *, rows: Sequence[int], arrays: Sequence[int]
) -> Program:
    """The expressions of a function of float32 tensors.

    Parameters
    ----------
    function : callable
        Of tensors [row, canopy], first those of few rows, then those of many; gives tensors
        [row, canopy] or [canopy].
    rows, arrays : sequence of int
        How many rows each of its arguments has. An argument of few rows is taken apart.

    Raises
    ------
    Untraceable
    """
    low = Lowering()
    inputs = [
        _StandIn((n, TRACED), low, low.input(k, n, k < len(rows)))
        for k, n in enumerate((*rows, *arrays))
    ]
    outputs = function(*inputs)
    low.program.outputs = [list(low.nodes(_traced(low, x))) for x in outputs]
    return low.program


class _StandIn(Tensor):
    """A tensor without numbers that knows its nodes; torch hands it every operation on it."""

    low: "Lowering"
    traced: Traced

    @staticmethod
    def __new__(cls, shape: Sequence[int], low: "Lowering", traced: Traced) -> "_StandIn":
        dtype = torch.bool if low.is_boolean(traced) else torch.float32
        made = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype)  # pyright: ignore
        made.low, made.traced = low, traced
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None) -> Any:
        """The operation's result, in stand-ins."""
        kwargs, name = kwargs or {}, func.__name__.partition(".")[0]
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        low = next(x.low for x in tensors if isinstance(x, _StandIn))
        shapes = _shapes(func, tensors, args, kwargs)
        found = low.call(name.removesuffix("_"), shapes, args, kwargs)
        if name.endswith("_"):
            if not isinstance(args[0], _StandIn):
                raise Untraceable(f"{func} of a constant")
            args[0].traced = found
            return args[0]
        if isinstance(shapes, list):
            return [cls(shape, low, x) for shape, x in zip(shapes, found, strict=True)]
        return cls(shapes, low, found)


class Lowering:
    """One walk along a function.

    Attributes
    ----------
    program : Program
    rows_of_first : int
        Rows of the first argument of the operation at hand.
    rows_of_parts : list of int
        Rows of each tensor in it, where it is a list.
    """

    def __init__(self) -> None:
        self.program = Program()
        self.rows_of_first, self.rows_of_parts = 1, []
        self._axes: tuple[int, ...] = ()

    def input(self, k: int, n: int, few: bool) -> Traced:
        """The k-th argument, of n rows."""
        if few:
            return Rows(tuple(self.program.add("row", (), (k, r)) for r in range(n)))
        return One(self.program.add("array", (), (k,), n))

    def call(self, name: str, shape: Any, args: tuple, kwargs: dict) -> Any:
        """An operation of torch, by its name, the shape of its result, and its arguments."""
        name = name.removesuffix("_copy") if name != "_to_copy" else name
        if name not in OPERATIONS:
            raise Untraceable(f"no expression for {name}")
        self._axes = shape
        self.rows_of_first = _rows(args[0])
        self.rows_of_parts = [_rows(x) for x in tree_leaves(args[:1])]
        found, options = tree_map_only(_StandIn, lambda x: x.traced, (args, kwargs))
        return OPERATIONS[name](self, *found, **options)

    def nodes(self, x) -> tuple[int, ...]:
        """The nodes of a tensor."""
        return x.nodes if isinstance(x, Rows) else (x.node,)

    def is_boolean(self, x) -> bool:
        """Whether a tensor holds truths."""
        return self.program.nodes[self.nodes(x)[0]].op in BOOLEAN

    def do(self, op: str, *args) -> Traced:
        """Arithmetic, on each row where one of the arguments comes in rows."""
        length = {len(x.nodes) for x in args if isinstance(x, Rows)}
        if len(length) > 1:
            args = [_single(x) for x in args]
            length.discard(1)
        if not length or any(self._has_rows(x) for x in args):
            return One(self.program.do(op, *(self.operand(x) for x in args)))
        if len(length) > 1:
            raise Untraceable("rows of different number")
        columns = [self._apart(x, *length) for x in args]
        return Rows(tuple(self.program.do(op, *row) for row in zip(*columns, strict=True)))

    def operand(self, x) -> int:
        """The node of an argument."""
        if isinstance(x, One):
            return x.node
        if isinstance(x, Rows):
            return self._together(x)
        if isinstance(x, int | float):
            return self.program.constant(x)
        values = self._by_row(x)
        if bool((values == values[0]).all()):
            return self.program.constant(values[0].item())
        return self.program.by_row(values)

    def _apart(self, x, n: int) -> tuple[int, ...]:
        """A node of an argument for each of n rows."""
        if isinstance(x, Rows):
            return x.nodes
        if isinstance(x, Tensor):
            values = self._by_row(x).expand(n)
            return tuple(self.program.constant(value) for value in values.tolist())
        return (self.operand(x),) * n

    def _has_rows(self, x) -> bool:
        return isinstance(x, One) and self.program.nodes[x.node].rows > 1

    def _together(self, x: Rows) -> int:
        """Rows of their own as one node."""
        total = self.program.constant(0.0)
        for row, unit in zip(x.nodes, torch.eye(len(x.nodes)), strict=True):
            if self.program.value(row) != 0.0:
                part = self.program.do("mul", row, self.program.by_row(unit))
                total = self.program.do("add", total, part)
        return total

    def _by_row(self, x: Tensor) -> Tensor:
        """A constant that broadcasts against the result, by row."""
        full = x.reshape((1,) * (len(self._axes) - x.ndim) + tuple(x.shape))
        for axis, length in enumerate(full.shape):
            if length == TRACED:
                full = full.narrow(axis, 0, 1)
        return full.flatten()


def _traced(low: Lowering, x: Tensor) -> Traced:
    """What a result is; a constant where it does not depend on the inputs."""
    return x.traced if isinstance(x, _StandIn) else One(low.operand(x))


def _shapes(func, tensors: list[Tensor], args: tuple, kwargs: dict) -> Any:
    """The shape of an operation's result, or of each."""
    if torch.Tag.pointwise in func.tags:
        return np.broadcast_shapes(*(x.shape for x in tensors))
    if func.overloadpacket in _SHAPES:
        return _SHAPES[func.overloadpacket](*args)
    nowhere = tree_map_only(torch.device, lambda _: torch.device("meta"), (args, kwargs))
    empty = tree_map_only(
        Tensor, lambda x: torch.empty(x.shape, dtype=x.dtype, device="meta"), nowhere
    )
    found = func(*empty[0], **empty[1])
    return found.shape if isinstance(found, Tensor) else [x.shape for x in found]


def _joined(join: Callable) -> Callable:
    """Shapes like those of a function of numpy that joins arrays along an axis."""

    def shape(parts: list[Tensor], axis: int = 0) -> tuple[int, ...]:
        none = [np.empty((0, *x.shape)) for x in parts]
        return join(none, axis + (axis >= 0)).shape[1:]

    return shape


_SHAPES = {  # for which torch would import a compiler, which takes seconds
    torch.ops.aten.cat: _joined(np.concatenate),
    torch.ops.aten.stack: _joined(np.stack),
    torch.ops.aten.mv: lambda matrix, vector: matrix.shape[:1],
}


def _single(x):
    """A lone row as what broadcasts against any number of rows."""
    return One(x.nodes[0]) if isinstance(x, Rows) and len(x.nodes) == 1 else x


def _rows(x) -> int:
    return max((n for n in getattr(x, "shape", ()) if n != TRACED), default=1)
