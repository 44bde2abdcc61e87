"""The plots of docs/emulation.md: `python examples/emulation_figures.py [BENCH.json ...]`.

Spectra and errors are computed here; speed against error is drawn from the figures that
`benchmarks/emulators.py --json` wrote.
"""

import json
import sys
from pathlib import Path

import torch
from matplotlib import pyplot as plt

import physvae
import rtm
from rtm_figures import COLOURS, IMAGES, STYLE, save

CANOPIES = {
    "sparse": {"lai": 0.6, "cab": 25.0, "cw": 0.006},
    "crop": {"lai": 3.0, "cab": 50.0, "cw": 0.015},
    "dry": {"lai": 2.0, "cab": 5.0, "cw": 0.002, "cbrown": 1.0},
}


def main() -> None:
    """Draw them all."""
    with plt.style.context("default"), plt.rc_context(STYLE):
        save(spectra(), IMAGES / "emulation-spectra.png")
        save(errors(), IMAGES / "emulation-errors.png")
        if sys.argv[1:]:
            save(speed([Path(name) for name in sys.argv[1:]]), IMAGES / "emulation-speed.png")


def spectra():
    """Exact and emulated spectra over their difference and twice the stated error."""
    emulator = physvae.load_emulator("prosail-d-1nm")
    exact = rtm.Prosail(products=False)
    angles = torch.tensor([35.0, 10.0, 60.0])
    nm = exact.wavelength
    figure, (top, low) = plt.subplots(
        2, 1, figsize=(7.2, 5.0), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    for colour, (name, values) in zip(COLOURS, CANOPIES.items(), strict=False):
        theta = emulator.space.stack(**values).float()
        truth, found = exact(theta, angles).rso, emulator(theta, angles).rso
        sd = emulator.standard_error(theta, angles)
        top.plot(nm, truth, color=colour, label=f"{name}, exact")
        top.plot(nm[::60], found[::60], "o", ms=3.5, mfc="none", color=colour)
        low.fill_between(nm, -2e4 * sd, 2e4 * sd, color=colour, alpha=0.15, lw=0)
        low.plot(nm, 1e4 * (found - truth), color=colour, lw=0.9)
    top.plot([], [], "o", ms=3.5, mfc="none", color="#333333", label="emulated")
    top.set(ylabel="reflectance", title="Exact and emulated spectra", ylim=(0.0, None))
    top.legend(ncols=2)
    low.set(
        xlabel="wavelength [nm]", ylabel="difference × 10⁴", xlim=(400, 2500),
        title="Emulated - exact, and ± 2 stated standard errors",
    )  # fmt: skip
    return figure


def errors():
    """Root mean square error of 4000 draws of the whole box by wavelength, and by LAI and sun."""
    emulator = physvae.load_emulator("prosail-d")
    exact = rtm.Prosail(wavelength=emulator.wavelength, products=False)
    generator = torch.Generator().manual_seed(1)
    low, high = emulator.space.low.float(), emulator.space.high.float()
    theta = low + (high - low) * torch.rand(4000, len(low), generator=generator)
    angles = torch.rand(4000, 3, generator=generator) * torch.tensor([85.0, 85.0, 180.0])
    with torch.no_grad():
        gap = emulator(theta, angles).rso - exact(theta, angles).rso
        sd = emulator.standard_error(theta, angles)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
    nm = emulator.wavelength
    left.plot(nm, 1e4 * gap.square().mean(0).sqrt(), color=COLOURS[0], label="true")
    left.plot(nm, 1e4 * sd.square().mean(0).sqrt(), "--", color=COLOURS[1], label="stated")
    left.vlines(emulator.interpolator.physics.wavelength, 0.0, 0.12, color="#888888", lw=0.8)
    left.set(
        xlabel="wavelength [nm]", ylabel="RMSE × 10⁴", ylim=(0, None),
        title="By wavelength; ticks: computed exactly",
    )  # fmt: skip
    own, stated = gap.square().mean(1).sqrt(), sd.square().mean(1).sqrt()
    right.plot(stated, own, ".", ms=1.5, color=COLOURS[0], alpha=0.5)
    right.plot([1e-5, 1e-3], [1e-5, 1e-3], color="#333333", lw=0.8)
    right.set(
        xscale="log", yscale="log", xlabel="stated standard error of a spectrum",
        ylabel="true RMSE of a spectrum", title="A point a canopy",
    )  # fmt: skip
    left.legend()
    return figure


def speed(paths: list[Path]):
    """Speed against error of all methods."""
    rows = [row for path in paths for row in json.loads(path.read_text("utf-8"))]
    figure, axis = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    methods = list(dict.fromkeys(row["method"] for row in rows if row["rmse"] > 0.0))
    marks = "osv^D<>Ph*X"
    for index, method in enumerate(methods):
        mine = sorted((r for r in rows if r["method"] == method), key=lambda row: row["draws"])
        colour, mark = plt.get_cmap("tab10")(index), marks[index % len(marks)]
        x, y = [row["rmse"] for row in mine], [row["speed"] for row in mine]
        axis.plot(x, y, mark, ls="-", lw=0.6, ms=5, color=colour, label=method)
        if len(mine) > 1:
            aside = {"xytext": (4, -9 if index % 2 else 3), "textcoords": "offset points"}
            axis.annotate(f"{mine[-1]['draws']:,}", (x[-1], y[-1]), fontsize=7, **aside)
    axis.axvline(5e-4, color="#888888", lw=0.8, ls=":")
    axis.set(
        xscale="log", yscale="log", xlabel="RMSE of reflectance, the whole box",
        ylabel="times as fast as prosail", title="Speed against error; dotted: 5e-4",
    )  # fmt: skip
    axis.legend(ncols=2)
    return figure


if __name__ == "__main__":
    main()
