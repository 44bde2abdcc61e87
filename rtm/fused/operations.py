"""What each operation of torch is in expressions.

`OPERATIONS` has a function per name of torch's; it gets the `Lowering` and the operation's
arguments, in which tensors that depend on the inputs are `One` or `Rows`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rtm.fused.program import Untraceable
from rtm.fused.tensors import One, Rows, Traced

BOOLEAN = ("gt", "lt", "ge", "le", "eq", "and", "not")


def _each(op: str, *order: int) -> Callable[..., Traced]:
    """Arithmetic of one name, with its arguments in another order where given."""

    def apply(low, *args) -> Traced:
        return low.do(op, *([args[i] for i in order] if order else args))

    return apply


def _add(low, a, b, alpha=1) -> Traced:
    return low.do("add", a, b if alpha == 1 else low.do("mul", b, alpha))


def _mul(low, a, b) -> Traced:
    """Also of truths: with another both, with a number that or 0."""
    truths = [isinstance(x, One | Rows) and low.is_boolean(x) for x in (a, b)]
    if all(truths):
        return low.do("and", a, b)
    if any(truths):
        a, b = (a, b) if truths[0] else (b, a)
        return low.do("where", a, b, 0.0)
    return low.do("mul", a, b)


def _sigmoid(low, x) -> Traced:
    return low.do("div", 1.0, low.do("add", 1.0, low.do("exp", low.do("mul", x, -1.0))))


def _sub(low, a, b, alpha=1) -> Traced:
    return low.do("sub", a, b if alpha == 1 else low.do("mul", b, alpha))


def _clamp(low, x, min=None, max=None) -> Traced:
    if min is not None:
        x = low.do("max", x, min)
    return x if max is None else low.do("min", x, max)


def _sign(low, x) -> Traced:
    below = low.do("where", low.do("lt", x, 0.0), -1.0, 0.0)
    return low.do("where", low.do("gt", x, 0.0), 1.0, below)


def _lerp(low, a, b, weight) -> Traced:
    truth = low.program.truth(weight.node) if isinstance(weight, One) else None
    if truth is not None:
        return low.do("where", One(truth), b, a)
    rest = low.do("sub", b, a)
    near_a = low.do("add", a, low.do("mul", weight, rest))
    near_b = low.do("sub", b, low.do("mul", rest, low.do("sub", 1.0, weight)))
    return low.do("where", low.do("lt", weight, 0.5), near_a, near_b)


def _pow(low, x, exponent) -> Traced:
    whole = int(exponent)
    if whole != exponent or abs(whole) > 8:
        return low.do("exp", low.do("mul", low.do("log", x), exponent))
    power = x
    for _ in range(abs(whole) - 1):
        power = low.do("mul", power, x)
    return power if whole > 0 else low.do("div", 1.0, power)


def _remainder(low, x, divisor) -> Traced:
    turns = low.do("floor", low.do("mul", x, 1.0 / divisor))
    return low.do("sub", x, low.do("mul", turns, divisor))


def _elu(low, x, alpha=1.0, scale=1.0, input_scale=1.0) -> Traced:
    down = low.do("mul", low.do("expm1", low.do("mul", x, input_scale)), alpha * scale)
    return low.do("where", low.do("gt", x, 0.0), low.do("mul", x, scale), down)


def _elu_backward(low, grad, alpha, scale, input_scale, is_result, x) -> Traced:
    slope = low.do("exp", low.do("mul", x, input_scale))
    factor = alpha * scale * input_scale
    if is_result:
        slope, factor = low.do("add", x, alpha * scale), input_scale
    down = low.do("mul", grad, low.do("mul", slope, factor))
    return low.do("where", low.do("gt", x, 0.0), low.do("mul", grad, scale), down)


def _tanh_backward(low, grad, t) -> Traced:
    return low.do("mul", grad, low.do("sub", 1.0, low.do("mul", t, t)))


def _threshold_backward(low, grad, x, threshold) -> Traced:
    return low.do("where", low.do("gt", x, threshold), grad, 0.0)


def _addcmul(low, x, a, b, value=1.0) -> Traced:
    return low.do("add", x, low.do("mul", low.do("mul", a, b), value))


def _addcdiv(low, x, a, b, value=1.0) -> Traced:
    return low.do("add", x, low.do("mul", low.do("div", a, b), value))


def _same(low, x, *_, dtype=None, **__) -> Traced:
    if dtype == torch.float32 and low.is_boolean(x):
        return low.do("where", x, 1.0, 0.0)
    return x


def _sum(low, x, dims, keepdim=False, **_) -> Traced:
    """Σ over all axes but that of the canopies; of truths their number."""
    if low.is_boolean(x):
        x = low.do("where", x, 1.0, 0.0)
    if isinstance(x, Rows):
        total = One(x.nodes[0])
        for node in x.nodes[1:]:
            total = low.do("add", total, One(node))
        return total
    length = low.rows_of_first
    if low.program.nodes[x.node].rows == 1:
        return low.do("mul", x, float(length))
    return One(low.program.add("sum", (x.node,)))


def _mean(low, x, dims, keepdim=False, **_) -> Traced:
    return low.do("mul", _sum(low, x, dims), 1.0 / low.rows_of_first)


def _mm(low, a, b) -> Traced:
    """Constants [n, k] times [k, canopy], or [canopy, k] times constants [k, n]."""
    if isinstance(b, Tensor):
        a, b = b.T, a
    if not isinstance(a, Tensor):
        raise Untraceable("a product without a constant")
    if isinstance(b, Rows):
        total = None
        for column, node in zip(a.T, b.nodes, strict=True):
            term = low.do("mul", One(low.program.by_row(column)), One(node))
            total = term if total is None else low.do("add", total, term)
        assert total is not None
        return total
    return Rows(tuple(_weighted(low, b, weights) for weights in a))


def _mv(low, a, b) -> Traced:
    """[canopy, k] times constants [k]."""
    return One(_weighted(low, a, b))


def _weighted(low, x: One, weights: Tensor) -> int:
    product = low.do("mul", x, One(low.program.by_row(weights)))
    return low.program.add("sum", (product.node,))


def _select(low, x, dim, index) -> Traced:
    return One(_apart(low, x)[index])


def _unbind(low, x, dim=0) -> list[One]:
    return [One(node) for node in _apart(low, x)]


def _apart(low, x) -> tuple[int, ...]:
    """A node for each row."""
    if isinstance(x, Rows):
        return x.nodes
    if low.program.nodes[x.node].rows == 1:
        return (x.node,) * low.rows_of_first
    rows = torch.arange(low.rows_of_first).unsqueeze(-1)
    return tuple(low.program.picked("from", x.node, row) for row in rows)


def _slice(low, x, dim=0, start=None, end=None, step=1) -> Traced:
    if isinstance(x, Rows):
        return Rows(x.nodes[start:end:step])
    rows = torch.arange(low.rows_of_first)[start:end:step]
    if len(rows) == low.rows_of_first:
        return x
    return One(low.program.picked("from", x.node, rows))


def _stack(low, tensors, dim=0) -> Rows:
    return Rows(tuple(low.operand(x) for x in tensors))


def _cat(low, tensors, dim=0) -> Traced:
    if all(isinstance(x, Rows) for x in tensors):
        return Rows(tuple(node for x in tensors for node in x.nodes))
    total, start, length = One(low.program.constant(0.0)), 0, sum(low.rows_of_parts)
    for x, rows in zip(tensors, low.rows_of_parts, strict=True):
        place = torch.full((length,), -1)
        place[start : start + rows] = torch.arange(rows)
        node = low.operand(x)
        if low.program.nodes[node].rows == 1:
            part = low.do("mul", One(node), One(low.program.by_row((place >= 0).float())))
        else:
            part = One(low.program.picked("from", node, place))
        total, start = low.do("add", total, part), start + rows
    return total


def _index_select(low, x, dim, index) -> Traced:
    if isinstance(x, Rows):
        return Rows(tuple(x.nodes[i] for i in index.tolist()))
    return One(low.program.picked("at", x.node, index))


def _index_add(low, x, dim, index, source, alpha=1) -> Traced:
    """Rows of a gradient put back where index_select took them."""
    if len(index.unique()) < len(index):
        raise Untraceable("a row picked twice")
    place = torch.full((low.rows_of_first,), -1)
    place[index] = torch.arange(len(index))
    return _add(low, x, One(low.program.picked("from", source.node, place)), alpha)


def _slice_backward(low, grad, sizes, dim, start, end, step) -> Traced:
    rows = torch.arange(sizes[dim])[start:end:step]
    if len(rows) == sizes[dim]:
        return grad
    place = torch.full((sizes[dim],), -1)
    place[rows] = torch.arange(len(rows))
    if isinstance(grad, Rows) or len(rows) == 1:
        zero, nodes = low.program.constant(0.0), low.nodes(grad)
        return Rows(tuple(zero if i < 0 else nodes[i] for i in place.tolist()))
    return One(low.program.picked("from", grad.node, place))


def _select_backward(low, grad, sizes, dim, index) -> Traced:
    if sizes[dim] == 1:
        return grad
    zero = low.program.constant(0.0)
    return Rows(tuple(grad.node if i == index else zero for i in range(sizes[dim])))


def _fill(value: float) -> Callable[..., One]:
    return lambda low, *_, **__: One(low.program.constant(value))


def _filled(low, x, value, *_, **__) -> One:
    return One(low.program.constant(float(value)))


OPERATIONS: dict[str, Callable] = {
    "mul": _mul, "div": _each("div"), "maximum": _each("max"), "minimum": _each("min"),
    "neg": lambda low, x: low.do("sub", 0.0, x), "rsub": lambda low, a, b: _sub(low, b, a),
    "reciprocal": lambda low, x: low.do("div", 1.0, x),
    "rsqrt": lambda low, x: low.do("div", 1.0, low.do("sqrt", x)),
    "tan": lambda low, x: low.do("div", low.do("sin", x), low.do("cos", x)),
    "relu": lambda low, x: low.do("max", x, 0.0),
    "deg2rad": lambda low, x: low.do("mul", x, math.pi / 180.0),
    **{name: _each(name) for name in (
        "abs", "sqrt", "exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "atan", "acos",
        "where", "gt", "lt", "ge", "le", "eq", "floor",
    )},
    "bitwise_and": _each("and"), "logical_and": _each("and"), "logical_not": _each("not"),
    "masked_fill": _each("where", 1, 2, 0),
    "add": _add, "sub": _sub, "clamp": _clamp, "sign": _sign, "sgn": _sign, "lerp": _lerp,
    "pow": _pow, "remainder": _remainder, "elu": _elu, "elu_backward": _elu_backward,
    "tanh_backward": _tanh_backward, "threshold_backward": _threshold_backward,
    "clamp_min": _each("max"), "clamp_max": _each("min"),
    "ne": lambda low, a, b: low.do("not", low.do("eq", a, b)),
    "sigmoid": _sigmoid, "silu": lambda low, x: low.do("mul", x, _sigmoid(low, x)),
    "addcmul": _addcmul, "addcdiv": _addcdiv, "sum": _sum, "mean": _mean, "mm": _mm, "mv": _mv,
    **dict.fromkeys(
        ("detach", "clone", "alias", "view", "_unsafe_view", "expand", "unsqueeze", "squeeze",
         "permute", "t", "_to_copy"), _same,
    ),
    "select": _select, "slice": _slice, "unbind": _unbind, "stack": _stack, "cat": _cat,
    "index_select": _index_select, "index_add": _index_add, "slice_backward": _slice_backward,
    "select_backward": _select_backward,
    "zeros_like": _fill(0.0), "ones_like": _fill(1.0), "empty_like": _fill(0.0),
    "new_zeros": _fill(0.0), "new_ones": _fill(1.0), "full_like": _filled, "fill": _filled,
}  # fmt: skip
