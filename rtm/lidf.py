"""Leaf inclinations as (angle, weight) pairs.

    θ_l    inclination of a leaf, 0 (flat) … 90 degree
    χ      ratio of the horizontal to the vertical axis of Campbell's ellipsoid
    g(θ_l) ∝ sin θ_l / (cos² θ_l + χ² sin² θ_l)²          density of leaf area

With u = cos θ_l and c = (1 - χ²)/χ²:  ∫ g = ½·[u/(1 + c·u²) + u·A(c·u²)], where
A(x) = atan(√x)/√x for x > 0 and atanh(√-x)/√-x for x < 0: analytic through χ = 1.

Campbell 1990, 10.1016/0168-1923(90)90030-A. χ from the mean angle is the polynomial of the PROSAIL
codes, so that `ala` means here what it means there. Their closed form of the class weights is
singular at χ = 1 (58.43°); the one above is not.
"""

import torch
from torch import Tensor

from rtm.parameters import TRAITS


def class_edges(classes: int) -> Tensor:
    """Edges of equal classes of inclination [class + 1], 0-90 degree, float64."""
    return torch.linspace(0.0, 90.0, classes + 1, dtype=torch.float64)


class Campbell:
    """The ellipsoidal distribution of a mean leaf inclination."""

    parameters = (TRAITS["ala"],)

    def shares(self, values: Tensor, edges: Tensor) -> Tensor:
        """Share of leaf area in every class.

        Parameters
        ----------
        values : Tensor [1, canopy]
            ala, degree.
        edges : Tensor [class + 1]
            Class edges, degree, float64, as from `class_edges`.

        Returns
        -------
        Tensor [class, canopy]
            ≥ 0; they sum to 1.
        """
        cosines = torch.deg2rad(90.0 - edges).sin()
        return campbell(ala=values[0], cos_edges=cosines.to(values.dtype))


def axis_ratio(ala: Tensor) -> Tensor:
    """χ of the ellipsoid whose mean inclination is `ala` [degree]."""
    return (((-1.6184e-5 * ala + 2.1145e-3) * ala - 1.2390e-1) * ala + 3.2491).exp()


def campbell(*, ala: Tensor, cos_edges: Tensor) -> Tensor:
    """Share of leaf area in every class of inclination, ellipsoidal distribution.

    Parameters
    ----------
    ala : Tensor [canopy]
        Mean leaf inclination, 0-90 degree.
    cos_edges : Tensor [class + 1]
        Cosines of the class edges, from 1 (flat) down to 0.

    Returns
    -------
    Tensor [class, canopy]
        Shares, ≥ 0; they sum to 1.
    """
    chi = axis_ratio(ala)
    u = cos_edges.reshape(-1, *[1] * ala.dim())
    square = (u / chi) ** 2 + (1.0 - u * u)
    x = u * u * (1.0 - chi * chi) / (chi * chi)
    cumulative = u / square + u * _arc_ratio(x, square)
    shares = (cumulative[:-1] - cumulative[1:]).clamp(min=0.0)
    return shares / shares.sum(0)


def _arc_ratio(x: Tensor, one_plus_x: Tensor) -> Tensor:
    """A(x) above; 1 + x is given apart, as it is the difference that counts near x = -1."""
    near = x.abs() < 1e-3
    root = torch.where(x > 1e-3, x, 1.0).sqrt()
    above = root.atan() / root
    root = torch.where(x < -1e-3, -x, 0.25).sqrt()
    rest = torch.where(x < -1e-3, one_plus_x, 0.75)
    below = (torch.log1p(root) - 0.5 * rest.log()) / root
    s = torch.where(near, x, 0.0)
    series = 1.0 - s * (1 / 3 - s * (1 / 5 - s * (1 / 7 - s * (1 / 9 - s / 11))))
    return torch.where(near, series, torch.where(x > 0.0, above, below))
