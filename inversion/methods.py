"""How a pixel is estimated: by the amortised posterior, or by the classical ways beside it.

Every method has the interface of a model (`bands`, `angles`, `traits`, `estimate`), so that tables
and maps need not know which one is at work.
"""

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

from inversion.direct import inside
from physvae.errors import UsageError

MANY = 300  # pixels from which compiling the physics pays
LARGE = 400_000  # pixels from which compiling the network pays
_making = threading.Lock()
COMPILED = ("refined", "lut", "lm")  # methods that decode by the model's own physics


def _refined(model: Any, steps: int) -> Any:
    from inversion.refine import Refined

    return Refined(model, steps)


def _lookup(model: Any, steps: int) -> Any:
    from inversion.lut import Lookup

    return Lookup(model)


def _least_squares(model: Any, steps: int) -> Any:
    from inversion.marquardt import LeastSquares

    return LeastSquares(model, steps)


@functools.lru_cache(maxsize=4)
def _emulated(model: Any) -> Any:
    from inversion.emulated import emulated

    made = emulated(model)
    made.physical.compile()
    return made


METHODS: dict[str, Callable[[Any, int], Any]] = {
    "amortised": lambda model, steps: model,
    "refined": _refined,
    "lut": _lookup,
    "lm": _least_squares,
    "refined-emulated": lambda model, steps: _refined(inside(model, _emulated), steps),
    "lut-emulated": lambda model, steps: _lookup(inside(model, _emulated), steps),
    "lm-emulated": lambda model, steps: _least_squares(inside(model, _emulated), steps),
}


def check_method(method: str) -> None:
    """Refuse a method that there is not.

    Raises
    ------
    UsageError
        Names those that there are.
    """
    if method not in METHODS:
        raise UsageError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")


def estimator(model: Any, method: str, steps: int, pixels: int = 0) -> Any:
    """Return what estimates so many pixels by a method, made once for a model in a process.

    On a processor copies of the model are compiled where that pays: for maps its network, in two
    seconds, which makes it three times faster; above `MANY` pixels its physics, for the methods
    that decode by it, in a few seconds, which makes them many times faster.
    """
    with _making:  # which threads of a map ask for at once
        if method == "amortised":
            return inside(model, _fast) if pixels > LARGE else model
        return _made(model, method, steps, pixels > MANY and method in COMPILED)


@functools.lru_cache(maxsize=8)
def _made(model: Any, method: str, steps: int, fast: bool) -> Any:
    return METHODS[method](inside(model, _compiled) if fast else model, steps)


@functools.lru_cache(maxsize=4)
def _fast(model: Any) -> Any:
    made = copy.deepcopy(model)
    made.compile()
    return made


@functools.lru_cache(maxsize=4)
def _compiled(model: Any) -> Any:
    if model.prior.alpha.device.type != "cpu":
        return model  # there it takes minutes
    made = copy.deepcopy(model)
    made.physical.compile()
    return made
