"""The standard error of an emulator, by wavelength and inputs.

    ln s(λ | θ, angles) = b(λ) + Σ_r B_r(λ)·u_r(θ, angles),  u a small network

fitted to the errors e of held-out draws by their likelihood, Σ ln s + ½(e/s)², and then widened or
narrowed at every wavelength until the mean of (e/s)² over other held-out draws is 1.
"""

import torch
from torch import Tensor, nn

from physvae.emulation.features import Plain
from physvae.emulation.plans import ErrorPlan
from rtm import ParameterSpace

_LEAST = 1e-7


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
        self.features = Plain(space, geometry)
        self.net = nn.Sequential(
            nn.Linear(self.features.size, plan.width), nn.SiLU(),
            nn.Linear(plan.width, plan.width), nn.SiLU(), nn.Linear(plan.width, plan.shapes),
        )  # fmt: skip
        self.last = nn.Linear(plan.shapes, size)
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    def log(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Ln s [n, size]."""
        return self.last(self.net(self.features(theta.float(), angles.float())))

    def forward(self, theta: Tensor, angles: Tensor) -> Tensor:
        """Standard error of a reflectance [n, size]."""
        return self.log(theta, angles).exp().to(theta.dtype)


def fit_error(
    model: StandardError, theta: Tensor, angles: Tensor, error: Tensor, steps: int, seed: int
) -> None:
    """Fit to the errors [n, size] of held-out draws; a fifth of them sets the width."""
    n = len(error) * 4 // 5
    generator = torch.Generator().manual_seed(seed)
    model.features.fit(theta, angles)
    with torch.no_grad():
        model.last.bias.copy_(error.square().mean(0).clamp(min=_LEAST**2).log() * 0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(n, (min(512, n),), generator=generator)
        log = model.log(theta[rows], angles[rows])
        square = (error[rows] * (-log).exp().clamp(max=1.0 / _LEAST)).square()
        loss = (log + 0.5 * square).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        ratio = (error[n:] / model(theta[n:], angles[n:])).square().mean(0)
        model.last.bias.add_(ratio.clamp(min=1e-6).log() * 0.5)
