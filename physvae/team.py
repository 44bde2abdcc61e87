"""Processes that train one model together, one a GPU or a few a machine, started by `torchrun`.

Every process draws its own part of the batch, and all take the same step with the mean of their
gradients, so that weights and optimiser stay the same on all of them (synchronous data-parallel
training: Li et al. 2020, arXiv 2006.15704). Without torchrun a process is a team of its own.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from physvae.errors import UsageError

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
LEAP = 7_919_000_033  # between the seeds of two processes


class Team:
    """One process and how many there are.

    Parameters
    ----------
    rank, size : int
        Number of this process from 0, and of all.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def seed(self, common: int) -> int:
        """Seed of this process from one that all have; the leader's is that one."""
        return common + LEAP * self.rank

    def part(self, count: int, name: str) -> int:
        """How much of a batch this process draws.

        Raises
        ------
        UsageError
            Where the parts would not be equal.
        """
        if count % self.size:
            raise UsageError(f"{name}: expected a multiple of {self.size} processes, got {count}")
        return count // self.size

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all processes, the same bits everywhere."""
        if self.size > 1:
            self._each(list(tensors), distributed.all_reduce, 1.0 / self.size)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the leader."""
        if self.size > 1:
            self._each(list(tensors), lambda flat: distributed.broadcast(flat, 0), 1.0)

    @torch.no_grad()
    def _each(self, tensors: list[Tensor], send, factor: float) -> None:
        """Send tensors as one vector a dtype, and write back what comes."""
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            send(flat)
            for tensor, new in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
                tensor.copy_((new * factor if factor != 1.0 else new).view_as(tensor))


@contextmanager
def joined(device: str) -> Iterator[tuple[Team, str]]:
    """The team that torchrun made, and the device of this process; it is left at the end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(), device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group(BACKENDS[device.split(":")[0]])
    try:
        yield Team(distributed.get_rank(), size), device
    finally:
        distributed.destroy_process_group()
