"""Numbers of any array library as tensors, or a sentence."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any
"""What `as_tensor` takes: a tensor, a numpy array, or what numpy understands."""


def as_tensor(name: str, value: Array) -> Tensor:
    """Return a tensor of what is one, of a numpy array or of anything that numpy understands.

    Raises
    ------
    ValueError
        Other than real numbers.

    >>> as_tensor("angles", [30, 5, 100]).shape
    torch.Size([3])
    """
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise ValueError(
            f"{name}: expected a tensor or an array of numbers, got {type(value).__name__}"
        )
    plain = array.dtype if array.dtype.isnative and array.dtype != np.float16 else np.float64
    return torch.from_numpy(np.array(array, dtype=plain))
