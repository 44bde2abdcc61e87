"""Elementary functions of vectors of float32, a few units in the last place from the exact value.

Each argument is reduced to a short interval and a polynomial does the rest; the coefficients are
minimax fits made with 40 digits, highest power first. Subnormal numbers are not made: e^x is kept
between 1e-37 and 3e38, for which the caller keeps x within program.DOMAIN.

    e^r   = 1 + r + r²·P(r)       |r| ≤ ln 2 / 2           x = n·ln 2 + r
    e^x-1 = 2^n·(e^r - 1) + (2^n - 1), in which nothing cancels
    tanh  = -E/(2 + E), E = e^{-2x} - 1
    ln    = f - f²/2 + f³·P(f)    f + 1 in [√½, √2)        x = 2^e·(1 + f)
    sin   = r + r³·P(r²)          |r| ≤ π/2                x = n·π + r
    asin  = s + s³·P(s²)          s ≤ 0.5                  acos x = 2·asin √((1 - x)/2) above
    atan  = t + t³·P(t²)          |t| ≤ tan π/8            atan x = π/4 + atan (x - 1)/(x + 1)
"""

import math
from collections.abc import Callable

from rtm.fused.program import DOMAIN
from rtm.fused.writer import Writer, number, whole

_EXP = [0.00139026953, 0.00836312732, 0.0416668362, 0.166665774, 0.499999996]
_LOG = [
    -0.0796990202, 0.126534519, -0.129897143, 0.142102453, -0.166415746, 0.200011909,
    -0.250003038, 0.3333333,
]  # fmt: skip
_SIN = [-2.40751573e-08, 2.75362134e-06, -0.000198410827, 0.00833333275, -0.166666667]
_ASIN = [0.0337931559, 0.0170855643, 0.0311145163, 0.0445981735, 0.0750009834, 0.166666663]
_ATAN = [-0.064561031, 0.107451706, -0.142641109, 0.199995459, -0.333333318]
_LN2 = math.log(2.0)  # float32 has it to 2e-9
_WHOLE = 1.5 * 2.0**23  # a number to which this is added keeps its whole part, in the last bits
_PI = (3.140625, 9.67653589793e-4)


def _exp(w: Writer, x: str) -> str:
    power, rest = _parts(w, x)
    return w.from_bits(w.integer("add", w.bits(w.add(rest, number(1.0))), power))


def _expm1(w: Writer, x: str) -> str:
    power, rest = _parts(w, x)
    scale = w.from_bits(w.integer("add", power, whole(127 << 23)))
    return w.fma(scale, rest, w.sub(scale, number(1.0)))


def _parts(w: Writer, x: str) -> tuple[str, str]:
    """Of e^x = 2^n·e^r: n in the place of an exponent, and e^r - 1."""
    shifted = w.fma(x, number(1.0 / _LN2), number(_WHOLE))
    r = w.fma(w.sub(shifted, number(_WHOLE)), number(-_LN2), x)
    rest = w.fma(w.mul(r, r), w.polynomial(r, _EXP), r)
    return w.integer("shl", w.bits(shifted), whole(23)), rest


def _log(w: Writer, x: str) -> str:
    n, f, _ = _mantissa(w, x)
    return _logarithm(w, n, f)


def _log1p(w: Writer, x: str) -> str:
    """What is lost in 1 + x is added to the mantissa."""
    u = w.add(x, number(1.0))
    n, f, power = _mantissa(w, u)
    scale = w.from_bits(w.integer("sub", whole(127 << 23), power))
    return _logarithm(w, n, w.fma(w.sub(x, w.sub(u, number(1.0))), scale, f))


def _mantissa(w: Writer, x: str) -> tuple[str, str, str]:
    """Of x = 2^n·(1 + f): n, f, and n in the place of an exponent."""
    bits = w.bits(x)
    n = w.integer("ashr", w.integer("sub", bits, whole(0x3F3504F3)), whole(23))
    power = w.integer("shl", n, whole(23))
    f = w.sub(w.from_bits(w.integer("sub", bits, power)), number(1.0))
    return w.line(f"sitofp {w.whole} {n} to {w.vector}"), f, power


def _logarithm(w: Writer, n: str, f: str) -> str:
    """n·ln 2 + ln(1 + f)."""
    found = w.fma(w.mul(f, f), w.polynomial(f, [*_LOG, -0.5]), f)
    return w.fma(n, number(_LN2), found)


def _tanh(w: Writer, x: str) -> str:
    a = w.intrinsic("fabs", x)
    e = w.call("expm1", w.larger(w.mul(a, number(-2.0)), number(DOMAIN["expm1"][0])))
    found = w.div(e, w.sub(number(-2.0), e))
    return w.intrinsic("copysign", found, x)


def _turned(w: Writer, r: str, odd: str) -> str:
    """The sine of r, with the other sign where `odd` is an odd number."""
    z = w.mul(r, r)
    s = w.fma(w.mul(r, z), w.polynomial(z, _SIN), r)
    flip = w.integer("shl", odd, whole(31))
    return w.from_bits(w.integer("xor", w.bits(s), flip))


def _sin(w: Writer, x: str) -> str:
    n = w.intrinsic("roundeven", w.mul(x, number(1.0 / math.pi)))
    r = w.fma(n, number(-_PI[1]), w.fma(n, number(-_PI[0]), x))
    return _turned(w, r, w.line(f"fptosi {w.vector} {n} to {w.whole}"))


def _cos(w: Writer, x: str) -> str:
    n = w.intrinsic("floor", w.mul(x, number(1.0 / math.pi)))
    half = w.add(n, number(0.5))
    r = w.fma(half, number(-_PI[1]), w.fma(half, number(-_PI[0]), x))
    odd = w.line(f"fptosi {w.vector} {n} to {w.whole}")
    return _turned(w, r, w.integer("add", odd, whole(1)))


def _acos(w: Writer, x: str) -> str:
    a = w.intrinsic("fabs", x)
    outer = w.compare("ogt", a, number(0.5))
    half = w.larger(w.fma(a, number(-0.5), number(0.5)), number(0.0))
    z = w.where(outer, half, w.mul(x, x))
    s = w.where(outer, w.intrinsic("sqrt", half), a)
    asin = w.fma(w.mul(s, z), w.polynomial(z, _ASIN), s)
    found = w.where(outer, w.add(asin, asin), w.sub(number(math.pi / 2.0), asin))
    negative = w.compare("olt", x, number(0.0))
    return w.where(negative, w.sub(number(math.pi), found), found)


def _atan(w: Writer, x: str) -> str:
    a = w.intrinsic("fabs", x)
    far = w.compare("ogt", a, number(1.0))
    t = w.where(far, w.div(number(1.0), a), a)
    middle = w.compare("ogt", t, number(math.tan(math.pi / 8.0)))
    turned = w.div(w.sub(t, number(1.0)), w.add(t, number(1.0)))
    t = w.where(middle, turned, t)
    z = w.mul(t, t)
    found = w.fma(w.mul(t, z), w.polynomial(z, _ATAN), t)
    found = w.add(found, w.where(middle, number(math.pi / 4.0), number(0.0)))
    found = w.where(far, w.sub(number(math.pi / 2.0), found), found)
    return w.intrinsic("copysign", found, x)


FUNCTIONS: dict[str, Callable[[Writer, str], str]] = {
    "exp": _exp, "log": _log, "log1p": _log1p, "tanh": _tanh, "expm1": _expm1, "sin": _sin,
    "cos": _cos, "acos": _acos, "atan": _atan,
}  # fmt: skip


def definitions(lanes: int) -> str:
    """All of them in LLVM's language, for vectors of `lanes` numbers."""
    parts = []
    for name, write in FUNCTIONS.items():
        w = Writer(lanes)
        result = write(w, "%x")
        head = f"define internal {w.vector} @{name}({w.vector} %x) alwaysinline {{"
        parts += [head, *w.lines, f"  ret {w.vector} {result}", "}"]
    return "\n".join(parts)
