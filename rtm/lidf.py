"""Share of leaf area in classes of leaf inclination, for three families of distributions.

    θ      inclination of a leaf, 0 (flat) … 90 degree
    F(θ)   share of leaf area inclined by no more than θ; a class holds F(upper) - F(lower)

Campbell's ellipsoid

    χ      ratio of the horizontal to the vertical axis
    g(θ) ∝ sin θ / (cos² θ + χ² sin² θ)²                  density of leaf area

With u = cos θ and c = (1 - χ²)/χ²:  ∫ g = ½·[u/(1 + c·u²) + u·A(c·u²)], where
A(x) = atan(√x)/√x for x > 0 and atanh(√-x)/√-x for x < 0: analytic through χ = 1.
Campbell 1990, 10.1016/0168-1923(90)90030-A. χ from the mean angle is the polynomial of the PROSAIL
codes, so that `ala` means here what it means there. Their closed form of the class weights is
singular at χ = 1 (58.43°); the one above is not.

Verhoef's pair

    a, b   mean slope and two-peakedness, |a| + |b| ≤ 1
    x      root of x = 2θ + y(x), y = a·sin x + ½b·sin 2x
    F    = 2(θ + y)/π = 2(x - θ)/π

Verhoef 1998, Theory of radiative transfer models applied in optical remote sensing of vegetation
canopies (thesis, Wageningen); Verhoef et al. 2007, 10.1109/TGRS.2007.895844.
Departure: x has the gradient of the implicit function, dx = (sin x da + ½ sin 2x db)/s with the
slope s = 1 - a·cos x - b·cos 2x, kept above 1e-4: s vanishes where all leaves have one angle
(a = 0, b = -1: 45°). A pair outside |a| + |b| ≤ 1 is scaled back to its border.

Beta distribution

    t      θ / 90°
    μ, ν   exponents: density ∝ t^(ν-1)·(1 - t)^(μ-1), mean 90·ν/(μ + ν) degree

Goel & Strebel 1984, 10.2134/agronj1984.00021962007600050021x. Gauss-Legendre in every class; next
to the ends, where an exponent below 1 has a pole, a power series (`_end`).
"""

import math

import torch
from torch import Tensor

from rtm.numerics import gauss_rule
from rtm.parameters import TRAITS

_STEPS = 10
_LEAST_SLOPE = 1e-4
_TERMS = 10
_RULE = gauss_rule(12)


def class_edges(classes: int) -> Tensor:
    """Edges of classes of inclination [class + 1], 0-90 degree, float64.

    13 are those of the Fortran, R and SCOPE codes, 10° wide up to 80° and then 2°; else equal.

    >>> class_edges(13)[-6:]
    tensor([80., 82., 84., 86., 88., 90.], dtype=torch.float64)
    """
    if classes == 13:
        return torch.tensor([*range(0, 80, 10), *range(80, 91, 2)], dtype=torch.float64)
    return torch.linspace(0.0, 90.0, classes + 1, dtype=torch.float64)


class Campbell:
    """The ellipsoidal distribution of a mean leaf inclination.

    >>> Campbell().shares(torch.tensor([[57.0]]), class_edges(3)).T
    tensor([[0.1520, 0.3776, 0.4704]])
    """

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
        cosines = ((90.0 - edges) * (math.pi / 180.0)).sin()
        return campbell(ala=values[0], cos_edges=cosines.to(values.dtype))


class Verhoef:
    """The distribution of Verhoef's pair (a, b).

    >>> Verhoef().shares(torch.tensor([[-0.35], [-0.15]]), class_edges(3)).T
    tensor([[0.1360, 0.3325, 0.5315]])
    """

    parameters = (TRAITS["lidf_a"], TRAITS["lidf_b"])

    def shares(self, values: Tensor, edges: Tensor) -> Tensor:
        """Share of leaf area in every class.

        Parameters
        ----------
        values : Tensor [2, canopy]
            lidf_a and lidf_b, |a| + |b| ≤ 1 (see `check_verhoef`); scaled to it where they exceed.
        edges : Tensor [class + 1]
            Class edges, degree, float64, as from `class_edges`.

        Returns
        -------
        Tensor [class, canopy]
            ≥ 0; they sum to 1.
        """
        excess = torch.relu(values.abs().sum(0) - 1.0)
        theta = (edges[1:-1] * (math.pi / 180.0)).to(values.dtype).unsqueeze(-1)
        a, b, twice = torch.broadcast_tensors(*(values / (1.0 + excess)), 2.0 * theta)
        inner = (2.0 / math.pi) * (_VerhoefRoot.apply(a, b, twice) - theta)
        zero = torch.zeros_like(inner[:1])
        return torch.cat([zero, inner, zero + 1.0]).diff(dim=0).clamp(min=0.0)


class Beta:
    """The beta distribution of the inclination, exponents (μ, ν).

    >>> Beta().shares(torch.tensor([[2.770], [1.172]]), class_edges(3)).T  # planophile
    tensor([[0.6163, 0.3233, 0.0604]])
    """

    parameters = (TRAITS["beta_mu"], TRAITS["beta_nu"])

    def shares(self, values: Tensor, edges: Tensor) -> Tensor:
        """Share of leaf area in every class.

        Parameters
        ----------
        values : Tensor [2, canopy]
            beta_mu and beta_nu, > 0; the mean is 90·ν/(μ + ν) degree.
        edges : Tensor [class + 1]
            Class edges, degree, float64, as from `class_edges`; two classes or more.

        Returns
        -------
        Tensor [class, canopy]
            ≥ 0; they sum to 1, each within 1e-10 in float64 for exponents of 0.2-8.
        """
        mu, nu = values
        near, far = edges[1] / 1440.0, (90.0 - edges[-2]) / 1440.0
        cuts = edges / 90.0
        first = torch.stack([near, 4.0 * near, cuts[1]])
        last = 1.0 - torch.stack([far, 4.0 * far]).flip(0)
        panels, peak = _panels(torch.cat([first, cuts[2:-1], last]), mu, nu)
        head = panels[:2].sum(0) + _end(near.to(mu.dtype), nu, mu, peak)
        tail = panels[-2:].sum(0) + _end(far.to(mu.dtype), mu, nu, peak)
        shares = torch.cat([head.unsqueeze(0), panels[2:-2], tail.unsqueeze(0)])
        return shares / shares.sum(0)


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
    u = cos_edges.unsqueeze(-1)
    square = (u / chi) ** 2 + (1.0 - u * u)
    x = u * u * (1.0 - chi * chi) / (chi * chi)
    cumulative = u / square + u * _arc_ratio(x, square)
    shares = (cumulative[:-1] - cumulative[1:]).clamp(min=0.0)
    return shares / shares.sum(0)


def check_verhoef(a, b) -> None:
    """ValueError in words where |a| + |b| > 1 anywhere; both broadcast.

    >>> check_verhoef(-0.35, -0.15)
    >>> check_verhoef(0.8, [0.1, -0.4])
    Traceback (most recent call last):
    ValueError: lidf_a, lidf_b: expected |lidf_a| + |lidf_b| of at most 1, got 0.8 and -0.4
    """
    a, b = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (a, b))
    a, b = torch.broadcast_tensors(a, b)
    bad = ~(a.abs() + b.abs() <= 1.0 + 1e-6)
    if bad.any():
        raise ValueError(
            "lidf_a, lidf_b: expected |lidf_a| + |lidf_b| of at most 1, "
            f"got {a[bad][0].item():g} and {b[bad][0].item():g}"
        )


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


class _VerhoefRoot(torch.autograd.Function):
    """(a, b, twice) -> x in [0, π] with x - a·sin x - ½b·sin 2x = twice, all of one shape.

    Halley's steps from twice + y/2, halving the bracket where a step leaves it. Ten of them leave
    a residual of rounding for all |a| + |b| ≤ 1 and inclinations 0.125° or more from the ends.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, twice: Tensor) -> Tensor:
        low, high = torch.zeros_like(twice), torch.full_like(twice, math.pi)
        x = twice + 0.5 * twice.sin() * (a + b * twice.cos())
        for _ in range(_STEPS):
            sin, cos = x.sin(), x.cos()
            miss = x - sin * (a + b * cos) - twice
            slope = 1.0 - a * cos - b * (2.0 * cos * cos - 1.0)
            bend = sin * (a + 4.0 * b * cos)
            low, high = torch.where(miss < 0.0, x, low), torch.where(miss < 0.0, high, x)
            step = x - miss * slope / (slope * slope - 0.5 * miss * bend)
            x = torch.where((step >= low) & (step <= high), step, 0.5 * (low + high))
        return x

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs[:2], output)

    @staticmethod
    def backward(ctx, grad):
        a, b, x = ctx.saved_tensors
        sin, cos = x.sin(), x.cos()
        slope = 1.0 - a * cos - b * (2.0 * cos * cos - 1.0)
        along = grad * sin / slope.clamp(min=_LEAST_SLOPE)
        return along, along * cos, None


def _panels(cuts: Tensor, mu: Tensor, nu: Tensor) -> tuple[Tensor, Tensor]:
    """∫ t^(ν-1)·(1 - t)^(μ-1) dt / e^peak between cuts [panel + 1]: [panel, canopy] and peak."""
    width = cuts.diff().unsqueeze(-1)
    nodes, weights = _RULE.to(cuts)
    t = cuts[:-1].unsqueeze(-1) + width * nodes
    logs = torch.stack([t.log(), torch.log1p(-t)], -1).to(mu.dtype)
    exponent = logs @ torch.stack([nu - 1.0, mu - 1.0])
    peak = exponent.detach().amax((0, 1))
    weight = (width * weights).to(mu.dtype).unsqueeze(-1)
    return (weight * (exponent - peak).exp()).sum(1), peak


def _end(width: Tensor, pole: Tensor, other: Tensor, peak: Tensor) -> Tensor:
    """∫₀^width t^(pole-1)·(1 - t)^(other-1) dt / e^peak [canopy], a series in width ≤ 1/32."""
    factor, total = torch.ones_like(pole), pole.reciprocal()
    for k in range(1, _TERMS):
        factor = factor * (width / k) * (k - other)
        total = total + factor / (pole + k)
    return total * (pole * width.log() - peak).exp()
