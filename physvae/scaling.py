"""What the encoder sees: standardised reflectance, angles, and which of them are missing.

Per band l with reflectance x_l, and per angle a:

    (x_l − m_l) / s_l,   (ln(x_l + 0.01) − m′_l) / s′_l,   [x_l present],   cos a,   [a present]

A missing entry is zero with its flag zero, so one network serves every combination.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

ANGLE_COUNT = 3
FILL_ANGLES = (40.0, 5.0, 90.0)  # for decoding only, where an angle is missing [degree]
LOG_FLOOR = 0.01  # reflectance added before the logarithm: three times a usual noise floor


def feature_count(bands: int, angles: int = ANGLE_COUNT) -> int:
    """How many features so many bands and angles give."""
    return 3 * bands + 2 * angles


def filled(angles: Tensor) -> Tensor:
    """Angles [degree] with typical near-nadir values where missing, for decoding."""
    return torch.where(angles.isfinite(), angles, torch.tensor(FILL_ANGLES).to(angles))


class Features(nn.Module):
    """Standardised inputs of an encoder.

    Parameters
    ----------
    bands, angles : int
        How many of each.
    """

    mean: Tensor
    log_mean: Tensor
    sd: Tensor
    log_sd: Tensor

    def __init__(self, bands: int, angles: int = ANGLE_COUNT):
        super().__init__()
        self.size = feature_count(bands, angles)
        for name in ("mean", "log_mean"):
            self.register_buffer(name, torch.zeros(bands))
        for name in ("sd", "log_sd"):
            self.register_buffer(name, torch.ones(bands))

    def fit(self, reflectance: Float[Tensor, "n band"]) -> None:
        """Set means and standard deviations from spectra without gaps."""
        log = log_reflectance(reflectance)
        self.mean.copy_(reflectance.mean(0))
        self.sd.copy_(reflectance.std(0))
        self.log_mean.copy_(log.mean(0))
        self.log_sd.copy_(log.std(0))

    def forward(
        self, reflectance: Float[Tensor, "*batch band"], angles: Float[Tensor, "*batch angle"]
    ) -> Float[Tensor, "*batch feature"]:
        """Features from reflectance [-] and angles [degree], NaN where missing."""
        seen, known = reflectance.isfinite(), angles.isfinite()
        x = torch.where(seen, reflectance, self.mean)
        cosine = torch.where(known, angles, 90.0).deg2rad().cos() * known
        linear = (x - self.mean) / self.sd * seen
        log = (log_reflectance(x) - self.log_mean) / self.log_sd * seen
        return torch.cat((linear, log, seen.to(x), cosine, known.to(x)), -1)


def log_reflectance(reflectance: Tensor) -> Tensor:
    """ln(max(reflectance, 0) + 0.01), element by element."""
    return (reflectance.clamp_min(0.0) + LOG_FLOOR).log()
