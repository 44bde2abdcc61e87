"""Machine code from a Program, and a function of torch with its gradient made of such code."""

import ctypes
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rtm.blocks import room, transformed
from rtm.fused.emission import emit
from rtm.fused.machine import attributes, engine, in_threads, register
from rtm.fused.program import Program
from rtm.fused.tracing import trace

_LEAST = 16  # vectors for which a thread of its own pays
_FORWARD = 4  # registers of a loop without a gradient, which has some to spare


class Kernel:
    """A Program as machine code for this processor.

    Parameters
    ----------
    program : Program
    registers : int
        Of canopies at a time: while one waits, the others work.
    missing : bool
        Whether a NaN in an input of few rows makes all NaN that depends on it. Smaller, larger and
        the elementary functions may lose it; else it is for the function to say.

    Raises
    ------
    Untraceable
        Where an expression has no instruction.
    """

    def __init__(self, program: Program, registers: int = 2, missing: bool = True) -> None:
        self._lanes = registers * register()
        self._rows = [_rows(program, output) for output in program.outputs]
        self._tables = np.concatenate([np.zeros(0, np.float32), *map(_table, program.tables)])
        self._engine = engine(emit(program, lanes=self._lanes, attributes=attributes()))
        inputs = [n.setting[0] for n in program.nodes if n.op in ("row", "array")]
        self._inputs = max(inputs, default=-1) + 1
        self._reached = program.reached() if missing else []
        pointers = [ctypes.c_void_p] * (1 + self._inputs + len(self._rows))
        kernel = ctypes.CFUNCTYPE(None, *pointers, *[ctypes.c_int64] * 3)
        self._call = kernel(self._engine.get_function_address("kernel"))

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Outputs [row, canopy] of inputs [row, canopy], both float32, on torch's threads."""
        n = inputs[0].shape[-1]
        whole = -(-n // self._lanes) * self._lanes
        held = [_filled(x, whole) for x in inputs[: self._inputs]]
        outputs = [room(rows, whole) for rows in self._rows]
        pointers = [x.data_ptr() for x in (*held, *outputs)]
        if not whole:
            return outputs

        def work(start: int, stop: int) -> None:
            self._call(self._tables.ctypes.data, *pointers, whole, start, stop)

        in_threads(work, whole // self._lanes, self._lanes, _LEAST)
        self._mark(held, outputs)
        return [x[:, :n] for x in outputs]

    def _mark(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """NaN in the outputs that depend on one."""
        few = {k for output in self._reached for rows in output for k, _ in rows}
        if not few or math.isfinite(sum(inputs[k].sum().item() for k in few)):
            return
        lost = {k: inputs[k].isnan() for k in few}
        for output, reached in zip(outputs, self._reached, strict=True):
            for r, rows in enumerate(reached):
                seen = [lost[k][row] for k, row in rows]
                if seen:
                    part = output if len(reached) == 1 else output[r : r + 1]
                    part[:, torch.stack(seen).any(0)] = torch.nan


def loop(
    function: Callable[..., Sequence[Tensor]], *, rows: Sequence[int], arrays: Sequence[int] = ()
) -> Kernel:
    """A function as one loop, without a gradient; arguments as for `trace`.

    What becomes of a NaN in an input is as the function says.
    """
    with torch.inference_mode(False), torch.no_grad():
        program = trace(function, rows=rows, arrays=arrays)
    return Kernel(program, missing=False)


class Fused:
    """A function of canopies that runs as one loop, and so does its gradient.

    Parameters
    ----------
    function : callable
        Takes tensors [row, canopy] of few rows, gives a tuple of tensors [row, canopy].
    rows : sequence of int
        How many rows each of its arguments has.

    Raises
    ------
    Untraceable
        Where there is something in the function, or in its gradient, that has no expression.

    Notes
    -----
    float32 on a processor. The loop of the function is made here, that of a gradient when it is
    first asked for; each takes a second or two. What is to be differentiated again, and a gradient
    under torch.func, is computed by torch.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], rows: Sequence[int]) -> None:
        self._function, self._rows = function, rows
        program = trace(function, rows=rows, arrays=[])
        self._lengths = [_rows(program, output) for output in program.outputs]
        self.forward, self._lock = Kernel(program, _FORWARD), threading.Lock()
        self._gradients: dict[tuple[tuple[bool, ...], tuple[bool, ...]], Kernel] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's results [row, canopy]."""
        return _Apply.apply(self, *inputs)  # type: ignore

    def gradient(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> Kernel:
        """From inputs and the gradients of some outputs to the gradients of some inputs."""
        with self._lock:
            if (given, wanted) not in self._gradients:
                self._gradients[given, wanted] = self._made(given, wanted)
            return self._gradients[given, wanted]

    def _made(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> Kernel:
        arrays = [n for n, there in zip(self._lengths, given, strict=True) if there]

        def function(*args: Tensor) -> tuple[Tensor, ...]:
            inputs = [x.detach().requires_grad_() for x in args[: len(self._rows)]]
            return self.by_torch(inputs, args[len(inputs) :], given, wanted, False)

        return Kernel(trace(function, rows=self._rows, arrays=arrays))

    @torch.enable_grad()
    def by_torch(
        self, inputs: Sequence[Tensor], grads: Sequence[Tensor], given: tuple[bool, ...],
        wanted: tuple[bool, ...], again: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """The same by torch, to be differentiated again where asked for."""
        return torch.autograd.grad(
            _where(self._function(*inputs), given), _where(inputs, wanted), grads,
            allow_unused=True, materialize_grads=True, create_graph=again,
        )  # fmt: skip


class _Apply(torch.autograd.Function):
    """Fused as torch sees it."""

    @staticmethod
    def forward(ctx, fused: Fused, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.fused = fused
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        return tuple(fused.forward(*inputs))

    @staticmethod
    def backward(ctx, *grads: Tensor | None):
        wanted = ctx.needs_input_grad[1:]
        given = tuple(g is not None for g in grads)
        if not any(given):
            return None, *[None] * len(wanted)
        inputs, there, again = ctx.saved_tensors, _where(grads, given), torch.is_grad_enabled()
        if again or not loopable(there):
            found = iter(ctx.fused.by_torch(inputs, there, given, wanted, again))
        else:
            found = iter(ctx.fused.gradient(given, wanted)(*inputs, *there))
        return None, *[next(found) if want else None for want in wanted]


def loopable(inputs: Sequence[Tensor]) -> bool:
    """Whether loops may take these tensors: plain float32 on a processor, under no transform.

    For torch.func, torch.jit, and whatever else watches the operations of torch, there have to be
    operations of torch. torch.compile is for the caller to ask for, before it comes here.
    """
    watched = torch.jit.is_tracing() or torch._C._len_torch_dispatch_stack()  # pyright: ignore
    plain = all(type(x) is Tensor and x.dtype == torch.float32 for x in inputs)
    near = all(x.device.type == "cpu" for x in inputs)
    return plain and near and not watched and not transformed(inputs)


def _where(values: Sequence, chosen: Sequence[bool]) -> list:
    return [x for x, this in zip(values, chosen, strict=True) if this]


def _rows(program: Program, output: list[int]) -> int:
    return len(output) if len(output) > 1 else program.nodes[output[0]].rows


def _table(values: Tensor) -> np.ndarray:
    """As four-byte numbers; whole ones keep their bits."""
    if values.is_floating_point():
        return values.numpy().astype(np.float32)
    return values.numpy().astype(np.int32).view(np.float32)


def _filled(x: Tensor, whole: int) -> Tensor:
    """With its last canopy repeated up to a whole number of vectors."""
    x = x.detach()
    if x.shape[-1] < whole:
        x = torch.cat([x, x[:, -1:].expand(-1, whole - x.shape[-1])], -1)
    return x.contiguous()
