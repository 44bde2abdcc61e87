"""A perceptron as one loop of machine code: products of matrices with SiLU between them.

A library writes every layer to memory before the next one reads it, and asks for a pass of its own
for what is added and for SiLU. Here a few registers of pixels go through all layers, and what is
between two layers stays in the first cache. Of `_rows()` outputs and these pixels all sums are
held in registers.

    void kernel(weights, input, output, i64 stride, i64 start, i64 stop)

Input and output are [row, stride], a pixel a column; start and stop are multiples of `lanes()`.
The weights of a layer stand in groups of outputs: what is added to each, then [input, output].
"""

import ctypes
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rtm.blocks import room
from rtm.fused.functions import definitions
from rtm.fused.machine import attributes, engine, in_threads, register
from rtm.fused.program import DOMAIN
from rtm.fused.writer import Writer, number

_REGISTERS = 2  # of pixels
_LEAST = 16  # times so many pixels for which a thread of its own pays


def lanes() -> int:
    """Pixels at a time."""
    return _REGISTERS * register()


def _rows() -> int:
    """Outputs at a time, whose sums fill most of a processor's registers."""
    return 12 if register() == 16 else 6


class Perceptron:
    """Linear layers with SiLU behind all but the last: float32 on a processor, no gradient.

    Parameters
    ----------
    layers : sequence of (Tensor, Tensor)
        Weights [output, input] and what is added [output].
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._outputs = len(layers[-1][1])
        self._weights = torch.cat([_laid_out(*layer) for layer in layers])
        shapes = [(_whole(len(weight)), weight.shape[1]) for weight, _ in layers]
        self._engine = engine(_text(shapes))
        kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)
        self._call = kernel(self._engine.get_function_address("kernel"))

    def __call__(self, x: Tensor) -> Tensor:
        """[output, pixel] of x [input, pixel], on torch's threads."""
        n, step = x.shape[1], lanes()
        whole = -(-n // step) * step
        if n < whole:
            x = torch.cat([x, x.new_zeros(len(x), whole - n)], 1)
        x = x.contiguous()
        found = room(_whole(self._outputs), whole)
        pointers = self._weights.data_ptr(), x.data_ptr(), found.data_ptr()

        def work(start: int, stop: int) -> None:
            self._call(*pointers, whole, start, stop)

        if n:
            in_threads(work, whole // step, step, _LEAST)
        return found[: self._outputs, :n]


def _whole(outputs: int) -> int:
    """Outputs of whole groups."""
    return -(-outputs // _rows()) * _rows()


def _laid_out(weight: Tensor, bias: Tensor) -> Tensor:
    """Of each group of outputs what is added, then a row for each input; in one line."""
    both = torch.cat([bias.detach().unsqueeze(1), weight.detach()], 1)
    padded = both.new_zeros(_whole(len(both)), both.shape[1], dtype=torch.float32)
    padded[: len(both)] = both
    return padded.view(-1, _rows(), both.shape[1]).transpose(1, 2).reshape(-1)


def _text(shapes: list[tuple[int, int]]) -> str:
    """The kernel for layers of such numbers of outputs and inputs."""
    w, step = Writer(lanes()), lanes()
    hidden = [outputs for outputs, _ in shapes[:-1]]
    room_for = [
        f"  %h{n} = alloca [{rows} x {w.vector}], align 64" for n, rows in enumerate(hidden)
    ]
    body, start = [], 0
    for n, (outputs, inputs) in enumerate(shapes):
        body += _lines(w, _Layer(n, outputs, inputs, start, n == len(shapes) - 1))
        start += outputs * (inputs + 1)
    return "\n".join([
        definitions(step),
        "define void @kernel(ptr noalias %weights, ptr noalias %input, ptr noalias %output,"
        " i64 %stride, i64 %start, i64 %stop) #0 {",
        "entry:",
        *room_for,
        "  br label %pixels",
        "pixels:",
        f"  %b = phi i64 [ %start, %entry ], [ %b.next, %done{len(shapes) - 1} ]",
        "  br label %layer0",
        *body,
        f"  %b.next = add i64 %b, {step}",
        "  %b.more = icmp slt i64 %b.next, %stop",
        "  br i1 %b.more, label %pixels, label %end",
        "end:",
        "  ret void",
        "}",
        f"attributes #0 = {{ nounwind {attributes()} }}",
    ])  # fmt: skip


class _Layer(NamedTuple):
    """The n-th layer: padded outputs, inputs, and where its weights begin."""

    n: int
    outputs: int
    inputs: int
    start: int
    last: bool


def _lines(w: Writer, layer: _Layer) -> Iterator[str]:
    """A layer for the pixels at hand, group after group of outputs."""
    n = layer.n
    yield f"layer{n}:"
    yield f"  br label %group{n}"
    yield f"group{n}:"
    yield f"  %g{n} = phi i64 [ 0, %layer{n} ], [ %g{n}.next, %bent{n} ]"
    yield f"  %w{n}.group = mul i64 %g{n}, {layer.inputs + 1}"
    yield f"  %w{n}.from = add i64 %w{n}.group, {layer.start}"
    yield f"  %w{n} = getelementptr float, ptr %weights, i64 %w{n}.from"
    for r in range(_rows()):
        yield from _spread(w, f"%a{n}.{r}", f"%w{n}", r)
    yield f"  br label %row{n}"
    yield from _summed(w, layer)
    yield f"bent{n}:"
    yield from _bent(w, layer)
    yield f"  %g{n}.next = add i64 %g{n}, {_rows()}"
    yield f"  %g{n}.more = icmp slt i64 %g{n}.next, {layer.outputs}"
    yield f"  br i1 %g{n}.more, label %group{n}, label %done{n}"
    yield f"done{n}:"
    if not layer.last:
        yield f"  br label %layer{n + 1}"


def _summed(w: Writer, layer: _Layer) -> Iterator[str]:
    """The sums of a group, input after input."""
    n, v = layer.n, w.vector
    source, stride, first = ("%input", "%stride", "%b") if n == 0 else (f"%h{n - 1}", w.lanes, "0")
    yield f"row{n}:"
    yield f"  %k{n} = phi i64 [ 0, %group{n} ], [ %k{n}.next, %row{n} ]"
    for r in range(_rows()):
        yield f"  %s{n}.{r} = phi {v} [ %a{n}.{r}, %group{n} ], [ %s{n}.{r}.next, %row{n} ]"
    yield from _placed(f"%x{n}", f"%k{n}", source, stride, first)
    yield f"  %x{n} = load {v}, ptr %x{n}.at, align 4"
    yield f"  %k{n}.next = add i64 %k{n}, 1"
    yield f"  %w{n}.row = mul i64 %k{n}.next, {_rows()}"
    yield f"  %w{n}.at = getelementptr float, ptr %w{n}, i64 %w{n}.row"
    for r in range(_rows()):
        yield from _spread(w, f"%m{n}.{r}", f"%w{n}.at", r)
        added = f"{v} %x{n}, {v} %m{n}.{r}, {v} %s{n}.{r}"
        yield f"  %s{n}.{r}.next = call {v} @llvm.fma.v{w.lanes}f32({added})"
    yield f"  %k{n}.more = icmp slt i64 %k{n}.next, {layer.inputs}"
    yield f"  br i1 %k{n}.more, label %row{n}, label %bent{n}"


def _bent(w: Writer, layer: _Layer) -> Iterator[str]:
    """What becomes of the sums of a group, and where it goes."""
    n = layer.n
    target, stride, first = (
        ("%output", "%stride", "%b") if layer.last else (f"%h{n}", w.lanes, "0")
    )
    for r in range(_rows()):
        w.lines.clear()
        value = f"%s{n}.{r}.next" if layer.last else _silu(w, f"%s{n}.{r}.next")
        yield from w.lines
        yield f"  %o{n}.{r}.of = add i64 %g{n}, {r}"
        yield from _placed(f"%o{n}.{r}", f"%o{n}.{r}.of", target, stride, first)
        yield f"  store {w.vector} {value}, ptr %o{n}.{r}.at, align 4"


def _placed(name: str, row: str, pointer: str, stride: str | int, first: str) -> Iterator[str]:
    """NAME.at, the place of a row's pixels."""
    yield f"  {name}.row = mul i64 {row}, {stride}"
    yield f"  {name}.from = add i64 {name}.row, {first}"
    yield f"  {name}.at = getelementptr float, ptr {pointer}, i64 {name}.from"


def _spread(w: Writer, name: str, pointer: str, k: int) -> Iterator[str]:
    """The k-th number from there in all lanes."""
    yield f"  {name}.at = getelementptr float, ptr {pointer}, i64 {k}"
    yield f"  {name}.one = load float, ptr {name}.at, align 4"
    yield f"  {name}.put = insertelement {w.vector} poison, float {name}.one, i64 0"
    zeros = f"<{w.lanes} x i32> zeroinitializer"
    yield f"  {name} = shufflevector {w.vector} {name}.put, {w.vector} poison, {zeros}"


def _silu(w: Writer, x: str) -> str:
    """x / (1 + e^{-x})."""
    low, high = DOMAIN["exp"]
    within = w.larger(w.smaller(w.mul(x, number(-1.0)), number(high)), number(low))
    return w.div(x, w.add(w.call("exp", within), number(1.0)))
