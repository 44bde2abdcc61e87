"""Lines of LLVM's language for vectors of float32, one number for each of some canopies."""

import struct

import numpy as np

_FREE = "contract nsz"  # a product and a sum may become one instruction


def number(value: float) -> str:
    """A vector of one number, rounded to float32."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))
    return f"splat (float 0x{bits:016X})"


def whole(value: int) -> str:
    """A vector of one whole number."""
    return f"splat (i32 {value})"


class Writer:
    """Lines one after the other; every method writes some and names their result.

    Attributes
    ----------
    lines : list of str
    count : int
        Names given so far.
    lanes : int
        Numbers of a vector.
    vector, whole, truth : str
        Types of vectors of float32, of whole numbers, of true and false.
    """

    def __init__(self, lanes: int, count: int = 0) -> None:
        self.lines: list[str] = []
        self.count, self.lanes = count, lanes
        self.vector, self.whole = f"<{lanes} x float>", f"<{lanes} x i32>"
        self.truth = f"<{lanes} x i1>"

    def line(self, text: str) -> str:
        """A line that has a result."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def say(self, text: str) -> None:
        """A line that has none."""
        self.lines.append(text)

    def two(self, op: str, a: str, b: str) -> str:
        """fadd, fsub or fmul."""
        return self.line(f"{op} {_FREE} {self.vector} {a}, {b}")

    def add(self, a: str, b: str) -> str:
        """a + b."""
        return self.two("fadd", a, b)

    def sub(self, a: str, b: str) -> str:
        """a - b."""
        return self.two("fsub", a, b)

    def mul(self, a: str, b: str) -> str:
        """a·b."""
        return self.two("fmul", a, b)

    def div(self, a: str, b: str) -> str:
        """a / b."""
        return self.line(f"fdiv {_FREE} arcp ninf {self.vector} {a}, {b}")

    def fma(self, a: str, b: str, c: str) -> str:
        """a·b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def intrinsic(self, name: str, *args: str) -> str:
        """An operation that LLVM knows by name."""
        listed = ", ".join(f"{self.vector} {x}" for x in args)
        return self.line(f"call {_FREE} {self.vector} @llvm.{name}.v{self.lanes}f32({listed})")

    def call(self, name: str, x: str) -> str:
        """One of the functions of functions.py."""
        return self.line(f"call {self.vector} @{name}({self.vector} {x})")

    def compare(self, relation: str, a: str, b: str) -> str:
        """Ogt, olt, oge, ole, oeq, or uno: one of both is NaN."""
        return self.line(f"fcmp {relation} {self.vector} {a}, {b}")

    def where(self, truth: str, a: str, b: str) -> str:
        """a where it is true, else b."""
        return self.line(f"select {self.truth} {truth}, {self.vector} {a}, {self.vector} {b}")

    def smaller(self, a: str, b: str) -> str:
        """The smaller of both."""
        return self.where(self.compare("olt", a, b), a, b)

    def larger(self, a: str, b: str) -> str:
        """The larger of both."""
        return self.where(self.compare("ogt", a, b), a, b)

    def bits(self, x: str) -> str:
        """The same bits as whole numbers."""
        return self.line(f"bitcast {self.vector} {x} to {self.whole}")

    def from_bits(self, x: str) -> str:
        """Whole numbers' bits as float32."""
        return self.line(f"bitcast {self.whole} {x} to {self.vector}")

    def integer(self, op: str, a: str, b: str) -> str:
        """And, or, xor, add, sub, shl, lshr."""
        return self.line(f"{op} {self.whole} {a}, {b}")

    def polynomial(self, x: str, coefficients: list[float]) -> str:
        """Horner's scheme, the coefficient of the highest power first."""
        total = number(coefficients[0])
        for c in coefficients[1:]:
            total = self.fma(total, x, number(c))
        return total
