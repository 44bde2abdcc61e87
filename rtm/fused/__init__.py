"""Loops for the processor out of functions written in torch.

Eager torch makes a pass over memory for every sum and product. Here a function of canopies is
traced once (tracing.py) into expressions (program.py), which are written as one loop over the
canopies in LLVM's language (emission.py, functions.py), translated to machine code by llvmlite and
called on all threads (kernel.py), where that pays (loops.py). Numbers of a canopy stay in
registers; nothing between inputs and outputs is stored. Gradients are traced like any function, so
that the formulas stand in one place, the torch code.
"""

from rtm.fused.kernel import Fused, loopable
from rtm.fused.loops import Function, Loops, digest, shared
from rtm.fused.machine import available
from rtm.fused.program import Untraceable

__all__ = [
    "Function",
    "Fused",
    "Loops",
    "Untraceable",
    "available",
    "digest",
    "loopable",
    "shared",
]
