"""Loops for a function that nobody asked to compile: made where they pay, and once a process.

Whether a call goes through them depends on its size alone, so that the same call gives the same
bits whatever was computed before.
"""

import hashlib
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from rtm.fused.kernel import Fused
from rtm.fused.program import Untraceable

PAYS = 1 << 18  # numbers of a spectral array of a call; torch takes a tenth of a second for them


@dataclass(frozen=True)
class Function:
    """A function of canopies, which is any other function with the same key.

    Attributes
    ----------
    key : hashable
        All that its results depend on, besides its arguments.
    rows : tuple of int
        How many rows each of its arguments has.
    call : callable
        From tensors [row, canopy] to a tuple of tensors [row, canopy].
    """

    key: Hashable
    rows: tuple[int, ...]
    call: Callable[..., tuple[Tensor, ...]] = field(compare=False)


class Loops:
    """The loops of a function.

    Parameters
    ----------
    function : Function
    """

    def __init__(self, function: Function) -> None:
        self._function, self._lock = function, threading.Lock()
        self._fused: Fused | None = None
        self._traceable = True

    def made(self) -> Fused | None:
        """The loops, made where they are not yet; None where torch does what they cannot."""
        with self._lock:
            if self._fused is None and self._traceable:
                try:
                    with torch.inference_mode(False), torch.no_grad():
                        self._fused = Fused(self._function.call, rows=self._function.rows)
                except Untraceable:
                    self._traceable = False
            return self._fused

    def where_they_pay(self, numbers: int) -> Fused | None:
        """The loops for a call with so many numbers, or None: torch is to compute it."""
        return self.made() if numbers >= PAYS else None


@lru_cache(maxsize=16)
def shared(function: Function) -> Loops:
    """The loops of a function, the same ones for all functions that are equal."""
    return Loops(function)


def digest(constants: Mapping[str, Tensor | None]) -> bytes:
    """A hash of named constants."""
    total = hashlib.sha256()
    for name, value in constants.items():
        total.update(repr((name, None if value is None else (value.dtype, value.shape))).encode())
        if value is not None:
            total.update(value.cpu().contiguous().numpy().tobytes())
    return total.digest()
