"""Spectra along each variable of a model's latent space, the others at the middle of their prior.

python examples/latent_traversals.py [MODEL] [-o docs/images/latent-traversals.png]
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import physvae
from physvae.inference import traverse

ANGLES = torch.tensor([35.0, 5.0, 90.0])
SHOWN = torch.linspace(-2.0, 2.0, 7)  # standard normal scores


def main() -> None:
    """Draw a panel a variable."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="sentinel-2")
    parser.add_argument("-o", "--output", default="docs/images/latent-traversals.png", type=Path)
    options = parser.parse_args()
    model = physvae.load(options.model)
    draw(model).savefig(options.output, dpi=110)


def draw(model):
    """The figure: reflectance over wavelength, a line a value of the variable."""
    size = len(model.space)
    centre = torch.zeros(size)
    order = torch.argsort(model.physical.sensor.center)
    wavelength = model.physical.sensor.center[order]
    rows = -(-size // 4)
    figure, axes = plt.subplots(
        rows, 4, figsize=(11, 2.3 * rows), sharex=True, sharey=True, layout="constrained"
    )
    for axis, parameter in zip(axes.flat, model.space.parameters, strict=False):
        column = model.space.index(parameter.name)
        scores = centre.expand(len(SHOWN), size).clone()
        scores[:, column] = SHOWN
        values = model.prior(scores)[:, column]
        theta = model.prior(centre)
        spectra = traverse(model, theta, ANGLES, parameter.name, values).physical
        for share, value, spectrum in zip(SHOWN, values, spectra, strict=True):
            colour = plt.colormaps["viridis"]((float(share) + 2) / 4)
            label = f"{value:.3g}" if share in (SHOWN[0], SHOWN[-1]) else None
            axis.plot(wavelength, spectrum[order], color=colour, lw=1.2, label=label)
        unit = "" if parameter.unit == "-" else f" [{parameter.unit}]"
        axis.set_title(parameter.name + unit, fontsize=9)
        axis.legend(fontsize=7, frameon=False, loc="upper left")
        axis.set_ylim(0.0, 0.68)
    for axis in axes.flat[size:]:
        axis.set_visible(False)
    figure.supxlabel("wavelength [nm]", fontsize=9)
    figure.supylabel("reflectance [-]", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
