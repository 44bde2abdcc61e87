"""Functions that are smooth in value and in gradient; nothing physical.

    E_n(k) = ∫₁^∞ e^{-kt} t^{-n} dt              exponential integrals, k ≥ 0
    f_n(z) = ∫₀¹ x^n e^{-zx} dx                  z ≥ 0;  f₀(z) = (1 - e^{-z})/z,  f_n′ = -f_{n+1}

Below 1, E_n is its series (Abramowitz & Stegun 5.1.12) in the form

    1 - 2E₃ = k·(2 + k·(ln k + γ - 3/2 + Σ_{j≥1} 2(-k)^j / (j (j+2)!)))
    E₂      = 1 + k·(ln k + γ - 1 + Σ_{j≥1} (-k)^j / (j (j+1)!))

where float32 makes do with Chebyshev's polynomial through six values of the sum, off by 1e-8.
Above 1

    E₂ = e^{-k}·P(k)/Q(k)             2E₃ = e^{-k} - k·E₂

and both stay as they are beyond 40. P and Q are least-squares fits: in float64 of E₁ with 60
digits, E₂ = e^{-k} - k·E₁, relative error 4e-16; in float32 of E₂, error 3e-8.

`torch.where` and comparisons are not vectorised on a processor and cost ten additions. A function
of two pieces that meet at 1 is therefore g(min(x, 1)) + h(max(x, 1)) - h(1), and a choice between
two results torch.lerp with a weight of 0 or 1.
"""

import math

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor

from rtm.modes import lasting

_P = {  # of k⁰, k¹, …
    torch.float64: [
        97.45686564058093, 1539.7712949043462, 6226.1691645290675, 9654.774795675834,
        6799.547249858235, 2352.0029647744905, 406.51900377601805, 33.13660500936476,
        0.9999999999986215,
    ],
    torch.float32: [1.5374821424484253, 3.4488143920898438, 0.9989562034606934],
}  # fmt: skip
_Q = {
    torch.float64: [
        99.67270448555557, 1870.349186452609, 9664.060837700952, 20363.280926712345,
        20639.973915107646, 10911.608720772158, 3106.767750797719, 470.7922139127464,
        35.136605008717105, 1.0,
    ],
    torch.float32: [1.6777818202972412, 6.728019714355469, 5.421932220458984, 1.0],
}  # fmt: skip
_MOMENT_TERMS = {torch.float64: 19, torch.float32: 11}
_TINY = 1e-30
_EULER = 0.5772156649015329


def _series(constant: float, shift: int, factor: float) -> dict[torch.dtype, list[float]]:
    """constant, then factor·(-1)^j / (j (j + shift)!), for k in [0, 1]."""
    rest = (factor * (-1.0) ** j / (j * math.factorial(j + shift)) for j in range(1, 17))
    full = Polynomial([constant, *rest])
    short = Chebyshev.interpolate(full, 5, [0.0, 1.0]).convert(kind=Polynomial)
    return {torch.float64: full.coef.tolist(), torch.float32: short.coef.tolist()}


def _moments(n: int, terms: int) -> list[float]:
    """Series of f_n: (-1)^j / (j! (j + n + 1))."""
    return [(-1.0) ** j / (math.factorial(j) * (j + n + 1)) for j in range(terms)]


def _horner(coefficients: list[float], x: Tensor) -> Tensor:
    total = x * coefficients[-1] + coefficients[-2]
    for c in reversed(coefficients[:-2]):
        total = total * x + c
    return total


def _pieces(x: Tensor) -> tuple[Tensor, Tensor]:
    """min(x, 1) and max(x, 1); each has half the slope where they meet."""
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return torch.minimum(x, one), torch.maximum(x, one)


def fall(x: Tensor) -> Tensor:
    """e^{-x} for x ≥ 0, and e⁻⁴⁰ beyond 40: its products stay clear of the subnormal numbers of
    float32, with which a processor calculates ten times slower.
    """
    return (-x.clamp(max=40.0)).exp()


def loss(x: Tensor) -> Tensor:
    """1 - e^{-x} for x ≥ 0, exact where x is small; 1 beyond 40."""
    return -torch.expm1(-x.clamp(max=40.0))


_SERIES_E3, _SERIES_E2 = _series(_EULER - 1.5, 2, 2.0), _series(_EULER - 1.0, 1, 1.0)
_AT_1 = {dtype: sum(_P[dtype]) / sum(_Q[dtype]) for dtype in _P}  # E₂·e^k


def _above_1(k: Tensor) -> tuple[Tensor, Tensor]:
    """max(k, 1), at most 40, and E₂·e^k there."""
    outer = k.clamp(min=1.0, max=40.0)
    return outer, _horner(_P[k.dtype], outer) / _horner(_Q[k.dtype], outer)


class _OneMinus2E3(torch.autograd.Function):
    """1 - 2E₃, with the slope 2E₂."""

    generate_vmap_rule = True

    @staticmethod
    def forward(k: Tensor) -> Tensor:
        inner, (outer, rest) = k.clamp(max=1.0), _above_1(k)
        series = _horner(_SERIES_E3[k.dtype], inner)
        below = inner * (2.0 + inner * (series + inner.clamp(min=_TINY).log()))
        above = (-outer).exp() * (1.0 - outer * rest) - (1.0 - _AT_1[k.dtype]) / math.e
        return (below - above).clamp(max=1.0)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, grad):
        return grad * 2.0 * _E2.apply(ctx.saved_tensors[0])


class _E2(torch.autograd.Function):
    """E₂, with the slope -E₁ = (E₂ - e^{-k}) / k."""

    generate_vmap_rule = True

    @staticmethod
    def forward(k: Tensor) -> Tensor:
        inner, (outer, rest) = k.clamp(max=1.0), _above_1(k)
        series = _horner(_SERIES_E2[k.dtype], inner)
        below = 1.0 + inner * (series + inner.clamp(min=_TINY).log())
        return below + (-outer).exp() * rest - _AT_1[k.dtype] / math.e

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, grad):
        k, e2 = ctx.saved_tensors
        return grad * (e2 - (-k).exp()) / k.clamp(min=_TINY)


def one_minus_2e3(k: Tensor) -> Tensor:
    """1 - 2·E₃(k) for k ≥ 0: the share a layer of optical depth k absorbs of diffuse light.

    Exact to rounding at both ends (k at 0, 1 for large k); bounded gradient 2·E₂(k) ≤ 2.
    """
    return _OneMinus2E3.apply(k)


class _Moment(torch.autograd.Function):
    """f_n, with the slope -f_{n+1}."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, n: int) -> Tensor:
        if n == 0:
            z = z.clamp(min=_TINY)
            return loss(z) / z
        inner, outer = _pieces(z)
        below = _horner(_moments(n, _MOMENT_TERMS[z.dtype]), inner)
        return torch.lerp(below, _moment_above(outer, n), torch.sign(outer - 1.0))

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.n = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        return -grad * _Moment.apply(ctx.saved_tensors[0], ctx.n + 1), None


def _moment_above(z: Tensor, n: int) -> Tensor:
    """f_n for z ≥ 1 by f_n = (n·f_{n-1} - e^{-z}) / z."""
    e, over = fall(z), z.reciprocal()
    f = (1.0 - e) * over
    for i in range(1, n + 1):
        f = (i * f - e) * over
    return f


def expm1c(z: Tensor) -> Tensor:
    """f₀(z) = (1 - e^{-z}) / z for z ≥ 0, smooth through z = 0."""
    return _Moment.apply(z, 0)


def choose(x: Tensor, limit: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """`below` where x < limit, else `above`; both are finite everywhere."""
    if torch.compiler.is_compiling():
        return torch.where(x < limit, below, above)
    return torch.lerp(above, below, torch.relu(torch.sign(limit - x)))


class _Floor(torch.autograd.Function):
    """max(x, least), with the slope 1."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, least: float) -> Tensor:
        return x.clamp(min=least)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def floor(x: Tensor, least: float) -> Tensor:
    """max(x, least) whose gradient is one everywhere.

    For a function that is smooth in x while its formula is not at x = 0: the value moves by at
    most least·|slope| and the gradient by least·|curvature|.
    """
    return _Floor.apply(x, least)


def least(dtype: torch.dtype) -> float:
    """The floor for an absorbed share: large enough for the rounding of the gradient, eps / least.

    Measured at leaves without absorber: values off by 2e-7, gradients by 1e-5 in float64; in
    float32 values by 2e-5, and the gradient there has no digits.
    """
    return 1e-9 if dtype == torch.float64 else 5e-8


def safe_sqrt(x: Tensor) -> Tensor:
    """√x with value and gradient 0 where x ≤ 0."""
    positive = x > 0.0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def safe_acos(x: Tensor) -> Tensor:
    """Acos x, and a constant (gradient 0) outside (-1, 1)."""
    inside = x.abs() < 1.0
    edge = torch.where(x > 0.0, torch.zeros_like(x), math.pi)
    return torch.where(inside, torch.where(inside, x, 0.0).acos(), edge)


def hot_spot_exact(alpha: Tensor, b: Tensor, c: Tensor, rule: Tensor) -> Tensor:
    """∫₀¹ exp(-b·x + c·(1 - e^{-αx})/α) dx.

    Gauss-Legendre in u under x = (e^{λu} - 1)/κ with κ = e^λ - 1 = max(b, α, 1), which grades the
    nodes towards x = 0, where the integrand changes within 1/κ; the map itself is no variable. For
    α above 1000 and 10·c the series of `_hot_spot_narrow`. With `gauss_rule(40)` the error is
    below 1e-12, with 20 nodes below 1e-6.

    Parameters
    ----------
    alpha, b, c : Tensor [canopy]
        α ≥ 0, b ≥ 0, 0 ≤ c ≤ b.
    rule : Tensor [2, node]
        Nodes and weights on (0, 1).
    """
    limit = (10.0 * c).clamp(min=1e3).detach()
    near = torch.minimum(alpha, limit)
    kappa = torch.maximum(b, near).clamp(min=1.0).detach()
    grown = (torch.log1p(kappa) * rule[0].unsqueeze(-1)).exp()
    x = (grown - 1.0) / kappa
    y = x * (c * expm1c(near * x) - b)
    wide = (rule[1].unsqueeze(-1) * grown * y.exp()).sum(0) * (torch.log1p(kappa) / kappa)
    narrow = _hot_spot_narrow(torch.maximum(alpha, limit), b, c)
    return torch.where(alpha < limit, wide, narrow)


def _hot_spot_narrow(alpha: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The same integral for e^{-α} = 0: e^{c/α}·f₀(b) - Σ R_n, all terms positive.

    R_n = c/(b + αn)·(R_{n-1} + Q_{n-1}/(αn)), Q_n = (c/α)^n / n!, R_0 = 0, Q_0 = 1: the series of
    the integrand in e^{-αx}, integrated term by term, less that of the first part.
    """
    ratio = c / alpha
    q, r = torch.ones_like(ratio), torch.zeros_like(ratio)
    total = torch.zeros_like(ratio)
    for n in range(1, 10):
        r = c / (b + alpha * n) * (r + q / (alpha * n))
        q = q * ratio / n
        total = total + r
    return ratio.exp() * expm1c(b) - total


def hot_spot_classic(alpha: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The same integral in Verhoef's 20 exponential steps, off by up to 1e-3."""
    steps = torch.arange(21, dtype=alpha.dtype, device=alpha.device).unsqueeze(-1)
    alpha = alpha.clamp(min=1e-12)
    x = -torch.log1p(steps[:-1] * 0.05 * torch.expm1(-alpha)) / alpha
    x = torch.cat([x, torch.ones_like(alpha).unsqueeze(0)])
    y = x * (c * expm1c(alpha * x) - b)
    fall = (y[:-1] - y[1:]).clamp(min=0.0)
    return (x.diff(dim=0) * y[:-1].exp() * expm1c(fall)).sum(0)


@lasting
def gauss_rule(nodes: int) -> Tensor:
    """Gauss-Legendre rule on (0, 1): [2, node] of nodes and weights, float64."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy(np.stack([(x + 1.0) / 2.0, w / 2.0]))
