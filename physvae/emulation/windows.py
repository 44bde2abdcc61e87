"""A linear decoder by windows of wavelength, each of the few degrees of freedom it has.

    x [n, node + 1] ─▶ onto ─▶ [n, rank of window k] ─▶ onward k ─▶ [n, wavelength of window k]

Latents of a linear auto-encoder have unit variance, and the constant has 1: a singular value of a
window's decoder is the rms that its direction has in spectra. Directions are left out from the
last on while what they leave out stays below `_LEFT_OUT`, which is a hundredth of the error of
an emulator. A spectrum of 2101 wavelengths then takes less than half of the multiplications.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rtm.blocks import room, transformed

_WIDTH = 128  # wavelengths of a window, at most
_LEFT_OUT = 2e-6  # rms reflectance
_WORTH = 0.75  # share of the multiplications up to which windows are taken
_ROWS = 256  # of a product by thread: what is in between stays in the processor's cache


class Windows(NamedTuple):
    """From nodes [node + 1] to a spectrum: the whole matrix, and the same in windows or none."""

    whole: Tensor
    onto: Tensor
    onward: tuple[Tensor, ...] = ()

    def to(self, like: Tensor) -> "Windows":
        """The same in the dtype and on the device of a tensor."""
        return Windows(
            self.whole.to(like), self.onto.to(like), tuple(part.to(like) for part in self.onward)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Spectra [n, wavelength] of x [n, node + 1]."""
        plain = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if x.requires_grad or not plain or transformed([x]):
            return x @ self.whole
        found = room(len(x), self.whole.shape[1], dtype=x.dtype)
        rows = _ROWS * torch.get_num_threads()
        for part, result in zip(x.split(rows), found.split(rows), strict=True):
            self._write(part, result)
        return found

    def _write(self, x: Tensor, result: Tensor) -> None:
        if not self.onward:
            torch.mm(x, self.whole, out=result)
            return
        scores = (x @ self.onto).split([len(part) for part in self.onward], 1)
        places = result.split([part.shape[1] for part in self.onward], 1)
        for score, part, place in zip(scores, self.onward, places, strict=True):
            torch.mm(score, part, out=place)


def windows(onto: Tensor, decoder: Tensor) -> Windows:
    """Windows of `onto @ decoder`, where they save work.

    Parameters
    ----------
    onto : Tensor [node + 1, latent + 1]
        From nodes and a 1 to latents and a 1.
    decoder : Tensor [latent + 1, wavelength]
        The last row is added.
    """
    whole = onto @ decoder
    count = -(-decoder.shape[1] // _WIDTH)
    first, onward = [], []
    for part in decoder.tensor_split(count, 1):
        left, size, right = torch.linalg.svd(part, full_matrices=False)
        rest = size.square().flip(0).cumsum(0).flip(0)
        rank = max(1, int((rest > _LEFT_OUT**2 * part.shape[1]).sum()))
        first.append(onto @ left[:, :rank])
        onward.append(size[:rank, None] * right[:rank])
    work = sum(len(onto) * len(part) + part.numel() for part in onward)
    if count == 1 or work > _WORTH * whole.numel():
        return Windows(whole, onto)
    same = [a @ b for a, b in zip(first, onward, strict=True)]
    return Windows(torch.cat(same, 1), torch.cat(first, 1), tuple(onward))
