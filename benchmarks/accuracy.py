"""How far rtm and other codes are from the equations, at the edges of the box and inside it.

    python benchmarks/accuracy.py [--write] [--path FOLDER]

The truth is tests/references/edge_cases.json, 50-digit values made by other means than those of
`rtm`. Soils are the same for everyone, as their capped spectra. Peers that are not installed are
left out with a line: prosail and radiative-transfer-models (pypro4sail) from the package index;
torchrtm, in a folder given by --path. --write puts the tables into docs/accuracy.md.
"""

import argparse
import json
import platform
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtm import GEOMETRY, TRAITS, Prosail
from rtm.soil import DryWetSoil
from rtm.spectra import full_grid

ROOT = Path(__file__).resolve().parents[1]
TABLE = json.loads((ROOT / "tests/references/edge_cases.json").read_text("utf-8"))
PAGE = ROOT / "docs/accuracy.md"
BEGIN, END = "<!-- tables: python benchmarks/accuracy.py --write -->", "<!-- end of tables -->"
WAVELENGTHS = np.array(TABLE["wavelength"])
AT = (WAVELENGTHS - 400.0).astype(int)
SLOPES_AT = [TABLE["wavelength"].index(w) for w in TABLE["slope_wavelength"]]
CASES = [case for case in TABLE["cases"] if case["leaf"] == "D"]
GROUPS = tuple(dict.fromkeys(case["group"] for case in CASES))
CONTENTS = ("cab", "car", "ant", "cbrown", "cw", "cm")

Rows = np.ndarray | Tensor


def soils() -> np.ndarray:
    """Every nm of the soil of every case."""
    values = [[case["values"][name] for case in CASES] for name in ("psoil", "rsoil")]
    soil = DryWetSoil()
    shapes = soil.shapes(full_grid())
    return soil.reflectance(torch.tensor(values, dtype=torch.float64), shapes).T.numpy()


def columns(names: tuple[str, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """[case, name] of the inputs, ready for gradients."""
    rows = [[case["values"][name] for name in names] for case in CASES]
    return torch.tensor(rows, dtype=dtype).requires_grad_()


def rtm_model(dtype: torch.dtype, hotspot: str) -> Callable[[], tuple[Rows, dict[str, Tensor]]]:
    def run() -> tuple[Rows, dict[str, Tensor]]:
        model = Prosail(
            wavelength=torch.from_numpy(WAVELENGTHS), hotspot=hotspot, products=False
        )  # fmt: skip
        theta, angles = columns(model.space.names, dtype), columns(tuple(GEOMETRY), dtype)
        rso = model(theta, angles).rso
        inputs = {model.space.names: theta, tuple(GEOMETRY): angles}
        return rso, slopes(rso, inputs) if hotspot == "exact" else {}

    return run


def slopes(rso: Tensor, inputs: dict[tuple[str, ...], Tensor]) -> dict[str, Tensor]:
    """d rso / d name [case, slope wavelength] by name."""
    found: dict[str, list[Tensor]] = {}
    for at in SLOPES_AT:
        grads = torch.autograd.grad(rso[:, at].sum(), list(inputs.values()), retain_graph=True)
        for names, grad in zip(inputs, grads, strict=True):
            for name, column in zip(names, grad.unbind(-1), strict=True):
                found.setdefault(name, []).append(column)
    return {name: torch.stack(both, -1) for name, both in found.items()}


def prosail_package() -> tuple[Rows, dict[str, Tensor]]:
    import prosail

    rows = []
    for case, soil in zip(CASES, soils(), strict=True):
        p = case["values"]
        first = [p[n] for n in ("n_leaf", "cab", "car", "cbrown", "cw", "cm", "lai", "ala")]
        spectrum = prosail.run_prosail(
            *first, p["hspot"], p["tts"], p["tto"], p["psi"], ant=p["ant"], rsoil0=soil,
            prospect_version="D", typelidf=2, factor="SDR",
        )  # fmt: skip
        rows.append(spectrum[AT])
    return np.stack(rows), {}


def pypro4sail_package() -> tuple[Rows, dict[str, Tensor]]:
    from pypro4sail import four_sail, prospect

    rows = []
    for case, soil in zip(CASES, soils(), strict=True):
        p = case["values"]
        leaf = [p[n] for n in ("n_leaf", "cab", "car", "cbrown", "cw", "cm", "ant")]
        _, rho, tau = prospect.prospectd(*leaf)
        lidf = four_sail.calc_lidf_campbell(p["ala"])
        angles = (p["tts"], p["tto"], p["psi"])
        fields = four_sail.foursail(p["lai"], p["hspot"], lidf, *angles, rho, tau, soil)
        rows.append(np.broadcast_to(fields[17], soil.shape)[AT])
    return np.stack(rows), {}


def torchrtm_package() -> tuple[Rows, dict[str, Tensor]]:
    """Its differentiable branch, float32, with 13 classes of leaf inclination."""
    from torchrtm.canopy.sail import foursail_main
    from torchrtm.leaf.prospect import prospectd

    traits = ("cab", "car", "cbrown", "cw", "cm", "ant")  # the order of its table, not of its text
    rest = ("n_leaf", "lai", "ala", "hspot", "tts", "tto", "psi")
    contents, others = columns(traits, torch.float32), columns(rest, torch.float32)
    n_leaf, lai, ala, hspot, tts, tto, psi = others.unbind(-1)
    rho, tau = prospectd(contents, n_leaf, alpha=40.0)
    litab = torch.tensor([5, 15, 25, 35, 45, 55, 65, 75, 81, 83, 85, 87, 89.0])
    ground = torch.from_numpy(soils()).float()
    whole = [
        foursail_main(
            rho[i : i + 1], tau[i : i + 1], torch.ones(1), ala[i : i + 1], torch.zeros(1),
            lai[i : i + 1], hspot[i : i + 1], tts[i : i + 1], tto[i : i + 1], psi[i : i + 1],
            torch.tensor(torch.pi / 180), torch.tensor(torch.pi), litab, ground[i], ground[i],
            lidtype=2,
        )[3].reshape(-1)
        for i in range(len(CASES))
    ]  # fmt: skip
    rso = torch.stack(whole)[:, AT]
    return rso, slopes(rso, {traits: contents, rest: others})


def truth() -> np.ndarray:
    return np.array([[float(x) for x in case["rso"]] for case in CASES])


def slope_errors(found: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """By case: slopes that are not numbers, and the worst relative error of the others.

    Relative to the slope, or to one that moves rso by 1e-4 over the box of the parameter.
    """
    missing, worst = np.zeros(len(CASES), dtype=int), np.zeros(len(CASES))
    for i, case in enumerate(CASES):
        for name, column in found.items():
            mine, expected = column[i].detach().double().numpy(), case["slopes"][name]
            missing[i] += int((~np.isfinite(mine)).sum())
            if expected is not None and np.isfinite(mine).all():
                right = np.array([float(x) for x in expected])
                error = np.abs(mine - right) / np.maximum(np.abs(right), least_slope(name))
                worst[i] = max(worst[i], error.max())
    return missing, worst


def least_slope(name: str) -> float:
    parameter = {**TRAITS, **GEOMETRY}[name]
    return 1e-4 / (parameter.high - parameter.low)


def line(name: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def report(code: Callable[[], tuple[Rows, dict[str, Tensor]]]) -> dict[str, list[str]]:
    """By group: worst error of rso and cases without a number; the same of slopes, if any."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        rso, found = code()
    values = rso.detach().double().numpy() if isinstance(rso, Tensor) else rso
    whole = np.isfinite(values).all(1)
    error = np.where(whole, np.abs(np.where(np.isfinite(values), values, 0) - truth()).max(1), 0)
    missing, worst = slope_errors(found)
    cells = {}
    for group in GROUPS:
        own = np.array([case["group"] == group for case in CASES])
        steep = told(worst[own], missing[own] > 0) if found else ""
        cells[group] = [told(error[own], ~whole[own]), steep]
    return cells


def told(error: np.ndarray, lost: np.ndarray) -> str:
    """The worst error of cases that are numbers, and how many are not."""
    if lost.all():
        return "all NaN"
    return f"{error.max():.0e}" + (f", {lost.sum()} NaN" if lost.any() else "")


def class_table() -> list[str]:
    """rso of 2,000 canopies drawn from the box, by classes of leaf inclination, against 720."""
    generator = torch.Generator().manual_seed(7)
    spectral = torch.tensor([670.0, 800.0])
    models = {
        n: Prosail(wavelength=spectral, classes=n, products=False) for n in (18, 36, 90, 720)
    }
    space = models[18].space
    unit = torch.rand(2000, len(space) + 3, generator=generator, dtype=torch.float64)
    theta = space.low + (space.high - space.low) * unit[:, :-3]
    angles = unit[:, -3:] * torch.tensor([85.0, 85.0, 180.0], dtype=torch.float64)
    found = {n: model(theta, angles).rso for n, model in models.items()}
    rows = ["| classes | median error | 99 of 100 below | worst |", "|---|---|---|---|"]
    for n in (18, 36, 90):
        error = (found[n] - found[720]).abs().amax(1)
        cells = [error.median(), error.quantile(0.99), error.max()]
        rows.append(line(str(n), [f"{cell.item():.0e}" for cell in cells]))
    return rows


def codes() -> dict[str, Callable[[], tuple[Rows, dict[str, Tensor]]]]:
    """Name and version of every code at hand."""
    mine = {
        "rtm, float64": rtm_model(torch.float64, "exact"),
        "rtm, float32": rtm_model(torch.float32, "exact"),
        "rtm, classic": rtm_model(torch.float64, "classic"),
    }
    for name, run in (
        ("prosail", prosail_package), ("radiative-transfer-models", pypro4sail_package),
        ("torchrtm", torchrtm_package),
    ):  # fmt: skip
        try:
            mine[f"{name} {metadata.version(name)}"] = run
        except metadata.PackageNotFoundError:
            print(f"{name}: not installed, left out")
    return mine


def tables() -> str:
    found = {name: report(code) for name, code in codes().items()}
    lines = ["Worst error of rso, and cases where it is no number:", ""]
    lines += [line("cases", list(found)), "|---" * (len(found) + 1) + "|"]
    count = {group: sum(case["group"] == group for case in CASES) for group in GROUPS}
    for group in GROUPS:
        cells = [rows[group][0] for rows in found.values()]
        lines.append(line(f"{group} ({count[group]})", cells))
    steep = {name: rows for name, rows in found.items() if next(iter(rows.values()))[1]}
    lines += [
        "",
        "Worst relative error of the slopes of rso, and cases where one is no number:",
        "",
    ]
    lines += [line("cases", list(steep)), "|---" * (len(steep) + 1) + "|"]
    lines += [line(group, [rows[group][1] for rows in steep.values()]) for group in GROUPS]
    lines += ["", "Classes of leaf inclination, 2,000 draws of the box, against 720 classes:", ""]
    lines += class_table()
    made = (
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}; "
        f"reference by mpmath {TABLE['header']['mpmath']}"
    )
    return "\n".join([*lines, "", f"Made on {made}."])


def main() -> None:
    """Print the tables; with --write, put them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--path", help="folder with further packages, as by pip --target")
    options = parser.parse_args()
    if options.path:
        sys.path.append(options.path)
    text = tables()
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
