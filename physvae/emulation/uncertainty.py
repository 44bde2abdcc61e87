"""The standard error of an emulator, by wavelength and inputs.

    ln s(λ | x) = b(λ) + Σ_r B_r(λ)·u_r(x) + Σ_j g_j·ln(1 + d_j)

    x      the inputs θ and angles, held within the box
    u      a small network
    d, g   how far an input lies outside, in widths of the box, and how fast the error grows, > 0

fitted to the errors e of held-out draws by their likelihood, Σ ln s + ½(e/s)². A fifth of them is
set apart: the fit is kept as it was when their likelihood was greatest, perhaps that of an error
b(λ) alone. It is then widened or narrowed until the mean of (e/s)² over them is 1, at every
wavelength as far as their number tells the wavelengths apart.

Of fewer than `_FEW` draws none is set apart, and the error is b(λ) alone, from all n of them,

    s² = Σ e²/n · (1 + 1/n)·(t/z)²

with t and z the same upper quantile of Student's t of n degrees of freedom and of the normal, two
standard deviations above the middle: so wide must two s be for 95 % of further errors.
"""

import copy

import torch
from scipy.stats import norm, t
from torch import Tensor, nn

from physvae.emulation.features import FEATURES, Edges
from physvae.emulation.plans import ErrorPlan
from rtm import ParameterSpace

_LEAST = 1e-7
_LEAST_GROWTH = 0.1
_FEW = 150  # draws below which no shape of the error is learned
_CHECKS = 30  # looks at the draws set apart
_ALIKE = 50  # draws set apart for which a wavelength's own width weighs as much as that of all


class StandardError(nn.Module):
    """The model above.

    Parameters
    ----------
    space, geometry : ParameterSpace
    plan : ErrorPlan
    size : int
        Wavelengths or bands.
    """

    def __init__(
        self, space: ParameterSpace, geometry: ParameterSpace, plan: ErrorPlan, size: int
    ) -> None:
        super().__init__()
        self.features = FEATURES[plan.features](space, geometry)
        self.net = nn.Sequential(
            nn.Linear(self.features.size, plan.width), nn.SiLU(),
            nn.Linear(plan.width, plan.width), nn.SiLU(), nn.Linear(plan.width, plan.shapes),
        )  # fmt: skip
        self.last = nn.Linear(plan.shapes, size)
        if isinstance(self.features, Edges):
            self.growth = nn.Parameter(torch.zeros(len(space) + len(geometry)))
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    def log(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Ln s [n, size]."""
        theta, angles = theta.float(), angles.float()
        found = self.last(self.net(self.features(theta, angles)))
        if not isinstance(self.features, Edges):
            return found
        growth = nn.functional.softplus(self.growth) + _LEAST_GROWTH
        return found + (self.features.beyond(theta, angles).log1p() * growth).sum(-1, keepdim=True)

    def forward(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Standard error of a reflectance [n, size]."""
        return self.log(theta, angles).exp().to(theta.dtype)


def fit_error(
    model: StandardError, theta: Tensor, angles: Tensor, error: Tensor, steps: int, seed: int
) -> None:
    """Fit to the errors [n, size] of held-out draws, a fifth of which are set apart."""
    if len(error) < _FEW:
        _level(model, theta, angles, error)
        return
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(error), generator=generator)
    theta, angles, error = theta[order], angles[order], error[order]
    n = len(error) * 4 // 5
    model.features.fit(theta, angles)
    with torch.no_grad():
        model.last.bias.copy_(error.square().mean(0).clamp(min=_LEAST**2).log() * 0.5)
    best = _constant(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    apart = theta[n:], angles[n:], error[n:]
    least = _loss(best, *apart).item()
    for step in range(1, steps + 1):
        rows = torch.randint(n, (min(512, n),), generator=generator)
        loss = _loss(model, theta[rows], angles[rows], error[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % max(1, steps // _CHECKS) == 0 or step == steps:
            with torch.no_grad():
                found = _loss(model, *apart).item()
            if found <= least:
                best, least = copy.deepcopy(model), found
    model.load_state_dict(best.state_dict())
    _widen(model, *apart)


@torch.no_grad()
def _level(model: StandardError, theta: Tensor, angles: Tensor, error: Tensor) -> None:
    """One error by wavelength for all inputs, as wide as so few draws ask for."""
    n = len(error)
    model.features.fit(theta, angles)
    wider = t.ppf(norm.cdf(2.0), n) / 2.0 * (1.0 + 1.0 / n) ** 0.5
    model.last.weight.zero_()
    model.last.bias.copy_((wider * error.square().mean(0).sqrt()).clamp(min=_LEAST).log())


def _loss(model: StandardError, theta: Tensor, angles: Tensor, error: Tensor) -> Tensor:
    """Mean of −ln p of errors, without its constant."""
    log = model.log(theta, angles)
    square = (error * (-log).exp().clamp(max=1.0 / _LEAST)).square()
    return (log + 0.5 * square).mean()


def _constant(model: StandardError) -> StandardError:
    """The same model with b(λ) alone inside the box."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        made.last.weight.zero_()
    return made


@torch.no_grad()
def _widen(model: StandardError, theta: Tensor, angles: Tensor, error: Tensor) -> None:
    """Bring the mean of (e/s)² to 1; few draws tell little of single wavelengths."""
    ratio = (error / model(theta, angles)).square().mean(0)
    ratio = (len(error) * ratio + _ALIKE * ratio.mean()) / (len(error) + _ALIKE)
    model.last.bias.add_(ratio.clamp(min=1e-6).log() * 0.5)
