"""What people give as numbers, as tensors: numbers, lists, arrays and tables of any library.

Numbers stay what they are; masked ones become NaN. What is not numbers is told in words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def numbers(name: str, value: Any) -> Tensor:
    """A tensor of real numbers; the dtype of floating ones stays, whole ones are int64.

    Raises
    ------
    ValueError
        Nothing, text, times, truths, complex numbers, rows of different length.

    Examples
    --------
    >>> numbers("lai", np.ma.masked_greater([1.0, 9.0], 5.0))
    tensor([1., nan], dtype=torch.float64)
    >>> numbers("lai", "3")
    Traceback (most recent call last):
    ValueError: lai: expected numbers, got '3'
    """
    if isinstance(value, list | tuple) and value and all(isinstance(x, Tensor) for x in value):
        value = _stacked(name, value)
    if isinstance(value, Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            raise ValueError(f"{name}: expected real numbers, got {value.dtype}")
        return value
    given = _array(name, value)
    if given.dtype.kind == "f":
        short = given.dtype.itemsize <= 4
        return torch.from_numpy(given.astype(np.float32 if short else np.float64))
    return torch.from_numpy(given.astype(np.int64 if given.dtype.kind in "iu" else np.float64))


def number(name: str, value: Any) -> float:
    """One finite number, as numbers come; ValueError in words."""
    given = numbers(name, value)
    if given.numel() != 1 or not bool(given.isfinite().all()):
        raise ValueError(f"{name}: expected one finite number, got {_short(value)}")
    return float(given)


def count(name: str, value: Any, least: int = 1) -> int:
    """One whole number, `least` or more; ValueError in words."""
    given = number(name, value)
    if given != int(given):
        raise ValueError(f"{name}: expected a whole number, got {given:g}")
    if given < least:
        raise ValueError(f"{name}: expected at least {least}, got {given:g}")
    return int(given)


def array(name: str, value: Any) -> np.ndarray:
    """The same as a float64 array of numpy."""
    return numbers(name, value).detach().cpu().double().numpy()


def file_of(name: str, value: Any) -> Path:
    """A path; ValueError in words."""
    if not isinstance(value, str | Path):
        raise ValueError(f"{name}: expected a path, got {_short(value)}")
    return Path(value)


def mapping(name: str, value: Any) -> dict[str, tuple[float, float]]:
    """Pairs of numbers by name, none for None; ValueError in words."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected pairs of numbers by name, got {_short(value)}")
    return {str(key): pair(f"{name}: {key}", ends) for key, ends in value.items()}


def pair(name: str, value: Any) -> tuple[float, float]:
    """Two numbers, which may be infinite; ValueError in words."""
    given = numbers(name, value).flatten().double()
    if len(given) != 2 or bool(given.isnan().any()):
        raise ValueError(f"{name}: expected two numbers, got {_short(value)}")
    return float(given[0]), float(given[1])


def names(name: str, value: Any) -> tuple[str, ...]:
    """Names, of which one alone may come without a list; ValueError in words."""
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, Sequence) or not all(isinstance(x, str) for x in listed):
        raise ValueError(f"{name}: expected names, got {_short(value)}")
    return tuple(listed)


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """ValueError in words where a value is none of the allowed ones, of the same type."""
    kinds = {str} if isinstance(value, str) else {type(value)}
    if not any(type(one) in kinds and value == one for one in allowed):
        words = ", ".join(map(str, allowed))
        raise ValueError(f"{name}: expected one of {words}, got {_short(value)}")


def tensors(**given: Any) -> None:
    """ValueError in words where what only tensors can be is not one."""
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}")


def joined(given: dict[str, Tensor]) -> torch.Size:
    """The shape to which named values broadcast; ValueError in words where they do not."""
    try:
        return torch.broadcast_shapes(*(value.shape for value in given.values()))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in given.items() if x.ndim)
        raise ValueError(f"{', '.join(n for n, x in given.items() if x.ndim)}: "
                         f"expected shapes that broadcast, got {shapes}") from None  # fmt: skip


def _stacked(name: str, values: Sequence[Tensor]) -> Tensor:
    try:
        return torch.stack(list(values))
    except (RuntimeError, TypeError):
        raise ValueError(f"{name}: expected tensors of one shape, got others") from None


def _array(name: str, value: Any) -> np.ndarray:
    """Numbers as numpy has them; masked and missing ones are NaN."""
    try:
        if isinstance(value, np.ma.MaskedArray):
            value = np.ma.filled(value.astype(np.float64), np.nan)
        given = np.asarray(value)
        if given.dtype.kind == "O" and not isinstance(value, dict | set) and value is not None:
            given = given.astype(np.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise ValueError(f"{name}: expected numbers, got {_short(value)}") from None
    if given.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected numbers, got {_short(value)}")
    return given


def _short(value: Any) -> str:
    """What was given, in at most a line."""
    if value is None:
        return "nothing"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
