"""A Sentinel-2 tile from the product on disk to the finished map: speed, memory, robustness.

    python benchmarks/maps.py [--side 549] [--method amortised] [--workers 0] [--repeat 1]
                              [--output OUT.tif] [--product SAFE] [--stages] [--kill] [--interrupt]

Builds a SAFE product of side x side pixels of 20 m (a full tile has 5490) or takes the one given,
retrieves it, and prints pixels a second, minutes, the share of reading, estimating and writing in
the processor time, and the largest memory. --repeat retrieves it again and again and prints the
memory after each, and what of it is in use and not only kept for later; --stages times reading and
estimating alone, and weighs the graph; --kill ends one of two worker processes half way and
compares the map with that of a quiet run; --interrupt sends Ctrl-C half way and tells how long it
took.
"""

import argparse
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dask
import numpy as np
import rasterio

import inversion.maps
from inversion import cluster
from inversion.kernel import DEFAULT_VARIABLES, load_model
from inversion.maps import retrieve
from inversion.methods import estimator
from inversion.readers import Declaration, rasters, sentinel2
from inversion.run import Job, retrieve_file
from inversion.writers import maps
from inversion.writers.work import Work

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inversion"))
import products

MIB = 1 << 20


def product(folder: Path, side: int) -> Path:
    """A product whose fields repeat the landscape of the tests, with the noise of a sensor.

    Of the bands of 10 m only B8, which has no file of 20 m; the others would not be read.
    """
    plain = products.landscape().astype(np.float32)
    times = -(-side // plain.shape[1])
    products.SIDE = side
    noise = np.random.default_rng(0).normal(1.0, 0.02, (side, side)).astype(np.float32)
    values = [np.tile(band, (times, times))[:side, :side] * noise for band in plain]
    return products.safe(folder, values=np.stack(values), fine=("B8",))


def built(folder: Path, side: int) -> Path:
    """The product, made by another process, whose memory does not count."""
    process = multiprocessing.get_context("spawn").Process(target=product, args=(folder, side))
    process.start()
    process.join()
    return next(folder.glob("*.SAFE"))


class Shares:
    """Time [s] that threads spend within functions that are watched.

    By the clock, and of the processor where the thread itself works: GDAL's own threads, which
    read and which compress, only show by the clock.
    """

    def __init__(self) -> None:
        self.clock: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()

    def watch(self, holder: Any, name: str, label: str) -> None:
        """Count what a function of a module or class takes under a label."""
        plain = getattr(holder, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            start, used = time.perf_counter(), time.thread_time()
            try:
                return plain(*arguments, **options)
            finally:
                self.clock[label] += time.perf_counter() - start
                self.processor[label] += time.thread_time() - used

        setattr(holder, name, timed)

    def __str__(self) -> str:
        parts = [
            f"{label} {seconds:.0f} s by the clock, {self.processor[label]:.0f} s of the thread"
            for label, seconds in self.clock.items()
        ]
        return f"of {time.process_time():.0f} s of processor time: {'; '.join(parts)}"


def interrupted(safe: Path, folder: Path) -> str:
    """Send Ctrl-C to the command once its first portion is written."""
    output = folder / "stopped.tif"
    command = [sys.executable, "-m", "physvae", "retrieve", str(safe), "-o", str(output)]
    process = subprocess.Popen([*command, "--chunk", "128"], start_new_session=True)
    journal = folder / ".stopped.tif.work" / "done-1-of-1"
    while process.poll() is None and not journal.is_file():
        time.sleep(0.02)
    start = time.perf_counter()
    os.killpg(process.pid, signal.SIGINT)
    code = process.wait()
    kept = len(journal.read_text().splitlines())
    return f"Ctrl-C: exit {code} after {time.perf_counter() - start:.1f} s, {kept} portion(s) kept"


def memory() -> float:
    """Memory of this process now [MiB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_use() -> float:
    """Memory that glibc has handed out and not got back [MiB]; NaN with another library."""

    class Counts(ctypes.Structure):
        names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
        _fields_ = tuple((name, ctypes.c_size_t) for name in names.split())

    try:
        count = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return float("nan")
    count.restype = Counts
    found = count()
    return (found.uordblks + found.hblkhd) / MIB


def peak() -> float:
    """Largest memory of this process so far [MiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stages(safe: Path, side: int, method: str) -> tuple[float, float]:
    """Seconds of reading all of the product, and pixels a second of the method alone."""
    model = load_model("sentinel-2", "cpu")
    image = sentinel2.read(safe, Declaration(), bands=model.bands, sensor=model.sensor)
    start = time.perf_counter()
    for block in image["reflectance"].data.to_delayed().ravel():
        dask.compute(block)
    reading = time.perf_counter() - start
    part = image.isel(y=slice(0, 256), x=slice(0, 256)).load()
    estimator(model, method, 200)
    start = time.perf_counter()
    retrieve(part, model, method=method)
    return reading, part["reflectance"][0].size / (time.perf_counter() - start)


def graph_size(safe: Path) -> str:
    """Size of what a scheduler is sent."""
    from distributed.protocol import serialize

    model = load_model("sentinel-2", "cpu")
    plain = Declaration(check_radiometry=False)  # which would read tiles again for each block
    image = sentinel2.read(safe, plain, bands=model.bands, sensor=model.sensor, chunk=32)
    result = retrieve(image, "sentinel-2")
    blocks = result["lai"].data.npartitions
    _, frames = serialize(result["lai"].data.dask, on_error="raise")
    return f"{sum(len(bytes(frame)) for frame in frames) / MIB:.2f} MiB for {blocks} blocks"


def killed(safe: Path, folder: Path) -> str:
    """Retrieve with two workers of which one is ended half way; compare with a quiet run."""
    model = load_model("sentinel-2", "cpu")
    plain = Declaration(check_radiometry=False)
    image = sentinel2.read(safe, plain, bands=model.bands, sensor=model.sensor, chunk=64)
    result = retrieve(image, "sentinel-2", ["lai"])
    maps.write(result, folder / "quiet.tif")
    with cluster._client(2, None) as client:
        victims = list(client.run(os.getpid).values())
        told: list[int] = []

        def advance(pixels: int) -> None:
            told.append(pixels)
            if len(told) == 2:
                os.kill(victims[0], signal.SIGKILL)

        maps.write(
            result, folder / "killed.tif", advance=advance,
            gather=lambda parts: cluster._ahead(client, parts),
        )  # fmt: skip
    with rasterio.open(folder / "quiet.tif") as one, rasterio.open(folder / "killed.tif") as two:
        gap = np.nanmax(np.abs(one.read() - two.read()))
    return f"one of two workers killed: largest difference {gap:.1e}"


def main(arguments: list[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=549)
    parser.add_argument("--method", default="amortised")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--product", type=Path)
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--interrupt", action="store_true")
    asked = parser.parse_args(arguments)
    logging.getLogger("rasterio").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        safe = asked.product or built(folder, asked.side)
        print(f"product of {asked.side} x {asked.side} in {time.perf_counter() - start:.0f} s")
        if asked.kill:
            print(killed(safe, folder))
        if asked.interrupt:
            print(interrupted(safe, folder))
        if asked.stages:
            reading, speed = stages(safe, asked.side, asked.method)
            print(f"reading alone {reading:.1f} s; {asked.method} alone {speed:,.0f} pixels/s")
            print(f"graph {graph_size(safe)}")
        if asked.kill or asked.interrupt or asked.stages:
            return 0
        job = Job(method=asked.method, workers=asked.workers or None, variables=DEFAULT_VARIABLES)
        goal = asked.output or folder / "map.tif"
        shares = Shares()
        shares.watch(rasters.Layer, "stored", "reading")
        shares.watch(inversion.maps, "retrieve_block", "estimating")
        shares.watch(Work, "put", "keeping")
        shares.watch(maps, "_assemble", "writing")
        for turn in range(asked.repeat):
            written, told = time.perf_counter(), retrieve_file(safe, goal, job)
            seconds = time.perf_counter() - written
            print(
                f"run {turn + 1}: {asked.side**2 / seconds:,.0f} pixels/s, {seconds / 60:.2f} min,"
                f" memory {memory():,.0f} MiB ({in_use():,.0f} in use), largest {peak():,.0f} MiB",
                flush=True,
            )
        print(shares)
        print("\n".join(told[:2]))
        print(f"file {goal.stat().st_size / MIB:,.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
