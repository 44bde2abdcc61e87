"""Where an emulator of our own physics errs most, and how far its slopes are off.

e       x̂ - x of rso; the ascent climbs the greatest e² of a spectrum over the box
slopes  rms of ∂x̂/∂p - ∂x/∂p over that of ∂x/∂p, over draws of the box and wavelengths;
        vᵀ∂x/∂p for normal v has the same mean square
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from physvae.emulation.drawing import parts
from physvae.emulation.emulator import Emulator
from physvae.emulation.regions import EDGES
from physvae.emulation.sources import ProsailSource

_STEPS = 60
_SCREENED, _STARTS = 8192, 100  # draws of a region, and how many of them are climbed from
_FIRST, _LAST = 0.2, 0.002  # steps of the ascent, in widths of the box
_SLOPES = 500  # draws
_SEED = 404


class Worst(NamedTuple):
    """The greatest error found, what is stated there, the wavelength [nm] and the inputs."""

    error: float
    stated: float
    wavelength: float
    inputs: dict[str, float]


def worst_case(emulator: Emulator, source: ProsailSource, draws: int = 20_000) -> Worst:
    """Climb from the worst of some draws of every region in the box to the greatest error."""
    emulator.compile()
    low, width = _box(source)
    at = [_worst_draws(emulator, source, region, draws) for region in ("inside", *EDGES)]
    unit = (torch.cat(at) - low) / width
    top, best = unit.clone(), torch.zeros(len(unit))
    for k in range(_STEPS):
        step = _FIRST * (_LAST / _FIRST) ** (k / (_STEPS - 1))
        x = (low + width * unit).requires_grad_()
        error = _error(emulator, source, x).abs().amax(1)
        (slope,) = torch.autograd.grad(error.sum(), x)
        better = error.detach() > best
        top, best = torch.where(better[:, None], unit, top), torch.maximum(best, error.detach())
        slope = (slope * width).nan_to_num()
        longest = slope.abs().amax(1, keepdim=True).clamp(min=1e-20)
        unit = (torch.where(better[:, None], unit, top) + step * slope / longest).clamp(0.0, 1.0)
    return _told(emulator, source, low + width * top[best.argmax()].unsqueeze(0))


@torch.no_grad()
def _worst_draws(emulator: Emulator, source: ProsailSource, region: str, draws: int) -> Tensor:
    """The inputs of the worst draws [n, input]."""
    inputs, errors = [], []
    for drawn in parts(source, min(draws, _SCREENED), _SEED, True, region):
        error = emulator(drawn.theta, drawn.angles).rso - drawn.spectra["rso"]
        errors.append(error.abs().amax(1))
        inputs.append(torch.cat([drawn.theta, drawn.angles], -1))
    return torch.cat(inputs)[torch.cat(errors).topk(min(draws, _STARTS)).indices]


def _told(emulator: Emulator, source: ProsailSource, x: Tensor) -> Worst:
    with torch.no_grad():
        error = _error(emulator, source, x)[0].abs()
        stated = emulator.standard_error(x[:, : len(source.space)], x[:, len(source.space) :])[0]
    k = int(error.argmax())
    names = (*source.space.names, *source.geometry.names)
    inputs = dict(zip(names, (round(v, 4) for v in x[0].tolist()), strict=True))
    return Worst(float(error[k]), float(stated[k]), float(source.wavelength[k]), inputs)


def slope_errors(emulator: nn.Module, source: ProsailSource) -> dict[str, float]:
    """Relative error of the slopes of rso by input, float64."""
    drawn = source.draw(_SLOPES, _SEED, True)
    inputs = torch.cat([drawn.theta, drawn.angles], -1).double()
    generator = torch.Generator().manual_seed(_SEED)
    v = torch.randn(len(inputs), len(source.wavelength), generator=generator).double()
    slopes = []
    for model in (emulator, source.model):
        x = inputs.clone().requires_grad_()
        spectra = model(x[:, : len(source.space)], x[:, len(source.space) :]).rso
        slopes.append(torch.autograd.grad((spectra * v).sum(), x)[0])
    rms = (slopes[0] - slopes[1]).square().mean(0) / slopes[1].square().mean(0)
    names = (*source.space.names, *source.geometry.names)
    return dict(zip(names, rms.sqrt().tolist(), strict=True))


def _box(source: ProsailSource) -> tuple[Tensor, Tensor]:
    low = torch.cat([source.space.low, source.geometry.low]).float()
    high = torch.cat([source.space.high, source.geometry.high]).float()
    return low, high - low


def _error(emulator: Emulator, source: ProsailSource, x: Tensor) -> Tensor:
    theta, angles = x[:, : len(source.space)], x[:, len(source.space) :]
    return emulator(theta, angles).rso - source.model(theta, angles).rso
