"""From a function written in torch to a Program, operation by operation.

The function is traced by torch.fx with a batch of `TRACED` canopies, a length that nothing else
has. What does not depend on the inputs is computed on the spot and becomes a table or a number.
The axis of the canopies may stand first or last: [row, canopy] and [canopy, row] are one thing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from rtm.fused.operations import BOOLEAN, OPERATIONS
from rtm.fused.program import Program, Untraceable
from rtm.fused.tensors import One, Rows, Traced

TRACED = 10007
_FILLS = {"zeros": 0.0, "ones": 1.0}


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
    examples = [torch.empty(n, TRACED) for n in (*rows, *arrays)]
    fake: Any = {"tracing_mode": "fake", "_allow_non_fake_inputs": True}
    whole = make_fx(lambda *x: function(*x), **fake)(*examples)  # with its gradients
    pure = torch.func.functionalize(whole, remove="mutations_and_views")
    graph = make_fx(pure, **fake)(*examples)
    graph.graph.eliminate_dead_code()
    return Lowering(graph, len(rows)).program


class Lowering:
    """One walk along a trace.

    Attributes
    ----------
    program : Program
    rows_of_first : int
        Rows of the first argument of the operation at hand.
    rows_of_parts : list of int
        Rows of each tensor in it, where it is a list.
    """

    def __init__(self, graph: fx.GraphModule, few: int) -> None:
        self.program = Program()
        self.rows_of_first, self.rows_of_parts = 1, []
        self._shape: tuple[int, ...] = ()
        found: dict[fx.Node, Any] = {}
        inputs = 0
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                found[node] = self._input(inputs, node.meta["val"].shape[0], inputs < few)
                inputs += 1
            elif node.op == "get_attr":
                found[node] = getattr(graph, str(node.target)).detach()
            elif node.op == "call_function":
                found[node] = self._call(node, found)
            elif node.op == "output":
                self.program.outputs = [list(self.nodes(found[n])) for n in node.args[0]]

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
        full = x.reshape((1,) * (len(self._shape) - x.ndim) + tuple(x.shape))
        for axis, length in enumerate(full.shape):
            if length == TRACED:
                full = full.narrow(axis, 0, 1)
        return full.flatten()

    def _input(self, k: int, n: int, few: bool) -> Traced:
        if few:
            return Rows(tuple(self.program.add("row", (), (k, r)) for r in range(n)))
        return One(self.program.add("array", (), (k,), n))

    def _call(self, node: fx.Node, found: dict[fx.Node, Any]):
        args: Any = map_arg(node.args, lambda n: found[n])
        kwargs: Any = map_arg(dict(node.kwargs), lambda n: found[n])
        target: Any = node.target
        name = target.__name__.partition(".")[0].removesuffix("_copy")
        name = "_to_copy" if name == "_to" else name
        if name == "getitem":
            return args[0][args[1]]
        if name in _FILLS and TRACED in args[0]:
            return One(self.program.constant(_FILLS[name]))
        if not any(isinstance(x, One | Rows) for x in _leaves(args)):
            return target(*args, **kwargs)
        if name not in OPERATIONS:
            raise Untraceable(f"no expression for {target}")
        self._shape = tuple(getattr(node.meta.get("val"), "shape", ()))
        self.rows_of_first = _rows(node.args[0])
        self.rows_of_parts = [_rows(x) for x in _leaves(node.args[:1])]
        return OPERATIONS[name](self, *args, **kwargs)


def _single(x):
    """A lone row as what broadcasts against any number of rows."""
    return One(x.nodes[0]) if isinstance(x, Rows) and len(x.nodes) == 1 else x


def _leaves(args):
    for x in args:
        if isinstance(x, list | tuple) and not isinstance(x, One | Rows):
            yield from _leaves(x)
        else:
            yield x


def _rows(argument) -> int:
    value = getattr(argument, "meta", {}).get("val")
    shape = getattr(value, "shape", ())
    return max((n for n in shape if n != TRACED), default=1)
