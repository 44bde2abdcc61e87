"""What no soil exceeds: all of the light it gets, and none."""

import torch
from torch import Tensor


def cap(reflectance: Tensor) -> Tensor:
    """The identity up to 0.9, smooth and below 0.99 above: a soil never returns more than it gets.

    >>> cap(torch.tensor([0.5, 5.0]))
    tensor([0.5000, 0.9900])
    """
    above = torch.tanh(torch.relu(reflectance - 0.9) * (1.0 / 0.09))
    return torch.add(reflectance.clamp(max=0.9), above, alpha=0.09)


def lift(reflectance: Tensor) -> Tensor:
    """The identity from 0.01 up, smooth and not negative below.

    >>> lift(torch.tensor([-1.0, 0.0, 0.5]))
    tensor([0.0000, 0.0037, 0.5000])
    """
    return 0.01 * (torch.nn.functional.elu(100.0 * reflectance - 1.0) + 1.0)
