"""The quick look of the demonstration: the scene, true and retrieved LAI, and how sure it is."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from inversion.quality import Quality, usable

Image = NDArray[np.float64]

# Where several bits are set a pixel shows the first of these. Colours after Okabe & Ito (2008).
CLASSES: tuple[tuple[str, str, Quality], ...] = (
    ("no data", "#ffffff", Quality.NO_DATA),
    ("unlike the training", "#d55e00", Quality.OUTSIDE_TRAINING_DOMAIN),
    ("not explained", "#e69f00", Quality.SPECTRUM_MISFIT),
    ("nothing learned", "#cc79a7", Quality.AS_WIDE_AS_PRIOR),
    ("negative reflectance", "#56b4e9", Quality.NEGATIVE_REFLECTANCE),
)
GOOD = ("no issues", "#d9d9d2")
OTHER = ("other flag", "#0072b2")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "legend.frameon": False,
}


def draw(path: Path, **images: Any) -> None:
    """Write the quick look of one scene as a PNG; the images are those of `picture`."""
    with matplotlib.rc_context(STYLE):
        save(picture(**images), path)


def picture(
    *,
    reflectance: Image,
    truth: Image,
    retrieved: dict[str, Image],
    quality: NDArray[np.uint16],
    scored: NDArray[np.bool_],
    pixel: float,
) -> Figure:
    """Draw the quick look of one scene.

    Parameters
    ----------
    reflectance
        Blue, green and red [0-1], [band, y, x].
    truth
        True LAI [m2 m-2], NaN where there is none.
    retrieved
        `lai`, `lai_sd`, `lai_p025`, `lai_p975` [m2 m-2].
    quality
        The quality bits of every pixel.
    scored
        The pixels that the scatter plot compares.
    pixel
        Size of a pixel [m].
    """
    figure, axes = plt.subplots(2, 3, figsize=(13.0, 7.9))
    figure.subplots_adjust(0.012, 0.085, 0.94, 0.91, wspace=0.21, hspace=0.16)
    (scene, true, lai), (flags, scatter, spread) = axes
    highest = float(np.ceil(np.nanpercentile(truth, 99.0)))
    colour(scene, reflectance)
    scale_bar(scene, pixel)
    field(true, truth, "true LAI", "viridis", highest)
    unusable = ~usable(quality) & (quality & Quality.NO_DATA.value == 0)
    field(lai, retrieved["lai"], "retrieved LAI", "viridis", highest, unusable)
    top = float(np.nanpercentile(retrieved["lai_sd"][~unusable], 99.5))
    field(spread, retrieved["lai_sd"], "its standard deviation", "magma", top, unusable)
    remarks(flags, quality, unusable)
    if scored.any():
        compare(scatter, truth[scored], {k: v[scored] for k, v in retrieved.items()}, highest)
    title = "Synthetic Sentinel-2 scene of a farmed landscape: LAI retrieved with its uncertainty"
    figure.suptitle(title, x=0.012, y=0.985, ha="left", fontsize=13)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure under a temporary name first, so that no half picture stays behind."""
    part = path.with_name(f"{path.name}.part")
    figure.savefig(part, format="png", dpi=110)
    part.replace(path)
    plt.close(figure)


def bare(axes: Axes, title: str) -> None:
    """Leave only the frame and the title of a map."""
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def colour(axes: Axes, reflectance: Image) -> None:
    """Show the scene in natural colours, brightened as the eye does."""
    red_green_blue = np.moveaxis(reflectance[::-1], 0, -1)
    shown = np.clip(red_green_blue / 0.25, 0.0, 1.0) ** 0.7
    axes.imshow(np.where(np.isfinite(shown), shown, 1.0), interpolation="nearest")
    bare(axes, "the scene in natural colours (synthetic)")


def scale_bar(axes: Axes, pixel: float, length: float = 500.0) -> None:
    """Draw a bar of `length` metres in the lower left."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    x, y = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    axes.plot([x, x + length / pixel], [y, y], color="white", linewidth=5, solid_capstyle="butt")
    axes.plot([x, x + length / pixel], [y, y], color="black", linewidth=2.5, solid_capstyle="butt")
    middle, above = x + length / pixel / 2, y + 0.025 * (top - bottom)
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.2}
    axes.text(middle, above, f"{length:.0f} m", ha="center", va="bottom", fontsize=8, bbox=box)


def field(
    axes: Axes,
    values: Image,
    title: str,
    colours: str,
    highest: float,
    unusable: NDArray[np.bool_] | None = None,
) -> None:
    """Show one variable with its colour bar: unknown is white, not usable grey and hatched."""
    if unusable is not None:
        values = np.where(unusable, np.nan, values)
        below(axes, [hatch(axes, unusable)])
    image = axes.imshow(values, cmap=colours, vmin=0.0, vmax=highest, interpolation="nearest")
    bare(axes, title)
    bar = plt.colorbar(image, cax=axes.inset_axes((1.02, 0.0, 0.035, 1.0)))
    bar.set_label("m² m⁻²")


def hatch(axes: Axes, unusable: NDArray[np.bool_]) -> tuple[Patch, str]:
    """Mark what must not be used in grey with strokes; return its entry of a legend."""
    y, x = np.indices(unusable.shape)
    grey = np.where((x + y) % 6 < 2, 0.35, 0.7)
    shown = np.where(unusable, grey, np.nan)
    axes.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", zorder=2)
    patch = Patch(facecolor="0.7", edgecolor="0.35", hatch="/////", linewidth=0.0)
    return patch, f"not to be used ({100 * np.mean(unusable):.1f} %)"


def below(axes: Axes, entries: list[tuple[Patch, str]]) -> None:
    """Put a legend of patches and their labels below a map."""
    axes.legend(
        *zip(*entries, strict=True),
        loc="upper left",
        bbox_to_anchor=(-0.02, 0.0),
        ncols=2,
        columnspacing=1.2,
        fontsize=8,
    )


def remarks(axes: Axes, quality: NDArray[np.uint16], unusable: NDArray[np.bool_]) -> None:
    """Show the weightiest remark of every pixel, above all whether it may be used."""
    names, colours, shown = [GOOD[0], OTHER[0]], [GOOD[1], OTHER[1]], np.where(quality == 0, 0, 1)
    for name, tint, flag in reversed(CLASSES):
        shown = np.where(quality & flag.value, len(names), shown)
        names.append(name)
        colours.append(tint)
    norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    axes.imshow(shown, cmap=ListedColormap(colours), norm=norm, interpolation="nearest")
    bare(axes, "quality")
    entries = [hatch(axes, unusable)]
    shown = np.where(unusable, -1, shown)
    present = [index for index in range(len(names)) if np.mean(shown == index) >= 5e-4]
    for i in present:
        patch = Patch(facecolor=colours[i], edgecolor="#444444", linewidth=0.5)
        entries.append((patch, f"{names[i]} ({100 * np.mean(shown == i):.1f} %)"))
    below(axes, entries)


def compare(axes: Axes, true: Image, retrieved: dict[str, Image], highest: float) -> None:
    """Plot retrieved against true LAI, and the mean 95 % interval along it."""
    lai, low, high = (retrieved[name] for name in ("lai", "lai_p025", "lai_p975"))
    cells = axes.hexbin(
        true,
        lai,
        gridsize=46,
        extent=(0, highest, 0, highest),
        bins="log",
        cmap="Greys",
        linewidths=0.0,
        mincnt=1,
    )
    cells.set_clim(0.3, None)
    edges = np.linspace(0.0, highest, 19)
    where = np.digitize(true, edges)
    filled = [index for index in range(1, len(edges)) if np.sum(where == index) >= 20]
    centre = [true[where == index].mean() for index in filled]
    for bound in (low, high):
        line = [bound[where == index].mean() for index in filled]
        axes.plot(centre, line, color="#0072b2", linewidth=1.4)
    axes.plot([0, highest], [0, highest], color="#d55e00", linewidth=1.2)
    axes.set(xlim=(0, highest), ylim=(0, highest), box_aspect=200 / 240)
    axes.set(xlabel="true LAI (m² m⁻²)", ylabel="retrieved LAI (m² m⁻²)")
    axes.set_title("retrieved against true")
    error, inside = lai - true, (true >= low) & (true <= high)
    note = (
        f"n {true.size:,}\nRMSE {np.sqrt(np.mean(error**2)):.2f}\nbias {error.mean():+.2f}\n"
        f"inside the 95 % interval {100 * inside.mean():.1f} %"
    )
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2.0}
    axes.text(0.03, 0.965, note, transform=axes.transAxes, va="top", fontsize=8.5, bbox=box)
    handles = [plt.Line2D([], [], color="#d55e00"), plt.Line2D([], [], color="#0072b2")]
    axes.legend(handles, ["1:1", "mean 95 % interval"], loc="lower right", fontsize=8)
