"""The plots and the table of docs/rtm.md: `python examples/rtm_figures.py [FOLDER]`, `--table`."""

import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import rtm

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}
COLOURS = (  # Okabe & Ito (2008)
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333",
)  # fmt: skip
SPREAD = {  # what each parameter is moved by, in its unit
    "leaf": {"n_leaf": 0.2, "cab": 10.0, "car": 2.0, "cbrown": 0.1, "cw": 0.003, "cm": 0.002},
    "canopy and soil": {"lai": 0.5, "ala": 5.0, "hspot": 0.05, "psoil": 0.2, "rsoil": 0.1},
}


def ordered(n: int) -> list:
    """Colours of rising lightness, the last still legible on white."""
    return [plt.get_cmap("viridis")(x) for x in np.linspace(0.0, 0.85, n)]


def spectral(axes: Axes, title: str) -> None:
    """What all spectra share."""
    axes.set(title=title, xlabel="wavelength (nm)", xlim=(400, 2500))
    axes.set_xticks([400, 800, 1200, 1600, 2000, 2400])


def number(name: str, value: float) -> str:
    """A value with its symbol and unit."""
    p = {**rtm.TRAITS, **rtm.GEOMETRY}[name]
    return f"{p.symbol} {value:g} {p.unit}".removesuffix(" -")


def leaf() -> Figure:
    """Reflectance from below, transmittance from above, absorptance between them."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 4.0), sharey=True, layout="constrained")
    levels = {"cab": [5.0, 20.0, 40.0, 80.0], "cw": [0.002, 0.006, 0.012, 0.03]}
    for axes, (name, values), title in zip(
        panels, levels.items(), ("chlorophyll a+b", "water"), strict=True
    ):
        seen = rtm.prospect(**{name: values})
        for i, (colour, value) in enumerate(zip(ordered(len(values)), values, strict=True)):
            axes.plot(
                seen.wavelength, seen.reflectance[i], color=colour, label=number(name, value)
            )
            axes.plot(seen.wavelength, 1.0 - seen.transmittance[i], color=colour, ls=(0, (4, 1.5)))
        spectral(axes, title)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        for text, height in (("reflectance", 0.335), ("transmittance", 0.61)):
            axes.text(800, height, text, fontsize=8, color="#444444")
    panels[0].set(ylim=(0, 1), ylabel="reflectance (solid, upwards)")
    other = panels[1].secondary_yaxis("right", functions=(lambda y: 1.0 - y, lambda y: 1.0 - y))
    other.set_ylabel("transmittance (dashed, downwards)")
    return figure


def canopy() -> Figure:
    """Bidirectional reflectance of more and more leaves, and of the same leaves in crowns."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.5), sharey=True, layout="constrained")
    lai, cover = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0], [0.2, 0.4, 0.7, 1.0]
    flat, crowns = rtm.prosail(lai=lai), rtm.prosail(lai=2.0, cv=cover)
    for colour, value, rso in zip(ordered(len(lai)), lai, flat.rso, strict=True):
        label = number("lai", value) + (" (bare soil)" if value == 0.0 else "")
        panels[0].plot(flat.wavelength, rso, color=colour, label=label)
    for colour, value, rso in zip(ordered(len(cover)), cover, crowns.rso, strict=True):
        panels[1].plot(crowns.wavelength, rso, color=colour, label=number("cv", value))
    spectral(panels[0], "leaves spread evenly")
    spectral(panels[1], "LAI 2 m² m⁻² in crowns that cover a share Cv")
    panels[0].set(ylim=(0, 0.65), ylabel="reflectance factor rso (-)")
    for axes in panels:
        axes.legend(loc="upper right", ncols=2)
    return figure


def sensitivity() -> Figure:
    """The slopes of a canopy's spectrum, each times a spread of its parameter."""
    model = rtm.Prosail(wavelength=torch.arange(400.0, 2501.0, 5.0), products=False)
    angles = torch.tensor([30.0, 0.0, 0.0])
    slopes = torch.func.jacrev(lambda theta: model(theta, angles).rso, chunk_size=64)
    jacobian = slopes(model.space.default).numpy()
    figure, panels = plt.subplots(2, 1, figsize=(8.0, 6.0), sharex=True, layout="constrained")
    for axes, (title, spreads) in zip(panels, SPREAD.items(), strict=True):
        for colour, (name, spread) in zip(COLOURS, spreads.items(), strict=False):
            change = jacobian[:, model.space.index(name)] * spread
            label = number(name, spread).replace(" ", " + ", 1)
            axes.plot(model.wavelength, change, color=colour, label=label)
        axes.axhline(0.0, color="#444444", lw=0.6)
        spectral(axes, title)
        axes.set_ylabel("change of rso (-)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    panels[0].set_xlabel("")
    return figure


def hot_spot() -> Figure:
    """The principal plane: positive view zeniths look at the canopy from the sun's side."""
    view = torch.linspace(-70.0, 70.0, 561, dtype=torch.float64)
    angles = torch.stack([torch.full_like(view, 30.0), view.abs(), 180.0 * (view < 0.0)], -1)
    sizes = [0.01, 0.05, 0.2, 0.5]
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.5), layout="constrained")
    models = [
        rtm.Prosail(wavelength=torch.tensor([865.0]), hotspot=kind, products=False)
        for kind in ("exact", "classic")
    ]
    for colour, size in zip(ordered(len(sizes)), sizes, strict=True):
        exact, classic = (m(m.space.stack(hspot=size), angles).rso[:, 0] for m in models)
        panels[0].plot(view, exact, color=colour, label=number("hspot", size))
        panels[1].plot(view, 1e4 * (classic - exact), color=colour)
    for axes in panels:
        axes.set(xlabel="view zenith in the principal plane (degree)", xlim=(-70, 70))
        axes.set_xticks([-60, -30, 0, 30, 60])
        axes.axvline(30.0, color="#444444", lw=0.6, ls=":")
    panels[0].legend(loc="upper left")
    panels[0].set(ylabel="reflectance factor rso (-)", title="865 nm, sun zenith 30 degree")
    panels[1].set(ylabel="difference of rso (10⁻⁴)", title="classic less exact")
    return figure


def class_errors(canopies: int = 300) -> list[str]:
    """Rows of a table: error of rso by classes of leaf inclination, against 720 classes."""
    torch.manual_seed(0)
    spread = torch.tensor([70.0, 70.0, 180.0])
    angles = torch.rand(canopies, 3, dtype=torch.float64) * spread
    rows = []
    for kind in ("campbell", "verhoef", "beta"):
        models = {
            n: rtm.Prosail(
                wavelength=torch.tensor([560.0, 665.0, 865.0, 1610.0]), lidf=kind, classes=n,
                products=False,
            )
            for n in (18, 36, 72, 720)
        }  # fmt: skip
        space = models[720].space
        draws = torch.rand(canopies, len(space), dtype=torch.float64)
        theta = space.low + (space.high - space.low) * draws
        rso = {n: model(theta, angles).rso for n, model in models.items()}
        worst = [(rso[n] - rso[720]).abs().amax(-1) for n in (18, 36, 72)]
        cells = [f"{e.median():.0e}, {e.quantile(0.99):.0e}, {e.max():.0e}" for e in worst]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return rows


FIGURES = {"leaf": leaf, "canopy": canopy, "sensitivity": sensitivity, "hotspot": hot_spot}


def save(figure: Figure, path: Path) -> None:
    """A PNG of 96 colours, which is a third of the size."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=150)
    plt.close(figure)
    image = Image.open(buffer).convert("RGB")
    image.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True, dpi=(150, 150))


def main(folder: Path = IMAGES) -> None:
    """Write every plot."""
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE), torch.no_grad():
        for name, draw in FIGURES.items():
            path = folder / f"rtm-{name}.png"
            save(draw(), path)
            print(path)


if __name__ == "__main__":
    if "--table" in sys.argv:
        print("\n".join(class_errors()))
    else:
        main(*map(Path, sys.argv[1:]))
