"""What both decodings leave of real spectra, in a few numbers: probabilistic PCA.

With g the gap between a spectrum and its decoding, over the bands, in units of `scale`,

    g = m + B c + e,   c ~ N(0, I),   e ~ N(0, s² I)

and Λ, V the k largest eigenvalues and eigenvectors of the covariance of g, maximum likelihood is
B = V (Λ − s²)^½ with s² the mean of the other eigenvalues, and of the bands M that are seen

    E[m + B c | g] = m + B (BᵀMB + s² I)⁻¹ BᵀM (g − m)

(Tipping & Bishop 1999, 10.1111/1467-9868.00196). Nothing is simulated from it: in simulations the
errors of the likelihood (common, relative, discrepancy) stand for what it describes, and with both
it would count twice. It changes no trait and no interval.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST = 1e-6  # of s², where the components leave nothing


class Remainder(nn.Module):
    """Mean and basis of the gaps.

    Parameters
    ----------
    bands, components : int
        l and k, k < l.
    """

    mean: Tensor
    basis: Tensor
    noise: Tensor
    scale: Tensor

    def __init__(self, bands: int, components: int):
        super().__init__()
        self.components = components
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("basis", torch.zeros(bands, components))
        self.register_buffer("noise", torch.ones(()))
        self.register_buffer("scale", torch.ones(bands))

    def forward(self, gap: Float[Tensor, "*batch band"]) -> Float[Tensor, "*batch band"]:
        """What is to be added to the decodings, reflectance [-].

        Parameters
        ----------
        gap : Tensor [..., band]
            Spectrum less decoding [-], NaN where missing; with no band at all m is added.
        """
        seen = gap.isfinite().to(self.basis)
        white = torch.where(gap.isfinite(), gap / self.scale - self.mean, 0.0)
        shown = self.basis * seen.unsqueeze(-1)
        one = torch.eye(self.components).to(self.basis)
        code = torch.linalg.solve(shown.mT @ self.basis + self.noise * one, white @ self.basis)
        return self.scale * (self.mean + code @ self.basis.T)

    @torch.no_grad()
    def fit(self, gaps: list[Tensor], variances: list[Tensor]) -> None:
        """Maximum likelihood, of several sources that count alike.

        Parameters
        ----------
        gaps : list of Tensor [n, band]
            Of whole spectra, by source.
        variances : list of Tensor [band]
            Of the spectra of each source; their mean is the unit of the errors.
        """
        scale = torch.stack(variances).mean(0).sqrt()
        white = [(gap / scale).double() for gap in gaps]
        mean = torch.stack([part.mean(0) for part in white]).mean(0)
        square = torch.stack([part.T @ part / len(part) for part in white]).mean(0)
        values, vectors = torch.linalg.eigh(square - mean.outer(mean))
        noise = values[: -self.components].mean().clamp_min(LEAST)
        kept = (values[-self.components :] - noise).clamp_min(0.0)
        self.basis.copy_(vectors[:, -self.components :] * kept.sqrt())
        for name, value in (("mean", mean), ("noise", noise), ("scale", scale)):
            getattr(self, name).copy_(value)
