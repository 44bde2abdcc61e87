"""Physics is the same in every mode of torch: inference mode and autocast change nothing.

What is made under inference mode can never be part of a gradient, and autocast turns matrix
products into bfloat16, which has three digits. A model outlives the mode in which it was made,
and what models share outlives the model.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
_KINDS = ("cpu", "cuda")
_SHORT = (torch.float16, torch.bfloat16)


def lasting(make: Callable[P, R]) -> Callable[P, R]:
    """A function that makes what gradients may pass, whatever the mode it is called in."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False):
            return make(*args, **kwargs)

    return made


def constant(x: Tensor) -> Tensor:
    """The same numbers, in a tensor that a gradient may keep; call it in a `lasting` function.

    >>> with torch.inference_mode():
    ...     x = torch.ones(2)
    >>> x.is_inference(), lasting(constant)(x).is_inference()
    (True, False)
    """
    return x.clone() if x.is_inference() else x


def own_precision(compute: Callable[P, R]) -> Callable[P, R]:
    """A function or method, computed in the dtype of its inputs where autocast is on.

    Inputs that autocast has shortened come back as float32.
    """

    @wraps(compute)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        on = [kind for kind in _KINDS if torch.is_autocast_enabled(kind)]
        if not on:
            return compute(*args, **kwargs)
        with ExitStack() as stack:
            for kind in on:
                stack.enter_context(torch.autocast(kind, enabled=False))
            named = {name: _whole(x) for name, x in kwargs.items()}
            return compute(*map(_whole, args), **named)  # pyright: ignore

    return computed


def _whole(x):
    return x.float() if isinstance(x, Tensor) and x.dtype in _SHORT else x
