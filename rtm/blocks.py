"""Long batches in blocks that fit a processor's cache, with the graph of one block in memory."""

import math
import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Outputs = tuple[Tensor | None, ...]
_LARGE = 1 << 22  # bytes from which numpy asks for large pages
_LINE = 64  # bytes that come from memory together
_KEPT = 1 << 26
_UNUSED = 3  # references to an array: of the list, of who looks, of sys.getrefcount
_kept: list[np.ndarray] = []
_turn = threading.Lock()


def in_blocks(compute: Callable[..., Outputs], inputs: Sequence[Tensor], *, block: int) -> Outputs:
    """compute(*inputs), block by block along the last axis of the inputs.

    Where a gradient is asked for, a block's intermediate results are not kept but computed again
    on the way back: memory is that of one block. Under torch.compile and torch.func, and for
    batches of up to two blocks, everything is computed in one go.

    Parameters
    ----------
    compute : callable
        Takes tensors [..., canopy], gives tensors [canopy, ...] or None.
    inputs : sequence of Tensor
        [..., canopy], all of the same length.
    block : int
        Canopies a block.
    """
    n = inputs[0].shape[-1]
    if n <= 2 * block or torch.compiler.is_compiling() or transformed(inputs):
        return compute(*inputs)
    parts = zip(*(x.split(block, -1) for x in inputs), strict=True)
    if _wants_gradient(inputs):
        return _joined([checkpoint(compute, *part, use_reentrant=False) for part in parts])
    return _joined([compute(*part) for part in parts])


def in_parts(compute: Callable[..., Outputs], inputs: Sequence[Tensor], *, block: int) -> Outputs:
    """The same for a function that keeps nothing but its inputs for the way back."""
    if inputs[0].shape[-1] <= block:
        return compute(*inputs)
    parts = zip(*(x.split(block, -1) for x in inputs), strict=True)
    return _joined([compute(*part) for part in parts])


def in_even_blocks(
    compute: Callable[..., Outputs], inputs: Sequence[Tensor], *, block: int
) -> Outputs:
    """The same for a compiled function, which wants every block to be of one size.

    The last block is filled up with its last canopy, and what that gives is left out.
    """
    n = inputs[0].shape[-1]
    filled = [torch.cat([x, x[..., -1:].expand(*x.shape[:-1], -n % block)], -1) for x in inputs]
    parts = zip(*(x.split(block, -1) for x in filled), strict=True)
    found = _joined([compute(*(x.contiguous() for x in part)) for part in parts])
    return tuple(None if x is None else x[:n] for x in found)


def _joined(parts: list[Outputs]) -> Outputs:
    columns = zip(*parts, strict=True)
    return tuple(None if column[0] is None else torch.cat(column) for column in columns)


def _wants_gradient(inputs: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in inputs)


def transformed(inputs: Sequence[Tensor]) -> bool:
    """Whether a transform of torch.func is at work, which has no way through a checkpoint."""
    own = torch._C._functorch  # pyright: ignore
    return any(
        own.is_functorch_wrapped_tensor(x) or own.is_legacy_batchedtensor(x) for x in inputs
    )


def room(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor on the processor that holds anything.

    A large one stands in large pages, for which numpy asks: else the system brings in page after
    page, and every row of a long batch is in another one, which can take longer than to compute
    what is written there. Up to `_KEPT` bytes of results that nobody holds any more serve again:
    new memory must be cleared by the system, which takes a tenth of the time of a call.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return torch.empty(shape, dtype=dtype)
    bytes_ = torch.from_numpy(_memory(size + _LINE))
    start = -bytes_.data_ptr() % _LINE
    return bytes_[start : start + size].view(dtype).view(shape)


def _memory(size: int) -> np.ndarray:
    """So many bytes. A tensor and its views hold a view of the array, which holds the array."""
    with _turn:
        for held in reversed(_kept):
            if held.size == size and sys.getrefcount(held) == _UNUSED:
                return held[:]
        made = np.empty(size, np.uint8)
        if size <= _KEPT:
            _kept.append(made)
        while sum(held.size for held in _kept) > _KEPT:
            _kept.pop(0)
        return made[:]
