"""A figure on the report's page: an SVG element a panel, and one for every entry of the legend.

Panels of their own stand side by side where there is room and below each other where there is
none, without their text becoming small. So each has the labels of both axes, which in the file of
the whole figure only the outer ones have. A colour bar goes with the panel that it belongs to.
"""

import html
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from validation.report.figure_style import STYLE, THEME, figure_of

PIXELS = 96
"""CSS pixels of an inch."""
MARGIN = 0.04
"""Room around a panel [inch]."""
SHARED = "shared"
"""Group id of a colour bar that belongs to all panels."""


class Drawn(NamedTuple):
    """The SVG elements of a figure, and the natural width [pixel] of its widest panel."""

    panels: list[str]
    key: list[str]
    width: int


def drawn(figure: Figure, label: str) -> Drawn:
    """Cut a figure into elements; its axes get the labels that they share.

    Parameters
    ----------
    figure : Figure
        Laid out; what it shows is the same afterwards but for the labels.
    label : str
        What the figure shows, for who cannot see it.
    """
    panels = [axes for axes in figure.axes if axes.get_visible()]
    bars = {axes: _owner(axes) for axes in panels if hasattr(axes, "_colorbar")}
    everything = [*figure.axes, *figure.legends]
    seen = [(artist, artist.get_visible()) for artist in everything]
    elements = []
    for panel in panels:
        if bars.get(panel) is not None:
            continue
        _label(panel)
        group = {panel, *(bar for bar, owner in bars.items() if owner is panel)}
        for artist in everything:
            artist.set_visible(artist in group)
        title = panel.get_title(loc="left")
        elements.append(element(figure, list(group), f"{title}: {label}" if title else label))
    for artist, visible in seen:
        artist.set_visible(visible)
    widths = [int(found[1]) for part in elements if (found := re.search(r"--w:(\d+)px", part))]
    return Drawn(elements, _key(figure), max(widths, default=400))


def _owner(bar: Axes) -> Axes | None:
    """The panel that a colour bar belongs to, None where it is that of all panels."""
    return None if bar.get_gid() == SHARED else bar._colorbar.mappable.axes  # type: ignore


def _label(panel: Axes) -> None:
    """Give a panel the labels of the axes that it shares."""
    if hasattr(panel, "_colorbar"):
        return
    for name, shared in (("x", panel.get_shared_x_axes()), ("y", panel.get_shared_y_axes())):
        siblings = shared.get_siblings(panel)
        texts = (getattr(axes, f"get_{name}label")() for axes in siblings)
        if len(siblings) > 1:
            getattr(panel, f"set_{name}label")(next(filter(None, texts), ""))
            side = "labelbottom" if name == "x" else "labelleft"
            panel.tick_params(axis=name, **{side: True})  # type: ignore[arg-type]


def _key(figure: Figure) -> list[str]:
    """The entries of a figure's legends."""
    return [
        _entry(handle, text.get_text())
        for legend in figure.legends
        for handle, text in zip(legend.legend_handles, legend.texts, strict=True)
    ]


def _entry(handle: Any, text: str) -> str:
    """One entry of a legend as an element of its own."""
    with matplotlib.rc_context(STYLE):
        small = figure_of(4, 0.4)
        small.set_layout_engine("none")
        alone = small.legend(handles=[handle], labels=[text], loc="center", borderpad=0.0)
    return element(small, [alone], text.replace(r"\$", "$"))


def element(figure: Figure, artists: Sequence[Artist], label: str) -> str:
    """The part of a figure around artists as an SVG element, ink and paper the page's variables.

    What else lies there must be invisible.
    """
    file = io.StringIO()
    style: dict[Any, Any] = {**STYLE, "svg.fonttype": "none"}
    with matplotlib.rc_context(style):
        # "tight" would find the same box by drawing everything once more.
        boxes = [box for artist in artists if (box := artist.get_tightbbox()) is not None]
        box = Bbox.union(boxes).padded(MARGIN * figure.dpi)
        crop = {"bbox_inches": box.transformed(figure.dpi_scale_trans.inverted())}
        about = {"metadata": {"Date": None, "Creator": None}, "transparent": True}
        figure.savefig(file, format="svg", **crop, **about)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    for colour, name in THEME.items():
        text = re.sub(colour, f"var({name})", text, flags=re.IGNORECASE)
    width = re.search(r'width="([\d.]+)pt"', text)
    natural = PIXELS / 72 * float(width[1]) if width else 700
    start = text.index(">")
    tag = re.sub(r' (?:width|height)="[\d.]+pt"', "", text[:start])
    opening = f'<svg role="img" aria-label="{html.escape(label)}" style="--w:{natural:.0f}px"'
    return tag.replace("<svg", opening, 1) + text[start:]
