"""Text in LLVM's language to machine code for this processor, and its run on torch's threads.

llvmlite is looked for when the first loop is made; without it there are no loops, and torch
computes what they would.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

from rtm.fused.program import Untraceable


@cache
def available() -> bool:
    """Whether there is an llvmlite to make loops with."""
    try:
        import llvmlite.binding  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _llvm() -> Any:
    if not available():
        raise Untraceable("loops need llvmlite")
    import llvmlite.binding

    return llvmlite.binding


@cache
def register() -> int:
    """Numbers of float32 in a register."""
    llvm = _llvm()
    return 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8


def attributes() -> str:
    """Of a function for this processor, in LLVM's language."""
    llvm, bits = _llvm(), 32 * register()
    return (
        f'"target-cpu"="{llvm.get_host_cpu_name()}" '
        f'"target-features"="{llvm.get_host_cpu_features().flatten()}" '
        f'"prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}" '
        '"reciprocal-estimates"="vec-divf"'
    )


def engine(text: str) -> Any:
    """The text as machine code, which is there as long as this is held."""
    llvm = _llvm()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    module = llvm.parse_assembly(text)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    made = llvm.create_mcjit_compiler(module, machine)
    made.finalize_object()
    return made


def in_threads(work: Callable[[int, int], None], steps: int, size: int, least: int) -> None:
    """work(start, stop) on parts of steps·size, each of `least` steps or more but for the only."""
    threads = max(1, min(torch.get_num_threads(), steps // least))
    edges = [steps * k // threads * size for k in range(threads + 1)]
    if threads == 1:
        work(*edges)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
