"""Spectra per second of rtm.Prosail beside prosail (numba), timed in turns in the same run.

    python benchmarks/speed.py [--threads 1 2] [--cases ...] [--json FILE] [--device cuda]

A case is WAVELENGTHS:MODE, with WAVELENGTHS `full` (2101) or `sentinel-2a` (its ten land bands on
few wavelengths) and MODE `plain` (a model as it is made, called a few times before, so that it has
its loops), `compiled` (`Prosail.compile` asks for them at once) or `eager` (torch alone, which is
`Prosail(fused=False)`). Before and after every repetition prosail computes spectra of its own; a
figure is the median of the ratios. Memory is what the process grows by in its first call of the
whole batch.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

CASES = tuple(
    f"{grid}:{mode}" for mode in ("plain", "compiled", "eager") for grid in ("full", "sentinel-2a")
)
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
REPEATS = 11
BATCH = {"full": 512, "sentinel-2a": 16384}


def main() -> None:
    """Every case in a process of its own, one thread count after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="write the figures there too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_case(options.one, options.threads[0], options.device)))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, float32")
    print(f"{'case':24}{'threads':>8}{'forward':>12}{'with gradient':>15}{'spectra/s':>12}{'':>12}"
          f"{'KB/spectrum':>13}{'':>8}{'set-up':>9}")  # fmt: skip
    rows = []
    for case in options.cases:
        for threads in options.threads:
            rows.append(in_a_process(case, threads, options.device))
            print_row(rows[-1])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


def in_a_process(case: str, threads: int, device: str) -> dict:
    """Thread pools and compiled kernels are made once a process."""
    command = [sys.executable, __file__, "--one", case, "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [*command, "--device", device], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{case}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def one_case(case: str, threads: int, device: str) -> dict:
    """Ratios, rates and memory of one case."""
    import torch

    from rtm import Prosail, load_sensor

    torch.set_num_threads(threads)
    grid, mode = case.split(":")
    sensor = None if grid == "full" else load_sensor(grid, reduced=True).select(BANDS)
    fused = False if mode == "eager" else "auto"
    model = Prosail(sensor=sensor, products=False, fused=fused).to(device)
    n = BATCH[grid] * (64 if device == "cuda" else 1)
    theta, angles = draws(model, n, device)
    leaf = theta.clone().requires_grad_()

    def forward():
        with torch.no_grad():
            model(theta, angles)
        synchronise(device)

    def backward():
        leaf.grad = None
        model(leaf, angles).rso.sum().backward()
        synchronise(device)

    row = {"case": case, "threads": threads, "device": device, "batch": n}
    start = time.perf_counter()
    if mode == "compiled":
        model.compile()
    few = theta[:32].clone().requires_grad_()
    model(few, angles[:32]).rso.sum().backward()
    if mode == "plain":
        forward()
        backward()
    row["setup_s"] = time.perf_counter() - start
    for name, call in (("forward", forward), ("gradient", backward)):
        memory = peak(device)
        call()
        row[f"{name}_kb"] = (peak(device) - memory) / n / 1024
    for name, call in (("forward", forward), ("gradient", backward)):
        row[name], row[f"{name}_per_s"] = ratio(call, n)
    row["wavelengths"] = len(model.wavelength)
    return row


def draws(model, n: int, device: str):
    """Canopies from the whole box, suns to 70 degree, views to 30."""
    import torch

    generator = torch.Generator().manual_seed(0)
    low, high = model.space.low.float(), model.space.high.float()
    theta = low + (high - low) * torch.rand(n, len(low), generator=generator)
    angles = torch.rand(n, 3, generator=generator) * torch.tensor([70.0, 30.0, 180.0])
    return theta.to(device), angles.to(device)


def synchronise(device: str) -> None:
    """Wait for the accelerator, where there is one."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def peak(device: str) -> float:
    """Bytes of memory at their highest so far."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def ratio(call, n: int) -> tuple[float, float]:
    """Median of (time of prosail / ours) per spectrum, and our median rate."""
    peer_time()
    call()
    ratios, rates = [], []
    for _ in range(REPEATS):
        before, start = peer_time(), time.perf_counter()
        call()
        ours = (time.perf_counter() - start) / n
        ratios.append((before + peer_time()) / 2.0 / ours)
        rates.append(1.0 / ours)
    return statistics.median(ratios), statistics.median(rates)


def peer_time(n: int = 30) -> float:
    """Seconds a spectrum of the prosail package, all four factors, one thread."""
    import prosail

    start = time.perf_counter()
    for _ in range(n):
        prosail.run_prosail(
            1.5, 40, 8, 0, 0.01, 0.009, 3, 57, 0.1, 30, 10, 20, ant=0, prospect_version="D",
            factor="ALL", rsoil=1, psoil=0.5,
        )  # fmt: skip
    return (time.perf_counter() - start) / n


def print_row(row: dict) -> None:
    """One line of the table."""
    print(
        f"{row['case']:24}{row['threads']:>8}{row['forward']:>11.1f}x{row['gradient']:>14.1f}x"
        f"{row['forward_per_s']:>12,.0f}{row['gradient_per_s']:>12,.0f}"
        f"{row['forward_kb']:>13.0f}{row['gradient_kb']:>8.0f}{row['setup_s']:>8.0f}s",
        flush=True,
    )


if __name__ == "__main__":
    main()
